//! The clients of Kafka that Muster uses, one function a role.

use rdkafka::ClientContext;
use rdkafka::admin::AdminClient;
use rdkafka::consumer::{BaseConsumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::producer::{NoCustomPartitioner, ProducerContext, ThreadedProducer};

use super::client::Context;
use super::options::{Options, OptionsError};
use super::properties::Role;

/// A consumer that is in no group and reads what it is told to.
pub type Reader = BaseConsumer<Context>;

/// A producer that tells what became of each message.
pub type Producer<C> = ThreadedProducer<C, NoCustomPartitioner>;

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum NoClient {
    /// `[kafka]` does not fit.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// The library makes none.
    #[error("no client could be made: {0}")]
    Kafka(#[from] KafkaError),
}

/// Makes clients.
#[derive(Clone, Debug)]
pub struct Clients {
    options: Options,
}

impl Clients {
    /// Clients by this configuration.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self { options }
    }

    /// The configuration.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// What all clients do beside their work.
    #[must_use]
    pub fn context(&self) -> Context {
        Context::new(&self.options)
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

    /// For what is asked of the cluster itself; made for a job and dropped.
    ///
    /// # Errors
    /// When the client refuses its settings.
    pub fn admin(&self) -> Result<AdminClient<Context>, NoClient> {
        Ok(self.options.admin()?)
    }

    /// Reads partitions that it is told to, from exact offsets.
    ///
    /// # Errors
    /// When the client refuses its settings.
    pub fn reader(&self) -> Result<Reader, NoClient> {
        Ok(self.options.client(Role::JournalReader)?.create_with_context(self.context())?)
    }

    /// For the journal of a shard: idempotent, several under way.
    ///
    /// # Errors
    /// When the client refuses its settings.
    pub fn journal_writer<C: ProducerContext<NoCustomPartitioner> + 'static>(
        &self,
        context: C,
    ) -> Result<Producer<C>, NoClient> {
        Ok(self.options.client(Role::JournalProducer)?.create_with_context(context)?)
    }

    /// For what leaves the house.
    ///
    /// # Errors
    /// When the client refuses its settings.
    pub fn outputs<C: ProducerContext<NoCustomPartitioner> + 'static>(
        &self,
        context: C,
    ) -> Result<Producer<C>, NoClient> {
        Ok(self.options.client(Role::OutputProducer)?.create_with_context(context)?)
    }

    /// For the group, whose consumer fetches nothing.
    ///
    /// # Errors
    /// When the client refuses its settings.
    pub fn group<C: ConsumerContext + ClientContext>(&self, context: C) -> Result<BaseConsumer<C>, NoClient> {
        Ok(self.options.client(Role::Input)?.create_with_context(context)?)
    }
}
