//! Delivery: from accepted steps to whoever must hear.
//!
//! [`Pump`] reads accepted steps in order: the board folds them, telemetry counts them, then each effect becomes one
//! [`message::Message`] and goes to the channels: the [`hub::Hub`] (the stream, for whoever listens now) and the
//! [`webhook::Webhook`] (outside addresses, with retries). A step is told as *emitted* when each channel that owes
//! something for it has settled; what was not told yet comes again after a restart, with the same ids and `rev`.
//!
//! What a channel finds out goes back into the engine as an input: an order was *sent* when the first channel that carries
//! it took it, *delivered* when its post's terminal says so (the act `received`) or a target whose word counts as that
//! answered, and *failed* when every channel that carries it has given up. Each attempt stands in the [`log`].

pub mod hub;
mod ledger;
pub mod log;
pub mod message;
mod pump;
pub mod webhook;
mod words;

use serde::{Deserialize, Serialize};

pub use ledger::Ledger;
pub use pump::Pump;

/// `[deliver]`: delivery to whoever listens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// Messages kept for a listener that comes back with `Last-Event-ID`; one that was away longer reads anew.
    pub kept: usize,
    /// Messages that may wait for a listener that reads slowly; beyond it the listener is let go and reads anew.
    pub buffer: usize,
    /// Lines of the delivery log held for `GET /v1/deliveries`.
    pub log_kept: usize,
    /// Bytes of the delivery log on disk, in two files.
    pub log_bytes_max: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { kept: 20_000, buffer: 2_048, log_kept: 50_000, log_bytes_max: 64 << 20 }
    }
}
