//! The engine's first picks beside the recorded ones, and beside a rule that owes the engine nothing: the free post, of those
//! a plan may ask for, that is nearest on the great circle, measured here by a formula of its own. Where a file
//! names no bases, a post stands in the middle of the places it was sent to: said from hindsight, and no more than that.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use smol_str::SmolStr;

use super::history::{Recorded, Sent};
use super::replay::Picked;
use super::tally::Seconds;
use crate::model::{EventId, Kind, Position, PostId};
use crate::playbook::Playbook;

/// How often the engine chose whom the city sent.
#[derive(Debug, Default, Serialize)]
pub struct Choices {
    /// Incidents with a recorded first unit and a pick.
    pub compared: u64,
    /// The engine picked the unit that was sent first.
    pub agreed: u64,
    /// It picked one of those sent at the same instant as the first.
    pub agreed_with_any_first: u64,
    /// The nearest free post is the unit that was sent first.
    pub nearest_agreed: u64,
    /// The engine picked the nearest free post.
    pub picked_nearest: u64,
    /// `agreed / compared`, in percent with one decimal.
    pub share_percent: f64,
    /// `nearest_agreed / compared`, likewise.
    pub nearest_share_percent: f64,
    /// Incidents without a comparison, by the reason.
    pub not_compared: BTreeMap<&'static str, u64>,
    /// Every incident in which the pick differs from the record.
    pub differences: Vec<Difference>,
}

/// A pick that differs from the record.
#[derive(Debug, Serialize)]
pub struct Difference {
    /// The incident's number in the record.
    pub incident: EventId,
    /// Who was sent first.
    pub recorded: PostId,
    /// Metres from its base to the place.
    pub recorded_m: Option<u32>,
    /// Whether the record itself has it bound at that instant.
    pub recorded_was_bound: bool,
    /// Whom the engine picked.
    pub picked: PostId,
    /// Metres from its base to the place.
    pub picked_m: Option<u32>,
    /// Its travel, as the engine weighed it.
    pub travel_s: u32,
    /// The next best, and how much more it would have cost.
    pub runner_up: Option<PostId>,
    /// The difference.
    pub difference_s: Option<Seconds>,
}

/// Which posts the record says are free.
#[derive(Debug)]
pub(super) struct Free {
    /// Where each stands, and whether a plan may ask for it.
    bases: BTreeMap<PostId, (Position, bool)>,
    bound: BTreeMap<PostId, BTreeSet<(SmolStr, u64)>>,
}

impl Free {
    pub(super) fn new(playbook: &Playbook) -> Self {
        // Only kinds that some plan asks for: a chief's car is no answer to who should have gone.
        let asked = |kind: Kind| {
            let rows = playbook.plans.values().flat_map(|plan| &plan.needs);
            rows.flat_map(|row| &row.needs).any(|need| need.kinds.contains(&kind))
        };
        let posts = playbook.posts.values();
        let bases = posts.map(|post| (post.id.clone(), (post.base, asked(post.kind)))).collect();
        Self { bases, bound: BTreeMap::new() }
    }

    /// Binds a post to an assignment; whether it was free before and no longer is.
    pub(super) fn bind(&mut self, sent: &Sent) -> bool {
        if !sent.binds {
            return false;
        }
        let tasks = self.bound.entry(sent.unit.clone()).or_default();
        let was_free = tasks.is_empty();
        tasks.insert((sent.row.clone(), sent.line));
        was_free
    }

    /// Ends an assignment; whether the post is free by that.
    pub(super) fn release(&mut self, sent: &Sent) -> bool {
        let Some(tasks) = self.bound.get_mut(&sent.unit) else { return false };
        let ended = tasks.remove(&(sent.row.clone(), sent.line));
        let free = tasks.is_empty();
        if free {
            self.bound.remove(&sent.unit);
        }
        ended && free
    }

    fn is_bound(&self, post: &PostId) -> bool {
        self.bound.contains_key(post)
    }

    /// The free post that is nearest; of several the first by name.
    fn nearest(&self, place: Position) -> Option<&PostId> {
        let free = self.bases.iter().filter(|(post, (_, asked))| *asked && !self.is_bound(post));
        let near = free.map(|(post, (base, _))| (great_circle_m(*base, place), post));
        near.min_by(|a, b| a.0.total_cmp(&b.0).then_with(|| a.1.cmp(b.1))).map(|(_, post)| post)
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "metres on the globe")]
    fn metres(&self, post: &PostId, place: Option<Position>) -> Option<u32> {
        Some(great_circle_m(self.bases.get(post)?.0, place?).round() as u32)
    }
}

/// Metres along the great circle by the angle between two unit vectors: another formula than the engine's.
fn great_circle_m(a: Position, b: Position) -> f64 {
    const EARTH_M: f64 = 6_371_000.0;
    let unit = |p: Position| {
        let (lat, lon) = (p.lat.to_radians(), p.lon.to_radians());
        [lat.cos() * lon.cos(), lat.cos() * lon.sin(), lat.sin()]
    };
    let ([ax, ay, az], [bx, by, bz]) = (unit(a), unit(b));
    let cross = [ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx];
    let sine = cross.iter().map(|c| c * c).sum::<f64>().sqrt();
    EARTH_M * sine.atan2(ax * bx + ay * by + az * bz)
}

impl Choices {
    /// Compares a pick with the record, before the record binds anybody.
    pub(super) fn compare(&mut self, incident: &Recorded, picked: Option<Picked>, free: &Free) {
        let (Some(first), Some(picked)) = (incident.first(), picked) else {
            let reason = match incident.place {
                None => "no place",
                Some(_) => "nobody was picked: joined to another incident, outside every area, or nobody free",
            };
            *self.not_compared.entry(reason).or_default() += 1;
            return;
        };
        self.compared += 1;
        let nearest = incident.place.and_then(|place| free.nearest(place));
        self.nearest_agreed += u64::from(nearest == Some(&first.unit));
        self.picked_nearest += u64::from(nearest == Some(&picked.post));
        let any_first = incident.sent.iter().take_while(|s| s.at == first.at).any(|s| s.unit == picked.post);
        self.agreed_with_any_first += u64::from(any_first);
        if picked.post == first.unit {
            self.agreed += 1;
        } else {
            self.differences.push(Difference {
                incident: incident.id.clone(),
                recorded: first.unit.clone(),
                recorded_m: free.metres(&first.unit, incident.place),
                recorded_was_bound: free.is_bound(&first.unit),
                picked_m: free.metres(&picked.post, incident.place),
                picked: picked.post,
                travel_s: picked.travel_s,
                difference_s: picked.runner_up.as_ref().map(|(_, more)| Seconds(f64::from(*more))),
                runner_up: picked.runner_up.map(|(post, _)| post),
            });
        }
        self.share_percent = percent(self.agreed, self.compared);
        self.nearest_share_percent = percent(self.nearest_agreed, self.compared);
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of a history")]
fn percent(part: u64, of: u64) -> f64 {
    if of == 0 { 0.0 } else { (part as f64 * 1000.0 / of as f64).round() / 10.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_formulas_of_distance_agree() {
        let (a, b) = (Position { lon: -0.1276, lat: 51.5072 }, Position { lon: -0.2, lat: 51.6 });
        assert!((great_circle_m(a, b) - a.distance_m(b)).abs() < 0.1);
        assert!(great_circle_m(a, a) < 1e-6);
    }
}
