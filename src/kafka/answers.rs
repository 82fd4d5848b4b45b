//! Who waits for what became of a message.

use std::sync::Arc;

use crate::journal::Step;

/// Hears of accepted steps, and tells whoever waits.
pub trait Told: Send + Sync {
    /// This step of this shard is accepted.
    fn accepted(&self, shard: u32, step: &Arc<Step>);
}
