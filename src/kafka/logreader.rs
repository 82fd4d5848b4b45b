//! Reads a shard's journal to its end, in slices, on one consumer that is used again and again.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::Consumer;
use rdkafka::message::Message as _;
use rdkafka::{Offset, TopicPartitionList};

use super::clients::{Clients, NoClient, Reader};
use crate::model::Timestamp;

/// A question to a broker is given up after so long, and asked again.
const ASK: Duration = Duration::from_secs(3);
/// One slice of reading takes at most so long without a record.
const SLICE: Duration = Duration::from_millis(50);
/// Records of one slice.
const SLICE_RECORDS: usize = 1_000;

/// A record as it stands in the log.
#[derive(Debug)]
pub struct Stored {
    /// Its offset.
    pub offset: u64,
    /// When it was appended, by the broker's clock.
    pub appended: Timestamp,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// Reads one partition of the journal.
pub struct LogReader {
    clients: Arc<Clients>,
    topic: String,
    partition: i32,
    consumer: Option<Reader>,
    /// The next offset that the consumer will give, if it is assigned.
    next: Option<u64>,
}

impl LogReader {
    /// A reader of a shard's journal.
    #[must_use]
    pub fn new(clients: Arc<Clients>, shard: u32) -> Self {
        let topic = clients.topic("journal");
        Self { clients, topic, partition: i32::try_from(shard).unwrap_or(i32::MAX), consumer: None, next: None }
    }

    /// Where the log begins and ends now, as its leader says.
    ///
    /// # Errors
    /// When no leader answers. The next call asks anew who leads.
    pub fn bounds(&mut self) -> Result<(u64, u64), NoClient> {
        let (topic, partition) = (self.topic.clone(), self.partition);
        let consumer = self.consumer()?;
        let told = consumer.fetch_watermarks(&topic, partition, ASK);
        if told.is_err() {
            // A question sticks to a leader that is gone until the metadata are new.
            let _ = consumer.fetch_metadata(Some(&topic), ASK);
        }
        let (first, end) = told?;
        Ok((u64::try_from(first).unwrap_or(0), u64::try_from(end).unwrap_or(0)))
    }

    /// The next records from `from` on, below `end`; few or none when they do not come at once.
    ///
    /// # Errors
    /// When the consumer failed; the next call begins with a new one.
    pub fn read(&mut self, from: u64, end: u64) -> Result<Vec<Stored>, NoClient> {
        let read = self.slice(from, end);
        if read.is_err() {
            self.consumer = None;
            self.next = None;
        }
        read
    }

    fn slice(&mut self, from: u64, end: u64) -> Result<Vec<Stored>, NoClient> {
        let (topic, partition, next) = (self.topic.clone(), self.partition, self.next);
        let consumer = self.consumer()?;
        if next != Some(from) {
            let mut list = TopicPartitionList::new();
            let at = Offset::Offset(i64::try_from(from).unwrap_or(i64::MAX));
            list.add_partition_offset(&topic, partition, at)?;
            consumer.assign(&list)?;
        }
        let mut stored = Vec::new();
        let mut next = from;
        while next < end && stored.len() < SLICE_RECORDS {
            let message = match consumer.poll(SLICE) {
                None => break,
                Some(message) => message?,
            };
            let offset = u64::try_from(message.offset()).unwrap_or(0);
            if offset < next {
                continue;
            }
            next = offset + 1;
            let appended = Timestamp(message.timestamp().to_millis().unwrap_or_default());
            stored.push(Stored { offset, appended, bytes: message.payload().unwrap_or_default().to_vec() });
        }
        self.next = Some(next);
        Ok(stored)
    }

    /// Lets the log go: the consumer fetches nothing any more.
    pub fn rest(&mut self) {
        if let Some(consumer) = &self.consumer {
            // Who cannot be unassigned is made anew.
            if consumer.unassign().is_err() {
                self.consumer = None;
            }
        }
        self.next = None;
    }

    fn consumer(&mut self) -> Result<&Reader, NoClient> {
        match &mut self.consumer {
            Some(consumer) => Ok(consumer),
            none => Ok(none.insert(self.clients.reader()?)),
        }
    }
}
