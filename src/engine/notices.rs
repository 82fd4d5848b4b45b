//! Notices: who of the five desks hears what, and what becomes of a notice that nobody takes.
//!
//! Desks subscribe by kind and severity in the playbook. A notice that must be taken within a span and is not goes to
//! the next desk, and on from there; when the last desk has had it, it comes round again, until a person takes it.

use smol_str::{SmolStr, format_smolstr};

use super::about::About;
use super::agenda::Todo;
use super::deadline::Deadline;
use super::snapshot::Key;
use super::state::{OpenNotice, STATE_VERSION};
use super::{Actor, AgencyMessage, Effect, Engine, Notice, NoticeKind, What};
use crate::model::{Desk, IncidentId, Millis, Severity};
use crate::playbook::Subscription;

impl Engine {
    /// Raises a notice about an incident, or about nothing in particular.
    pub(super) fn notice(&mut self, incident: Option<&IncidentId>, kind: NoticeKind, text: String) {
        self.notice_of(About::incident(incident), None, kind, text);
    }

    /// Raises a notice at the desk of supervision, whether it subscribed or not.
    pub(super) fn supervise(&mut self, about: About, kind: NoticeKind, text: String) {
        self.notice_of(about, Some(Desk::Supervision), kind, text);
    }

    /// Raises a notice at one desk, whether it subscribed or not, or at every desk that did; where enough is done already, in
    /// the next step. What a silence hides goes to no desk.
    pub(super) fn notice_of(&mut self, about: About, desk: Option<Desk>, kind: NoticeKind, text: String) {
        if self.enough() {
            return self.leave(Todo::Notice { about, desk, kind, text });
        }
        let to = self.desks_of(&about, desk, kind);
        if to.is_empty() || self.hide(&about, desk, kind, &text) {
            return;
        }
        self.takes_along(&about, desk, kind);
        for (desk, take_within) in to {
            self.notice_desk(&about, desk, kind, text.clone(), take_within);
        }
    }

    /// The desks that hear of it, and within which span a person of each must take it.
    pub(super) fn desks_of(&self, about: &About, desk: Option<Desk>, kind: NoticeKind) -> Vec<(Desk, Option<Millis>)> {
        if let Some(desk) = desk {
            return vec![(desk, None)];
        }
        let severity = about.incident.as_ref().and_then(|id| self.incidents.get(id)).map(|i| i.classification.severity);
        let mut to: Vec<(Desk, Option<Millis>)> = Vec::new();
        for subscription in self.playbook.subscriptions.iter().filter(|s| hears(s, kind, severity)) {
            if !to.iter().any(|(earlier, _)| *earlier == subscription.desk) {
                to.push((subscription.desk, subscription.take_within));
            }
        }
        to
    }

    fn notice_desk(&mut self, about: &About, desk: Desk, kind: NoticeKind, text: String, take_within: Option<Millis>) {
        let incident = about.incident.as_ref();
        // What still waits to be taken is said again under its own id, not piled up.
        let same = |n: &&OpenNotice| {
            let here = n.desk == desk || n.passed > 0;
            incident.is_some() && n.incident.as_ref() == incident && n.kind == kind && take_within.is_some() && here
        };
        if let Some(open) = self.notices.values().find(same).map(|n| n.id.clone()) {
            return self.say_again(&open, text);
        }
        let id = self.notice_id(incident);
        let incident_now = incident.and_then(|id| self.incidents.get(id));
        let severity = incident_now.map(|i| i.classification.severity);
        let drill = incident_now.is_some_and(super::Incident::drill);
        let take_by = take_within.map(|span| self.now + span);
        let notice = Notice {
            id: id.clone(),
            incident: incident.cloned(),
            desk,
            kind,
            text: text.clone(),
            severity,
            take_by,
            at: self.now,
            drill,
        };
        self.out.push(Effect::Notice(Box::new(notice)));
        self.say(
            incident,
            Actor::Engine,
            What::Noticed { notice: id.clone(), desk, kind, text: text.clone(), take_by },
        );
        if let Some(take_by) = take_by {
            let open = OpenNotice {
                v: STATE_VERSION,
                id: id.clone(),
                incident: incident.cloned(),
                desk,
                kind,
                text,
                severity,
                take_by,
                passed: 0,
                drill,
                about: about.clone(),
                held: false,
            };
            self.wheel.insert(take_by, Deadline::Take(id.clone()));
            self.touch(Key::Notice(id.clone()));
            self.notices.insert(id, open);
        }
    }

    /// The same thing happened again before anybody took the notice: its text changes, its clock runs on.
    fn say_again(&mut self, id: &SmolStr, text: String) {
        let at = self.now;
        let Some(open) = self.notices.get_mut(id).filter(|open| open.text != text) else { return };
        open.text = text;
        let open = open.clone();
        self.touch(Key::Notice(id.clone()));
        let notice = Notice {
            id: id.clone(),
            incident: open.incident.clone(),
            desk: open.desk,
            kind: open.kind,
            text: open.text.clone(),
            severity: open.severity,
            take_by: Some(open.take_by),
            at,
            drill: open.drill,
        };
        self.out.push(Effect::Notice(Box::new(notice)));
        let OpenNotice { incident, desk, kind, text, take_by, .. } = open;
        self.say(
            incident.as_ref(),
            Actor::Engine,
            What::Noticed { notice: id.clone(), desk, kind, text, take_by: Some(take_by) },
        );
    }

    fn notice_id(&mut self, incident: Option<&IncidentId>) -> SmolStr {
        if let Some(id) = incident {
            let incident = self.incident_mut(id);
            incident.notices += 1;
            return format_smolstr!("{id}-n{}", incident.notices);
        }
        self.turn_day();
        self.head.notices += 1;
        format_smolstr!("{}-{:08}-n{}", self.playbook.head.command_area, self.head.date, self.head.notices)
    }

    /// Counters of the head count within a local day.
    pub(super) fn turn_day(&mut self) {
        let today = self.local(self.now).date;
        // A day never turns back, whatever the zone does.
        if today > self.head.date {
            (self.head.date, self.head.incidents, self.head.notices) = (today, 0, 0);
            self.head.silences = 0;
        }
    }

    /// Nobody took it in time: it goes to the next desk.
    pub(super) fn pass_notice(&mut self, id: &SmolStr) {
        let Some(open) = self.notices.get(id).cloned() else { return };
        if self.hold_back(id) {
            return;
        }
        let subscription = self
            .playbook
            .subscriptions
            .iter()
            .find(|s| s.desk == open.desk && s.take_within.is_some() && hears(s, open.kind, open.severity))
            .or_else(|| self.playbook.subscriptions.iter().find(|s| s.desk == open.desk && s.take_within.is_some()));
        let next = subscription.and_then(|s| s.next).unwrap_or(Desk::Command);
        let within = subscription.and_then(|s| s.take_within).unwrap_or(Millis::from_secs(60));
        let take_by = self.now + within;
        let notice = Notice {
            id: id.clone(),
            incident: open.incident.clone(),
            desk: next,
            kind: open.kind,
            text: open.text.clone(),
            severity: open.severity,
            take_by: Some(take_by),
            at: self.now,
            drill: open.drill,
        };
        self.out.push(Effect::Notice(Box::new(notice)));
        self.say(
            open.incident.as_ref(),
            Actor::Engine,
            What::NoticePassed { notice: id.clone(), from: open.desk, to: next },
        );
        self.wheel.insert(take_by, Deadline::Take(id.clone()));
        self.touch(Key::Notice(id.clone()));
        self.notices
            .insert(id.clone(), OpenNotice { desk: next, take_by, passed: open.passed.saturating_add(1), ..open });
    }

    /// A person took it, or what it was about is over.
    pub(super) fn drop_notice(&mut self, id: &SmolStr) -> bool {
        let Some(open) = self.notices.remove(id) else { return false };
        self.wheel.cancel(open.take_by, &Deadline::Take(id.clone()));
        self.touch(Key::Notice(id.clone()));
        true
    }

    /// What is over needs no taking.
    pub(super) fn drop_notices_of(&mut self, incident: &IncidentId) {
        let ids: Vec<SmolStr> =
            self.notices.values().filter(|n| n.incident.as_ref() == Some(incident)).map(|n| n.id.clone()).collect();
        for id in ids {
            if self.enough() {
                return self.leave(Todo::DropNotices(incident.clone()));
            }
            self.drop_notice(&id);
        }
    }

    /// Tells the agencies of the plan and of the category's list, each once.
    pub(super) fn tell_agencies(&mut self, id: &IncidentId, reason: &str) {
        let incident = &self.incidents[id];
        let listed = self.playbook.taxonomy.categories.get(incident.category()).map(|c| c.agencies.as_slice());
        let all = incident.plan.agencies.iter().chain(listed.unwrap_or_default());
        let new: Vec<_> = all.filter(|a| !incident.agencies.contains(*a)).cloned().collect();
        for agency in new {
            if self.enough() {
                return self.leave(Todo::Agencies { incident: id.clone(), reason: reason.into() });
            }
            let incident = self.incident_mut(id);
            if !incident.agencies.insert(agency.clone()) {
                continue;
            }
            let message = AgencyMessage {
                agency: agency.clone(),
                incident: id.clone(),
                reason: reason.into(),
                classification: incident.classification.clone(),
                place: incident.place.clone(),
                drill: incident.drill(),
                at: self.now,
            };
            self.out.push(Effect::Agency(Box::new(message)));
            self.say(Some(id), Actor::Engine, What::AgencyTold { agency, reason: reason.into() });
        }
    }
}

fn hears(subscription: &Subscription, kind: NoticeKind, severity: Option<Severity>) -> bool {
    let name = kind.to_string();
    let fits = subscription.severity.is_empty() || severity.is_some_and(|s| subscription.severity.contains(&s));
    fits && subscription.kinds.iter().any(|k| k == "*" || *k == name)
}
