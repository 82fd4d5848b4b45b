//! Folding: how a flood of ordinary reports becomes one counted incident.
//!
//! A token bucket over receipt times, per source × category family × county: each ordinary report that would open an
//! incident takes a token, and one comes back every `refill`. Without a token the report is folded into the bucket's
//! flood incident, keeps its place and its words, and can be split out. The bottom line, what triggers at once, and
//! sources where a person judges each report (a 110 desk in a storm) are never folded. The same bucket, with other
//! numbers, finds a source that sends more trigger-at-once reports than it plausibly can: it keeps its orders.

use smol_str::{SmolStr, format_smolstr};

use super::deadline::Deadline;
use super::lifecycle::Ending;
use super::plan::Opening;
use super::snapshot::Key;
use super::state::{Bucket, ReportRecord, STATE_VERSION};
use super::{Actor, Engine, NoticeKind, What};
use crate::model::{IncidentId, IncidentState, Lane, Meta, Millis, Recall, SourceId, Timestamp};

/// A token, in the unit buckets count in.
const TOKEN: u64 = 1000;

impl Engine {
    /// The key of the bucket a report draws from; `None` when it is never folded.
    pub(super) fn fold_key(&self, source: &SourceId, record: &ReportRecord) -> Option<SmolStr> {
        let class = &record.classification;
        let manned = self.playbook.source(source).is_some_and(|s| s.manned);
        if class.lane == Lane::BottomLine || class.trigger_at_once || manned {
            return None;
        }
        let family = self.playbook.taxonomy.categories.get(&class.category).map_or("", |c| c.family.as_str());
        let county = record.place.county.as_ref().map_or("-", |c| c.as_str());
        let status = if record.report.status.is_drill() { "drill" } else { "real" };
        Some(format_smolstr!("{status}|{source}|{family}|{county}"))
    }

    /// Takes a token for an incident that is about to be opened; whether there was one.
    pub(super) fn draw(&mut self, key: &SmolStr, at: Timestamp, burst: u32, refill: Millis) -> bool {
        if !self.buckets.contains_key(key) && self.buckets.len() >= self.playbook.folding.buckets_max {
            self.drop_oldest_bucket();
        }
        let full = u64::from(burst) * TOKEN;
        let bucket =
            self.buckets.entry(key.clone()).or_insert(Bucket { v: STATE_VERSION, tokens: full, at, flood: None });
        let back = at.since(bucket.at).0.saturating_mul(TOKEN) / refill.0.max(1);
        bucket.tokens = bucket.tokens.saturating_add(back).min(full);
        bucket.at = bucket.at.max(at);
        let there = bucket.tokens >= TOKEN;
        if there {
            bucket.tokens -= TOKEN;
        }
        self.touch(Key::Bucket(key.clone()));
        there
    }

    fn drop_oldest_bucket(&mut self) {
        let idle = self.buckets.iter().filter(|(_, b)| b.flood.is_none());
        // Compared in place: there are thousands of them, and under a flood one is dropped for each that comes.
        let oldest = idle.min_by(|(k, a), (l, b)| (a.at, *k).cmp(&(b.at, *l))).map(|(key, _)| key.clone());
        if let Some(key) = oldest {
            self.buckets.remove(&key);
            self.touch(Key::Bucket(key));
        }
    }

    /// Folds a report into the flood incident of its bucket; opens that if there is none.
    pub(super) fn fold(&mut self, meta: &Meta, key: &SmolStr, mut record: ReportRecord) -> (IncidentId, u32) {
        record.folded = true;
        record.reason = "folded".into();
        // A flood incident that is full makes room for the next one.
        let open = self.buckets.get(key).and_then(|b| b.flood.clone()).filter(|id| !self.is_full(&self.incidents[id]));
        let quiet = self.playbook.folding.quiet;
        let by = Actor::Source(meta.source.clone());
        let (id, n) = if let Some(id) = open {
            let n = self.append_report(&id, record);
            self.incident_mut(&id).folded += 1;
            (id, n)
        } else {
            let clock_from = record.received;
            let opening = Opening { meta: meta.clone(), by: by.clone(), record, clock_from, flood: Some(key.clone()) };
            let id = self.open(opening);
            self.begin(&id, super::dispatch::Cause::Plan);
            if let Some(bucket) = self.buckets.get_mut(key) {
                bucket.flood = Some(id.clone());
            }
            self.wheel.insert(self.incidents[&id].last_report + quiet, Deadline::Quiet(id.clone()));
            self.touch(Key::Bucket(key.clone()));
            self.notice(
                Some(&id),
                NoticeKind::Flood,
                format!("{} sends more than its measure; reports are folded into {id}", meta.source),
            );
            (id, 1)
        };
        let folded = self.incidents[&id].folded;
        self.say(Some(&id), by, What::Folded { source: meta.source.clone(), event: meta.id.clone(), folded });
        (id, n)
    }

    /// The flood has been quiet: its incident takes no more reports and is closed.
    pub(super) fn flood_quiet(&mut self, id: &IncidentId) {
        if self.incidents.get(id).is_some_and(|i| i.state.is_open() && i.flood.is_some()) {
            let disposition = Some(self.playbook.folding.disposition.clone());
            let ending = Ending { incident: id.clone(), disposition, prevention: false };
            self.finish(IncidentState::Closed, Recall::Ended, ending);
        }
    }

    /// Somebody is sent, or a person has said what it is: from then on it is an incident like any other, takes no more folded
    /// reports and does not close by itself.
    pub(super) fn no_flood(&mut self, id: &IncidentId) {
        if let Some(key) = self.incidents[id].flood.clone() {
            self.end_flood(id, &key);
            self.incident_mut(id).flood = None;
        }
    }

    /// A flood's incident took another report: its quiet time begins anew.
    pub(super) fn not_quiet(&mut self, id: &IncidentId, before: Timestamp) {
        let incident = &self.incidents[id];
        if incident.flood.is_some() && incident.state.is_open() {
            let quiet = self.playbook.folding.quiet;
            self.wheel.cancel(before + quiet, &Deadline::Quiet(id.clone()));
            self.wheel.insert(incident.last_report + quiet, Deadline::Quiet(id.clone()));
        }
    }

    /// The bucket's flood incident is over.
    pub(super) fn end_flood(&mut self, id: &IncidentId, key: &SmolStr) {
        let last = self.incidents[id].last_report;
        self.wheel.cancel(last + self.playbook.folding.quiet, &Deadline::Quiet(id.clone()));
        if let Some(bucket) = self.buckets.get_mut(key).filter(|b| b.flood.as_ref() == Some(id)) {
            bucket.flood = None;
            self.touch(Key::Bucket(key.clone()));
        }
    }

    /// A source that sends more trigger-at-once reports than it plausibly can still has its orders; a person is told.
    pub(super) fn suspect(&mut self, id: &IncidentId, source: &SourceId, received: Timestamp) {
        let plausible = self.playbook.source(source).map_or(6, |s| s.at_once_per_minute).max(1);
        let key = format_smolstr!("at-once|{source}");
        let refill = Millis(60_000 / u64::from(plausible));
        if !self.draw(&key, received, plausible, refill) {
            let text =
                format!("{source} sends more trigger-at-once reports than {plausible} a minute; its orders stand");
            self.notice(Some(id), NoticeKind::SuspectSource, text);
        }
    }
}
