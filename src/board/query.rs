//! Questions to the board. Lists are newest first, bounded, and go on from a cursor: the id of the last one told.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;
use std::str::FromStr;
use std::sync::Arc;

use smol_str::SmolStr;

use super::archive::{ArchiveError, Line};
use super::state::State;
use super::{Board, NoticeLine, Sight};
use crate::engine::What;
use crate::engine::state::{CallList, Incident, MarkRun, Order, PostRecord, ReportRecord};
use crate::model::{Desk, IncidentId, Lane, OrderId, Position, PostId, PostSpec, Severity, Timestamp};
use crate::playbook::{Mark, Playbook};
use crate::wire::Shard;

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
    /// What the reader may see at all.
    pub sight: Sight,
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
    /// What the reader may see at all.
    pub sight: Sight,
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
    /// What the reader may see at all.
    pub sight: Sight,
    /// At this desk only.
    pub desk: Option<Desk>,
    /// About this incident only.
    pub incident: Option<IncidentId>,
    /// Only those that a person must take and nobody has.
    pub waiting: bool,
    /// Go on after this one.
    pub cursor: Option<NoticePlace>,
    /// At most so many.
    pub limit: usize,
}

/// A notice's place in the list: when it was raised, and its `rev`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoticePlace(Timestamp, u64);

fn unit(state: &State, id: &PostId, spec: &PostSpec) -> Unit {
    let orders = state.bound.get(id).into_iter().flatten();
    Unit {
        spec: spec.clone(),
        record: state.posts.get(id).map(|(_, record)| record.clone()),
        fix: state.fixes.get(id).copied(),
        orders: orders.filter_map(|o| state.orders.get(o)).cloned().collect(),
    }
}

impl fmt::Display for NoticePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.0.0, self.1)
    }
}

impl FromStr for NoticePlace {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read =
            text.split_once('-').and_then(|(at, rev)| Some(Self(Timestamp(at.parse().ok()?), rev.parse().ok()?)));
        read.ok_or("is no place in the list of notices")
    }
}

/// What happened with an incident, as far as it is held here.
#[derive(Debug)]
pub struct Story {
    /// Its lines, oldest first.
    pub lines: Page<Line, u64>,
    /// Earlier lines are no longer held here.
    pub cut: bool,
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
        let place = q.cursor.as_ref().and_then(|id| state.ages.place(id));
        let end = place.map_or(Bound::Unbounded, Bound::Excluded);
        let wants = |i: &Incident| {
            let area = |a: &SmolStr| {
                let (area, county) = (i.place.area.as_ref(), i.place.county.as_ref());
                area.is_some_and(|x| x.as_str() == a) || county.is_some_and(|x| x.as_str() == a)
            };
            q.sight.incident(i)
                && (q.states.is_empty()
                    || q.states.iter().any(|s| s == i.state.as_str() || s == "open" && i.state.is_open()))
                && q.area.as_ref().is_none_or(area)
                && q.lane.is_none_or(|lane| i.classification.lane == lane)
                && q.since.is_none_or(|since| i.received >= since)
                && q.drill.is_none_or(|drill| i.drill() == drill)
        };
        // Open incidents are few and closed ones many: whoever asks for open ones walks the short list.
        let only_open = !q.states.is_empty() && q.states.iter().all(|s| s == "open");
        let found: Vec<Arc<Incident>> = if only_open {
            let ids = state.open.range((Bound::Unbounded, end)).rev().map(|(_, id)| id);
            ids.filter_map(|id| state.incidents.get(id)).filter(|i| wants(i)).take(q.limit + 1).cloned().collect()
        } else {
            let ids = state.ages.below(end);
            ids.filter_map(|id| state.incidents.get(id)).filter(|i| wants(i)).take(q.limit + 1).cloned().collect()
        };
        page(found, q.limit, |i| i.id.clone())
    }

    /// An incident with all that belongs to it.
    #[must_use]
    pub fn chapter(&self, id: &IncidentId) -> Option<Chapter> {
        let state = self.read();
        let incident = state.incidents.get(id)?.clone();
        let calls = state.calls.range((id.clone(), 0, 0)..=(id.clone(), u32::MAX, u32::MAX));
        Some(Chapter {
            incident,
            orders: state.orders_of(id).cloned().collect(),
            reports: state.reports_of(id).map(|(n, r)| (n, r.clone())).collect(),
            calls: calls.map(|(_, c)| c.clone()).collect(),
        })
    }

    /// Orders, newest incident first.
    #[must_use]
    pub fn orders(&self, q: &OrderQuery) -> Page<Arc<Order>, OrderId> {
        let state = self.read();
        let cursor = q.cursor.as_ref();
        let wants = |o: &Order| {
            let name = o.state.to_string();
            (q.states.is_empty() || q.states.iter().any(|s| *s == name || s == "live" && o.is_live()))
                && q.post.as_ref().is_none_or(|post| o.post == *post)
                && q.sight.order(o, state.incidents.get(&o.id.incident).map(|i| &**i))
        };
        let of = |id: &IncidentId| {
            let order = |n| OrderId { incident: id.clone(), n };
            let end = cursor
                .filter(|c| c.incident == *id)
                .map_or(Bound::Included(order(u32::MAX)), |c| Bound::Excluded(c.clone()));
            state.orders.range((Bound::Included(order(0)), end)).rev().map(|(_, o)| o)
        };
        // Within their incident, the cursor's own included.
        let place = cursor.and_then(|c| state.ages.place(&c.incident));
        let end = place.map_or(Bound::Unbounded, Bound::Included);
        let of_all = || state.ages.below(end).flat_map(of);
        let found: Vec<Arc<Order>> = match &q.incident {
            Some(incident) => of(incident).filter(|o| wants(o)).take(q.limit + 1).cloned().collect(),
            None => of_all().filter(|o| wants(o)).take(q.limit + 1).cloned().collect(),
        };
        page(found, q.limit, |o| o.id.clone())
    }

    /// The marks that run or were missed, of one incident or of all open ones, next due first.
    #[must_use]
    pub fn marks(&self, sight: &Sight, incident: Option<&IncidentId>, limit: usize) -> Vec<MarkLine> {
        let state = self.read();
        let mut found = Vec::new();
        for (_, id) in state.open.iter().filter(|(_, id)| incident.is_none_or(|only| id == only)) {
            let Some(incident) = state.incidents.get(id).filter(|i| sight.incident(i)) else { continue };
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
        for (id, (_, record)) in &state.posts {
            match &record.spec {
                _ if record.gone => drop(specs.remove(id)),
                Some(spec) => drop(specs.insert(id, spec)),
                None => {}
            }
        }
        specs.into_iter().map(|(id, spec)| unit(&state, id, spec)).collect()
    }

    /// One post of [`Board::units`].
    #[must_use]
    pub fn unit(&self, playbook: &Playbook, id: &PostId) -> Option<Unit> {
        let state = self.read();
        let record = state.posts.get(id).map(|(_, record)| record);
        if record.is_some_and(|record| record.gone) {
            return None;
        }
        let spec = record.and_then(|record| record.spec.as_ref()).or_else(|| playbook.posts.get(id))?;
        Some(unit(&state, id, spec))
    }

    /// Notices, newest first.
    #[must_use]
    pub fn notices(&self, q: &NoticeQuery) -> Page<Arc<NoticeLine>, NoticePlace> {
        let state = self.read();
        // What is about no incident lies nowhere in particular.
        let seen = |n: &NoticeLine| match n.notice.incident.as_ref().and_then(|id| state.incidents.get(id)) {
            Some(incident) => q.sight.incident(incident),
            None => q.sight.is_whole(),
        };
        let wants = |n: &NoticeLine| {
            seen(n)
                && q.desk.is_none_or(|desk| n.notice.desk == desk)
                && (q.incident.is_none() || n.notice.incident == q.incident)
                && (!q.waiting || n.notice.take_by.is_some() && n.taken.is_none())
        };
        let end = q.cursor.map_or(Bound::Unbounded, |NoticePlace(raised, rev)| Bound::Excluded((raised, rev)));
        let all = state.notices.range((Bound::Unbounded, end)).rev();
        let found = all.map(|(_, n)| n).filter(|n| wants(n)).take(q.limit + 1).cloned().collect();
        page(found, q.limit, |n| NoticePlace(n.raised, n.rev))
    }

    /// What happened with an incident after `rev`, oldest first. Blocks where the archive is asked.
    ///
    /// # Errors
    /// When the archive cannot be read.
    pub fn timeline(&self, id: &IncidentId, after: Option<u64>, limit: usize) -> Result<Story, ArchiveError> {
        if let Some(archive) = &self.archive {
            let lines = archive.incident(id, after.map(|rev| Shard::ONLY.unrev(rev)), limit + 1)?;
            return Ok(Story { lines: page(lines, limit, |line| line.rev), cut: false });
        }
        let state = self.read();
        let key = |rev| (id.clone(), rev);
        let start = after.map_or(Bound::Included(key(0)), |rev| Bound::Excluded(key(rev)));
        let found = state.timeline.range((start, Bound::Included(key(u64::MAX))));
        let lines: Vec<Line> = found.map(|(_, line)| (**line).clone()).take(limit + 1).collect();
        let first = state.timeline.range(key(0)..=key(u64::MAX)).next();
        let opens = first.is_some_and(|(_, line)| matches!(line.entry.what, What::Opened { .. }));
        Ok(Story { lines: page(lines, limit, |line| line.rev), cut: !opens })
    }

    /// How many incidents are open, by lane, severity and whether they are drills.
    #[must_use]
    pub fn open_counts(&self) -> BTreeMap<(Lane, Severity, bool), usize> {
        let state = self.read();
        let mut counts = BTreeMap::new();
        for incident in state.open.iter().filter_map(|(_, id)| state.incidents.get(id)) {
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
