//! Each shard in a few numbers.

use rdkafka::error::KafkaError;
use serde::Serialize;

use super::Journal;
use crate::journal::log::Stand;

/// A shard in a few numbers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Survey {
    /// Which.
    pub shard: u32,
    /// Where its journal begins.
    pub first: u64,
    /// Where it ends.
    pub end: u64,
    /// Where a restore may begin.
    pub low: Option<u64>,
    /// Where the rule stands: the newest epoch, owner and step.
    pub stand: Option<Stand>,
    /// When somebody last wrote what stands, in RFC 3339.
    pub written_at: Option<String>,
    /// Live documents.
    pub documents: usize,
    /// Their bytes.
    pub bytes: usize,
    /// The last step whose effects are known to have left the house.
    pub emitted: u64,
    /// Records that the head does not know of yet; below 0 where the journal has lost records that it knows of. `None` where no
    /// head was written.
    pub head_lag: Option<i64>,
    /// Why its owner would hold it, if so.
    pub alarm: Option<String>,
}

/// Sums up each shard.
///
/// # Errors
/// When the brokers cannot be asked.
pub fn survey(journal: &mut Journal) -> Result<Vec<Survey>, KafkaError> {
    (0..journal.shards()).map(|shard| of_shard(journal, shard)).collect()
}

fn of_shard(journal: &mut Journal, shard: u32) -> Result<Survey, KafkaError> {
    let (first, end) = journal.bounds("journal", shard)?;
    let head = journal.head(shard)?;
    let bare = Survey {
        shard,
        first,
        end,
        low: None,
        stand: None,
        written_at: None,
        documents: 0,
        bytes: 0,
        emitted: 0,
        head_lag: head.as_ref().map(|head| end.cast_signed() - head.next.cast_signed()),
        alarm: None,
    };
    let fold = match journal.fold(shard, head.as_ref())? {
        Ok(fold) => fold,
        Err(why) => return Ok(Survey { alarm: Some(why.to_string()), ..bare }),
    };
    let (documents, bytes) = fold.size();
    let shrunk = head.filter(|head| head.stand.step > fold.stand().step).map(|head| {
        let (step, known) = (fold.stand().step, head.stand.step);
        format!("it ends at offset {end} with step {step}, but its head knows of offset {} and step {known}", head.next)
    });
    Ok(Survey {
        low: Some(fold.carried().map_or(fold.low().offset, |low| low.offset)),
        written_at: (fold.alive().0 > 0).then(|| fold.alive().to_rfc3339()),
        stand: Some(fold.stand().clone()),
        documents,
        bytes,
        emitted: fold.last_emitted(),
        alarm: shrunk,
        ..bare
    })
}
