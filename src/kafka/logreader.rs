//! Reads a shard's journal to its end, in slices, on one consumer that is used again and again.

#![expect(clippy::disallowed_methods, reason = "a log that gives nothing is noticed in real time")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use rdkafka::{Offset, TopicPartitionList};

use super::clients::{Clients, Reader};
use super::trouble::Trouble;
use crate::model::Timestamp;

/// A question to a broker is given up after so long, and asked again.
const ASK: Duration = Duration::from_secs(3);
/// One slice of reading takes at most so long without a record.
const SLICE: Duration = Duration::from_millis(50);
/// A log that gives nothing for so long, although it has more, is asked anew where it ends.
const SILENT_MAX: Duration = Duration::from_secs(3);
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
    /// Since when nothing has come.
    silent: Option<Instant>,
}

impl LogReader {
    /// A reader of a shard's journal.
    #[must_use]
    pub fn new(clients: Arc<Clients>, shard: u32) -> Self {
        let topic = clients.topic("journal");
        let partition = i32::try_from(shard).unwrap_or(i32::MAX);
        Self { clients, topic, partition, consumer: None, next: None, silent: None }
    }

    /// Turns to one partition of another topic of ours.
    pub fn turn(&mut self, topic: &str, partition: u32) {
        self.topic = self.clients.topic(topic);
        self.partition = i32::try_from(partition).unwrap_or(i32::MAX);
        (self.next, self.silent) = (None, None);
    }

    /// Where the log begins and ends now, as its leader says.
    ///
    /// # Errors
    /// When no leader answers. The next call asks anew who leads.
    pub fn bounds(&mut self) -> Result<(u64, u64), KafkaError> {
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

    /// The offset of the first record that was appended at or after an instant; `None` when there is none so young.
    ///
    /// # Errors
    /// When no leader answers.
    pub fn since(&mut self, at: Timestamp) -> Result<Option<u64>, KafkaError> {
        let mut asked = TopicPartitionList::new();
        asked.add_partition_offset(&self.topic, self.partition, Offset::Offset(at.0))?;
        let told = self.consumer()?.offsets_for_times(asked, ASK)?;
        let Some(element) = told.elements().first().map(|element| (element.error(), element.offset())) else {
            return Ok(None);
        };
        element.0?;
        Ok(if let Offset::Offset(offset) = element.1 { u64::try_from(offset).ok() } else { None })
    }

    /// The next records from `from` on, below `end`; few or none when they do not come at once.
    ///
    /// # Errors
    /// When the consumer failed; the next call begins with a new one.
    pub fn read(&mut self, from: u64, end: u64) -> Result<Vec<Stored>, KafkaError> {
        let read = self.slice(from, end);
        if read.is_err() {
            self.consumer = None;
            self.next = None;
        }
        read
    }

    fn slice(&mut self, from: u64, end: u64) -> Result<Vec<Stored>, KafkaError> {
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
                Some(Err(error)) => match Trouble::of(&error) {
                    // The client goes on by itself; whoever reads asks again.
                    Trouble::End | Trouble::Passing => break,
                    _ => return Err(error),
                },
                Some(Ok(message)) => message,
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
        if !stored.is_empty() || from >= end {
            self.silent = None;
        } else if self.silent.get_or_insert_with(Instant::now).elapsed() >= SILENT_MAX {
            // What was said to be there does not come: it may be there no more.
            self.silent = None;
            return Err(KafkaError::NoMessageReceived);
        }
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

    fn consumer(&mut self) -> Result<&Reader, KafkaError> {
        match &mut self.consumer {
            Some(consumer) => Ok(consumer),
            none => Ok(none.insert(self.clients.reader()?)),
        }
    }
}
