//! What is measured once a second: levels, not happenings.

use tracing::error;

use super::Metrics;
use super::metrics::drill;
use crate::board::{Board, Unaccounted};
use crate::model::{Lane, Severity};
use crate::runtime::Status;

impl Metrics {
    /// How full the shard's queues are, and how far effects lag behind.
    pub fn observe_status(&self, status: &Status) {
        let queues = [("bottom-line", status.bottom_line), ("ordinary", status.ordinary)];
        for (queue, (depth, limit)) in queues {
            self.queue_depth.with_label_values(&[queue]).set(number(depth));
            self.queue_limit.with_label_values(&[queue]).set(number(limit));
        }
        let behind = status.step.saturating_sub(status.emitted);
        self.queue_depth.with_label_values(&["unemitted"]).set(i64::try_from(behind).unwrap_or(i64::MAX));
    }

    /// How many incidents are open. A class that has none left says 0.
    pub fn observe_open(&self, board: &Board) {
        let counts = board.open_counts();
        for lane in [Lane::BottomLine, Lane::Ordinary] {
            for severity in Severity::ALL {
                for is_drill in [false, true] {
                    let count = counts.get(&(lane, severity, is_drill)).copied().unwrap_or(0);
                    let labels = [&*lane.to_string(), &*severity.to_string(), drill(is_drill)];
                    self.incidents_open.with_label_values(&labels).set(number(count));
                }
            }
        }
    }

    /// What nobody accounts for. Each is named in the log, so that somebody can look.
    pub fn observe_unaccounted(&self, found: &Unaccounted) {
        self.unaccounted.with_label_values(&["incident"]).set(number(found.incidents.len()));
        self.unaccounted.with_label_values(&["order"]).set(number(found.orders.len()));
        if !found.incidents.is_empty() {
            let (count, named) = (found.incidents.len(), named(&found.incidents));
            error!(count, named, "unaccounted.found: incidents with neither order nor reason");
        }
        if !found.orders.is_empty() {
            let (count, named) = (found.orders.len(), named(&found.orders));
            error!(count, named, "unaccounted.found: orders with neither delivery nor expiry");
        }
    }
}

/// Their ids, the first so many.
fn named(ids: &[impl ToString]) -> String {
    const NAMED_MAX: usize = 20;
    ids.iter().take(NAMED_MAX).map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

fn number(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
