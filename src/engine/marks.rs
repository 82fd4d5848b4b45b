//! Marks: arming, reaching, warning, missing.
//!
//! A mark is *armed* with an anchor: its limit and its warning are instants from then on. It is *reached* when its milestone
//! comes: by its limit it was kept, later it is reached late; an act done in time but told later still keeps it, because
//! what counts is when it was done. It is *missed* when its limit passes: an order's mark once, an incident's again every
//! `repeat` until it is reached. All misses of one incident at one instant are found together, so that each action of the
//! plan happens once, in plan order.

use super::about::About;
use super::deadline::Deadline;
use super::escalation::{Escalation, Miss};
use super::plan::Carried;
use super::state::{Incident, MarkRun, MarkState, Order};
use super::wheel::Wheel;
use super::{Actor, Engine, Lateness, NoticeKind, What};
use crate::model::{IncidentId, MarkName, Millis, OrderId, OrderState, Role, Timestamp};
use crate::playbook::{Anchor, Milestone, Plan, Scope};

/// Marks that are found missed together, before what the plan says to them is done.
const MISSED_AT_ONCE: usize = 16;

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
    /// know end, and those it adds begin now. `carried` says for each mark of the plan before what becomes of it.
    pub(super) fn rearm_order(&mut self, id: &OrderId, carried: &[Option<Carried>]) {
        let (plan, now) = (self.incidents[&id.incident].plan.clone(), self.now);
        let ring_limit = self.playbook.rings.limit(self.incidents[&id.incident].classification.ring);
        let mut runs: Vec<MarkRun> = Vec::new();
        for run in &self.orders[id].marks {
            let Some(Some(to)) = carried.get(usize::from(run.mark)) else { continue };
            let mut run = MarkRun { mark: to.mark, ..run.clone() };
            let mark = &plan.marks[usize::from(to.mark)];
            let limit_at = now + mark.limit(ring_limit);
            // A faster measure counts from now, but never gives more time than was left.
            if run.state == MarkState::Running && to.faster && limit_at < run.limit_at {
                let warn = mark.warning(ring_limit).map(|span| now + span);
                (run.limit_at, run.due, run.warn) = (limit_at, limit_at, warn);
            }
            runs.push(run);
        }
        if self.orders[id].is_live() {
            runs.extend(self.marks_lacking(id, &runs));
        }
        // Most orders are measured as before; they need not be written.
        if runs == self.orders[id].marks {
            return;
        }
        let before = std::mem::replace(&mut self.order_mut(id).marks, runs);
        for (ix, run) in before.iter().enumerate().filter(|(_, run)| run.state.waits()) {
            disarm(&mut self.wheel, &id.incident, id.n, ix, run);
        }
        for (ix, run) in self.orders[id].marks.iter().enumerate() {
            arm(&mut self.wheel, &id.incident, id.n, ix, run);
        }
    }

    /// The marks that an order of a plan put in force just now lacks, counted from now.
    fn marks_lacking(&self, id: &OrderId, runs: &[MarkRun]) -> Vec<MarkRun> {
        let (incident, order, now) = (&self.incidents[&id.incident], &self.orders[id], self.now);
        let ring_limit = self.playbook.rings.limit(incident.classification.ring);
        let c = &incident.classification;
        let lacking = incident.plan.marks.iter().enumerate().filter(|(ix, mark)| {
            mark.scope == Scope::Order
                && mark.echelon.is_none_or(|e| e == order.echelon)
                && (order.role != Role::Cover || mark.milestone == Milestone::Signed)
                && !reached(order, mark.milestone)
                && !runs.iter().any(|run| usize::from(run.mark) == *ix)
                && mark.applies(c.ring, c.severity, &c.category, self.local(now).minute)
        });
        let new = lacking.map(|(ix, mark)| {
            let ix = u16::try_from(ix).expect("a plan has some ten marks");
            run_of(ix, now, mark.limit(ring_limit), mark.warning(ring_limit))
        });
        new.collect()
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
        let about = About::mark(id, &name, order.as_ref());
        let text = match &order {
            Some(order) => format!("{name} of {order} is nearly due"),
            None => format!("{name} of {id} is nearly due"),
        };
        self.say(Some(id), Actor::Engine, What::Warning { mark: name, order, lateness });
        self.notice_of(about, None, NoticeKind::MarkWarning, text);
    }

    /// Finds all that the incident misses at this instant, and does what the plan says, once each.
    pub(super) fn miss_all(&mut self, due: Timestamp, id: &IncidentId, (order, ix): (u32, u16)) {
        // Among the others that fell due with it, it is found again.
        let waits = self.run(id, order, usize::from(ix)).is_some_and(|run| run.state.waits() && run.due == due);
        if !waits {
            return;
        }
        self.wheel.insert(due, Deadline::Due(id.clone(), order, ix));
        let until = if self.excused { self.now } else { due };
        self.escalate(Escalation::of_misses(id.clone(), until, self.excused));
    }

    /// Marks as missed what the incident missed by `until`, in plan order, then by order number, so that the story reads
    /// the same whatever deadline came up first; at most [`MISSED_AT_ONCE`], the rest stays due.
    pub(super) fn miss_some(&mut self, id: &IncidentId, until: Timestamp) -> Vec<Miss> {
        let plan = self.incidents[id].plan.clone();
        let due = self.due_of(id, until);
        let mut misses: Vec<Miss> = Vec::new();
        for (_, order, ix, at) in due.into_iter().take(MISSED_AT_ONCE) {
            let place = u16::try_from(ix).expect("a plan has some ten marks");
            self.wheel.cancel(at, &Deadline::Due(id.clone(), order, place));
            misses.extend(self.miss(at, id, order, ix, &plan));
        }
        for miss in &misses {
            let mark = &plan.marks[usize::from(miss.mark)].name;
            let what = What::Missed {
                mark: mark.clone(),
                order: miss.order_of(id),
                round: miss.round,
                held: self.incidents[id].is_held(mark),
                lateness: self.lateness(miss.due),
            };
            self.say(Some(id), Actor::Engine, what);
        }
        misses
    }

    /// What waits and is due by `until`: its place in the plan, its order, its place among the marks of that, its instant.
    fn due_of(&self, id: &IncidentId, until: Timestamp) -> Vec<(u16, u32, usize, Timestamp)> {
        fn due(order: u32, runs: &[MarkRun], until: Timestamp) -> impl Iterator<Item = (u16, u32, usize, Timestamp)> {
            let waiting = move |(_, run): &(usize, &MarkRun)| run.state.waits() && run.due <= until;
            runs.iter().enumerate().filter(waiting).map(move |(ix, run)| (run.mark, order, ix, run.due))
        }
        let Some(incident) = self.incidents.get(id) else { return Vec::new() };
        let own = due(0, &incident.marks, until);
        let mut found: Vec<_> = own.chain(self.orders_of(id).flat_map(|o| due(o.id.n, &o.marks, until))).collect();
        // A missed mark of an order waits for its milestone, but is not due any more.
        found.retain(|&(_, order, ix, at)| {
            u16::try_from(ix).is_ok_and(|ix| self.wheel.holds(at, &Deadline::Due(id.clone(), order, ix)))
        });
        found.sort_unstable();
        found
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
        let miss = Miss { mark: run.mark, order, round: run.rounds, due };
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
