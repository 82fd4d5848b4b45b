//! The highest rate that keeps a promise: doubled until it breaks, then narrowed down.

use std::str::FromStr;

use serde::Serialize;

use super::outcome::Outcome;

/// Runs at most.
const RUNS_MAX: u32 = 16;
/// Narrowed down until the good and the bad rate are so close, in percent of the good one.
const CLOSE_PERCENT: f64 = 5.0;

/// `p99=25ms`: the quantile of report → order, in both lanes, and what it may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Goal {
    /// Milliseconds at p99.
    pub p99_ms: f64,
}

impl FromStr for Goal {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no goal; write it as p99=25ms");
        let span = text.strip_prefix("p99=").ok_or_else(wrong)?;
        let ms: crate::model::Millis = span.parse().map_err(|_| wrong())?;
        Ok(Self { p99_ms: ms.as_secs_f64() * 1000.0 }).and_then(|g| if g.p99_ms > 0.0 { Ok(g) } else { Err(wrong()) })
    }
}

impl Goal {
    /// Whether a run keeps it; if not, why.
    ///
    /// # Errors
    /// What it does not keep.
    pub fn kept_by(self, outcome: &Outcome) -> Result<(), String> {
        let p99 = outcome.order_p99_ms();
        if let Some(why) = outcome.void.first().or(outcome.findings.first()) {
            return Err(why.clone());
        }
        let refused = outcome.counts.refused_429 + outcome.counts.refused_503 + outcome.counts.unanswered;
        match p99 {
            _ if refused > 0 => Err(format!("{refused} reports were refused or not answered")),
            _ if !outcome.keeps_rate() => Err(format!("only {:.0} a second came through", outcome.rate)),
            Some(ms) if ms <= self.p99_ms => Ok(()),
            Some(ms) => Err(format!("p99 {ms:.1} ms")),
            None => Err("no report had an order".to_owned()),
        }
    }
}

/// One try.
#[derive(Clone, Debug, Serialize)]
pub struct Try {
    /// Reports a second.
    pub rate: f64,
    /// Whether the goal was kept.
    pub kept: bool,
    /// If not, why.
    pub why: String,
    /// From report to order at p99.
    pub p99_ms: Option<f64>,
    /// Whether the driver itself was late.
    pub driver_late: bool,
}

/// The search: asks for a rate, hears whether it was kept, and ends.
#[derive(Clone, Debug)]
pub struct Search {
    good: Option<f64>,
    bad: Option<f64>,
    next: f64,
    left: u32,
}

impl Search {
    /// Begins at this rate.
    #[must_use]
    pub fn from(rate: f64) -> Self {
        Self { good: None, bad: None, next: rate, left: RUNS_MAX }
    }

    /// The rate to try now; `None` when it is found, or the tries are used up.
    #[must_use]
    pub fn next(&self) -> Option<f64> {
        let close = |good: f64, bad: f64| bad - good <= good * CLOSE_PERCENT / 100.0;
        let found = self.good.zip(self.bad).is_some_and(|(good, bad)| close(good, bad));
        (self.left > 0 && !found && self.next >= 1.0).then_some(self.next)
    }

    /// The rate that was tried was kept, or not.
    pub fn told(&mut self, kept: bool) {
        if kept {
            self.good = Some(self.next);
        } else {
            self.bad = Some(self.next);
        }
        self.left = self.left.saturating_sub(1);
        self.next = match (self.good, self.bad) {
            (Some(good), Some(bad)) => f64::midpoint(good, bad),
            (Some(good), None) => good * 2.0,
            (None, Some(bad)) => bad / 2.0,
            (None, None) => self.next,
        };
    }

    /// The highest rate that was kept.
    #[must_use]
    pub fn best(&self) -> Option<f64> {
        self.good
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(from: f64, limit: f64) -> (Option<f64>, u32) {
        let (mut search, mut runs) = (Search::from(from), 0);
        while let Some(rate) = search.next() {
            search.told(rate <= limit);
            runs += 1;
        }
        (search.best(), runs)
    }

    #[test]
    fn the_rate_is_found_from_below_and_from_above() {
        for (from, limit) in [(100.0, 3_217.0), (50_000.0, 3_217.0), (3_217.0, 3_217.0)] {
            let (best, runs) = found(from, limit);
            let best = best.unwrap();
            assert!(best <= limit && best >= limit * 0.94, "{best} of {limit} in {runs}");
            assert!(runs <= RUNS_MAX);
        }
        assert_eq!(found(100.0, 0.0).0, None, "nothing is kept");
    }

    #[test]
    fn a_goal_is_read_and_a_wrong_one_refused() {
        assert_eq!("p99=25ms".parse::<Goal>().unwrap(), Goal { p99_ms: 25.0 });
        for wrong in ["25ms", "p50=1ms", "p99=fast", "p99=0s"] {
            assert!(wrong.parse::<Goal>().is_err(), "{wrong}");
        }
    }
}
