//! What each client of ours is set to, and what may be set beside it.
//!
//! Three tables, each line with its reason. [`FIXED`]: what Muster is correct by; nobody may say otherwise. [`DEFAULTS`]:
//! what is better for dispatch than the library's own default; `[kafka] properties` may say otherwise. [`REFUSED`]: what
//! nobody sets, because it would break what is promised, or because it has a key of its own in `[kafka]`. All the rest of
//! librdkafka's properties may be passed through; the library itself refuses what it does not know.
//!
//! A pass-through property is `name=value` for every client, or `admin.name=value`, `consumer.name=value`,
//! `producer.name=value` for some, as Kafka Streams and Kafka Connect write it. Several names of one property (an alias)
//! count as one: the library would take the last of them, and which one is last nobody knows.
//!
//! Source of the reasons: librdkafka's CONFIGURATION.md, and what was measured on a real broker.

use super::options::{OptionsError, refused};

/// What a client is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Creates, describes and trims topics.
    Admin,
    /// Reads reports, acts and commands; its group says who should own what.
    Input,
    /// Reads a journal: all of it, to its end. In no group.
    JournalReader,
    /// Appends steps to a journal.
    JournalProducer,
    /// Hands on what accepted steps caused.
    OutputProducer,
}

use Role::{Admin, Input, JournalProducer, JournalReader, OutputProducer};

impl Role {
    /// All of them.
    pub const ALL: [Self; 5] = [Admin, Input, JournalReader, JournalProducer, OutputProducer];

    /// Its name, also the end of its `client.id`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Admin => "admin",
            Input => "input",
            JournalReader => "journal-reader",
            JournalProducer => "journal",
            OutputProducer => "output",
        }
    }

    /// The kind of client it is, as a prefix of a property says it.
    fn kind(self) -> &'static str {
        match self {
            Admin => "admin",
            Input | JournalReader => "consumer",
            JournalProducer | OutputProducer => "producer",
        }
    }
}

const EVERY: &[Role] = &Role::ALL;
const CONSUMERS: &[Role] = &[Input, JournalReader];
const PRODUCERS: &[Role] = &[JournalProducer, OutputProducer];

/// One property of some clients.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Whose.
    pub roles: &'static [Role],
    /// The library's name of it.
    pub name: &'static str,
    /// What it is set to.
    pub value: &'static str,
    /// Why so.
    pub why: &'static str,
}

const fn set(roles: &'static [Role], name: &'static str, value: &'static str, why: &'static str) -> Setting {
    Setting { roles, name, value, why }
}

/// What Muster is correct by.
pub const FIXED: &[Setting] = &[
    set(EVERY, "allow.auto.create.topics", "false", "a topic with a misspelt name must be missing, not new"),
    set(CONSUMERS, "enable.auto.commit", "false", "the position is part of each step; a second one could only differ"),
    set(CONSUMERS, "enable.auto.offset.store", "false", "as above: nothing is to be committed"),
    set(
        CONSUMERS,
        "auto.offset.reset",
        "error",
        "a position that is not there any more is an alarm; to go on from anywhere else repeats or loses reports",
    ),
    set(
        CONSUMERS,
        "isolation.level",
        "read_uncommitted",
        "a producer that hangs in a transaction would hide everybody's reports in its partition until it is timed out; a \
         report of an aborted one costs a look at most",
    ),
    set(CONSUMERS, "check.crcs", "true", "a report that was damaged on its way must not be decided on"),
    set(CONSUMERS, "enable.partition.eof", "true", "who has read to the end must know it"),
    set(
        &[Input],
        "group.protocol",
        "classic",
        "the newer one took longer to notice a dead member, and hides unknown topics",
    ),
    set(
        &[Input],
        "partition.assignment.strategy",
        "cooperative-sticky",
        "the others stop every shard whenever a node comes or goes",
    ),
    set(PRODUCERS, "acks", "all", "a step counts as kept only when every in-sync copy has it"),
    set(
        PRODUCERS,
        "enable.idempotence",
        "true",
        "a retry inside the library must not append a step twice or out of order",
    ),
    set(PRODUCERS, "max.in.flight.requests.per.connection", "5", "more is not idempotent, fewer is slower"),
    set(PRODUCERS, "partitioner", "murmur2_random", "a key lies where Kafka's Java clients put it"),
    set(PRODUCERS, "delivery.report.only.error", "false", "a step is acted on when it is reported as kept"),
    set(&[JournalProducer], "linger.ms", "0", "a step is a batch already; to wait for another only costs time"),
];

/// What is better for dispatch than the library's default.
pub const DEFAULTS: &[Setting] = &[
    set(EVERY, "socket.keepalive.enable", "true", "a broker that vanished without a word is noticed"),
    set(
        EVERY,
        "socket.connection.setup.timeout.ms",
        "5000",
        "a frozen broker is left for the next one (30 s by default)",
    ),
    set(EVERY, "api.version.request.timeout.ms", "5000", "as above (10 s by default)"),
    set(EVERY, "reconnect.backoff.ms", "50", "a broker that comes back is found at once (100 ms by default)"),
    set(EVERY, "reconnect.backoff.max.ms", "1000", "and also after it was away for long (10 s by default)"),
    set(EVERY, "retry.backoff.ms", "5", "the first retry comes at once (100 ms by default)"),
    set(EVERY, "retry.backoff.max.ms", "500", "and the later ones soon (1 s by default)"),
    set(EVERY, "topic.metadata.refresh.interval.ms", "10000", "a new leader is noticed (5 min by default)"),
    set(
        CONSUMERS,
        "fetch.queue.backoff.ms",
        "10",
        "a full queue is filled on as soon as there is room (1 s by default)",
    ),
    set(
        CONSUMERS,
        "fetch.error.backoff.ms",
        "50",
        "a partition that had no leader is read on at once (500 ms by default)",
    ),
    set(PRODUCERS, "queue.buffering.max.messages", "100000", "bounded in number as in bytes"),
];

/// What has a key of its own in `[kafka]`.
const KEYS: &[(&str, &str)] = &[
    ("bootstrap.servers", "brokers"),
    ("client.id", "client_id"),
    ("group.id", "group"),
    ("group.instance.id", "member"),
    ("session.timeout.ms", "session_timeout"),
    ("heartbeat.interval.ms", "heartbeat_every"),
    ("max.poll.interval.ms", "poll_within"),
    ("socket.timeout.ms", "request_timeout"),
    ("request.timeout.ms", "request_timeout"),
    ("message.timeout.ms", "journal_timeout` and `output_timeout"),
    ("linger.ms", "linger"),
    ("fetch.wait.max.ms", "fetch_wait"),
    ("queued.max.messages.kbytes", "fetch_bytes_max"),
    ("queue.buffering.max.kbytes", "send_bytes_max"),
    ("statistics.interval.ms", "statistics_every"),
    ("security.protocol", "security"),
    ("ssl.ca.location", "tls_ca"),
    ("ssl.certificate.location", "tls_certificate"),
    ("ssl.key.location", "tls_key"),
    ("ssl.key.password", "tls_key_password"),
    ("sasl.mechanism", "sasl_mechanism"),
    ("sasl.username", "sasl_user"),
    ("sasl.password", "sasl_password"),
];

/// What nobody sets. A name that ends in `*` stands for all that begin so.
pub const REFUSED: &[(&str, &str)] = &[
    ("transactional.id", "there are no transactions here: the order of the journal decides who may write"),
    ("transaction.timeout.ms", "there are no transactions here"),
    ("enable.gapless.guarantee", "the journal's own rule finds a gap, and goes on from it"),
    ("retries", "how long is tried is said by time, in `journal_timeout` and `output_timeout`"),
    ("queuing.strategy", "steps must leave in their order"),
    ("message.max.bytes", "a record's size is bounded by Muster, and by the topic"),
    ("auto.commit.interval.ms", "nothing is committed: the position is part of each step"),
    ("offset.store.*", "nothing is committed: the position is part of each step"),
    ("group.protocol.type", "it belongs to the group's protocol, which is fixed"),
    ("group.remote.assignor", "it belongs to a protocol of groups that is not used here"),
    (
        "client.rack",
        "it lets a consumer read from a follower, whose end may lag behind what was accepted: that would look like a journal \
         that has lost its end",
    ),
    ("topic.blacklist", "it would hide topics from their own client"),
    ("enable.ssl.certificate.verification", "whoever stands between could order posts about; name its CA in `tls_ca`"),
    (
        "ssl.endpoint.identification.algorithm",
        "whoever holds any certificate of that CA could order posts about; give the broker one with its name",
    ),
    ("ssl.key.pem", "a secret stands in a file of its own; name it in `tls_key`"),
    ("ssl.certificate.pem", "name the file in `tls_certificate`"),
    ("ssl.ca.pem", "name the file in `tls_ca`"),
    ("ssl.keystore.*", "name files in PEM form in `tls_certificate` and `tls_key`"),
    ("sasl.oauthbearer.*", "the token is read from the file named in `sasl_token_file`"),
    ("enable.sasl.oauthbearer.unsecure.jwt", "a token that nobody signed is none"),
    ("sasl.kerberos.*", "this build speaks no Kerberos; use SCRAM, OAUTHBEARER or a client certificate"),
    ("plugin.library.paths", "it would load foreign code into the process"),
    ("test.mock.*", "a mock keeps nothing"),
    ("log_level", "what is logged is said by `[log] filter`, such as `info,librdkafka=debug`"),
    ("log.queue", "the log is wired by the program"),
    ("enabled_events", "events are wired by the program"),
];

/// Names that mean the same property: (alias, name).
const ALIASES: &[(&str, &str)] = &[
    ("metadata.broker.list", "bootstrap.servers"),
    ("max.in.flight", "max.in.flight.requests.per.connection"),
    ("max.partition.fetch.bytes", "fetch.message.max.bytes"),
    ("queue.buffering.max.ms", "linger.ms"),
    ("message.send.max.retries", "retries"),
    ("compression.codec", "compression.type"),
    ("request.required.acks", "acks"),
    ("delivery.timeout.ms", "message.timeout.ms"),
    ("auto.commit.enable", "enable.auto.commit"),
    ("sasl.mechanisms", "sasl.mechanism"),
];

fn canonical(name: &str) -> &str {
    ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, name)| name)
}

/// Why a property may not be set, if so.
#[must_use]
pub fn why_not(name: &str) -> Option<String> {
    let name = canonical(name);
    let same = |pattern: &str| pattern.strip_suffix('*').map_or(pattern == name, |start| name.starts_with(start));
    if let Some((_, key)) = KEYS.iter().find(|(property, _)| *property == name) {
        return Some(format!("it is set by `{key}` in [kafka]"));
    }
    if let Some(fixed) = FIXED.iter().find(|fixed| fixed.name == name) {
        return Some(format!("it is always `{}`: {}", fixed.value, fixed.why));
    }
    REFUSED.iter().find(|(pattern, _)| same(pattern)).map(|(_, why)| (*why).to_owned())
}

/// One property passed through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Property {
    /// `admin`, `consumer` or `producer`; `None` for every client.
    kind: Option<String>,
    /// The library's name of it, never an alias.
    pub name: String,
    /// As written.
    pub value: String,
}

impl Property {
    /// Whether it is for that client.
    #[must_use]
    pub fn is_for(&self, role: Role) -> bool {
        self.kind.as_deref().is_none_or(|kind| kind == role.kind())
    }

    /// Reads `name=value`.
    ///
    /// # Errors
    /// When it has another form, or the property may not be set.
    pub fn read(text: &str) -> Result<Self, OptionsError> {
        // Nobody is told the value: it may be a secret that stands in the wrong place.
        let refuse = |name: &str, why: String| Err(refused("properties", name, why));
        let Some((name, value)) = text.split_once('=') else {
            return refuse(text, "write `name=value`".into());
        };
        let (name, value) = (name.trim(), value.trim());
        let kinds = ["admin", "consumer", "producer"];
        let (kind, bare) = match name.split_once('.') {
            Some((kind, bare)) if kinds.contains(&kind) => (Some(kind.to_owned()), bare),
            _ => (None, name),
        };
        if let Some(why) = why_not(bare) {
            return refuse(name, why);
        }
        Ok(Self { kind, name: canonical(bare).to_owned(), value: value.to_owned() })
    }

    /// Reads all of them.
    ///
    /// # Errors
    /// At the first that may not be set, or is set twice for the same client.
    pub fn read_all(texts: &[String]) -> Result<Vec<Self>, OptionsError> {
        let mut read: Vec<Self> = Vec::new();
        for text in texts {
            let property = Self::read(text)?;
            if read.iter().any(|other| other.name == property.name && other.kind == property.kind) {
                return Err(refused("properties", &property.name, "it is set twice".into()));
            }
            read.push(property);
        }
        // The particular one counts before the general one: it is applied later.
        read.sort_by_key(|property| property.kind.is_some());
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        Property::read(text).unwrap_err().to_string()
    }

    #[test]
    fn what_would_break_correctness_is_refused_with_its_reason() {
        for (text, why) in [
            ("acks=1", "always `all`"),
            ("request.required.acks=1", "always `all`"),
            ("producer.acks=0", "always `all`"),
            ("enable.idempotence=false", "always `true`"),
            ("enable.auto.commit=true", "always `false`"),
            ("auto.commit.enable=true", "always `false`"),
            ("consumer.enable.auto.offset.store=true", "always `false`"),
            ("auto.offset.reset=latest", "is an alarm"),
            ("isolation.level=read_committed", "always `read_uncommitted`"),
            ("transactional.id=x", "no transactions"),
            ("group.id=x", "`group`"),
            ("group.instance.id=x", "`member`"),
            ("partitioner=random", "always `murmur2_random`"),
            ("partition.assignment.strategy=range", "always `cooperative-sticky`"),
            ("delivery.timeout.ms=100", "`journal_timeout`"),
            ("queue.buffering.max.ms=100", "`linger`"),
            ("offset.store.method=file", "position is part of each step"),
            ("test.mock.num.brokers=3", "mock"),
            ("sasl.password=hidden", "`sasl_password`"),
        ] {
            let said = refusal(text);
            let name = text.split('=').next().unwrap();
            assert!(said.contains(why) && said.contains(name) && said.contains("[kafka] properties"), "{text}: {said}");
            assert!(!said.contains("hidden"), "the value is nobody's business: {said}");
        }
    }

    #[test]
    fn every_line_has_a_reason_and_says_nothing_twice() {
        let mut names: Vec<&str> = FIXED.iter().chain(DEFAULTS).map(|setting| setting.name).collect();
        names.extend(REFUSED.iter().map(|(name, _)| *name));
        assert!(FIXED.iter().chain(DEFAULTS).all(|setting| !setting.why.is_empty() && !setting.roles.is_empty()));
        assert!(REFUSED.iter().all(|(_, why)| !why.is_empty()));
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        assert!(DEFAULTS.iter().all(|setting| why_not(setting.name).is_none()), "a default may be overruled");
    }

    #[test]
    fn a_prefix_says_for_whom() {
        let read = |texts: &[&str]| Property::read_all(&texts.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>());
        let properties =
            read(&["consumer.fetch.max.bytes=1000", "debug=broker", "producer.compression.codec=lz4"]).unwrap();
        let of = |role| properties.iter().filter(|p| p.is_for(role)).map(|p| p.name.as_str()).collect::<Vec<_>>();
        assert_eq!(of(Role::Admin), ["debug"]);
        assert_eq!(of(Role::JournalReader), ["debug", "fetch.max.bytes"]);
        assert_eq!(of(Role::OutputProducer), ["debug", "compression.type"]);
        let twice = read(&["compression.type=lz4", "compression.codec=gzip"]).unwrap_err().to_string();
        assert!(twice.contains("twice"), "{twice}");
        assert!(refusal("debug").contains("name=value"));
    }
}
