//! What the shard tells whoever measures it. Counting is the telemetry's business; the shard only says what it saw.

use std::time::Duration;

use super::clock;
use crate::engine::Outage;
use crate::journal::Step;
use crate::model::Millis;

/// Hears what the shard sees. Every method returns at once: it is called on the shard's thread.
pub trait Observer: Send + Sync {
    /// Something fell due and was stepped so much later.
    fn fired(&self, late: Millis) {
        let _ = late;
    }

    /// A step was accepted; the journal took so long.
    fn accepted(&self, step: &Step, spent: Duration) {
        let _ = (step, spent);
    }

    /// The wall clock was set, or the machine slept.
    fn clock(&self, step: clock::Step) {
        let _ = step;
    }

    /// We were not there.
    fn outage(&self, outage: Outage) {
        let _ = outage;
    }

    /// The shard ended, for this reason, in order or not.
    fn stopped(&self, reason: &str, clean: bool) {
        let _ = (reason, clean);
    }
}

/// Hears nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Deaf;

impl Observer for Deaf {}
