//! `[kafka]`: where the brokers are, who we are to them, how long we wait, and how they know us.

mod check;
mod secret;

use std::fs;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use secret::Secret;

use super::properties::Property;
use crate::model::Millis;

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
    /// Whether each incident and each post, as it is now, is told to other systems (`muster.incidents`, `muster.posts`).
    pub projections: bool,
    /// What a restore has not needed for so long is deleted from the journal.
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
    /// An event that came over HTTP and that the brokers have not confirmed within this is answered with 503.
    pub confirm_within: Millis,
    /// One that was not decided within this, from when it came, is answered with where to look.
    pub answer_within: Millis,
    /// Events that came over HTTP and that the brokers have not confirmed yet. Ordinary reports may use four fifths.
    pub unconfirmed_max: usize,
    /// Requests that may wait for a decision at once, and decisions that are kept for whoever asks later.
    pub answers_max: usize,
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
            trim_after: Millis(24 * 3_600_000),
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
            confirm_within: Millis(3_000),
            answer_within: Millis(5_000),
            unconfirmed_max: 10_000,
            answers_max: 10_000,
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
        secret::secret("sasl_password", &self.sasl_password, &self.sasl_password_file)
    }

    /// The password of our key.
    ///
    /// # Errors
    /// When it stands in two places, or its file cannot be read.
    pub fn tls_key_password(&self) -> Result<String, OptionsError> {
        secret::secret("tls_key_password", &self.tls_key_password, &self.tls_key_password_file)
    }

    /// What the library is given beside our own settings.
    ///
    /// # Errors
    /// When one of them may not be set.
    pub fn properties(&self) -> Result<Vec<Property>, OptionsError> {
        Property::read_all(&self.properties)
    }
}
