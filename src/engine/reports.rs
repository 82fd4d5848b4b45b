//! Reports: what becomes of one. In this order: a repeat is answered again; another centre's is handed over; one that
//! speaks of a known incident joins it, or is linked to it; one of a flood is folded; any other opens an incident.
//! So every accepted report belongs to exactly one incident.

use smol_str::{SmolStr, format_smolstr};

use super::about::About;
use super::dispatch::Cause;
use super::matching::{Match, MatchDeed};
use super::plan::Opening;
use super::repeats::{Known, digests};
use super::snapshot::Key;
use super::state::{ReportRecord, STATE_VERSION, Seen};
use super::{Actor, Answer, Effect, Engine, NoticeKind, ReportAnswer, ReportOutcome, Verdict, What};
use crate::model::{Body, Event, IncidentId, Link, Meta, OrderId, Report, Spot, Timestamp};
use crate::playbook::LateAction;

/// Characters of the reason of a link that are kept with it.
const LINK_REASON_CHARS: usize = 160;

/// Bytes of a link beside its reason, roughly; and of all links of an incident, after which it takes no more.
const LINK_BYTES: usize = 64;
const LINKS_BYTES_ENOUGH: usize = 6 * 1024;

/// Characters of a refusal's detail, and of its hint, that are kept for its repeat.
const REFUSAL_CHARS: usize = 300;

impl Engine {
    pub(super) fn report(
        &mut self,
        meta: Meta,
        received: Timestamp,
        report: Report,
        verdict: Option<Verdict>,
    ) -> Answer {
        let (id_digest, content) = digests(&meta);
        let (known, seen) = self.repeats.known(id_digest, content);
        if known == Known::Repeat {
            let seen = seen.cloned();
            return self.repeat_answer(&meta, seen);
        }
        let in_force = |v: &Verdict| v.classification.playbook == self.playbook.hash;
        let verdict = verdict
            .filter(in_force)
            .unwrap_or_else(|| crate::classify::verdict(&self.playbook, &meta, &report, received));
        let record = ReportRecord {
            v: STATE_VERSION,
            source: meta.source.clone(),
            event: meta.id.clone(),
            received,
            time: meta.time,
            report,
            place: verdict.place,
            classification: verdict.classification,
            reason: "first".into(),
            score: 100,
            folded: false,
        };
        let class = record.classification.clone();
        let (incident, n, orders, outcome) = self.receive(&meta, record);
        self.remember(&meta, incident.as_ref(), n, &orders, Some(outcome));
        if let Some(id) = &incident {
            if known == Known::Recycled {
                let text = format!(
                    "{} uses the id {} again for other content; it is a report of its own",
                    meta.source, meta.id
                );
                let about = About::incident(Some(id)).of_source(&meta.source);
                self.notice_of(about, None, NoticeKind::RecycledId, text);
            }
            if class.trigger_at_once {
                self.suspect(id, &meta.source, received);
            }
            self.check_clock(id, &meta, received);
        }
        let answer = ReportAnswer { incident, classification: Some(class), orders, repeat: false, outcome };
        Answer::Report(Box::new(answer))
    }

    /// What becomes of a report that is no repeat.
    fn receive(&mut self, meta: &Meta, record: ReportRecord) -> (Option<IncidentId>, u32, Vec<OrderId>, ReportOutcome) {
        if let Spot::Foreign(centre) = &record.place.spot {
            let centre = centre.clone();
            let event =
                Event { meta: meta.clone(), received: record.received, body: Body::Report(Box::new(record.report)) };
            self.out.push(Effect::Forward(centre.clone(), Box::new(event)));
            let what =
                What::Forwarded { to: centre.as_str().into(), source: meta.source.clone(), event: meta.id.clone() };
            self.say(None, Actor::Source(meta.source.clone()), what);
            let text = format!("a report of {} was handed over to {centre}", meta.source);
            self.notice_of(About::source(&meta.source), None, NoticeKind::HandOver, text);
            return (None, 0, Vec::new(), ReportOutcome::Forwarded);
        }
        let found = self.find_match(&record);
        match &found {
            Some(m) if m.deed == MatchDeed::Join => return self.join(meta, m, record),
            Some(m) if matches!(m.deed, MatchDeed::Late(LateAction::Append | LateAction::Reopen)) => {
                return self.late(meta, m, record);
            }
            _ => {}
        }
        if let Some(key) = self.fold_key(&meta.source, &record) {
            let folding = self.playbook.folding.clone();
            if !self.draw(&key, record.received, folding.burst, folding.refill) {
                let (id, n) = self.fold(meta, &key, record);
                return (Some(id), n, Vec::new(), ReportOutcome::Folded);
            }
        }
        let clock_from = self.clock_from(meta, record.received);
        let by = Actor::Source(meta.source.clone());
        let id = self.open(Opening { meta: meta.clone(), by, record, clock_from, flood: None });
        let linked = found.is_some();
        if let Some(found) = found {
            self.suggest(&id, &found);
        }
        let orders = self.begin(&id, Cause::Plan);
        let outcome = if linked { ReportOutcome::Suggested } else { ReportOutcome::Opened };
        (Some(id), 1, orders, outcome)
    }

    /// Appends a report to an open incident. It orders nobody by itself; a rise evaluates the plan anew.
    fn join(
        &mut self,
        meta: &Meta,
        found: &Match,
        mut record: ReportRecord,
    ) -> (Option<IncidentId>, u32, Vec<OrderId>, ReportOutcome) {
        let id = found.incident.clone();
        (record.reason, record.score) = (found.reason.clone(), found.score);
        let (class, place) = (record.classification.clone(), record.place.clone());
        let n = self.append_report(&id, record);
        let what = What::Joined {
            source: meta.source.clone(),
            event: meta.id.clone(),
            score: found.score,
            reason: found.reason.clone(),
            report: n,
        };
        self.say(Some(&id), Actor::Source(meta.source.clone()), what);
        let orders = self.learn(&id, &class, &place);
        (Some(id), n, orders, ReportOutcome::Joined)
    }

    /// What a further report teaches about an incident: a place where there was none, a worse class.
    pub(super) fn learn(
        &mut self,
        id: &IncidentId,
        class: &crate::model::Classification,
        place: &crate::model::Place,
    ) -> Vec<OrderId> {
        let incident = &self.incidents[id];
        let found = (incident.place.spot == Spot::Unknown && place.spot == Spot::Known).then(|| place.clone());
        let rises = Self::rises(&incident.classification, class);
        if !rises && found.is_none() {
            return Vec::new();
        }
        let mut new = if rises { class.clone() } else { incident.classification.clone() };
        // The ring is the incident's place's, unless that was just found. Nothing a report says lowers anything.
        new.ring = found.as_ref().map_or(incident.classification.ring, |p| p.ring);
        new.severity = new.severity.min(incident.classification.severity);
        new.lane = new.lane.min(incident.classification.lane);
        self.evaluate(id, new, found, "a further report")
    }

    /// A late report on a closed incident, by the category's rule.
    fn late(
        &mut self,
        meta: &Meta,
        found: &Match,
        mut record: ReportRecord,
    ) -> (Option<IncidentId>, u32, Vec<OrderId>, ReportOutcome) {
        let id = found.incident.clone();
        (record.reason, record.score) = (found.reason.clone(), found.score);
        let reopen = found.deed == MatchDeed::Late(LateAction::Reopen);
        let (class, place) = (record.classification.clone(), record.place.clone());
        let n = self.append_report(&id, record);
        let action: SmolStr = if reopen { "reopen" } else { "append" }.into();
        let what = What::LateReport { source: meta.source.clone(), event: meta.id.clone(), action: action.clone() };
        self.say(Some(&id), Actor::Source(meta.source.clone()), what);
        self.notice(Some(&id), NoticeKind::LateReport, format!("a late report on {id}: {action}"));
        if !reopen {
            return (Some(id), n, Vec::new(), ReportOutcome::Late);
        }
        let mut orders = self.reopen(&id, "a late report");
        orders.extend(self.learn(&id, &class, &place));
        (Some(id), n, orders, ReportOutcome::Reopened)
    }

    /// Links a new incident to the one it may belong to.
    fn suggest(&mut self, id: &IncidentId, found: &Match) {
        let other = found.incident.clone();
        let reason = match found.deed {
            MatchDeed::Late(_) => format!("late report, {}", found.reason),
            _ => format!("suggested, {}", found.reason),
        };
        self.link(id, &other, &reason, Some(found.score));
        let what = What::Suggested { other: other.clone(), score: found.score, reason: found.reason.clone() };
        self.say(Some(id), Actor::Engine, what);
        let text = format!("{id} may belong to {other}: {} %, {}", found.score, found.reason);
        self.notice(Some(id), NoticeKind::MatchSuggested, text);
    }

    /// Links two incidents both ways, once.
    pub(super) fn link(&mut self, a: &IncidentId, b: &IncidentId, reason: &str, score: Option<u8>) {
        // A reason may hold what a producer calls its event, which may be long.
        let reason: String = reason.chars().take(LINK_REASON_CHARS).collect();
        for (one, other) in [(a, b), (b, a)] {
            let links_max = self.playbook.limits.links_per_incident;
            let incident = self.incident_mut(one);
            // One that everything may belong to is linked from the others; its own document stays small.
            let bytes: usize = incident.links.iter().map(|link| link.reason.len() + LINK_BYTES).sum();
            let room = incident.links.len() < links_max && bytes < LINKS_BYTES_ENOUGH;
            if room && !incident.links.iter().any(|l| &l.other == other) {
                incident.links.push(Link { other: other.clone(), reason: reason.clone(), score });
            }
        }
    }

    /// Keeps a report with its incident, as one more; returns its number.
    pub(super) fn append_report(&mut self, id: &IncidentId, record: ReportRecord) -> u32 {
        let received = record.received;
        let incident = self.incident_mut(id);
        incident.reports += 1;
        let before = incident.last_report;
        incident.last_report = before.max(received);
        let n = incident.reports;
        self.not_quiet(id, before);
        self.keep_report(id, n, record);
        n
    }

    pub(super) fn keep_report(&mut self, id: &IncidentId, n: u32, record: ReportRecord) {
        if n == self.playbook.limits.reports_per_incident {
            self.notice(Some(id), NoticeKind::LimitReached, format!("{id} has {n} reports and takes no more"));
        }
        self.reports.insert((id.clone(), n), record);
        self.touch(Key::Report(id.clone(), n));
    }

    /// What `received` marks are counted from: our receipt, or a trusted source's own clock when that is earlier.
    fn clock_from(&self, meta: &Meta, received: Timestamp) -> Timestamp {
        let trusted = self.playbook.source(&meta.source).is_some_and(|s| s.trusted_clock);
        let behind = self.playbook.limits.clock_behind;
        let sane = |time: &Timestamp| *time <= received && received.since(*time) <= behind;
        meta.time.filter(|_| trusted).filter(sane).unwrap_or(received)
    }

    /// A producer's clock is measured, not believed: when it is off, a person is told, and nothing else happens.
    fn check_clock(&mut self, id: &IncidentId, meta: &Meta, received: Timestamp) {
        let Some(time) = meta.time else { return };
        let limits = &self.playbook.limits;
        let text = if time > received + limits.clock_ahead {
            format!("the clock of {} is ahead by {}", meta.source, time.since(received))
        } else if received > time + limits.clock_behind {
            format!("the clock of {} is behind by {}, or its report is that old", meta.source, received.since(time))
        } else {
            return;
        };
        let key = format_smolstr!("clock|{}", meta.source);
        // Once in an hour is enough to say so.
        if self.draw(&key, received, 1, crate::model::Millis::from_mins(60)) {
            let about = About::incident(Some(id)).of_source(&meta.source);
            self.notice_of(about, None, NoticeKind::ClockSkew, text);
        }
    }

    fn repeat_answer(&mut self, meta: &Meta, seen: Option<Seen>) -> Answer {
        let incident = seen.as_ref().and_then(|s| s.incident.clone());
        let what = What::Repeated { source: meta.source.clone(), event: meta.id.clone() };
        self.say(
            incident.as_ref().filter(|id| self.incidents.contains_key(id)),
            Actor::Source(meta.source.clone()),
            what,
        );
        let report = seen.as_ref().map_or(0, |s| s.report);
        let record = incident.as_ref().and_then(|id| self.reports.get(&(id.clone(), report)));
        let classification = record.map(|r| r.classification.clone());
        let orders = seen.as_ref().map(Seen::order_ids).unwrap_or_default();
        let outcome = seen.and_then(|s| s.outcome).unwrap_or(ReportOutcome::Opened);
        Answer::Report(Box::new(ReportAnswer { incident, classification, orders, repeat: true, outcome }))
    }

    /// Remembers an event, so that its repeat is known.
    pub(super) fn remember(
        &mut self,
        meta: &Meta,
        incident: Option<&IncidentId>,
        report: u32,
        orders: &[OrderId],
        outcome: Option<ReportOutcome>,
    ) {
        let (id, content) = digests(meta);
        let numbers = || orders.iter().filter(|o| Some(&o.incident) == incident).map(|o| o.n);
        let orders = numbers().min().zip(numbers().max());
        let (at, incident) = (self.now, incident.cloned());
        self.put_seen(Seen { id, content, at, incident, report, orders, outcome, refused: None });
    }

    /// Remembers an act or a command that was refused: its repeat is refused as it was, whatever has changed since.
    pub(super) fn remember_refused(&mut self, meta: &Meta, refusal: &super::Refusal) {
        let (id, content) = digests(meta);
        let mut refused = Box::new(refusal.clone());
        for words in [Some(&mut refused.detail), refused.hint.as_mut()].into_iter().flatten() {
            if let Some((end, _)) = words.char_indices().nth(REFUSAL_CHARS) {
                words.truncate(end);
            }
        }
        let at = self.now;
        let (orders, outcome, refused) = (None, None, Some(refused));
        self.put_seen(Seen { id, content, at, incident: None, report: 0, orders, outcome, refused });
    }

    fn put_seen(&mut self, seen: Seen) {
        let (minute, k) = self.repeats.put(seen);
        self.wheel.insert(
            super::Repeats::dies(minute, self.playbook.limits.repeats_known),
            super::deadline::Deadline::Forget(minute),
        );
        self.touch(Key::Digests(minute, k));
    }

    /// The digests of a minute die, except those of incidents that are still open: they are known as long as those are.
    pub(super) fn forget_minute(&mut self, minute: i64) {
        let (keys, dropped) = self.repeats.forget(minute);
        for (minute, k) in keys {
            self.touch(Key::Digests(minute, k));
        }
        let now = self.now;
        for seen in dropped {
            let open = seen.incident.as_ref().and_then(|id| self.goes_on_as(id)).is_some_and(|i| i.state.is_open());
            if open {
                self.put_seen(Seen { at: now, ..seen });
            }
        }
        if self.repeats.list_of(minute) {
            let dies = super::Repeats::dies(minute, self.playbook.limits.repeats_known);
            self.wheel.insert(dies, super::deadline::Deadline::Forget(minute));
        }
    }
}

impl Seen {
    fn order_ids(&self) -> Vec<OrderId> {
        let Some((incident, (first, last))) = self.incident.clone().zip(self.orders) else { return Vec::new() };
        (first..=last).map(|n| OrderId { incident: incident.clone(), n }).collect()
    }

    /// The answer an act or a command got.
    pub(super) fn applied_again(&self) -> Answer {
        if let Some(refusal) = &self.refused {
            return Answer::Refused((**refusal).clone());
        }
        Answer::Applied { incident: self.incident.clone(), orders: self.order_ids(), repeat: true }
    }
}
