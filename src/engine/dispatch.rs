//! Dispatch: serving needs with posts. Who is chosen is decided by `linkage`; here the choice becomes orders, and what
//! follows from it is done: a robbed incident is served anew at once, a thinned area is covered, what nobody can serve
//! waits in the one queue of the command area, and whoever fills a need first keeps it.

use std::collections::BTreeMap;

use smol_str::{SmolStr, format_smolstr};

use super::about::About;
use super::agenda::Todo;
use super::deadline::Deadline;
use super::linkage::{self, Ask, Pick, Shortfall, Wanted};
use super::snapshot::Key;
use super::state::{Channels, Incident, Order, OrderTimes, STATE_VERSION};
use super::{Actor, Effect, Engine, NoticeKind, OrderMessage, Task, Weighed, What};
use crate::model::{
    Act, AreaId, FieldAct, FreeText, IncidentId, IncidentState, Lane, MarkName, Millis, OrderId, OrderState, Position,
    PostId, Recall, Role,
};
use crate::playbook::{Milestone, OnMiss};

/// Incidents of the waiting queue that ask for a post like the freed one, and for which it is weighed.
const WEIGHED_MAX: usize = 256;

/// Those of them that it could help, for which posts are chosen anew until one takes it.
const OFFERED_MAX: usize = 8;

/// Why posts are ordered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// The plan asks for them.
    Plan,
    /// The order before was not signed in time, or missed another mark of its own.
    Unsigned(Milestone),
    /// The post before declined.
    Declined,
    /// The order before could not be delivered.
    Undelivered,
    /// The post before went out of service, off the roster, or was stood down.
    Lost(Recall),
    /// A mark of the incident was missed.
    Mark(MarkName),
    /// The incident was evaluated anew.
    Evaluated(SmolStr),
    /// Its post was taken for a more urgent one.
    Robbed,
    /// It waited, and somebody became free.
    Waited,
    /// Verification lapsed or confirmed.
    Verified(SmolStr),
}

impl Cause {
    pub(super) fn word(&self) -> SmolStr {
        match self {
            Self::Plan => "plan".into(),
            Self::Unsigned(Milestone::Signed) => "unsigned".into(),
            Self::Unsigned(milestone) => format_smolstr!("missed {milestone}"),
            Self::Declined => "declined".into(),
            Self::Undelivered => "undelivered".into(),
            Self::Lost(recall) => format_smolstr!("{recall}"),
            Self::Mark(name) => format_smolstr!("missed {name}"),
            Self::Evaluated(why) => why.clone(),
            Self::Robbed => "re-served".into(),
            Self::Waited => "waited".into(),
            Self::Verified(how) => how.clone(),
        }
    }
}

/// An order about to be issued.
pub(super) struct Issue {
    pub post: PostId,
    pub role: Role,
    pub echelon: u8,
    pub need: Option<u16>,
    pub cause: SmolStr,
    pub by: Actor,
    pub weighed: Option<Weighed>,
    pub covers: Option<(AreaId, PostId)>,
    /// Takes the place of this order of the same post, whose queue is kept.
    pub instead_of: Option<OrderId>,
}

impl Engine {
    /// Serves every need that lacks posts; returns the orders issued for this incident in this step.
    pub(super) fn serve(&mut self, id: &IncidentId, cause: &Cause) -> Vec<OrderId> {
        self.serve_as(id, &cause.word())
    }

    pub(super) fn serve_as(&mut self, id: &IncidentId, cause: &SmolStr) -> Vec<OrderId> {
        if self.enough() {
            self.leave(Todo::Serve { incidents: vec![id.clone()], cause: cause.clone() });
            return Vec::new();
        }
        self.serve_now(id, cause, None)
    }

    /// Serves one incident after the other, as far as this step goes.
    pub(super) fn serve_each(&mut self, incidents: &[IncidentId], cause: &SmolStr) {
        for (done, id) in incidents.iter().enumerate() {
            if self.enough() {
                return self.leave(Todo::Serve { incidents: incidents[done..].to_vec(), cause: cause.clone() });
            }
            if self.incidents.get(id).is_some_and(|incident| incident.state.is_open()) {
                self.serve_now(id, cause, None);
            }
        }
    }

    /// The same for who must know whether anybody was found: at least one post is ordered now, if there is one, and first
    /// for the need `before` all others.
    fn serve_now(&mut self, id: &IncidentId, cause: &SmolStr, before: Option<usize>) -> Vec<OrderId> {
        let incident = &self.incidents[id];
        // While it is verified nobody is asked for, and when it is controlled nobody is sent any more; what is being
        // evaluated is served when that is done.
        let active = incident.asks() && !self.is_half(id);
        let Some(target) = incident.place.position.filter(|_| active) else { return Vec::new() };
        let (lacking, excluded) = (self.lacking(id), self.excluded(id));
        let mut choice = linkage::choose(&self.playbook, &self.fleet, &self.ask_for(id, target, &lacking, &excluded));
        choice.picks.sort_by_key(|pick| before.is_some_and(|need| pick.need != need));
        let (orders, all) = self.take(id, choice.picks, cause, choice.short.len());
        // Where picks are left, so is what is lacking.
        if all {
            self.note_short(id, &lacking, &choice.short);
        }
        orders
    }

    /// Its needs that lack posts, and how many.
    fn lacking(&self, id: &IncidentId) -> Vec<(usize, u16)> {
        let needs = &self.incidents[id].needs;
        (0..needs.len())
            .map(|ix| (ix, usize::from(needs[ix].wanted).saturating_sub(self.serving(id, ix))))
            .map(|(ix, count)| (ix, u16::try_from(count).unwrap_or(u16::MAX)))
            .filter(|&(_, count)| count > 0)
            .collect()
    }

    fn ask_for<'a>(
        &'a self,
        id: &IncidentId,
        target: Position,
        lacking: &[(usize, u16)],
        excluded: &'a BTreeMap<PostId, SmolStr>,
    ) -> Ask<'a> {
        let incident = &self.incidents[id];
        let wanted = |&(need, count): &(usize, u16)| Wanted { need, spec: &incident.needs[need].need, count };
        Ask {
            target,
            county: incident.place.county.as_ref(),
            severity: incident.classification.severity,
            lane: incident.classification.lane,
            drill: incident.drill(),
            may_preempt: !incident.robbed,
            echelon_max: incident.echelon,
            needs: lacking.iter().map(wanted).collect(),
            excluded,
            now: self.now,
            local: self.local(self.now),
        }
    }

    /// Whether one post could serve any need of an incident that waits: cheaper than to choose anew.
    fn could_help(&self, id: &IncidentId, post: &PostId) -> bool {
        let Some(target) = self.incidents[id].place.position else { return false };
        let (lacking, excluded) = (self.lacking(id), self.excluded(id));
        linkage::could_serve(&self.playbook, &self.fleet, &self.ask_for(id, target, &lacking, &excluded), post)
    }

    /// Makes picks true: drops and pre-emptions first, then the orders, then what follows from them. Those for which no room
    /// is left are chosen again in the steps that follow. Returns the orders, and whether none was left.
    fn take(&mut self, id: &IncidentId, picks: Vec<Pick>, cause: &SmolStr, short: usize) -> (Vec<OrderId>, bool) {
        let (mut orders, mut robbed, mut thin, mut all) = (Vec::new(), Vec::new(), Vec::new(), true);
        for pick in picks {
            if !orders.is_empty() && !self.has_room_for(&pick, thin.len() + short) {
                self.leave(Todo::Serve { incidents: vec![id.clone()], cause: cause.clone() });
                all = false;
                break;
            }
            if self.incidents[id].orders >= self.playbook.limits.orders_per_incident {
                self.say_full(id);
                break;
            }
            for order in &pick.drops {
                robbed.extend(self.rob(order, id, false));
            }
            if let Some(order) = &pick.preempts {
                robbed.extend(self.rob(order, id, true));
            }
            let issue = Issue {
                post: pick.post.clone(),
                role: pick.role,
                echelon: pick.echelon,
                need: u16::try_from(pick.need).ok(),
                cause: cause.clone(),
                by: Actor::Engine,
                weighed: Some(pick.weighed),
                covers: None,
                instead_of: pick.preempts,
            };
            let order = self.issue(id, issue);
            thin.extend(pick.uncovers.map(|area| (area, pick.post)));
            orders.push(order);
        }
        for (area, original) in thin {
            self.cover(id, area, original);
        }
        robbed.retain(|other| self.incidents[other].state.is_open());
        self.serve_each(&robbed, &Cause::Robbed.word());
        (orders, all)
    }

    /// Whether all that a pick changes and says still fits, and as much that is yet to follow from those before it.
    fn has_room_for(&self, pick: &Pick, follows: usize) -> bool {
        // The order and its post; for each order that it takes its post from, that and its incident, and a notice that may
        // have to be left; an area to be covered, the robbed to be served, and the rest of the picks.
        let taken = pick.drops.len() + usize::from(pick.preempts.is_some());
        self.has_room(2 + 3 * taken + follows + 3, 8 + 3 * taken + follows)
    }

    fn say_full(&mut self, id: &IncidentId) {
        let text = format!("{id} has had {} orders", self.incidents[id].orders);
        self.notice(Some(id), NoticeKind::LimitReached, text);
    }

    /// Takes a post's present order from it. Returns the incident that lost it, to be served anew.
    fn rob(&mut self, order: &OrderId, by: &IncidentId, keeps_task: bool) -> Option<IncidentId> {
        let other = order.incident.clone();
        let post = self.orders[order].post.clone();
        let cover = self.orders[order].covers.is_some();
        self.say(
            Some(&other),
            Actor::Engine,
            What::PreEmpted { order: order.clone(), post: post.clone(), from: by.clone() },
        );
        self.notice(Some(&other), NoticeKind::PreEmption, format!("{post} was taken from {order} for {by}"));
        self.end_order(order, OrderState::Recalled, Some(Recall::PreEmpted), !keeps_task);
        if cover {
            return None;
        }
        let drill = self.incidents[&other].drill();
        let incident = self.incident_mut(&other);
        // A drill may be robbed again and again; a real incident once.
        incident.robbed |= !drill;
        self.retell_tasks(&other);
        Some(other)
    }

    /// Issues one order.
    pub(super) fn issue(&mut self, id: &IncidentId, issue: Issue) -> OrderId {
        self.no_flood(id);
        let expiry = self.incidents[id].plan.expiry;
        let now = self.now;
        let incident = self.incident_mut(id);
        incident.orders += 1;
        let order_id = incident.order_id(incident.orders);
        let first = incident.ordered.is_none() && issue.covers.is_none();
        if first {
            incident.ordered = Some(now);
        }
        let order = Order {
            v: STATE_VERSION,
            id: order_id.clone(),
            post: issue.post.clone(),
            role: issue.role,
            echelon: issue.echelon,
            need: issue.need,
            cause: issue.cause.clone(),
            by: issue.by.clone(),
            state: OrderState::Issued,
            times: OrderTimes::default(),
            issued: now,
            expires: now + expiry,
            recall: None,
            superseded: false,
            beyond: false,
            marks: Vec::new(),
            weighed: issue.weighed.map(Box::new),
            covers: issue.covers,
            sent: None,
            delivered: None,
            over: Channels::default(),
        };
        self.orders.insert(order_id.clone(), order);
        self.touch(Key::Order(order_id.clone()));
        let queued = match &issue.instead_of {
            Some(old) => {
                let task = self.task_of(&order_id);
                self.fleet.replace(old, task);
                self.note_tasks(&issue.post);
                0
            }
            None => {
                let queued = self.put_task(&order_id).unwrap_or(0);
                self.note_tasks(&issue.post);
                queued
            }
        };
        // A post that an operator sends to look does not end verification.
        if self.incidents[id].state == IncidentState::Received && issue.role != Role::Cover {
            self.move_to(id, IncidentState::Dispatching);
        }
        self.requeue(id);
        self.arm_order(&order_id);
        self.wheel.insert(now + expiry, Deadline::Expiry(order_id.clone()));
        if first {
            self.arm_incident(id, None);
        }
        self.say_ordered(&order_id, u8::try_from(queued).unwrap_or(u8::MAX), issue.by);
        self.tell_post(&order_id);
        if first {
            self.reach(id, Milestone::Ordered, now, None);
        }
        order_id
    }

    fn say_ordered(&mut self, id: &OrderId, queued: u8, by: Actor) {
        let (sign_by, on_scene_by) = self.promises(id);
        let order = &self.orders[id];
        let what = What::Ordered {
            order: id.clone(),
            post: order.post.clone(),
            role: order.role,
            echelon: order.echelon,
            cause: order.cause.clone(),
            sign_by,
            on_scene_by,
            queued,
            weighed: order.weighed.clone(),
        };
        self.say(Some(&id.incident), by, what);
    }

    /// What the order promises: to be signed by, to be there by.
    fn promises(&self, id: &OrderId) -> (Option<crate::model::Timestamp>, Option<crate::model::Timestamp>) {
        let (order, incident) = (&self.orders[id], &self.incidents[&id.incident]);
        let milestone_of = |ix: u16| incident.plan.marks[usize::from(ix)].milestone;
        let own = |milestone| order.marks.iter().find(|r| milestone_of(r.mark) == milestone).map(|r| r.limit_at);
        // A deadline that had passed before the order was issued is no promise of it.
        let of_incident = |milestone| {
            let waits = incident.marks.iter().find(|r| r.state.waits() && milestone_of(r.mark) == milestone);
            waits.map(|r| r.limit_at).filter(|limit| *limit > order.issued)
        };
        let there = match order.role {
            Role::First => of_incident(Milestone::OnScene),
            Role::Reinforce | Role::Cordon => of_incident(Milestone::JointOnScene),
            Role::Cover | Role::AllCall => None,
        };
        (own(Milestone::Signed), own(Milestone::OnScene).or(there))
    }

    /// Sends the order, as it now stands, to its post.
    pub(super) fn tell_post(&mut self, id: &OrderId) {
        let (sign_by, on_scene_by) = self.promises(id);
        let (order, incident) = (&self.orders[id], &self.incidents[&id.incident]);
        let message = OrderMessage {
            id: id.clone(),
            incident: id.incident.clone(),
            post: order.post.clone(),
            role: order.role,
            state: order.state,
            recall: order.recall,
            issued_at: order.issued,
            sign_by,
            on_scene_by,
            expires_at: order.expires,
            place: incident.place.clone(),
            headline: format_smolstr!("{} {}", incident.category(), incident.classification.severity),
            text: self.reports.get(&(id.incident.clone(), 1)).map_or_else(FreeText::default, |r| r.report.text.clone()),
            reason: match &order.weighed {
                Some(weighed) if !weighed.reasons.is_empty() => {
                    format!("{}: {}", order.cause, weighed.reasons.join(", "))
                }
                _ => order.cause.to_string(),
            },
            bottom_line: incident.classification.lane == Lane::BottomLine,
            drill: incident.drill(),
            traceparent: incident.traceparent.clone(),
        };
        self.out.push(Effect::Order(Box::new(message)));
    }

    fn note_short(&mut self, id: &IncidentId, lacking: &[(usize, u16)], short: &[Shortfall]) {
        self.unqueue(id);
        for &(ix, _) in lacking {
            if !short.iter().any(|s| s.need == ix) {
                let run = &mut self.incident_mut(id).needs[ix];
                (run.waiting, run.said_short) = (None, 0);
            }
        }
        for shortfall in short {
            let now = self.now;
            let run = &mut self.incident_mut(id).needs[shortfall.need];
            run.waiting.get_or_insert(now);
            // A gap is said once, and again when it grows.
            if shortfall.count > std::mem::replace(&mut run.said_short, shortfall.count) {
                let what = What::Shortfall {
                    role: shortfall.role,
                    count: shortfall.count,
                    waiting: true,
                    reasons: shortfall.reasons.clone(),
                };
                self.say(Some(id), Actor::Engine, what);
                let text = format!("{id} lacks {} for {}; it waits in the queue", shortfall.count, shortfall.role);
                self.notice(Some(id), NoticeKind::Shortfall, text);
            }
        }
        self.requeue(id);
    }

    /// Its place in the waiting queue: there while a need of it waits, and waiting only while it is not served.
    pub(super) fn requeue(&mut self, id: &IncidentId) {
        for ix in 0..self.incidents[id].needs.len() {
            let run = &self.incidents[id].needs[ix];
            if run.waiting.is_some() && self.serving(id, ix) >= usize::from(run.wanted) {
                let run = &mut self.incident_mut(id).needs[ix];
                (run.waiting, run.said_short) = (None, 0);
            }
        }
        let (key, waits) = (Self::queue_key(&self.incidents[id]), self.incidents[id].waits());
        if waits {
            self.queue.insert(key);
        } else {
            self.queue.remove(&key);
        }
    }

    /// Takes the incident out of the waiting queue, before anything its place there depends on changes.
    pub(super) fn unqueue(&mut self, id: &IncidentId) {
        let key = Self::queue_key(&self.incidents[id]);
        self.queue.remove(&key);
    }

    /// A post became free, came on duty, or said where it is: the head of the queue that it can help is served.
    pub(super) fn serve_queue(&mut self, freed: &PostId) {
        let Some(unit) = self.fleet.get(freed).filter(|_| !self.queue.is_empty()) else { return };
        let (kind, capabilities) = (unit.spec.kind, &unit.spec.capabilities);
        let asks = |incident: &Incident| {
            incident.needs.iter().any(|run| {
                run.waiting.is_some()
                    && run.need.kinds.contains(&kind)
                    && run.need.capability.as_ref().is_none_or(|c| capabilities.contains(c))
            })
        };
        let asking = self.queue().filter(|id| asks(&self.incidents[*id])).take(WEIGHED_MAX);
        let waiting: Vec<IncidentId> =
            asking.filter(|id| self.could_help(id, freed)).take(OFFERED_MAX).cloned().collect();
        let cause = Cause::Waited.word();
        for id in waiting {
            if self.enough() {
                return self.leave(Todo::Released(freed.clone()));
            }
            if !self.serve_now(&id, &cause, None).is_empty() {
                return;
            }
        }
    }

    /// Orders that count towards a need.
    pub(super) fn serving(&self, id: &IncidentId, need: usize) -> usize {
        self.orders_of_now(id).filter(|o| o.need.is_some_and(|n| usize::from(n) == need) && o.serves()).count()
    }

    /// Posts this incident does not ask, each with the reason.
    pub(super) fn excluded(&self, id: &IncidentId) -> BTreeMap<PostId, SmolStr> {
        let mut excluded = BTreeMap::new();
        for order in self.orders_of_now(id) {
            let reason = match order.state {
                OrderState::Declined => "declined",
                OrderState::Expired => "did not sign",
                OrderState::Recalled if order.recall == Some(Recall::StoodDown) => "stood down",
                OrderState::Recalled | OrderState::Cleared => continue,
                _ if order.superseded => "has not signed",
                _ => "already ordered",
            };
            excluded.insert(order.post.clone(), reason.into());
        }
        excluded
    }

    /// The next best post for the need of an order that failed; whether anybody was found.
    pub(super) fn replace(&mut self, order: &OrderId, cause: Cause) -> bool {
        let id = order.incident.clone();
        let failed = self.order_mut(order);
        if failed.superseded && failed.is_live() {
            return true;
        }
        failed.superseded = true;
        let (need, covers, beyond) = (failed.need.map(usize::from), failed.covers.clone(), failed.beyond);
        if let Some((area, original)) = covers {
            // That nobody can move up is a notice of its own.
            self.move_up(&id, &area, &original);
            return true;
        }
        match need {
            None => false,
            Some(need) if beyond => self.one_more(&id, need, &cause),
            // Who came late, or by himself, serves it already: nobody is missing.
            Some(need) if self.is_served(&id, need) => true,
            Some(_) => !self.serve_now(&id, &cause.word(), None).is_empty(),
        }
    }

    fn is_served(&self, id: &IncidentId, need: usize) -> bool {
        self.serving(id, need) >= usize::from(self.incidents[id].needs[need].wanted)
    }

    /// One more post for the first role, beyond what the plan asks; whether anybody was found.
    pub(super) fn reinforce_first(&mut self, id: &IncidentId, mark: &MarkName) -> bool {
        let need = self.incidents[id].needs.iter().position(|run| run.need.role == Role::First);
        need.is_some_and(|need| self.one_more(id, need, &Cause::Mark(mark.clone())))
    }

    /// One more post for a need than serve it now; whether anybody was found.
    fn one_more(&mut self, id: &IncidentId, need: usize, cause: &Cause) -> bool {
        let wanted = self.incidents[id].needs[need].wanted;
        let serving = u16::try_from(self.serving(id, need)).unwrap_or(u16::MAX);
        // For this one choice the need asks for one more than serve it now.
        self.incident_mut(id).needs[need].wanted = serving.saturating_add(1).max(wanted);
        let orders = self.serve_now(id, &cause.word(), Some(need));
        let run = &mut self.incident_mut(id).needs[need];
        run.wanted = wanted;
        if serving >= wanted {
            run.waiting = None;
            self.unqueue(id);
            if self.incidents[id].waits() {
                let key = Self::queue_key(&self.incidents[id]);
                self.queue.insert(key);
            }
            for order in &orders {
                if self.orders[order].need.map(usize::from) == Some(need) {
                    self.order_mut(order).beyond = true;
                }
            }
        }
        !orders.is_empty()
    }

    /// Calls the next echelon; whether anybody was found.
    pub(super) fn next_echelon(&mut self, id: &IncidentId, mark: &MarkName) -> bool {
        let incident = self.incident_mut(id);
        let next = incident.needs.iter().map(|run| run.need.echelon).filter(|&e| e > incident.echelon).min();
        let Some(next) = next else { return false };
        incident.echelon = next;
        !self.serve_now(id, &Cause::Mark(mark.clone()).word(), None).is_empty()
    }

    /// A pick left an area under its minimum: somebody covers it.
    fn cover(&mut self, id: &IncidentId, area: AreaId, original: PostId) {
        if self.enough() {
            self.leave(Todo::MoveUp { incident: id.clone(), area, original });
        } else {
            self.move_up(id, &area, &original);
        }
    }

    /// The nearest idle post of an area above its own minimum covers the area of one that went (补位).
    pub(super) fn move_up(&mut self, id: &IncidentId, area: &AreaId, original: &PostId) {
        let excluded = self.excluded(id);
        let local = self.local(self.now);
        let Some(pick) = linkage::move_up(&self.playbook, &self.fleet, area, &excluded, self.now, local) else {
            let text = format!("{area} is under its minimum cover and nobody can move up");
            self.notice_of(About::incident(Some(id)).in_area(area), None, NoticeKind::CoverThin, text);
            return;
        };
        if self.incidents[id].orders >= self.playbook.limits.orders_per_incident {
            return self.say_full(id);
        }
        // What gives way to cover ends before the post has its order, so that its queue stays within its bound.
        let robbed: Vec<IncidentId> = pick.drops.iter().filter_map(|order| self.rob(order, id, false)).collect();
        let issue = Issue {
            post: pick.post.clone(),
            role: Role::Cover,
            echelon: pick.echelon,
            need: None,
            cause: format_smolstr!("cover for {original}"),
            by: Actor::Engine,
            weighed: Some(pick.weighed),
            covers: Some((area.clone(), original.clone())),
            instead_of: None,
        };
        let cover = self.issue(id, issue);
        self.say(Some(id), Actor::Engine, What::MovedUp { area: area.clone(), post: pick.post, order: cover });
        self.serve_each(&robbed, &Cause::Robbed.word());
    }

    /// Takes orders of an incident back, one after the other, as far as this step goes.
    pub(super) fn take_back(&mut self, id: &IncidentId, orders: &[u32], reason: Recall) {
        for (done, &n) in orders.iter().enumerate() {
            if self.enough() {
                let orders = orders[done..].to_vec();
                return self.leave(Todo::TakeBack { incident: id.clone(), orders, reason });
            }
            let order = OrderId { incident: id.clone(), n };
            // Taking one back may have ended another: a cover goes when its original is back.
            if !self.orders.get(&order).is_some_and(Order::is_bound) {
                continue;
            }
            match self.covers_on_for(&order) {
                Some(other) => self.cover_on(&order, &other, reason),
                None => self.recall(&order, reason),
            }
        }
    }

    /// A cover ends when its original is back: where its own incident ends before, it goes on for the one that has the
    /// original now.
    fn covers_on_for(&self, cover: &OrderId) -> Option<IncidentId> {
        let order =
            self.orders.get(cover).filter(|o| o.is_live() && !self.incidents[&cover.incident].state.is_open())?;
        let (_, original) = order.covers.as_ref()?;
        let task = self.fleet.get(original)?.tasks.iter().find(|t| !t.drill && t.order.incident != cover.incident)?;
        let other = &self.incidents[&task.order.incident];
        let bound = self.playbook.limits.orders_per_incident;
        let there = || self.orders_of(&other.id).any(|o| o.post == order.post && o.is_live());
        (other.state.is_open() && other.orders < bound && !there()).then(|| other.id.clone())
    }

    fn cover_on(&mut self, cover: &OrderId, other: &IncidentId, reason: Recall) {
        let order = &self.orders[cover];
        let Some((area, original)) = order.covers.clone() else { return };
        let issue = Issue {
            post: order.post.clone(),
            role: Role::Cover,
            echelon: order.echelon,
            need: None,
            cause: format_smolstr!("cover for {original}"),
            by: Actor::Engine,
            weighed: None,
            covers: Some((area.clone(), original)),
            instead_of: None,
        };
        let post = issue.post.clone();
        let order = self.hand_over(cover, other, issue, reason);
        self.say(Some(other), Actor::Engine, What::MovedUp { area, post, order });
    }

    /// A post goes on for another incident, at once and from where it is: nobody else is offered it in between, and what it
    /// has done it has done.
    pub(super) fn hand_over(&mut self, old: &OrderId, into: &IncidentId, issue: Issue, reason: Recall) -> OrderId {
        let (state, post) = (self.orders[old].state, issue.post.clone());
        self.end_order(old, OrderState::Recalled, Some(reason), false);
        let order = self.issue(into, Issue { instead_of: Some(old.clone()), ..issue });
        let act = match state {
            OrderState::Issued => return order,
            OrderState::Signed => Act::Signed,
            OrderState::EnRoute => Act::EnRoute,
            _ => Act::OnScene,
        };
        let named = Some(order.clone());
        let told = FieldAct { post, act, order: named, incident: None, reason: None, done_at: None, report: None };
        let told = self.act_on_order(&order, act, self.now, &told, Some(&Actor::Engine));
        debug_assert!(told.is_ok(), "a new order of an open incident takes it: {told:?}");
        order
    }

    /// Takes an order back and serves whoever waits for its post.
    pub(super) fn recall(&mut self, id: &OrderId, reason: Recall) {
        let post = self.orders[id].post.clone();
        self.end_order(id, OrderState::Recalled, Some(reason), true);
        self.after_release(&post);
    }

    /// Ends an order: its marks, its expiry, its task.
    pub(super) fn end_order(&mut self, id: &OrderId, state: OrderState, recall: Option<Recall>, release: bool) {
        self.cancel_marks(&id.incident, id.n, |_| true);
        let order = self.order_mut(id);
        let expires = order.expires;
        (order.state, order.recall) = (state, recall);
        let post = order.post.clone();
        self.wheel.cancel(expires, &Deadline::Expiry(id.clone()));
        if release {
            self.fleet.release(id);
            self.note_tasks(&post);
        }
        if let Some(reason) = recall {
            self.say(Some(&id.incident), Actor::Engine, What::Recalled { order: id.clone(), post, reason });
            self.tell_post(id);
        }
    }

    /// What follows when a post has been released by an incident: covers for it end, a shift that was over ends, and
    /// whoever waits is served.
    pub(super) fn after_release(&mut self, post: &PostId) {
        if self.enough() {
            return self.leave(Todo::Released(post.clone()));
        }
        let idle = match self.fleet.get(post) {
            Some(unit) => unit.tasks.is_empty(),
            // Off the roster: its document holds what it still has.
            None => self.posts.get(post).is_none_or(|record| record.orders.is_empty()),
        };
        if !idle {
            return;
        }
        // Its cover may have been ordered by another incident, from which it was taken for this one.
        let moved_up = self.fleet.moved_up().flat_map(|unit| &unit.tasks).filter(|task| task.covers.is_some());
        let covers: Vec<OrderId> = moved_up
            .map(|task| &self.orders[&task.order])
            .filter(|o| o.covers.as_ref().is_some_and(|(_, original)| original == post))
            .map(|o| o.id.clone())
            .collect();
        for cover in covers {
            if self.enough() {
                return self.leave(Todo::Released(post.clone()));
            }
            self.recall(&cover, Recall::OriginalBack);
        }
        self.shift_may_end(post);
        self.serve_queue(post);
    }

    /// Whoever fills a need first keeps it: the others are taken back unless they have set out.
    pub(super) fn settle_need(&mut self, signed: &OrderId) {
        let id = signed.incident.clone();
        let order = &self.orders[signed];
        let (need, covers) = (order.need, order.covers.clone());
        let wanted = match need {
            Some(need) => usize::from(self.incidents[&id].needs[usize::from(need)].wanted),
            // One post covers for one.
            None if covers.is_some() => 1,
            None => return,
        };
        let mut filling: Vec<_> = self
            .orders_of(&id)
            .filter(|o| o.need == need && o.covers == covers && (o.is_live() || o.may_yet_come()) && !o.beyond)
            .map(|o| (o.times.signed.is_none(), o.times.signed, o.id.clone()))
            .collect();
        // Signed ones first, by the instant of their signature.
        filling.sort();
        let filled = filling.iter().filter(|(unsigned, ..)| !unsigned).count();
        if filled >= wanted {
            let others = filling.into_iter().skip(wanted).map(|(_, _, order)| order);
            let late: Vec<u32> = others.filter(|o| self.orders[o].may_yet_come()).map(|o| o.n).collect();
            self.take_back(&id, &late, Recall::NeedFilled);
            // Who waited for somebody else may have been answered by the first one.
            self.requeue(&id);
        }
    }

    /// Somebody stands there: those who were called beyond the plan because nobody did, and have not set out, are taken back.
    pub(super) fn settle_beyond(&mut self, there: &OrderId) {
        let beyond: Vec<u32> = self
            .orders_of(&there.incident)
            .filter(|o| o.beyond && o.id != *there && o.may_yet_come())
            .map(|o| o.id.n)
            .collect();
        self.take_back(&there.incident, &beyond, Recall::NeedFilled);
    }

    /// The task of a live order, as the fleet sees it.
    fn task_of(&self, id: &OrderId) -> Task {
        let (order, incident) = (&self.orders[id], &self.incidents[&id.incident]);
        let covers = order.covers.as_ref().map(|(area, _)| area.clone());
        let centre = covers.as_ref().and_then(|area| self.playbook.areas.areas.get(area)).map(|a| a.centre);
        let post = self.playbook.posts.get(&order.post).map(|p| p.base);
        Task {
            order: id.clone(),
            severity: incident.classification.severity,
            lane: incident.classification.lane,
            drill: incident.drill(),
            role: order.role,
            state: order.state,
            target: centre
                .or(incident.place.position)
                .or(post)
                .unwrap_or(crate::model::Position { lon: 0.0, lat: 0.0 }),
            robbed: incident.robbed,
            covers,
        }
    }

    /// Gives the order's post its task; returns how many stand before it.
    pub(super) fn put_task(&mut self, id: &OrderId) -> Option<usize> {
        let task = self.task_of(id);
        self.fleet.assign(&self.orders[id].post.clone(), task)
    }

    /// Keeps the order of a post's tasks with its document.
    pub(super) fn note_tasks(&mut self, post: &PostId) {
        let tasks = self.fleet.get(post).map(|unit| unit.tasks.iter().map(|t| t.order.clone()).collect());
        // A post that is on no roster any more holds its orders until they are taken back.
        let orders: Vec<OrderId> = tasks.unwrap_or_else(|| {
            let held = self.posts.get(post).map(|record| record.orders.as_slice()).unwrap_or_default();
            held.iter().filter(|order| self.orders.get(*order).is_some_and(Order::is_live)).cloned().collect()
        });
        self.post_record(post).orders = orders;
    }

    /// A post that takes on an order outside its measure gives up the one that waits longest behind. That one is served
    /// anew by [`Engine::serve_lost`], once the post has its new order.
    pub(super) fn make_room(&mut self, post: &PostId) -> Option<OrderId> {
        let tasks = self.fleet.get(post)?.tasks.as_slice();
        let last = tasks.last().filter(|_| tasks.len() > self.playbook.limits.queue_max)?.order.clone();
        self.recall(&last, Recall::NotNeeded);
        Some(last)
    }

    /// Serves anew what a post gave up.
    pub(super) fn serve_lost(&mut self, lost: Option<OrderId>) {
        if let Some(order) = lost {
            self.replace_or_say(&order, Cause::Lost(Recall::NotNeeded));
        }
    }

    /// The incident has become another one: its tasks weigh differently from now on.
    pub(super) fn retell_tasks(&mut self, id: &IncidentId) {
        let incident = &self.incidents[id];
        let (c, robbed, target) = (incident.classification.clone(), incident.robbed, incident.place.position);
        self.fleet.update_incident(id, c.severity, c.lane, robbed);
        let live: Vec<OrderId> =
            self.orders_of(id).filter(|o| o.is_live() && o.covers.is_none()).map(|o| o.id.clone()).collect();
        for order in live {
            if let Some(target) = target {
                self.fleet.set_target(&order, target);
            }
        }
    }

    /// Delivery of an order that nobody signed is given up. A late signature still counts.
    pub(super) fn expire(&mut self, id: &OrderId) {
        let order = &self.orders[id];
        if order.state != OrderState::Issued {
            return;
        }
        let (post, again) = (order.post.clone(), !order.superseded);
        self.end_order(id, OrderState::Expired, None, true);
        self.say(Some(&id.incident), Actor::Engine, What::Expired { order: id.clone(), post: post.clone() });
        if again && !self.replace(id, Cause::Unsigned(Milestone::Signed)) {
            let what = What::NobodyReached { action: OnMiss::NextPost, mark: "expiry".into() };
            self.say(Some(&id.incident), Actor::Engine, what);
            self.notice(Some(&id.incident), NoticeKind::NobodyReached, format!("{id} expired and nobody else can go"));
        }
        self.after_release(&post);
    }
}

/// The lateness of an act against an instant, for the timeline.
pub(super) fn late_by(done: crate::model::Timestamp, limit: Option<crate::model::Timestamp>) -> Option<Millis> {
    limit.filter(|limit| done > *limit).map(|limit| done.since(limit))
}
