//! Kafka: the ground on which many machines run one city.
//!
//! Kafka is the only distributed engine here. It carries what comes in and what goes out, and its order decides: each shard
//! is one partition of the journal, and whoever reads that partition knows, by one rule, which steps count.
//!
//! # The ground
//! `options` is `[kafka]`; `properties` says, each with its reason, what our clients are set to, what may be passed through
//! to them, and what may not; `client` makes the configuration of each role of it, `clients` the clients themselves;
//! `topics` makes, checks and verifies the topics, by one table; `partition` says which shard a command area belongs to.
//!
//! # A node at work
//! ```text
//!              group: who should own what
//!                        │
//!              node: a thread a shard, while it is ours ── folds, heads: what to begin from
//!                        │
//!  inputs ──► inbox ──► shard (areas: an engine a command area) ──► writer ──► the journal
//!  scout ───►            ▲  what stands by the rule of `journal::log` ◄── logreader
//!  (reading)             └── mailbox                    │
//!                                                       └──► outputs: orders, notices, timeline, rejected
//! ```
//!
//! # Roles
//! A node talks to the cluster as five kinds of client, told apart because they are correct by different things:
//! *input* reads reports, acts and commands from exact positions, and is a member of the group that says who should own
//! what; the *journal's reader* reads a shard's steps from an exact offset to the end and is in no group; the *journal's
//! producer* appends steps, idempotent and acknowledged by every copy in sync; the *output* producer hands on orders and
//! notices; *admin* looks at topics and trims the journal.
//!
//! # What always holds
//! * No client commits a position, makes a topic by naming it, begins anywhere by default, or lets the library choose a
//!   partition. The settings that say so cannot be overruled.
//! * Nothing starts on topics that do not fit.
//! * A secret is shown by no `Debug`, no refusal and no log line.
//!
//! # Builds
//! The configuration is always there. The client (librdkafka, compiled in) stands behind the feature `kafka`, which is in
//! the default; TLS and SASL stand behind `kafka-tls`, which links the system's OpenSSL. A build that lacks what `[kafka]`
//! asks for says so and does not start.
//!
//! Left out: transactions (see `journal::log` for what stands in their place), and forwarding across clusters.

// The ground.
#[cfg(feature = "kafka")]
pub mod client;
#[cfg(feature = "kafka")]
pub mod clients;
pub mod options;
pub mod partition;
pub mod properties;
#[cfg(feature = "kafka")]
pub mod statistics;
#[cfg(feature = "kafka")]
mod token;
pub mod topics;

// A node at work, from the group to what leaves the house.
pub mod areas;
#[cfg(feature = "kafka")]
pub mod folds;
#[cfg(feature = "kafka")]
pub mod group;
pub mod inbox;
#[cfg(feature = "kafka")]
pub mod inputs;
#[cfg(feature = "kafka")]
pub mod logreader;
#[cfg(feature = "kafka")]
pub mod mailbox;
#[cfg(feature = "kafka")]
pub mod node;
#[cfg(feature = "kafka")]
pub mod outgoing;
#[cfg(feature = "kafka")]
pub mod outputs;
pub mod reading;
#[cfg(feature = "kafka")]
pub mod scout;
#[cfg(feature = "kafka")]
pub mod shard;
#[cfg(feature = "kafka")]
pub mod trim;
#[cfg(feature = "kafka")]
pub mod trouble;
pub mod underway;
#[cfg(feature = "kafka")]
pub mod vacancies;
#[cfg(feature = "kafka")]
pub mod writer;

// For a person who looks.
#[cfg(feature = "kafka")]
pub mod audit;
pub mod replay;

// Every node shows the whole city: the journals followed, and the gate that events come in by.
pub mod answers;
#[cfg(feature = "kafka")]
pub mod asker;
#[cfg(feature = "kafka")]
pub mod follower;
#[cfg(feature = "kafka")]
pub mod gate;
pub mod heads;
pub mod herald;
#[cfg(feature = "kafka")]
pub mod picture;
pub mod route;
pub mod track;

pub use options::Options;
pub use properties::Role;
