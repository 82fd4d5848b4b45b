//! What the board holds, and how a document or an effect changes it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::de::DeserializeOwned;
use smol_str::SmolStr;
use tracing::error;

use super::Line;
use crate::engine::state::{CallList, Incident, OpenNotice, Order, PostRecord, ReportRecord};
use crate::engine::{Actor, Document, Effect, Entry, Notice, What};
use crate::journal::Step;
use crate::model::{IncidentId, OrderId, Position, PositionFix, PostId, Timestamp};
use crate::wire;

#[derive(Debug, Default)]
pub(super) struct State {
    pub step: u64,
    pub at: Timestamp,
    pub incidents: BTreeMap<IncidentId, Arc<Incident>>,
    /// Those that still have a clock.
    pub open: BTreeSet<IncidentId>,
    pub orders: BTreeMap<OrderId, Arc<Order>>,
    /// Live orders of each post.
    pub bound: BTreeMap<PostId, BTreeSet<OrderId>>,
    pub reports: BTreeMap<(IncidentId, u32), Arc<ReportRecord>>,
    pub calls: BTreeMap<(IncidentId, u32, u32), Arc<CallList>>,
    pub posts: BTreeMap<PostId, Arc<PostRecord>>,
    pub fixes: BTreeMap<PostId, (Position, Timestamp)>,
    /// By the `rev` that raised them.
    pub notices: BTreeMap<u64, Arc<NoticeLine>>,
    notice_revs: BTreeMap<SmolStr, u64>,
    pub timeline: BTreeMap<u64, Arc<Line>>,
}

/// A notice with what became of it.
#[derive(Clone, Debug)]
pub struct NoticeLine {
    /// Where it stands in the journal.
    pub rev: u64,
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
    let (kind, rest) = document.key.split_once('/').unwrap_or((&document.key, ""));
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
        "notice" => body::<OpenNotice>(document)?.map_or(Change::Nothing, |n| Change::Notice((*n).clone())),
        _ => Change::Nothing,
    })
}

impl State {
    /// What stands in no document survives a reading back.
    pub fn carry_over(&mut self, before: Self) {
        self.fixes = before.fixes;
        self.notices = before.notices;
        self.notice_revs = before.notice_revs;
        self.timeline = before.timeline;
    }

    pub fn apply(&mut self, change: Change) {
        match change {
            Change::Incident(id, body) => {
                if body.as_ref().is_some_and(|i| i.state.is_open()) {
                    self.open.insert(id.clone());
                } else {
                    self.open.remove(&id);
                }
                put(&mut self.incidents, id, body);
            }
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
            Change::Post(id, body) => put(&mut self.posts, id, body),
            Change::Notice(open) => self.open_notice(open),
            Change::Nothing => {}
        }
    }

    /// An open notice that a restart brought back: its own effect may be long gone. A document has no `rev`; 0 and up
    /// is free, since steps count from 1.
    fn open_notice(&mut self, open: OpenNotice) {
        if self.notice_revs.contains_key(&open.id) {
            return;
        }
        let free = (0..=self.notices.len() as u64).find(|rev| !self.notices.contains_key(rev));
        let rev = free.unwrap_or_default();
        let notice = Notice {
            id: open.id,
            incident: open.incident,
            desk: open.desk,
            kind: open.kind,
            text: open.text,
            severity: open.severity,
            take_by: Some(open.take_by),
            at: self.at,
            drill: open.drill,
        };
        self.notice_revs.insert(notice.id.clone(), rev);
        let passed = u32::from(open.passed);
        self.notices.insert(rev, Arc::new(NoticeLine { rev, notice, taken: None, passed }));
    }

    pub fn position(&mut self, fix: &PositionFix) {
        let newer = self.fixes.get(&fix.post).is_none_or(|(_, at)| *at <= fix.fixed_at);
        if newer {
            self.fixes.insert(fix.post.clone(), (fix.position, fix.fixed_at));
        }
    }

    /// What a step's effects tell a reader beside its documents.
    pub fn happened(&mut self, step: &Step, notices_kept: usize, timeline_kept: usize) {
        for (index, effect) in step.effects.iter().enumerate() {
            let rev = wire::rev(step.number, index);
            match effect {
                Effect::Notice(notice) => self.notice(rev, notice, notices_kept),
                Effect::Timeline(entry) => {
                    self.entry(entry);
                    if timeline_kept > 0 {
                        self.timeline.insert(rev, Arc::new(Line { rev, entry: (**entry).clone() }));
                        while self.timeline.len() > timeline_kept {
                            self.timeline.pop_first();
                        }
                    }
                }
                Effect::Order(_) | Effect::Call(_) | Effect::Agency(_) | Effect::Forward(..) => {}
            }
        }
    }

    fn notice(&mut self, rev: u64, notice: &Notice, kept: usize) {
        if let Some(old) = self.notice_revs.insert(notice.id.clone(), rev) {
            self.notices.remove(&old);
        }
        self.notices.insert(rev, Arc::new(NoticeLine { rev, notice: notice.clone(), taken: None, passed: 0 }));
        while self.notices.len() > kept.max(1) {
            let needs_nobody = |n: &&Arc<NoticeLine>| n.taken.is_some() || n.notice.take_by.is_none();
            let oldest = self.notices.values().find(needs_nobody).or_else(|| self.notices.values().next());
            let Some(rev) = oldest.map(|n| n.rev) else { break };
            if let Some(gone) = self.notices.remove(&rev) {
                self.notice_revs.remove(&gone.notice.id);
            }
        }
    }

    fn entry(&mut self, entry: &Entry) {
        let (What::NoticeTaken { notice } | What::NoticePassed { notice, .. }) = &entry.what else { return };
        let line = self.notice_revs.get(notice).and_then(|rev| self.notices.get_mut(rev));
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
