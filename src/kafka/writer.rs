//! The producer of a shard's journal: one record an append, and what became of it.
//!
//! Every append is reported once, by its token. A producer that gave up is told as odd; the shard's recovery then asks
//! for a new one, so that nothing of an earlier epoch holds up what comes after.
//!
//! An append that failed says nothing of the log ("unknown"): the owner reads it and claims anew. Where the cluster
//! refuses all we write, that would go round at full speed; so what is appended after a failure waits, longer each time, until one has
//! landed. One failure is told apart: a record that is too large will never land, so it is told with its size before its report.

#![expect(clippy::disallowed_methods, reason = "what failed is tried again in real time")]

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

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
use super::trouble::{Backoff, Trouble};
use crate::journal::log::Token;
use crate::model::Timestamp;

/// What is appended after a failure waits so long, and ever longer with each further failure.
const AGAIN: Duration = Duration::from_millis(50);
/// But never longer than this.
const AGAIN_MAX: Duration = Duration::from_secs(5);

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
    /// Appends that wait, because others failed.
    waiting: VecDeque<(Token, Vec<u8>)>,
    not_before: Option<Instant>,
    backoff: Backoff,
    newest: Token,
    /// Failures of appends up to this one are one failure.
    failed_to: Token,
}

impl Writer {
    /// None yet; it is made when the first record is appended.
    #[must_use]
    pub fn new(clients: Arc<Clients>, mailbox: Arc<Mailbox>, shard: u32) -> Self {
        let topic = clients.topic("journal");
        Self {
            clients,
            mailbox,
            shard,
            topic,
            producer: None,
            waiting: VecDeque::new(),
            not_before: None,
            backoff: Backoff::new(AGAIN, AGAIN_MAX),
            newest: 0,
            failed_to: 0,
        }
    }

    /// Appends, at once or as soon as may be. Its report comes by mail, always, unless it is given up before.
    pub fn append(&mut self, token: Token, bytes: Vec<u8>) {
        self.newest = self.newest.max(token);
        self.waiting.push_back((token, bytes));
        self.go_on();
    }

    /// Sends what waits, when it has waited long enough.
    pub fn go_on(&mut self) {
        if self.not_before.is_some_and(|due| Instant::now() < due) {
            return;
        }
        self.not_before = None;
        while let Some((token, bytes)) = self.waiting.pop_front() {
            if let Err(error) = self.send(token, &bytes) {
                let trouble = Trouble::of(&error);
                if trouble == Trouble::TooLarge {
                    self.mailbox.say(Mail::TooLarge(token, bytes.len()));
                } else {
                    error!(%error, bytes = bytes.len(), shard = self.shard, "kafka.append_refused");
                }
                if trouble == Trouble::Fatal {
                    self.close();
                }
                self.mailbox.say(Mail::Failed(trouble.as_str()));
                self.mailbox.say(Mail::Reported(token, None));
            }
        }
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

    /// This one landed: nothing needs to wait any more.
    pub fn landed(&mut self) {
        self.backoff.worked();
        self.not_before = None;
    }

    /// Nobody knows what became of this one.
    pub fn failed(&mut self, token: Token) {
        if token > self.failed_to {
            self.failed_to = self.newest;
            self.not_before = Some(Instant::now() + self.backoff.failed());
        }
    }

    /// Gives the producer up with all that is under way: what of it reaches the log all the same is judged there.
    pub fn give_up(&mut self) {
        self.waiting.clear();
        self.close();
    }

    fn close(&mut self) {
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
