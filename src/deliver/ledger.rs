//! The ledger: how far accepted steps have left the house. A step counts when every message of it is settled and every
//! step before it counts.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// What is still owed.
#[derive(Debug, Default)]
pub struct Ledger(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    owed: BTreeMap<u64, usize>,
    last: u64,
}

impl Ledger {
    /// A step was handed to the channels, which owe so many messages of it. How far everything has left the house.
    pub fn begin(&self, step: u64, owed: usize) -> u64 {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.last = inner.last.max(step);
        if owed > 0 {
            *inner.owed.entry(step).or_default() += owed;
        }
        inner.emitted()
    }

    /// One message of this step needs no more care. How far everything has left the house.
    pub fn settled(&self, step: u64) -> u64 {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(owed) = inner.owed.get_mut(&step) {
            *owed -= 1;
            if *owed == 0 {
                inner.owed.remove(&step);
            }
        }
        inner.emitted()
    }
}

impl Inner {
    fn emitted(&self) -> u64 {
        self.owed.keys().next().map_or(self.last, |first| first - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_counts_only_when_all_before_it_do() {
        let ledger = Ledger::default();
        assert_eq!(ledger.begin(1, 0), 1);
        assert_eq!(ledger.begin(2, 2), 1);
        assert_eq!(ledger.begin(3, 1), 1);
        assert_eq!(ledger.settled(3), 1, "step 2 still owes");
        assert_eq!(ledger.settled(2), 1, "one of two");
        assert_eq!(ledger.settled(2), 3);
        assert_eq!(ledger.settled(2), 3, "settled twice is settled");
    }
}
