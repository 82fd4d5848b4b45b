//! The clients of Kafka that Muster uses, one function a role.

use rdkafka::ClientConfig;
use rdkafka::admin::AdminClient;
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::KafkaError;
use rdkafka::producer::{NoCustomPartitioner, ProducerContext, ThreadedProducer};

/// Makes clients.
#[derive(Clone, Debug)]
pub struct Clients {
    brokers: String,
    prefix: String,
}

impl Clients {
    /// Clients of these brokers; topics are named with this prefix.
    #[must_use]
    pub fn new(brokers: &str, prefix: &str) -> Self {
        Self { brokers: brokers.to_owned(), prefix: prefix.to_owned() }
    }

    /// The name of a topic.
    #[must_use]
    pub fn topic(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Whether this is that topic's name.
    #[must_use]
    pub fn is_topic(&self, topic: &str, name: &str) -> bool {
        topic.strip_prefix(self.prefix.as_str()) == Some(name)
    }

    fn base(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers);
        config.set("socket.keepalive.enable", "true").set("reconnect.backoff.max.ms", "1000");
        config
    }

    fn consumer(&self) -> ClientConfig {
        let mut config = self.base();
        config
            .set("group.id", "muster-unused")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "error")
            .set("check.crcs", "true")
            .set("fetch.wait.max.ms", "10")
            .set("fetch.error.backoff.ms", "50")
            .set("fetch.queue.backoff.ms", "5")
            .set("allow.auto.create.topics", "false");
        config
    }

    /// For what is asked of the cluster itself.
    ///
    /// # Errors
    /// When the client refuses its settings.
    pub fn admin(&self) -> Result<AdminClient<DefaultClientContext>, KafkaError> {
        self.base().create()
    }

    /// Waits for an answer of the cluster, on a thread that may wait.
    ///
    /// # Errors
    /// As the answer says, or when the system gives nothing to wait on.
    pub fn wait<T>(&self, answer: impl Future<Output = Result<T, KafkaError>>) -> Result<T, KafkaError> {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.map_err(|e| KafkaError::ClientCreation(e.to_string()))?.block_on(answer)
    }

    /// For the input topics of a shard.
    ///
    /// # Errors
    /// When the client refuses its settings.
    pub fn inputs(&self) -> Result<BaseConsumer, KafkaError> {
        self.consumer().create()
    }

    /// For the journal of a shard.
    ///
    /// # Errors
    /// When the client refuses its settings.
    pub fn journal_reader(&self) -> Result<BaseConsumer, KafkaError> {
        self.consumer().create()
    }

    /// For the journal of a shard: idempotent, several under way.
    ///
    /// # Errors
    /// When the client refuses its settings.
    pub fn journal_writer<C>(&self, context: C) -> Result<ThreadedProducer<C, NoCustomPartitioner>, KafkaError>
    where
        C: ProducerContext<NoCustomPartitioner> + 'static,
    {
        self.producer().set("delivery.timeout.ms", "15000").create_with_context(context)
    }

    /// For what leaves the house.
    ///
    /// # Errors
    /// When the client refuses its settings.
    pub fn outputs<C>(&self, context: C) -> Result<ThreadedProducer<C, NoCustomPartitioner>, KafkaError>
    where
        C: ProducerContext<NoCustomPartitioner> + 'static,
    {
        self.producer().set("delivery.timeout.ms", "60000").create_with_context(context)
    }

    /// For the group, whose consumer fetches nothing.
    ///
    /// # Errors
    /// When the client refuses its settings.
    pub fn group<C: rdkafka::consumer::ConsumerContext>(&self, context: C) -> Result<BaseConsumer<C>, KafkaError> {
        self.consumer()
            .set("group.id", format!("{}group", self.prefix))
            .set("session.timeout.ms", "6000")
            .set("heartbeat.interval.ms", "2000")
            .set("max.poll.interval.ms", "30000")
            .set("partition.assignment.strategy", "cooperative-sticky")
            .create_with_context(context)
    }

    fn producer(&self) -> ClientConfig {
        let mut config = self.base();
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("linger.ms", "0")
            .set("retry.backoff.ms", "5")
            .set("request.timeout.ms", "5000")
            .set("message.max.bytes", "1048576")
            .set("partitioner", "murmur2_random");
        config
    }
}
