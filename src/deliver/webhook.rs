//! One outside address that is told: each order, notice, call, agency message and forwarded report as a `CloudEvent` 1.0
//! in structured JSON, by `POST`.
//!
//! # Algorithm
//! One entry a key (an order's id, a notice's id): the newest `rev` replaces what still waits, so a recall overtakes its
//! order, and at most one request of a key is under way. Attempts follow `retry`; when they are used up the failure is
//! told to the runtime, which orders the next post, and attempts go on every `tail` until the message expires. Two sets of
//! due entries, bottom line first; ordinary ones may use only the share of requests that is not reserved.
//!
//! # Invariants
//! * A step's message counts as *settled* when it was taken, expired, was superseded, or its failure was told. Until then
//!   the step is not emitted, and a restart sends it again with the same `CloudEvents` id.
//! * The address is the operator's word and is trusted as such; where it redirects to is not, and no proxy of the
//!   environment is asked. Of a reply at most `reply_bytes_max` bytes are read.
//!
//! Left out: signatures, several receivers, TLS (an `https` address is refused with the way out).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use crate::wire::{Kind, Message, time};
use crate::engine::DeliveryOutcome;
use crate::model::{Millis, OrderId, Timestamp};
use crate::telemetry::Metrics;

/// `[webhook]`: delivery to one outside address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// Where to, such as `http://127.0.0.1:9000/muster`. Empty: nobody is told.
    pub url: String,
    /// Which messages.
    pub types: Vec<Kind>,
    /// Pauses before the first and the further attempts, until the failure counts.
    pub retry: Vec<Millis>,
    /// Pause between attempts after that, until the message expires.
    pub tail: Millis,
    /// What has no expiry of its own is given up after this long.
    pub give_up_after: Millis,
    /// One attempt may take so long.
    pub timeout: Millis,
    /// Requests under way at once.
    pub requests_max: usize,
    /// Percent of them that only the bottom line may use.
    pub reserve_percent: usize,
    /// Messages that wait. Beyond it the newest ordinary one is given up at once, as failed.
    pub queue_max: usize,
    /// Bytes read of a reply.
    pub reply_bytes_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            url: String::new(),
            types: vec![Kind::Order, Kind::Notice, Kind::Call, Kind::Agency, Kind::Forward],
            retry: [0, 2, 5, 10, 20].map(Millis::from_secs).to_vec(),
            tail: Millis::from_secs(30),
            give_up_after: Millis::from_mins(15),
            timeout: Millis::from_secs(5),
            requests_max: 16,
            reserve_percent: 20,
            queue_max: 20_000,
            reply_bytes_max: 4096,
        }
    }
}

/// Why an address is refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("[webhook] url = {url:?}: {reason}")]
pub struct Error {
    url: String,
    reason: String,
}

/// What the channel asks and tells.
pub trait Upstream: Send + Sync + 'static {
    /// What time it is.
    fn now(&self) -> Timestamp;
    /// What became of an order.
    fn outcome(&self, order: &OrderId, outcome: DeliveryOutcome);
    /// A message of this step needs no more care.
    fn settled(&self, step: u64);
}

/// The way in. Dropping it ends the channel after the requests under way.
#[derive(Clone, Debug)]
pub struct Webhook {
    types: Arc<[Kind]>,
    queue: mpsc::Sender<(Arc<Message>, bool)>,
}

impl Webhook {
    /// Starts the channel, where an address is set.
    ///
    /// # Errors
    /// When the address cannot be used.
    pub fn start(
        options: Options,
        source: String,
        metrics: Arc<Metrics>,
        upstream: Arc<dyn Upstream>,
    ) -> Result<Option<Self>, Error> {
        if options.url.is_empty() {
            return Ok(None);
        }
        let refuse = |reason: String| Error { url: options.url.clone(), reason };
        let url = address(&options.url).map_err(refuse)?;
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .timeout(Duration::from_millis(options.timeout.0))
            .user_agent(concat!("muster/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|e| refuse(e.to_string()))?;
        let (queue, inbox) = mpsc::channel(1024);
        let types = options.types.clone().into();
        let post = Arc::new(Post { client, url, source, reply_bytes_max: options.reply_bytes_max });
        let actor = Actor {
            options,
            post,
            metrics,
            upstream,
            entries: BTreeMap::new(),
            due: [BTreeSet::new(), BTreeSet::new()],
            under_way: [0, 0],
            requests: JoinSet::new(),
        };
        tokio::spawn(actor.run(inbox));
        Ok(Some(Self { types, queue }))
    }

    /// Whether it takes messages of this type.
    #[must_use]
    pub fn takes(&self, kind: Kind) -> bool {
        self.types.contains(&kind)
    }

    /// Hands a message over; from now on the channel cares for it. `carried`: another channel carries it too, so that
    /// a failure here alone is no reason to order the next post.
    pub async fn send(&self, message: Arc<Message>, carried: bool) {
        // The channel ends only with its senders.
        let _ = self.queue.send((message, carried)).await;
    }
}

fn address(text: &str) -> Result<reqwest::Url, String> {
    let url = reqwest::Url::parse(text).map_err(|e| e.to_string())?;
    match url.scheme() {
        "http" => {}
        "https" => {
            return Err("this build speaks no TLS; name a local proxy that does, such as http://127.0.0.1:9443/".into());
        }
        other => return Err(format!("`{other}` is no scheme for this; write http://…")),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("an address with a password ends up in logs; let a local proxy add it".into());
    }
    Ok(url)
}

struct Entry {
    message: Arc<Message>,
    carried: bool,
    /// Attempts made.
    attempts: usize,
    /// Whether the step it is of has been settled.
    settled: bool,
    due: Instant,
    under_way: bool,
    /// Came while a request was under way.
    newer: Option<(Arc<Message>, bool)>,
}

impl Entry {
    fn new(message: Arc<Message>, carried: bool, due: Instant) -> Self {
        Self { message, carried, attempts: 0, settled: false, due, under_way: false, newer: None }
    }
}

/// The one task that owns the entries.
struct Actor {
    options: Options,
    post: Arc<Post>,
    metrics: Arc<Metrics>,
    upstream: Arc<dyn Upstream>,
    entries: BTreeMap<SmolStr, Entry>,
    /// Bottom line, ordinary.
    due: [BTreeSet<(Instant, SmolStr)>; 2],
    under_way: [usize; 2],
    requests: JoinSet<(SmolStr, Result<(), String>)>,
}

fn lane(message: &Message) -> usize {
    usize::from(!message.bottom_line)
}

impl Actor {
    async fn run(mut self, mut inbox: mpsc::Receiver<(Arc<Message>, bool)>) {
        let far = Duration::from_hours(1);
        loop {
            self.begin_due();
            self.gauge();
            let next = self.next_due().unwrap_or_else(|| Instant::now() + far);
            tokio::select! {
                message = inbox.recv() => match message {
                    Some((message, carried)) => self.take(message, carried),
                    None => break,
                },
                Some(done) = self.requests.join_next() => {
                    if let Ok((key, result)) = done {
                        self.done(&key, result);
                    }
                }
                () = tokio::time::sleep_until(next) => {}
            }
        }
        // What waits is not settled, so its step is sent again after the start; what is under way may end.
        while let Some(Ok((key, result))) = self.requests.join_next().await {
            if result.is_ok() {
                self.done(&key, result);
            }
        }
    }

    fn take(&mut self, message: Arc<Message>, carried: bool) {
        let key = message.key.clone();
        if let Some(entry) = self.entries.get_mut(&key) {
            if entry.message.rev >= message.rev {
                return self.upstream.settled(message.step);
            }
            if entry.under_way {
                if let Some((older, _)) = entry.newer.replace((message, carried)) {
                    self.upstream.settled(older.step);
                }
                return;
            }
            self.remove(&key);
        } else if self.entries.len() >= self.options.queue_max && !message.bottom_line {
            warn!(key = %message.key, limit = self.options.queue_max, "webhook.overflowed");
            return self.failed(&message, carried);
        }
        self.put(Entry::new(message, carried, Instant::now()));
    }

    fn put(&mut self, mut entry: Entry) {
        if entry.attempts == 0 {
            entry.due = Instant::now() + self.pause(0);
        }
        let key = entry.message.key.clone();
        self.due[lane(&entry.message)].insert((entry.due, key.clone()));
        self.entries.insert(key, entry);
    }

    /// Takes the entry out; its step is settled.
    fn remove(&mut self, key: &SmolStr) -> Option<Entry> {
        let entry = self.entries.remove(key)?;
        self.due[lane(&entry.message)].remove(&(entry.due, key.clone()));
        if !entry.settled {
            self.upstream.settled(entry.message.step);
        }
        Some(entry)
    }

    fn pause(&self, attempts: usize) -> Duration {
        Duration::from_millis(self.options.retry.get(attempts).unwrap_or(&self.options.tail).0)
    }

    fn room(&self, lane: usize) -> bool {
        let max = self.options.requests_max.max(1);
        let ordinary = max - (max * self.options.reserve_percent.min(100) / 100).min(max - 1);
        self.under_way[0] + self.under_way[1] < max && (lane == 0 || self.under_way[1] < ordinary)
    }

    fn next_due(&self) -> Option<Instant> {
        (0..2).filter(|&lane| self.room(lane)).filter_map(|lane| self.due[lane].first()).map(|(due, _)| *due).min()
    }

    fn begin_due(&mut self) {
        let now = Instant::now();
        for lane in 0..2 {
            while self.room(lane) && self.due[lane].first().is_some_and(|(due, _)| *due <= now) {
                let (_, key) = self.due[lane].pop_first().expect("just seen");
                self.begin(&key, lane);
            }
        }
    }

    fn begin(&mut self, key: &SmolStr, lane: usize) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        let ends = entry.message.expires.unwrap_or(entry.message.at + self.options.give_up_after);
        if self.upstream.now() >= ends {
            info!(key = %key, attempts = entry.attempts, "webhook.expired");
            self.count("expired");
            self.remove(key);
            return;
        }
        (entry.under_way, entry.attempts) = (true, entry.attempts + 1);
        self.under_way[lane] += 1;
        let (post, message, key) = (Arc::clone(&self.post), Arc::clone(&entry.message), key.clone());
        self.requests.spawn(async move { (key, post.send(&message).await) });
    }

    fn done(&mut self, key: &SmolStr, result: Result<(), String>) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        entry.under_way = false;
        self.under_way[lane(&entry.message)] -= 1;
        let newer = entry.newer.take();
        match result {
            Ok(()) => {
                debug!(key = %key, rev = entry.message.rev, attempts = entry.attempts, "webhook.sent");
                let message = Arc::clone(&entry.message);
                self.count("sent");
                self.outcome(&message, DeliveryOutcome::Sent);
                self.remove(key);
            }
            Err(reason) => {
                self.count("failed");
                self.again(key, &reason, newer.is_some());
            }
        }
        if let Some((message, carried)) = newer {
            self.remove(key);
            self.put(Entry::new(message, carried, Instant::now()));
        }
    }

    /// After a failed attempt: the next one, and what the failure means.
    fn again(&mut self, key: &SmolStr, reason: &str, superseded: bool) {
        let Some(mut entry) = self.entries.remove(key) else { return };
        entry.due = Instant::now() + self.pause(entry.attempts);
        let used_up = entry.attempts >= self.options.retry.len();
        info!(key = %key, attempts = entry.attempts, reason, "webhook.failed");
        if used_up && !entry.settled && !superseded {
            entry.settled = true;
            self.failed(&entry.message, entry.carried);
        }
        self.put(entry);
    }

    fn failed(&self, message: &Message, carried: bool) {
        self.count("gave-up");
        if !carried {
            self.outcome(message, DeliveryOutcome::Failed);
        }
        self.upstream.settled(message.step);
    }

    fn outcome(&self, message: &Message, outcome: DeliveryOutcome) {
        // A recall that fails is no reason to order somebody else.
        if let Some(order) = message.order.as_ref().filter(|_| message.expires.is_some()) {
            self.upstream.outcome(order, outcome);
        }
    }

    fn count(&self, outcome: &str) {
        self.metrics.deliveries.with_label_values(&["webhook", outcome]).inc();
    }

    fn gauge(&self) {
        let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        self.metrics.queue_depth.with_label_values(&["webhook"]).set(number(self.entries.len()));
        self.metrics.queue_limit.with_label_values(&["webhook"]).set(number(self.options.queue_max));
    }
}

/// How one request is made.
struct Post {
    client: reqwest::Client,
    url: reqwest::Url,
    source: String,
    reply_bytes_max: usize,
}

impl Post {
    async fn send(&self, message: &Message) -> Result<(), String> {
        let request = self
            .client
            .post(self.url.clone())
            .header("content-type", "application/cloudevents+json; charset=utf-8")
            .body(event(message, &self.source));
        let mut reply = request.send().await.map_err(|e| e.without_url().to_string())?;
        let status = reply.status();
        let mut read = 0;
        while let Ok(Some(chunk)) = reply.chunk().await {
            read += chunk.len();
            if read > self.reply_bytes_max {
                break;
            }
        }
        match status {
            s if s.is_success() => Ok(()),
            s if s.is_redirection() => Err(format!("answered {}; redirects are not followed", s.as_u16())),
            s => Err(format!("answered {}", s.as_u16())),
        }
    }
}

/// The message as a `CloudEvent` in structured JSON. The id is the same at every attempt and after a restart.
#[must_use]
pub fn event(message: &Message, source: &str) -> String {
    let envelope = serde_json::json!({
        "specversion": "1.0",
        "type": message.kind.as_type(),
        "source": source,
        "id": format!("{}/{}", message.key, message.rev),
        "subject": message.key,
        "time": time(message.at),
        "datacontenttype": "application/json",
    })
    .to_string();
    // The payload is JSON already; it is set in, not parsed again.
    format!("{},\"data\":{}}}", &envelope[..envelope.len() - 1], message.data)
}
