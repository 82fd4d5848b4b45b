//! The journal as a person looks at it, and the one thing a person may write into it.
//!
//! [`records`] tells records one by one with what the rule makes of them, [`survey`] sums up each shard, [`damage`] says what is
//! known to be lost of one, [`accept`] writes the acceptance that lets a held shard go on, and [`verify`] decides a shard's
//! journal again and says where it comes to something else. All of it reads the topics
//! alone: it works while nodes run, and while none does.

mod accept;
mod damage;
mod records;
mod survey;
mod verify;

use std::sync::Arc;
use std::time::Duration;

use rdkafka::error::KafkaError;

pub use accept::{Accepted, accept, beyond};
pub use damage::{Damage, Lost, damage};
pub use records::{From, Seen, records};
pub use survey::{Survey, survey};
pub use verify::{Verified, verify};

use super::clients::Clients;
use super::folds;
use super::heads::Head;
use super::logreader::{LogReader, Stored};
use super::trouble::Trouble;
use crate::journal::log::{Alarm, Fold, Restore};
use crate::runtime::Clock;

/// A question that met a passing trouble is asked again after so long.
const AGAIN: Duration = Duration::from_millis(100);

/// A journal's topics, and how many shards there are.
pub struct Journal {
    clients: Arc<Clients>,
    shards: u32,
    reader: LogReader,
}

impl Journal {
    /// Journals of so many shards.
    #[must_use]
    pub fn new(clients: Arc<Clients>, shards: u32) -> Self {
        let reader = LogReader::new(Arc::clone(&clients), 0);
        Self { clients, shards, reader }
    }

    /// How many shards there are.
    #[must_use]
    pub fn shards(&self) -> u32 {
        self.shards
    }

    /// Where one partition of a topic begins and ends.
    fn bounds(&mut self, topic: &str, partition: u32) -> Result<(u64, u64), KafkaError> {
        self.reader.turn(topic, partition);
        self.patiently(LogReader::bounds)
    }

    /// Asks again while the trouble is one that passes, as after a broker's start, within `[kafka] start_timeout`.
    fn patiently<T>(&mut self, ask: impl Fn(&mut LogReader) -> Result<T, KafkaError>) -> Result<T, KafkaError> {
        let clock = Clock::wall();
        let end = clock.now() + self.clients.options().start_timeout;
        loop {
            match ask(&mut self.reader) {
                Err(error) if Trouble::of(&error) == Trouble::Passing && clock.now() < end => std::thread::sleep(AGAIN),
                told => return told,
            }
        }
    }

    /// Tells each message of a stretch of one partition, in order, until `tell` has had enough.
    fn read(
        &mut self,
        topic: &str,
        partition: u32,
        from: u64,
        end: u64,
        mut tell: impl FnMut(Stored) -> bool,
    ) -> Result<(), KafkaError> {
        self.reader.turn(topic, partition);
        let mut next = from;
        while next < end {
            for stored in self.patiently(|reader| reader.read(next, end))? {
                next = stored.offset + 1;
                if !tell(stored) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// The newest head of a shard, if any was written.
    fn head(&mut self, shard: u32) -> Result<Option<Head>, KafkaError> {
        let (first, end) = self.bounds("heads", shard)?;
        let (shards, mut newest) = (self.shards, None);
        self.read("heads", shard, first, end, |stored| {
            let head = Head::decode(&stored.bytes, shards).filter(|head| head.shard == shard);
            newest = head.or(newest.take());
            true
        })?;
        Ok(newest)
    }

    /// What the journal of a shard comes to, or why nothing can be made of it.
    fn fold(&self, shard: u32, head: Option<&Head>) -> Result<Result<Fold, Alarm>, KafkaError> {
        let hint = head.map(|head| head.low.clone());
        folds::drive(&self.clients, shard, Restore::new(hint, self.shards))
    }

    /// What can be made of the journal of a shard that has lost its beginning.
    fn salvage(&self, shard: u32) -> Result<Result<Fold, Alarm>, KafkaError> {
        folds::drive(&self.clients, shard, Restore::salvage(self.shards))
    }
}
