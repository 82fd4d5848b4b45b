//! What an error of the client means to us. The table in `docs/kafka.md` says the same in words, with what an operator
//! sees; a test holds the two together.
//!
//! An error of an append is looked at for one thing only: whether the record was too large. In everything else it
//! means "unknown", and the log is asked.

use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

/// What an error means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// No trouble: a partition was read to its end.
    End,
    /// It goes away by itself, as brokers come back and leaders are elected; the client tries again, or we do.
    Passing,
    /// The client's own queue is full: a moment later there is room.
    Full,
    /// The message is larger than the client, the topic or the broker takes.
    TooLarge,
    /// The place asked for is not in the log: trimmed, deleted, or never there.
    OutOfRange,
    /// The cluster refuses, and does so until a person changes something: a right, a topic, a certificate, a setting.
    Refused,
    /// The client is of no use any more: a new one is made.
    Fatal,
    /// We took it back ourselves.
    Purged,
}

impl Trouble {
    /// What this error means.
    #[must_use]
    pub fn of(error: &KafkaError) -> Self {
        match error {
            KafkaError::PartitionEOF(_) => Self::End,
            KafkaError::MessageConsumptionFatal(_) => Self::Fatal,
            // The library gives the code of these without saying so.
            KafkaError::AdminOp(code) => Self::of_code(*code),
            KafkaError::ClientConfig(..) | KafkaError::ClientCreation(_) | KafkaError::Nul(_) => Self::Refused,
            other => other.rdkafka_error_code().map_or(Self::Passing, Self::of_code),
        }
    }

    /// What this code means.
    #[must_use]
    pub fn of_code(code: Code) -> Self {
        match code {
            Code::PartitionEOF | Code::NoError => Self::End,
            Code::QueueFull => Self::Full,
            Code::MessageSizeTooLarge | Code::InvalidMessageSize | Code::MessageBatchTooLarge => Self::TooLarge,
            Code::OffsetOutOfRange | Code::AutoOffsetReset | Code::NoOffset | Code::LogTruncation => Self::OutOfRange,
            Code::Fatal
            | Code::Fenced
            | Code::FencedInstanceId
            | Code::ProducerFenced
            | Code::OutOfOrderSequenceNumber
            | Code::State => Self::Fatal,
            Code::PurgeQueue | Code::PurgeInflight => Self::Purged,
            Code::TopicAuthorizationFailed
            | Code::GroupAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::Authentication
            | Code::SaslAuthenticationFailed
            | Code::UnsupportedSASLMechanism
            | Code::IllegalSASLState
            | Code::SSL
            | Code::SecurityDisabled
            | Code::UnknownTopic
            | Code::UnknownTopicOrPartition
            | Code::UnknownPartition
            | Code::InvalidTopic
            | Code::InvalidRequiredAcks
            | Code::InvalidRecord
            | Code::InvalidTimestamp
            | Code::InvalidConfig
            | Code::InvalidArgument
            | Code::InvalidGroupId
            | Code::InvalidSessionTimeout
            | Code::InconsistentGroupProtocol
            | Code::GroupMaxSizeReached
            | Code::PolicyViolation
            | Code::UnsupportedVersion
            | Code::UnsupportedFeature
            | Code::UnsupportedForMessageFormat
            | Code::UnsupportedCompressionType
            | Code::NotConfigured
            | Code::NotImplemented => Self::Refused,
            _ => Self::Passing,
        }
    }

    /// The word for a label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::End => "end",
            Self::Passing => "passing",
            Self::Full => "full",
            Self::TooLarge => "too-large",
            Self::OutOfRange => "out-of-range",
            Self::Refused => "refused",
            Self::Fatal => "fatal",
            Self::Purged => "purged",
        }
    }
}

/// How long to wait before the next attempt: longer each time, up to a bound, and from the start again after a success.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    first: Duration,
    most: Duration,
    failures: u32,
}

impl Backoff {
    /// Waits of `first`, then double each time, at most `most`.
    #[must_use]
    pub const fn new(first: Duration, most: Duration) -> Self {
        Self { first, most, failures: 0 }
    }

    /// It failed: so long to wait.
    pub fn failed(&mut self) -> Duration {
        let wait = self.first.saturating_mul(1 << self.failures.min(16)).min(self.most);
        self.failures += 1;
        wait
    }

    /// It worked.
    pub fn worked(&mut self) {
        self.failures = 0;
    }
}

/// A word that is said at most once in a while, so that a storm of errors is no storm of lines.
#[derive(Clone, Copy, Debug)]
pub struct Seldom {
    every: Duration,
    said: Option<Instant>,
    kept_back: u64,
}

impl Seldom {
    /// At most once within `every`.
    #[must_use]
    pub const fn new(every: Duration) -> Self {
        Self { every, said: None, kept_back: 0 }
    }

    /// Whether it is to be said now; if so, how often it was kept back since it was said last.
    #[expect(clippy::disallowed_methods, reason = "lines are counted in real time; nothing is decided by it")]
    pub fn now(&mut self) -> Option<u64> {
        if self.said.is_some_and(|said| said.elapsed() < self.every) {
            self.kept_back += 1;
            return None;
        }
        self.said = Some(Instant::now());
        Some(std::mem::take(&mut self.kept_back))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_has_one_meaning() {
        let consumed = KafkaError::MessageConsumption;
        for (error, meaning) in [
            (KafkaError::PartitionEOF(3), Trouble::End),
            (consumed(Code::OffsetOutOfRange), Trouble::OutOfRange),
            (consumed(Code::AutoOffsetReset), Trouble::OutOfRange),
            (consumed(Code::AllBrokersDown), Trouble::Passing),
            (consumed(Code::BadMessage), Trouble::Passing),
            (consumed(Code::TopicAuthorizationFailed), Trouble::Refused),
            (KafkaError::MessageConsumptionFatal(Code::FencedInstanceId), Trouble::Fatal),
            (KafkaError::MessageProduction(Code::QueueFull), Trouble::Full),
            (KafkaError::MessageProduction(Code::MessageSizeTooLarge), Trouble::TooLarge),
            (KafkaError::MessageProduction(Code::MessageTimedOut), Trouble::Passing),
            (KafkaError::MessageProduction(Code::NotEnoughReplicas), Trouble::Passing),
            (KafkaError::MessageProduction(Code::InvalidProducerEpoch), Trouble::Passing),
            (KafkaError::MessageProduction(Code::PurgeInflight), Trouble::Purged),
            (KafkaError::Global(Code::Fatal), Trouble::Fatal),
            (KafkaError::AdminOp(Code::PolicyViolation), Trouble::Refused),
            (KafkaError::MetadataFetch(Code::BrokerTransportFailure), Trouble::Passing),
            (KafkaError::Canceled, Trouble::Passing),
        ] {
            assert_eq!(Trouble::of(&error), meaning, "{error}");
        }
    }

    #[test]
    fn waits_grow_to_their_bound_and_begin_anew() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        let waits: Vec<u128> = (0..6).map(|_| backoff.failed().as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1_000, 1_000]);
        backoff.worked();
        assert_eq!(backoff.failed(), Duration::from_millis(100));
    }

    #[test]
    fn a_storm_is_one_line() {
        let mut seldom = Seldom::new(Duration::from_secs(3600));
        assert_eq!(seldom.now(), Some(0));
        assert_eq!((seldom.now(), seldom.now()), (None, None));
        assert_eq!(seldom.kept_back, 2);
    }
}
