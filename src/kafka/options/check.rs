//! Whether `[kafka]` fits together: each refusal names its key and the way out.

use super::{Mechanism, Options, OptionsError, Security, refused};
use crate::model::Millis;

/// A member must miss three heartbeats to be dead, not one.
const HEARTBEATS_A_SESSION: u64 = 3;

/// A broker refuses shorter sessions (`group.min.session.timeout.ms`).
const SESSION_MIN: Millis = Millis(6_000);

/// Below this an append is given up while a broker that was killed hands its partitions over.
const JOURNAL_TIMEOUT_MIN: Millis = Millis(10_000);

/// Whoever reads the journal may lag by this.
const TRIM_AFTER_MIN: Millis = Millis(1_000);

/// A record of one input must fit, and nothing larger than this was ever tried.
const RECORD_BYTES: std::ops::RangeInclusive<u64> = 65_536..=16_777_216;

/// Spans that librdkafka takes at all.
const SPAN_MAX: Millis = Millis(300_000);

/// Bytes of a topic's name, as Kafka bounds them, less those of our longest own name.
const PREFIX_MAX: usize = 200;

impl Options {
    /// Whether everything fits together. Reads the files it names, asks no broker.
    ///
    /// # Errors
    /// At the first thing that does not.
    pub fn check(&self) -> Result<(), OptionsError> {
        self.check_names()?;
        self.check_spans()?;
        self.check_security()?;
        self.properties().map(|_| ())
    }

    fn check_names(&self) -> Result<(), OptionsError> {
        if cfg!(not(feature = "kafka")) && self.enabled() {
            let way_out =
                "this build has no client for Kafka; build it with the feature `kafka`, or leave `brokers` empty";
            return Err(refused("brokers", "", way_out.into()));
        }
        for broker in &self.brokers {
            if broker.is_empty() || broker.contains(|c: char| c.is_whitespace() || c == '/' || c == ',') {
                return Err(refused("brokers", broker, "write `host:port`, one entry each".into()));
            }
        }
        let legal = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if !self.topic_prefix.chars().all(legal) || self.topic_prefix.len() > PREFIX_MAX {
            let why =
                format!("a topic's name holds letters, digits, `.`, `_` and `-`, the prefix {PREFIX_MAX} at most");
            return Err(refused("topic_prefix", &self.topic_prefix, why));
        }
        if self.group.is_empty() {
            return Err(refused("group", "", "it may not be empty; nodes of one city share one name".into()));
        }
        if self.partitions == 0 || self.partitions > 10_000 {
            return Err(refused("partitions", &self.partitions.to_string(), "write 1 to 10000".into()));
        }
        self.member_name().map(|_| ())
    }

    fn check_spans(&self) -> Result<(), OptionsError> {
        let refuse = |key: &str, span: Millis, why: String| Err(refused(key, &span.to_string(), why));
        let spans = [
            ("session_timeout", self.session_timeout),
            ("poll_within", self.poll_within),
            ("request_timeout", self.request_timeout),
            ("start_timeout", self.start_timeout),
            ("journal_timeout", self.journal_timeout),
            ("output_timeout", self.output_timeout),
            ("confirm_within", self.confirm_within),
            ("answer_within", self.answer_within),
            ("linger", self.linger),
            ("fetch_wait", self.fetch_wait),
            ("statistics_every", self.statistics_every),
        ];
        if let Some((key, span)) = spans.into_iter().find(|(_, span)| *span > SPAN_MAX) {
            return refuse(key, span, format!("write {SPAN_MAX} at most"));
        }
        if self.session_timeout < SESSION_MIN {
            return refuse("session_timeout", self.session_timeout, format!("brokers take no less than {SESSION_MIN}"));
        }
        let room = Millis(self.session_timeout.0 / HEARTBEATS_A_SESSION);
        if self.heartbeat_every.0 == 0 || self.heartbeat_every > room {
            let why =
                format!("write {room} at most, a third of `session_timeout`: one lost heartbeat must not be a death");
            return refuse("heartbeat_every", self.heartbeat_every, why);
        }
        if self.poll_within < self.session_timeout {
            return refuse("poll_within", self.poll_within, "it may not be shorter than `session_timeout`".into());
        }
        if self.request_timeout < Millis(1_000) {
            return refuse(
                "request_timeout",
                self.request_timeout,
                "write 1s or more: a busy broker is not a dead one".into(),
            );
        }
        if self.journal_timeout < JOURNAL_TIMEOUT_MIN {
            let why = format!(
                "write {JOURNAL_TIMEOUT_MIN} or more: a partition changes hands in that time, and the step is there"
            );
            return refuse("journal_timeout", self.journal_timeout, why);
        }
        if self.output_timeout < self.request_timeout {
            return refuse(
                "output_timeout",
                self.output_timeout,
                "it may not be shorter than `request_timeout`".into(),
            );
        }
        if self.confirm_within < Millis(100) {
            return refuse("confirm_within", self.confirm_within, "write 100ms or more: brokers need a moment".into());
        }
        if self.answer_within < self.confirm_within {
            return refuse(
                "answer_within",
                self.answer_within,
                "it may not be shorter than `confirm_within`: what is not confirmed is not decided".into(),
            );
        }
        let counts = [("unconfirmed_max", self.unconfirmed_max), ("answers_max", self.answers_max)];
        if let Some((key, count)) = counts.into_iter().find(|(_, count)| !(1..=10_000_000).contains(count)) {
            return Err(refused(key, &count.to_string(), "write 1 to 10000000".into()));
        }
        if self.trim_after < TRIM_AFTER_MIN {
            let why = format!("write {TRIM_AFTER_MIN} or more: who reads the journal must find what it is reading");
            return refuse("trim_after", self.trim_after, why);
        }
        if !RECORD_BYTES.contains(&self.record_bytes_max) {
            let (least, most) = (RECORD_BYTES.start(), RECORD_BYTES.end());
            let why = format!("write {least} to {most} bytes: one input must fit, and every broker must take it");
            return Err(refused("record_bytes_max", &self.record_bytes_max.to_string(), why));
        }
        let bytes = [("fetch_bytes_max", self.fetch_bytes_max), ("send_bytes_max", self.send_bytes_max)];
        let (least, most) = (1024 * 1024, 2 * 1024 * 1024 * 1024 - 1024 * 1024);
        match bytes.into_iter().find(|(_, bytes)| !(least..=most).contains(bytes)) {
            Some((key, bytes)) => Err(refused(key, &bytes.to_string(), format!("write {least} to {most} bytes"))),
            None => Ok(()),
        }
    }

    fn check_security(&self) -> Result<(), OptionsError> {
        let missing = |key: &str, what: &str| Err(refused(key, "", format!("`security` asks for {what}; name it")));
        if self.security == Security::Plaintext {
            return Ok(());
        }
        if cfg!(not(feature = "kafka-tls")) {
            let way_out = "this build speaks to brokers in the clear only; build it with the feature `kafka-tls`";
            return Err(refused("security", self.security.name(), way_out.into()));
        }
        if self.tls_certificate.as_os_str().is_empty() != self.tls_key.as_os_str().is_empty() {
            let why = "a certificate and its key go together; name both `tls_certificate` and `tls_key`, or neither";
            return Err(refused("tls_key", "", why.into()));
        }
        self.tls_key_password()?;
        let password = self.sasl_password()?;
        match (self.security.is_sasl(), self.sasl_mechanism) {
            (true, Mechanism::OauthBearer) if self.sasl_token_file.as_os_str().is_empty() => {
                missing("sasl_token_file", "a token's file")
            }
            (true, Mechanism::OauthBearer) | (false, _) => Ok(()),
            (true, _) if self.sasl_user.is_empty() => missing("sasl_user", "a name"),
            (true, _) if password.is_empty() => missing(
                "sasl_password",
                "a password (in `sasl_password_file`, or MUSTER_KAFKA_SASL_PASSWORD in the environment)",
            ),
            (true, _) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn refusal(change: impl FnOnce(&mut Options)) -> String {
        let mut options = Options::default();
        change(&mut options);
        options.check().unwrap_err().to_string()
    }

    #[test]
    fn defaults_fit_together() {
        Options::default().check().unwrap();
        assert!(!Options::default().enabled());
    }

    #[test]
    fn what_does_not_fit_is_refused_by_its_key_with_the_way_out() {
        type Change = fn(&mut Options);
        let cases: [(Change, &str); 14] = [
            (
                |o| o.brokers = vec!["kafka://a:1".into()],
                "[kafka] brokers: `kafka://a:1` is refused: write `host:port`",
            ),
            (|o| o.topic_prefix = "a b".into(), "[kafka] topic_prefix: `a b` is refused"),
            (|o| o.group.clear(), "[kafka] group: "),
            (|o| o.partitions = 0, "[kafka] partitions: `0` is refused: write 1 to 10000"),
            (
                |o| o.session_timeout = Millis(5_000),
                "[kafka] session_timeout: `5s` is refused: brokers take no less than 6s",
            ),
            (|o| o.heartbeat_every = Millis(3_000), "[kafka] heartbeat_every: `3s` is refused: write 2s at most"),
            (|o| o.poll_within = Millis(5_000), "[kafka] poll_within: `5s`"),
            (|o| o.journal_timeout = Millis(1_000), "[kafka] journal_timeout: `1s` is refused: write 10s or more"),
            (|o| o.output_timeout = Millis(1_000), "[kafka] output_timeout: `1s`"),
            (|o| o.confirm_within = Millis(10), "[kafka] confirm_within: `10ms`"),
            (|o| o.answer_within = Millis(1_000), "[kafka] answer_within: `1s`"),
            (|o| o.unconfirmed_max = 0, "[kafka] unconfirmed_max: `0`"),
            (|o| o.send_bytes_max = 1, "[kafka] send_bytes_max: `1` is refused: write 1048576 to"),
            (|o| o.properties = vec!["acks=1".into()], "[kafka] properties: `acks` is refused: it is always `all`"),
        ];
        for (change, said) in cases {
            let refused = refusal(change);
            assert!(refused.starts_with(said), "{refused}\n{said}");
        }
    }

    #[test]
    fn a_secret_shows_in_no_debug_and_in_no_refusal() {
        let mut options =
            Options { sasl_password: "sesame".into(), tls_key_password: "sesame".into(), ..Options::default() };
        assert!(!format!("{options:?}").contains("sesame"));
        options.properties = vec!["sasl.password=sesame".into()];
        assert!(!options.check().unwrap_err().to_string().contains("sesame"));
        let wrong: Result<Options, _> = toml::from_str("sasl_password = 4711");
        assert!(!wrong.unwrap_err().message().contains("4711"));
    }

    #[test]
    fn a_secret_may_stand_in_a_file_but_not_in_two_places() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        fs::write(&file, "sesame\n").unwrap();
        let mut options = Options { sasl_password_file: file, ..Options::default() };
        assert_eq!(options.sasl_password().unwrap(), "sesame");
        options.sasl_password = "sesame".into();
        assert!(options.sasl_password().unwrap_err().to_string().contains("keep one of them"));
        options = Options { sasl_password_file: "/nowhere".into(), ..Options::default() };
        assert!(options.sasl_password().unwrap_err().to_string().starts_with("[kafka] sasl_password_file: `/nowhere`"));
    }

    #[test]
    fn the_machine_has_a_name() {
        assert!(!Options::default().member_name().unwrap().is_empty());
        assert_eq!(Options { member: "n1".into(), ..Options::default() }.member_name().unwrap(), "n1");
    }

    #[cfg(not(feature = "kafka-tls"))]
    #[test]
    fn a_build_without_tls_says_so() {
        let said = refusal(|o| o.security = Security::SaslSsl);
        assert!(said.contains("`sasl_ssl` is refused") && said.contains("kafka-tls"), "{said}");
    }

    #[cfg(feature = "kafka-tls")]
    #[test]
    fn what_security_asks_for_must_be_there() {
        assert!(refusal(|o| o.security = Security::SaslSsl).starts_with("[kafka] sasl_user: "));
        let named = |o: &mut Options| (o.security, o.sasl_user) = (Security::SaslSsl, "muster".into());
        assert!(refusal(named).starts_with("[kafka] sasl_password: "));
        let token = |o: &mut Options| (o.security, o.sasl_mechanism) = (Security::SaslSsl, Mechanism::OauthBearer);
        assert!(refusal(token).starts_with("[kafka] sasl_token_file: "));
        let half = |o: &mut Options| (o.security, o.tls_key) = (Security::Ssl, "key.pem".into());
        assert!(refusal(half).starts_with("[kafka] tls_key: "));
    }
}
