//! The clients of Kafka that Muster uses, one function a role.

use std::sync::Arc;

use rdkafka::admin::AdminClient;
use rdkafka::consumer::{BaseConsumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::producer::{NoCustomPartitioner, ProducerContext, ThreadedProducer};
use rdkafka::{ClientConfig, ClientContext};

use super::client::Context;
use super::options::Options;
use super::properties::Role;
use super::statistics::Statistics;
use crate::model::Millis;
use crate::telemetry::Metrics;

/// A consumer that is in no group and reads what it is told to.
pub type Reader = BaseConsumer<Context>;

/// A producer that tells what became of each message.
pub type Producer<C> = ThreadedProducer<C, NoCustomPartitioner>;

/// Makes clients.
#[derive(Clone, Debug)]
pub struct Clients {
    options: Options,
    statistics: Option<Arc<Statistics>>,
}

impl Clients {
    /// Clients by this configuration.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self { options, statistics: None }
    }

    /// The same, whose numbers are shown as metrics.
    #[must_use]
    pub fn measured(options: Options, metrics: &Arc<Metrics>) -> Self {
        Self { options, statistics: Some(Arc::new(Statistics::new(Arc::clone(metrics)))) }
    }

    /// The configuration.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// What all clients do beside their work.
    #[must_use]
    pub fn context(&self) -> Context {
        Context::new(&self.options).measured(self.statistics.clone())
    }

    /// The name of a topic.
    #[must_use]
    pub fn topic(&self, name: &str) -> String {
        format!("{}{name}", self.options.topic_prefix)
    }

    /// Whether this is that topic's name.
    #[must_use]
    pub fn is_topic(&self, topic: &str, name: &str) -> bool {
        topic.strip_prefix(self.options.topic_prefix.as_str()) == Some(name)
    }

    /// Reads partitions that it is told to, from exact offsets.
    ///
    /// # Errors
    /// When the client refuses its settings.
    pub fn reader(&self) -> Result<Reader, KafkaError> {
        self.config(Role::JournalReader)?.create_with_context(self.context())
    }

    /// For the journal of a shard: idempotent, several under way.
    ///
    /// # Errors
    /// When the client refuses its settings.
    pub fn journal_writer<C: ProducerContext<NoCustomPartitioner> + 'static>(
        &self,
        context: C,
    ) -> Result<Producer<C>, KafkaError> {
        self.config(Role::JournalProducer)?.create_with_context(context)
    }

    /// For what leaves the house.
    ///
    /// # Errors
    /// When the client refuses its settings.
    pub fn outputs<C: ProducerContext<NoCustomPartitioner> + 'static>(
        &self,
        context: C,
    ) -> Result<Producer<C>, KafkaError> {
        self.config(Role::OutputProducer)?.create_with_context(context)
    }

    /// For what comes over HTTP: at once, given up after `within`, and at most so many under way.
    ///
    /// # Errors
    /// When the client refuses its settings.
    pub fn gate<C: ProducerContext<NoCustomPartitioner> + 'static>(
        &self,
        context: C,
        within: Millis,
        messages_max: usize,
    ) -> Result<Producer<C>, KafkaError> {
        let mut config = self.config(Role::OutputProducer)?;
        config
            .set("message.timeout.ms", within.0.to_string())
            .set("linger.ms", "0")
            .set("queue.buffering.max.messages", messages_max.max(1).to_string());
        config.create_with_context(context)
    }

    /// For the group, whose consumer fetches nothing.
    ///
    /// # Errors
    /// When the client refuses its settings.
    pub fn group<C: ConsumerContext + ClientContext>(&self, context: C) -> Result<BaseConsumer<C>, KafkaError> {
        self.config(Role::Input)?.create_with_context(context)
    }

    /// For what is asked of the cluster itself.
    ///
    /// # Errors
    /// When the client refuses its settings.
    pub fn admin(&self) -> Result<AdminClient<Context>, KafkaError> {
        self.options.admin().map_err(|e| KafkaError::ClientCreation(e.to_string()))
    }

    /// Waits for an answer of the cluster, on a thread that may wait.
    ///
    /// # Errors
    /// As the answer says.
    pub fn wait<T>(&self, answer: impl Future<Output = Result<T, KafkaError>>) -> Result<T, KafkaError> {
        super::client::wait(answer)
    }

    fn config(&self, role: Role) -> Result<ClientConfig, KafkaError> {
        self.options.client(role).map_err(|e| KafkaError::ClientCreation(e.to_string()))
    }
}
