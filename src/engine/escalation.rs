//! Escalation: what a missed mark causes. A step that reaches nobody costs no delay: the next one runs in the same
//! tick, and the gap is itself a notice.

use serde::{Deserialize, Serialize};

use super::about::About;
use super::agenda::Todo;
use super::dispatch::Cause;
use super::state::{MarkRun, MarkState};
use super::{Actor, Engine, NoticeKind, What};
use crate::model::{IncidentId, OrderId, Timestamp};
use crate::playbook::{Mark, Milestone, OnMiss};

/// A missed mark.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Miss {
    /// Its place in the plan.
    #[serde(rename = "m")]
    pub(super) mark: u16,
    /// The number of the order whose it was; 0 for the incident's own.
    #[serde(rename = "o")]
    pub(super) order: u32,
    /// How often it was missed.
    #[serde(rename = "r")]
    pub(super) round: u32,
    /// When it fell due.
    #[serde(rename = "d")]
    pub(super) due: Timestamp,
}

impl Miss {
    /// The order whose it was.
    pub(super) fn order_of(&self, id: &IncidentId) -> Option<OrderId> {
        (self.order > 0).then(|| OrderId { incident: id.clone(), n: self.order })
    }
}

/// What the misses of one incident at one instant cause, as far as it is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Escalation {
    /// Whose.
    pub(super) incident: IncidentId,
    /// What is due by then is missed with them. Absent for a decline, which is a miss by itself.
    until: Option<Timestamp>,
    /// They fell due in our own outage.
    excused: bool,
    /// Those whose actions are not all done yet.
    misses: Vec<Miss>,
    /// It is a decline: the next post was asked already.
    declined: bool,
    /// What was done for the incident. That the next post was asked for an order stands with the order.
    done: Vec<OnMiss>,
    /// What reached nobody.
    gaps: Vec<OnMiss>,
}

impl Escalation {
    /// Of all that an incident misses by `until`.
    pub(super) fn of_misses(incident: IncidentId, until: Timestamp, excused: bool) -> Self {
        let (misses, done, gaps) = (Vec::new(), Vec::new(), Vec::new());
        Self { incident, until: Some(until), excused, misses, declined: false, done, gaps }
    }

    /// Of a decline: the next post was asked already, whatever else the plan says to an unsigned order follows.
    pub(super) fn of_decline(incident: IncidentId, miss: Miss) -> Self {
        let (misses, done, gaps) = (vec![miss], Vec::new(), Vec::new());
        Self { incident, until: None, excused: false, misses, declined: true, done, gaps }
    }
}

impl Engine {
    /// Does what the plan says to misses of one incident at one instant: each action once, in plan order; the next post once
    /// for each order that failed. As far as this step goes; the rest follows at the same instant.
    pub(super) fn escalate(&mut self, mut escalation: Escalation) {
        let excused = std::mem::replace(&mut self.excused, escalation.excused);
        while !self.enough() {
            if escalation.misses.is_empty() {
                let until = escalation.until.filter(|_| self.incidents[&escalation.incident].state.is_open());
                let misses = until.map(|until| self.miss_some(&escalation.incident, until));
                escalation.misses = misses.unwrap_or_default();
            }
            if escalation.misses.is_empty() {
                break;
            }
            self.answer_misses(&mut escalation);
        }
        let goes_on = !escalation.misses.is_empty() || self.enough() && escalation.until.is_some();
        if goes_on {
            self.leave(Todo::Escalate(Box::new(escalation)));
        }
        self.excused = excused;
    }

    /// Answers the misses in turn, until enough is done or none is left.
    fn answer_misses(&mut self, escalation: &mut Escalation) {
        let id = escalation.incident.clone();
        while let Some(miss) = escalation.misses.first().cloned() {
            let mark = self.incidents[&id].plan.marks[usize::from(miss.mark)].clone();
            if mark.milestone == Milestone::Verified {
                self.lapse(&id);
            }
            for &action in &mark.on_miss {
                if !self.incidents[&id].state.is_open() {
                    return escalation.misses.clear();
                }
                if self.is_answered(escalation, &miss, action) {
                    continue;
                }
                if self.enough() {
                    return;
                }
                self.answer(escalation, &miss, &mark, action);
            }
            escalation.misses.remove(0);
        }
    }

    /// Whether an action has been done for this instant, or is none of it.
    fn is_answered(&self, escalation: &Escalation, miss: &Miss, action: OnMiss) -> bool {
        if action == OnMiss::NextPost && miss.order > 0 {
            return escalation.declined;
        }
        // A cover stands in for an area, not for the incident: that it was not signed sends another cover, and climbs nothing.
        let climbs = matches!(action, OnMiss::NextEchelon | OnMiss::NextLevel | OnMiss::AllCall);
        escalation.done.contains(&action) || climbs && self.is_cover(&escalation.incident, miss)
    }

    fn is_cover(&self, id: &IncidentId, miss: &Miss) -> bool {
        miss.order_of(id).is_some_and(|order| self.orders[&order].covers.is_some())
    }

    fn answer(&mut self, escalation: &mut Escalation, miss: &Miss, mark: &Mark, action: OnMiss) {
        let id = &escalation.incident;
        // The next post for an order that failed also answers an incident's mark of the same instant; another cover does not.
        let of_cover = action == OnMiss::NextPost && self.is_cover(id, miss);
        if !of_cover && !escalation.done.contains(&action) {
            escalation.done.push(action);
        }
        let tired = miss.order == 0 && miss.round > self.playbook.limits.mark_repeats;
        if tired && !matches!(action, OnMiss::Notice | OnMiss::Supervise) {
            // Nobody new is called any more; that nobody stands there is said again until a person takes it.
            return self.nobody_reached(id, miss, mark, action);
        }
        if !self.act_on(id, miss, mark, action) && !escalation.gaps.contains(&action) {
            escalation.gaps.push(action);
            self.nobody_reached(id, miss, mark, action);
        }
    }

    /// Does one action; whether it reached anybody.
    fn act_on(&mut self, id: &IncidentId, miss: &Miss, mark: &Mark, action: OnMiss) -> bool {
        // A controlled incident sends and calls nobody any more; who owns it and who hears of it goes on.
        let sends = matches!(action, OnMiss::NextPost | OnMiss::NextEchelon | OnMiss::AllCall);
        if sends && self.incidents[id].state == crate::model::IncidentState::Controlled {
            return true;
        }
        match action {
            OnMiss::NextPost => match miss.order_of(id) {
                Some(order) => self.replace(&order, Cause::Unsigned(mark.milestone)),
                None => self.reinforce_first(id, &mark.name),
            },
            OnMiss::NextEchelon => self.next_echelon(id, &mark.name),
            OnMiss::NextLevel => self.next_level(id),
            OnMiss::AllCall => self.call_all_on_miss(id, &mark.name),
            OnMiss::Notice => {
                let text = self.miss_text(id, miss, mark);
                self.notice_of(
                    About::mark(id, &mark.name, miss.order_of(id).as_ref()),
                    None,
                    NoticeKind::MarkMissed,
                    text,
                );
                true
            }
            OnMiss::Supervise => {
                let text = self.miss_text(id, miss, mark);
                self.supervise(About::mark(id, &mark.name, miss.order_of(id).as_ref()), NoticeKind::MarkMissed, text);
                true
            }
        }
    }

    fn miss_text(&self, id: &IncidentId, miss: &Miss, mark: &Mark) -> String {
        let about = miss.order_of(id).map_or_else(|| id.to_string(), |order| order.to_string());
        let held = if self.incidents[id].is_held(&mark.name) { ", a hold explains it" } else { "" };
        match miss.round {
            1 => format!("{} of {about} was missed{held}", mark.name),
            round => format!("{} of {about} was missed for the {round}th time{held}", mark.name),
        }
    }

    /// A gap is itself a notice, which an incident's mark repeats until a person has taken it.
    fn nobody_reached(&mut self, id: &IncidentId, miss: &Miss, mark: &Mark, action: OnMiss) {
        self.say(Some(id), Actor::Engine, What::NobodyReached { action, mark: mark.name.clone() });
        let taken = |run: &MarkRun| run.mark == miss.mark && run.gap_taken;
        if miss.order == 0 && self.incidents[id].marks.iter().any(taken) {
            return;
        }
        self.notice(Some(id), NoticeKind::NobodyReached, format!("{action} for {} of {id} reached nobody", mark.name));
    }

    /// A person has taken it that nobody is left to call for the marks missed so far.
    pub(super) fn take_gaps(&mut self, id: &IncidentId) {
        for run in self.incident_mut(id).marks.iter_mut().filter(|run| run.state == MarkState::Missed) {
            run.gap_taken = true;
        }
    }

    /// The incident climbs a level. At the city there is nobody above.
    pub(super) fn next_level(&mut self, id: &IncidentId) -> bool {
        let from = self.incidents[id].level;
        let Some(to) = from.up() else { return false };
        self.raise_level(id, to);
        true
    }

    /// Levels only climb.
    pub(super) fn raise_level(&mut self, id: &IncidentId, to: crate::model::Level) {
        let from = self.incidents[id].level;
        if to <= from {
            return;
        }
        self.incident_mut(id).level = to;
        self.say(Some(id), Actor::Engine, What::LevelRaised { from, to });
        self.notice(Some(id), NoticeKind::LevelRaised, format!("{id} is handed over from {from} to {to}"));
    }
}
