//! What a notice is about, and whether that is still true.
//!
//! A notice that is hidden is not lost: when nothing hides it any more, it is said if what it is about is still so. What
//! that means, kind by kind:
//!
//! | kind | still true while |
//! | --- | --- |
//! | `opened`, `level-raised`, `match-suggested`, `pre-emption`, `verification-lapsed`, `recycled-id`, `suspect-source` | the incident is open |
//! | `clock-skew` | the incident is open; our own wall clock is never hidden |
//! | `mark-warning` | the mark runs and has not been missed: then `mark-missed` says it |
//! | `mark-missed` | the mark waits for its milestone, missed |
//! | `shortfall` | a need of the incident waits in the queue |
//! | `all-call-began` | the all-call runs |
//! | `place-unknown` | the place of the open incident is unknown |
//! | `flood` | the flood's incident takes reports |
//! | `cover-thin` | the area is under its minimum cover |
//! | `late-report`, `prevention` | the incident is kept: they are about one that is closed |
//! | `hand-over` | always: what was handed over stays so |
//!
//! The other kinds are never hidden ([`NoticeKind::may_be_silenced`]), nor is what belongs to the bottom line, nor what is
//! about ourselves, which is about no incident, no source and no area.

use serde::{Deserialize, Serialize};

use super::state::{Incident, MarkRun, MarkState};
use super::{Engine, NoticeKind};
use crate::model::{AreaCode, AreaId, IncidentId, Lane, MarkName, Matchers, OrderId, SourceId, Spot};
use crate::playbook::covers;

/// What a notice is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct About {
    /// Which incident.
    pub incident: Option<IncidentId>,
    /// Which source, where it is not the one that reported the incident.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceId>,
    /// Which mark, and the number of the order whose it is; 0 for the incident's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mark: Option<(MarkName, u32)>,
    /// Which assessed area, where it is not that of the incident.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub area: Option<AreaId>,
}

impl About {
    /// An incident, or nothing in particular.
    pub(super) fn incident(id: Option<&IncidentId>) -> Self {
        Self { incident: id.cloned(), ..Self::default() }
    }

    /// A mark of an incident, or of one of its orders.
    pub(super) fn mark(id: &IncidentId, mark: &MarkName, order: Option<&OrderId>) -> Self {
        let mark = Some((mark.clone(), order.map_or(0, |order| order.n)));
        Self { incident: Some(id.clone()), mark, ..Self::default() }
    }

    /// A source itself.
    pub(super) fn source(source: &SourceId) -> Self {
        Self { source: Some(source.clone()), ..Self::default() }
    }

    /// The same, of this source.
    pub(super) fn of_source(self, source: &SourceId) -> Self {
        Self { source: Some(source.clone()), ..self }
    }

    /// The same, in this area.
    pub(super) fn in_area(self, area: &AreaId) -> Self {
        Self { area: Some(area.clone()), ..self }
    }

    /// Whether it says nothing but the incident.
    pub(super) fn is_plain(&self) -> bool {
        self.source.is_none() && self.mark.is_none() && self.area.is_none()
    }

    /// It is about ourselves.
    fn is_ours(&self) -> bool {
        self.incident.is_none() && self.source.is_none() && self.area.is_none()
    }
}

impl Engine {
    /// Whether anything may hide this notice.
    pub(super) fn may_be_hidden(&self, about: &About, kind: NoticeKind) -> bool {
        let bottom_line = || self.incident_of(about).is_some_and(|i| i.classification.lane == Lane::BottomLine);
        kind.may_be_silenced() && !about.is_ours() && !bottom_line()
    }

    /// Whether these matchers mean this notice.
    pub(super) fn is_meant(&self, matchers: &Matchers, about: &About, kind: NoticeKind) -> bool {
        let incident = self.incident_of(about);
        let source = about.source.as_ref().or(incident.map(|i| &i.source));
        let from = |prefix: &smol_str::SmolStr| source.is_some_and(|s| s.as_str().starts_with(prefix.as_str()));
        let (area, county) = self.whereabouts(about);
        let lies = |name: &smol_str::SmolStr| {
            area.is_some_and(|a| a.as_str() == name)
                || county.is_some_and(|c| c.as_str() == name)
                || self.playbook.head.command_area.as_str() == name
        };
        let holds = |prefix| incident.is_some_and(|i| covers(prefix, i.category()));
        (matchers.kinds.is_empty() || matchers.kinds.contains(&kind))
            && (matchers.sources.is_empty() || matchers.sources.iter().any(from))
            && (matchers.areas.is_empty() || matchers.areas.iter().any(lies))
            && (matchers.categories.is_empty() || matchers.categories.iter().any(holds))
    }

    fn incident_of(&self, about: &About) -> Option<&Incident> {
        about.incident.as_ref().and_then(|id| self.incidents.get(id))
    }

    /// The assessed area and the county in which it happens: its own, else the incident's, else those the source stands in.
    pub(super) fn whereabouts(&self, about: &About) -> (Option<&AreaId>, Option<&AreaCode>) {
        let county = |area: &AreaId| self.playbook.areas.areas.get(area).map(|a| &a.county);
        if let Some(area) = about.area.as_ref().and_then(|id| self.playbook.areas.areas.get_key_value(id)) {
            return (Some(area.0), Some(&area.1.county));
        }
        if let Some(incident) = self.incident_of(about) {
            return (incident.place.area.as_ref(), incident.place.county.as_ref());
        }
        let stands = about.source.as_ref().and_then(|source| self.playbook.source(source)?.area.as_ref());
        (stands, stands.and_then(county))
    }

    /// Whether what a hidden notice is about is still so.
    pub(super) fn is_still_true(&self, about: &About, kind: NoticeKind) -> bool {
        let incident = self.incident_of(about);
        let open = |holds: &dyn Fn(&Incident) -> bool| incident.is_some_and(|i| i.state.is_open() && holds(i));
        match kind {
            NoticeKind::MarkWarning => {
                open(&|_| self.mark_of(about).is_some_and(|run| run.state == MarkState::Running))
            }
            NoticeKind::MarkMissed => open(&|_| self.mark_of(about).is_some_and(|run| run.state == MarkState::Missed)),
            NoticeKind::Shortfall => open(&Incident::waits),
            NoticeKind::AllCallBegan => open(&|i| i.all_call.as_ref().is_some_and(|call| call.ended.is_none())),
            NoticeKind::PlaceUnknown => open(&|i| i.place.spot == Spot::Unknown),
            NoticeKind::Flood => open(&|i| i.flood.is_some()),
            NoticeKind::CoverThin => {
                let least = |id| self.playbook.areas.areas.get(id).map_or(0, |area| usize::from(area.min_cover));
                let thin = |id| self.fleet.cover(id, self.local(self.now)) < least(id);
                about.area.as_ref().is_some_and(thin)
            }
            NoticeKind::LateReport | NoticeKind::Prevention => incident.is_some(),
            NoticeKind::Opened
            | NoticeKind::LevelRaised
            | NoticeKind::MatchSuggested
            | NoticeKind::RecycledId
            | NoticeKind::SuspectSource
            | NoticeKind::ClockSkew
            | NoticeKind::VerificationLapsed
            | NoticeKind::PreEmption => open(&|_| true),
            // What was handed over stays so; the others are never hidden.
            NoticeKind::HandOver
            | NoticeKind::NobodyReached
            | NoticeKind::AllCallNeedsWord
            | NoticeKind::DeliveryFailed
            | NoticeKind::Outage
            | NoticeKind::Unaccounted
            | NoticeKind::LimitReached => true,
        }
    }

    /// The mark a notice is about, as the plan in force knows it.
    fn mark_of(&self, about: &About) -> Option<&MarkRun> {
        let (id, (name, order)) = (about.incident.as_ref()?, about.mark.as_ref()?);
        let incident = self.incidents.get(id)?;
        let runs = match *order {
            0 => &incident.marks,
            n => &self.orders.get(&incident.order_id(n))?.marks,
        };
        runs.iter().find(|run| incident.plan.marks.get(usize::from(run.mark)).is_some_and(|mark| mark.name == *name))
    }
}
