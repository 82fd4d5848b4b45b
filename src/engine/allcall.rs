//! The all-call (一呼百应): everybody near is called, nearest first.
//!
//! It needs a reason, has an end, and is taken back when the incident is controlled; there is one per incident, and only
//! an operator calls again. The list is made once, in stretches of [`STRETCH`] units a document; a cursor in the incident's
//! own document works it off over the following steps, and a second cursor takes the calls back. Posts on a bottom-line
//! task and areas at their minimum cover are left alone; volunteers are not called to violence, terror or hazardous
//! material, nor to a drill unless it says so.

use smol_str::{SmolStr, format_smolstr};

use super::agenda::Todo;
use super::deadline::Deadline;
use super::linkage::{Around, within_radius};
use super::snapshot::Key;
use super::state::{AllCall, CallList, Called, STATE_VERSION};
use super::{Actor, Answer, Call, Callee, Effect, Engine, NoticeKind, Refusal, What};
use crate::model::{Act, FieldAct, IncidentId, MarkName, Millis, OrderState, Recall, Role, Severity};

/// Units in one document.
const STRETCH: usize = 120;

/// Between two stretches of work, so that each is a step of its own.
const BREATH: Millis = Millis(1);

impl AllCall {
    /// Whether a cursor has not reached its end.
    pub(super) fn has_work(&self) -> bool {
        if self.ended.is_some() { self.recalled < self.called } else { self.called < self.listed }
    }
}

impl Engine {
    /// A missed mark asks for an all-call. After our own outage an operator must say it.
    pub(super) fn call_all_on_miss(&mut self, id: &IncidentId, mark: &MarkName) -> bool {
        if self.excused {
            let text = format!("{mark} of {id} was missed while nobody watched; an all-call needs an operator's word");
            self.notice(Some(id), NoticeKind::AllCallNeedsWord, text);
            return true;
        }
        self.call_all(id, &format!("missed {mark}"))
    }

    /// Severity I calls everybody, where the plan says so.
    pub(super) fn call_all_at_severity_one(&mut self, id: &IncidentId) {
        let incident = &self.incidents[id];
        if incident.classification.severity == Severity::I
            && incident.plan.all_call_at_severity_one
            && incident.state.is_open()
        {
            self.call_all(id, "severity I");
        }
    }

    /// Calls by rule: once per incident. Whether there is an all-call now.
    pub(super) fn call_all(&mut self, id: &IncidentId, reason: &str) -> bool {
        let incident = &self.incidents[id];
        let begun = |todo: &Todo| matches!(todo, Todo::CallAll { incident, .. } if incident == id);
        if incident.all_call.is_some() || self.left().any(begun) {
            return true;
        }
        if incident.plan.mediation || incident.place.position.is_none() {
            return false;
        }
        let radius = incident.plan.all_call_radius_m;
        self.start_call(id, reason, radius, false)
    }

    /// Makes the list and begins to call. Whether anybody is on it. A list for which this step has no room is made in the
    /// next one.
    pub(super) fn start_call(
        &mut self,
        id: &IncidentId,
        reason: &str,
        radius_m: f64,
        volunteers_to_drill: bool,
    ) -> bool {
        let incident = &self.incidents[id];
        let Some(centre) = incident.place.position else { return false };
        let n = incident.all_call.as_ref().map_or(1, |c| c.n + 1);
        let barred = self.playbook.taxonomy.categories.get(incident.category()).is_some_and(|c| c.volunteers_barred);
        let excluded = self
            .orders_of(id)
            .filter(|o| o.is_live())
            .map(|o| (o.post.clone(), SmolStr::from("already ordered")))
            .collect();
        let around = Around {
            centre,
            radius_m,
            drill: incident.drill(),
            volunteers: !barred && (!incident.drill() || volunteers_to_drill),
            excluded: &excluded,
            now: self.now,
            local: self.local(self.now),
        };
        let near = within_radius(&self.playbook, &self.fleet, &self.playbook.teams, &around).0;
        let bound = self.playbook.limits.all_call_units;
        if !self.has_room(near.len().min(bound).div_ceil(STRETCH) + 1, 0) {
            self.leave(Todo::CallAll { incident: id.clone(), reason: reason.into() });
            return !near.is_empty();
        }
        if near.len() > bound {
            let text = format!("{} units are near {id}; the nearest {bound} are called", near.len());
            self.notice(Some(id), NoticeKind::LimitReached, text);
        }
        let units: Vec<Called> = near
            .into_iter()
            .take(bound)
            .map(|near| Called { unit: near.unit, distance_m: near.distance_m, coming: None })
            .collect();
        let posts = units.iter().filter(|u| matches!(u.unit, Callee::Post(_))).count();
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let until = self.now + self.incidents[id].plan.all_call_for;
        let call = AllCall {
            n,
            reason: reason.into(),
            radius_m: to_metres(radius_m),
            until,
            listed: count(units.len()),
            called: 0,
            answered: 0,
            coming: 0,
            ended: None,
            recalled: 0,
            goes_on: None,
        };
        for (k, stretch) in units.chunks(STRETCH).enumerate() {
            let key = (id.clone(), n, count(k));
            self.touch(Key::Call(key.0.clone(), key.1, key.2));
            self.calls.insert(key, CallList { v: STATE_VERSION, units: stretch.to_vec() });
        }
        let teams = units.len() - posts;
        self.incident_mut(id).all_call = Some(call);
        self.wheel.insert(until, Deadline::CallEnds(id.clone()));
        let what = What::AllCallBegan {
            n,
            reason: reason.into(),
            radius_m: to_metres(radius_m),
            posts: count(posts),
            teams: count(teams),
            until,
        };
        self.say(Some(id), Actor::Engine, what);
        self.notice(
            Some(id),
            NoticeKind::AllCallBegan,
            format!("all-call for {id}: {reason}; {posts} posts, {teams} teams"),
        );
        self.tell_agencies(id, "all-call");
        self.work_call(id);
        !units.is_empty()
    }

    /// Works off the next stretch: calls, or takes back, at most `limits.all_call_per_step` units, and no more than this
    /// step has room for.
    pub(super) fn work_call(&mut self, id: &IncidentId) {
        let Some(call) = self.incidents.get(id).and_then(|i| i.all_call.clone()) else { return };
        if !call.has_work() && call.goes_on.is_none() {
            return;
        }
        let place = self.incidents[id].place.clone();
        let drill = self.incidents[id].drill();
        let recalled = call.ended.is_some();
        let (from, end) = if recalled { (call.recalled, call.called) } else { (call.called, call.listed) };
        let per_step = self.playbook.limits.all_call_per_step.max(1).min(self.room_to_say());
        let per_step = u32::try_from(per_step).unwrap_or(u32::MAX);
        let to = end.min(from.saturating_add(per_step));
        for ix in from..to {
            let Some(unit) = self.called(id, call.n, ix) else { continue };
            let message = Call {
                incident: id.clone(),
                n: call.n,
                unit: unit.unit.clone(),
                distance_m: unit.distance_m,
                reason: call.ended.clone().unwrap_or_else(|| call.reason.clone()).to_string(),
                until: call.until,
                recalled,
                place: place.clone(),
                drill,
            };
            self.out.push(Effect::Call(Box::new(message)));
        }
        let now = self.now;
        let incident = self.incident_mut(id);
        let Some(call) = &mut incident.all_call else { return };
        if recalled {
            call.recalled = to;
        } else {
            call.called = to;
        }
        let after = call.has_work().then_some(now + BREATH);
        let before = std::mem::replace(&mut call.goes_on, after);
        // The end of a call may come while its list is still being worked off.
        if let Some(at) = before {
            self.wheel.cancel(at, &Deadline::CallGoesOn(id.clone()));
        }
        if let Some(at) = after {
            self.wheel.insert(at, Deadline::CallGoesOn(id.clone()));
        }
    }

    fn called(&self, id: &IncidentId, n: u32, ix: u32) -> Option<&Called> {
        let (k, at) = (ix as usize / STRETCH, ix as usize % STRETCH);
        self.calls.get(&(id.clone(), n, u32::try_from(k).ok()?))?.units.get(at)
    }

    /// Whether an act answers a call: no order is named, and the unit is on the list of a running call.
    pub(super) fn is_called(&self, act: &FieldAct) -> bool {
        let Some(id) = act.incident.as_ref().filter(|_| act.order.is_none()) else { return false };
        let ordered = self.orders_of(id).any(|o| o.post == act.post && o.is_live());
        !ordered && self.place_on_list(id, act.post.as_str()).is_some()
    }

    fn place_on_list(&self, id: &IncidentId, unit: &str) -> Option<(u32, u32, usize)> {
        let n = self.incidents.get(id)?.all_call.as_ref()?.n;
        let lists = self.calls.range((id.clone(), n, 0)..=(id.clone(), n, u32::MAX));
        let mut found =
            lists.flat_map(|((_, n, k), list)| list.units.iter().enumerate().map(move |(at, u)| (*n, *k, at, u)));
        found.find(|(.., u)| u.unit.as_str() == unit).map(|(n, k, at, _)| (n, k, at))
    }

    /// A called unit comes, or does not. A post that comes is bound by an order from then on.
    pub(super) fn answer_call(&mut self, act: &FieldAct) -> Result<Answer, Refusal> {
        let id = act.incident.clone().expect("asked by is_called");
        let (n, k, at) = self.place_on_list(&id, act.post.as_str()).expect("asked by is_called");
        let call = self.incidents[&id].all_call.clone().expect("asked by is_called");
        if let Some(why) = &call.ended {
            let detail = format!("the all-call for {id} has ended: {why}");
            return Err(Refusal::new("all-call-over", Some("incident"), detail, Some("do not go")));
        }
        let coming = act.act == Act::Signed;
        let key = Key::Call(id.clone(), n, k);
        let list = self.calls.get_mut(&(id.clone(), n, k)).expect("found on the list");
        let before = list.units[at].coming.replace(coming);
        let unit = list.units[at].unit.clone();
        self.touch(key);
        if before == Some(coming) {
            return Ok(Answer::applied(Some(id)));
        }
        let incident = self.incident_mut(&id);
        let Some(call) = &mut incident.all_call else { return Ok(Answer::applied(Some(id))) };
        call.answered += u32::from(before.is_none());
        match coming {
            true => call.coming += 1,
            false => call.coming -= u32::from(before == Some(true)),
        }
        let (answered, called) = (call.answered, call.called);
        let by = Actor::Unit(act.post.as_str().into());
        self.say(Some(&id), by.clone(), What::AllCallAnswered { n, unit: unit.clone(), coming, answered, called });
        let mut orders = Vec::new();
        if let Callee::Post(post) = unit
            && coming
            && self.incidents[&id].orders < self.playbook.limits.orders_per_incident
        {
            let robbed = self.make_room(&post);
            let mut issue = self.by_hand(&id, &post, Some(Role::AllCall), "all-call", by.clone());
            issue.need = None;
            let order = self.issue(&id, issue);
            self.serve_lost(robbed);
            let now = self.now;
            let told = FieldAct { order: Some(order.clone()), incident: None, reason: None, ..act.clone() };
            self.act_on_order(&order, Act::Signed, now, &told, None)?;
            orders.push(order);
        }
        Ok(Answer::Applied { incident: Some(id), orders, repeat: false })
    }

    /// A post that answered a call and was coming declines after all: the live count hears of it.
    pub(super) fn comes_after_all_not(&mut self, id: &IncidentId, post: &crate::model::PostId) {
        let Some((n, k, at)) = self.place_on_list(id, post.as_str()) else { return };
        let Some(list) = self.calls.get_mut(&(id.clone(), n, k)) else { return };
        if list.units[at].coming.replace(false) != Some(true) {
            return;
        }
        let unit = list.units[at].unit.clone();
        self.touch(Key::Call(id.clone(), n, k));
        let Some(call) = &mut self.incident_mut(id).all_call else { return };
        call.coming = call.coming.saturating_sub(1);
        let (answered, called) = (call.answered, call.called);
        let what = What::AllCallAnswered { n, unit, coming: false, answered, called };
        self.say(Some(id), Actor::Unit(post.as_str().into()), what);
    }

    /// Ends the all-call: no more calls, those made are taken back, posts that came but have not set out are released.
    pub(super) fn end_call(&mut self, id: &IncidentId, reason: &str) {
        let Some(call) = self.incidents.get(id).and_then(|i| i.all_call.clone()).filter(|c| c.ended.is_none()) else {
            return;
        };
        self.wheel.cancel(call.until, &Deadline::CallEnds(id.clone()));
        let reason: SmolStr = format_smolstr!("{reason}");
        if let Some(call) = &mut self.incident_mut(id).all_call {
            call.ended = Some(reason.clone());
        }
        let what = What::AllCallEnded { n: call.n, reason, called: call.called, answered: call.answered };
        self.say(Some(id), Actor::Engine, what);
        let waiting: Vec<u32> = self
            .orders_of(id)
            .filter(|o| o.role == Role::AllCall && o.is_live() && o.state < OrderState::EnRoute)
            .map(|o| o.id.n)
            .collect();
        self.take_back(id, &waiting, Recall::Ended);
        self.work_call(id);
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a radius of at most 100 km")]
fn to_metres(radius_m: f64) -> u32 {
    radius_m.clamp(0.0, 1e6).round() as u32
}

impl Callee {
    /// The id of the unit, as it names itself in its acts.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Post(id) => id.as_str(),
            Self::Team(id) => id.as_str(),
        }
    }
}
