//! What a run came to, judged and told: one object for machines, one table for people.
//!
//! A run is **void** when it proves nothing: too much of it folded, merged or short of posts, or fewer incidents open than
//! was asked. A void run is no good result, however fast it was. A **finding** is something that must not be: a lost
//! report, one applied twice.

use std::fmt::Write as _;

use serde::Serialize;

use super::crews::Done;
use super::driver::Repeats;
use super::instance::Usage;
use super::run::{Ask, Measured};
use super::scrape::Spread;
use super::tally::{ByLane, Counts, Summary, Tally};
use super::verify::Found;

/// Of a hundred reports so many may be folded (the flood apart).
pub const FOLDED_PERCENT_MAX: f64 = 2.0;
/// So many may join another's incident.
pub const MERGED_PERCENT_MAX: f64 = 20.0;
/// Of a hundred orders and needs so many may be short of a post.
pub const SHORT_PERCENT_MAX: f64 = 5.0;
/// Of the incidents that shall be open so many are, at any instant.
pub const OPEN_PERCENT_MIN: f64 = 90.0;
/// A driver that sends later than this at p99, with a connection at hand, measures itself.
const LAG_MAX_MS: f64 = 10.0;
/// Requests that wait longer than this for a connection at p99 would do so at any door: more connections, or less rate.
const WAIT_MAX_MS: f64 = 10.0;
/// Of the asked rate so much must come through.
const RATE_PERCENT_MIN: f64 = 95.0;

/// A run, told.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// Reports a second that were asked for, and that were acknowledged.
    pub rate_asked: f64,
    /// The flood apart.
    pub rate: f64,
    /// How long it took, in seconds.
    pub took_s: f64,
    /// Reports of one request.
    pub batch: u32,
    /// Connections.
    pub connections: u32,
    /// What became of the reports.
    pub counts: Counts,
    /// In percent.
    pub shares: Shares,
    /// Incidents open: asked, the fewest, the most, and what the instance says at the end.
    pub open: Open,
    /// From the intended instant to the 202, which comes after the commit.
    pub report_to_answer: ByLane<Summary>,
    /// The same of those whose answer names an order.
    pub report_to_order: ByLane<Summary>,
    /// From that instant until the first order was seen on the stream.
    pub report_to_push: ByLane<Summary>,
    /// The flood beside it.
    pub flood: Option<FloodTold>,
    /// How late marks fired.
    pub mark_lateness: Spread,
    /// Commits to the journal.
    pub journal_append: Spread,
    /// Crews and desk.
    pub field: Done,
    /// What was sent once more.
    pub repeats: Repeats,
    /// Acknowledged reports, counted from outside.
    pub found: Found,
    /// Times the stream said that something was lost.
    pub stream_gaps: u64,
    /// How late the driver itself was.
    pub driver_lag: Summary,
    /// How long requests waited for a connection.
    pub connection_wait: Summary,
    /// What the instance took, where it is ours.
    pub server: Option<Usage>,
    /// What the driver took.
    pub driver: Option<Usage>,
    /// Why the run proves nothing; empty where it does.
    pub void: Vec<String>,
    /// What must not be.
    pub findings: Vec<String>,
    /// What else to know.
    pub notes: Vec<String>,
}

/// Shares of the city's reports, in percent.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Shares {
    /// Folded into a flood.
    pub folded: f64,
    /// Joined another's incident.
    pub merged: f64,
    /// Opened one, linked to another they may belong to.
    pub suggested: f64,
    /// Needs that nobody could serve, of those and the orders.
    pub short_of_posts: f64,
}

/// Open incidents.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Open {
    /// Asked.
    pub asked: u32,
    /// The fewest of ours while it was measured.
    pub least: usize,
    /// The most.
    pub most: usize,
    /// All of them at the end, as the instance says.
    pub told: u64,
}

/// The flood.
#[derive(Clone, Debug, Serialize)]
pub struct FloodTold {
    /// What became of it.
    pub counts: Counts,
    /// From the intended instant to the 202.
    pub report_to_answer: ByLane<Summary>,
}

fn percent(part: f64, of: f64) -> f64 {
    if of > 0.0 { (part / of * 10_000.0).round() / 100.0 } else { 0.0 }
}

#[expect(clippy::cast_precision_loss, reason = "counts of a run are far below 2^52")]
fn float(count: u64) -> f64 {
    count as f64
}

impl Outcome {
    /// Judges what was measured.
    #[must_use]
    pub fn of(ask: &Ask, m: Measured) -> Self {
        let (before, after) = &m.scrapes;
        let since = |name: &str, labels: &[&str]| after.sum(name, labels) - before.sum(name, labels);
        let short = since("muster_shortfalls_total", &[]);
        let orders = since("muster_orders_total", &["outcome=\"issued\""]);
        let (counts, taken) = (m.city.counts.clone(), float(m.city.counts.acknowledged));
        let merged = counts.joined + counts.late;
        let shares = Shares {
            folded: percent(float(counts.folded), taken),
            merged: percent(float(merged), taken),
            suggested: percent(float(counts.suggested), taken),
            short_of_posts: percent(short, short + orders),
        };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count, told as a float")]
        let told = m.open_told.max(0.0) as u64;
        let open = Open { asked: ask.open, least: m.open.0, most: m.open.1, told };
        let flood = m.flood.as_ref().map(|f| FloodTold {
            counts: f.counts.clone(),
            report_to_answer: f.answer.map(super::tally::Latencies::summary),
        });
        let took_s = m.took.as_secs_f64();
        let mut outcome = Self {
            rate_asked: ask.rate,
            rate: if took_s > 0.0 { taken / took_s } else { 0.0 },
            took_s,
            batch: ask.batch,
            connections: ask.connections,
            counts,
            shares,
            open,
            report_to_answer: m.city.answer.map(super::tally::Latencies::summary),
            report_to_order: m.city.order.map(super::tally::Latencies::summary),
            report_to_push: m.city.push.map(super::tally::Latencies::summary),
            flood,
            mark_lateness: after.spread(before, "muster_mark_lateness_seconds"),
            journal_append: after.spread(before, "muster_journal_append_seconds"),
            field: m.done,
            repeats: m.repeats,
            found: m.found,
            stream_gaps: m.gaps,
            driver_lag: m.city.lag.summary(),
            connection_wait: m.city.wait.summary(),
            server: m.server,
            driver: m.driver,
            void: Vec::new(),
            findings: Vec::new(),
            notes: Vec::new(),
        };
        outcome.void = outcome.void();
        outcome.findings = outcome.findings();
        outcome.notes = outcome.notes(&m.city);
        outcome
    }

    /// Whether it proves something, and nothing is wrong with it.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.void.is_empty() && self.findings.is_empty()
    }

    fn void(&self) -> Vec<String> {
        let mut void = Vec::new();
        let mut most = |is: f64, max: f64, what: &str, hint: &str| {
            if is > max {
                void.push(format!("{is:.1} % of the {what}, more than {max} %: {hint}"));
            }
        };
        let s = &self.shares;
        most(s.folded, FOLDED_PERCENT_MAX, "reports were folded", "what folds away proves nothing");
        most(s.merged, MERGED_PERCENT_MAX, "reports joined another's incident", "lower the rate or shorten the run");
        most(s.short_of_posts, SHORT_PERCENT_MAX, "needs were short of a post", "scale the roster (--roster)");
        #[expect(clippy::cast_precision_loss, reason = "counts of a run are far below 2^52")]
        let held = self.open.least as f64 >= f64::from(self.open.asked) * OPEN_PERCENT_MIN / 100.0;
        if !held {
            let (least, asked) = (self.open.least, self.open.asked);
            void.push(format!("only {least} incidents were open at some instant, of {asked} asked"));
        }
        if self.counts.acknowledged == 0 {
            void.push("no report was acknowledged".to_owned());
        }
        void
    }

    fn findings(&self) -> Vec<String> {
        let mut findings = Vec::new();
        if self.found.lost > 0 {
            let examples = self.found.examples.join(", ");
            findings.push(format!("{} acknowledged reports are nowhere: {examples}", self.found.lost));
        }
        if self.repeats.applied_twice > 0 {
            findings.push(format!("{} repeats were not known as such", self.repeats.applied_twice));
        }
        findings
    }

    fn notes(&self, city: &Tally) -> Vec<String> {
        let mut notes = Vec::new();
        if self.is_driver_late() {
            let lag = city.lag.ms(0.99).unwrap_or_default();
            notes.push(format!("the driver was the limit: at p99 it sent {lag:.1} ms late with a connection at hand"));
        }
        if let Some(wait) = city.wait.ms(0.99).filter(|ms| *ms > WAIT_MAX_MS) {
            notes.push(format!(
                "at p99 requests waited {wait:.1} ms for one of {} connections: the instance is slower than the rate, or \
                 --connections too few",
                self.connections
            ));
        }
        if !self.keeps_rate() {
            notes.push(format!("{:.0} reports a second came through, of {:.0} asked", self.rate, self.rate_asked));
        }
        if self.stream_gaps > 0 {
            notes.push(format!(
                "the stream said {} times that something was lost: pushes are incomplete",
                self.stream_gaps
            ));
        }
        if self.field.overrun + self.field.unanswered > 0 {
            notes.push("crews could not act on all of their orders in time".to_owned());
        }
        notes
    }

    /// Whether the driver itself was what was measured.
    #[must_use]
    pub fn is_driver_late(&self) -> bool {
        self.driver_lag.p99_ms.is_some_and(|ms| ms > LAG_MAX_MS)
    }

    /// Whether what was asked for came through.
    #[must_use]
    pub fn keeps_rate(&self) -> bool {
        self.rate * 100.0 >= self.rate_asked * RATE_PERCENT_MIN
    }

    /// The longer of both lanes' p99 from a report to its order, in milliseconds.
    #[must_use]
    pub fn order_p99_ms(&self) -> Option<f64> {
        let lanes = [&self.report_to_order.bottom_line, &self.report_to_order.ordinary];
        lanes.into_iter().filter_map(|lane| lane.p99_ms).max_by(f64::total_cmp)
    }

    /// The table.
    #[must_use]
    pub fn table(&self) -> String {
        let mut out = String::new();
        self.write_latencies(&mut out);
        self.write_counts(&mut out);
        for (word, lines) in [("VOID", &self.void), ("FOUND", &self.findings), ("note", &self.notes)] {
            for line in lines {
                let _ = writeln!(out, "{word}: {line}");
            }
        }
        out
    }

    fn write_latencies(&self, out: &mut String) {
        let _ = writeln!(
            out,
            "{:<38}{:>9}{:>9}{:>9}{:>9}{:>9}{:>9}",
            "milliseconds", "count", "p50", "p90", "p99", "p99.9", "max"
        );
        let both = [
            ("report → 202", &self.report_to_answer),
            ("report → order answered", &self.report_to_order),
            ("report → order pushed", &self.report_to_push),
        ];
        for (what, lanes) in both {
            row(out, &format!("{what}, bottom line"), &lanes.bottom_line);
            row(out, &format!("{what}, ordinary"), &lanes.ordinary);
        }
        if let Some(flood) = &self.flood {
            row(out, "flood → 202", &flood.report_to_answer.ordinary);
        }
        row(out, "act → 202", &self.field.latency);
        for (what, spread) in [("marks, late by (≤)", &self.mark_lateness), ("commits (≤)", &self.journal_append)] {
            let cell = |ms: Option<f64>| ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms}"));
            let (count, p50, p99) = (spread.count, cell(spread.p50_le_ms), cell(spread.p99_le_ms));
            let _ = writeln!(out, "{what:<38}{count:>9}{p50:>9}{:>9}{p99:>9}", "");
        }
        row(out, "the driver's own lag", &self.driver_lag);
        row(out, "wait for a connection", &self.connection_wait);
    }

    fn write_counts(&self, out: &mut String) {
        let (counts, found, shares) = (&self.counts, &self.found, &self.shares);
        let _ = writeln!(
            out,
            "\nrate       {:>10.0}/s  of {:.0}/s asked, {:.1} s, {} a request, {} connections",
            self.rate, self.rate_asked, self.took_s, self.batch, self.connections
        );
        let _ = writeln!(
            out,
            "reports    {:>10}  acknowledged {}, with an order {}, 429 {}, 503 {}, refused {}, unanswered {}",
            counts.sent,
            counts.acknowledged,
            counts.ordered,
            counts.refused_429,
            counts.refused_503,
            counts.refused_otherwise,
            counts.unanswered
        );
        if let Some(FloodTold { counts, .. }) = &self.flood {
            let _ = writeln!(
                out,
                "flood      {:>10}  acknowledged {}, folded {}, 429 {}, 503 {}, unanswered {}",
                counts.sent,
                counts.acknowledged,
                counts.folded,
                counts.refused_429,
                counts.refused_503,
                counts.unanswered
            );
        }
        let _ = writeln!(
            out,
            "shares     folded {:.1} %, merged {:.1} %, suggested {:.1} %, short of posts {:.1} %",
            shares.folded, shares.merged, shares.suggested, shares.short_of_posts
        );
        let _ = writeln!(
            out,
            "open       {:>10}  to {} of {} asked, {} by the instance's count",
            self.open.least, self.open.most, self.open.asked, self.open.told
        );
        let _ = writeln!(
            out,
            "lost       {:>10}  of {} looked for: {} on the board, {} in a timeline, {} elsewhere",
            found.lost, found.looked_for, found.on_the_board, found.in_a_timeline, found.elsewhere
        );
        let again = &self.repeats;
        let _ = writeln!(
            out,
            "again      {:>10}  known {}, applied twice {}; refused before, taken at last {}, given up {}",
            again.sent, again.known, again.applied_twice, again.taken_at_last, again.given_up
        );
        let field = &self.field;
        let _ = writeln!(
            out,
            "crews      {:>10}  acts, {} of them too late; {} incidents closed",
            field.acts, field.acts_refused, field.closed
        );
        for (who, usage) in [("instance", &self.server), ("driver", &self.driver)] {
            if let Some(Usage { cpu_s, resident_mib }) = usage {
                let cores = if self.took_s > 0.0 { cpu_s / self.took_s } else { 0.0 };
                let _ = writeln!(out, "{who:<11}{cores:>10.2}  cores, {resident_mib:.0} MiB");
            }
        }
    }
}

fn row(out: &mut String, what: &str, s: &Summary) {
    let cell = |ms: Option<f64>| ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.1}"));
    let (p50, p90, p99) = (cell(s.p50_ms), cell(s.p90_ms), cell(s.p99_ms));
    let (p999, max, count) = (cell(s.p999_ms), cell(s.max_ms), s.count);
    let _ = writeln!(out, "{what:<38}{count:>9}{p50:>9}{p90:>9}{p99:>9}{p999:>9}{max:>9}");
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::load::crews::Conduct;
    use crate::load::scrape::Scrape;

    fn ask() -> Ask {
        Ask {
            rate: 100.0,
            duration: Duration::from_secs(1),
            warm_up: Duration::ZERO,
            batch: 1,
            connections: 1,
            open: 10,
            conduct: Conduct { work: Duration::from_secs(1), acts: 5, unheard_percent: 0 },
            flood: None,
            day: false,
            bursts: None,
            retry: false,
            tidy: false,
        }
    }

    fn measured(counts: Counts, shortfalls: u32) -> Measured {
        let after = format!(
            "muster_orders_total{{kind=\"patrol\",outcome=\"issued\"}} 90\nmuster_shortfalls_total{{role=\"first\"}} {shortfalls}\n"
        );
        Measured {
            city: Tally { counts, ..Tally::default() },
            flood: None,
            took: Duration::from_secs(1),
            open: (10, 12),
            open_told: 11.0,
            scrapes: (Scrape::default(), Scrape::read(&after)),
            server: None,
            driver: None,
            done: Done::default(),
            repeats: Repeats::default(),
            found: Found::default(),
            gaps: 0,
        }
    }

    fn counts() -> Counts {
        Counts { sent: 100, acknowledged: 100, opened: 88, joined: 10, folded: 2, ..Counts::default() }
    }

    #[test]
    fn a_run_within_the_bounds_proves_something() {
        let told = Outcome::of(&ask(), measured(counts(), 4));
        assert!(told.is_good() && told.keeps_rate(), "{}", told.table());
        assert!((told.shares.short_of_posts - 4.26).abs() < 0.01, "{:?}", told.shares);
    }

    #[test]
    fn what_proves_nothing_is_void() {
        let void = |m: Measured| Outcome::of(&ask(), m).void;
        let one = |void: Vec<String>, word: &str| assert!(void.len() == 1 && void[0].contains(word), "{void:?}");
        one(void(measured(Counts { folded: 3, ..counts() }, 0)), "folded");
        one(void(measured(Counts { joined: 15, late: 6, ..counts() }, 0)), "joined");
        one(void(measured(counts(), 10)), "short of a post");
        one(void(Measured { open: (8, 20), ..measured(counts(), 0) }), "open at some instant");
        one(void(measured(Counts::default(), 0)), "acknowledged");
    }

    #[test]
    fn a_lost_report_is_a_finding_and_not_a_void_run() {
        let found = Found { lost: 2, examples: vec!["load-1-7".into()], ..Found::default() };
        let told = Outcome::of(&ask(), Measured { found, ..measured(counts(), 0) });
        assert!(told.void.is_empty() && !told.is_good());
        assert!(told.table().contains("FOUND: 2 acknowledged reports are nowhere: load-1-7"), "{}", told.table());
        let repeats = Repeats { applied_twice: 1, ..Repeats::default() };
        assert!(!Outcome::of(&ask(), Measured { repeats, ..measured(counts(), 0) }).is_good());
    }
}
