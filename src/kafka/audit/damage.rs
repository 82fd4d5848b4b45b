//! What is known to be lost of a shard: its journal held against its head, against what has left the house, and against
//! where its inputs are.

use std::fmt;

use rdkafka::error::KafkaError;
use serde::Serialize;

use super::Journal;
use crate::journal::log::{Alarm, Fold, Missing, Stand};
use crate::kafka::inbox::Door;
use crate::wire;

/// So many of the newest messages of each partition of the outputs are looked at.
const LOOKED_AT: u64 = 256;

/// What is known of a shard.
#[derive(Debug)]
pub struct Damage {
    /// Which.
    pub shard: u32,
    /// Where its journal begins.
    pub first: u64,
    /// Where it ends.
    pub end: u64,
    /// What can be made of it.
    pub fold: Fold,
    /// The highest step, epoch and instant that were ever seen of it, in its journal or outside.
    pub known: Stand,
    /// What is lost.
    pub lost: Vec<Lost>,
}

/// Something that is lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lost {
    /// The journal cannot be restored from.
    Journal(String),
    /// Its head knew of more.
    Head {
        /// The last step that stands.
        step: u64,
        /// The last that the head knew of.
        known: u64,
        /// Where the journal ends.
        end: u64,
        /// Where it ended when the head was written.
        was: u64,
    },
    /// What left the house was of a later step than stands.
    Emitted {
        /// The last step that stands.
        step: u64,
        /// The newest that was seen on an output topic.
        known: u64,
    },
    /// An input does not hold what was not decided yet.
    InputTrimmed {
        /// Which.
        door: &'static str,
        /// The next offset to be decided.
        position: u64,
        /// Where it begins now.
        first: u64,
    },
    /// An input ends before what was decided of it.
    InputCut {
        /// Which.
        door: &'static str,
        /// The next offset to be decided.
        position: u64,
        /// Where it ends now.
        end: u64,
    },
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Journal(why) => write!(f, "the journal cannot be restored from: {why}"),
            Self::Head { step, known, end, was } => write!(
                f,
                "steps {} to {known}: the head knows of them, the journal ends at offset {end} (it ended at {was}) with step \
                 {step}",
                step + 1
            ),
            Self::Emitted { step, known } => {
                write!(f, "steps {} to {known}: their effects have left the house, and they do not stand", step + 1)
            }
            Self::InputTrimmed { door, position, first } => {
                write!(f, "{door} {position} to {}: never decided, and the topic begins at {first} now", first - 1)
            }
            Self::InputCut { door, position, end } => write!(
                f,
                "{door} {end} to {}: decided, and the topic ends at {end} now; what comes takes their offsets",
                position - 1
            ),
        }
    }
}

/// Looks what is lost of a shard.
///
/// # Errors
/// When the brokers cannot be asked, or the journal is none of ours.
pub fn damage(journal: &mut Journal, shard: u32) -> anyhow::Result<Damage> {
    let (first, end) = journal.bounds("journal", shard)?;
    let head = journal.head(shard)?;
    let mut lost = Vec::new();
    let fold = match journal.fold(shard, head.as_ref())? {
        Ok(fold) => fold,
        // Whoever starts a newer Muster, or the right number of shards, loses nothing.
        Err(why @ (Alarm::Newer(_) | Alarm::Missing(Missing::Shards { .. }))) => {
            anyhow::bail!("{why}")
        }
        Err(why) => {
            lost.push(Lost::Journal(why.to_string()));
            journal.salvage(shard)?.map_err(|why| anyhow::anyhow!("{why}"))?
        }
    };
    let mut known = fold.stand().clone();
    let step = known.step;
    if let Some(missing) = fold.shaken() {
        lost.push(Lost::Journal(missing.to_string()));
        known.step = fold.highest_told();
    }
    if let Some(head) = &head {
        if head.stand.step > step {
            lost.push(Lost::Head { step, known: head.stand.step, end, was: head.next });
        }
        known.step = known.step.max(head.stand.step);
        known.epoch = known.epoch.max(head.stand.epoch);
        known.at = known.at.max(head.stand.at);
    }
    let emitted = emitted(journal, shard)?;
    if emitted > known.step {
        lost.push(Lost::Emitted { step, known: emitted });
        known.step = emitted;
    }
    for door in Door::ALL {
        lost.extend(input(journal, shard, door, &fold)?);
    }
    Ok(Damage { shard, first, end, fold, known, lost })
}

fn input(journal: &mut Journal, shard: u32, door: Door, fold: &Fold) -> Result<Option<Lost>, KafkaError> {
    let Some(position) = fold.positions().get(door.as_str()).copied() else { return Ok(None) };
    let (first, end) = journal.bounds(door.as_str(), shard)?;
    let door = door.as_str();
    Ok(match position {
        _ if position < first && position > 0 => Some(Lost::InputTrimmed { door, position, first }),
        _ if position > end => Some(Lost::InputCut { door, position, end }),
        _ => None,
    })
}

/// The newest step of a shard of which anything is seen on an output topic. They are keyed by incident, so every partition
/// may hold some.
fn emitted(journal: &mut Journal, shard: u32) -> Result<u64, KafkaError> {
    let of = wire::Shard { number: shard, of: journal.shards };
    let mut newest = 0;
    for topic in ["timeline", "orders", "notices", "incidents", "posts"] {
        for partition in 0..journal.shards {
            let (first, end) = journal.bounds(topic, partition)?;
            let from = end.saturating_sub(LOOKED_AT).max(first);
            journal.read(topic, partition, from, end, |stored| {
                let rev = rev(&stored.bytes).filter(|rev| rev % u64::from(of.of) == u64::from(of.number));
                newest = rev.map_or(0, |rev| of.unrev(rev).0).max(newest);
                true
            })?;
        }
    }
    Ok(newest)
}

/// The `rev` of a message; a tombstone has none that is looked at here.
fn rev(payload: &[u8]) -> Option<u64> {
    let message: serde_json::Value = serde_json::from_slice(payload).ok()?;
    message["data"]["rev"].as_u64()
}
