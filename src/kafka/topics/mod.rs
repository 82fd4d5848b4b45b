//! The topics that Muster lives on: made, checked, shown, and verified at every start.
//!
//! `spec` is the one table. `cluster` asks a real cluster what there is. On these two stand:
//! * [`create`] makes what is missing. What is there it leaves alone, also when it is wrong: to alter a topic that holds
//!   decisions is a person's act, so the command for it is told instead.
//! * [`check`] compares and gives every [`Finding`], each with what was found, what is wanted, why, and the way out.
//! * [`verify`] is the same for a start: a [`Layout`], or a refusal.
//! * [`describe`] shows what is there, right or wrong.
//!
//! # What is demanded
//! Every topic has the same number of partitions: a shard's reports, acts, commands, steps and outputs lie in the partition
//! of its number in each topic, so that whoever reads one partition sees one shard in order. The journal is never
//! compacted and has no retention of its own. Copies, in-sync copies and elections are such that what was acknowledged is
//! not forgotten when a broker is; `development` lifts these, and only these.
//!
//! Left out: quotas, access lists, the placing of partitions on brokers: the cluster's operator knows better.

#[cfg(feature = "kafka")]
mod check;
#[cfg(feature = "kafka")]
mod cluster;
#[cfg(feature = "kafka")]
mod create;
mod spec;

#[cfg(feature = "kafka")]
pub use check::{Finding, Layout, check, verify};
#[cfg(feature = "kafka")]
pub use cluster::{Properties, Seen, SeenPartition};
#[cfg(feature = "kafka")]
pub use create::{Outcome, create};
pub use spec::{Demand, Rule, Topic};

#[cfg(feature = "kafka")]
pub use cluster::describe;

#[cfg(feature = "kafka")]
use super::options::OptionsError;

/// Why nothing can be said about the topics, or nothing can run on them.
#[cfg(feature = "kafka")]
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Fix `[kafka]`.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// See to the brokers, or to the way to them.
    #[error("waited {within} for the brokers at {brokers}: {reason}; see `[kafka] brokers` and `security`")]
    Unreachable {
        /// Who was asked.
        brokers: String,
        /// How long.
        within: crate::model::Millis,
        /// The library's words.
        reason: String,
    },
    /// The cluster said no.
    #[error("the cluster refused to {what}: {reason}")]
    Refused {
        /// What was asked of it.
        what: String,
        /// Its words.
        reason: String,
    },
    /// See to the topics.
    #[error("the topics do not fit; `muster topics check` lists what is wrong:\n{}", lines(.0))]
    Unfit(Vec<Finding>),
}

#[cfg(feature = "kafka")]
fn lines(findings: &[Finding]) -> String {
    findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
