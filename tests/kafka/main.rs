//! What is said about Kafka, tried on a real broker.
#![cfg(all(feature = "kafka", unix))]
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test says what went wrong by failing, and these measure real time"
)]

#[path = "../support/broker.rs"]
mod broker;
mod cluster;
mod kills;
mod lanes;
mod outside;
mod process;
mod shard;
