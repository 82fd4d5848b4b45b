//! The reconciler: each second it looks for what nobody accounts for. The count must be 0.

use super::Board;
use crate::engine::state::{Incident, Order};
use crate::model::{IncidentId, IncidentState, OrderId, OrderState, Spot, Timestamp};

/// What can be unaccounted for: the label of `muster_unaccounted`.
pub const UNACCOUNTED: [&str; 2] = ["incident", "order"];

/// What nobody accounts for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unaccounted {
    /// Open incidents with neither order nor reason.
    pub incidents: Vec<IncidentId>,
    /// Orders with neither delivery nor expiry.
    pub orders: Vec<OrderId>,
}

impl Board {
    /// What nobody accounts for at `now`.
    #[must_use]
    pub fn unaccounted(&self, now: Timestamp) -> Unaccounted {
        let state = self.read();
        let grace = self.options.unaccounted_after;
        let open = || state.open.iter().filter_map(|(_, id)| state.incidents.get(id));
        let incidents = open().filter(|i| i.clock_from + grace < now && has_neither_order_nor_reason(i));
        let live = state.bound.values().flatten().filter_map(|id| state.orders.get(id));
        let orders = live.filter(|o| o.expires + grace < now && is_forgotten(o));
        Unaccounted {
            incidents: incidents.map(|i| i.id.clone()).collect(),
            orders: orders.map(|o| o.id.clone()).collect(),
        }
    }
}

/// A reason is: somebody verifies it, its place is sought, the plan asks for no post, a need waits in the queue, it was
/// merged from others, an operator holds it, or it is controlled.
fn has_neither_order_nor_reason(i: &Incident) -> bool {
    let waits_for_somebody = matches!(i.state, IncidentState::Verifying | IncidentState::Controlled);
    let asks_for_nobody = i.needs.iter().all(|n| n.wanted == 0);
    i.orders == 0
        && !waits_for_somebody
        && !asks_for_nobody
        && i.place.spot == Spot::Known
        && i.needs.iter().all(|n| n.waiting.is_none())
        && i.holds.is_empty()
}

/// Past its expiry an order was signed, or it is expired, declined or recalled.
fn is_forgotten(o: &Order) -> bool {
    o.state == OrderState::Issued && o.delivered.is_none()
}
