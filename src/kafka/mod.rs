//! Kafka.

pub mod areas;
pub mod inbox;
