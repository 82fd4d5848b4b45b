//! What is said about Kafka, tried on a real broker.
#![cfg(all(feature = "kafka", unix))]
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::needless_for_each,
    reason = "a test says what went wrong by failing, these measure real time, and count what is small and positive"
)]

mod again;
#[path = "../support/broker.rs"]
mod broker;
mod brokers;
mod cluster;
mod decider;
mod doors;
mod journal;
mod kills;
mod lanes;
mod load;
mod outside;
mod partition;
mod poison;
mod process;
mod province;
mod reads;
mod roles;
#[cfg(feature = "kafka-tls")]
mod secure;
mod shard;
mod topics;

/// `[kafka]` for a test: a broker's address, a prefix of its own, few partitions, no copies.
fn options(cluster: &broker::Cluster, prefix: &str) -> muster::kafka::Options {
    muster::kafka::Options {
        brokers: cluster.brokers().split(',').map(str::to_owned).collect(),
        topic_prefix: format!("{prefix}."),
        member: "test".into(),
        partitions: 4,
        development: cluster.size() == 1,
        ..Default::default()
    }
}
