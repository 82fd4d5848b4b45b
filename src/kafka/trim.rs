//! Trimming: what no restore needs any more is deleted from the journals that are ours.
//!
//! The journal's topic keeps everything; its owner deletes what lies below a low-water mark, but only one that has stood for a
//! while (`trim_after`, a day), so that standbys, readers and a person who looks into yesterday find what they read. The mark
//! is taken from the log itself: the newest record that is older than that carries the mark of its time. So nothing
//! has to be remembered, and a node that is started anew every day trims all the same. Never above the mark of now: whatever a
//! strange record says, what the owner needs stays.
//!
//! It runs on its own thread, for brokers may take their time. What failed is said, counted, and tried again at the next
//! round; nothing waits for it. A journal that is not trimmed only grows.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::admin::AdminOptions;
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};
use tracing::{info, warn};

use super::clients::Clients;
use super::logreader::LogReader;
use super::shard::Watch;
use super::trouble::Trouble;
use crate::journal::log::Record;
use crate::model::{Millis, Timestamp};
use crate::runtime::Clock;

/// A journal is trimmed so often within the time that it keeps: what is kept is longer by at most this part.
const ROUNDS: u64 = 24;
/// But not more often than this.
const ROUND_MIN: Duration = Duration::from_secs(1);
/// And at least so often.
const ROUND_MAX: Duration = Duration::from_secs(600);
/// The cluster may take so long to delete.
const WITHIN: Duration = Duration::from_secs(10);

/// Is told which journals are ours.
#[derive(Clone, Debug)]
pub struct Trimmer(Arc<Shared>);

/// The thread that trims; dropped, it ends after what it is at.
#[derive(Debug)]
pub struct Trimming {
    trimmer: Trimmer,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    bell: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// The mark of now of each shard that is ours.
    owned: BTreeMap<u32, u64>,
    ended: bool,
}

impl Trimmer {
    /// This shard is ours, and a restore needs nothing below this offset.
    pub fn owned(&self, shard: u32, mark: u64) {
        self.lock().owned.insert(shard, mark);
    }

    /// It is ours no more.
    pub fn disowned(&self, shard: u32) {
        self.lock().owned.remove(&shard);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is ours, after a pause; `None` when it ends.
    fn after(&self, pause: Duration) -> Option<BTreeMap<u32, u64>> {
        let waited = self.0.bell.wait_timeout_while(self.lock(), pause, |state| !state.ended);
        let state = waited.unwrap_or_else(PoisonError::into_inner).0;
        (!state.ended).then(|| state.owned.clone())
    }
}

impl Trimming {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system has no thread for it.
    pub fn start(clients: Arc<Clients>, clock: Clock, keep: Millis, watch: Arc<dyn Watch>) -> std::io::Result<Self> {
        let trimmer = Trimmer(Arc::default());
        let work = Work { clients, clock, keep, watch };
        let told = trimmer.clone();
        let pause = Duration::from_millis(keep.0 / ROUNDS).clamp(ROUND_MIN, ROUND_MAX);
        let run = move || {
            while let Some(owned) = told.after(pause) {
                for (shard, mark) in owned {
                    work.trim(shard, mark);
                }
            }
        };
        let thread = std::thread::Builder::new().name("trim".to_owned()).spawn(run)?;
        Ok(Self { trimmer, thread: Some(thread) })
    }

    /// For a shard.
    #[must_use]
    pub fn trimmer(&self) -> Trimmer {
        self.trimmer.clone()
    }
}

impl Drop for Trimming {
    fn drop(&mut self) {
        self.trimmer.lock().ended = true;
        self.trimmer.0.bell.notify_all();
        if let Some(thread) = self.thread.take() {
            // A panic there has been told already.
            let _ = thread.join();
        }
    }
}

struct Work {
    clients: Arc<Clients>,
    clock: Clock,
    keep: Millis,
    watch: Arc<dyn Watch>,
}

impl Work {
    fn trim(&self, shard: u32, mark: u64) {
        match self.try_trim(shard, mark) {
            Ok(Some((was, first))) => {
                info!(shard, first, records = first - was, "kafka.journal_trimmed");
                self.watch.trimmed(shard, first, first - was);
            }
            Ok(None) => {}
            Err(error) => {
                warn!(%error, shard, "kafka.trim_failed: trying again at the next round");
                self.watch.trim_failed(shard, Trouble::of(&error).as_str());
            }
        }
    }

    /// Where the journal began and where it begins now, if anything was deleted.
    fn try_trim(&self, shard: u32, mark: u64) -> Result<Option<(u64, u64)>, KafkaError> {
        let mut reader = LogReader::new(Arc::clone(&self.clients), shard);
        let (first, end) = reader.bounds()?;
        let since = Timestamp(self.clock.now().0.saturating_sub_unsigned(self.keep.0));
        let younger = reader.since(since)?.unwrap_or(end).min(end);
        let Some(old) = younger.checked_sub(1).filter(|old| *old >= first) else { return Ok(None) };
        let stored = reader.read(old, old + 1)?;
        // What is no record of ours says nothing; the next round meets another.
        let record = stored.first().and_then(|stored| Record::decode(&stored.bytes).ok());
        let Some(to) = record.map(|record| record.low.offset.min(mark)).filter(|to| *to > first) else {
            return Ok(None);
        };
        self.delete(shard, to)?;
        Ok(Some((first, to)))
    }

    /// Deletes what lies below an offset.
    fn delete(&self, shard: u32, to: u64) -> Result<(), KafkaError> {
        let mut below = TopicPartitionList::new();
        let partition = i32::try_from(shard).unwrap_or(i32::MAX);
        let to = Offset::Offset(i64::try_from(to).unwrap_or(i64::MAX));
        below.add_partition_offset(&self.clients.topic("journal"), partition, to)?;
        let options = AdminOptions::new().request_timeout(Some(WITHIN)).operation_timeout(Some(WITHIN));
        let done = self.clients.wait(self.clients.admin()?.delete_records(&below, &options))?;
        done.elements().first().map_or(Ok(()), rdkafka::topic_partition_list::TopicPartitionListElem::error)
    }
}
