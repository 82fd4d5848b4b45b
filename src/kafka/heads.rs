//! Heads: for each shard a hint, outside its journal, of where a restore may begin and of what was accepted.
//!
//! The owner writes one now and then to the compacted topic `muster.heads`, keyed by the shard's number. It is a hint and
//! nothing rests on it: a restore that begins at a mark that is no use is found out and begins elsewhere, and a head that
//! was never written costs a search. What it is worth: a log that ends below it has lost records, also when nobody is
//! left who saw them.

use serde::{Deserialize, Serialize};

use crate::journal::log::{Fold, Low, Stand};

/// The version of the stored form.
const VERSION: u8 = 1;

/// Where a shard's journal stood.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    v: u8,
    /// Which shard.
    pub shard: u32,
    /// Shards of the whole.
    pub shards: u32,
    /// Where a restore may begin.
    pub low: Low,
    /// The offset after the newest record that was read.
    pub next: u64,
    /// What had been accepted.
    pub stand: Stand,
}

impl Head {
    /// The head of a fold.
    #[must_use]
    pub fn of(shard: u32, fold: &Fold) -> Self {
        // A mark that a record carries: a restore is complete only from such a one.
        let low = fold.carried().cloned().unwrap_or_else(|| fold.low());
        let (next, stand) = (fold.next(), fold.stand().clone());
        Self { v: VERSION, shard, shards: fold.shards(), low, next, stand }
    }

    /// The key of its message.
    #[must_use]
    pub fn key(&self) -> String {
        self.shard.to_string()
    }

    /// Its message.
    ///
    /// # Panics
    /// Never: a head is plain data.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a head is plain data")
    }

    /// Reads a message; `None` when it is no head that can be used here.
    #[must_use]
    pub fn decode(bytes: &[u8], shards: u32) -> Option<Self> {
        let head: Self = serde_json::from_slice(bytes).ok()?;
        (head.v == VERSION && head.shards == shards && head.shard < shards).then_some(head)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_back_and_one_of_another_arrangement_is_not() {
        let head = Head::of(3, &Fold::from(Low { offset: 17, stand: Stand::default() }, 8));
        assert_eq!(Head::decode(&head.encode(), 8), Some(head.clone()));
        assert_eq!(Head::decode(&head.encode(), 7), None);
        assert_eq!(Head::decode(b"{}", 8), None);
        assert_eq!(head.key(), "3");
    }
}
