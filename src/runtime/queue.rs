//! The work queue before the shard: two lanes in one bound.
//!
//! A fifth of the queue is kept for the bottom line: ordinary work is refused at 80 % of either bound (inputs, bytes),
//! bottom-line work only at 100 %. What is taken out together is ordered by lane, in order of arrival within a lane; so
//! no bottom-line input ever waits behind an ordinary one, and under a flood it waits for one batch at most.
//!
//! *How far time may go.* A bottom-line input that waits (an act above all) must not find that its mark was fired after
//! its receipt: so time advances only to the receipt of the first that waits. Receipts are stamped, and the clock is
//! read for the shard, under the one lock; so what comes in later was received later.
//!
//! A mutex and a condition variable: the lock is held for a push or a pop, never across work.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::clock::Wait;
use crate::model::{Lane, Timestamp};

/// Something with a lane, a receipt and a size.
pub trait Item {
    /// Its lane.
    fn lane(&self) -> Lane;
    /// When it was received.
    fn received(&self) -> Timestamp;
    /// Bytes it holds, roughly.
    fn bytes(&self) -> usize;
}

/// The bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Inputs.
    pub items: usize,
    /// Bytes.
    pub bytes: usize,
    /// Percent of each kept for the bottom line.
    pub reserve_percent: u8,
}

impl Bounds {
    /// Inputs and bytes that a lane may fill.
    #[must_use]
    pub fn of(&self, lane: Lane) -> (usize, usize) {
        let share = match lane {
            Lane::BottomLine => 100,
            Lane::Ordinary => 100 - usize::from(self.reserve_percent.min(100)),
        };
        (part(self.items, share), part(self.bytes, share))
    }
}

fn part(whole: usize, percent: usize) -> usize {
    whole / 100 * percent + whole % 100 * percent / 100
}

/// Why nothing could be put in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// The lane's share is used up.
    Lane,
    /// Nothing is taken in any more.
    Closed,
}

/// How full it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// Waiting bottom-line inputs.
    pub bottom_line: usize,
    /// Waiting ordinary inputs.
    pub ordinary: usize,
    /// Bytes they hold together.
    pub bytes: usize,
}

/// The queue.
#[derive(Debug)]
pub struct Queue<T> {
    bounds: Bounds,
    state: Mutex<State<T>>,
    bell: Condvar,
}

#[derive(Debug)]
struct State<T> {
    bottom_line: VecDeque<T>,
    ordinary: VecDeque<T>,
    bytes: usize,
    closed: bool,
    /// Rung by hand: the shard has something else to look at.
    rung: bool,
}

impl<T: Item> Queue<T> {
    /// An empty queue.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        let (bottom_line, ordinary) = (VecDeque::new(), VecDeque::new());
        let state = State { bottom_line, ordinary, bytes: 0, closed: false, rung: false };
        Self { bounds, state: Mutex::new(state), bell: Condvar::new() }
    }

    /// Puts `items` in, in order, under one lock; hands back each that found no room, by its index. Each is first
    /// stamped by `stamp`, which also says whether it may come in at all.
    pub fn push(
        &self,
        items: impl IntoIterator<Item = T>,
        mut stamp: impl FnMut(&mut T) -> bool,
    ) -> Vec<(usize, Full)> {
        let mut state = self.lock();
        let mut refused = Vec::new();
        for (index, mut item) in items.into_iter().enumerate() {
            let may = stamp(&mut item).then_some(()).ok_or(Full::Lane);
            match state.admit(&self.bounds, &item).and(may) {
                Ok(()) => state.put(item),
                Err(full) => refused.push((index, full)),
            }
        }
        drop(state);
        self.bell.notify_one();
        refused
    }

    /// Waits for work, for the bell, or for `wait` to be over.
    pub fn wait(&self, wait: Wait) {
        let state = self.lock();
        let idle = |s: &mut State<T>| s.is_empty() && !s.rung && !s.closed;
        let mut state = match wait {
            Wait::None => state,
            Wait::UntilMoved => self.bell.wait_while(state, idle).unwrap_or_else(PoisonError::into_inner),
            Wait::For(span) => {
                let waited = self.bell.wait_timeout_while(state, span, idle);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        };
        state.rung = false;
    }

    /// The next input of a batch whose last one was of lane `after`, and the instant to which time may go before it is
    /// stepped. Bottom line first, in order of arrival within a lane. A bottom-line input that came in after the batch
    /// had reached the ordinary ones opens the next batch.
    pub fn pop(&self, after: Option<Lane>, now: impl FnOnce() -> Timestamp) -> (Option<T>, Timestamp) {
        let mut state = self.lock();
        let now = now();
        if let Some(urgent) = state.bottom_line.front() {
            let until = urgent.received().min(now);
            let next = (after != Some(Lane::Ordinary)).then(|| state.bottom_line.pop_front()).flatten();
            return (state.taken(next), until);
        }
        let next = state.ordinary.pop_front();
        (state.taken(next), now)
    }

    /// Wakes who waits.
    pub fn ring(&self) {
        self.lock().rung = true;
        self.bell.notify_one();
    }

    /// Takes nothing in any more; what waits is still handed out.
    pub fn close(&self) {
        self.lock().closed = true;
        self.bell.notify_one();
    }

    /// Drops what waits, and with it whoever waits for its answer.
    pub fn clear(&self) {
        let mut state = self.lock();
        let dropped = (std::mem::take(&mut state.bottom_line), std::mem::take(&mut state.ordinary));
        state.bytes = 0;
        drop(state);
        drop(dropped);
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// How full it is.
    pub fn depth(&self) -> Depth {
        let state = self.lock();
        Depth { bottom_line: state.bottom_line.len(), ordinary: state.ordinary.len(), bytes: state.bytes }
    }

    /// Its bounds.
    pub fn bounds(&self) -> Bounds {
        self.bounds
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Item> State<T> {
    fn is_empty(&self) -> bool {
        self.bottom_line.is_empty() && self.ordinary.is_empty()
    }

    fn admit(&self, bounds: &Bounds, item: &T) -> Result<(), Full> {
        let (items, bytes) = bounds.of(item.lane());
        let waiting = self.bottom_line.len() + self.ordinary.len();
        match () {
            () if self.closed => Err(Full::Closed),
            () if waiting >= items || self.bytes + item.bytes() > bytes => Err(Full::Lane),
            () => Ok(()),
        }
    }

    fn taken(&mut self, item: Option<T>) -> Option<T> {
        self.bytes = self.bytes.saturating_sub(item.as_ref().map_or(0, Item::bytes));
        item
    }

    fn put(&mut self, item: T) {
        self.bytes += item.bytes();
        match item.lane() {
            Lane::BottomLine => self.bottom_line.push_back(item),
            Lane::Ordinary => self.ordinary.push_back(item),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Item for (i64, Lane) {
        fn lane(&self) -> Lane {
            self.1
        }
        fn received(&self) -> Timestamp {
            Timestamp(self.0)
        }
        fn bytes(&self) -> usize {
            10
        }
    }

    const NOW: Timestamp = Timestamp(100);

    fn queue(items: usize) -> Queue<(i64, Lane)> {
        Queue::new(Bounds { items, bytes: 1_000_000, reserve_percent: 20 })
    }

    fn put(queue: &Queue<(i64, Lane)>, items: impl IntoIterator<Item = (i64, Lane)>) -> Vec<(usize, Full)> {
        queue.push(items, |_| true)
    }

    #[test]
    fn a_fifth_is_kept_for_the_bottom_line() {
        let queue = queue(10);
        let refused = put(&queue, (0..12).map(|n| (n, Lane::Ordinary)));
        assert_eq!(refused, (8..12).map(|n| (n, Full::Lane)).collect::<Vec<_>>());
        assert_eq!(put(&queue, [(20, Lane::BottomLine), (21, Lane::BottomLine)]), []);
        assert_eq!(put(&queue, [(22, Lane::BottomLine)]), [(0, Full::Lane)]);
        assert_eq!(queue.depth(), Depth { bottom_line: 2, ordinary: 8, bytes: 100 });
    }

    #[test]
    fn no_bottom_line_input_comes_after_an_ordinary_one_of_its_batch() {
        let queue = queue(100);
        put(&queue, (0..6).map(|n| (n, if n % 3 == 2 { Lane::BottomLine } else { Lane::Ordinary })));
        let mut after = None;
        let mut pop = || {
            let item = queue.pop(after, || NOW).0?;
            after = Some(item.1);
            Some(item.0)
        };
        assert_eq!([pop(), pop(), pop(), pop()], [Some(2), Some(5), Some(0), Some(1)]);
        assert_eq!(queue.depth().bytes, 20);
        put(&queue, [(7, Lane::BottomLine)]);
        assert_eq!(pop(), None, "a batch that has reached the ordinary ones ends");
        assert_eq!(queue.pop(None, || NOW).0, Some((7, Lane::BottomLine)));
    }

    #[test]
    fn time_waits_for_the_first_bottom_line_input_that_waits() {
        let queue = queue(10);
        assert_eq!(queue.pop(None, || NOW), (None, NOW));
        put(&queue, [(30, Lane::Ordinary), (40, Lane::BottomLine), (60, Lane::BottomLine)]);
        assert_eq!(queue.pop(None, || NOW), (Some((40, Lane::BottomLine)), Timestamp(40)));
        assert_eq!(queue.pop(Some(Lane::Ordinary), || NOW), (None, Timestamp(60)), "it waits for the next batch");
        assert_eq!(queue.pop(None, || NOW), (Some((60, Lane::BottomLine)), Timestamp(60)));
        assert_eq!(queue.pop(None, || NOW), (Some((30, Lane::Ordinary)), NOW), "ordinary ones hold nothing up");
    }

    #[test]
    fn bytes_are_bounded_like_inputs() {
        let queue = Queue::new(Bounds { items: 100, bytes: 50, reserve_percent: 20 });
        let refused = put(&queue, (0..6).map(|n| (n, Lane::Ordinary)));
        assert_eq!(refused.len(), 2, "40 of 50 bytes are for everybody");
        assert!(put(&queue, [(7, Lane::BottomLine)]).is_empty());
    }

    #[test]
    fn a_closed_queue_hands_out_what_it_has() {
        let queue = queue(10);
        put(&queue, [(1, Lane::Ordinary)]);
        queue.close();
        assert_eq!(put(&queue, [(2, Lane::BottomLine)]), [(0, Full::Closed)]);
        queue.wait(Wait::UntilMoved);
        assert_eq!(queue.pop(None, || NOW).0, Some((1, Lane::Ordinary)));
    }
}
