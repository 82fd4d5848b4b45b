//! `[kafka]`: where the brokers are, who we are to them, how long we wait, and how they know us.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::properties::Property;
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

/// `[kafka]`: many machines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// Where to ask for the cluster, `host:port` each; any one that answers leads to the others. Empty: no Kafka, the
    /// embedded store.
    pub brokers: Vec<String>,
    /// Who we are in the brokers' logs and quotas; each client adds what it is for.
    pub client_id: String,
    /// Folders of playbooks, one a command area, beside `[playbook] dir`. Of two for one area the later is wanted; the
    /// earlier is there for what it has decided.
    pub playbooks: Vec<PathBuf>,
    /// Whether incidents and posts are told to other systems, on the compacted topics `incidents` and `posts`.
    pub projections: bool,
    /// What no restore has needed for so long is deleted from the journal.
    pub trim_after: Millis,
    /// Bytes of a step's record. One that comes out larger is decided again in smaller steps.
    pub record_bytes_max: u64,
    /// What every topic's name begins with. Two cities may share a cluster under two prefixes.
    pub topic_prefix: String,
    /// Partitions of every topic, that is shards. A command area belongs to the shard that its name hashes to, so the
    /// number is chosen once: the journal holds it, and a change is refused.
    pub partitions: u32,
    /// One broker will do: no copies are demanded. For trying things out only; what is kept by one broker is lost with it.
    pub development: bool,
    /// The consumer group that says who should own which shard.
    pub group: String,
    /// This node's name in the group, another one on each node. Empty: the machine's name.
    pub member: String,
    /// A node that says nothing for so long is dead, and its shards go to others.
    pub session_timeout: Millis,
    /// How often it says something.
    pub heartbeat_every: Millis,
    /// A node whose threads do not ask for input within this is taken for stuck.
    pub poll_within: Millis,
    /// One request to a broker may take so long; a frozen broker is left after it.
    pub request_timeout: Millis,
    /// The start, and the commands on topics, wait so long for the cluster.
    pub start_timeout: Millis,
    /// An appended step is tried for so long before its fate counts as unknown.
    pub journal_timeout: Millis,
    /// An order or notice is tried for so long before it is produced anew.
    pub output_timeout: Millis,
    /// An order or notice waits so long for others to leave with.
    pub linger: Millis,
    /// A broker that has nothing new answers after this. It bounds how long the end of an empty partition is unknown.
    pub fetch_wait: Millis,
    /// Bytes fetched ahead, a consumer.
    pub fetch_bytes_max: u64,
    /// Bytes that may wait to be sent, a producer.
    pub send_bytes_max: u64,
    /// How often the library's own statistics are read.
    pub statistics_every: Millis,
    /// How the brokers are spoken to. All but `plaintext` need a build with `kafka-tls`.
    pub security: Security,
    /// The certificates (PEM) that a broker's own may be signed by. Empty: the system's.
    pub tls_ca: PathBuf,
    /// Our own certificate (PEM), where brokers ask for one.
    pub tls_certificate: PathBuf,
    /// Its key (PEM).
    pub tls_key: PathBuf,
    /// The key's password.
    pub tls_key_password: Secret,
    /// A file that holds it, instead.
    pub tls_key_password_file: PathBuf,
    /// How we prove who we are, where `security` says SASL.
    pub sasl_mechanism: Mechanism,
    /// Our name there.
    pub sasl_user: String,
    /// Our password there.
    pub sasl_password: Secret,
    /// A file that holds it, instead.
    pub sasl_password_file: PathBuf,
    /// For OAUTHBEARER: a file that holds a token (a JWT), which somebody else renews in time. Read again before it expires.
    pub sasl_token_file: PathBuf,
    /// Further properties of librdkafka, `name=value` each; `consumer.name=value` and the like for one kind of client.
    pub properties: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            brokers: Vec::new(),
            client_id: "muster".into(),
            playbooks: Vec::new(),
            projections: true,
            trim_after: Millis(86_400_000),
            record_bytes_max: 900_000,
            topic_prefix: "muster.".into(),
            partitions: 16,
            development: false,
            group: "muster".into(),
            member: String::new(),
            session_timeout: Millis(6_000),
            heartbeat_every: Millis(2_000),
            poll_within: Millis(30_000),
            request_timeout: Millis(4_000),
            start_timeout: Millis(20_000),
            journal_timeout: Millis(120_000),
            output_timeout: Millis(15_000),
            linger: Millis(1),
            fetch_wait: Millis(10),
            fetch_bytes_max: 32 * 1024 * 1024,
            send_bytes_max: 64 * 1024 * 1024,
            statistics_every: Millis(5_000),
            security: Security::Plaintext,
            tls_ca: PathBuf::new(),
            tls_certificate: PathBuf::new(),
            tls_key: PathBuf::new(),
            tls_key_password: Secret::default(),
            tls_key_password_file: PathBuf::new(),
            sasl_mechanism: Mechanism::ScramSha512,
            sasl_user: String::new(),
            sasl_password: Secret::default(),
            sasl_password_file: PathBuf::new(),
            sasl_token_file: PathBuf::new(),
            properties: Vec::new(),
        }
    }
}

/// How the brokers are spoken to, in Kafka's own words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Security {
    /// In the clear, to anybody: within a machine, or a network that is closed otherwise.
    #[default]
    Plaintext,
    /// TLS; we are known by our certificate, if we have one.
    Ssl,
    /// SASL in the clear.
    SaslPlaintext,
    /// SASL within TLS.
    SaslSsl,
}

impl Security {
    /// As librdkafka spells it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Plaintext => "plaintext",
            Self::Ssl => "ssl",
            Self::SaslPlaintext => "sasl_plaintext",
            Self::SaslSsl => "sasl_ssl",
        }
    }

    /// Whether a name and password, or a token, are asked for.
    #[must_use]
    pub fn is_sasl(self) -> bool {
        matches!(self, Self::SaslPlaintext | Self::SaslSsl)
    }
}

/// How we prove who we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mechanism {
    /// Name and password, sent as they are.
    #[serde(rename = "PLAIN")]
    Plain,
    /// Name and password, never sent.
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    /// As above, with the longer hash.
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512,
    /// A token.
    #[serde(rename = "OAUTHBEARER")]
    OauthBearer,
}

impl Mechanism {
    /// As the protocol spells it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
            Self::OauthBearer => "OAUTHBEARER",
        }
    }
}

/// Why `[kafka]` is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("[kafka] {key}: {}{reason}", said(.name))]
pub struct OptionsError {
    key: String,
    name: String,
    reason: String,
}

fn said(name: &str) -> String {
    if name.is_empty() { String::new() } else { format!("`{name}` is refused: ") }
}

/// `key` of `[kafka]` holds `name`, which is refused for `reason`.
pub(super) fn refused(key: &str, name: &str, reason: String) -> OptionsError {
    OptionsError { key: key.into(), name: name.into(), reason }
}

impl Options {
    /// Whether there is a Kafka at all.
    #[must_use]
    pub fn enabled(&self) -> bool {
        !self.brokers.is_empty()
    }

    /// This node's name in the group.
    ///
    /// # Errors
    /// When none is set and the machine has none either.
    pub fn member_name(&self) -> Result<String, OptionsError> {
        if !self.member.is_empty() {
            return Ok(self.member.clone());
        }
        let name = fs::read_to_string("/proc/sys/kernel/hostname").or_else(|_| std::env::var("HOSTNAME"));
        let name = name.map(|name| name.trim().to_owned()).unwrap_or_default();
        if name.is_empty() {
            let way_out = "this machine does not say its name; set one that no other node has";
            return Err(refused("member", "", way_out.into()));
        }
        Ok(name)
    }

    /// Our password, from wherever it stands.
    ///
    /// # Errors
    /// When it stands in two places, or its file cannot be read.
    pub fn sasl_password(&self) -> Result<String, OptionsError> {
        secret("sasl_password", &self.sasl_password, &self.sasl_password_file)
    }

    /// The password of our key.
    ///
    /// # Errors
    /// When it stands in two places, or its file cannot be read.
    pub fn tls_key_password(&self) -> Result<String, OptionsError> {
        secret("tls_key_password", &self.tls_key_password, &self.tls_key_password_file)
    }

    /// What the library is given beside our own settings.
    ///
    /// # Errors
    /// When one of them may not be set.
    pub fn properties(&self) -> Result<Vec<Property>, OptionsError> {
        Property::read_all(&self.properties)
    }

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
            (false, _) => Ok(()),
            (true, Mechanism::OauthBearer) if self.sasl_token_file.as_os_str().is_empty() => {
                missing("sasl_token_file", "a token's file")
            }
            (true, Mechanism::OauthBearer) => Ok(()),
            (true, _) if self.sasl_user.is_empty() => missing("sasl_user", "a name"),
            (true, _) if password.is_empty() => missing(
                "sasl_password",
                "a password (in `sasl_password_file`, or MUSTER_KAFKA_SASL_PASSWORD in the environment)",
            ),
            (true, _) => Ok(()),
        }
    }
}

/// The secret itself, or the text of its file without the end of its line.
fn secret(key: &str, secret: &Secret, file: &Path) -> Result<String, OptionsError> {
    if file.as_os_str().is_empty() {
        return Ok(secret.0.clone());
    }
    if !secret.0.is_empty() {
        return Err(refused(key, "", format!("it stands here and in `{key}_file`; keep one of them")));
    }
    let unreadable =
        |e| refused(&format!("{key}_file"), &file.display().to_string(), format!("it cannot be read: {e}"));
    let text = fs::read_to_string(file).map_err(unreadable)?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// A text that nothing prints. Written out only where a configuration is laid over another, never to be read by anybody.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "(none)" } else { "(set)" })
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Hidden)
    }
}

/// Reads a text, and says of anything else that it is none, without repeating it as the library would.
struct Hidden;

impl Visitor<'_> for Hidden {
    type Value = Secret;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text in quotes")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Secret, E> {
        Ok(Secret(text.to_owned()))
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<Secret, E> {
        Err(E::custom("a secret is a text in quotes"))
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Secret, E> {
        Err(E::custom("a secret is a text in quotes"))
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<Secret, E> {
        Err(E::custom("a secret is a text in quotes"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let cases: [(Change, &str); 11] = [
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
