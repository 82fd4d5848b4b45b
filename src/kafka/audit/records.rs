//! Records of a journal, one by one, with what the rule makes of each.
//!
//! The rule needs to know where it stood before. Every record carries a mark that says where it stood at some earlier
//! offset; so reading begins at the mark of the first record that is asked for, and what lies before it is judged and not
//! told. Where that mark is trimmed away, nothing is judged until a record carries one that is not.

use rdkafka::error::KafkaError;

use super::Journal;
use crate::journal::log::{Malformed, Record, Stand, Verdict};
use crate::model::Timestamp;

/// Which records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// From the beginning.
    Beginning,
    /// From this offset on.
    Offset(u64),
    /// The last so many.
    Last(u64),
}

/// A record as it stands.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Its offset.
    pub offset: u64,
    /// When the broker took it.
    pub appended: Timestamp,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// What it says.
    pub record: Result<Record, Malformed>,
    /// What it comes to; `None` where nobody can say, because what came before is trimmed away.
    pub verdict: Option<Verdict>,
}

/// Tells the records of a shard, until `tell` has had enough or they end. Where the journal begins and ends.
///
/// # Errors
/// When the brokers cannot be asked.
pub fn records(
    journal: &mut Journal,
    shard: u32,
    from: From,
    mut tell: impl FnMut(Seen) -> bool,
) -> Result<(u64, u64), KafkaError> {
    let (first, end) = journal.bounds("journal", shard)?;
    let from = match from {
        From::Beginning => first,
        From::Offset(offset) => offset.max(first),
        From::Last(last) => end.saturating_sub(last).max(first),
    };
    let (begin, mut stand) = judged_from(journal, shard, first, from, end)?;
    journal.read("journal", shard, begin, end, |stored| {
        let record = Record::decode(&stored.bytes);
        if stand.is_none()
            && let Ok(record) = &record
            && record.low.offset == stored.offset
        {
            stand = Some(record.low.stand.clone());
        }
        let verdict = stand.as_mut().zip(record.as_ref().ok()).map(|(stand, record)| judge(stand, record));
        let (offset, appended, bytes) = (stored.offset, stored.appended, stored.bytes);
        offset < from || tell(Seen { offset, appended, bytes, record, verdict })
    })?;
    Ok((first, end))
}

fn judge(stand: &mut Stand, record: &Record) -> Verdict {
    let verdict = stand.judge(record);
    if verdict == Verdict::Accepted {
        stand.apply(record);
    }
    verdict
}

/// Where to begin so that the record at `from` can be judged, and where the rule stood there.
fn judged_from(
    journal: &mut Journal,
    shard: u32,
    first: u64,
    from: u64,
    end: u64,
) -> Result<(u64, Option<Stand>), KafkaError> {
    if first == 0 && from == 0 {
        return Ok((0, Some(Stand::default())));
    }
    let mut low = None;
    journal.read("journal", shard, from, end, |stored| {
        let carried = Record::decode(&stored.bytes).ok().map(|record| record.low);
        low = carried.filter(|low| (first..=from).contains(&low.offset));
        low.is_none()
    })?;
    Ok(match low {
        Some(low) => (low.offset, Some(low.stand)),
        None if first == 0 => (0, Some(Stand::default())),
        None => (from, None),
    })
}
