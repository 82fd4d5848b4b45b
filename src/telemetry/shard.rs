//! What the shard tells: how late something fired, how long the journal took, what happened to the clock.

use std::time::Duration;

use tracing::{error, info, warn};

use super::Metrics;
use crate::engine::Outage;
use crate::journal::Step;
use crate::model::Millis;
use crate::runtime::{ClockStep, Observer};

impl Observer for Metrics {
    fn fired(&self, late: Millis) {
        self.mark_lateness.observe(late.as_secs_f64());
    }

    fn accepted(&self, _step: &Step, spent: Duration) {
        self.journal_append.observe(spent.as_secs_f64());
    }

    fn clock(&self, step: ClockStep) {
        match step {
            ClockStep::Set { by_ms } => warn!(by_ms, "clock.set: marks go on as they were"),
            ClockStep::Slept { by } => warn!(%by, "clock.slept: the machine was asleep"),
        }
    }

    fn outage(&self, outage: Outage) {
        warn!(from = %outage.from, to = %outage.to, "outage.told: what fell due meanwhile is late through us");
    }

    fn stopped(&self, reason: &str, clean: bool) {
        if clean {
            info!(reason, "shard.stopped");
        } else {
            error!(reason, "shard.failed");
        }
    }
}
