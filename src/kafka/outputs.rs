//! What leaves the house: the effects of accepted steps, on topics, keyed by stable ids, each with its `rev`.
//!
//! One thread sends for all shards of a node, and never waits for one message: what failed waits aside, longer each time,
//! while others go on. A step counts as emitted when the brokers have everything of it and of all before it; then its
//! shard is told, and says so in its next record. A message that is sent again may come later than one that followed it;
//! a reader that applies only a higher `rev` is not misled by that. In a compacted topic the last one stays, so there an
//! older one gives way.
//!
//! A producer that gave up is replaced, and what it had under way is sent by the new one. A message that the cluster
//! refuses (no right, no topic, too large for it) is tried for as long as it takes: its shard takes nothing more in
//! when `unemitted_max` steps wait behind it, and says so; an order that nobody hears of is never given up in silence.

#![expect(clippy::disallowed_methods, reason = "what failed is tried again in real time")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::client::OAuthToken;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{
    BaseRecord, NoCustomPartitioner, Producer as _, ProducerContext, PurgeConfig, ThreadedProducer,
};
use smol_str::{SmolStr, format_smolstr};
use tracing::{error, warn};

use super::client::Context;
use super::heads::Head;
use super::mailbox::{Mail, Mailbox};
use super::outgoing::{Care, Making, Outgoing};
use super::reading::RECEIVED;
use super::shard::Watch;
use super::trouble::{Backoff, Seldom, Trouble};
use crate::deliver::Ledger;
use crate::engine::Document;
use crate::journal::Step;

/// The header that says the `rev` where a payload cannot: on a tombstone.
pub const REV: &str = "muster-rev";
/// What could not be sent is tried again after so long, and then ever later.
const AGAIN: Duration = Duration::from_millis(100);
/// But never later than this.
const AGAIN_MAX: Duration = Duration::from_secs(5);
/// The client's queue is full: it is asked again after so long.
const FULL: Duration = Duration::from_millis(5);
/// Errors of one kind are told at most so often.
const TOLD_EVERY: Duration = Duration::from_secs(5);
/// A producer that gave up may take so long to give back what it had.
const GIVES_BACK_WITHIN: Duration = Duration::from_secs(30);
/// At the end what is under way may take so long.
const ENDS_WITHIN: Duration = Duration::from_secs(1);

/// Sends what leaves the house.
#[derive(Debug)]
pub struct Outputs {
    orders: Sender<Work>,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// A shard's way to it.
#[derive(Clone, Debug)]
pub struct Emitter {
    orders: Sender<Work>,
    account: Arc<Account>,
}

/// How far the effects of a shard have left the house, and who hears of it.
#[derive(Debug)]
struct Account {
    shard: u32,
    ledger: Ledger,
    mailbox: Arc<Mailbox>,
    told: AtomicU64,
}

impl Account {
    /// Says how far everything has left, when that is farther than was said before.
    fn tell(&self, emitted: u64) {
        if self.told.fetch_max(emitted, Ordering::AcqRel) < emitted {
            self.mailbox.say(Mail::Emitted(emitted));
        }
    }
}

#[derive(Debug)]
enum Work {
    Step(Arc<Account>, Arc<Step>, Vec<Document>),
    Head(Head),
    /// One that failed.
    Failed(Box<OnItsWay>, KafkaError),
    /// A tombstone has arrived: nothing of its key is under way any more.
    Gone(SmolStr, u64),
    /// The producer of this number gave up.
    GaveUp(u64),
    /// The node ends.
    End,
}

/// One message on its way, and what it is counted for.
#[derive(Debug)]
struct OnItsWay {
    outgoing: Arc<Outgoing>,
    /// Whose, and of which step.
    of: Option<(Arc<Account>, u64)>,
    /// The producer that has it.
    by: u64,
    backoff: Backoff,
}

impl OnItsWay {
    #[expect(clippy::unnecessary_box_returns, reason = "the client holds it by its address")]
    fn new(outgoing: Outgoing, of: Option<(Arc<Account>, u64)>) -> Box<Self> {
        Box::new(Self { outgoing: Arc::new(outgoing), of, by: 0, backoff: Backoff::new(AGAIN, AGAIN_MAX) })
    }

    fn settled(&self) {
        if let Some((account, step)) = &self.of {
            account.tell(account.ledger.settled(*step));
        }
    }
}

impl Outputs {
    /// Starts the thread that sends.
    ///
    /// # Errors
    /// When the client refuses its settings, or the system has no thread.
    pub fn start(making: Making, watch: Arc<dyn Watch>) -> anyhow::Result<Self> {
        let (orders, ordered) = channel();
        let ends = Arc::new(AtomicBool::new(false));
        let sending = Sending::new(making, orders.clone(), watch, Arc::clone(&ends))?;
        let thread = std::thread::Builder::new().name("outputs".to_owned()).spawn(move || sending.run(&ordered))?;
        Ok(Self { orders, ends, thread: Some(thread) })
    }

    /// The way of a shard, which hears in its mailbox how far its effects have left.
    #[must_use]
    pub fn emitter(&self, shard: u32, mailbox: Arc<Mailbox>) -> Emitter {
        let account = Account { shard, ledger: Ledger::default(), mailbox, told: AtomicU64::new(0) };
        Emitter { orders: self.orders.clone(), account: Arc::new(account) }
    }
}

impl Emitter {
    /// Sends the effects of an accepted step; `swept` are the documents that its record wrote anew.
    pub fn emit(&self, step: &Arc<Step>, swept: Vec<Document>) {
        // Where the thread has ended the node ends: what is accepted now is emitted by the next owner.
        let _ = self.orders.send(Work::Step(Arc::clone(&self.account), Arc::clone(step), swept));
    }

    /// Says how far the journal has come.
    pub fn head(&self, head: Head) {
        let _ = self.orders.send(Work::Head(head));
    }
}

/// Hears what became of messages, on the producer's own thread.
struct Deliveries {
    base: Context,
    number: u64,
    orders: Sender<Work>,
}

impl ClientContext for Deliveries {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        self.base.log(level, facility, line);
    }

    fn stats_raw(&self, statistics: &[u8]) {
        self.base.stats_raw(statistics);
    }

    fn generate_oauth_token(&self, config: Option<&str>) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        self.base.generate_oauth_token(config)
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.base.error(error.clone(), reason);
        if Trouble::of(&error) == Trouble::Fatal {
            let _ = self.orders.send(Work::GaveUp(self.number));
        }
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Box<OnItsWay>;

    fn delivery(&self, result: &DeliveryResult<'_>, way: Box<OnItsWay>) {
        match result {
            Ok(_) => {
                way.settled();
                if let (Care::Projection(rev), None) = (way.outgoing.care, &way.outgoing.payload) {
                    let _ = self.orders.send(Work::Gone(name(&way.outgoing), rev));
                }
            }
            // Its thread ends only after the producer.
            Err((error, _)) => _ = self.orders.send(Work::Failed(way, error.clone())),
        }
    }
}

/// What a projection is about, among all topics.
fn name(outgoing: &Outgoing) -> SmolStr {
    format_smolstr!("{}/{}", outgoing.topic, outgoing.key)
}

type Producer = ThreadedProducer<Deliveries, NoCustomPartitioner>;

struct Sending {
    making: Making,
    orders: Sender<Work>,
    producer: Producer,
    /// How many there were before it.
    number: u64,
    /// What failed, by when it is tried again.
    aside: BTreeMap<(Instant, u64), Box<OnItsWay>>,
    set_aside: u64,
    /// The newest `rev` of each projection that was sent: as many as there are documents, for what is gone is forgotten.
    newest: BTreeMap<SmolStr, u64>,
    failures: Seldom,
    refusals: Seldom,
    watch: Arc<dyn Watch>,
    ends: Arc<AtomicBool>,
}

impl Sending {
    fn new(
        making: Making,
        orders: Sender<Work>,
        watch: Arc<dyn Watch>,
        ends: Arc<AtomicBool>,
    ) -> Result<Self, KafkaError> {
        let producer =
            making.clients.outputs(Deliveries { base: making.clients.context(), number: 0, orders: orders.clone() })?;
        Ok(Self {
            making,
            orders,
            producer,
            number: 0,
            aside: BTreeMap::new(),
            set_aside: 0,
            newest: BTreeMap::new(),
            failures: Seldom::new(TOLD_EVERY),
            refusals: Seldom::new(TOLD_EVERY),
            watch,
            ends,
        })
    }

    fn run(mut self, orders: &Receiver<Work>) {
        loop {
            let wait = self.aside.first_key_value().map(|((due, _), _)| due.saturating_duration_since(Instant::now()));
            match orders.recv_timeout(wait.unwrap_or(Duration::from_secs(1))) {
                Ok(Work::Step(account, step, swept)) => self.step(&account, &step, &swept),
                Ok(Work::Head(head)) => self.send(OnItsWay::new(self.making.head(&head), None)),
                Ok(Work::Failed(way, error)) => self.failed(way, &error),
                Ok(Work::Gone(name, rev)) => {
                    if self.newest.get(&name) == Some(&rev) {
                        self.newest.remove(&name);
                    }
                }
                Ok(Work::GaveUp(number)) => self.replace(number),
                Ok(Work::End) | Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {}
            }
            self.try_again();
        }
        // What does not get away now is known to be unemitted: whoever comes next sends it.
        if let Err(error) = self.producer.flush(ENDS_WITHIN) {
            warn!(%error, "kafka.outputs_cut_off: sent again by the next owner");
        }
    }

    fn step(&mut self, account: &Arc<Account>, step: &Arc<Step>, swept: &[Document]) {
        let all = self.making.step(account.shard, step, swept);
        account.tell(account.ledger.begin(step.number, all.len()));
        for outgoing in all {
            if let Care::Projection(rev) = outgoing.care {
                let newest = self.newest.entry(name(&outgoing)).or_default();
                *newest = rev.max(*newest);
            }
            self.send(OnItsWay::new(outgoing, Some((Arc::clone(account), step.number))));
        }
    }

    /// Sends, and waits while the client's queue is full: then the shards' intake stops at its own bound.
    fn send(&mut self, mut way: Box<OnItsWay>) {
        way.by = self.number;
        loop {
            let outgoing = Arc::clone(&way.outgoing);
            let Outgoing { topic, partition, key, payload, received, care } = &*outgoing;
            let json = payload.is_some().then_some("application/cloudevents+json; charset=utf-8");
            let mut headers = OwnedHeaders::new();
            if json.is_some() {
                headers = headers.insert(Header { key: "content-type", value: json });
            }
            if let Some(received) = received {
                headers = headers.insert(Header { key: RECEIVED, value: Some(&received.0.to_string()) });
            }
            if let Care::Projection(rev) = care {
                headers = headers.insert(Header { key: REV, value: Some(&rev.to_string()) });
            }
            let mut record = BaseRecord::with_opaque_to(topic, way).key(key.as_str()).headers(headers);
            if let Some(payload) = payload {
                record = record.payload(payload.as_str());
            }
            if let Some(partition) = partition {
                record = record.partition(i32::try_from(*partition).unwrap_or(i32::MAX));
            }
            let Err((error, record)) = self.producer.send(record) else { return };
            way = record.delivery_opaque;
            if Trouble::of(&error) != Trouble::Full {
                self.failed(way, &error);
                return;
            }
            if self.ends.load(Ordering::Acquire) {
                return;
            }
            std::thread::sleep(FULL);
        }
    }

    /// One could not be sent: it waits aside.
    fn failed(&mut self, mut way: Box<OnItsWay>, error: &KafkaError) {
        let trouble = Trouble::of(error);
        self.watch.output_failed(trouble.as_str());
        let (topic, bytes) = (&way.outgoing.topic, way.outgoing.payload.as_ref().map_or(0, String::len));
        match trouble {
            Trouble::Refused | Trouble::TooLarge => {
                if let Some(kept_back) = self.refusals.now() {
                    error!(%error, topic, bytes, kept_back, "kafka.output_refused: tried until the cluster takes it");
                }
            }
            Trouble::Purged => {}
            Trouble::Fatal => self.replace(way.by),
            _ => {
                if let Some(kept_back) = self.failures.now() {
                    warn!(%error, topic, kept_back, "kafka.output_failed: sending again");
                }
            }
        }
        if way.outgoing.care == Care::Hint {
            return;
        }
        let due = Instant::now() + way.backoff.failed();
        self.set_aside += 1;
        self.aside.insert((due, self.set_aside), way);
    }

    /// Sends again what has waited long enough. A projection gives way to a newer one of its key.
    fn try_again(&mut self) {
        let now = Instant::now();
        while let Some(entry) = self.aside.first_entry().filter(|entry| entry.key().0 <= now) {
            let way = entry.remove();
            match way.outgoing.care {
                Care::Projection(rev) if self.newest.get(&name(&way.outgoing)) != Some(&rev) => way.settled(),
                _ => self.send(way),
            }
        }
    }

    /// A producer that gave up gives back all that it had, as failed; another takes its place.
    fn replace(&mut self, number: u64) {
        if number != self.number {
            return;
        }
        let base = self.making.clients.context();
        let context = Deliveries { base, number: number + 1, orders: self.orders.clone() };
        let fresh = match self.making.clients.outputs(context) {
            Ok(fresh) => fresh,
            Err(error) => {
                error!(%error, "kafka.outputs_unavailable: trying again");
                return;
            }
        };
        warn!(number, "kafka.outputs_replaced: the producer gave up, another one sends what it had");
        self.number += 1;
        let old = std::mem::replace(&mut self.producer, fresh);
        // Closing waits for its threads, so it is done elsewhere.
        let close = move || {
            old.purge(PurgeConfig::default().queue().inflight());
            if let Err(error) = old.flush(GIVES_BACK_WITHIN) {
                warn!(%error, "kafka.outputs_stuck: its effects are sent again after the next take-over");
            }
        };
        let closed = std::thread::Builder::new().name("close-outputs".to_owned()).spawn(close);
        if let Err(error) = closed {
            warn!(%error, "kafka.thread_unavailable: closed here");
        }
    }
}

impl Drop for Outputs {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Release);
        let _ = self.orders.send(Work::End);
        if let Some(thread) = self.thread.take() {
            // A panic there has been told already.
            let _ = thread.join();
        }
    }
}
