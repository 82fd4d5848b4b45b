//! Ready-made configurations of librdkafka's clients, one a role, and what all of them do beside their work.
//!
//! Later settings win: our defaults, then what is passed through, then what has a key of its own, then what is fixed. Since
//! nothing of the last two may be passed through, the order only says it once more.
//!
//! # What to know before making one
//! * A producer's or consumer's log lines, errors and tokens come only while it is polled. An [`AdminClient`] polls its own
//!   results alone: it says nothing, its lines pile up, and its token is handed over once ([`Options::admin`]). Make one
//!   for a job and drop it.
//! * A consumer needs a group's name to be assigned anything, also when it is in no group: the journal's reader carries
//!   one that it never joins and never commits to.
//! * A new idempotent producer asks a broker for an id, and the broker, when it has none left, the controller. While the
//!   controller is frozen that may take as long as the brokers wait for it (`controller.socket.timeout.ms`, 30 s by
//!   default): one more reason to keep a producer that works.
//! * `BaseConsumer`'s drop polls until it is closed, up to seconds: drop it on its own thread.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::ClientConfig;
use rdkafka::ClientContext;
use rdkafka::admin::AdminClient;
use rdkafka::client::OAuthToken;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};

use super::options::{Mechanism, Options, OptionsError, Security, refused};
use super::properties::{DEFAULTS, FIXED, Role};
use super::statistics::Statistics;
use super::token;
use super::trouble::Trouble;
use crate::model::Millis;

/// What the protocol adds to a record, at most.
const ENVELOPE_BYTES_MAX: u64 = 4_096;

impl Options {
    /// The configuration of a client for `role`.
    ///
    /// # Errors
    /// When something in `[kafka]` does not fit, or the library knows no such property or value.
    pub fn client(&self, role: Role) -> Result<ClientConfig, OptionsError> {
        self.check()?;
        let mut client = ClientConfig::new();
        for setting in DEFAULTS.iter().filter(|setting| setting.roles.contains(&role)) {
            client.set(setting.name, setting.value);
        }
        for property in self.properties()?.into_iter().filter(|property| property.is_for(role)) {
            client.set(property.name, property.value);
        }
        self.keys_of_all(role, &mut client)?;
        match role {
            Role::Admin => {}
            Role::Input => self.keys_of_consumers(&mut client, &self.group).keys_of_members(&mut client)?,
            Role::JournalReader => {
                self.keys_of_consumers(&mut client, &format!("{}-{}", self.group, role.name()));
            }
            Role::JournalProducer => {
                client.set("message.max.bytes", (self.record_bytes_max + ENVELOPE_BYTES_MAX).to_string());
                self.keys_of_producers(&mut client, self.journal_timeout);
            }
            Role::OutputProducer => {
                client.set("linger.ms", ms(self.linger));
                self.keys_of_producers(&mut client, self.output_timeout);
            }
        }
        for setting in FIXED.iter().filter(|setting| setting.roles.contains(&role)) {
            client.set(setting.name, setting.value);
        }
        match client.create_native_config() {
            Ok(_) => Ok(client),
            Err(KafkaError::ClientConfig(_, why, name, _)) => Err(refused("properties", &name, why)),
            Err(other) => Err(refused("properties", "", other.to_string())),
        }
    }

    /// A client for administration, with its token where it needs one.
    ///
    /// # Errors
    /// When something in `[kafka]` does not fit, or the library makes no client.
    pub fn admin(&self) -> Result<AdminClient<Context>, OptionsError> {
        let config = self.client(Role::Admin)?;
        let admin: AdminClient<Context> = config.create_with_context(Context::new(self)).map_err(not_made)?;
        if self.security.is_sasl() && self.sasl_mechanism == Mechanism::OauthBearer {
            let read = token::read(&self.sasl_token_file).and_then(|token| token::hand_over(admin.inner(), &token));
            read.map_err(|why| refused("sasl_token_file", "", why.to_string()))?;
        }
        Ok(admin)
    }

    fn keys_of_all(&self, role: Role, client: &mut ClientConfig) -> Result<(), OptionsError> {
        client
            .set("bootstrap.servers", self.brokers.join(","))
            .set("client.id", format!("{}-{}-{}", self.client_id, self.member_name()?, role.name()))
            .set("socket.timeout.ms", ms(self.request_timeout))
            .set("statistics.interval.ms", ms(self.statistics_every))
            .set("security.protocol", self.security.name());
        if matches!(self.security, Security::Ssl | Security::SaslSsl) {
            let files = [
                ("ssl.ca.location", &self.tls_ca),
                ("ssl.certificate.location", &self.tls_certificate),
                ("ssl.key.location", &self.tls_key),
            ];
            for (name, file) in files.into_iter().filter(|(_, file)| !file.as_os_str().is_empty()) {
                client.set(name, file.to_string_lossy());
            }
            let password = self.tls_key_password()?;
            if !password.is_empty() {
                client.set("ssl.key.password", password);
            }
        }
        if self.security.is_sasl() {
            client.set("sasl.mechanism", self.sasl_mechanism.name());
            if self.sasl_mechanism != Mechanism::OauthBearer {
                client.set("sasl.username", &self.sasl_user).set("sasl.password", self.sasl_password()?);
            }
        }
        Ok(())
    }

    fn keys_of_consumers(&self, client: &mut ClientConfig, group: &str) -> &Self {
        client
            .set("group.id", group)
            .set("fetch.wait.max.ms", ms(self.fetch_wait))
            .set("queued.max.messages.kbytes", (self.fetch_bytes_max / 1024).to_string());
        self
    }

    fn keys_of_members(&self, client: &mut ClientConfig) -> Result<(), OptionsError> {
        client
            .set("group.instance.id", self.member_name()?)
            .set("session.timeout.ms", ms(self.session_timeout))
            .set("heartbeat.interval.ms", ms(self.heartbeat_every))
            .set("max.poll.interval.ms", ms(self.poll_within));
        Ok(())
    }

    fn keys_of_producers(&self, client: &mut ClientConfig, timeout: Millis) {
        client
            .set("message.timeout.ms", ms(timeout))
            .set("request.timeout.ms", ms(self.request_timeout))
            .set("queue.buffering.max.kbytes", (self.send_bytes_max / 1024).to_string());
    }
}

fn ms(span: Millis) -> String {
    span.0.to_string()
}

/// The library makes no client of it.
pub(super) fn not_made(why: KafkaError) -> OptionsError {
    refused("", "", format!("no client could be made: {why}"))
}

/// The version of librdkafka that is compiled in.
#[must_use]
pub fn version() -> String {
    rdkafka::util::get_rdkafka_version().1
}

/// What every client does beside its work: its lines go to the log under `librdkafka`, its last error is kept for whoever
/// has to explain why nothing comes, its token is read from the file.
#[derive(Debug, Default)]
pub struct Context {
    token_file: PathBuf,
    statistics: Option<Arc<Statistics>>,
    last_error: Mutex<Option<String>>,
}

impl Context {
    /// For a client of that configuration.
    #[must_use]
    pub fn new(options: &Options) -> Self {
        Self { token_file: options.sasl_token_file.clone(), ..Self::default() }
    }

    /// The same, whose numbers are shown.
    #[must_use]
    pub fn measured(self, statistics: Option<Arc<Statistics>>) -> Self {
        Self { statistics, ..self }
    }

    /// Where its numbers are shown, if anywhere.
    #[must_use]
    pub fn statistics(&self) -> Option<&Statistics> {
        self.statistics.as_deref()
    }

    /// The last thing that went wrong, in the library's words.
    #[must_use]
    pub fn last_error(&self) -> Option<String> {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ClientContext for Context {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        log(level, facility, line);
    }

    fn stats_raw(&self, statistics: &[u8]) {
        if let Some(shown) = self.statistics() {
            shown.say(statistics);
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        // A partition that was read to its end is no trouble of anybody's.
        if Trouble::of(&error) == Trouble::End {
            return;
        }
        tracing::warn!(target: "librdkafka", %error, reason, "kafka.error");
        // That all brokers are away only sums up what was said of each.
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown) {
            return;
        }
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.to_owned());
    }

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        Ok(token::read(&self.token_file)?)
    }
}

/// For consumers that are in no group: nobody assigns anything to them but their owner.
impl ConsumerContext for Context {}

/// A line of the library, as one of ours: `[log] filter = "info,librdkafka=debug"` shows more of them.
pub fn log(level: RDKafkaLogLevel, facility: &str, line: &str) {
    use RDKafkaLogLevel::{Alert, Critical, Debug, Emerg, Error, Info, Notice, Warning};
    match level {
        Emerg | Alert | Critical | Error => tracing::error!(target: "librdkafka", facility, "{line}"),
        Warning => tracing::warn!(target: "librdkafka", facility, "{line}"),
        Notice | Info => tracing::info!(target: "librdkafka", facility, "{line}"),
        Debug => tracing::debug!(target: "librdkafka", facility, "{line}"),
    }
}

/// Waits for what the library answers, on a thread that may wait.
pub(super) fn wait<T>(answer: impl Future<Output = KafkaResult<T>>) -> KafkaResult<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.expect("a runtime without threads and timers asks nothing of the system").block_on(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> Options {
        Options { brokers: vec!["127.0.0.1:1".into()], member: "n1".into(), ..Options::default() }
    }

    fn get(options: &Options, role: Role, name: &str) -> String {
        options.client(role).unwrap().create_native_config().unwrap().get(name).unwrap()
    }

    #[test]
    fn every_role_has_what_it_is_correct_by() {
        for role in Role::ALL {
            let client = options().client(role).unwrap();
            for setting in FIXED.iter().filter(|setting| setting.roles.contains(&role)) {
                assert_eq!(client.get(setting.name), Some(setting.value), "{role:?}");
            }
            assert_eq!(client.get("client.id"), Some(format!("muster-n1-{}", role.name()).as_str()));
        }
        assert_eq!(get(&options(), Role::Input, "group.instance.id"), "n1");
        assert_eq!(get(&options(), Role::Input, "session.timeout.ms"), "6000");
        assert_eq!(get(&options(), Role::JournalReader, "group.id"), "muster-journal-reader");
        assert_eq!(options().client(Role::JournalReader).unwrap().get("group.instance.id"), None);
        assert_eq!(get(&options(), Role::JournalProducer, "message.timeout.ms"), "120000");
        assert_eq!(get(&options(), Role::JournalProducer, "linger.ms"), "0");
        assert_eq!(get(&options(), Role::OutputProducer, "message.timeout.ms"), "15000");
        assert_eq!(get(&options(), Role::OutputProducer, "linger.ms"), "1");
    }

    #[test]
    fn a_passed_property_wins_over_our_default_for_whom_it_is_meant() {
        let mut options = options();
        options.properties = ["consumer.fetch.queue.backoff.ms=7", "retry.backoff.ms=3", "producer.retry.backoff.ms=4"]
            .map(String::from)
            .to_vec();
        assert_eq!(get(&options, Role::Input, "fetch.queue.backoff.ms"), "7");
        assert_eq!(get(&options, Role::Input, "retry.backoff.ms"), "3");
        assert_eq!(get(&options, Role::JournalProducer, "retry.backoff.ms"), "4");
    }

    #[test]
    fn what_the_library_does_not_know_is_refused_by_name() {
        let mut options = options();
        options.properties = vec!["fetch.max.byte=7".into()];
        let said = options.client(Role::Input).unwrap_err().to_string();
        assert!(said.starts_with("[kafka] properties: `fetch.max.byte` is refused: No such configuration"), "{said}");
        options.properties = vec!["fetch.max.bytes=many".into()];
        let said = options.client(Role::Input).unwrap_err().to_string();
        assert!(said.contains("`fetch.max.bytes` is refused"), "{said}");
    }

    #[test]
    fn nobody_can_say_otherwise_what_is_fixed_or_has_a_key() {
        for role in Role::ALL {
            let client = options().client(role).unwrap();
            let ours: Vec<String> = client.config_map().keys().map(|name| (*name).to_owned()).collect();
            for name in ours {
                let overruled = DEFAULTS.iter().any(|setting| setting.name == name);
                assert_eq!(super::super::properties::why_not(&name).is_none(), overruled, "{name}");
            }
        }
    }

    #[test]
    fn the_version_is_that_of_the_library_built_in() {
        assert!(version().starts_with("2."), "{}", version());
    }
}
