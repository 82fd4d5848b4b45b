//! Sets of runs under one name, each with what it has to show.
//!
//! `issue`: what the embedded store must carry on two cores. Ten thousand reports a second in batches; a thousand one by
//! one with their orders within 25 ms at p99; marks at most 100 ms late with ten thousand incidents open; and a flood of
//! fifty times the ordinary traffic that costs the bottom line no more than twice what it takes when all is quiet.

use std::time::Duration;

use serde::Serialize;

use super::city::Flood;
use super::crews::Conduct;
use super::outcome::Outcome;
use super::run::Ask;

/// A run of the set, and what it has to show.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its name.
    pub name: &'static str,
    /// What is asked of it.
    pub ask: Ask,
    /// So many times the roster.
    pub roster: u32,
    /// Whether the door's governor is as shipped.
    pub governed: bool,
    /// What it has to show.
    pub goal: Aim,
}

/// What has to be shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Aim {
    /// At least so many reports a second, each acknowledged.
    Rate(f64),
    /// Report → order at p99, in milliseconds, at most.
    OrderP99(f64),
    /// Marks late by at most so many milliseconds at p99.
    MarksP99(f64),
    /// The measure for what follows: nothing to show by itself.
    Idle,
    /// The bottom line's p99 at most so many times that of the run before.
    AgainstIdle(f64),
}

/// A line of the verdict.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// Of which run.
    pub name: &'static str,
    /// Whether it is shown.
    pub kept: bool,
    /// In words.
    pub verdict: String,
    /// The run.
    pub outcome: Outcome,
}

/// The four lines on the embedded store (five runs: the flood is measured against a quiet one).
#[must_use]
pub fn issue(short: bool) -> Vec<Case> {
    let span = Duration::from_secs(if short { 5 } else { 60 });
    // Warnings and misses of what nobody signs come after 18 s at the earliest (violence: 60 % of 30 s).
    let marks = Duration::from_secs(if short { 25 } else { 90 });
    let conduct = Conduct { work: Duration::from_millis(1_500), acts: 5, unheard_percent: 0 };
    let ask = Ask {
        rate: 1_000.0,
        duration: span,
        warm_up: Duration::from_secs(2),
        batch: 1,
        connections: 32,
        open: 10_000,
        conduct,
        flood: None,
        day: false,
        bursts: None,
        retry: false,
        tidy: false,
    };
    // At ten thousand a second an incident lives a second, and its crew has a third of it and one act.
    let brief = Conduct { work: Duration::from_millis(300), acts: 1, unheard_percent: 0 };
    let batches = Ask { rate: 10_000.0, batch: 64, connections: 16, conduct: brief, ..ask.clone() };
    // Nobody signs a fifth of the orders: their marks warn, and are missed.
    let silent = Conduct { unheard_percent: 20, ..conduct };
    let late = Ask { rate: 100.0, duration: marks, conduct: silent, ..ask.clone() };
    let quiet = Ask { rate: 100.0, open: 500, ..ask.clone() };
    let flooded = Ask { flood: Some(Flood { times: 50, sources: 100 }), ..quiet.clone() };
    let case = |name, ask, goal| Case { name, ask, roster: 16, governed: false, goal };
    vec![
        case("10,000 reports a second in batches", batches, Aim::Rate(10_000.0)),
        case("1,000 a second one by one", ask, Aim::OrderP99(25.0)),
        case("marks with 10,000 open", late, Aim::MarksP99(100.0)),
        Case { governed: true, ..case("the bottom line when all is quiet", quiet, Aim::Idle) },
        Case { governed: true, ..case("the bottom line under a 50x flood", flooded, Aim::AgainstIdle(2.0)) },
    ]
}

impl Case {
    /// What the run shows; `before` is the one that ran before it.
    #[must_use]
    pub fn judge(&self, outcome: Outcome, before: Option<&Line>) -> Line {
        let (kept, verdict) = self.goal.judge(&outcome, before.map(|line| &line.outcome));
        let proves = outcome.is_good();
        let why = if proves { "" } else { "; the run is void or found something" };
        Line { name: self.name, kept: kept && proves, verdict: format!("{verdict}{why}"), outcome }
    }
}

impl Aim {
    fn judge(self, outcome: &Outcome, before: Option<&Outcome>) -> (bool, String) {
        let within = |what: &str, is: Option<f64>, max: f64| match is {
            Some(ms) => (ms <= max, format!("{what} {ms:.1} ms, at most {max:.0}")),
            None => (false, format!("{what}: nothing was counted")),
        };
        match self {
            // What is asked for is exactly the goal, so a run that keeps its pace is a hair below it.
            Self::Rate(min) => {
                let kept = outcome.rate >= min * 0.98 && outcome.counts.acknowledged == outcome.counts.sent;
                (kept, format!("{:.0} reports a second acknowledged, at least {min:.0}", outcome.rate))
            }
            Self::OrderP99(max) => within("report → order p99", outcome.order_p99_ms(), max),
            Self::MarksP99(max) => within("marks late p99 ≤", outcome.mark_lateness.p99_le_ms, max),
            Self::Idle => (true, told("bottom line p99", bottom(outcome))),
            Self::AgainstIdle(max) => {
                let ratio = bottom(outcome).zip(before.and_then(bottom)).map(|(is, was)| is / was);
                let kept = ratio.is_some_and(|ratio| ratio <= max);
                let ratio = ratio.map_or_else(|| "nothing was counted".to_owned(), |r| format!("{r:.2} times idle"));
                (kept, format!("{}, {ratio}, at most {max:.0}", told("bottom line p99", bottom(outcome))))
            }
        }
    }
}

fn bottom(outcome: &Outcome) -> Option<f64> {
    outcome.report_to_answer.bottom_line.p99_ms
}

fn told(what: &str, ms: Option<f64>) -> String {
    ms.map_or_else(|| format!("{what}: nothing was counted"), |ms| format!("{what} {ms:.1} ms"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_set_asks_for_what_the_store_must_carry() {
        let cases = issue(false);
        let aims: Vec<Aim> = cases.iter().map(|c| c.goal).collect();
        let wanted = [Aim::Rate(10_000.0), Aim::OrderP99(25.0), Aim::MarksP99(100.0), Aim::Idle, Aim::AgainstIdle(2.0)];
        assert_eq!(aims, wanted);
        assert!(cases[..3].iter().all(|c| c.ask.open == 10_000));
        assert!(cases[..2].iter().all(|c| c.ask.duration == Duration::from_secs(60)));
        assert_eq!(cases[4].ask.flood.map(|f| f.times), Some(50));
        // Whoever is in a hurry asks for the same at less length.
        let short = issue(true);
        assert!(short.iter().zip(&cases).all(|(s, c)| s.ask.duration < c.ask.duration && s.goal == c.goal));
    }
}
