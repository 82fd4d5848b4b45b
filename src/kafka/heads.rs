//! The heads: for each shard, a small hint of how far its journal has come.
//!
//! Whoever owns a shard writes its [`Head`] to the compacted topic `heads`, keyed by the shard's number, at most once a second
//! after a step was accepted. It stands outside the journal on purpose: a journal that has lost its end does not
//! show that by itself, but its head still says how far it had come. A restore may begin at the head's mark. It is a hint in both uses: a
//! head may be late, missing, or from before the journal was repaired, and nothing is ever decided by it alone.

use serde::{Deserialize, Serialize};

use crate::journal::log::{Low, Stand};

/// The version of the stored form.
pub const HEAD_VERSION: u8 = 1;

/// How far the journal of a shard has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Version of this form.
    pub v: u8,
    /// Which shard.
    pub shard: u32,
    /// Where a restore may begin.
    pub low: Low,
    /// The offset after the last record that was accepted.
    pub next: u64,
    /// What all records before it came to.
    pub stand: Stand,
}

impl Head {
    /// The form on the topic.
    ///
    /// # Panics
    /// Never: a head is plain data.
    #[must_use]
    pub fn encode(&self) -> String {
        serde_json::to_string(self).expect("a head is plain data")
    }

    /// Reads one back; `None` for what is none, or a newer Muster's: it is only a hint.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok().filter(|head: &Self| head.v == HEAD_VERSION)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::log::OwnerName;
    use crate::model::Timestamp;

    #[test]
    fn a_head_reads_back_and_anything_else_is_no_hint() {
        let stand = Stand { epoch: 3, owner: OwnerName::new("a/0/1"), step: 17, at: Timestamp(5) };
        let head = Head { v: HEAD_VERSION, shard: 2, low: Low { offset: 4, stand: stand.clone() }, next: 40, stand };
        assert_eq!(Head::decode(head.encode().as_bytes()), Some(head.clone()));
        assert_eq!(Head::decode(Head { v: 9, ..head }.encode().as_bytes()), None);
        assert_eq!(Head::decode(b"{}"), None);
    }
}
