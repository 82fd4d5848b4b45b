//! Incidents by age, of all command areas together: the order in which lists tell them, newest first.
//!
//! Within a command area ids say which came first. Between areas the receipts do; but a receipt may lie before that of an
//! incident with a lower number (it waited longer to be decided), so an incident's *age* is the latest receipt up to it
//! within its area. So ages never contradict ids, and with one command area the order is that of the ids.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use crate::model::{IncidentId, Timestamp};

/// An incident's place in the order.
pub(super) type Place = (Timestamp, IncidentId);

#[derive(Debug, Default)]
pub(super) struct Ages {
    of: BTreeMap<IncidentId, Timestamp>,
    order: BTreeSet<Place>,
}

impl Ages {
    /// Takes in an incident. Its place, which it keeps.
    pub fn put(&mut self, id: &IncidentId, received: Timestamp) -> Place {
        if let Some(age) = self.of.get(id) {
            return (*age, id.clone());
        }
        let before = self.of.range(..id).next_back().filter(|(other, _)| other.area == id.area);
        let mut age = before.map_or(received, |(_, age)| received.max(*age));
        if let Some(after) = self.after(id) {
            age = age.min(after);
        }
        self.of.insert(id.clone(), age);
        self.order.insert((age, id.clone()));
        (age, id.clone())
    }

    /// Lets an incident go. The place it had.
    pub fn remove(&mut self, id: &IncidentId) -> Option<Place> {
        let place = (self.of.remove(id)?, id.clone());
        self.order.remove(&place);
        Some(place)
    }

    /// Where an incident stands, or would stand if it is gone; where that cannot be said, at the newer end.
    pub fn place(&self, id: &IncidentId) -> Option<Place> {
        let age = self.of.get(id).copied().or_else(|| self.after(id))?;
        Some((age, id.clone()))
    }

    /// Newest first, from below `end`.
    pub fn below(&self, end: Bound<Place>) -> impl Iterator<Item = &IncidentId> {
        self.order.range((Bound::Unbounded, end)).rev().map(|(_, id)| id)
    }

    /// The age of the next incident of the same area.
    fn after(&self, id: &IncidentId) -> Option<Timestamp> {
        let next = self.of.range((Bound::Excluded(id), Bound::Unbounded)).next();
        next.filter(|(other, _)| other.area == id.area).map(|(_, age)| *age)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(area: &str, n: u32) -> IncidentId {
        IncidentId { area: area.into(), date: 20_261_123, n }
    }

    #[test]
    fn areas_are_told_together_and_no_age_contradicts_an_id() {
        let mut ages = Ages::default();
        for (area, n, received) in [("4304", 1, 10), ("4301", 1, 20), ("4304", 2, 5), ("4301", 2, 30), ("4304", 3, 25)]
        {
            ages.put(&id(area, n), Timestamp(received));
        }
        let told: Vec<String> = ages.below(Bound::Unbounded).map(|i| format!("{}/{}", i.area, i.n)).collect();
        assert_eq!(told, ["4301/2", "4304/3", "4301/1", "4304/2", "4304/1"]);
        let from = ages.place(&id("4301", 1)).unwrap();
        assert_eq!(ages.below(Bound::Excluded(from)).count(), 2);
        // Gone meanwhile, it still says where to go on.
        ages.remove(&id("4304", 2)).unwrap();
        let from = ages.place(&id("4304", 2)).unwrap();
        let rest: Vec<_> = ages.below(Bound::Excluded(from)).cloned().collect();
        assert_eq!(rest, [id("4301", 1), id("4304", 1)]);
        assert_eq!(ages.place(&id("4304", 9)), None);
    }
}
