//! The topics: one table, which `muster topics` makes, checks and describes by, and nothing else says again.

use std::fmt;

use crate::kafka::options::Options;

/// A topic of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    /// Reports, as producers send them.
    Reports,
    /// What comes from the field: acts, positions, delivery outcomes.
    Field,
    /// What operators say; roster and playbook.
    Commands,
    /// The steps of every shard.
    Journal,
    /// Orders to posts.
    Orders,
    /// Notices to desks and agencies.
    Notices,
    /// What happened, incident by incident.
    Timeline,
    /// What could not be taken, with the reason and where it came from.
    Rejected,
    /// A hint where to restore a shard from.
    Heads,
    /// Each incident as it is now.
    Incidents,
    /// Each post as it is now.
    Posts,
}

use Topic::{Commands, Field, Heads, Incidents, Journal, Notices, Orders, Posts, Rejected, Reports, Timeline};

impl Topic {
    /// All of them, in the order of the way that a report takes.
    pub const ALL: [Self; 11] =
        [Reports, Field, Commands, Journal, Orders, Notices, Timeline, Rejected, Heads, Incidents, Posts];

    /// What a shard reads.
    pub const INPUTS: [Self; 3] = [Reports, Field, Commands];

    /// Its name without the prefix.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Reports => "reports",
            Field => "field",
            Commands => "commands",
            Journal => "journal",
            Orders => "orders",
            Notices => "notices",
            Timeline => "timeline",
            Rejected => "rejected",
            Heads => "heads",
            Incidents => "incidents",
            Posts => "posts",
        }
    }

    /// What is on it, and what its key is.
    #[must_use]
    pub fn what(self) -> &'static str {
        match self {
            Reports => "in: reports; key = command area",
            Field => "in: acts, positions and delivery outcomes; key = command area",
            Commands => "in: operators' commands, roster, playbook; key = command area",
            Journal => "the steps of each shard, in the order that decides; trimmed by its owner",
            Orders => "out: orders; key = order",
            Notices => "out: notices, calls, agencies; key = notice",
            Timeline => "out: what happened; key = incident",
            Rejected => "out: what could not be taken, and why; key = where it came from",
            Heads => "a hint where to restore from; key = shard",
            Incidents => "each incident as it is now, for other systems; key = incident",
            Posts => "each post as it is now, for other systems; key = post",
        }
    }

    /// What it is set to, and what of it is demanded.
    #[must_use]
    pub fn rules(self) -> Vec<Rule> {
        let own: &[Rule] = match self {
            Reports | Field | Commands => INPUT,
            Journal => JOURNAL,
            Orders | Notices => &[DELETE, KEPT_A_WEEK],
            Timeline | Rejected => &[DELETE, KEPT_A_MONTH],
            Heads | Incidents | Posts => COMPACTED,
        };
        own.iter().chain(EVERY).copied().collect()
    }
}

impl Options {
    /// The topic's whole name.
    #[must_use]
    pub fn topic(&self, topic: Topic) -> String {
        format!("{}{}", self.topic_prefix, topic.name())
    }

    /// Copies of each partition.
    #[must_use]
    pub fn copies(&self) -> usize {
        if self.development { 1 } else { COPIES }
    }
}

/// A partition survives the loss of a broker, and of a second one while the first is away.
const COPIES: usize = 3;

/// One property of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Kafka's name of it.
    pub key: &'static str,
    /// What `muster topics create` sets it to.
    pub made: &'static str,
    /// What `muster topics check` takes.
    pub demand: Demand,
    /// Why.
    pub why: &'static str,
    /// A single broker cannot keep it, so that development goes without.
    pub of_many: bool,
}

/// What a property may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demand {
    /// What it is made as, nothing else.
    AsMade,
    /// So much or more; -1 means without end.
    AtLeast(i64),
    /// It is no matter of right or wrong.
    Anything,
}

const DAY: i64 = 24 * 60 * 60 * 1000;

const fn rule(key: &'static str, made: &'static str, demand: Demand, why: &'static str) -> Rule {
    Rule { key, made, demand, why, of_many: false }
}

const DELETE: Rule =
    rule("cleanup.policy", "delete", Demand::AsMade, "compaction would take away what has not been read yet");

const ENDLESS: Rule = rule(
    "retention.bytes",
    "-1",
    Demand::AsMade,
    "a flood must not push out what nobody has decided on yet; bound the time instead",
);

/// The receipt is when the broker took it: marks are counted from there, whatever a producer's clock says.
const STAMPED: Rule = rule(
    "message.timestamp.type",
    "LogAppendTime",
    Demand::AsMade,
    "the broker's time of receipt is what marks are counted from, not a producer's clock",
);

const KEPT_A_WEEK: Rule =
    rule("retention.ms", "604800000", Demand::AtLeast(DAY), "who was away for a day must find what it has not read");

const KEPT_A_MONTH: Rule =
    rule("retention.ms", "2592000000", Demand::AtLeast(DAY), "who was away for a day must find what it has not read");

const INPUT: &[Rule] = &[DELETE, KEPT_A_WEEK, ENDLESS, STAMPED];

const JOURNAL: &[Rule] = &[
    rule("cleanup.policy", "delete", Demand::AsMade, "a compacted journal has gaps, and its rule counts offsets"),
    rule("retention.ms", "-1", Demand::AsMade, "its owner trims it; a shard that slept for a month must lose nothing"),
    rule("retention.bytes", "-1", Demand::AsMade, "its owner trims it; nothing else may shorten it"),
    STAMPED,
    rule("segment.ms", "86400000", Demand::Anything, "what was trimmed leaves the disk within a day"),
];

const COMPACTED: &[Rule] = &[
    rule("cleanup.policy", "compact", Demand::AsMade, "the newest of each key is kept for good"),
    rule("segment.ms", "86400000", Demand::Anything, "what is outdated leaves the disk within a day"),
];

const EVERY: &[Rule] = &[
    rule("max.message.bytes", "1048576", Demand::AtLeast(1_048_576), "a full batch of records must fit"),
    Rule {
        of_many: true,
        ..rule(
            "min.insync.replicas",
            "2",
            Demand::AtLeast(2),
            "what is acknowledged must lie on two disks, else the loss of one broker loses a decision",
        )
    },
    rule(
        "unclean.leader.election.enable",
        "false",
        Demand::AsMade,
        "a leader that lacks what was acknowledged would let it be decided twice",
    ),
];

impl Rule {
    /// What it is made as, with one broker or many.
    #[must_use]
    pub fn made(&self, development: bool) -> &'static str {
        if development && self.of_many { "1" } else { self.made }
    }

    /// Whether `found` will do.
    #[must_use]
    pub fn holds(&self, found: &str, development: bool) -> bool {
        match self.demand {
            Demand::Anything => true,
            _ if development && self.of_many => true,
            Demand::AsMade => found.eq_ignore_ascii_case(self.made),
            Demand::AtLeast(least) => found.parse::<i64>().is_ok_and(|n| n >= least || n == -1),
        }
    }
}

/// As a demand reads: `delete`, `at least 2`.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.demand {
            Demand::AtLeast(least) => write!(f, "at least {least}"),
            _ => f.write_str(self.made),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_is_what_is_demanded() {
        for topic in Topic::ALL {
            let rules = topic.rules();
            for (ix, rule) in rules.iter().enumerate() {
                for development in [false, true] {
                    assert!(rule.holds(rule.made(development), development), "{topic:?} {rule:?}");
                }
                assert!(rules[..ix].iter().all(|other| other.key != rule.key), "{topic:?} sets {} twice", rule.key);
            }
        }
    }

    #[test]
    fn the_journal_is_never_shortened_by_anybody_else() {
        let wrong =
            [("cleanup.policy", "compact"), ("cleanup.policy", "compact,delete"), ("retention.ms", "604800000")];
        for (key, value) in wrong {
            let rules = Journal.rules();
            let rule = rules.iter().find(|rule| rule.key == key).unwrap();
            assert!(!rule.holds(value, true), "{key}={value}: development lifts copies only");
        }
    }

    #[test]
    fn a_retention_may_be_longer_and_without_end() {
        let rules = Reports.rules();
        let kept = rules.iter().find(|rule| rule.key == "retention.ms").unwrap();
        assert!(kept.holds("-1", false) && kept.holds("9999999999", false) && kept.holds("86400000", false));
        assert!(!kept.holds("3600000", false) && !kept.holds("", false));
        assert_eq!(kept.to_string(), "at least 86400000");
    }

    #[test]
    fn names_begin_with_the_prefix() {
        let options = Options { topic_prefix: "hy.".into(), ..Options::default() };
        assert_eq!(options.topic(Topic::Journal), "hy.journal");
        assert_eq!(Options::default().topic(Topic::Reports), "muster.reports");
        assert_eq!((Options::default().copies(), Options { development: true, ..options }.copies()), (3, 1));
    }
}
