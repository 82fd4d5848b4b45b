//! Folds of a shard's journal to begin from: a warm copy where somebody holds one, else from the log itself, as
//! [`Restore`] says.

use std::sync::Arc;

use rdkafka::error::KafkaError;

use super::clients::Clients;
use super::logreader::LogReader;
use super::shard::Folds;
use crate::journal::log::{Alarm, Fold, Low, Record, Restore, Want};

/// Warm copies of folds, and hints.
pub trait Standby: Send + Sync {
    /// A copy of the fold of this shard's journal, if there is one that is not far behind.
    fn standby(&self, shard: u32) -> Option<Fold>;
    /// Where a restore may begin, by a hint outside the journal.
    fn hint(&self, shard: u32) -> Option<Low>;
    /// The last step that is known to have been accepted, from hints outside the journal.
    fn known(&self, shard: u32) -> u64;
    /// Whether no broker answers.
    fn brokers_silent(&self) -> bool;
}

/// Makes folds.
pub struct LogFolds {
    clients: Arc<Clients>,
    shards: u32,
    standby: Option<Arc<dyn Standby>>,
}

impl LogFolds {
    /// From copies where there are any, else from the log.
    #[must_use]
    pub fn new(clients: Arc<Clients>, shards: u32, standby: Option<Arc<dyn Standby>>) -> Self {
        Self { clients, shards, standby }
    }

    fn read_log(&self, shard: u32, hint: Option<Low>) -> Result<Result<Fold, Alarm>, KafkaError> {
        drive(&self.clients, shard, Restore::new(hint, self.shards))
    }
}

/// Reads for a restore what it wants, until it is over.
///
/// # Errors
/// When the brokers cannot be asked.
pub fn drive(clients: &Arc<Clients>, shard: u32, mut restore: Restore) -> Result<Result<Fold, Alarm>, KafkaError> {
    let mut reader = LogReader::new(Arc::clone(clients), shard);
    let mut want = restore.start();
    loop {
        match want {
            Want::Done(done) => return Ok(done.map(|fold| *fold)),
            Want::Read { ticket, from } => want = read(&mut reader, &mut restore, ticket, from)?,
        }
    }
}

/// One reading, to the end that the log has now.
fn read(reader: &mut LogReader, restore: &mut Restore, ticket: u64, from: u64) -> Result<Want, KafkaError> {
    let (first, end) = reader.bounds()?;
    let mut next = from.max(first);
    while next < end {
        for stored in reader.read(next, end)? {
            next = stored.offset + 1;
            match Record::decode(&stored.bytes) {
                Ok(record) => restore.record(ticket, stored.offset, stored.appended, &record),
                Err(why) => restore.malformed(ticket, stored.offset, stored.appended, why),
            }
        }
    }
    Ok(restore.reached(ticket, first, end).expect("it is the reading that was asked for"))
}

impl Folds for LogFolds {
    fn fold(&self, shard: u32) -> Result<Result<Fold, Alarm>, String> {
        if let Some(fold) = self.standby.as_ref().and_then(|standby| standby.standby(shard)) {
            return Ok(Ok(fold));
        }
        let hint = self.standby.as_ref().and_then(|standby| standby.hint(shard));
        self.read_log(shard, hint).map_err(|e| e.to_string())
    }

    fn known(&self, shard: u32) -> u64 {
        self.standby.as_ref().map_or(0, |standby| standby.known(shard))
    }

    fn brokers_silent(&self) -> bool {
        self.standby.as_ref().is_some_and(|standby| standby.brokers_silent())
    }
}
