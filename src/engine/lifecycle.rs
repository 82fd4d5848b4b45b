//! The life of an incident, and its one guard.
//!
//! ```text
//! received ──► verifying ──► dispatching ──► handling ──► controlled ──► closed ──► (reopened: dispatching)
//!     └────────────┴──────────────┴──► cancelled, duplicate-of
//! ```
//! Posts, operators and the automation pass the same guard: [`allowed`] says what may be done in which state, and
//! `move_to` is the only place where a state changes.

use serde::{Deserialize, Serialize};

use super::agenda::Todo;
use super::deadline::Deadline;
use super::state::Closing;
use super::{Actor, Engine, NoticeKind, Refusal, What};
use crate::model::{Act, CommandKind, DispositionCode, IncidentId, IncidentState, OrderId, Recall};
use crate::playbook::Milestone;

/// Documents of an old incident that are dropped at once; the rest follows, so that no step is long.
const RETIRED_AT_ONCE: usize = 48;

/// How an incident ends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ending {
    /// Which.
    pub(super) incident: IncidentId,
    /// With which code, if it is closed.
    pub(super) disposition: Option<DispositionCode>,
    /// With a task on its area.
    pub(super) prevention: bool,
}

/// What somebody wants to do with an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    /// A post acts on an order of it.
    Field(Act),
    /// Change what or where it is, order, split, hold, call: anything that needs it open.
    Manage,
    /// Confirm or refute.
    Verify,
    /// Say that the danger is over.
    Control,
    /// Finish it.
    Close,
    /// Call it off.
    Cancel,
    /// Open it again.
    Reopen,
    /// Link, take a notice, recall: also when it is over.
    Note,
}

impl Deed {
    pub(super) fn of(command: &CommandKind) -> Self {
        match command {
            CommandKind::Confirm | CommandKind::Refute { .. } => Self::Verify,
            CommandKind::Controlled => Self::Control,
            CommandKind::Close { .. } => Self::Close,
            CommandKind::Cancel => Self::Cancel,
            CommandKind::Reopen => Self::Reopen,
            CommandKind::Link { .. }
            | CommandKind::TakeNotice { .. }
            | CommandKind::Silence { .. }
            | CommandKind::Unsilence { .. }
            | CommandKind::Recall { .. } => Self::Note,
            _ => Self::Manage,
        }
    }
}

/// The guard: whether a deed may be done in a state, and if not, why and what to do instead.
pub(super) fn allowed(state: &IncidentState, deed: Deed) -> Result<(), Refusal> {
    use IncidentState as S;
    let refuse = |code: &str, detail: String, hint: &str| Err(Refusal::new(code, Some("incident"), detail, Some(hint)));
    match deed {
        Deed::Note => Ok(()),
        Deed::Reopen => match state {
            S::Closed | S::Cancelled => Ok(()),
            S::DuplicateOf(other) => refuse(
                "duplicate",
                format!("the incident goes on as {other}"),
                "reopen that one, or split reports out of it",
            ),
            _ => refuse("open", format!("the incident is {state}"), "only what is closed or cancelled can be reopened"),
        },
        _ if matches!(state, S::DuplicateOf(_)) => {
            refuse("duplicate", format!("the incident is {state}"), "act on the one that goes on")
        }
        _ if !state.is_open() => refuse("over", format!("the incident is {state}"), "reopen it first"),
        Deed::Verify if *state != S::Verifying => refuse(
            "not-verifying",
            format!("the incident is {state}, nobody verifies it"),
            "close it with a disposition instead",
        ),
        Deed::Cancel if matches!(state, S::Handling | S::Controlled) => refuse(
            "handled",
            format!("the incident is {state}: somebody has been there"),
            "close it with a disposition instead",
        ),
        Deed::Control if *state == S::Controlled => {
            refuse("controlled", "the incident is controlled already".into(), "close it when it is finished")
        }
        // After `controlled` posts clear and report; none is newly sent.
        Deed::Field(_) | Deed::Manage | Deed::Verify | Deed::Control | Deed::Close | Deed::Cancel => Ok(()),
    }
}

impl Engine {
    /// The only place where a state changes.
    pub(super) fn move_to(&mut self, id: &IncidentId, to: IncidentState) {
        let from = self.incidents[id].state.clone();
        if from == to {
            return;
        }
        self.incident_mut(id).state = to.clone();
        self.requeue(id);
        self.say(Some(id), Actor::Engine, What::State { from, to });
    }

    /// A post stands there.
    pub(super) fn handling(&mut self, id: &IncidentId) {
        // While it is verified a post that was sent to look changes nothing; confirmation or lapse does.
        if matches!(self.incidents[id].state, IncidentState::Received | IncidentState::Dispatching) {
            self.move_to(id, IncidentState::Handling);
        }
    }

    /// The danger is over: nobody is sent any more, the all-call is taken back, posts may clear.
    pub(super) fn controlled(&mut self, id: &IncidentId) {
        self.move_to(id, IncidentState::Controlled);
        self.stop_waiting(id);
        let now = self.now;
        self.reach(id, Milestone::Controlled, now, None);
        self.cancel_marks(id, 0, |m| !matches!(m, Milestone::Cleared | Milestone::Closed));
        let unsent: Vec<u32> =
            self.orders_of(id).filter(|o| o.may_yet_come() && o.covers.is_none()).map(|o| o.id.n).collect();
        self.take_back(id, &unsent, Recall::Ended);
        self.end_call(id, "controlled");
    }

    /// Ends an incident in a final state: every order, mark, notice and timer of it ends with it.
    pub(super) fn finish(&mut self, state: IncidentState, reason: Recall, ending: Ending) {
        let id = ending.incident.clone();
        self.end_call(&id, "ended");
        self.stop_waiting(&id);
        let now = self.now;
        if state == IncidentState::Closed {
            self.reach(&id, Milestone::Closed, now, None);
        }
        self.move_to(&id, state);
        self.cancel_marks(&id, 0, |_| true);
        if let Some(key) = self.incidents[&id].flood.clone() {
            self.end_flood(&id, &key);
        }
        self.drop_notices_of(&id);
        let bound: Vec<u32> = self.orders_of(&id).filter(|o| o.is_bound()).map(|o| o.id.n).collect();
        self.take_back(&id, &bound, reason);
        self.then(Todo::End(Box::new(ending)));
    }

    /// Nobody is bound by it any more.
    pub(super) fn ended(&mut self, ending: Ending) {
        let (id, now) = (ending.incident, self.now);
        let kept = self.playbook.limits.closed_kept;
        self.incident_mut(&id).closed = Some(Closing { at: now, disposition: ending.disposition.clone() });
        self.wheel.insert(now + kept, Deadline::Retire(id.clone()));
        if let Some(disposition) = ending.disposition {
            self.say(Some(&id), Actor::Engine, What::Closed { disposition });
        }
        if ending.prevention {
            self.prevention(&id);
        }
    }

    /// Open again: the plan begins anew, its marks run from now.
    pub(super) fn reopen(&mut self, id: &IncidentId, why: &str) -> Vec<OrderId> {
        if let Some(closing) = self.incident_mut(id).closed.take() {
            let kept = self.playbook.limits.closed_kept;
            self.wheel.cancel(closing.at + kept, &Deadline::Retire(id.clone()));
        }
        let now = self.now;
        self.move_to(id, IncidentState::Received);
        let incident = self.incident_mut(id);
        (incident.clock_from, incident.last_report) = (now, now);
        (incident.ordered, incident.robbed, incident.flood) = (None, false, None);
        // Nobody has taken it up again, and what explained a miss then explains none now.
        incident.taken = false;
        incident.holds.clear();
        incident.confirmed = incident.plan.verify_first.then_some(now);
        incident.marks.clear();
        incident.needs.clear();
        (incident.echelon, incident.orders_before) = (1, incident.orders);
        self.arm_incident(id, None);
        self.ask(id);
        self.reach_what_stands(id);
        self.serve(id, &super::dispatch::Cause::Evaluated(why.into()))
    }

    /// No need of it waits any more.
    pub(super) fn stop_waiting(&mut self, id: &IncidentId) {
        self.unqueue(id);
        for run in &mut self.incident_mut(id).needs {
            run.waiting = None;
        }
    }

    /// A closed incident leaves the reach of late reports; its story stays in the archive.
    pub(super) fn retire(&mut self, id: &IncidentId) {
        use super::snapshot::Key;
        let Some(incident) = self.incidents.get(id) else { return };
        let Some(closing) = incident.closed.as_ref().filter(|_| !incident.state.is_open()) else { return };
        let due = closing.at + self.playbook.limits.closed_kept;
        let calls: Vec<_> = self.calls.range((id.clone(), 0, 0)..=(id.clone(), u32::MAX, u32::MAX)).collect();
        let calls = calls.into_iter().map(|((_, n, k), _)| Key::Call(id.clone(), *n, *k));
        let reports = self.reports_of(id).map(|(n, _)| Key::Report(id.clone(), n));
        let orders = self.orders_of(id).map(|o| Key::Order(o.id.clone()));
        let gone: Vec<Key> = calls.chain(reports).chain(orders).take(RETIRED_AT_ONCE).collect();
        let last = gone.len() < RETIRED_AT_ONCE;
        for key in gone {
            match &key {
                Key::Call(id, n, k) => drop(self.calls.remove(&(id.clone(), *n, *k))),
                Key::Report(id, n) => drop(self.reports.remove(&(id.clone(), *n))),
                Key::Order(order) => drop(self.orders.remove(order)),
                _ => unreachable!("collected above"),
            }
            self.touch(key);
        }
        if !last {
            // Overdue, so it is the first to be fired again; the incident itself goes with the last of its documents.
            self.wheel.insert(due, Deadline::Retire(id.clone()));
        } else if let Some(incident) = self.incidents.remove(id) {
            self.near.remove(&incident);
            self.touch(Key::Incident(id.clone()));
        }
    }

    /// Opens a prevention task on the area (源头预防).
    pub(super) fn prevention(&mut self, id: &IncidentId) {
        let area = self.incidents[id].place.area.clone();
        let at = area.as_ref().map_or_else(|| "an unknown area".to_owned(), ToString::to_string);
        self.say(Some(id), Actor::Engine, What::Prevention { area });
        self.notice(Some(id), NoticeKind::Prevention, format!("prevention at source for {at} after {id}"));
    }
}
