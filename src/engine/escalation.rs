//! Escalation: what a missed mark causes. A step that reaches nobody costs no delay: the next one runs in the same
//! tick, and the gap is itself a notice.

use super::dispatch::Cause;
use super::state::{MarkRun, MarkState};
use super::{Actor, Engine, NoticeKind, What};
use crate::model::{Desk, IncidentId, MarkName, OrderId, Timestamp};
use crate::playbook::{Milestone, OnMiss};

/// A missed mark, with what the plan says to it.
#[derive(Clone, Debug)]
pub(super) struct Miss {
    /// Its place in the plan.
    pub mark: u16,
    /// Its name.
    pub name: MarkName,
    /// What was waited for.
    pub milestone: Milestone,
    /// Whose it was; `None` for the incident's own.
    pub order: Option<OrderId>,
    /// How often it was missed.
    pub round: u32,
    /// What to do.
    pub actions: Vec<OnMiss>,
    /// When it fell due.
    pub due: Timestamp,
}

impl Engine {
    /// Does what the plan says to these misses of one incident at one instant: each action once, in plan order; the next
    /// post once for each order that failed.
    pub(super) fn escalate(&mut self, id: &IncidentId, misses: &[Miss]) {
        let mut done: Vec<(OnMiss, Option<OrderId>)> = Vec::new();
        let mut gaps: Vec<OnMiss> = Vec::new();
        for miss in misses {
            if miss.milestone == Milestone::Verified {
                self.lapse(id);
            }
            for &action in &miss.actions {
                let about = miss.order.clone().filter(|_| action == OnMiss::NextPost);
                // The next post for an order that failed also answers an incident's mark of the same instant.
                let again = match &about {
                    Some(order) => done.contains(&(action, Some(order.clone()))),
                    None => done.iter().any(|(earlier, _)| *earlier == action),
                };
                if again {
                    continue;
                }
                done.push((action, about));
                if !self.incidents[id].state.is_open() {
                    return;
                }
                let tired = miss.order.is_none() && miss.round > self.playbook.limits.mark_repeats;
                if tired && !matches!(action, OnMiss::Notice | OnMiss::Supervise) {
                    // Nobody new is called any more; that nobody stands there is said again until a person takes it.
                    self.nobody_reached(id, miss, action);
                    continue;
                }
                if !self.act_on(id, miss, action) && !gaps.contains(&action) {
                    gaps.push(action);
                    self.nobody_reached(id, miss, action);
                }
            }
        }
    }

    /// Does one action; whether it reached anybody.
    fn act_on(&mut self, id: &IncidentId, miss: &Miss, action: OnMiss) -> bool {
        // A controlled incident sends and calls nobody any more; who owns it and who hears of it goes on.
        let sends = matches!(action, OnMiss::NextPost | OnMiss::NextEchelon | OnMiss::AllCall);
        if sends && self.incidents[id].state == crate::model::IncidentState::Controlled {
            return true;
        }
        match action {
            OnMiss::NextPost => match &miss.order {
                Some(order) => self.replace(order, Cause::Unsigned(miss.milestone)),
                None => self.reinforce_first(id, &miss.name),
            },
            OnMiss::NextEchelon => self.next_echelon(id, &miss.name),
            OnMiss::NextLevel => self.next_level(id),
            OnMiss::AllCall => self.call_all_on_miss(id, &miss.name),
            OnMiss::Notice => {
                let text = self.miss_text(id, miss);
                self.notice(Some(id), NoticeKind::MarkMissed, text);
                true
            }
            OnMiss::Supervise => {
                let text = self.miss_text(id, miss);
                self.notice_desk(Some(id), Desk::Supervision, NoticeKind::MarkMissed, text, None);
                true
            }
        }
    }

    fn miss_text(&self, id: &IncidentId, miss: &Miss) -> String {
        let about = miss.order.as_ref().map_or_else(|| id.to_string(), ToString::to_string);
        let held = if self.incidents[id].is_held(&miss.name) { ", a hold explains it" } else { "" };
        match miss.round {
            1 => format!("{} of {about} was missed{held}", miss.name),
            round => format!("{} of {about} was missed for the {round}th time{held}", miss.name),
        }
    }

    /// A gap is itself a notice, which an incident's mark repeats until a person has taken it.
    fn nobody_reached(&mut self, id: &IncidentId, miss: &Miss, action: OnMiss) {
        self.say(Some(id), Actor::Engine, What::NobodyReached { action, mark: miss.name.clone() });
        let taken = |run: &MarkRun| run.mark == miss.mark && run.gap_taken;
        if miss.order.is_none() && self.incidents[id].marks.iter().any(taken) {
            return;
        }
        self.notice(Some(id), NoticeKind::NobodyReached, format!("{action} for {} of {id} reached nobody", miss.name));
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
