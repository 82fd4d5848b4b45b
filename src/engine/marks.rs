//! Marks: arming, reaching, warning, missing.
//!
//! A mark is *armed* with an anchor: its limit and its warning are instants from then on. It is *reached* when its milestone
//! comes: by its limit it was kept, later it is reached late; an act done in time but told later still keeps it, because
//! what counts is when it was done. It is *missed* when its limit passes: an order's mark once, an incident's again every
//! `repeat` until it is reached. All misses of one incident at one instant are found together, so that each action of the
//! plan happens once, in plan order.

use super::deadline::Deadline;
use super::escalation::Miss;
use super::state::{Incident, MarkRun, MarkState, Order};
use super::wheel::Wheel;
use super::{Actor, Engine, Lateness, NoticeKind, What};
use crate::model::{IncidentId, MarkName, Millis, OrderId, OrderState, Role, Timestamp};
use crate::playbook::{Anchor, Milestone, Plan, Scope};

/// Puts the deadlines of a mark on the wheel. `order` is 0 for a mark of the incident.
pub(super) fn arm(wheel: &mut Wheel<Deadline>, id: &IncidentId, order: u32, ix: usize, run: &MarkRun) {
    let ix = u16::try_from(ix).expect("a plan has some ten marks");
    // A missed mark of an incident repeats; one of an order does not, nor does verification, which has lapsed.
    let armed = match run.state {
        MarkState::Running => true,
        MarkState::Missed => order == 0 && run.due > run.limit_at,
        _ => false,
    };
    if !armed {
        return;
    }
    wheel.insert(run.due, Deadline::Due(id.clone(), order, ix));
    if let Some(at) = run.warn {
        wheel.insert(at, warning(id, order, ix));
    }
}

fn warning(id: &IncidentId, order: u32, ix: u16) -> Deadline {
    match order {
        0 => Deadline::Warn(id.clone(), ix),
        n => Deadline::WarnOrder(OrderId { incident: id.clone(), n }, ix),
    }
}

fn disarm(wheel: &mut Wheel<Deadline>, id: &IncidentId, order: u32, ix: usize, run: &MarkRun) {
    let ix = u16::try_from(ix).expect("a plan has some ten marks");
    wheel.cancel(run.due, &Deadline::Due(id.clone(), order, ix));
    if let Some(at) = run.warn {
        wheel.cancel(at, &warning(id, order, ix));
    }
}

/// When an incident mark's anchor is there, if it is.
fn anchor(incident: &Incident, plan: &Plan, anchor: Anchor, milestone: Milestone) -> Option<Timestamp> {
    // In a plan that verifies first, the marks of its posts run from confirmation or lapse.
    let early = matches!(milestone, Milestone::Verified | Milestone::Located | Milestone::Taken);
    if plan.verify_first && !early {
        return match anchor {
            Anchor::Ordered => incident.ordered,
            Anchor::Received | Anchor::Confirmed => incident.confirmed,
        };
    }
    match anchor {
        Anchor::Received => Some(incident.clock_from),
        Anchor::Ordered => incident.ordered,
        Anchor::Confirmed => incident.confirmed.or((!plan.verify_first).then_some(incident.clock_from)),
    }
}

impl Engine {
    /// Arms every mark of the incident whose anchor is there and which does not run yet. With `from`, what begins is
    /// counted from that instant: the plan was evaluated anew.
    pub(super) fn arm_incident(&mut self, id: &IncidentId, from: Option<Timestamp>) {
        let incident = &self.incidents[id];
        let plan = incident.plan.clone();
        let ring_limit = self.playbook.rings.limit(incident.classification.ring);
        let mut new = Vec::new();
        for (ix, mark) in plan.marks.iter().enumerate().filter(|(_, m)| m.scope == Scope::Incident) {
            let ix = u16::try_from(ix).expect("a plan has some ten marks");
            if incident.marks.iter().any(|run| run.mark == ix) {
                continue;
            }
            let Some(anchor) = anchor(incident, &plan, mark.anchor, mark.milestone) else { continue };
            let from = from.unwrap_or(anchor);
            let c = &incident.classification;
            if !mark.applies(c.ring, c.severity, &c.category, self.local(from).minute) {
                continue;
            }
            new.push(run_of(ix, from, mark.limit(ring_limit), mark.warning(ring_limit)));
        }
        for run in new {
            let incident = self.incident_mut(id);
            incident.marks.push(run);
            let ix = incident.marks.len() - 1;
            arm(&mut self.wheel, id, 0, ix, &self.incidents[id].marks[ix]);
        }
    }

    /// Arms the marks of a new order.
    pub(super) fn arm_order(&mut self, id: &OrderId) {
        let incident = &self.incidents[&id.incident];
        let order = &self.orders[id];
        let ring_limit = self.playbook.rings.limit(incident.classification.ring);
        let c = &incident.classification;
        let mut runs = Vec::new();
        for (ix, mark) in incident.plan.marks.iter().enumerate().filter(|(_, m)| m.scope == Scope::Order) {
            let ours = mark.echelon.is_none_or(|e| e == order.echelon)
                && (order.role != Role::Cover || mark.milestone == Milestone::Signed)
                && !reached(order, mark.milestone);
            if ours && mark.applies(c.ring, c.severity, &c.category, self.local(order.issued).minute) {
                let ix = u16::try_from(ix).expect("a plan has some ten marks");
                let from = match mark.anchor {
                    Anchor::Ordered => order.issued,
                    Anchor::Received => incident.clock_from.max(incident.confirmed.unwrap_or(Timestamp(0))),
                    Anchor::Confirmed => incident.confirmed.unwrap_or(incident.clock_from),
                };
                // An order issued after such an anchor's limit has passed would be missed before it was read.
                let from = if from + mark.limit(ring_limit) <= order.issued { order.issued } else { from };
                runs.push(run_of(ix, from, mark.limit(ring_limit), mark.warning(ring_limit)));
            }
        }
        for (ix, run) in runs.iter().enumerate() {
            arm(&mut self.wheel, &id.incident, id.n, ix, run);
        }
        self.order_mut(id).marks = runs;
    }

    /// Another plan is in force: the marks of an order that it knows by name and milestone go on under it, those it does not
    /// know end, and those it adds begin now. `runs` are the marks as they stood under the plan before.
    pub(super) fn rearm_order(&mut self, id: &OrderId, before: &Plan, ring_limit_before: Millis, runs: Vec<MarkRun>) {
        let (plan, now) = (self.incidents[&id.incident].plan.clone(), self.now);
        let ring_limit = self.playbook.rings.limit(self.incidents[&id.incident].classification.ring);
        let mut carried: Vec<MarkRun> = Vec::new();
        for run in runs {
            let old = &before.marks[usize::from(run.mark)];
            let like = |m: &crate::playbook::Mark| {
                m.scope == Scope::Order && (&m.name, m.milestone) == (&old.name, old.milestone)
            };
            if let Some(ix) = plan.marks.iter().position(like) {
                let mut run = MarkRun { mark: u16::try_from(ix).expect("a plan has some ten marks"), ..run };
                let limit = plan.marks[ix].limit(ring_limit);
                // A faster measure counts from now, but never gives more time than was left.
                if run.state == MarkState::Running && limit < old.limit(ring_limit_before) && now + limit < run.limit_at
                {
                    let warn = plan.marks[ix].warning(ring_limit).map(|span| now + span);
                    (run.limit_at, run.due, run.warn) = (now + limit, now + limit, warn);
                }
                carried.push(run);
            }
        }
        self.order_mut(id).marks.clone_from(&carried);
        for (ix, run) in carried.iter().enumerate() {
            arm(&mut self.wheel, &id.incident, id.n, ix, run);
        }
        if self.orders[id].is_live() {
            self.arm_new_order_marks(id);
        }
    }

    /// Arms the marks that an order of a plan put in force just now lacks, counted from now.
    fn arm_new_order_marks(&mut self, id: &OrderId) {
        let (incident, order, now) = (&self.incidents[&id.incident], &self.orders[id], self.now);
        let ring_limit = self.playbook.rings.limit(incident.classification.ring);
        let c = &incident.classification;
        let lacking = incident.plan.marks.iter().enumerate().filter(|(ix, mark)| {
            mark.scope == Scope::Order
                && mark.echelon.is_none_or(|e| e == order.echelon)
                && (order.role != Role::Cover || mark.milestone == Milestone::Signed)
                && !reached(order, mark.milestone)
                && !order.marks.iter().any(|run| usize::from(run.mark) == *ix)
                && mark.applies(c.ring, c.severity, &c.category, self.local(now).minute)
        });
        let new: Vec<MarkRun> = lacking
            .map(|(ix, mark)| {
                let ix = u16::try_from(ix).expect("a plan has some ten marks");
                run_of(ix, now, mark.limit(ring_limit), mark.warning(ring_limit))
            })
            .collect();
        for run in new {
            let ix = self.orders[id].marks.len();
            arm(&mut self.wheel, &id.incident, id.n, ix, &run);
            self.order_mut(id).marks.push(run);
        }
    }

    /// A milestone of the incident was reached at `done`, told now. With an echelon, only its marks are.
    pub(super) fn reach(&mut self, id: &IncidentId, milestone: Milestone, done: Timestamp, echelon: Option<u8>) {
        let incident = &self.incidents[id];
        let plan = incident.plan.clone();
        for ix in 0..incident.marks.len() {
            let run = &self.incidents[id].marks[ix];
            let mark = &plan.marks[usize::from(run.mark)];
            let meant = mark.milestone == milestone && (mark.echelon.is_none() || mark.echelon == echelon);
            if meant && let Some(done) = self.settle(id, 0, ix, done) {
                self.say(Some(id), Actor::Engine, done.what(&mark.name, None));
            }
        }
    }

    /// A milestone of an order was reached at `done`, told now.
    pub(super) fn reach_order(&mut self, id: &OrderId, milestone: Milestone, done: Timestamp) {
        let plan = self.incidents[&id.incident].plan.clone();
        for ix in 0..self.orders[id].marks.len() {
            let mark = &plan.marks[usize::from(self.orders[id].marks[ix].mark)];
            if mark.milestone == milestone
                && let Some(done) = self.settle(&id.incident, id.n, ix, done)
            {
                self.say(Some(&id.incident), Actor::Engine, done.what(&mark.name, Some(id)));
            }
        }
    }

    /// Ends one running mark because its milestone came.
    fn settle(&mut self, id: &IncidentId, order: u32, ix: usize, done: Timestamp) -> Option<Settled> {
        let (now, run) = (self.now, self.run(id, order, ix)?.clone());
        if !run.state.waits() {
            return None;
        }
        disarm(&mut self.wheel, id, order, ix, &run);
        let settled = Settled {
            in_time: done <= run.limit_at,
            was_missed: run.state == MarkState::Missed,
            spent: done.since(run.anchor),
            late: done.since(run.limit_at),
            told_after: now.since(done),
        };
        let run = self.run_mut(id, order, ix)?;
        run.state = if settled.in_time { MarkState::Kept } else { MarkState::ReachedLate };
        run.warn = None;
        Some(settled)
    }

    /// Ends every running mark of an incident, or of one of its orders, because nobody asks for it any more.
    pub(super) fn cancel_marks(&mut self, id: &IncidentId, order: u32, which: impl Fn(Milestone) -> bool) {
        let plan = self.incidents[id].plan.clone();
        let runs = match order {
            0 => self.incidents[id].marks.clone(),
            n => self.orders[&OrderId { incident: id.clone(), n }].marks.clone(),
        };
        for (ix, run) in runs.iter().enumerate() {
            if run.state.waits() && which(plan.marks[usize::from(run.mark)].milestone) {
                disarm(&mut self.wheel, id, order, ix, run);
                if let Some(run) = self.run_mut(id, order, ix) {
                    (run.state, run.warn) = (MarkState::Cancelled, None);
                }
            }
        }
    }

    pub(super) fn warn(&mut self, id: &IncidentId, order: u32, ix: u16) {
        let Some(run) = self.run_mut(id, order, usize::from(ix)) else { return };
        let (at, mark) = (run.warn.take(), run.mark);
        if run.state != MarkState::Running {
            return;
        }
        let lateness = self.lateness(at.unwrap_or(self.now));
        let name = self.incidents[id].plan.marks[usize::from(mark)].name.clone();
        let order = (order > 0).then(|| OrderId { incident: id.clone(), n: order });
        let text = match &order {
            Some(order) => format!("{name} of {order} is nearly due"),
            None => format!("{name} of {id} is nearly due"),
        };
        self.say(Some(id), Actor::Engine, What::Warning { mark: name, order, lateness });
        self.notice(Some(id), NoticeKind::MarkWarning, text);
    }

    /// Finds all that the incident misses at this instant, and does what the plan says, once each.
    pub(super) fn miss_all(&mut self, due: Timestamp, id: &IncidentId, first: (u32, u16)) -> usize {
        let mut fallen_due = vec![(due, first)];
        let until = if self.excused { self.now } else { due };
        while let Some((at, (order, ix))) = self.next_due_of(id, until) {
            fallen_due.push((at, (order, ix)));
        }
        let plan = self.incidents[id].plan.clone();
        let mut misses: Vec<Miss> = Vec::new();
        for (at, (order, ix)) in &fallen_due {
            if let Some(miss) = self.miss(*at, id, *order, usize::from(*ix), &plan) {
                misses.push(miss);
            }
        }
        // Plan order, then order number: the story reads the same whatever deadline came up first.
        misses.sort_by_key(|miss| (miss.mark, miss.order.clone()));
        for miss in &misses {
            let lateness = self.lateness(miss.due);
            let what = What::Missed {
                mark: miss.name.clone(),
                order: miss.order.clone(),
                round: miss.round,
                held: self.incidents[id].is_held(&miss.name),
                lateness,
            };
            self.say(Some(id), Actor::Engine, what);
        }
        self.escalate(id, &misses);
        fallen_due.len()
    }

    /// Takes the next deadline off the wheel if it is a miss of this incident by `until`.
    fn next_due_of(&mut self, id: &IncidentId, until: Timestamp) -> Option<(Timestamp, (u32, u16))> {
        let waiting = |run: &MarkRun| run.state.waits() && run.due <= until;
        let incident = self.incidents.get(id)?;
        let own = incident.marks.iter().enumerate().filter(|(_, r)| waiting(r)).map(|(ix, r)| (r.due, 0, ix));
        let orders = self
            .orders_of(id)
            .flat_map(|o| o.marks.iter().enumerate().filter(|(_, r)| waiting(r)).map(|(ix, r)| (r.due, o.id.n, ix)));
        let found: Vec<_> = own.chain(orders).collect();
        for (at, order, ix) in found {
            let ix = u16::try_from(ix).expect("a plan has some ten marks");
            if self.wheel.cancel(at, &Deadline::Due(id.clone(), order, ix)) {
                return Some((at, (order, ix)));
            }
        }
        None
    }

    /// Marks one mark as missed and, for the incident's own, sets its next round.
    fn miss(&mut self, due: Timestamp, id: &IncidentId, order: u32, ix: usize, plan: &Plan) -> Option<Miss> {
        let now = self.now;
        let run = self.run_mut(id, order, ix)?;
        if !run.state.waits() {
            return None;
        }
        let mark = &plan.marks[usize::from(run.mark)];
        (run.state, run.rounds) = (MarkState::Missed, run.rounds + 1);
        let miss = Miss {
            mark: run.mark,
            name: mark.name.clone(),
            milestone: mark.milestone,
            order: (order > 0).then(|| OrderId { incident: id.clone(), n: order }),
            round: run.rounds,
            actions: mark.on_miss.clone(),
            due,
        };
        if order == 0 && mark.milestone != Milestone::Verified {
            let span = mark.repeat.unwrap_or_else(|| run.limit_at.since(run.anchor)).max(Millis::from_secs(1));
            run.due = now + span;
            let run = run.clone();
            arm(&mut self.wheel, id, 0, ix, &MarkRun { warn: None, ..run });
        }
        Some(miss)
    }

    fn lateness(&self, due: Timestamp) -> Lateness {
        if self.excused { Lateness::OwnOutage(self.now.since(due)) } else { Lateness::InTime }
    }

    fn run(&self, id: &IncidentId, order: u32, ix: usize) -> Option<&MarkRun> {
        match order {
            0 => self.incidents.get(id)?.marks.get(ix),
            n => self.orders.get(&OrderId { incident: id.clone(), n })?.marks.get(ix),
        }
    }

    fn run_mut(&mut self, id: &IncidentId, order: u32, ix: usize) -> Option<&mut MarkRun> {
        self.run(id, order, ix)?;
        match order {
            0 => self.incident_mut(id).marks.get_mut(ix),
            n => self.order_mut(&OrderId { incident: id.clone(), n }).marks.get_mut(ix),
        }
    }

    /// The mark of an order by its milestone, if it still waits.
    pub(super) fn waiting_mark(&self, id: &OrderId, milestone: Milestone) -> Option<u16> {
        let plan = &self.incidents[&id.incident].plan;
        let runs = self.orders[id].marks.iter().enumerate();
        let mut waiting = runs.filter(|(_, run)| run.state.waits());
        let found = waiting.find(|(_, run)| plan.marks[usize::from(run.mark)].milestone == milestone);
        found.map(|(ix, _)| u16::try_from(ix).expect("a plan has some ten marks"))
    }
}

fn run_of(mark: u16, anchor: Timestamp, limit: Millis, warning: Option<Millis>) -> MarkRun {
    let limit_at = anchor + limit;
    MarkRun {
        mark,
        anchor,
        limit_at,
        due: limit_at,
        warn: warning.map(|span| anchor + span),
        state: MarkState::Running,
        rounds: 0,
        gap_taken: false,
    }
}

/// Whether an order already stands where the milestone is.
fn reached(order: &Order, milestone: Milestone) -> bool {
    let needed = match milestone {
        Milestone::Signed => OrderState::Signed,
        Milestone::EnRoute => OrderState::EnRoute,
        Milestone::OnScene => OrderState::OnScene,
        Milestone::FirstReport => OrderState::FirstReport,
        _ => OrderState::Cleared,
    };
    order.state >= needed
}

/// How a mark ended.
struct Settled {
    in_time: bool,
    was_missed: bool,
    spent: Millis,
    late: Millis,
    told_after: Millis,
}

impl Settled {
    fn what(&self, mark: &MarkName, order: Option<&OrderId>) -> What {
        let (mark, order) = (mark.clone(), order.cloned());
        if !self.in_time {
            return What::ReachedLate { mark, order, late: self.late };
        }
        // Kept when it was done, though the clock had to take it for missed.
        let lateness = if self.was_missed { Lateness::ReportedLate(self.told_after) } else { Lateness::InTime };
        What::Kept { mark, order, spent: self.spent, lateness }
    }
}
