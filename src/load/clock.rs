//! What latencies are measured by: the machine's steady clock, and instants as the wall has them for events.

use std::time::{Duration, Instant};

use tokio::time::sleep_until;

use crate::model::Timestamp;

/// Now, on the steady clock.
#[expect(clippy::disallowed_methods, reason = "a load is measured in real time")]
#[must_use]
pub fn now() -> Instant {
    Instant::now()
}

/// Now, on the wall: what a producer writes into its event.
#[must_use]
pub fn wall() -> Timestamp {
    crate::runtime::Clock::wall().now()
}

/// Sleeps until this instant; the runtime's timer rounds up to a millisecond, which counts as the driver's own lag.
pub async fn until(at: Instant) {
    sleep_until(at.into()).await;
}

/// A span in whole microseconds, which histograms count in.
#[must_use]
pub fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}
