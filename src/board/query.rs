//! Questions to the board. Lists are newest first, bounded, and go on from a cursor: the id of the last one told.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use smol_str::SmolStr;

use super::archive::{ArchiveError, Line};
use super::{Board, NoticeLine};
use crate::engine::state::{CallList, Incident, MarkRun, Order, PostRecord, ReportRecord};
use crate::model::{Desk, IncidentId, Lane, OrderId, Position, PostId, PostSpec, Severity, Timestamp};
use crate::playbook::{Mark, Playbook};

/// A part of a list.
#[derive(Debug)]
pub struct Page<T, C> {
    /// What was found.
    pub items: Vec<T>,
    /// Where to go on, if there may be more.
    pub next: Option<C>,
}

/// Which incidents.
#[derive(Clone, Debug, Default)]
pub struct IncidentQuery {
    /// Names of states, and `open` for those that still have a clock. Empty: all.
    pub states: Vec<SmolStr>,
    /// An assessed area or a county.
    pub area: Option<SmolStr>,
    /// One lane only.
    pub lane: Option<Lane>,
    /// Received at or after.
    pub since: Option<Timestamp>,
    /// Only drills, or only real ones.
    pub drill: Option<bool>,
    /// Go on after this one.
    pub cursor: Option<IncidentId>,
    /// At most so many.
    pub limit: usize,
}

/// Which orders.
#[derive(Clone, Debug, Default)]
pub struct OrderQuery {
    /// Names of states, and `live` for those that still bind a post. Empty: all.
    pub states: Vec<SmolStr>,
    /// To this post only.
    pub post: Option<PostId>,
    /// Of this incident only.
    pub incident: Option<IncidentId>,
    /// Go on after this one.
    pub cursor: Option<OrderId>,
    /// At most so many.
    pub limit: usize,
}

/// Which notices.
#[derive(Clone, Debug, Default)]
pub struct NoticeQuery {
    /// At this desk only.
    pub desk: Option<Desk>,
    /// About this incident only.
    pub incident: Option<IncidentId>,
    /// Only those that a person must take and nobody has.
    pub waiting: bool,
    /// Go on after this `rev`.
    pub cursor: Option<u64>,
    /// At most so many.
    pub limit: usize,
}

/// An incident with all that belongs to it.
#[derive(Debug)]
pub struct Chapter {
    /// Itself.
    pub incident: Arc<Incident>,
    /// Its orders, oldest first.
    pub orders: Vec<Arc<Order>>,
    /// Its reports by number.
    pub reports: Vec<(u32, Arc<ReportRecord>)>,
    /// Whom its all-call called, nearest first.
    pub calls: Vec<Arc<CallList>>,
}

/// A mark with what it belongs to.
#[derive(Debug)]
pub struct MarkLine {
    /// The incident.
    pub incident: Arc<Incident>,
    /// The order, for a mark of scope order.
    pub order: Option<Arc<Order>>,
    /// The mark as the plan names it.
    pub mark: Mark,
    /// How far it is.
    pub run: MarkRun,
}

/// A post with what it is doing.
#[derive(Debug)]
pub struct Unit {
    /// What it is.
    pub spec: PostSpec,
    /// Where it differs from the roster.
    pub record: Option<Arc<PostRecord>>,
    /// Where it last said it was, and when that was fixed.
    pub fix: Option<(Position, Timestamp)>,
    /// Its live orders.
    pub orders: Vec<Arc<Order>>,
}

impl Board {
    /// Incidents, newest first.
    #[must_use]
    pub fn incidents(&self, q: &IncidentQuery) -> Page<Arc<Incident>, IncidentId> {
        let state = self.read();
        let end = q.cursor.clone().map_or(Bound::Unbounded, Bound::Excluded);
        let wants = |i: &Incident| {
            let area = |a: &SmolStr| {
                let (area, county) = (i.place.area.as_ref(), i.place.county.as_ref());
                area.is_some_and(|x| x.as_str() == a) || county.is_some_and(|x| x.as_str() == a)
            };
            (q.states.is_empty() || q.states.iter().any(|s| s == i.state.as_str() || s == "open" && i.state.is_open()))
                && q.area.as_ref().is_none_or(area)
                && q.lane.is_none_or(|lane| i.classification.lane == lane)
                && q.since.is_none_or(|since| i.received >= since)
                && q.drill.is_none_or(|drill| i.drill() == drill)
        };
        // Open incidents are few and closed ones many: whoever asks for open ones walks the short list.
        let only_open = !q.states.is_empty() && q.states.iter().all(|s| s == "open");
        let found: Vec<Arc<Incident>> = if only_open {
            let ids = state.open.range((Bound::Unbounded, end)).rev();
            ids.filter_map(|id| state.incidents.get(id)).filter(|i| wants(i)).take(q.limit + 1).cloned().collect()
        } else {
            let all = state.incidents.range((Bound::Unbounded, end)).rev();
            all.map(|(_, i)| i).filter(|i| wants(i)).take(q.limit + 1).cloned().collect()
        };
        page(found, q.limit, |i| i.id.clone())
    }

    /// An incident with all that belongs to it.
    #[must_use]
    pub fn chapter(&self, id: &IncidentId) -> Option<Chapter> {
        let state = self.read();
        let incident = state.incidents.get(id)?.clone();
        let order = |n| OrderId { incident: id.clone(), n };
        let reports = state.reports.range((id.clone(), 0)..=(id.clone(), u32::MAX));
        let calls = state.calls.range((id.clone(), 0, 0)..=(id.clone(), u32::MAX, u32::MAX));
        Some(Chapter {
            incident,
            orders: state.orders.range(order(0)..=order(u32::MAX)).map(|(_, o)| o.clone()).collect(),
            reports: reports.map(|((_, n), r)| (*n, r.clone())).collect(),
            calls: calls.map(|(_, c)| c.clone()).collect(),
        })
    }

    /// Orders, newest incident first.
    #[must_use]
    pub fn orders(&self, q: &OrderQuery) -> Page<Arc<Order>, OrderId> {
        let state = self.read();
        let order = |incident: &IncidentId, n| OrderId { incident: incident.clone(), n };
        let start = q.incident.as_ref().map_or(Bound::Unbounded, |i| Bound::Included(order(i, 0)));
        let end = match (&q.cursor, &q.incident) {
            (Some(cursor), _) => Bound::Excluded(cursor.clone()),
            (None, Some(incident)) => Bound::Included(order(incident, u32::MAX)),
            (None, None) => Bound::Unbounded,
        };
        let backwards = matches!((&start, &end), (Bound::Included(s), Bound::Excluded(e)) if s >= e);
        if backwards {
            return Page { items: Vec::new(), next: None };
        }
        let wants = |o: &Order| {
            let name = o.state.to_string();
            (q.states.is_empty() || q.states.iter().any(|s| *s == name || s == "live" && o.is_live()))
                && q.post.as_ref().is_none_or(|post| o.post == *post)
        };
        let all = state.orders.range((start, end)).rev();
        let found = all.map(|(_, o)| o).filter(|o| wants(o)).take(q.limit + 1).cloned().collect();
        page(found, q.limit, |o| o.id.clone())
    }

    /// The marks that run or were missed, of one incident or of all open ones, next due first.
    #[must_use]
    pub fn marks(&self, incident: Option<&IncidentId>, limit: usize) -> Vec<MarkLine> {
        let state = self.read();
        let mut found = Vec::new();
        for id in state.open.iter().filter(|id| incident.is_none_or(|only| *id == only)) {
            let Some(incident) = state.incidents.get(id) else { continue };
            let mut add = |run: &MarkRun, order: Option<&Arc<Order>>| {
                if let Some(mark) = incident.plan.marks.get(usize::from(run.mark)).filter(|_| run.state.waits()) {
                    let (incident, order) = (incident.clone(), order.cloned());
                    found.push(MarkLine { incident, order, mark: mark.clone(), run: run.clone() });
                }
            };
            incident.marks.iter().for_each(|run| add(run, None));
            let first = OrderId { incident: id.clone(), n: 0 };
            for (_, order) in state.orders.range(first..).take_while(|(o, _)| o.incident == *id) {
                order.marks.iter().for_each(|run| add(run, Some(order)));
            }
        }
        found.sort_by_key(|line| (line.run.due, line.incident.id.clone(), line.order.as_ref().map(|o| o.id.n)));
        found.truncate(limit);
        found
    }

    /// Every post of the roster, and those a roster change put there, by id.
    #[must_use]
    pub fn units(&self, playbook: &Playbook) -> Vec<Unit> {
        let state = self.read();
        let mut specs: BTreeMap<&PostId, &PostSpec> = playbook.posts.iter().collect();
        for (id, record) in &state.posts {
            match &record.spec {
                _ if record.gone => drop(specs.remove(id)),
                Some(spec) => drop(specs.insert(id, spec)),
                None => {}
            }
        }
        let unit = |(id, spec): (&PostId, &PostSpec)| {
            let orders = state.bound.get(id).into_iter().flatten();
            Unit {
                spec: spec.clone(),
                record: state.posts.get(id).cloned(),
                fix: state.fixes.get(id).copied(),
                orders: orders.filter_map(|o| state.orders.get(o)).cloned().collect(),
            }
        };
        specs.into_iter().map(unit).collect()
    }

    /// Notices, newest first.
    #[must_use]
    pub fn notices(&self, q: &NoticeQuery) -> Page<Arc<NoticeLine>, u64> {
        let state = self.read();
        let wants = |n: &NoticeLine| {
            q.desk.is_none_or(|desk| n.notice.desk == desk)
                && (q.incident.is_none() || n.notice.incident == q.incident)
                && (!q.waiting || n.notice.take_by.is_some() && n.taken.is_none())
        };
        let end = q.cursor.map_or(Bound::Unbounded, Bound::Excluded);
        let all = state.notices.range((Bound::Unbounded, end)).rev();
        let found = all.map(|(_, n)| n).filter(|n| wants(n)).take(q.limit + 1).cloned().collect();
        page(found, q.limit, |n| n.rev)
    }

    /// What happened with an incident after `rev`, oldest first. Blocks where the archive is asked.
    ///
    /// # Errors
    /// When the archive cannot be read.
    pub fn timeline(&self, id: &IncidentId, after: Option<u64>, limit: usize) -> Result<Page<Line, u64>, ArchiveError> {
        let lines = if let Some(archive) = &self.archive {
            archive.incident(id, after.map(crate::wire::unrev), limit + 1)?
        } else {
            let state = self.read();
            let start = after.map_or(Bound::Unbounded, Bound::Excluded);
            let all = state.timeline.range((start, Bound::Unbounded));
            let of_incident = all.map(|(_, line)| line).filter(|line| line.entry.incident.as_ref() == Some(id));
            of_incident.take(limit + 1).map(|line| (**line).clone()).collect()
        };
        Ok(page(lines, limit, |line| line.rev))
    }

    /// How many incidents are open, by lane, severity and whether they are drills.
    #[must_use]
    pub fn open_counts(&self) -> BTreeMap<(Lane, Severity, bool), usize> {
        let state = self.read();
        let mut counts = BTreeMap::new();
        for incident in state.open.iter().filter_map(|id| state.incidents.get(id)) {
            let class = &incident.classification;
            *counts.entry((class.lane, class.severity, incident.drill())).or_default() += 1;
        }
        counts
    }
}

/// Cuts what was read one beyond the limit.
fn page<T, C>(mut items: Vec<T>, limit: usize, cursor: impl Fn(&T) -> C) -> Page<T, C> {
    let more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().filter(|_| more).map(cursor);
    Page { items, next }
}
