//! The incidents that this run opened and that are still open: who may act on them, and which is closed next.
//!
//! An order may be seen on the stream before the answer to its report is: then it waits here to be claimed. What is never
//! claimed is somebody else's, and no crew of ours acts on it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::ledger::Key;
use super::tally::Tally;
use crate::model::Lane;

/// Orders seen before their answer, at once.
const EARLY_MAX: usize = 100_000;
/// What nobody has claimed after so long is somebody else's.
const CLAIMED_WITHIN: Duration = Duration::from_secs(35);

/// Where a stretch's latencies go.
pub type Stretch = std::sync::Arc<Mutex<Tally>>;

/// An incident that we opened.
struct Opened {
    intended: Instant,
    lane: Lane,
    /// Where the push is counted; taken when it was.
    push: Option<Stretch>,
}

/// Shared by all who report, act and close.
#[derive(Default)]
pub struct Ours(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    open: BTreeMap<Key, Opened>,
    oldest: VecDeque<Key>,
    early: BTreeMap<Key, Instant>,
    early_from: VecDeque<(Instant, Key)>,
}

impl Ours {
    /// A report of ours opened an incident; `push` where the first order is to be measured. After how long that order was
    /// seen, where it was seen already: the caller counts it, who has the stretch in hand.
    #[must_use]
    pub fn opened(&self, key: Key, intended: Instant, lane: Lane, push: Option<Stretch>) -> Option<Duration> {
        let mut inner = self.lock();
        let seen = inner.early.remove(&key).map(|seen| seen.saturating_duration_since(intended));
        let push = push.filter(|_| seen.is_none());
        if inner.open.insert(key, Opened { intended, lane, push }).is_none() {
            inner.oldest.push_back(key);
        }
        seen
    }

    /// The first order of an incident was seen on the stream.
    pub fn pushed(&self, key: Key, at: Instant) {
        let mut inner = self.lock();
        if let Some(opened) = inner.open.get_mut(&key) {
            if let Some(push) = opened.push.take() {
                let (lane, intended) = (opened.lane, opened.intended);
                drop(inner);
                count(&push, lane, at.saturating_duration_since(intended));
            }
            return;
        }
        inner.forget(at);
        if inner.early.len() < EARLY_MAX {
            inner.early.insert(key, at);
            inner.early_from.push_back((at, key));
        }
    }

    /// Whether an incident is ours and open.
    pub fn has(&self, key: Key) -> bool {
        self.lock().open.contains_key(&key)
    }

    /// How many are open.
    pub fn len(&self) -> usize {
        self.lock().oldest.len()
    }

    /// The oldest ones beyond `keep`, at most `most` of them, which are closed now.
    pub fn beyond(&self, keep: usize, most: usize) -> Vec<Key> {
        let mut inner = self.lock();
        let count = inner.oldest.len().saturating_sub(keep).min(most);
        inner.oldest.drain(..count).collect()
    }

    /// It is closed, or at least nobody of ours acts on it any more.
    pub fn closed(&self, keys: &[Key]) {
        let mut inner = self.lock();
        for key in keys {
            inner.open.remove(key);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Lets go of what was seen so long ago that nobody will claim it.
    fn forget(&mut self, now: Instant) {
        while let Some((at, key)) = self.early_from.front().copied() {
            let over = now.saturating_duration_since(at) > CLAIMED_WITHIN || self.early_from.len() > EARLY_MAX;
            if !over {
                return;
            }
            self.early_from.pop_front();
            self.early.remove(&key);
        }
    }
}

fn count(push: &Stretch, lane: Lane, span: Duration) {
    push.lock().unwrap_or_else(PoisonError::into_inner).push.of(lane).add(span);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::clock::now;
    use crate::load::ledger::Ledger;

    #[test]
    fn a_push_is_counted_once_whichever_comes_first() {
        let (ours, stretch, ledger) = (Ours::default(), Stretch::default(), Ledger::new(1));
        let key = |n: u32| ledger.key(&format!("4304-20261123-{n}")).unwrap();
        let begin = now();
        let ms = |n| begin + Duration::from_millis(n);
        assert_eq!(ours.opened(key(1), begin, Lane::Ordinary, Some(stretch.clone())), None);
        ours.pushed(key(1), ms(5));
        ours.pushed(key(1), ms(50));
        ours.pushed(key(2), ms(3));
        let seen = ours.opened(key(2), begin, Lane::BottomLine, Some(stretch.clone()));
        assert_eq!(seen, Some(Duration::from_millis(3)));
        ours.pushed(key(2), ms(30));
        ours.pushed(key(3), ms(9));
        let tally = stretch.lock().unwrap().clone();
        assert_eq!(tally.push.ordinary.summary().count, 1);
        assert!((tally.push.ordinary.ms(1.0).unwrap() - 5.0).abs() < 0.1);
        assert_eq!(tally.push.bottom_line.summary().count, 0, "whoever heard of it early counts it");
        assert!(ours.has(key(1)) && !ours.has(key(3)), "what we did not open is not ours");
    }

    #[test]
    fn the_oldest_are_closed_first() {
        let (ours, ledger) = (Ours::default(), Ledger::new(1));
        let keys: Vec<Key> = (1..=5).map(|n| ledger.key(&format!("4304-20261123-{n}")).unwrap()).collect();
        for key in &keys {
            assert_eq!(ours.opened(*key, now(), Lane::Ordinary, None), None);
        }
        assert_eq!(ours.beyond(3, 10), keys[..2]);
        assert_eq!(ours.beyond(3, 10), []);
        ours.closed(&keys[..2]);
        assert_eq!((ours.len(), ours.has(keys[0]), ours.has(keys[4])), (3, false, true));
    }
}
