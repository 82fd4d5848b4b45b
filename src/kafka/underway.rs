//! The steps of a shard that are appended and not accepted yet, and how much the next one may hold.
//!
//! A record that the journal does not take would come again and again, for after every recovery the same inputs are read. So a
//! step that was too large makes the next ones smaller: half of what it held, down to one input, or one area's marks. Once a while
//! has gone well they may grow again. Where even one input makes too large a record, no splitting helps, and the shard is
//! held with a word that names that input.

#![expect(clippy::disallowed_methods, reason = "how long an append takes is measured in real time")]

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::engine::Document;
use crate::journal::log::{Record, RecordBody, Token};

/// Steps that go well before the next one may be twice as large.
const GROWS_AFTER: u32 = 64;

/// How much one step may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Inputs.
    pub inputs_max: usize,
    /// Effects after which it takes nothing further.
    pub effects_max: usize,
}

impl Bounds {
    /// Nothing smaller can be cut: one input, or the marks of one area.
    const LEAST: Self = Self { inputs_max: 1, effects_max: 1 };
}

/// The steps under way.
#[derive(Debug)]
pub struct Underway {
    steps: VecDeque<Sent>,
    whole: Bounds,
    now: Bounds,
    well: u32,
}

#[derive(Debug)]
struct Sent {
    token: Token,
    number: u64,
    at: Instant,
    record: Arc<Record>,
}

/// What to do about a record that is too large.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TooLarge {
    /// The same again in smaller steps.
    Split(Bounds),
    /// It cannot be split: what it is of.
    Alone(String),
}

impl Underway {
    /// None yet.
    #[must_use]
    pub fn new(whole: Bounds) -> Self {
        Self { steps: VecDeque::new(), whole, now: whole, well: 0 }
    }

    // In

    /// This record is on its way; one that is no step is not looked at.
    pub fn sent(&mut self, token: Token, record: &Arc<Record>) {
        if let RecordBody::Step(step) = &record.body {
            let record = Arc::clone(record);
            self.steps.push_back(Sent { token, number: step.number, at: Instant::now(), record });
        }
    }

    /// This step is accepted: how long that took, and the documents that its record wrote anew.
    pub fn accepted(&mut self, number: u64) -> (Duration, Vec<Document>) {
        let mut of = (Duration::ZERO, Vec::new());
        while let Some(sent) = self.steps.front().filter(|sent| sent.number <= number) {
            of = (sent.at.elapsed(), sent.record.swept.clone());
            self.steps.pop_front();
        }
        self.well += 1;
        if self.well >= GROWS_AFTER && self.now != self.whole {
            self.well = 0;
            self.now.inputs_max = (self.now.inputs_max * 2).min(self.whole.inputs_max);
            self.now.effects_max = (self.now.effects_max * 2).min(self.whole.effects_max);
        }
        of
    }

    /// The journal does not take the record of this append: what to do. `None` when it is not under way any more.
    pub fn too_large(&mut self, token: Token) -> Option<TooLarge> {
        let sent = self.steps.iter().find(|sent| sent.token == token)?;
        let RecordBody::Step(step) = &sent.record.body else { return None };
        self.well = 0;
        if self.now == Bounds::LEAST {
            let of = match step.consumed.taken.first() {
                Some(taken) => format!("offset {} of {}", taken.offset, taken.door),
                None => format!("what fell due by {}", step.at.to_rfc3339()),
            };
            return Some(TooLarge::Alone(of));
        }
        let half = |held: usize, max: usize| (held.min(max) / 2).max(1);
        self.now.inputs_max = half(step.consumed.taken.len(), self.now.inputs_max);
        self.now.effects_max = half(step.effects.len(), self.now.effects_max);
        Some(TooLarge::Split(self.now))
    }

    /// Nobody waits for these any more.
    pub fn clear(&mut self) {
        self.steps.clear();
    }

    // Look

    /// How much the next step may hold.
    #[must_use]
    pub fn bounds(&self) -> Bounds {
        self.now
    }

    /// Since when the oldest one has been on its way.
    #[must_use]
    pub fn waits(&self) -> Option<Duration> {
        self.steps.front().map(|sent| sent.at.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::log::{Low, OwnerName};
    use crate::journal::{Consumed, Step, Taken};
    use crate::model::Timestamp;

    const WHOLE: Bounds = Bounds { inputs_max: 128, effects_max: 1_024 };

    fn record(number: u64, inputs: u64) -> Arc<Record> {
        let taken = |offset| Taken { door: "reports".into(), offset, at: Timestamp(0), answer: None };
        let consumed = Consumed { taken: (0..inputs).map(taken).collect(), ..Consumed::default() };
        let swept = vec![Document { key: "4304:head".into(), body: Some("{}".into()) }];
        let body = RecordBody::Step(Arc::new(Step { number, consumed, ..Step::default() }));
        let (owner, low) = (OwnerName::new("a"), Low::default());
        Arc::new(Record { epoch: 1, owner, shards: 1, low, after: 0, emitted: 0, swept, body })
    }

    #[test]
    fn what_is_too_large_is_split_until_it_stands_alone() {
        let mut underway = Underway::new(WHOLE);
        let mut inputs = 100;
        let mut seen = Vec::new();
        loop {
            underway.clear();
            underway.sent(7, &record(1, inputs));
            match underway.too_large(7).unwrap() {
                TooLarge::Split(bounds) => inputs = bounds.inputs_max as u64,
                TooLarge::Alone(of) => break assert_eq!(of, "offset 0 of reports"),
            }
            seen.push(inputs);
        }
        assert_eq!(seen, [50, 25, 12, 6, 3, 1]);
        assert_eq!(underway.too_large(8), None, "of an earlier time");
    }

    #[test]
    fn steps_grow_again_when_it_goes_well() {
        let mut underway = Underway::new(WHOLE);
        underway.sent(1, &record(1, 128));
        underway.too_large(1);
        assert_eq!(underway.bounds().inputs_max, 64);
        for number in 1..=64 {
            underway.sent(number, &record(number, 1));
            assert_eq!(underway.accepted(number).1.len(), 1, "what it swept");
        }
        assert_eq!(underway.bounds().inputs_max, 128);
        assert_eq!(underway.waits(), None);
    }
}
