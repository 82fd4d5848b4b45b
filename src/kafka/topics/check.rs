//! What is there against what is demanded.

use std::fmt;

use serde::Serialize;

use super::cluster::{Cluster, Seen};
use super::spec::Topic;
use super::{Error, Rule};
use crate::kafka::options::Options;

/// Something that does not fit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The topic's whole name.
    pub topic: String,
    /// Which of its properties, or `topic`, `partitions`, `replication`.
    pub what: String,
    /// What is there.
    pub found: String,
    /// What is wanted.
    pub wanted: String,
    /// Why.
    pub why: String,
    /// What to do about it.
    pub way_out: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { topic, what, found, wanted, why, way_out } = self;
        write!(f, "{topic}: {what} is {found}, wanted {wanted}: {why}\n    {way_out}")
    }
}

/// Topics that fit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Layout {
    /// Partitions of every topic: the number of shards.
    pub partitions: u32,
    /// The fewest copies that any partition shall have.
    pub copies: usize,
}

/// Everything that does not fit, topic by topic.
///
/// # Errors
/// When `[kafka]` does not fit, or the cluster does not answer.
pub fn check(options: &Options) -> Result<Vec<Finding>, Error> {
    Ok(findings(options, &Cluster::reach(options)?.topics()?))
}

/// What a start may rest on.
///
/// # Errors
/// When `[kafka]` does not fit, the cluster does not answer within `start_timeout`, or the topics do not fit.
pub fn verify(options: &Options) -> Result<Layout, Error> {
    let topics = Cluster::reach(options)?.topics()?;
    let findings = findings(options, &topics);
    if !findings.is_empty() {
        return Err(Error::Unfit(findings));
    }
    let copies = topics.iter().filter_map(|(_, seen)| seen.as_ref()).map(Seen::copies).min().unwrap_or_default();
    Ok(Layout { partitions: options.partitions, copies })
}

pub(super) fn findings(options: &Options, topics: &[(Topic, Option<Seen>)]) -> Vec<Finding> {
    topics.iter().flat_map(|(topic, seen)| of_topic(options, *topic, seen.as_ref(), others(topics))).collect()
}

/// The number of partitions, where all topics that are there agree on it.
fn others(topics: &[(Topic, Option<Seen>)]) -> Option<usize> {
    let mut counts = topics.iter().filter_map(|(_, seen)| seen.as_ref()).map(|seen| seen.partitions.len());
    let first = counts.next()?;
    counts.all(|count| count == first).then_some(first)
}

fn of_topic(options: &Options, topic: Topic, seen: Option<&Seen>, agreed: Option<usize>) -> Vec<Finding> {
    let name = options.topic(topic);
    let Some(seen) = seen else {
        let way_out =
            format!("`muster topics create` makes it{}", if options.development { " (--development)" } else { "" });
        return vec![Finding {
            topic: name,
            what: "topic".into(),
            found: "missing".into(),
            wanted: format!("{} partitions", options.partitions),
            why: topic.what().into(),
            way_out,
        }];
    };
    let mut findings = Vec::new();
    findings.extend(of_partitions(options, &name, seen, agreed));
    findings.extend(of_copies(options, &name, seen));
    findings.extend(topic.rules().iter().filter_map(|rule| of_rule(options, &name, seen, rule)));
    findings
}

fn of_partitions(options: &Options, name: &str, seen: &Seen, agreed: Option<usize>) -> Option<Finding> {
    let (found, wanted) = (seen.partitions.len(), options.partitions);
    if u32::try_from(found).ok() == Some(wanted) {
        return None;
    }
    let way_out = match agreed {
        Some(all) => format!(
            "all topics have {all}: set `[kafka] partitions = {all}`, or begin anew under another `topic_prefix`"
        ),
        None => format!(
            "begin anew under another `topic_prefix`; or, if nothing in it is needed any more: kafka-topics.sh --bootstrap-server {} \
             --delete --topic {name}, then `muster topics create`",
            options.brokers.join(",")
        ),
    };
    Some(Finding {
        topic: name.into(),
        what: "partitions".into(),
        found: found.to_string(),
        wanted: wanted.to_string(),
        why: "a shard has the same number in every topic; another number of them sends its areas elsewhere".into(),
        way_out,
    })
}

fn of_copies(options: &Options, name: &str, seen: &Seen) -> Option<Finding> {
    let (found, wanted) = (seen.copies(), options.copies());
    (found < wanted).then(|| Finding {
        topic: name.into(),
        what: "replication".into(),
        found: found.to_string(),
        wanted: format!("at least {wanted}"),
        why: "with fewer copies the loss of a broker stops the city, or forgets what was decided".into(),
        way_out: "kafka-reassign-partitions.sh gives it more copies; for trying things out on one broker there is \
                  `[kafka] development = true` (--development)"
            .into(),
    })
}

fn of_rule(options: &Options, name: &str, seen: &Seen, rule: &Rule) -> Option<Finding> {
    let found = seen.config.get(rule.key).map_or("", String::as_str);
    if rule.holds(found, options.development) {
        return None;
    }
    Some(Finding {
        topic: name.into(),
        what: rule.key.into(),
        found: if found.is_empty() { "unknown".into() } else { found.into() },
        wanted: rule.to_string(),
        why: rule.why.into(),
        way_out: format!(
            "kafka-configs.sh --bootstrap-server {} --alter --entity-type topics --entity-name {name} --add-config {}={}",
            options.brokers.join(","),
            rule.key,
            rule.made(options.development)
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::super::SeenPartition;
    use super::*;

    fn options() -> Options {
        Options { brokers: vec!["b:9092".into()], partitions: 4, ..Options::default() }
    }

    /// A topic as `create` would make it.
    fn good(options: &Options, topic: Topic) -> Seen {
        let partition = SeenPartition { led: true, copies: options.copies(), in_sync: options.copies() };
        let config = topic.rules().iter().map(|r| (r.key.into(), r.made(options.development).into())).collect();
        Seen { name: options.topic(topic), partitions: vec![partition; options.partitions as usize], config }
    }

    fn cluster(options: &Options) -> Vec<(Topic, Option<Seen>)> {
        Topic::ALL.map(|topic| (topic, Some(good(options, topic)))).to_vec()
    }

    fn change(topics: &mut [(Topic, Option<Seen>)], topic: Topic, change: impl FnOnce(&mut Seen)) {
        change(topics.iter_mut().find(|(other, _)| *other == topic).unwrap().1.as_mut().unwrap());
    }

    #[test]
    fn what_is_made_fits() {
        for development in [false, true] {
            let options = Options { development, ..options() };
            assert_eq!(findings(&options, &cluster(&options)), []);
        }
    }

    #[test]
    fn each_thing_that_does_not_fit_is_named_with_its_way_out() {
        let mut topics = cluster(&options());
        change(&mut topics, Topic::Journal, |seen| {
            seen.config.insert("cleanup.policy".into(), "compact".into());
        });
        change(&mut topics, Topic::Reports, |seen| {
            seen.config.insert("retention.ms".into(), "3600000".into());
        });
        change(&mut topics, Topic::Field, |seen| seen.partitions.truncate(3));
        change(&mut topics, Topic::Orders, |seen| seen.partitions[2].copies = 2);
        topics.iter_mut().find(|(topic, _)| *topic == Topic::Posts).unwrap().1 = None;
        let found = findings(&options(), &topics);
        let said: Vec<String> =
            found.iter().map(|f| format!("{} {} {} {}", f.topic, f.what, f.found, f.wanted)).collect();
        assert_eq!(
            said,
            [
                "muster.reports retention.ms 3600000 at least 86400000",
                "muster.field partitions 3 4",
                "muster.journal cleanup.policy compact delete",
                "muster.orders replication 2 at least 3",
                "muster.posts topic missing 4 partitions",
            ]
        );
        assert!(found[0].way_out.ends_with("--entity-name muster.reports --add-config retention.ms=604800000"));
        assert!(found[1].way_out.contains("--delete --topic muster.field"));
    }

    #[test]
    fn development_lifts_copies_and_nothing_else() {
        let many = options();
        let one = Options { development: true, ..options() };
        let mut topics = cluster(&one);
        assert_eq!(findings(&many, &topics).len(), 2 * Topic::ALL.len(), "copies and in-sync copies of each");
        change(&mut topics, Topic::Journal, |seen| {
            seen.config.insert("unclean.leader.election.enable".into(), "true".into());
        });
        assert_eq!(findings(&one, &topics)[0].what, "unclean.leader.election.enable");
    }

    #[test]
    fn where_all_agree_on_another_number_the_setting_is_wrong() {
        let found = findings(&Options { partitions: 8, ..options() }, &cluster(&options()));
        assert_eq!(found.len(), Topic::ALL.len());
        assert!(
            found[0].way_out.starts_with("all topics have 4: set `[kafka] partitions = 4`"),
            "{}",
            found[0].way_out
        );
    }
}
