//! What librdkafka says of itself: of its statistics, the few numbers that tell a person whether a client is well, summed up
//! by role. A client is known by its handle's name; one that has gone is forgotten when it has not spoken for a while.

#![expect(clippy::disallowed_methods, reason = "a client that speaks no more is noticed in real time")]

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::properties::Role;
use crate::telemetry::Metrics;

/// A client that said nothing for so long is gone.
const GONE_AFTER: Duration = Duration::from_secs(60);
/// Clients of which something is remembered: five a shard and a few of the node.
const CLIENTS_MAX: usize = 4_096;

/// Takes statistics in and shows them as metrics.
pub struct Statistics {
    metrics: Arc<Metrics>,
    clients: Mutex<BTreeMap<String, Client>>,
}

impl fmt::Debug for Statistics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Statistics")
    }
}

struct Client {
    role: &'static str,
    heard: Instant,
    numbers: Numbers,
}

/// The numbers of one client, as it says them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Numbers {
    messages: i64,
    bytes: i64,
    sent: u64,
    received: u64,
    disconnects: u64,
    round_trip_us: u64,
}

#[derive(Deserialize)]
struct Said {
    name: String,
    client_id: String,
    #[serde(default)]
    msg_cnt: i64,
    #[serde(default)]
    msg_size: i64,
    #[serde(default)]
    tx_bytes: u64,
    #[serde(default)]
    rx_bytes: u64,
    #[serde(default)]
    brokers: BTreeMap<String, Broker>,
}

#[derive(Deserialize)]
struct Broker {
    #[serde(default)]
    disconnects: u64,
    #[serde(default)]
    rtt: Window,
}

#[derive(Default, Deserialize)]
struct Window {
    #[serde(default)]
    p99: u64,
}

impl Statistics {
    /// Shown in these metrics.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>) -> Self {
        metrics.librdkafka_info.with_label_values(&[&super::client::version()]).set(1.0);
        Self { metrics, clients: Mutex::default() }
    }

    /// What one client says, as JSON. What is none is passed over: it is the library's business.
    pub fn say(&self, statistics: &[u8]) {
        let Ok(said) = serde_json::from_slice::<Said>(statistics) else { return };
        let Some(role) = Role::ALL.into_iter().map(Role::name).find(|role| said.client_id.ends_with(role)) else {
            return;
        };
        let numbers = Numbers {
            messages: said.msg_cnt,
            bytes: said.msg_size,
            sent: said.tx_bytes,
            received: said.rx_bytes,
            disconnects: said.brokers.values().map(|broker| broker.disconnects).sum(),
            round_trip_us: said.brokers.values().map(|broker| broker.rtt.p99).max().unwrap_or(0),
        };
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        clients.retain(|_, client| client.heard.elapsed() < GONE_AFTER);
        let before = clients.get(&said.name).map(|client| client.numbers).unwrap_or_default();
        self.count(role, before, numbers);
        if clients.len() < CLIENTS_MAX || clients.contains_key(&said.name) {
            clients.insert(said.name, Client { role, heard: Instant::now(), numbers });
        }
        self.show(role, &clients);
    }

    /// A word of the group: what it did to us.
    pub fn rebalance(&self, event: &str) {
        self.metrics.rebalances.with_label_values(&[event]).inc();
    }

    fn count(&self, role: &str, before: Numbers, now: Numbers) {
        let metrics = &self.metrics;
        let bytes = |direction: &str, more: u64| {
            metrics.librdkafka_bytes.with_label_values(&[role, direction]).inc_by(more);
        };
        bytes("sent", now.sent.saturating_sub(before.sent));
        bytes("received", now.received.saturating_sub(before.received));
        let lost = now.disconnects.saturating_sub(before.disconnects);
        metrics.librdkafka_disconnects.with_label_values(&[role]).inc_by(lost);
    }

    fn show(&self, role: &'static str, clients: &BTreeMap<String, Client>) {
        let of_role = || clients.values().filter(|client| client.role == role).map(|client| client.numbers);
        let waiting = |what: &str, sum: i64| self.metrics.librdkafka_waiting.with_label_values(&[role, what]).set(sum);
        waiting("messages", of_role().map(|numbers| numbers.messages).sum());
        waiting("bytes", of_role().map(|numbers| numbers.bytes).sum());
        let longest = of_role().map(|numbers| numbers.round_trip_us).max().unwrap_or(0);
        let longest = Duration::from_micros(longest).as_secs_f64();
        self.metrics.librdkafka_round_trip.with_label_values(&[role]).set(longest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(name: &str, sent: u64, waiting: u64) -> String {
        format!(
            r#"{{"name":"{name}","client_id":"muster-n1-journal","msg_cnt":{waiting},"msg_size":7,"tx_bytes":{sent},
                "rx_bytes":1,"more":[],"brokers":{{"a":{{"disconnects":2,"rtt":{{"p99":1500}}}},"b":{{}}}}}}"#
        )
    }

    #[test]
    fn numbers_are_summed_up_by_role_and_what_only_grows_is_counted_once() {
        let metrics = Arc::new(Metrics::new());
        let statistics = Statistics::new(Arc::clone(&metrics));
        for (name, sent, waiting) in [("p-1", 100, 3), ("p-2", 50, 4), ("p-1", 130, 1)] {
            statistics.say(said(name, sent, waiting).as_bytes());
        }
        statistics.say(b"nonsense");
        statistics.rebalance("assigned");
        let text = metrics.text().unwrap();
        for line in [
            "muster_librdkafka_bytes_total{direction=\"sent\",role=\"journal\"} 180",
            "muster_librdkafka_waiting{role=\"journal\",what=\"messages\"} 5",
            "muster_librdkafka_disconnects_total{role=\"journal\"} 4",
            "muster_librdkafka_round_trip_seconds{role=\"journal\"} 0.0015",
            "muster_kafka_rebalances_total{event=\"assigned\"} 1",
            "muster_librdkafka_info{version=\"2.",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
