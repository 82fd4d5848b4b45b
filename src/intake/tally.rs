//! The count of a run, taken from its timeline and answers: from outside the engine, by nothing the engine counts itself.
//!
//! `demo` and `replay` tell the same figures, each counted here once. An input is accounted for when the timeline names it
//! (opened, joined, folded, late, repeated, handed over) or a rejection does; what is in neither is `unaccounted`, and
//! must be nothing.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use smol_str::SmolStr;

use crate::engine::{Answer, Entry, ReportOutcome, What};
use crate::model::{Act, EventId, OrderId, PostId, SourceId, Timestamp};

/// The figures that every run tells.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Counts {
    /// Reports handed to the engine.
    pub reports: u64,
    /// Incidents opened.
    pub incidents: u64,
    /// Reports that joined an incident instead of opening one.
    pub merged: u64,
    /// Reports that opened an incident and were linked to another they may belong to.
    pub suggested: u64,
    /// Reports that a flood folded.
    pub folded: u64,
    /// Inputs that could not be used, each with its reason.
    pub rejected: u64,
    /// Orders issued.
    pub orders: u64,
    /// Marks reached in time.
    pub marks_kept: u64,
    /// Marks missed, each once however often it was repeated.
    pub marks_missed: u64,
    /// Times an incident climbed a level.
    pub escalations: u64,
    /// All-calls begun.
    pub all_calls: u64,
    /// Needs that nobody could serve.
    pub shortfalls: u64,
    /// Inputs found in no timeline and no rejection.
    pub unaccounted: u64,
    /// From the first instant to the last, in seconds.
    pub simulated_s: u64,
    /// Real seconds it took.
    pub wall_s: f64,
}

/// Reads answers and timeline entries as they come.
#[derive(Debug, Default)]
pub struct Tally {
    /// What was counted so far.
    pub counts: Counts,
    /// Every report the timeline names.
    named: BTreeSet<(SourceId, EventId)>,
    /// What was asked and refused, by the stable word of its reason.
    pub refused: BTreeMap<SmolStr, u64>,
}

impl Tally {
    /// Reads what became of an input.
    pub fn answer(&mut self, answer: &Answer) {
        match answer {
            Answer::Report(report) if !report.repeat => match report.outcome {
                ReportOutcome::Joined => self.counts.merged += 1,
                ReportOutcome::Suggested => self.counts.suggested += 1,
                ReportOutcome::Folded => self.counts.folded += 1,
                _ => {}
            },
            Answer::Refused(refusal) => *self.refused.entry(refusal.code.clone()).or_default() += 1,
            _ => {}
        }
    }

    /// Reads one happening.
    pub fn see(&mut self, entry: &Entry) {
        let counts = &mut self.counts;
        match &entry.what {
            What::Opened { .. } => counts.incidents += 1,
            What::Ordered { .. } => counts.orders += 1,
            What::Kept { .. } => counts.marks_kept += 1,
            What::Missed { round: 0 | 1, .. } => counts.marks_missed += 1,
            What::LevelRaised { .. } => counts.escalations += 1,
            What::AllCallBegan { .. } => counts.all_calls += 1,
            What::Shortfall { .. } => counts.shortfalls += 1,
            _ => {}
        }
        if let What::Opened { source, event, .. }
        | What::Joined { source, event, .. }
        | What::Folded { source, event, .. }
        | What::LateReport { source, event, .. }
        | What::Repeated { source, event }
        | What::Forwarded { source, event, .. } = &entry.what
        {
            self.named.insert((source.clone(), event.clone()));
        }
    }

    /// Whether the timeline names this report.
    #[must_use]
    pub fn names(&self, source: &SourceId, event: &EventId) -> bool {
        self.named.contains(&(source.clone(), event.clone()))
    }
}

/// One leg of the way: how long, over all that have it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Leg {
    /// How many have it.
    pub count: usize,
    /// The median in seconds.
    pub median_s: Seconds,
    /// The value at index ⌊0.9 n⌋ of the sorted list, in seconds.
    pub p90_s: Seconds,
}

/// Seconds; written without a fraction where there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Seconds(pub f64);

impl Serialize for Seconds {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[expect(clippy::cast_possible_truncation, reason = "a span of whole seconds")]
        if self.0.fract() == 0.0 { serializer.serialize_i64(self.0 as i64) } else { serializer.serialize_f64(self.0) }
    }
}

impl std::fmt::Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} s", self.0)
    }
}

impl Leg {
    /// The leg of these spans, in milliseconds.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "seconds of a history")]
    pub fn of(mut spans: Vec<u64>) -> Self {
        spans.sort_unstable();
        let count = spans.len();
        let at = |index: usize| spans.get(index).map_or(0.0, |ms| *ms as f64 / 1000.0);
        let median = if count % 2 == 1 {
            at(count / 2)
        } else {
            f64::midpoint(at((count / 2).saturating_sub(1)), at(count / 2))
        };
        Self { count, median_s: Seconds(median), p90_s: Seconds(at(count * 9 / 10)) }
    }
}

/// The three legs that `replay` tells, read from the timeline.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Legs {
    /// From receipt to order, of each order.
    pub dispatch: Leg,
    /// From order to arrival, of each order that arrived.
    pub on_scene: Leg,
    /// From receipt to the first order, of each report.
    pub first_dispatch: Leg,
}

/// Reads the legs and the busy posts from a timeline.
#[derive(Debug, Default)]
pub struct Stopwatch {
    received: BTreeMap<EventId, Timestamp>,
    first: BTreeMap<EventId, u64>,
    /// Each order with the instant of its issue, until it has arrived.
    under_way: BTreeMap<OrderId, Timestamp>,
    dispatch: Vec<u64>,
    on_scene: Vec<u64>,
    /// Live orders of each post.
    bound: BTreeMap<PostId, BTreeSet<OrderId>>,
    /// Most distinct posts bound at once.
    pub busy_max: usize,
}

impl Stopwatch {
    /// Reads one happening. `about` is the report that an order was given for: of several in one incident it is the one
    /// the order answers.
    pub fn see(&mut self, about: &EventId, entry: &Entry) {
        match &entry.what {
            What::Opened { event, .. } | What::Joined { event, .. } | What::Folded { event, .. } => {
                self.received.insert(event.clone(), entry.at);
            }
            What::Ordered { order, post, .. } => {
                if let Some(received) = self.received.get(about) {
                    let after = entry.at.since(*received).0;
                    self.dispatch.push(after);
                    let first = self.first.entry(about.clone()).or_insert(after);
                    *first = after.min(*first);
                }
                self.under_way.insert(order.clone(), entry.at);
                self.bound.entry(post.clone()).or_default().insert(order.clone());
                self.busy_max = self.busy_max.max(self.bound.len());
            }
            What::Acted { order: Some(order), act: Act::OnScene, .. } => {
                if let Some(ordered) = self.under_way.remove(order) {
                    self.on_scene.push(entry.at.since(ordered).0);
                }
            }
            What::Acted { order: Some(order), post, act: Act::Cleared | Act::Declined, .. } => {
                self.release(&post.as_str().into(), order);
            }
            What::Recalled { order, post, .. } => self.release(post, order),
            _ => {}
        }
    }

    fn release(&mut self, post: &PostId, order: &OrderId) {
        if let Some(orders) = self.bound.get_mut(post) {
            orders.remove(order);
            if orders.is_empty() {
                self.bound.remove(post);
            }
        }
    }

    /// Orders that never arrived.
    #[must_use]
    pub fn missing_on_scene(&self) -> usize {
        self.under_way.len()
    }

    /// The legs.
    #[must_use]
    pub fn legs(&self) -> Legs {
        Legs {
            dispatch: Leg::of(self.dispatch.clone()),
            on_scene: Leg::of(self.on_scene.clone()),
            first_dispatch: Leg::of(self.first.values().copied().collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_taken_as_the_answer_keys_take_them() {
        let leg = Leg::of((1..=10).map(|s| s * 1000).collect());
        assert_eq!((leg.count, leg.median_s, leg.p90_s), (10, Seconds(5.5), Seconds(10.0)));
        assert_eq!(Leg::of(vec![7_000, 1_000, 3_000]).median_s, Seconds(3.0));
        assert_eq!(Leg::of(Vec::new()), Leg::default());
        assert_eq!(serde_json::to_string(&Leg::of(vec![2_500])).unwrap(), r#"{"count":1,"median_s":2.5,"p90_s":2.5}"#);
        assert_eq!(serde_json::to_string(&Leg::of(vec![2_000])).unwrap(), r#"{"count":1,"median_s":2,"p90_s":2}"#);
    }
}
