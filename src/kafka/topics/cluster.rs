//! What the cluster says there is.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::{Metadata, MetadataTopic};
use serde::Serialize;

use super::spec::Topic;
use super::{Error, Rule};
use crate::kafka::client::{Context, not_made, wait};
use crate::kafka::options::Options;
use crate::kafka::properties::Role;
use crate::model::Millis;
use crate::runtime::Clock;

/// One attempt to be told; then the next one, until the time is over.
const ATTEMPT: Duration = Duration::from_millis(1_000);

/// A missing topic is looked for so often before it counts as missing: two seconds in all.
const LOOKS: usize = 9;
const BETWEEN_LOOKS: Duration = Duration::from_millis(250);

/// Between two looks at what is about to change.
const PAUSE: Duration = Duration::from_millis(50);

/// A topic's properties, by Kafka's name of them.
pub type Properties = BTreeMap<String, String>;

/// A topic as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Seen {
    /// Its whole name.
    pub name: String,
    /// By number.
    pub partitions: Vec<SeenPartition>,
    /// Its properties as they count, set on it or come from the broker.
    pub config: Properties,
}

/// A partition as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct SeenPartition {
    /// Whether some broker leads it now.
    pub led: bool,
    /// Copies it shall have.
    pub copies: usize,
    /// Copies that hold everything now.
    pub in_sync: usize,
}

impl Seen {
    /// The fewest copies that a partition of it shall have.
    #[must_use]
    pub fn copies(&self) -> usize {
        self.partitions.iter().map(|partition| partition.copies).min().unwrap_or_default()
    }

    /// The fewest copies in sync that a partition of it has now.
    #[must_use]
    pub fn in_sync(&self) -> usize {
        self.partitions.iter().map(|partition| partition.in_sync).min().unwrap_or_default()
    }

    fn of(known: &MetadataTopic) -> Self {
        let mut numbered: Vec<_> = known
            .partitions()
            .iter()
            .map(|p| {
                let (copies, in_sync) = (p.replicas().len(), p.isr().len());
                (p.id(), SeenPartition { led: p.leader() >= 0, copies, in_sync })
            })
            .collect();
        numbered.sort_by_key(|(number, _)| *number);
        let partitions = numbered.into_iter().map(|(_, partition)| partition).collect();
        Self { name: known.name().to_owned(), partitions, config: BTreeMap::new() }
    }
}

/// Every topic of ours with what is there in its place.
///
/// # Errors
/// When `[kafka]` does not fit, or the cluster does not answer.
pub fn describe(options: &Options) -> Result<Vec<(Topic, Option<Seen>)>, Error> {
    Cluster::reach(options)?.topics()
}

/// A cluster that answers.
pub(super) struct Cluster<'a> {
    pub options: &'a Options,
    pub admin: AdminClient<Context>,
    /// Asks who is there. Unlike an admin client it can be polled, so that it says why it reaches nobody.
    asker: BaseConsumer<Context>,
}

impl<'a> Cluster<'a> {
    /// Asks until a broker answers.
    pub fn reach(options: &'a Options) -> Result<Self, Error> {
        if !options.enabled() {
            let way_out = "no broker is named; write `brokers = [\"host:9092\"]`, or name them with --brokers".into();
            return Err(crate::kafka::options::refused("brokers", "", way_out).into());
        }
        let asker = options.client(Role::Admin)?.create_with_context(Context::new(options)).map_err(not_made)?;
        let cluster = Self { options, admin: options.admin()?, asker };
        cluster.until(|known| (!known.brokers().is_empty()).then_some(()))?;
        Ok(cluster)
    }

    /// Asks again and again, until `look` sees what it looks for.
    pub fn until<T>(&self, look: impl Fn(&Metadata) -> Option<T>) -> Result<T, Error> {
        let (clock, within) = (Clock::wall(), self.options.start_timeout);
        let end = clock.now() + within;
        loop {
            let answer = self.asker.fetch_metadata(None, ATTEMPT);
            if let Some(found) = answer.as_ref().ok().and_then(&look) {
                return Ok(found);
            }
            // What it has to say (lines, errors, the wish for a token) comes by polling, while there is something; a poll
            // that does not wait would take one thing only. A message it never has.
            while self.asker.poll(PAUSE).is_some() {}
            if clock.now() >= end {
                let reason = match answer {
                    Ok(_) => String::from("they answer, and do not show yet what was made"),
                    Err(why) => self.asker.context().last_error().unwrap_or_else(|| why.to_string()),
                };
                return Err(Error::Unreachable { brokers: self.options.brokers.join(", "), within, reason });
            }
        }
    }

    /// Every topic of ours, with its properties where it is there. While one is missing it is looked for again: a broker
    /// hears a moment later than the others of what was just made, and any of them may be the one that answers.
    pub fn topics(&self) -> Result<Vec<(Topic, Option<Seen>)>, Error> {
        for _ in 1..LOOKS {
            let topics = self.topics_now()?;
            if topics.iter().all(|(_, seen)| seen.is_some()) {
                return Ok(topics);
            }
            std::thread::sleep(BETWEEN_LOOKS);
        }
        self.topics_now()
    }

    /// The same in one look.
    pub fn topics_now(&self) -> Result<Vec<(Topic, Option<Seen>)>, Error> {
        let mut topics = self.until(|known| {
            let named = |topic: Topic| {
                let name = self.options.topic(topic);
                known.topics().iter().find(|t| t.name() == name && t.error().is_none()).map(Seen::of)
            };
            Some(Topic::ALL.map(|topic| (topic, named(topic))).to_vec())
        })?;
        self.add_configs(&mut topics)?;
        Ok(topics)
    }

    /// Adds the properties that our rules speak of. A topic that the answering broker does not know is not there yet.
    fn add_configs(&self, topics: &mut [(Topic, Option<Seen>)]) -> Result<(), Error> {
        let refuse = |why: KafkaError| Error::Refused { what: "describe the topics".into(), reason: why.to_string() };
        let names: Vec<String> = topics.iter().filter_map(|(_, seen)| Some(seen.as_ref()?.name.clone())).collect();
        if names.is_empty() {
            return Ok(());
        }
        let asked: Vec<_> = names.iter().map(|name| ResourceSpecifier::Topic(name)).collect();
        let told = wait(self.admin.describe_configs(&asked, &self.patience())).map_err(refuse)?;
        for ((topic, seen), config) in topics.iter_mut().filter(|(_, seen)| seen.is_some()).zip(told) {
            match config {
                Ok(config) => {
                    let wanted: Vec<Rule> = topic.rules();
                    let ours = config.entries.into_iter().filter(|entry| wanted.iter().any(|r| r.key == entry.name));
                    let config = ours.map(|entry| (entry.name, entry.value.unwrap_or_default())).collect();
                    *seen = seen.take().map(|seen| Seen { config, ..seen });
                }
                Err(RDKafkaErrorCode::UnknownTopicOrPartition) => *seen = None,
                Err(code) => return Err(refuse(KafkaError::AdminOp(code))),
            }
        }
        Ok(())
    }

    /// How long the cluster may take over one thing.
    pub fn patience(&self) -> AdminOptions {
        let Millis(ms) = self.options.start_timeout;
        let span = Duration::from_millis(ms);
        AdminOptions::new().request_timeout(Some(span)).operation_timeout(Some(span))
    }
}
