//! Makes what is missing, and nothing else.

use rdkafka::admin::{NewTopic, TopicReplication};
use rdkafka::types::RDKafkaErrorCode;
use serde::Serialize;

use super::check::{Finding, findings};
use super::cluster::Cluster;
use super::{Error, Topic};
use crate::kafka::client::wait;
use crate::kafka::options::Options;

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// Topics that were made.
    pub made: Vec<String>,
    /// Topics that were there. They were left as they are.
    pub kept: Vec<String>,
    /// What does not fit in those.
    pub findings: Vec<Finding>,
}

/// Makes the topics that are missing and waits until each of their partitions is led.
///
/// # Errors
/// When `[kafka]` does not fit, or the cluster does not answer, or refuses.
pub fn create(options: &Options) -> Result<Outcome, Error> {
    let cluster = Cluster::reach(options)?;
    let before = cluster.topics_now()?;
    let missing: Vec<Topic> = before.iter().filter(|(_, seen)| seen.is_none()).map(|(topic, _)| *topic).collect();
    let made = make(&cluster, &missing)?;
    await_leaders(&cluster, &missing)?;
    let names = Topic::ALL.iter().map(|topic| options.topic(*topic));
    let kept = names.filter(|name| !made.contains(name)).collect();
    Ok(Outcome { made, kept, findings: findings(options, &cluster.topics()?) })
}

fn make(cluster: &Cluster<'_>, missing: &[Topic]) -> Result<Vec<String>, Error> {
    let options = cluster.options;
    if missing.is_empty() {
        return Ok(Vec::new());
    }
    let refuse = |what: &str, reason: String| Err(Error::Refused { what: what.into(), reason });
    let names: Vec<String> = missing.iter().map(|topic| options.topic(*topic)).collect();
    let partitions = i32::try_from(options.partitions).expect("checked to be 10,000 at most");
    let copies = i32::try_from(options.copies()).expect("three at most");
    let topics: Vec<NewTopic<'_>> = missing
        .iter()
        .zip(&names)
        .map(|(topic, name)| {
            let new = NewTopic::new(name, partitions, TopicReplication::Fixed(copies));
            topic.rules().iter().fold(new, |new, rule| new.set(rule.key, rule.made(options.development)))
        })
        .collect();
    let results = match wait(cluster.admin.create_topics(&topics, &cluster.patience())) {
        Ok(results) => results,
        Err(why) => return refuse("create the topics", why.to_string()),
    };
    let mut made = Vec::new();
    for result in results {
        match result {
            Ok(name) => made.push(name),
            // Somebody else was quicker; what they made is looked at like all that is there.
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((name, RDKafkaErrorCode::InvalidReplicationFactor)) => {
                let way_out =
                    "it has fewer brokers than copies are wanted; for trying things out on one broker: --development";
                return refuse(&format!("create {name}"), format!("{way_out} ({} copies)", options.copies()));
            }
            Err((name, code)) => return refuse(&format!("create {name}"), code.to_string()),
        }
    }
    Ok(made)
}

/// A topic that was just made has no leaders yet, and some brokers have not heard of it.
fn await_leaders(cluster: &Cluster<'_>, topics: &[Topic]) -> Result<(), Error> {
    cluster.until(|known| {
        let led = |topic: &Topic| {
            let name = cluster.options.topic(*topic);
            let topic = known.topics().iter().find(|t| t.name() == name && !t.partitions().is_empty());
            topic.is_some_and(|t| t.partitions().iter().all(|p| p.leader() >= 0))
        };
        topics.iter().all(led).then_some(())
    })
}
