//! Delivery: from accepted steps to whoever must hear.
//!
//! [`Pump`] reads accepted steps in order: the board folds them, telemetry counts them, then each effect becomes one
//! [`message::Message`] and goes to the channels: the [`hub::Hub`] (the stream, for whoever listens now) and the
//! [`webhook::Webhook`] (one outside address, with retries). A step is told as *emitted* when each channel that owes
//! something for it has settled; what was not told yet comes again after a restart, with the same ids and `rev`.

pub mod hub;
mod ledger;
pub mod message;
mod pump;
pub mod webhook;

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
}

impl Default for Options {
    fn default() -> Self {
        Self { kept: 20_000, buffer: 2_048 }
    }
}
