//! Latencies and counts of one stretch of a run.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::clock::micros;
use crate::model::Lane;

/// Two minutes, in microseconds: longer than anybody waits for an answer.
const LATENCY_MAX_US: u64 = 120_000_000;

/// Latencies from a microsecond to two minutes, to three digits, in a fixed size.
#[derive(Clone, Debug)]
pub struct Latencies(Histogram<u64>);

impl Default for Latencies {
    fn default() -> Self {
        Self(Histogram::new_with_bounds(1, LATENCY_MAX_US, 3).expect("the bounds are constants that it takes"))
    }
}

impl Latencies {
    /// Counts one; what is longer than two minutes counts as two minutes.
    pub fn add(&mut self, span: Duration) {
        self.0.saturating_record(micros(span).max(1));
    }

    /// The share `quantile` took no longer than this, in milliseconds; `None` of nothing.
    #[must_use]
    pub fn ms(&self, quantile: f64) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "two minutes of microseconds are far below 2^52")]
        let ms = |us: u64| us as f64 / 1_000.0;
        (!self.0.is_empty()).then(|| ms(self.0.value_at_quantile(quantile)))
    }

    /// In short.
    #[must_use]
    pub fn summary(&self) -> Summary {
        Summary {
            count: self.0.len(),
            p50_ms: self.ms(0.5),
            p90_ms: self.ms(0.9),
            p99_ms: self.ms(0.99),
            p999_ms: self.ms(0.999),
            max_ms: self.ms(1.0),
        }
    }
}

/// A distribution in short, in milliseconds; empty where nothing was counted.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    /// How many.
    pub count: u64,
    /// Half took no longer.
    pub p50_ms: Option<f64>,
    /// Nine of ten.
    pub p90_ms: Option<f64>,
    /// Of a hundred all but one.
    pub p99_ms: Option<f64>,
    /// Of a thousand all but one.
    pub p999_ms: Option<f64>,
    /// The longest.
    pub max_ms: Option<f64>,
}

/// One of something for each lane.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ByLane<T> {
    /// Of the bottom line.
    pub bottom_line: T,
    /// Of the rest.
    pub ordinary: T,
}

impl<T> ByLane<T> {
    /// That of a lane.
    pub fn of(&mut self, lane: Lane) -> &mut T {
        match lane {
            Lane::BottomLine => &mut self.bottom_line,
            Lane::Ordinary => &mut self.ordinary,
        }
    }

    /// Each turned into something else.
    pub fn map<U>(&self, f: impl Fn(&T) -> U) -> ByLane<U> {
        ByLane { bottom_line: f(&self.bottom_line), ordinary: f(&self.ordinary) }
    }
}

/// What became of reports, as their answers say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Reports sent, each counted once.
    pub sent: u64,
    /// Answered with 202.
    pub acknowledged: u64,
    /// Of those, with at least one order.
    pub ordered: u64,
    /// Told to come again by the governor (429).
    pub refused_429: u64,
    /// Told to come again because a queue is full (503).
    pub refused_503: u64,
    /// Refused for any other reason.
    pub refused_otherwise: u64,
    /// Not answered at all.
    pub unanswered: u64,
    /// Opened an incident.
    pub opened: u64,
    /// Of those, linked to another they may belong to.
    pub suggested: u64,
    /// Joined an open incident.
    pub joined: u64,
    /// Belong to a closed one, by the rule for late reports.
    pub late: u64,
    /// Folded into a flood.
    pub folded: u64,
    /// Handed to another centre.
    pub forwarded: u64,
}

impl Counts {
    /// One more, by the word of the answer.
    pub fn outcome(&mut self, word: &str) {
        match word {
            "opened" => self.opened += 1,
            "suggested" => {
                self.opened += 1;
                self.suggested += 1;
            }
            "joined" => self.joined += 1,
            "late" | "reopened" => self.late += 1,
            "folded" => self.folded += 1,
            "forwarded" => self.forwarded += 1,
            _ => {}
        }
    }

    /// One more that the door did not take.
    pub fn refused(&mut self, status: u16) {
        match status {
            429 => self.refused_429 += 1,
            503 => self.refused_503 += 1,
            _ => self.refused_otherwise += 1,
        }
    }
}

/// One stretch of a run.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// What became of the reports.
    pub counts: Counts,
    /// From the instant a report was meant to be sent to its 202.
    pub answer: ByLane<Latencies>,
    /// The same, of those whose answer names an order.
    pub order: ByLane<Latencies>,
    /// From that instant until the first order was seen on the stream.
    pub push: ByLane<Latencies>,
    /// How late a request was sent that had a connection in time: the driver's own doing.
    pub lag: Latencies,
    /// How long a request waited for a connection: all of them were waiting for answers.
    pub wait: Latencies,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_keep_three_digits_and_take_anything() {
        let mut latencies = Latencies::default();
        assert_eq!(latencies.summary(), Summary::default());
        for ms in 1..=1000 {
            latencies.add(Duration::from_millis(ms));
        }
        latencies.add(Duration::from_secs(1_000_000));
        latencies.add(Duration::ZERO);
        let told = latencies.summary();
        assert_eq!(told.count, 1002);
        assert!((told.p50_ms.unwrap() - 500.0).abs() < 2.0, "{told:?}");
        assert!((told.max_ms.unwrap() - 120_000.0).abs() < 200.0, "{told:?}");
    }

    #[test]
    fn each_word_of_an_answer_is_counted_where_it_belongs() {
        let mut counts = Counts::default();
        for word in ["opened", "suggested", "joined", "late", "reopened", "folded", "forwarded", "?"] {
            counts.outcome(word);
        }
        for status in [429, 503, 400, 413] {
            counts.refused(status);
        }
        assert_eq!((counts.opened, counts.suggested, counts.joined, counts.late), (2, 1, 1, 2));
        assert_eq!((counts.folded, counts.forwarded), (1, 1));
        assert_eq!((counts.refused_429, counts.refused_503, counts.refused_otherwise), (1, 1, 2));
    }
}
