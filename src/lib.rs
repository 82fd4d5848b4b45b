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
//! On many machines the same engine is stepped by `kafka`: what comes in stands in topics, the journal is a topic whose
//! own order decides who may write, and what leaves goes out to topics.
//!
//! # The wall
//! `model`, `decode`, `playbook`, `classify`, `engine` (and `scenario`, which drives them from text) know no clock, no
//! I/O, no async, no threads, no randomness. All that changes a decision enters as an input, all that shall happen
//! leaves as an effect; so the same code runs live, in tests, in replay and in back-tests. They build with
//! `--no-default-features`; everything else stands behind the feature `service`. Imports run downwards only, in the
//! order in which the modules are declared here.
//!
//! # One report, step by step
//! A call-taker sends a fire at a shopping centre. `http` takes the bytes and [`decode`] makes an event of them, or a
//! rejection that names the field. It waits in the queue of its shard (`runtime`), the bottom line before the rest;
//! its place and words meet the [`playbook`], and [`classify`] says what it is, by which rule, and what nearly held. In
//! [`engine`] it joins an incident or opens one; posts are weighed against each other, orders issued, marks set. All that
//! is one step, which the `journal` takes whole or not at all. Only then does it leave the house: `wire` gives it its
//! shape, `deliver` carries it to posts, desks and centres, `board` shows it to whoever reads. From then on it is
//! time that comes in: a mark that passes orders the next post, and the same way is gone again.
//!
//! # The modules, in reading order
//! * [`model`]: the nouns, as plain data.
//! * [`decode`]: bytes to an event, or to a rejection that names the field.
//! * [`playbook`]: all that a city decides, from text to one checked, compiled value.
//! * [`classify`]: a report and the playbook to a classification, with its explanation.
//! * [`engine`]: the rule book as one state machine: incidents, the choice of posts, marks, escalation.
//! * [`scenario`]: the rule book as text, run on a simulated clock.
//! * `journal`: one atomic step a batch; nobody acts before it is accepted.
//! * `runtime`: one thread a shard, the queue before it, the one real clock.
//! * `wire`: what leaves the house, mapped by hand.
//! * `board`: what a reader sees: a fold of accepted steps.
//! * `telemetry`: what the process says about itself, as log lines and metrics.
//! * `deliver`: from accepted steps to whoever must hear: the stream, the webhook.
//! * `kafka`: many machines: the shards of a journal in topics, read, decided and told by whoever owns them.
//! * `intake`: files of real history through a mapping of their columns.
//! * `screen`: the pages that operators and posts look at.
//! * `access`: who may do what, and the trail of who did it.
//! * `http`: the door.
//! * `rehearsal`: a seeded city that speaks only through the public doors.
//! * `config`: the configuration, with the environment laid over it.
//! * `load`: a believable city that drives an instance, and counts from outside.
//! * `cli`: the commands, one file each.

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
pub mod kafka;

#[cfg(feature = "service")]
pub mod intake;

#[cfg(feature = "service")]
pub mod screen;

#[cfg(feature = "service")]
pub mod access;

#[cfg(feature = "service")]
pub mod http;

#[cfg(feature = "service")]
pub mod rehearsal;

#[cfg(feature = "service")]
pub mod config;

#[cfg(feature = "service")]
pub mod load;

#[cfg(feature = "service")]
pub mod cli;
