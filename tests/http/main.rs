//! The doors over HTTP, on a real server at an ephemeral port with the smallest playbook.

#![cfg(feature = "service")]
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test may fail where it stands, and measures real time"
)]

mod binary;
mod door;
mod errors;
mod guarded;
mod kit;
mod limits;
mod matrix;
mod reads;
mod reports;
mod scopes;
mod screen;
mod sessions;
mod silences;
mod stream;
mod tokens;
mod webhook;
