//! The asker: asks the brokers, several times a second, where each journal begins and ends, so that whoever follows knows
//! how far behind it is, also when nothing comes. It reads the heads by the way.
//!
//! It has a thread and a client of its own: a question to a broker that is away takes its time, and nobody else shall wait
//! for that.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use rdkafka::{Offset, TopicPartitionList};
use tracing::{info, warn};

use super::clients::{Clients, Reader};
use super::heads::Head;
use super::track::Bounds;
use crate::model::{Millis, Timestamp};
use crate::runtime::Clock;

/// The brokers are asked so often.
pub const LOOK_EVERY: Duration = Duration::from_millis(250);
/// One question is given up after so long.
const ASK: Duration = Duration::from_secs(3);
/// Where one question for all failed, each partition is asked by itself for so long.
const ASK_ONE: Duration = Duration::from_millis(500);

/// What was learnt by one round of questions.
#[derive(Debug, Default)]
pub struct Learnt {
    /// Where each shard's journal begins and ends, as far as somebody answered.
    pub bounds: BTreeMap<u32, Bounds>,
    /// Heads that were read since.
    pub heads: Vec<Head>,
    /// Where each partition of a second topic stood at an instant; once, as soon as it is known.
    pub since: Option<BTreeMap<u32, Offset>>,
    /// Whether a whole round of questions went without any answer; `None` where none has ended since.
    pub silence: Option<bool>,
}

/// What is asked.
#[derive(Clone, Debug)]
pub struct Questions {
    /// Shards of the whole.
    pub shards: u32,
    /// The topic, with one partition a shard, whose offsets at an instant are wanted.
    pub since: (String, Timestamp),
}

/// The thread that asks.
#[derive(Debug)]
pub struct Asker {
    slot: Arc<Mutex<Option<Learnt>>>,
    ends: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Asker {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system has none.
    pub fn start(clients: Arc<Clients>, questions: Questions, clock: Clock) -> std::io::Result<Self> {
        let (slot, ends) = (Arc::new(Mutex::default()), Arc::new(AtomicBool::new(false)));
        let asking = Asking {
            journal: clients.topic("journal"),
            heads: clients.topic("heads"),
            clients,
            questions,
            clock,
            slot: Arc::clone(&slot),
            ends: Arc::clone(&ends),
            reader: None,
            reads_heads: false,
            knows_since: false,
            silent: false,
        };
        let thread = std::thread::Builder::new().name("asker".to_owned()).spawn(move || asking.run())?;
        Ok(Self { slot, ends, thread })
    }

    /// What was learnt since this was asked last.
    pub fn learnt(&self) -> Option<Learnt> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Ends the thread, which may be waiting for a broker: it is not waited for.
    pub fn end(&self) {
        self.ends.store(true, Ordering::Release);
    }

    /// Whether it has ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }
}

struct Asking {
    clients: Arc<Clients>,
    questions: Questions,
    journal: String,
    heads: String,
    clock: Clock,
    slot: Arc<Mutex<Option<Learnt>>>,
    ends: Arc<AtomicBool>,
    reader: Option<Reader>,
    /// The heads' partitions are assigned.
    reads_heads: bool,
    knows_since: bool,
    /// Nobody answered last time, and that was told.
    silent: bool,
}

impl Asking {
    fn run(mut self) {
        while !self.ends.load(Ordering::Acquire) {
            let reader = match self.reader.take().map_or_else(|| self.clients.reader(), Ok) {
                Ok(reader) => reader,
                Err(error) => {
                    warn!(%error, "asker.no_client: trying again");
                    std::thread::sleep(ASK);
                    continue;
                }
            };
            let began = self.clock.now();
            let learnt = self.round(&reader);
            self.answered(!learnt.bounds.is_empty());
            self.put(learnt);
            // What is left of the round goes to the heads, and polls the client for what it has to say.
            let mut left = LOOK_EVERY.saturating_sub(since(&self.clock, began));
            while !left.is_zero() && !self.ends.load(Ordering::Acquire) {
                let heads = self.heads_read(&reader, left);
                self.put(Learnt { heads, ..Learnt::default() });
                left = LOOK_EVERY.saturating_sub(since(&self.clock, began));
            }
            self.reader = Some(reader);
        }
    }

    fn round(&mut self, reader: &Reader) -> Learnt {
        let asked = self.clock.now();
        let bounds = match self.bounds_of_all(reader, asked) {
            Ok(bounds) => bounds,
            Err(error) => {
                if !self.silent {
                    warn!(%error, "asker.unanswered: asking one by one");
                }
                // A question sticks to a leader that is gone until the metadata are new.
                let _ = reader.fetch_metadata(Some(&self.journal), ASK_ONE);
                self.bounds_one_by_one(reader)
            }
        };
        if !bounds.is_empty() {
            self.assign_heads(reader);
        }
        Learnt { silence: Some(bounds.is_empty()), bounds, heads: Vec::new(), since: self.since(reader) }
    }

    /// One question to each broker for all partitions it leads.
    fn bounds_of_all(&self, reader: &Reader, asked: Timestamp) -> Result<BTreeMap<u32, Bounds>, KafkaError> {
        let first = self.offsets(reader, &self.journal, Offset::Beginning)?;
        let end = self.offsets(reader, &self.journal, Offset::End)?;
        let bounds = |(shard, first): (&u32, &Offset)| {
            let (Offset::Offset(first), Some(Offset::Offset(end))) = (first, end.get(shard)) else { return None };
            let [first, end] = [*first, *end].map(|offset| u64::try_from(offset).unwrap_or(0));
            Some((*shard, Bounds { first, end, asked }))
        };
        Ok(first.iter().filter_map(bounds).collect())
    }

    fn bounds_one_by_one(&self, reader: &Reader) -> BTreeMap<u32, Bounds> {
        let mut known = BTreeMap::new();
        for shard in 0..self.questions.shards {
            let asked = self.clock.now();
            let told = reader.fetch_watermarks(&self.journal, partition(shard), ASK_ONE);
            if let Ok((Ok(first), Ok(end))) = told.map(|(first, end)| (u64::try_from(first), u64::try_from(end))) {
                known.insert(shard, Bounds { first, end, asked });
            }
            if self.ends.load(Ordering::Acquire) {
                break;
            }
        }
        known
    }

    /// The offset of each partition at an instant, or its first or its next one.
    fn offsets(&self, reader: &Reader, topic: &str, at: Offset) -> Result<BTreeMap<u32, Offset>, KafkaError> {
        let mut list = TopicPartitionList::new();
        for shard in 0..self.questions.shards {
            list.add_partition_offset(topic, partition(shard), at)?;
        }
        let told = reader.offsets_for_times(list, ASK)?;
        let answered = told.elements().into_iter().filter(|e| e.error().is_ok());
        Ok(answered.filter_map(|e| Some((u32::try_from(e.partition()).ok()?, e.offset()))).collect())
    }

    fn since(&mut self, reader: &Reader) -> Option<BTreeMap<u32, Offset>> {
        if self.knows_since {
            return None;
        }
        let (topic, at) = &self.questions.since;
        let found = self.offsets(reader, topic, Offset::Offset(at.0)).ok()?;
        self.knows_since = found.len() == usize::try_from(self.questions.shards).unwrap_or(usize::MAX);
        Some(found).filter(|_| self.knows_since)
    }

    /// Reads the heads from their beginning: there is one a shard.
    fn assign_heads(&mut self, reader: &Reader) {
        if self.reads_heads {
            return;
        }
        let assigned = reader.fetch_metadata(Some(&self.heads), ASK_ONE).and_then(|metadata| {
            let mut list = TopicPartitionList::new();
            for partition in metadata.topics().iter().flat_map(rdkafka::metadata::MetadataTopic::partitions) {
                list.add_partition_offset(&self.heads, partition.id(), Offset::Beginning)?;
            }
            reader.assign(&list)
        });
        match assigned {
            Ok(()) => self.reads_heads = true,
            Err(error) => warn!(%error, "asker.no_heads: trying again"),
        }
    }

    fn heads_read(&self, reader: &Reader, within: Duration) -> Vec<Head> {
        match reader.poll(within) {
            Some(Ok(message)) => {
                let head = message.payload().and_then(|bytes| Head::decode(bytes, self.questions.shards));
                head.into_iter().collect()
            }
            Some(Err(_)) | None => Vec::new(),
        }
    }

    fn answered(&mut self, answered: bool) {
        if answered == self.silent {
            self.silent = !answered;
            if answered {
                info!("asker.answered: the brokers are back");
            } else {
                warn!("asker.silent: no broker answers");
            }
        }
    }

    /// Adds to what was not taken yet: of bounds the newer ones count.
    fn put(&self, learnt: Learnt) {
        let mut slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        let held = slot.get_or_insert_default();
        held.bounds.extend(learnt.bounds);
        held.heads.extend(learnt.heads);
        held.since = learnt.since.or(held.since.take());
        held.silence = learnt.silence.or(held.silence);
    }
}

fn partition(shard: u32) -> i32 {
    i32::try_from(shard).unwrap_or(i32::MAX)
}

fn since(clock: &Clock, began: Timestamp) -> Duration {
    let Millis(spent) = clock.now().since(began);
    Duration::from_millis(spent)
}
