//! What leaves the house: the effects of accepted steps, on topics, keyed by stable ids, each with its `rev`.
//!
//! A step counts as emitted when the brokers have everything of it and of all before it; then its shard is told, and
//! says so in its next record. A message that fails is sent again: it may come later than one that followed it, and
//! a reader that applies only a higher `rev` is not misled by that.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::client::OAuthToken;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, Message as _, OwnedHeaders};
use rdkafka::producer::{BaseRecord, NoCustomPartitioner, ProducerContext, ThreadedProducer};
use serde_json::json;
use smol_str::{SmolStr, ToSmolStr};
use tracing::{error, warn};

use super::client::Context;
use super::clients::Clients;
use super::inbox::Door;
use super::mailbox::{Mail, Mailbox};
use super::partition::partition_of;
use super::reading::RECEIVED;
use crate::deliver::Ledger;
use crate::deliver::message::message;
use crate::deliver::webhook::event;
use crate::engine::Effect;
use crate::journal::{Refused, Step};
use crate::model::{Body, Event, Timestamp};
use crate::wire;

/// What could not be sent is tried again after so long.
const AGAIN: Duration = Duration::from_millis(100);

/// Sends what leaves the house.
#[derive(Debug)]
pub struct Outputs {
    orders: Option<Sender<Work>>,
    thread: Option<JoinHandle<()>>,
}

/// A shard's way to it.
#[derive(Clone, Debug)]
pub struct Emitter {
    orders: Sender<Work>,
    shard: u32,
}

#[derive(Debug)]
enum Work {
    /// A shard of this node, and where it wants to hear how far its effects have left.
    Shard(u32, Arc<Mailbox>),
    Step(u32, Arc<Step>),
    /// One that failed.
    Again(Outgoing),
}

/// One message on its way.
#[derive(Clone, Debug)]
struct Outgoing {
    shard: u32,
    step: u64,
    topic: String,
    partition: Option<u32>,
    key: SmolStr,
    payload: String,
    received: Option<Timestamp>,
}

impl Outputs {
    /// Starts the thread that sends. `shards` is how many the input topics have.
    ///
    /// # Errors
    /// When the client refuses its settings, or the system has no thread.
    pub fn start(clients: Arc<Clients>, shards: u32) -> anyhow::Result<Self> {
        let (orders, ordered) = channel();
        let ledgers = Arc::new(Ledgers::default());
        let context = Deliveries { base: clients.context(), ledgers: Arc::clone(&ledgers), again: orders.clone() };
        let producer = clients.outputs(context)?;
        let sender = Sending { clients, shards, ledgers, producer };
        let thread = std::thread::Builder::new().name("outputs".to_owned()).spawn(move || sender.run(&ordered))?;
        Ok(Self { orders: Some(orders), thread: Some(thread) })
    }

    /// The way of a shard, which hears in its mailbox how far its effects have left.
    ///
    /// # Panics
    /// Never: the way is open until this is dropped.
    #[must_use]
    pub fn emitter(&self, shard: u32, mailbox: Arc<Mailbox>) -> Emitter {
        let orders = self.orders.clone().expect("open until dropped");
        // The thread outlives all ways to it.
        let _ = orders.send(Work::Shard(shard, mailbox));
        Emitter { orders, shard }
    }
}

impl Emitter {
    /// Sends the effects of an accepted step.
    pub fn emit(&self, step: &Arc<Step>) {
        let _ = self.orders.send(Work::Step(self.shard, Arc::clone(step)));
    }
}

/// How far each shard's effects have left the house.
#[derive(Debug, Default)]
struct Ledgers(Mutex<BTreeMap<u32, (Arc<Ledger>, Arc<Mailbox>)>>);

impl Ledgers {
    fn of(&self, shard: u32) -> Option<(Arc<Ledger>, Arc<Mailbox>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&shard).cloned()
    }

    fn begin(&self, shard: u32, step: u64, owed: usize) {
        if let Some((ledger, mailbox)) = self.of(shard) {
            mailbox.say(Mail::Emitted(ledger.begin(step, owed)));
        }
    }

    fn settled(&self, shard: u32, step: u64) {
        if let Some((ledger, mailbox)) = self.of(shard) {
            mailbox.say(Mail::Emitted(ledger.settled(step)));
        }
    }
}

/// Hears what became of messages, on the producer's own thread.
struct Deliveries {
    base: Context,
    ledgers: Arc<Ledgers>,
    again: Sender<Work>,
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
        self.base.error(error, reason);
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Box<OnItsWay>;

    fn delivery(&self, result: &DeliveryResult<'_>, way: Box<OnItsWay>) {
        match result {
            Ok(_) => self.ledgers.settled(way.0.shard, way.0.step),
            Err((error, message)) => {
                warn!(%error, topic = message.topic(), "kafka.output_failed: sending again");
                // Its thread ends only after the producer.
                let _ = self.again.send(Work::Again(way.0));
            }
        }
    }
}

struct OnItsWay(Outgoing);

struct Sending {
    clients: Arc<Clients>,
    shards: u32,
    ledgers: Arc<Ledgers>,
    producer: ThreadedProducer<Deliveries, NoCustomPartitioner>,
}

impl Sending {
    fn run(self, orders: &Receiver<Work>) {
        loop {
            match orders.recv_timeout(Duration::from_secs(1)) {
                Ok(Work::Shard(shard, mailbox)) => {
                    let mut ledgers = self.ledgers.0.lock().unwrap_or_else(PoisonError::into_inner);
                    ledgers.insert(shard, (Arc::default(), mailbox));
                }
                Ok(Work::Step(shard, step)) => self.step(shard, &step),
                Ok(Work::Again(outgoing)) => {
                    std::thread::sleep(AGAIN);
                    self.send(outgoing);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn step(&self, shard: u32, step: &Arc<Step>) {
        let effects = (0..step.effects.len()).map(|index| self.effect(shard, step, index));
        let refused = step.consumed.refused.iter().map(|refused| self.refused(shard, step, refused));
        let all: Vec<Outgoing> = effects.chain(refused).collect();
        self.ledgers.begin(shard, step.number, all.len());
        for outgoing in all {
            self.send(outgoing);
        }
    }

    fn effect(&self, shard: u32, step: &Arc<Step>, index: usize) -> Outgoing {
        let to = |topic: &str, key: SmolStr, payload: String| Outgoing {
            shard,
            step: step.number,
            topic: self.clients.topic(topic),
            partition: None,
            key,
            payload,
            received: None,
        };
        let effect = &step.effects[index];
        if let Effect::Forward(area, event) = effect {
            let door = door_of(event);
            let payload = wire::event(event).to_string();
            let partition = Some(partition_of(area.as_str().as_bytes(), self.shards));
            return Outgoing {
                partition,
                received: Some(event.received),
                ..to(door.as_str(), area.to_smolstr(), payload)
            };
        }
        let from = wire::Shard { number: shard, of: self.shards };
        let message = message(from, step, index, &|_| None);
        let topic = match effect {
            Effect::Order(_) | Effect::Call(_) => "orders",
            Effect::Notice(_) | Effect::Agency(_) => "notices",
            Effect::Timeline(_) | Effect::Forward(..) => "timeline",
        };
        let incident = message.incident.as_ref().map(ToSmolStr::to_smolstr);
        let key = if topic == "timeline" { incident.unwrap_or_else(|| "area".into()) } else { message.key.clone() };
        let source = message
            .incident
            .as_ref()
            .map_or_else(|| format!("muster/shard-{shard}"), |id| format!("muster/{}", id.area));
        to(topic, key, event(&message, &source))
    }

    /// What could not be read: the reason and the origin, never what it said.
    fn refused(&self, shard: u32, step: &Step, refused: &Refused) -> Outgoing {
        let origin = format!("{}/{shard}/{}", self.clients.topic(&refused.door), refused.offset);
        let data = wire::clean(json!({
            "reason": refused.reason, "field": refused.field, "detail": refused.detail, "origin": origin,
            "at": wire::time(step.at),
        }));
        let payload = json!({
            "specversion": "1.0", "type": "muster.rejected", "source": format!("muster/shard-{shard}"), "id": origin,
            "time": wire::time(step.at), "datacontenttype": "application/json", "data": data,
        });
        Outgoing {
            shard,
            step: step.number,
            topic: self.clients.topic("rejected"),
            partition: None,
            key: origin.into(),
            payload: payload.to_string(),
            received: None,
        }
    }

    /// Sends, and waits while the client's queue is full: then the shard's intake stops at its own bound.
    fn send(&self, outgoing: Outgoing) {
        let mut way = Box::new(OnItsWay(outgoing));
        loop {
            let Outgoing { topic, partition, key, payload, received, .. } = way.0.clone();
            let mut headers = OwnedHeaders::new()
                .insert(Header { key: "content-type", value: Some("application/cloudevents+json; charset=utf-8") });
            if let Some(received) = received {
                headers = headers.insert(Header { key: RECEIVED, value: Some(&received.0.to_string()) });
            }
            let mut record =
                BaseRecord::with_opaque_to(&topic, way).key(key.as_str()).payload(payload.as_str()).headers(headers);
            if let Some(partition) = partition {
                record = record.partition(i32::try_from(partition).unwrap_or(i32::MAX));
            }
            match self.producer.send(record) {
                Ok(()) => return,
                Err((error, record)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) => {
                    way = record.delivery_opaque;
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err((error, record)) => {
                    error!(%error, topic, bytes = payload.len(), "kafka.output_refused: trying again");
                    way = record.delivery_opaque;
                    std::thread::sleep(Duration::from_secs(1));
                }
            }
        }
    }
}

fn door_of(event: &Event) -> Door {
    match event.body {
        Body::Report(_) => Door::Reports,
        Body::Act(_) | Body::Position(_) => Door::Field,
        Body::Command(_) => Door::Commands,
    }
}

impl Drop for Outputs {
    fn drop(&mut self) {
        self.orders = None;
        // The thread ends when the last shard has given up its way; what is under way is known to be unemitted.
        if let Some(thread) = self.thread.take().filter(JoinHandle::is_finished) {
            let _ = thread.join();
        }
    }
}
