//! Folds of a shard's journal to begin from: a warm copy where somebody holds one, else from the log itself.
//!
//! Every record says where a restore may begin (its low-water mark). So the newest records of the log are asked first; a mark
//! below the log's beginning is no use, but then none of the newest is, and the shard is held by its owner, who sees
//! that what it needs was trimmed.

use std::sync::Arc;

use super::clients::Clients;
use super::logreader::LogReader;
use super::shard::Folds;
use crate::journal::log::{Fold, Low, Record, Stand};

/// So many of the newest records are asked for a mark.
const ASKED: u64 = 64;

/// Warm copies of folds.
pub trait Standby: Send + Sync {
    /// A copy of the fold of this shard's journal, if there is one that is not far behind.
    fn standby(&self, shard: u32) -> Option<Fold>;
    /// What is known to have been accepted, from hints outside the journal.
    fn known(&self, shard: u32) -> Stand;
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
}

impl Folds for LogFolds {
    fn fold(&self, shard: u32) -> Result<(Fold, Stand), String> {
        let known = self.standby.as_ref().map(|standby| standby.known(shard)).unwrap_or_default();
        if let Some(fold) = self.standby.as_ref().and_then(|standby| standby.standby(shard)) {
            return Ok((fold, known));
        }
        let low = mark(&mut LogReader::new(Arc::clone(&self.clients), shard)).map_err(|e| e.to_string())?;
        Ok((Fold::from(low, self.shards), known))
    }
}

/// Where a restore may begin, as the newest records say.
fn mark(reader: &mut LogReader) -> Result<Low, super::clients::NoClient> {
    let (first, end) = reader.bounds()?;
    let mut next = end.saturating_sub(ASKED).max(first);
    let mut low = Low { offset: first, stand: Stand::default() };
    while next < end {
        for stored in reader.read(next, end)? {
            next = stored.offset + 1;
            let mark = Record::decode(&stored.bytes).ok().map(|record| record.low).filter(|low| low.offset >= first);
            low = mark.unwrap_or(low);
        }
    }
    Ok(low)
}
