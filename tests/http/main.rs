//! The doors over HTTP, on a real server at an ephemeral port with the smallest playbook.

#![cfg(feature = "service")]
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test may fail where it stands, and measures real time"
)]

mod binary;
mod errors;
mod kit;
mod limits;
mod reads;
mod reports;
mod screen;
mod stream;
mod webhook;
