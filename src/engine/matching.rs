//! Same-incident matching: whether a report speaks of something that is known already.
//!
//! Candidates are incidents of the same category family and the same status (drill and real never meet), near in place and
//! time by the category's own measure. The score is 100 less what distance and time take away, each at most half; an
//! explicit reference by the producer scores 100. What comes of it is the category's to say: by itself, only suggested,
//! or never; and for a closed incident, the rule for late reports. The reason is kept with every match, so that an
//! operator can see why, and split.

use std::collections::{BTreeMap, BTreeSet};

use smol_str::{SmolStr, format_smolstr};

use super::Engine;
use super::state::{Incident, ReportRecord};
use crate::model::{IncidentId, IncidentState, Millis, Position, Spot};
use crate::playbook::{LateAction, MatchMode};

/// The side of an index cell in degrees: about a kilometre.
const CELL_DEG: f64 = 0.01;

/// Merges of merges that are followed to the incident that goes on.
const MERGES_FOLLOWED: usize = 8;

/// Where incidents are, by cell.
#[derive(Debug, Default)]
pub(super) struct Nearby {
    cells: BTreeMap<(i32, i32), BTreeSet<IncidentId>>,
}

#[expect(clippy::cast_possible_truncation, reason = "degrees on the globe are small numbers")]
fn cell(p: Position) -> (i32, i32) {
    ((p.lon / CELL_DEG).floor() as i32, (p.lat / CELL_DEG).floor() as i32)
}

impl Nearby {
    pub(super) fn put(&mut self, incident: &Incident) {
        if let Some(at) = incident.place.position.filter(|_| incident.place.spot == Spot::Known) {
            self.cells.entry(cell(at)).or_default().insert(incident.id.clone());
        }
    }

    pub(super) fn remove(&mut self, incident: &Incident) {
        let Some(at) = incident.place.position else { return };
        if let Some(ids) = self.cells.get_mut(&cell(at)) {
            ids.remove(&incident.id);
            if ids.is_empty() {
                self.cells.remove(&cell(at));
            }
        }
    }

    /// Every incident whose cell touches the circle.
    #[expect(clippy::cast_possible_truncation, reason = "distances of a city are few cells")]
    fn around(&self, at: Position, radius_m: f64) -> impl Iterator<Item = &IncidentId> {
        let north = (radius_m / 111_000.0 / CELL_DEG).ceil() as i32;
        let east = (radius_m / (111_000.0 * at.lat.to_radians().cos().abs().max(0.05)) / CELL_DEG).ceil() as i32;
        let (x, y) = cell(at);
        let columns = (x - east)..=(x + east);
        columns.flat_map(move |x| self.cells.range((x, y - north)..=(x, y + north)).flat_map(|(_, ids)| ids))
    }
}

/// An incident that a report may belong to.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Match {
    pub incident: IncidentId,
    pub deed: MatchDeed,
    /// In percent.
    pub score: u8,
    pub reason: SmolStr,
}

/// What comes of a match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MatchDeed {
    /// The report joins it.
    Join,
    /// It stays two, with a link.
    Suggest,
    /// It is closed; the rule for late reports.
    Late(LateAction),
}

impl Engine {
    /// The best match of a report, if there is one. Joining beats suggesting, open beats closed, then the score, then
    /// the older incident.
    pub(super) fn find_match(&self, record: &ReportRecord) -> Option<Match> {
        let referenced = record.report.references.iter().filter_map(|r| self.match_reference(r, record));
        let best = |a: &Match| (rank(a.deed), std::cmp::Reverse(a.score), a.incident.clone());
        if let Some(found) = referenced.min_by_key(best) {
            return Some(found);
        }
        let at = record.place.position.filter(|_| record.place.spot == Spot::Known)?;
        let category = self.playbook.taxonomy.categories.get(&record.classification.category)?;
        if category.matching.mode == MatchMode::Never {
            return None;
        }
        let near = self.near.around(at, category.matching.distance_m).collect::<BTreeSet<_>>();
        near.into_iter().filter_map(|id| self.match_place(&self.incidents[id], record, at)).min_by_key(best)
    }

    /// The producer itself says that it is the same.
    fn match_reference(&self, reference: &str, record: &ReportRecord) -> Option<Match> {
        let seen = self.repeats.referenced(reference)?;
        let incident = self.goes_on_as(seen.incident.as_ref()?)?;
        let category = self.playbook.taxonomy.categories.get(incident.category())?;
        if incident.status != record.report.status || category.matching.mode == MatchMode::Never {
            return None;
        }
        let deed = match incident.state {
            IncidentState::Closed => MatchDeed::Late(self.late_deed(incident, record)?),
            // The counted incident of a flood is nobody's own; and what is full takes no more.
            _ if incident.flood.is_some() || self.is_full(incident) => MatchDeed::Suggest,
            _ if incident.state.is_open() => MatchDeed::Join,
            _ => return None,
        };
        Some(Match {
            incident: incident.id.clone(),
            deed,
            score: 100,
            reason: format_smolstr!("refers to {reference}"),
        })
    }

    /// The incident under which another goes on: itself, unless it was found to be one seen twice.
    pub(super) fn goes_on_as(&self, id: &IncidentId) -> Option<&Incident> {
        let mut incident = self.incidents.get(id)?;
        for _ in 0..MERGES_FOLLOWED {
            let IncidentState::DuplicateOf(other) = &incident.state else { return Some(incident) };
            incident = self.incidents.get(other)?;
        }
        None
    }

    fn match_place(&self, near: &Incident, record: &ReportRecord, at: Position) -> Option<Match> {
        // Where an incident was seen that is another one seen twice, that other one is meant.
        let incident = self.goes_on_as(&near.id)?;
        let categories = &self.playbook.taxonomy.categories;
        let (ours, theirs) = (categories.get(&record.classification.category)?, categories.get(incident.category())?);
        if incident.status != record.report.status || ours.family != theirs.family || incident.flood.is_some() {
            return None;
        }
        let distance = near.place.position?.distance_m(at);
        if distance > ours.matching.distance_m {
            return None;
        }
        let (since, window, deed) = if incident.state.is_open() {
            let since = record.received.since(incident.last_report);
            let deed = if ours.matching.mode == MatchMode::Automatic { MatchDeed::Join } else { MatchDeed::Suggest };
            (since, ours.matching.window, deed)
        } else if incident.state == IncidentState::Closed {
            let closed = incident.closed.as_ref()?.at;
            (record.received.since(closed), ours.late.within, MatchDeed::Late(self.late_deed(incident, record)?))
        } else {
            return None;
        };
        if since > window {
            return None;
        }
        // A place known only as an area is no evidence that two reports speak of one thing.
        let vague = |accuracy: Option<f64>| accuracy.is_some_and(|m| m > ours.matching.distance_m);
        let deed = match deed {
            MatchDeed::Join if vague(record.place.accuracy_m) || vague(incident.place.accuracy_m) => MatchDeed::Suggest,
            MatchDeed::Join if self.is_full(incident) => MatchDeed::Suggest,
            deed => deed,
        };
        let reason = format_smolstr!("{distance:.0} m of {:.0} m, {since} of {window}", ours.matching.distance_m);
        let score = score(distance, ours.matching.distance_m, since, window);
        Some(Match { incident: incident.id.clone(), deed, score, reason })
    }

    /// Whether an incident takes no more reports: a further one is linked to it.
    pub(super) fn is_full(&self, incident: &Incident) -> bool {
        incident.reports >= self.playbook.limits.reports_per_incident
    }

    /// The deed of the rule for late reports, while it is in force.
    fn late_deed(&self, incident: &Incident, record: &ReportRecord) -> Option<LateAction> {
        let late = self.playbook.taxonomy.categories.get(incident.category())?.late;
        let closed = incident.closed.as_ref()?.at;
        (record.received.since(closed) <= late.within).then_some(late.action)
    }
}

fn rank(deed: MatchDeed) -> u8 {
    match deed {
        MatchDeed::Join => 0,
        MatchDeed::Suggest => 1,
        MatchDeed::Late(_) => 2,
    }
}

/// 100 at the same spot and instant; distance and time take away up to half each.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 100")]
fn score(distance_m: f64, distance_max_m: f64, since: Millis, window: Millis) -> u8 {
    let far = (distance_m / distance_max_m.max(1.0)).clamp(0.0, 1.0);
    let long = (since.as_secs_f64() / window.as_secs_f64().max(1.0)).clamp(0.0, 1.0);
    (100.0 - 50.0 * far - 50.0 * long).round() as u8
}
