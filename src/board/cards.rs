//! Cards: an incident with what an operator must see of it at a glance. A screen reads all open ones once, and from then on
//! only those of which the stream told something.

use std::sync::Arc;

use super::state::State;
use super::{Board, Sight};
use crate::engine::Callee;
use crate::engine::state::{Incident, Order, ReportRecord};
use crate::model::{IncidentId, PostId};

/// An incident at a glance.
#[derive(Clone, Debug)]
pub struct Card {
    /// Itself.
    pub incident: Arc<Incident>,
    /// Its orders, oldest first.
    pub orders: Vec<Arc<Order>>,
    /// What was first reported, where it is still held.
    pub first: Option<Arc<ReportRecord>>,
}

impl Board {
    /// The cards of open incidents, newest first, at most so many; and whether there are more.
    #[must_use]
    pub fn open_cards(&self, sight: &Sight, limit: usize) -> (Vec<Card>, bool) {
        let state = self.read();
        let seen = |id: &&IncidentId| state.incidents.get(*id).is_some_and(|i| sight.incident(i));
        let mut ids = state.open.iter().rev().map(|(_, id)| id).filter(seen);
        (ids.by_ref().take(limit).filter_map(|id| card(&state, id)).collect(), ids.next().is_some())
    }

    /// The cards of these incidents, open or not; those that are gone have none.
    #[must_use]
    pub fn cards(&self, sight: &Sight, ids: &[IncidentId]) -> Vec<Card> {
        let state = self.read();
        ids.iter().filter_map(|id| card(&state, id)).filter(|c| sight.incident(&c.incident)).collect()
    }

    /// The open incidents whose all-call has called this post and waits for its answer, with the metres it is away.
    #[must_use]
    pub fn calls_of(&self, post: &PostId) -> Vec<(Arc<Incident>, u32)> {
        let state = self.read();
        let open = state.open.iter().rev().filter_map(|(_, id)| state.incidents.get(id));
        let waits = |i: &Arc<Incident>| {
            let call = i.all_call.as_ref().filter(|call| call.ended.is_none())?;
            let stretches = state.calls.range((i.id.clone(), call.n, 0)..=(i.id.clone(), call.n, u32::MAX));
            let mut units = stretches.flat_map(|(_, list)| &list.units).take(call.called as usize);
            let unit = units.find(|u| u.unit == Callee::Post(post.clone()))?;
            unit.coming.is_none().then_some((i.clone(), unit.distance_m))
        };
        open.filter_map(waits).collect()
    }
}

fn card(state: &State, id: &IncidentId) -> Option<Card> {
    Some(Card {
        incident: state.incidents.get(id)?.clone(),
        orders: state.orders_of(id).cloned().collect(),
        first: state.reports_of(id).next().map(|(_, r)| r.clone()),
    })
}
