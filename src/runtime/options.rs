//! What can be set about the runtime, each bound with its name and unit.

use serde::{Deserialize, Serialize};

use crate::model::Millis;

/// `[runtime]` of the configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RuntimeOptions {
    /// Inputs that may wait for the shard. Beyond it even the bottom line is told to come again.
    pub queue_max: usize,
    /// Bytes of free text and other growing parts that the waiting inputs may hold together.
    pub queue_bytes_max: usize,
    /// Percent of both that only the bottom line may use (the 20/80 rule).
    pub reserve_percent: u8,
    /// What a producer that was told to come again shall wait.
    pub retry_after: Millis,
    /// Inputs that one step may take, hence one commit.
    pub batch_inputs_max: usize,
    /// Effects after which a step takes no further input.
    pub batch_effects_max: usize,
    /// Real time after which a step takes no further input. What comes in meanwhile waits as long, so this bounds what a
    /// flood can cost the bottom line.
    pub batch_span_max: Millis,
    /// An append that takes no longer than this never makes batches smaller; a longer one does, where it also takes twice
    /// as long as that of a single input.
    pub append_span: Millis,
    /// Accepted steps kept for a subscriber that reads slowly; one that lags by more has to resync.
    pub steps_kept: usize,
    /// Steps whose effects have not left the house; beyond 80 % of it ordinary traffic is told to come again, beyond all
    /// of it everybody is.
    pub unemitted_max: u64,
    /// How often the journal is told how far effects have left the house. What is not told yet is delivered again after
    /// a crash.
    pub emitted_every: Millis,
    /// A gap in our own running that is at least so long is an outage: what fell due in it is marked late through us.
    pub outage_min: Millis,
}

impl Default for RuntimeOptions {
    fn default() -> Self {
        Self {
            queue_max: 10_000,
            queue_bytes_max: 64 * 1024 * 1024,
            reserve_percent: 20,
            retry_after: Millis(1_000),
            batch_inputs_max: 256,
            batch_effects_max: 2_048,
            batch_span_max: Millis(3),
            append_span: Millis(5),
            steps_kept: 8_192,
            unemitted_max: 100_000,
            emitted_every: Millis(200),
            outage_min: Millis(1_000),
        }
    }
}
