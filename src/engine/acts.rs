//! What posts tell: acts on orders, acts about themselves, answers to an all-call, and positions.
//!
//! An act counts when it was *done*: at our receipt, or at `done_at` when it was done in a dead spot and told later, within
//! the bounds of what is possible. An act implies those before it: who is on scene has signed and set out. Progress only
//! goes forward; an act told again changes nothing. A late signature counts, unless the order was recalled.

use super::deadline::Deadline;
use super::dispatch::{Cause, Issue, late_by};
use super::escalation::{Escalation, Miss};
use super::lifecycle::{Deed, allowed};
use super::snapshot::Key;
use super::state::{Order, PostRecord, STATE_VERSION};
use super::{Actor, Answer, Delivery, DeliveryOutcome, Duty, Engine, Lateness, NoticeKind, Refusal, What};
use crate::model::{
    Act, FieldAct, IncidentId, Meta, OrderId, OrderState, PlaceRef, PositionFix, PostId, Role, Timestamp,
};
use crate::playbook::{Milestone, Scope};

/// The channel of what a post tells by itself, and of what an operator writes down for it.
const TERMINAL: &str = "terminal";
const VOICE: &str = "voice";

/// The progress of an order, in its order.
const PROGRESS: [(Act, OrderState, Milestone); 5] = [
    (Act::Signed, OrderState::Signed, Milestone::Signed),
    (Act::EnRoute, OrderState::EnRoute, Milestone::EnRoute),
    (Act::OnScene, OrderState::OnScene, Milestone::OnScene),
    (Act::FirstReport, OrderState::FirstReport, Milestone::FirstReport),
    (Act::Cleared, OrderState::Cleared, Milestone::Cleared),
];

impl Engine {
    /// Applies an act or a command once: its repeat gets the same answer.
    pub(super) fn once(
        &mut self,
        meta: &Meta,
        apply: impl FnOnce(&mut Self, &Meta) -> Result<Answer, Refusal>,
    ) -> Answer {
        let (id, content) = super::repeats::digests(meta);
        if let (super::repeats::Known::Repeat, Some(seen)) = self.repeats.known(id, content) {
            return seen.applied_again();
        }
        match apply(self, meta) {
            Ok(answer) => {
                if let Answer::Applied { incident, orders, .. } = &answer {
                    let (incident, orders) = (incident.clone(), orders.clone());
                    self.remember(meta, incident.as_ref(), 0, &orders, None);
                }
                answer
            }
            Err(refusal) => {
                self.remember_refused(meta, &refusal);
                Answer::Refused(refusal)
            }
        }
    }

    pub(super) fn act(&mut self, meta: &Meta, received: Timestamp, act: FieldAct) -> Result<Answer, Refusal> {
        let result = self.act_of(meta, received, act.clone());
        if let Err(refusal) = &result {
            let id = act.order.as_ref().map(|o| &o.incident).or(act.incident.as_ref());
            let id = id.filter(|id| self.incidents.contains_key(*id)).cloned();
            let what = What::Refused { what: act.act.as_str().into(), refusal: refusal.clone() };
            self.say(id.as_ref(), Actor::Unit(act.post.as_str().into()), what);
        }
        result
    }

    fn act_of(&mut self, meta: &Meta, received: Timestamp, act: FieldAct) -> Result<Answer, Refusal> {
        match act.act {
            Act::OnDuty | Act::OffDuty | Act::OutOfService => self.duty(&act),
            Act::OnView => self.on_view(meta, received, act),
            Act::Signed | Act::Declined if self.is_called(&act) => self.answer_call(&act),
            Act::Received => {
                let order = self.order_meant(&act)?;
                let receipt = Delivery { order, channel: TERMINAL.into(), outcome: DeliveryOutcome::Delivered };
                Ok(self.delivery_by(&receipt, Actor::Unit(act.post.as_str().into())))
            }
            _ => {
                let order = self.order_meant(&act)?;
                self.act_on_order(&order, act.act, received, &act, None)
            }
        }
    }

    /// The order an act is about: named, or the post's own for the incident, or its active one.
    fn order_meant(&self, act: &FieldAct) -> Result<OrderId, Refusal> {
        if let Some(id) = &act.order {
            let order = self.orders.get(id).ok_or_else(|| {
                Refusal::new(
                    "unknown-order",
                    Some("order"),
                    format!("there is no order {id}"),
                    Some("orders are listed at /v1/orders"),
                )
            })?;
            if order.post != act.post {
                let detail = format!("order {id} was given to {}, not to {}", order.post, act.post);
                return Err(Refusal::new("wrong-post", Some("post"), detail, Some("act on your own order")));
            }
            return Ok(id.clone());
        }
        let unit = self.fleet.get(&act.post).ok_or_else(|| unknown_post(&act.post))?;
        let mine = match &act.incident {
            Some(id) => self.orders_of(id).filter(|o| o.post == act.post).last().map(|o| o.id.clone()),
            None => unit.tasks.first().map(|task| task.order.clone()),
        };
        mine.ok_or_else(|| {
            let about = act.incident.as_ref().map_or_else(String::new, |id| format!(" for {id}"));
            Refusal::new("no-order", Some("order"), format!("{} has no order{about}", act.post), Some("name the order"))
        })
    }

    /// One act on one order, by its post or on its behalf.
    pub(super) fn act_on_order(
        &mut self,
        id: &OrderId,
        what: Act,
        received: Timestamp,
        act: &FieldAct,
        on_behalf: Option<&Actor>,
    ) -> Result<Answer, Refusal> {
        let order = &self.orders[id];
        if order.state != OrderState::Recalled && order.state != OrderState::Cleared {
            allowed(&self.incidents[&id.incident].state, Deed::Field(what))?;
        }
        Self::possible(order, what)?;
        let by = on_behalf.cloned().unwrap_or_else(|| Actor::Unit(act.post.as_str().into()));
        // Done no earlier than it was ordered (give or take what a clock may be off), no later than it was told; a time
        // that cannot be is not believed.
        let off = self.playbook.limits.clock_ahead;
        let told = received.min(self.now).max(order.issued);
        let may_be = |done: &Timestamp| *done + off >= order.issued && *done <= told + off;
        let done = act.done_at.filter(may_be).unwrap_or(told).min(told).max(order.issued);
        let lateness = self.act_lateness(id, what, done, received);
        let said = What::Acted {
            order: Some(id.clone()),
            post: act.post.as_str().into(),
            act: what,
            lateness,
            // Where the engine itself writes it down nobody has spoken.
            on_behalf: matches!(on_behalf, Some(Actor::Seat(_))),
        };
        self.say(Some(&id.incident), by.clone(), said);
        if let Some(words) = act.reason.clone().filter(|w| !w.is_empty()) {
            self.say(Some(&id.incident), by, What::Said { order: Some(id.clone()), words });
        }
        match what {
            Act::Declined => self.declined(id),
            Act::Received => {
                let channel = if matches!(on_behalf, Some(Actor::Seat(_))) { VOICE } else { TERMINAL };
                let receipt =
                    Delivery { order: id.clone(), channel: channel.into(), outcome: DeliveryOutcome::Delivered };
                self.delivery(&receipt);
            }
            _ => self.progress(id, what, done),
        }
        self.note_channel(id, if matches!(on_behalf, Some(Actor::Seat(_))) { VOICE } else { TERMINAL });
        Ok(Answer::applied(Some(id.incident.clone())))
    }

    /// Whether an order can still take this act.
    fn possible(order: &Order, act: Act) -> Result<(), Refusal> {
        let refuse = |code: &str, why: String, hint: &str| Err(Refusal::new(code, Some("order"), why, Some(hint)));
        match order.state {
            OrderState::Recalled => {
                let why = order.recall.map_or_else(|| "recalled".to_owned(), |r| r.to_string());
                refuse(
                    "recalled",
                    format!("order {} was taken back ({why})", order.id),
                    "do not go; wait for a new order",
                )
            }
            OrderState::Cleared => refuse("cleared", format!("order {} is cleared", order.id), "nothing is left to do"),
            OrderState::Declined => {
                refuse("declined", format!("order {} was declined", order.id), "ask the centre for a new order")
            }
            OrderState::Expired if act == Act::Declined => {
                refuse("expired", format!("order {} has expired unsigned", order.id), "nothing is left to decline")
            }
            state if act == Act::Declined && state >= OrderState::OnScene => {
                refuse("on-scene", format!("order {} is {state}", order.id), "clear it instead")
            }
            _ => Ok(()),
        }
    }

    /// Keeps how a signature and a clearing came, where this act brought them.
    fn note_channel(&mut self, id: &OrderId, channel: &str) {
        let order = &self.orders[id];
        let signed = order.times.signed.is_some() && order.over.signed.is_none();
        let cleared = order.times.cleared.is_some() && order.over.cleared.is_none();
        if !signed && !cleared {
            return;
        }
        let over = &mut self.order_mut(id).over;
        if signed {
            over.signed = Some(channel.into());
        }
        if cleared {
            over.cleared = Some(channel.into());
        }
    }

    fn act_lateness(&self, id: &OrderId, act: Act, done: Timestamp, received: Timestamp) -> Lateness {
        let Some((_, _, milestone)) = PROGRESS.iter().find(|(a, ..)| *a == act) else { return Lateness::InTime };
        let incident = &self.incidents[&id.incident];
        let of = |runs: &[super::state::MarkRun], scope| {
            runs.iter()
                .find(|run| {
                    let mark = &incident.plan.marks[usize::from(run.mark)];
                    mark.milestone == *milestone && mark.scope == scope
                })
                .map(|run| run.limit_at)
        };
        let own = of(&self.orders[id].marks, Scope::Order);
        let limit =
            own.or_else(|| of(&incident.marks, Scope::Incident).filter(|_| self.orders[id].role == Role::First));
        match late_by(done, limit) {
            Some(by) => Lateness::By(by),
            None if done < received => Lateness::ReportedLate(received.since(done)),
            None => Lateness::InTime,
        }
    }

    /// Moves an order forward; what lies between is taken as done at the same instant.
    fn progress(&mut self, id: &OrderId, act: Act, done: Timestamp) {
        let Some(to) = PROGRESS.iter().position(|(a, ..)| *a == act) else { return };
        let state = self.orders[id].state;
        let revived = state == OrderState::Expired;
        let from = if revived || state == OrderState::Issued {
            0
        } else {
            PROGRESS.iter().position(|(_, s, _)| *s == state).map_or(0, |p| p + 1)
        };
        if from > to {
            return;
        }
        if revived {
            // A late signature counts: the post is bound again.
            let post = self.orders[id].post.clone();
            let lost = self.make_room(&post);
            self.order_mut(id).state = OrderState::Signed;
            self.put_task(id);
            self.note_tasks(&post);
            self.serve_lost(lost);
        } else if state == OrderState::Issued {
            let expires = self.orders[id].expires;
            self.wheel.cancel(expires, &Deadline::Expiry(id.clone()));
        }
        for &(_, state, milestone) in &PROGRESS[from..=to] {
            let order = self.order_mut(id);
            order.state = state;
            // Whoever moves serves, though another was asked meanwhile.
            order.superseded = false;
            let times = &mut order.times;
            let slot = match state {
                OrderState::Signed => &mut times.signed,
                OrderState::EnRoute => &mut times.en_route,
                OrderState::OnScene => &mut times.on_scene,
                OrderState::FirstReport => &mut times.first_report,
                _ => &mut times.cleared,
            };
            slot.get_or_insert(done);
            self.fleet.set_state(id, state);
            if matches!(state, OrderState::EnRoute | OrderState::OnScene) && self.fleet.activate(id) {
                let post = self.orders[id].post.clone();
                self.note_tasks(&post);
            }
            self.reach_order(id, milestone, done);
            self.order_moved(id, state, done);
        }
        // Only now: who says at once that it has set out is not taken back as one that has merely signed.
        if self.orders[id].is_live() {
            self.settle_need(id);
        }
    }

    /// What a step of an order means to its incident.
    fn order_moved(&mut self, id: &OrderId, state: OrderState, done: Timestamp) {
        let incident = id.incident.clone();
        let (role, echelon, post) = (self.orders[id].role, self.orders[id].echelon, self.orders[id].post.clone());
        let counts = !matches!(role, Role::Cover | Role::AllCall);
        match state {
            OrderState::Signed if counts => {
                self.take_up(&incident, done);
                self.reach(&incident, Milestone::Signed, done, Some(echelon));
            }
            OrderState::EnRoute if counts => self.reach(&incident, Milestone::EnRoute, done, Some(echelon)),
            OrderState::OnScene if counts => {
                self.handling(&incident);
                self.reach_by_orders(&incident, done);
                if role == Role::First {
                    self.settle_beyond(id);
                }
            }
            OrderState::FirstReport if counts => self.reach(&incident, Milestone::FirstReport, done, Some(echelon)),
            OrderState::Cleared => {
                self.cancel_marks(&incident, id.n, |_| true);
                self.fleet.release(id);
                self.note_tasks(&post);
                if counts && !self.orders_of(&incident).any(|o| o.is_live() && o.covers.is_none()) {
                    self.reach(&incident, Milestone::Cleared, done, Some(echelon));
                }
                self.after_release(&post);
            }
            _ => {}
        }
    }

    /// On-scene milestones, by what its orders have reached: a `first` post for the plain mark, any post of the echelon for
    /// one with an echelon, every role asked for for the joint one.
    pub(super) fn reach_by_orders(&mut self, id: &IncidentId, told: Timestamp) {
        let there = |o: &&Order| o.has_been_on_scene() && o.covers.is_none();
        let instant = |o: &Order| o.times.on_scene.unwrap_or(told);
        let first = self.orders_of_now(id).filter(there).filter(|o| o.role == Role::First).map(instant).min();
        let by_echelon: Vec<_> = self.orders_of_now(id).filter(there).map(|o| (o.echelon, instant(o))).collect();
        let plan = self.incidents[id].plan.clone();
        if let Some(done) = first {
            self.reach(id, Milestone::OnScene, done, None);
        }
        for mark in plan.marks.iter().filter(|m| m.scope == Scope::Incident && m.milestone == Milestone::OnScene) {
            let Some(echelon) = mark.echelon else { continue };
            if let Some(done) = by_echelon.iter().filter(|(e, _)| *e == echelon).map(|(_, done)| *done).min() {
                self.reach(id, Milestone::OnScene, done, Some(echelon));
            }
        }
        if let Some(done) = self.joint_since(id) {
            self.reach(id, Milestone::JointOnScene, done, None);
        }
    }

    /// Since when every role asked for stands there.
    fn joint_since(&self, id: &IncidentId) -> Option<Timestamp> {
        let incident = &self.incidents[id];
        if incident.needs.is_empty() {
            return None;
        }
        let mut since = Timestamp(i64::MIN);
        for (ix, run) in incident.needs.iter().enumerate().filter(|(_, run)| run.wanted > 0) {
            let mut there: Vec<Timestamp> = self
                .orders_of_now(id)
                .filter(|o| o.need.is_some_and(|n| usize::from(n) == ix) && o.has_been_on_scene())
                .filter_map(|o| o.times.on_scene)
                .collect();
            there.sort();
            since = since.max(*there.get(usize::from(run.wanted) - 1)?);
        }
        (since.0 > i64::MIN).then_some(since)
    }

    /// A decline is a miss at that instant: the next post is ordered, whatever else the plan says to an unsigned order.
    fn declined(&mut self, id: &OrderId) {
        let incident = id.incident.clone();
        let post = self.orders[id].post.clone();
        let mark = self.waiting_mark(id, Milestone::Signed);
        let (order, due) = (id.n, self.now);
        let miss = mark.map(|ix| Miss { mark: self.orders[id].marks[usize::from(ix)].mark, order, round: 1, due });
        self.end_order(id, OrderState::Declined, None, true);
        if self.orders[id].role == Role::AllCall {
            self.comes_after_all_not(&incident, &post);
        }
        if let Some(miss) = &miss {
            let mark = self.incidents[&incident].plan.marks[usize::from(miss.mark)].name.clone();
            let held = self.incidents[&incident].is_held(&mark);
            let (order, lateness) = (Some(id.clone()), Lateness::InTime);
            self.say(Some(&incident), Actor::Engine, What::Missed { mark, order, round: 1, held, lateness });
        }
        self.replace_or_say(id, Cause::Declined);
        if let Some(miss) = miss {
            self.escalate(Escalation::of_decline(incident, miss));
        }
        self.after_release(&post);
    }

    /// Orders the next post for an order that failed, or says that there is none.
    pub(super) fn replace_or_say(&mut self, id: &OrderId, cause: Cause) -> bool {
        if !self.incidents[&id.incident].state.is_open() || self.orders[id].superseded {
            return true;
        }
        let replaced = self.replace(id, cause);
        if !replaced && self.orders[id].need.is_some() {
            let what = What::NobodyReached { action: crate::playbook::OnMiss::NextPost, mark: "signed".into() };
            self.say(Some(&id.incident), Actor::Engine, what);
            self.notice(Some(&id.incident), NoticeKind::NobodyReached, format!("nobody else can go for {id}"));
        }
        replaced
    }

    /// A person has taken the incident up.
    pub(super) fn take_up(&mut self, id: &IncidentId, done: Timestamp) {
        if !self.incidents[id].taken {
            self.incident_mut(id).taken = true;
            self.reach(id, Milestone::Taken, done, None);
        }
    }

    /// A post begins or ends its duty.
    fn duty(&mut self, act: &FieldAct) -> Result<Answer, Refusal> {
        let post = &act.post;
        let unit = self.fleet.get(post).ok_or_else(|| unknown_post(post))?;
        let busy = !unit.tasks.is_empty();
        let duty = match act.act {
            Act::OnDuty => Duty::On,
            Act::OffDuty if busy => Duty::EndsAfterClearing,
            Act::OffDuty => Duty::Off,
            _ => {
                let reason = act.reason.as_ref().filter(|r| !r.is_empty()).ok_or_else(|| {
                    Refusal::new(
                        "no-reason",
                        Some("reason"),
                        format!("{post} is out of service, but why?"),
                        Some("give a reason"),
                    )
                })?;
                // The words stay with the act; the fleet needs only to know that there are some.
                let _ = reason;
                Duty::OutOfService("out of service".into())
            }
        };
        let word = match &duty {
            Duty::On => "on duty",
            Duty::EndsAfterClearing => "off duty after clearing",
            Duty::Off => "off duty",
            _ => "out of service",
        };
        self.set_duty(post, duty.clone());
        self.say(None, Actor::Unit(post.as_str().into()), What::Duty { post: post.clone(), state: word.into() });
        if let Some(words) = act.reason.clone().filter(|w| !w.is_empty()) {
            self.say(None, Actor::Unit(post.as_str().into()), What::Said { order: None, words });
        }
        match duty {
            Duty::On => self.serve_queue(post),
            Duty::OutOfService(_) => self.lose(post, false),
            Duty::EndsAfterClearing => self.give_up_waiting(post),
            _ => {}
        }
        Ok(Answer::applied(None))
    }

    pub(super) fn set_duty(&mut self, post: &PostId, duty: Duty) {
        self.fleet.set_duty(post, duty.clone());
        self.post_record(post).duty = duty;
    }

    pub(super) fn post_record(&mut self, post: &PostId) -> &mut PostRecord {
        self.touch(Key::Post(post.clone()));
        self.posts.entry(post.clone()).or_insert_with(|| PostRecord { v: STATE_VERSION, ..PostRecord::default() })
    }

    /// A shift that ended on an assignment ends after clearing.
    pub(super) fn shift_may_end(&mut self, post: &PostId) {
        let ends = self.fleet.get(post).is_some_and(|u| u.duty == Duty::EndsAfterClearing && u.tasks.is_empty());
        if ends {
            self.set_duty(post, Duty::Off);
            self.say(None, Actor::Engine, What::Duty { post: post.clone(), state: "off duty".into() });
        }
    }

    /// A post came upon something itself: it opens an incident, already assigned.
    fn on_view(&mut self, meta: &Meta, received: Timestamp, act: FieldAct) -> Result<Answer, Refusal> {
        let post = act.post.clone();
        let unit = self.fleet.get(&post).ok_or_else(|| unknown_post(&post))?;
        let here = unit.whereabouts(self.now, self.playbook.limits.position_stale).position;
        let mut report = act.report.map(|r| *r).unwrap_or_default();
        if report.place == PlaceRef::default() {
            report.place.position = Some(here);
        }
        self.viewing = Some(post.clone());
        let answer = self.report(meta.clone(), received, report, None);
        self.viewing = None;
        let Answer::Report(answer) = answer else { return Ok(answer) };
        let Some(id) = answer.incident.clone() else { return Ok(Answer::Report(answer)) };
        // Who stands in front of it has verified it.
        if self.incidents[&id].state == crate::model::IncidentState::Verifying {
            self.verified(&id, "confirmed");
        }
        let mine = self.orders_of(&id).find(|o| o.post == post && o.is_live()).map(|o| o.id.clone());
        let order = match mine {
            Some(order) => order,
            None => self.assign_on_view(&id, &post),
        };
        let told = FieldAct {
            act: Act::OnScene,
            order: Some(order.clone()),
            incident: None,
            report: None,
            reason: None,
            done_at: act.done_at,
            post,
        };
        self.act_on_order(&order, Act::OnScene, received, &told, None)?;
        let mut orders = answer.orders.clone();
        if !orders.contains(&order) {
            orders.push(order);
        }
        Ok(Answer::Applied { incident: Some(id), orders, repeat: false })
    }

    /// The post that came upon it is assigned. Where no `first` post stands yet it is that: the one who was ordered and has
    /// not set out is then taken back, as whoever fills a need first keeps it.
    pub(super) fn assign_on_view(&mut self, id: &IncidentId, post: &PostId) -> OrderId {
        let lost = self.make_room(post);
        let there = self.orders_of_now(id).any(|o| o.role == Role::First && o.has_been_on_scene());
        let role = (!there).then_some(Role::First);
        let mut issue = self.by_hand(id, post, role, "on-view", Actor::Unit(post.as_str().into()));
        if issue.role == Role::First && issue.need.is_none() {
            let first = self.incidents[id].needs.iter().position(|run| run.need.role == Role::First);
            issue.need = first.and_then(|ix| u16::try_from(ix).ok());
        }
        let order = self.issue(id, issue);
        self.serve_lost(lost);
        order
    }

    /// An order for a named post: it serves a need of its role that still lacks somebody, if there is one.
    pub(super) fn by_hand(&self, id: &IncidentId, post: &PostId, role: Option<Role>, cause: &str, by: Actor) -> Issue {
        let incident = &self.incidents[id];
        let first_taken = self.orders_of_now(id).any(|o| o.role == Role::First && o.serves());
        let role = role.unwrap_or(if first_taken { Role::Reinforce } else { Role::First });
        let need = incident
            .needs
            .iter()
            .enumerate()
            .position(|(ix, run)| run.need.role == role && self.serving(id, ix) < usize::from(run.wanted));
        Issue {
            post: post.clone(),
            role,
            echelon: need.map_or(1, |ix| incident.needs[ix].need.echelon),
            need: need.and_then(|ix| u16::try_from(ix).ok()),
            cause: cause.into(),
            by,
            weighed: None,
            covers: None,
            instead_of: None,
        }
    }

    pub(super) fn position(&mut self, fix: &PositionFix) -> Answer {
        if self.fleet.get(&fix.post).is_none() {
            return Answer::Refused(unknown_post(&fix.post));
        }
        if self.fleet.fix(&fix.post, fix.position, fix.fixed_at, self.now) && !self.queue.is_empty() {
            self.serve_queue(&fix.post);
        }
        Answer::applied(None)
    }

    /// What a channel says about an order. Failure to deliver is as good as a decline.
    pub(super) fn delivery(&mut self, delivery: &Delivery) -> Answer {
        self.delivery_by(delivery, Actor::Engine)
    }

    fn delivery_by(&mut self, delivery: &Delivery, by: Actor) -> Answer {
        let id = &delivery.order;
        let Some(order) = self.orders.get(id) else { return Answer::applied(None) };
        let now = self.now;
        let (known, state) = (order.delivered.is_some(), order.state);
        match delivery.outcome {
            DeliveryOutcome::Sent if order.sent.is_some() => return Answer::applied(Some(id.incident.clone())),
            DeliveryOutcome::Delivered if known => return Answer::applied(Some(id.incident.clone())),
            DeliveryOutcome::Sent => {
                let order = self.order_mut(id);
                (order.sent, order.over.sent) = (Some(now), Some(delivery.channel.clone()));
            }
            DeliveryOutcome::Delivered => {
                let order = self.order_mut(id);
                (order.delivered, order.over.delivered) = (Some(now), Some(delivery.channel.clone()));
            }
            DeliveryOutcome::Failed => {}
        }
        let what = What::Delivery { order: id.clone(), channel: delivery.channel.clone(), outcome: delivery.outcome };
        self.say(Some(&id.incident), by, what);
        if delivery.outcome == DeliveryOutcome::Failed && state == OrderState::Issued {
            self.notice(
                Some(&id.incident),
                NoticeKind::DeliveryFailed,
                format!("{id} could not be delivered over {}", delivery.channel),
            );
            self.replace_or_say(id, Cause::Undelivered);
        }
        Answer::applied(Some(id.incident.clone()))
    }
}

pub(super) fn unknown_post(post: &PostId) -> Refusal {
    Refusal::new(
        "unknown-post",
        Some("post"),
        format!("there is no post {post}"),
        Some("posts are listed at /v1/posts"),
    )
}
