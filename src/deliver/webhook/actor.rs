//! The one task that owns the waiting messages; see the module above.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use smol_str::SmolStr;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::post::Post;
use super::{Options, Upstream};
use crate::deliver::message::Message;
use crate::engine::DeliveryOutcome;
use crate::telemetry::Metrics;

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
pub(super) struct Actor {
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
    pub fn new(options: Options, post: Arc<Post>, metrics: Arc<Metrics>, upstream: Arc<dyn Upstream>) -> Self {
        let due = [BTreeSet::new(), BTreeSet::new()];
        let (entries, requests) = (BTreeMap::new(), JoinSet::new());
        Self { options, post, metrics, upstream, entries, due, under_way: [0, 0], requests }
    }

    pub async fn run(mut self, mut inbox: mpsc::Receiver<(Arc<Message>, bool)>) {
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
                return self.upstream.settled(message.step());
            }
            if entry.under_way {
                if let Some((older, _)) = entry.newer.replace((message, carried)) {
                    self.upstream.settled(older.step());
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
            self.upstream.settled(entry.message.step());
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
        self.upstream.settled(message.step());
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
