//! Kafka.

pub mod answers;
pub mod areas;
pub mod clients;
pub mod folds;
pub mod group;
pub mod heads;
pub mod inbox;
pub mod inputs;
pub mod key;
pub mod logreader;
pub mod mailbox;
pub mod node;
pub mod outgoing;
pub mod outputs;
pub mod reading;
pub mod scout;
pub mod shard;
pub mod trim;
pub mod trouble;
pub mod underway;
pub mod writer;
