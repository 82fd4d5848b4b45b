//! Muster: an event-driven incident alert and rapid-response dispatcher.
//!
//! # The life of one report
//! ```text
//! producers ──► intake ──► decode ──► classify ──► engine.step(at, input) ──► journal ──► deliver ──► posts, desks, centres
//!   (HTTP, file)  bytes     Event      Verdict      pure, no clock, no I/O      │          (SSE, webhook)
//!                                                    ▲  every Effect is data    │ one atomic write per batch:
//!                    posts' and operators' acts ─────┘  (orders, notices …)     │ positions + changed documents + effects
//!                    and the passing of time                                    └──► board (read model) ──► HTTP
//! ```
//!
//! # The wall
//! `model`, `decode`, `playbook`, `classify`, `engine` (and `scenario`, which drives them from text) know no clock, no
//! I/O, no async, no threads, no randomness. All that changes a decision enters as an input, all that shall happen
//! leaves as an effect; so the same code runs live, in tests, in replay and in back-tests. They build with
//! `--no-default-features`; everything else stands behind the feature `service`. Imports run downwards only, in the
//! order in which the modules are declared here.

// The pure core, in reading order.
pub mod model;

pub mod decode;

pub mod playbook;

pub mod classify;

pub mod engine;

pub mod scenario;

// The shells.
#[cfg(feature = "service")]
pub mod journal;

#[cfg(feature = "service")]
pub mod runtime;

#[cfg(feature = "service")]
pub mod wire;

#[cfg(feature = "service")]
pub mod board;

#[cfg(feature = "service")]
pub mod telemetry;

#[cfg(feature = "service")]
pub mod deliver;

#[cfg(feature = "service")]
pub mod intake;

#[cfg(feature = "service")]
pub mod http;

#[cfg(feature = "service")]
pub mod rehearsal;

#[cfg(feature = "service")]
pub mod config;

#[cfg(feature = "service")]
pub mod cli;
