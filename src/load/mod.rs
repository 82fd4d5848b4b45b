//! Load: a believable city that drives a running instance through its public doors, and counts from outside.
//!
//! ```text
//!  city ── report n ──► driver ── POST /v1/reports ──► the instance ── /v1/stream ──► stream ──► crews ── /v1/acts ──►
//!           (seed, n)    open loop, latency from         (a process of               push latency        signed … cleared
//!                        the instant that was meant       its own)    desk ── /v1/commands ──► closes the oldest
//!                                 │
//!                              ledger: what became of n ──► verify: board and timelines ──► lost must be 0
//! ```
//! Reports are numbered, and the number stands in the event's id. Report *n* is a function of the seed and *n* (`city`), so
//! it can be sent by any connection and sent again. `pace` says when each is meant to be sent, whatever became of those
//! before; `driver` sends it and reads the answer; `crews` act on the orders that they hear on the stream, so that posts become
//! free, and close the oldest incidents, so that a set number stays open; `verify` looks afterwards for every report that
//! was acknowledged. `outcome` judges: a run in which much was folded, merged or short of posts proves nothing and is void.
//!
//! Invariants:
//! * Latency counts from the intended instant, never from the sending.
//! * No act and no closing for an incident that this run did not open.
//! * Everything the driver holds is bounded: eight bytes a report, the open incidents, the orders under way.
//! * What the driver itself was late by is told apart, so that it is never taken for the instance's.
//!
//! Left out: positions of patrols; Kafka's doors; many machines that drive one instance (start it several times).

mod answer;
mod city;
mod client;
mod clock;
mod crews;
mod driver;
mod find;
mod instance;
mod ledger;
mod ours;
mod outcome;
mod pace;
mod roster;
mod run;
mod scenario;
mod scrape;
mod stream;
mod tally;
mod verify;

pub use city::Flood;
pub use client::Target;
pub use crews::Conduct;
pub use find::{Goal, Search, Try};
pub use instance::{Instance, Setup, Usage};
pub use outcome::Outcome;
pub use pace::Bursts;
pub use roster::TIMES_MAX as ROSTER_TIMES_MAX;
pub use run::{Ask, Measured, Progress, Town, run};
pub use scenario::{Case, Line, issue};
