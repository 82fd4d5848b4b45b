//! The wheel: everything that will fall due, ordered by its instant, with exact cancel.
//!
//! It is an ordered set of (instant, entry). What is popped, and when, depends only on what it holds, never on the order
//! of insertion: by instant, then by the entry's own order, so that a restored engine fires as the first one would have.
//! An entry is held once for an instant; an entry for the past is simply the first to be popped; a span of a millisecond
//! and one of years cost the same. Cancel names the instant and the entry, both of which the owner knows from its document;
//! a handle would be one more thing to restore.
//!
//! Why no timing wheel, in spite of the name: slots of 32 ms in an ordered map, each an unsorted list, were built and
//! measured against it (CPU time, busy two-core machine). One insert and one cancel took 363 ns
//! there and 170 ns here with 50,000 live marks, 202 and 263 with a million; insert and pop 221 and 130, 170 and 206. A
//! city has tens of thousands, and the plain set is the simpler one. A hashed wheel over integer handles is faster than
//! both (28 ns at a million) and would pay only where a step costs less than a microsecond. See `benches/marks.rs`.

use std::collections::BTreeSet;

use crate::model::Timestamp;

/// Entries by the instant at which they fall due.
#[derive(Clone, Debug)]
pub struct Wheel<T> {
    due: BTreeSet<(Timestamp, T)>,
}

impl<T: Ord + Clone> Default for Wheel<T> {
    fn default() -> Self {
        Self { due: BTreeSet::new() }
    }
}

impl<T: Ord + Clone> Wheel<T> {
    /// Holds `entry` until `at`. Returns whether it was not yet held for that instant.
    pub fn insert(&mut self, at: Timestamp, entry: T) -> bool {
        self.due.insert((at, entry))
    }

    /// Forgets `entry` at `at`. Returns whether it was held for exactly that instant.
    pub fn cancel(&mut self, at: Timestamp, entry: &T) -> bool {
        self.due.remove(&(at, entry.clone()))
    }

    /// The earliest instant at which something falls due.
    #[must_use]
    pub fn next_at(&self) -> Option<Timestamp> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Whether `entry` is held for exactly that instant.
    #[must_use]
    pub fn holds(&self, at: Timestamp, entry: &T) -> bool {
        self.due.contains(&(at, entry.clone()))
    }

    /// The first entry, by instant and then by its own order, if it is due up to and including `to`.
    #[must_use]
    pub fn first(&self, to: Timestamp) -> Option<&T> {
        self.due.first().filter(|(at, _)| *at <= to).map(|(_, entry)| entry)
    }

    /// Takes the first entry, by instant and then by its own order, if it is due up to and including `to`.
    pub fn pop(&mut self, to: Timestamp) -> Option<(Timestamp, T)> {
        self.next_at().filter(|at| *at <= to)?;
        self.due.pop_first()
    }

    /// How many entries are held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.due.len()
    }

    /// Whether nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.due.is_empty()
    }
}

#[cfg(test)]
mod tests {
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
        for (at, entry) in [(100, 'a'), (101, 'b'), (101, 'c')] {
            assert!(wheel.insert(Timestamp(at), entry));
        }
        assert!(!wheel.insert(Timestamp(101), 'c'), "held once");
        assert_eq!(wheel.pop(Timestamp(99)), None);
        assert_eq!(wheel.pop(Timestamp(100)), Some((Timestamp(100), 'a')));
        assert!(!wheel.cancel(Timestamp(100), &'b'), "another instant is another entry");
        assert!(wheel.cancel(Timestamp(101), &'b') && !wheel.cancel(Timestamp(101), &'b'));
        assert_eq!((wheel.len(), wheel.pop(Timestamp(101))), (1, Some((Timestamp(101), 'c'))));
        assert!(wheel.is_empty() && wheel.next_at().is_none());
    }
}
