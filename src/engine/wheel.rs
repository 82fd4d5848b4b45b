//! The wheel: everything that will fall due, ordered by its instant, with exact cancel.
//!
//! Time is cut into slots of [`SLOT_MS`]; a slot that holds something is a bucket in an ordered map keyed by the slot's
//! number, so spans from a millisecond to years cost the same and nothing ever cascades. A small bucket is an unsorted
//! list (insert is a push, cancel and pop look through at most [`FEW_MAX`] entries); a bucket that grows beyond that,
//! because thousands of calls end at one instant, becomes an ordered set, and no operation is ever worse than logarithmic.
//!
//! Invariants: what is popped, and when, depends only on what the wheel holds, never on the order of insertion: by
//! instant, then by the entry's own order, so that a restored engine fires as the first one would have. An entry is held
//! once for an instant, as in a set. An entry for the past is simply the first to be popped.
//!
//! Left out: handles. Cancel names the instant and the entry, both of which the owner knows from its document; a handle
//! would be one more thing to restore.
//!
//! Against a plain `BTreeSet<(Timestamp, T)>`, see `benches/marks.rs` for the figures.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use crate::model::Timestamp;

/// The width of a slot in milliseconds, as a power of two.
const SLOT_MS: i64 = 1 << SLOT_BITS;
const SLOT_BITS: u32 = 5;

/// A bucket with more entries than this becomes an ordered set.
const FEW_MAX: usize = 48;

/// Entries by the instant at which they fall due.
#[derive(Clone, Debug)]
pub struct Wheel<T> {
    buckets: BTreeMap<i64, Bucket<T>>,
    len: usize,
}

/// The entries of one slot.
#[derive(Clone, Debug)]
enum Bucket<T> {
    Few(Vec<(Timestamp, T)>),
    Many(BTreeSet<(Timestamp, T)>),
}

impl<T: Ord + Clone> Default for Wheel<T> {
    fn default() -> Self {
        Self { buckets: BTreeMap::new(), len: 0 }
    }
}

impl<T: Ord + Clone> Wheel<T> {
    /// Holds `entry` until `at`. Returns whether it was not yet held for that instant.
    pub fn insert(&mut self, at: Timestamp, entry: T) -> bool {
        let new = self.buckets.entry(slot(at)).or_insert_with(|| Bucket::Few(Vec::new())).insert(at, entry);
        self.len += usize::from(new);
        new
    }

    /// Forgets `entry` at `at`. Returns whether it was held for exactly that instant.
    pub fn cancel(&mut self, at: Timestamp, entry: &T) -> bool {
        let Entry::Occupied(mut held) = self.buckets.entry(slot(at)) else { return false };
        let found = held.get_mut().remove(at, entry);
        if held.get().is_empty() {
            held.remove();
        }
        self.len -= usize::from(found);
        found
    }

    /// The earliest instant at which something falls due.
    #[must_use]
    pub fn next_at(&self) -> Option<Timestamp> {
        self.buckets.first_key_value().and_then(|(_, bucket)| bucket.first_at())
    }

    /// Takes the first entry, by instant and then by its own order, if it is due up to and including `to`.
    pub fn pop(&mut self, to: Timestamp) -> Option<(Timestamp, T)> {
        let mut first = self.buckets.first_entry()?;
        if *first.key() > slot(to) {
            return None;
        }
        let popped = first.get_mut().pop(to)?;
        if first.get().is_empty() {
            first.remove();
        }
        self.len -= 1;
        Some(popped)
    }

    /// How many entries are held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// The number of the slot that holds an instant; instants before 1970 have negative ones.
fn slot(at: Timestamp) -> i64 {
    at.0.div_euclid(SLOT_MS)
}

impl<T: Ord + Clone> Bucket<T> {
    fn insert(&mut self, at: Timestamp, entry: T) -> bool {
        match self {
            Self::Few(few) if few.iter().any(|(a, e)| *a == at && *e == entry) => false,
            Self::Few(few) => {
                few.push((at, entry));
                if few.len() > FEW_MAX {
                    *self = Self::Many(few.drain(..).collect());
                }
                true
            }
            Self::Many(many) => many.insert((at, entry)),
        }
    }

    fn remove(&mut self, at: Timestamp, entry: &T) -> bool {
        match self {
            Self::Few(few) => {
                let found = few.iter().position(|(a, e)| *a == at && e == entry);
                found.inspect(|&i| drop(few.swap_remove(i))).is_some()
            }
            Self::Many(many) => many.remove(&(at, entry.clone())),
        }
    }

    fn first_at(&self) -> Option<Timestamp> {
        match self {
            Self::Few(few) => few.iter().map(|(at, _)| *at).min(),
            Self::Many(many) => many.first().map(|(at, _)| *at),
        }
    }

    fn pop(&mut self, to: Timestamp) -> Option<(Timestamp, T)> {
        match self {
            Self::Few(few) => {
                let first = (0..few.len()).filter(|&i| few[i].0 <= to).min_by(|&a, &b| few[a].cmp(&few[b]))?;
                Some(few.swap_remove(first))
            }
            Self::Many(many) if many.first()?.0 <= to => many.pop_first(),
            Self::Many(_) => None,
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::Few(few) => few.is_empty(),
            Self::Many(many) => many.is_empty(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn entries_come_by_instant_then_by_their_own_order_whatever_the_order_of_insertion() {
        let entries = [(5_000, "b"), (5_000, "a"), (3, "z"), (86_400_000 * 400, "years"), (-7, "past")];
        let popped = |order: &[usize]| {
            let mut wheel = Wheel::default();
            for &i in order {
                wheel.insert(Timestamp(entries[i].0), entries[i].1);
            }
            assert_eq!(wheel.next_at(), Some(Timestamp(-7)));
            std::iter::from_fn(|| wheel.pop(Timestamp(i64::MAX)).map(|(_, e)| e)).collect::<Vec<_>>()
        };
        assert_eq!(popped(&[0, 1, 2, 3, 4]), ["past", "z", "a", "b", "years"]);
        assert_eq!(popped(&[0, 1, 2, 3, 4]), popped(&[4, 3, 1, 2, 0]));
    }

    #[test]
    fn nothing_pops_before_its_instant_and_a_cancelled_entry_never() {
        let mut wheel = Wheel::default();
        assert!(
            wheel.insert(Timestamp(100), 'a') && wheel.insert(Timestamp(101), 'b') && wheel.insert(Timestamp(101), 'c')
        );
        assert!(!wheel.insert(Timestamp(101), 'c'), "held once");
        assert_eq!(wheel.pop(Timestamp(99)), None);
        assert_eq!(wheel.pop(Timestamp(100)), Some((Timestamp(100), 'a')));
        assert!(!wheel.cancel(Timestamp(100), &'b'), "another instant is another entry");
        assert!(wheel.cancel(Timestamp(101), &'b') && !wheel.cancel(Timestamp(101), &'b'));
        assert_eq!((wheel.len(), wheel.pop(Timestamp(101))), (1, Some((Timestamp(101), 'c'))));
        assert!(wheel.is_empty() && wheel.next_at().is_none());
    }

    #[derive(Clone, Debug)]
    enum Op {
        Insert(i64, u8),
        Cancel(i64, u8),
        Pop(i64),
    }

    /// Instants crowd a few slots, so that buckets grow into sets, and reach years away.
    fn op() -> impl Strategy<Value = Op> {
        let at = || prop_oneof![8 => 0..64_i64, 2 => -50..5_000_i64, 1 => 0..100_000_000_000_i64];
        prop_oneof![
            5 => (at(), any::<u8>()).prop_map(|(at, e)| Op::Insert(at, e)),
            3 => (at(), any::<u8>()).prop_map(|(at, e)| Op::Cancel(at, e)),
            2 => at().prop_map(Op::Pop),
        ]
    }

    proptest! {
        #[test]
        fn any_history_equals_an_ordered_set(ops in prop::collection::vec(op(), 0..600)) {
            let (mut wheel, mut set) = (Wheel::default(), BTreeSet::new());
            for op in ops {
                match op {
                    Op::Insert(at, e) => prop_assert_eq!(wheel.insert(Timestamp(at), e), set.insert((Timestamp(at), e))),
                    Op::Cancel(at, e) => prop_assert_eq!(wheel.cancel(Timestamp(at), &e), set.remove(&(Timestamp(at), e))),
                    Op::Pop(to) => {
                        let due = set.first().is_some_and(|(at, _)| at.0 <= to);
                        prop_assert_eq!(wheel.pop(Timestamp(to)), if due { set.pop_first() } else { None });
                    }
                }
                prop_assert_eq!(wheel.len(), set.len());
                prop_assert_eq!(wheel.next_at(), set.first().map(|(at, _)| *at));
            }
            while let Some(entry) = wheel.pop(Timestamp(i64::MAX)) {
                prop_assert_eq!(Some(entry), set.pop_first());
            }
            prop_assert!(set.is_empty());
        }
    }
}
