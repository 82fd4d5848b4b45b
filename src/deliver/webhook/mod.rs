//! Outside addresses that are told: each order, notice, call, agency message and forwarded report as a `CloudEvent` 1.0 in
//! structured JSON, by `POST`, signed by Standard Webhooks, with a text in Chinese or English beside its facts.
//!
//! # Algorithm
//! One `actor` a target, which owns its waiting messages and shares nothing with another's but the client: a target that
//! is slow or dead costs its own queue and nobody else's time. Within it, one entry a key (an order's id, a notice's id):
//! the newest `rev` replaces what still waits, so a recall overtakes its order, and at most one request of a key is under
//! way. Attempts follow `retry`; when they are used up the target has *given up*, and attempts go on every `tail` until the
//! message expires. When every target that carries an order has given up, and no listener of the stream carries it, the
//! failure is told to the runtime, which orders the next post (`fate`).
//!
//! Three things hold an attempt back. Its `breaker`: what it skips counts as a failed attempt, with that reason. Its
//! `budget` of attempts a second, and its bound of requests under way: of both a fifth is the bottom line's alone. Orders
//! of the bottom line pass breaker and budget.
//!
//! # Invariants
//! * A step's message counts as *settled* when each target that hears it took it, gave it up, let it expire, or has a newer
//!   one. Until then the step is not emitted, and a restart sends it again with the same ids (`CloudEvents` id and
//!   `webhook-id`) to everybody who hears it.
//! * An older `rev` is never sent after a newer one was acknowledged: not by a late attempt (the newer entry replaced it),
//!   nor after a restart, when what came before a message that follows is left out as `superseded`. Receivers still apply a
//!   key only when its `rev` is higher, since what was on its way arrives when it arrives.
//! * Where a connection may lead is checked at the connection itself ([`guard`]); redirects are not followed, no proxy of
//!   the environment is asked, of a reply at most `reply_bytes_max` bytes are read.
//! * Every attempt and every skip is a line of the [delivery log](super::log) with its reason. What was handed over is sent,
//!   expired, superseded, overflowed, or waits: nothing else can become of it.
//!
//! Left out: what had been given up and was still tried in the long tail is not tried again after a crash; the engine has
//! ordered another post by then.

mod actor;
mod breaker;
mod budget;
mod client;
mod fate;
pub mod guard;
mod post;
pub mod signature;
pub mod targets;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use smol_str::{SmolStr, format_smolstr};
use tokio::sync::mpsc;

use actor::Actor;
use fate::Fate;
use guard::{Guard, Lookup, System};
use post::Post;
pub use post::{event, event_id};
use targets::{Target, Targets};

use super::hub::Filter;
use super::log::{Did, Line, Log, kind_name};
use super::message::Message;
use crate::engine::DeliveryOutcome;
use crate::model::{Millis, OrderId, Timestamp};
use crate::playbook::{Language, Playbook};
use crate::telemetry::Metrics;
use crate::wire::Kind;

/// The name of this channel in templates, metrics and outcomes.
pub const CHANNEL: &str = "webhook";
/// Messages between the pump and a target's actor, which takes them without waiting for anybody.
const INBOX: usize = 1_024;

/// `[webhook]`: delivery to outside addresses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// One address, such as `https://hook.example/muster`. Empty: none.
    pub url: String,
    /// A file of many; see [`targets`]. Empty: none.
    pub targets: PathBuf,
    /// Which messages.
    pub types: Vec<Kind>,
    /// In which language their text is.
    pub language: Language,
    /// Files of secrets that sign; two of a kind while one is being changed.
    pub secret_files: Vec<PathBuf>,
    /// Ranges of addresses that may be reached although they are not of the public Internet.
    pub allow_private: Vec<IpNet>,
    /// A file of certificates (PEM) that are trusted beside the system's.
    pub tls_ca: PathBuf,
    /// Pauses before the first and the further attempts, until the failure counts.
    pub retry: Vec<Millis>,
    /// Pause between attempts after that, until the message expires.
    pub tail: Millis,
    /// What has no expiry of its own is given up after this long.
    pub give_up_after: Millis,
    /// One attempt may take so long.
    pub timeout: Millis,
    /// Attempts a second to one target; 0: without a bound.
    pub per_second: u32,
    /// Requests under way at once to one target.
    pub requests_max: usize,
    /// Percent of both that only the bottom line may use.
    pub reserve_percent: usize,
    /// Failures in a row after which a target is not asked for a while.
    pub breaker_failures: u32,
    /// For how long at first; longer each time its probe fails, up to six times this.
    pub breaker_pause: Millis,
    /// Messages that wait for one target. Beyond four fifths of it an ordinary one is given up at once.
    pub queue_max: usize,
    /// Bytes read of a reply.
    pub reply_bytes_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            url: String::new(),
            targets: PathBuf::new(),
            types: vec![Kind::Order, Kind::Notice, Kind::Call, Kind::Agency, Kind::Forward],
            language: Language::Zh,
            secret_files: Vec::new(),
            allow_private: Vec::new(),
            tls_ca: PathBuf::new(),
            retry: [0, 2, 5, 10, 20].map(Millis::from_secs).to_vec(),
            tail: Millis::from_secs(30),
            give_up_after: Millis::from_mins(15),
            timeout: Millis::from_secs(5),
            per_second: 200,
            requests_max: 16,
            reserve_percent: 20,
            breaker_failures: 5,
            breaker_pause: Millis::from_secs(10),
            queue_max: 20_000,
            reply_bytes_max: 4096,
        }
    }
}

/// Why a target is refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{place}: {reason}")]
pub struct Error {
    place: String,
    reason: String,
}

/// What the channel asks and tells.
pub trait Upstream: Send + Sync + 'static {
    /// What time it is.
    fn now(&self) -> Timestamp;
    /// The playbook whose words are told.
    fn playbook(&self) -> Arc<Playbook>;
    /// What became of an order, over which channel.
    fn outcome(&self, order: &OrderId, channel: &str, outcome: DeliveryOutcome);
    /// A message of this step needs no more care.
    fn settled(&self, step: u64);
}

/// What all targets share.
struct Shared {
    post: Post,
    metrics: Arc<Metrics>,
    log: Log,
    upstream: Arc<dyn Upstream>,
}

impl Shared {
    fn wrote(&self, message: &Message, target: &str, attempt: usize, did: Did, reason: &str, took: Duration) {
        self.metrics.deliveries.with_label_values(&[CHANNEL, did.as_str()]).inc();
        self.log.write(Line {
            n: 0,
            at: self.upstream.now(),
            target: target.into(),
            kind: kind_name(message.kind),
            key: message.key.clone(),
            rev: message.rev,
            attempt: u32::try_from(attempt).unwrap_or(u32::MAX),
            did,
            reason: reason.into(),
            took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        });
    }
}

/// What an actor is handed.
struct Handed {
    message: Arc<Message>,
    fate: Arc<Fate>,
}

/// The way in. Dropping it ends the channel after the requests under way.
#[derive(Clone)]
pub struct Webhook {
    ways: Arc<[Way]>,
    shared: Arc<Shared>,
}

struct Way {
    name: SmolStr,
    filter: Filter,
    carries: bool,
    queue: mpsc::Sender<Handed>,
}

impl Webhook {
    /// Starts the channel, where somebody is to be told.
    ///
    /// # Errors
    /// When a target cannot be used.
    pub fn start(
        options: &Options,
        source: String,
        metrics: &Arc<Metrics>,
        log: &Log,
        upstream: Arc<dyn Upstream>,
    ) -> Result<Option<Self>, Error> {
        Self::start_asking(options, source, metrics, log, upstream, Arc::new(System))
    }

    /// The same with another name server: for tests of what it may answer.
    ///
    /// # Errors
    /// As [`Webhook::start`].
    pub fn start_asking(
        options: &Options,
        source: String,
        metrics: &Arc<Metrics>,
        log: &Log,
        upstream: Arc<dyn Upstream>,
        lookup: Arc<dyn Lookup>,
    ) -> Result<Option<Self>, Error> {
        let Targets { list, allowed } = Targets::read(options)?;
        if list.is_empty() {
            return Ok(None);
        }
        let client = client::open(options, Guard::new(lookup, allowed))?;
        let post = Post { client, source, reply_bytes_max: options.reply_bytes_max };
        let shared = Arc::new(Shared { post, metrics: Arc::clone(metrics), log: log.clone(), upstream });
        let limit: usize = list.iter().map(|target| target.queue_max).sum();
        metrics.queue_limit.with_label_values(&[CHANNEL]).set(i64::try_from(limit).unwrap_or(i64::MAX));
        let start = |target: Target| {
            let (queue, inbox) = mpsc::channel(INBOX);
            let (name, filter, carries) = (target.name.clone(), target.filter.clone(), target.carries);
            tokio::spawn(Actor::new(options.clone(), target, Arc::clone(&shared)).run(inbox));
            Way { name, filter, carries, queue }
        };
        let ways = list.into_iter().map(start).collect();
        Ok(Some(Self { ways, shared }))
    }

    /// How many targets hear a message.
    #[must_use]
    pub fn hearers(&self, message: &Message) -> usize {
        self.ways.iter().filter(|way| way.filter.wants(message)).count()
    }

    /// Hands a message over to everybody who hears it; from now on the channel cares for it. `carried`: another channel
    /// carries it too, so that a failure here alone is no reason to order the next post.
    pub async fn send(&self, message: &Arc<Message>, carried: bool) {
        let hears = |way: &&Way| way.filter.wants(message);
        let carriers = self.ways.iter().filter(hears).filter(|way| way.carries).count();
        let fate = Fate::new(carriers + usize::from(carried));
        for way in self.ways.iter().filter(hears) {
            self.shared.metrics.deliveries.with_label_values(&[CHANNEL, "handed"]).inc();
            let handed = Handed { message: Arc::clone(message), fate: Arc::clone(&fate) };
            if way.queue.send(handed).await.is_err() {
                // An actor ends only with its senders, or by a fault of ours: what it cannot take must not stay owed.
                self.shared.wrote(message, &way.name, 0, Did::Overflowed, "its task has ended", Duration::ZERO);
                self.shared.upstream.settled(message.step());
            }
        }
    }

    /// A newer message of the same key follows at once, in what is sent again after a restart: this one is left out.
    pub fn leave_out(&self, message: &Message) {
        for way in self.ways.iter().filter(|way| way.filter.wants(message)) {
            self.shared.metrics.deliveries.with_label_values(&[CHANNEL, "handed"]).inc();
            self.shared.wrote(message, &way.name, 0, Did::Superseded, "a newer one follows it", Duration::ZERO);
            self.shared.upstream.settled(message.step());
        }
    }
}

/// The channel of an outcome: `webhook` for the one address, `webhook:<name>` for one of many.
fn channel(target: &Target) -> SmolStr {
    if target.name == CHANNEL { CHANNEL.into() } else { format_smolstr!("{CHANNEL}:{}", target.name) }
}
