//! The producer of a shard's journal: one record an append, and what became of it.
//!
//! Every append is reported once, by its token. A producer that gave up is told as odd; the shard's recovery then asks
//! for a new one, so that nothing of an earlier epoch holds up what comes after.
//!
//! An append that failed says nothing of the log ("unknown"): the owner reads it and claims anew, after a rest that grows.
//! One failure is told apart: a record that is too large will never land, so it is told with its size before its report.

use std::sync::Arc;

use rdkafka::ClientContext;
use rdkafka::client::OAuthToken;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::message::{DeliveryResult, Message as _};
use rdkafka::producer::{
    BaseRecord, NoCustomPartitioner, Producer as _, ProducerContext, PurgeConfig, ThreadedProducer,
};
use tracing::{error, warn};

use super::client::Context;
use super::clients::Clients;
use super::mailbox::{Mail, Mailbox};
use super::trouble::Trouble;
use crate::journal::log::Token;
use crate::model::Timestamp;

/// Hears what became of appends, on the producer's own thread.
pub struct Reports {
    base: Context,
    mailbox: Arc<Mailbox>,
    shard: u32,
}

impl ClientContext for Reports {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        self.base.log(level, facility, line);
    }

    fn stats_raw(&self, statistics: &[u8]) {
        self.base.stats_raw(statistics);
    }

    fn generate_oauth_token(&self, config: Option<&str>) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        self.base.generate_oauth_token(config)
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.base.error(error.clone(), reason);
        if Trouble::of(&error) == Trouble::Fatal {
            self.mailbox.say(Mail::Disturbed("the journal's producer gave up"));
        }
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = Box<Token>;

    fn delivery(&self, result: &DeliveryResult<'_>, token: Box<Token>) {
        let landed = match result {
            // Some brokers confirm a repeated append without saying where it stands: then nobody knows.
            Ok(message) => u64::try_from(message.offset()).ok().zip(message.timestamp().to_millis()),
            Err((error, message)) => {
                let trouble = Trouble::of(error);
                let bytes = message.payload_len();
                match trouble {
                    // We gave it up ourselves, and have said why.
                    Trouble::Purged => {}
                    Trouble::TooLarge => self.mailbox.say(Mail::TooLarge(*token, bytes)),
                    Trouble::Refused => error!(%error, bytes, shard = self.shard, "kafka.append_refused"),
                    _ => warn!(%error, bytes, shard = self.shard, "kafka.append_unknown"),
                }
                self.mailbox.say(Mail::Failed(trouble.as_str()));
                None
            }
        };
        self.mailbox.say(Mail::Reported(*token, landed.map(|(offset, ms)| (offset, Timestamp(ms)))));
    }
}

/// The producer of a shard's journal.
pub struct Writer {
    clients: Arc<Clients>,
    mailbox: Arc<Mailbox>,
    shard: u32,
    topic: String,
    producer: Option<ThreadedProducer<Reports, NoCustomPartitioner>>,
}

impl Writer {
    /// None yet; it is made when the first record is appended.
    #[must_use]
    pub fn new(clients: Arc<Clients>, mailbox: Arc<Mailbox>, shard: u32) -> Self {
        let topic = clients.topic("journal");
        Self { clients, mailbox, shard, topic, producer: None }
    }

    /// Appends. Its report comes by mail, always, unless it is given up before.
    pub fn append(&mut self, token: Token, bytes: &[u8]) {
        let Err(error) = self.send(token, bytes) else { return };
        let (shard, bytes, trouble) = (self.shard, bytes.len(), Trouble::of(&error));
        match trouble {
            Trouble::TooLarge => self.mailbox.say(Mail::TooLarge(token, bytes)),
            // It takes nothing ever again; the next append makes another one.
            Trouble::Fatal => self.give_up(),
            _ => error!(%error, bytes, shard, "kafka.append_refused"),
        }
        self.mailbox.say(Mail::Failed(trouble.as_str()));
        self.mailbox.say(Mail::Reported(token, None));
    }

    fn send(&mut self, token: Token, bytes: &[u8]) -> Result<(), KafkaError> {
        let producer = match self.producer.take() {
            Some(producer) => producer,
            None => {
                let reports =
                    Reports { base: self.clients.context(), mailbox: Arc::clone(&self.mailbox), shard: self.shard };
                self.clients.journal_writer(reports)?
            }
        };
        let producer = self.producer.insert(producer);
        let partition = i32::try_from(self.shard).unwrap_or(i32::MAX);
        let record: BaseRecord<'_, (), [u8], Box<Token>> =
            BaseRecord::with_opaque_to(&self.topic, Box::new(token)).partition(partition).payload(bytes);
        producer.send(record).map_err(|(error, _)| error)
    }

    /// Gives the producer up with all that is under way: what of it reaches the log all the same is judged there.
    pub fn give_up(&mut self) {
        let Some(producer) = self.producer.take() else { return };
        // Closing waits for its threads, so it is done elsewhere.
        let close = move || {
            producer.purge(PurgeConfig::default().queue().inflight());
            drop(producer);
        };
        let closed = std::thread::Builder::new().name(format!("close-{}", self.shard)).spawn(close);
        if let Err(error) = closed {
            warn!(%error, "kafka.thread_unavailable: closed here");
        }
    }
}
