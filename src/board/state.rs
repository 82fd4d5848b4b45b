//! What the board holds, and how a document or an effect changes it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use serde::de::DeserializeOwned;
use smol_str::SmolStr;
use tracing::error;

use super::Line;
use super::ages::{Ages, Place};
use crate::engine::state::{CallList, Incident, OpenNotice, Order, PostRecord, ReportRecord, Silence};
use crate::engine::{Actor, Document, Effect, Entry, Notice, What};
use crate::journal::{Step, own_key};
use crate::model::{CommandArea, IncidentId, OrderId, Position, PositionFix, PostId, Timestamp};
use crate::wire::Shard;

#[derive(Debug, Default)]
pub(super) struct State {
    /// How far each shard was folded in, by its number.
    pub shards: BTreeMap<u32, Folded>,
    /// The shard of each command area, as its documents said.
    areas: BTreeMap<CommandArea, u32>,
    pub incidents: BTreeMap<IncidentId, Arc<Incident>>,
    pub ages: Ages,
    /// Those that still have a clock, by age.
    pub open: BTreeSet<Place>,
    pub orders: BTreeMap<OrderId, Arc<Order>>,
    /// Live orders of each post.
    pub bound: BTreeMap<PostId, BTreeSet<OrderId>>,
    pub reports: BTreeMap<(IncidentId, u32), Arc<ReportRecord>>,
    pub calls: BTreeMap<(IncidentId, u32, u32), Arc<CallList>>,
    /// With the shard they are of.
    pub posts: BTreeMap<PostId, (u32, Arc<PostRecord>)>,
    /// With the shard they are of.
    pub silences: BTreeMap<SmolStr, (u32, Arc<Silence>)>,
    pub fixes: BTreeMap<PostId, (Position, Timestamp)>,
    /// By the instant and the `rev` that raised them.
    pub notices: BTreeMap<(Timestamp, u64), Arc<NoticeLine>>,
    notice_places: BTreeMap<SmolStr, (Timestamp, u64)>,
    pub timeline: BTreeMap<(IncidentId, u64), Arc<Line>>,
    /// Its lines as they came, the oldest first.
    arrivals: VecDeque<(IncidentId, u64)>,
}

/// How far a shard was folded in.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Folded {
    /// The last step whose documents are here.
    pub step: u64,
    /// Its instant.
    pub at: Timestamp,
    /// The last step whose effects are.
    pub happened: u64,
}

/// A notice with what became of it.
#[derive(Clone, Debug)]
pub struct NoticeLine {
    /// Where it stands in its journal.
    pub rev: u64,
    /// When it was raised, or 0 where only its document told of it.
    pub raised: Timestamp,
    /// As it was raised; `desk` is where it is now.
    pub notice: Notice,
    /// Who took it, and when.
    pub taken: Option<(Timestamp, Actor)>,
    /// How often it was passed on.
    pub passed: u32,
}

/// What a document does to the board.
pub(super) enum Change {
    Incident(IncidentId, Option<Arc<Incident>>),
    Order(OrderId, Option<Arc<Order>>),
    Report((IncidentId, u32), Option<Arc<ReportRecord>>),
    Call((IncidentId, u32, u32), Option<Arc<CallList>>),
    Post(PostId, Option<Arc<PostRecord>>),
    Notice(OpenNotice),
    Silence(SmolStr, Option<Arc<Silence>>),
    /// Of no interest to a reader.
    Nothing,
}

impl Change {
    /// Reads a document. One that cannot be read is told and left as it stood.
    pub fn of(document: &Document) -> Self {
        read(document).unwrap_or_else(|reason| {
            error!(key = %document.key, reason, "board.document_unreadable");
            Self::Nothing
        })
    }
}

fn read(document: &Document) -> Result<Change, String> {
    fn body<T: DeserializeOwned>(document: &Document) -> Result<Option<Arc<T>>, String> {
        let read = document.body.as_deref().map(serde_json::from_str).transpose();
        read.map(|t| t.map(Arc::new)).map_err(|e| e.to_string())
    }
    let number = |text: &str| text.parse::<u32>().map_err(|e| e.to_string());
    let cut = |text: &'_ str| -> Result<(String, u32), String> {
        let (rest, n) = text.rsplit_once('/').ok_or("its key has no number")?;
        Ok((rest.to_owned(), number(n)?))
    };
    let key = own_key(&document.key).map_or(document.key.as_str(), |(_, own)| own);
    let (kind, rest) = key.split_once('/').unwrap_or((key, ""));
    Ok(match kind {
        "incident" => Change::Incident(rest.parse()?, body(document)?),
        "order" => Change::Order(rest.parse()?, body(document)?),
        "post" => Change::Post(rest.into(), body(document)?),
        "report" => {
            let (incident, n) = cut(rest)?;
            Change::Report((incident.parse()?, n), body(document)?)
        }
        "call" => {
            let (rest, k) = cut(rest)?;
            let (incident, n) = cut(&rest)?;
            Change::Call((incident.parse()?, n, k), body(document)?)
        }
        "silence" => Change::Silence(rest.into(), body(document)?),
        "notice" => body::<OpenNotice>(document)?.map_or(Change::Nothing, |n| Change::Notice((*n).clone())),
        _ => Change::Nothing,
    })
}

impl Change {
    /// The incident it is, for those that have an age.
    pub fn incident(&self) -> Option<&IncidentId> {
        if let Self::Incident(id, _) = self { Some(id) } else { None }
    }
}

impl State {
    /// The orders of an incident, oldest first.
    pub fn orders_of(&self, id: &IncidentId) -> impl Iterator<Item = &Arc<Order>> {
        let order = |n| OrderId { incident: id.clone(), n };
        self.orders.range(order(0)..=order(u32::MAX)).map(|(_, order)| order)
    }

    /// The reports of an incident that are still held, oldest first, with their numbers.
    pub fn reports_of(&self, id: &IncidentId) -> impl Iterator<Item = (u32, &Arc<ReportRecord>)> {
        let range = (id.clone(), 0)..=(id.clone(), u32::MAX);
        self.reports.range(range).map(|((_, n), report)| (*n, report))
    }

    /// Drops what the documents of a shard said; what stands in no document survives.
    pub fn forget(&mut self, shard: u32) {
        let areas = std::mem::take(&mut self.areas);
        let stays = |id: &IncidentId| areas.get(&id.area) != Some(&shard);
        let gone: Vec<IncidentId> = self.incidents.keys().filter(|id| !stays(id)).cloned().collect();
        for place in gone.iter().filter_map(|id| self.ages.remove(id)) {
            self.open.remove(&place);
        }
        self.incidents.retain(|id, _| stays(id));
        self.orders.retain(|id, _| stays(&id.incident));
        self.reports.retain(|(id, _), _| stays(id));
        self.calls.retain(|(id, ..), _| stays(id));
        self.posts.retain(|_, (of, _)| *of != shard);
        self.silences.retain(|_, (of, _)| *of != shard);
        for orders in self.bound.values_mut() {
            orders.retain(|order| stays(&order.incident));
        }
        self.bound.retain(|_, orders| !orders.is_empty());
        self.areas = areas;
    }

    pub fn apply(&mut self, shard: u32, change: Change) {
        match change {
            Change::Incident(id, body) => self.incident(shard, id, body),
            Change::Order(id, body) => {
                if let Some(old) = self.orders.get(&id)
                    && let Some(bound) = self.bound.get_mut(&old.post)
                {
                    bound.remove(&id);
                    if bound.is_empty() {
                        self.bound.remove(&old.post);
                    }
                }
                if let Some(order) = body.as_ref().filter(|o| o.is_live()) {
                    self.bound.entry(order.post.clone()).or_default().insert(id.clone());
                }
                put(&mut self.orders, id, body);
            }
            Change::Report(key, body) => put(&mut self.reports, key, body),
            Change::Call(key, body) => put(&mut self.calls, key, body),
            Change::Post(id, Some(body)) => drop(self.posts.insert(id, (shard, body))),
            Change::Post(id, None) => drop(self.posts.remove(&id)),
            Change::Notice(open) => self.open_notice(shard, open),
            Change::Silence(id, Some(body)) => drop(self.silences.insert(id, (shard, body))),
            Change::Silence(id, None) => drop(self.silences.remove(&id)),
            Change::Nothing => {}
        }
    }

    fn incident(&mut self, shard: u32, id: IncidentId, body: Option<Arc<Incident>>) {
        if self.areas.get(&id.area) != Some(&shard) {
            self.areas.insert(id.area.clone(), shard);
        }
        match &body {
            Some(incident) => {
                let place = self.ages.put(&id, incident.received);
                if incident.state.is_open() {
                    self.open.insert(place);
                } else {
                    self.open.remove(&place);
                }
            }
            None => {
                let place = self.ages.remove(&id);
                place.inspect(|place| _ = self.open.remove(place));
            }
        }
        put(&mut self.incidents, id, body);
    }

    /// An open notice that a restart brought back: its own effect may be long gone. A document has no `rev`; the lowest
    /// are free, since steps count from 1.
    fn open_notice(&mut self, shard: u32, open: OpenNotice) {
        if self.notice_places.contains_key(&open.id) {
            return;
        }
        let raised = Timestamp(0);
        let free = (0..=self.notices.len() as u64).find(|rev| !self.notices.contains_key(&(raised, *rev)));
        let rev = free.unwrap_or_default();
        let notice = Notice {
            id: open.id,
            incident: open.incident,
            desk: open.desk,
            kind: open.kind,
            text: open.text,
            severity: open.severity,
            take_by: Some(open.take_by),
            at: self.shards.get(&shard).map_or(raised, |folded| folded.at),
            drill: open.drill,
        };
        self.notice_places.insert(notice.id.clone(), (raised, rev));
        let passed = u32::from(open.passed);
        self.notices.insert((raised, rev), Arc::new(NoticeLine { rev, raised, notice, taken: None, passed }));
    }

    pub fn position(&mut self, fix: &PositionFix) {
        let newer = self.fixes.get(&fix.post).is_none_or(|(_, at)| *at <= fix.fixed_at);
        if newer {
            self.fixes.insert(fix.post.clone(), (fix.position, fix.fixed_at));
        }
    }

    /// What a step's effects tell a reader beside its documents.
    pub fn happened(&mut self, shard: Shard, step: &Step, notices_kept: usize, timeline_kept: usize) {
        let folded = self.shards.entry(shard.number).or_default();
        if step.number <= folded.happened {
            return;
        }
        folded.happened = step.number;
        for (index, effect) in step.effects.iter().enumerate() {
            let rev = shard.rev(step.number, index);
            match effect {
                Effect::Notice(notice) => self.notice((step.at, rev), notice, notices_kept),
                Effect::Timeline(entry) => {
                    self.entry(entry);
                    self.line(rev, entry, timeline_kept);
                }
                Effect::Order(_) | Effect::Call(_) | Effect::Agency(_) | Effect::Forward(..) => {}
            }
        }
    }

    fn notice(&mut self, place: (Timestamp, u64), notice: &Notice, kept: usize) {
        if let Some(old) = self.notice_places.insert(notice.id.clone(), place) {
            self.notices.remove(&old);
        }
        let (raised, rev) = place;
        self.notices
            .insert(place, Arc::new(NoticeLine { rev, raised, notice: notice.clone(), taken: None, passed: 0 }));
        while self.notices.len() > kept.max(1) {
            let needs_nobody = |n: &(_, &Arc<NoticeLine>)| n.1.taken.is_some() || n.1.notice.take_by.is_none();
            let oldest = self.notices.iter().find(needs_nobody).or_else(|| self.notices.iter().next());
            let Some(place) = oldest.map(|(place, _)| *place) else { break };
            if let Some(gone) = self.notices.remove(&place) {
                self.notice_places.remove(&gone.notice.id);
            }
        }
    }

    /// Keeps a line of an incident, where no archive does.
    fn line(&mut self, rev: u64, entry: &Entry, kept: usize) {
        let Some(incident) = entry.incident.as_ref().filter(|_| kept > 0) else { return };
        let key = (incident.clone(), rev);
        self.arrivals.push_back(key.clone());
        self.timeline.insert(key, Arc::new(Line { rev, entry: entry.clone() }));
        while self.arrivals.len() > kept {
            let oldest = self.arrivals.pop_front();
            oldest.inspect(|key| _ = self.timeline.remove(key));
        }
    }

    fn entry(&mut self, entry: &Entry) {
        let (What::NoticeTaken { notice } | What::NoticePassed { notice, .. }) = &entry.what else { return };
        let line = self.notice_places.get(notice).and_then(|place| self.notices.get_mut(place));
        let Some(line) = line.map(Arc::make_mut) else { return };
        match &entry.what {
            What::NoticePassed { to, .. } => {
                line.passed += 1;
                line.notice.desk = *to;
            }
            _ => line.taken = Some((entry.at, entry.by.clone())),
        }
    }
}

fn put<K: Ord, V>(map: &mut BTreeMap<K, Arc<V>>, key: K, body: Option<Arc<V>>) {
    match body {
        Some(body) => drop(map.insert(key, body)),
        None => drop(map.remove(&key)),
    }
}
