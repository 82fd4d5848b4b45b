//! The plan in force: opening an incident, and evaluating the plan anew when category, severity, lane or place change.
//!
//! Evaluating anew asks only for the difference: needs that grew are served, marks that newly apply run from that
//! instant, marks that no longer apply are cancelled, marks that still apply go on. Nothing that was ordered is
//! withdrawn by a rise; when an operator lowers an incident, posts that have not set out are told to stand down.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use super::agenda::Todo;
use super::dispatch::Cause;
use super::snapshot::Key;
use super::state::{Incident, NeedRun, ReportRecord, STATE_VERSION};
use super::{Actor, Engine, NoticeKind, What};
use crate::model::{
    Classification, IncidentId, IncidentState, Lane, Meta, OrderId, Place, PlaceRef, Recall, Severity, Spot, Timestamp,
};
use crate::playbook::{Mark, Milestone, Plan, Scope};

/// What an incident is opened with.
pub(super) struct Opening {
    pub meta: Meta,
    pub by: Actor,
    pub record: ReportRecord,
    /// What `received` marks are counted from.
    pub clock_from: Timestamp,
    /// The bucket of the flood it counts, if it is one.
    pub flood: Option<SmolStr>,
}

/// An incident that becomes another one, as far as that is done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Which.
    pub(super) incident: IncidentId,
    /// What it is from now on.
    class: Classification,
    /// Why.
    why: SmolStr,
    /// What comes next.
    stage: Stage,
}

/// How far an evaluation is. Each stage is one that a step can leave to the next.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Stage {
    /// Nothing is done; with the place where it is from now on, when that changes.
    New { place: Option<Place> },
    /// Class, place and own marks are the new ones; its orders from this number on are still measured by the plan before.
    Orders { change: Box<Change>, from: u32 },
    /// All are measured by the plan in force.
    Plan { change: Box<Change> },
    /// Who is no longer needed has been taken back.
    Ask { change: Box<Change> },
    /// The needs are the new ones; posts from this order on do not know it yet.
    Tell { change: Box<Change>, from: u32, serve: bool },
    /// All know it.
    Serve,
    /// It asks for nobody.
    Done,
}

/// What an evaluation goes by that the incident's document no longer says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Change {
    /// What it was before.
    before: Classification,
    /// Its place is another one.
    moved: bool,
    /// The number of its newest order.
    orders: u32,
    /// What becomes of an order's mark, by its place in the plan before.
    carried: Vec<Option<Carried>>,
}

/// A mark of orders that goes on under the plan in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Carried {
    /// Its place in that plan.
    pub mark: u16,
    /// Its limit is shorter there.
    pub faster: bool,
}

impl Engine {
    /// Opens an incident, without any order yet.
    pub(super) fn open(&mut self, opening: Opening) -> IncidentId {
        self.turn_day();
        self.head.incidents += 1;
        let area = self.playbook.head.command_area.clone();
        let id = IncidentId { area, date: self.head.date, n: self.head.incidents };
        let Opening { meta, by, record, clock_from, flood } = opening;
        let kept = &self.playbook.plans[&self.playbook.head.unknown_place_plan];
        let plan = self.plan_for(&record.classification, &record.place, kept);
        let place = self.place_for(&record);
        let classification = Classification { ring: place.ring, ..record.classification.clone() };
        let incident = Incident {
            v: STATE_VERSION,
            id: id.clone(),
            status: record.report.status,
            source: meta.source.clone(),
            event: meta.id.clone(),
            traceparent: meta.traceparent,
            received: record.received,
            clock_from,
            state: IncidentState::Received,
            level: plan.owner(record.classification.severity),
            place,
            classification,
            plan,
            ordered: None,
            confirmed: None,
            echelon: 1,
            reports: 1,
            folded: u32::from(record.folded),
            last_report: record.received,
            orders: 0,
            orders_before: 0,
            notices: 0,
            marks: Vec::new(),
            needs: Vec::new(),
            links: Vec::new(),
            all_call: None,
            agencies: std::collections::BTreeSet::new(),
            holds: Vec::new(),
            taken: false,
            robbed: false,
            flood,
            closed: None,
        };
        let what = What::Opened {
            classification: Box::new(incident.classification.clone()),
            level: incident.level,
            area: incident.place.area.clone(),
            source: meta.source,
            event: meta.id,
        };
        self.near.put(&incident);
        self.incidents.insert(id.clone(), incident);
        self.touch(Key::Incident(id.clone()));
        self.keep_report(&id, 1, record);
        self.say(Some(&id), by, what);
        id
    }

    /// Puts the plan of a newly opened incident to work: marks, agencies, orders.
    pub(super) fn begin(&mut self, id: &IncidentId, cause: Cause) -> Vec<OrderId> {
        let incident = &self.incidents[id];
        let (unknown, severity) = (incident.place.spot == Spot::Unknown, incident.classification.severity);
        let (verify, flood) = (incident.plan.verify_first, incident.flood.is_some());
        let text = format!("{} {severity} at {}", incident.category(), incident.level);
        self.notice(Some(id), NoticeKind::Opened, text);
        if flood {
            return Vec::new();
        }
        self.incident_mut(id).needs = Vec::new();
        self.arm_incident(id, None);
        if unknown {
            self.notice(Some(id), NoticeKind::PlaceUnknown, format!("{id} has no usable place"));
        }
        if verify {
            self.move_to(id, IncidentState::Verifying);
            return Vec::new();
        }
        self.tell_agencies(id, "opened");
        self.ask(id);
        // Who came upon it stands there already, before anybody is looked for.
        let mut orders: Vec<OrderId> =
            self.viewing.take().map(|post| self.assign_on_view(id, &post)).into_iter().collect();
        orders.extend(self.serve(id, &cause));
        self.call_all_at_severity_one(id);
        orders
    }

    /// The plan for a class at a place. An unknown place has a plan of its own, except that what triggers at once goes
    /// out at once to the source's registered place, with the unknown place's marks beside its own.
    fn plan_for(&self, class: &Classification, place: &Place, kept: &Arc<Plan>) -> Arc<Plan> {
        // A playbook that came meanwhile may not know the plan of an incident opened before; that one keeps its own.
        let Some(plan) = self.playbook.plans.get(&class.plan).cloned() else { return kept.clone() };
        if place.spot != Spot::Unknown || plan.mediation {
            return plan;
        }
        let locating = &self.playbook.plans[&self.playbook.head.unknown_place_plan];
        if !class.trigger_at_once {
            return locating.clone();
        }
        let mut both = (*plan).clone();
        both.marks.extend(locating.marks.iter().filter(|m| m.milestone == Milestone::Located).cloned());
        Arc::new(both)
    }

    /// Where posts are sent: the place of the report, or that of its source when the report has none and cannot wait.
    fn place_for(&self, record: &ReportRecord) -> Place {
        let place = &record.place;
        if place.spot != Spot::Unknown || !record.classification.trigger_at_once || place.position.is_some() {
            return place.clone();
        }
        let Some(source) = self.playbook.source(&record.source) else { return place.clone() };
        let area = source.area.as_ref().and_then(|id| self.playbook.areas.areas.get(id));
        let position = source.position.or(area.map(|a| a.centre));
        let there = self.playbook.areas.locate(&PlaceRef { position, ..PlaceRef::default() });
        if there.spot != Spot::Known {
            return place.clone();
        }
        // Where the source stands, with its ring and its area; the place itself is still looked for.
        let area = area.map(|a| a.id.clone()).or_else(|| there.area.clone());
        Place { spot: Spot::Unknown, area, ..there }
    }

    /// Asks for what the plan asks at this ring and severity: needs that are new or have grown.
    pub(super) fn ask(&mut self, id: &IncidentId) {
        let incident = &self.incidents[id];
        let c = &incident.classification;
        let asked: Vec<_> = incident.plan.needs(c.ring, c.severity).to_vec();
        // A plan that calls echelon by echelon begins with the first; one that does not calls them together.
        let staged = incident.plan.marks.iter().any(|m| m.on_miss.contains(&crate::playbook::OnMiss::NextEchelon));
        let incident = self.incident_mut(id);
        if !staged {
            incident.echelon = u8::MAX;
        }
        for need in asked {
            match incident.needs.iter_mut().find(|run| run.need.asks_like(&need)) {
                Some(run) => run.wanted = run.wanted.max(need.count),
                None => incident.needs.push(NeedRun { wanted: need.count, need, waiting: None, said_short: 0 }),
            }
        }
    }

    /// The incident has become another one: `class` and `place` are what it is now. Returns the orders issued in this step.
    pub(super) fn evaluate(
        &mut self,
        id: &IncidentId,
        class: Classification,
        place: Option<Place>,
        why: &str,
    ) -> Vec<OrderId> {
        self.go_on_evaluating(Evaluation { incident: id.clone(), class, why: why.into(), stage: Stage::New { place } })
    }

    /// Evaluates from stage to stage, as far as this step goes; the rest follows at the same instant.
    pub(super) fn go_on_evaluating(&mut self, mut evaluation: Evaluation) -> Vec<OrderId> {
        let id = evaluation.incident.clone();
        loop {
            if self.must_wait() && evaluation.stage != Stage::Done {
                // Its place in the queue is that of what it is by now; it is served when all this is done.
                self.requeue(&id);
                self.leave(Todo::Evaluate(Box::new(evaluation)));
                return Vec::new();
            }
            let Evaluation { class, why, stage, .. } = &mut evaluation;
            let next = match std::mem::replace(stage, Stage::Serve) {
                Stage::New { place } => self.become_another(&id, class, place, why),
                Stage::Orders { change, from } => self.rearm_orders(&id, change, from),
                Stage::Plan { change } => self.put_in_force(&id, class, why, change),
                Stage::Ask { change } => {
                    self.ask(&id);
                    Stage::Tell { change, from: 1, serve: true }
                }
                Stage::Tell { change, from, serve } => self.tell_change(&id, class, change, from, serve),
                Stage::Serve => {
                    let orders = self.serve(&id, &Cause::Evaluated(why.clone()));
                    self.call_all_at_severity_one(&id);
                    return orders;
                }
                Stage::Done => return Vec::new(),
            };
            evaluation.stage = next;
        }
    }

    /// Its place and its class are others now, and so are its own marks; those of its orders follow.
    fn become_another(
        &mut self,
        id: &IncidentId,
        class: &Classification,
        place: Option<Place>,
        why: &SmolStr,
    ) -> Stage {
        self.no_flood(id);
        let before = self.incidents[id].clone();
        let moved = place.is_some();
        self.unqueue(id);
        if let Some(place) = place {
            self.near.remove(&before);
            self.incident_mut(id).place = place.clone();
            self.near.put(&self.incidents[id]);
            let what = What::Located { area: place.area, ring: place.ring, why: why.clone() };
            self.say(Some(id), Actor::Engine, what);
            if self.incidents[id].place.spot == Spot::Known {
                self.reach(id, Milestone::Located, self.now, None);
            }
        }
        if *class != before.classification {
            let what = What::Reclassified {
                from: Box::new(before.classification.clone()),
                to: Box::new(class.clone()),
                why: why.clone(),
            };
            self.near.remove(&self.incidents[id].clone());
            self.incident_mut(id).classification = class.clone();
            self.near.put(&self.incidents[id]);
            self.say(Some(id), Actor::Engine, what);
            // Nothing hides what belongs to the bottom line: what was hidden before it rose leaves now.
            let hidden = self.hidden.values().any(|h| h.about.incident.as_ref() == Some(id));
            if hidden && class.lane == Lane::BottomLine {
                self.leave(Todo::LetOut { after: 0 });
            }
        }
        self.retell_tasks(id);
        let place = self.incidents[id].place.clone();
        let plan = self.plan_for(class, &place, &before.plan);
        let carried = self.change_plan(id, plan, &before);
        let Incident { classification, orders, .. } = before;
        Stage::Orders { change: Box::new(Change { before: classification, moved, orders, carried }), from: 1 }
    }

    /// Orders follow the plan that is in force now, each with the marks that it knows; then what begins begins.
    fn rearm_orders(&mut self, id: &IncidentId, change: Box<Change>, from: u32) -> Stage {
        for n in from..=change.orders {
            if self.enough() {
                return Stage::Orders { change, from: n };
            }
            let order = OrderId { incident: id.clone(), n };
            if self.orders.contains_key(&order) {
                self.rearm_order(&order, &change.carried);
            }
        }
        Stage::Plan { change }
    }

    /// The plan is in force: who owns the incident, where it stands, who is told, and who is no longer needed.
    fn put_in_force(&mut self, id: &IncidentId, class: &Classification, why: &SmolStr, change: Box<Change>) -> Stage {
        let before = &change.before;
        let (rises, milder) = (Self::rises(before, class), class.severity > before.severity);
        self.arm_incident(id, Some(self.now));
        let owner = self.incidents[id].plan.owner(class.severity);
        self.raise_level(id, owner);
        self.state_for_plan(id, rises);
        if !self.incidents[id].asks() {
            // Verifying waits for its answer; what is controlled asks for nobody.
            self.stop_waiting(id);
            return Stage::Tell { change, from: 1, serve: false };
        }
        self.tell_agencies(id, why);
        self.adapt_needs(id);
        // Nothing that was ordered is withdrawn by a rise, unless nobody in the plan is a post at all.
        let other = class.category != before.category;
        if milder || (other && !rises) || self.incidents[id].plan.mediation {
            let unneeded = self.withdraw(id);
            self.take_back(id, &unneeded, Recall::NotNeeded);
        }
        Stage::Ask { change }
    }

    /// Where the incident stands under the plan put in force just now.
    fn state_for_plan(&mut self, id: &IncidentId, rises: bool) {
        let incident = &self.incidents[id];
        let unverified = incident.plan.verify_first && incident.confirmed.is_none();
        match incident.state {
            // What is worse than what was brought under control is not under control.
            IncidentState::Controlled if rises => {
                let there = self.orders_of(id).any(|o| o.is_live() && o.has_been_on_scene() && o.covers.is_none());
                let to = if there { IncidentState::Handling } else { IncidentState::Dispatching };
                self.move_to(id, to);
            }
            IncidentState::Received if unverified => self.move_to(id, IncidentState::Verifying),
            IncidentState::Verifying if !incident.plan.verify_first => self.move_to(id, IncidentState::Received),
            // Posts are out already: nothing is left to verify before.
            IncidentState::Dispatching | IncidentState::Handling if unverified => {
                self.incident_mut(id).confirmed = Some(self.now);
                self.arm_incident(id, None);
            }
            _ => {}
        }
    }

    /// Marks whose milestone stands already are reached, and posts that keep their orders hear what has become of their
    /// incident: another place, class or severity.
    fn tell_change(
        &mut self,
        id: &IncidentId,
        class: &Classification,
        change: Box<Change>,
        from: u32,
        serve: bool,
    ) -> Stage {
        if from == 1 {
            // Only now: what is joint depends on what is asked for.
            self.reach_what_stands(id);
        }
        let before = &change.before;
        let heard = change.moved || (&class.category, class.severity) != (&before.category, before.severity);
        for n in from..=change.orders {
            if self.enough() {
                return Stage::Tell { change, from: n, serve };
            }
            let order = OrderId { incident: id.clone(), n };
            if heard && self.orders.get(&order).is_some_and(|o| o.is_live() && o.covers.is_none()) {
                self.tell_post(&order);
            }
        }
        if serve { Stage::Serve } else { Stage::Done }
    }

    /// Puts another plan, ring or severity in force: marks of the incident that still apply go on, the others end. Returns
    /// what becomes of the marks of its orders.
    fn change_plan(&mut self, id: &IncidentId, plan: Arc<Plan>, before: &Incident) -> Vec<Option<Carried>> {
        let class = self.incidents[id].classification.clone();
        let plan = if plan.id == before.plan.id && before.plan.marks.len() == plan.marks.len() {
            before.plan.clone()
        } else {
            plan
        };
        let ring_limit = self.playbook.rings.limit(class.ring);
        let ring_limit_before = self.playbook.rings.limit(before.classification.ring);
        // Marks that the new plan does not know by name end; of the others those go on whose limit is the same.
        let mut goes_on = Vec::new();
        for run in &before.marks {
            let old = &before.plan.marks[usize::from(run.mark)];
            let minute = self.local(run.anchor).minute;
            // What was cancelled when the incident was controlled is not asked for; if it is again, it begins anew.
            if run.state == super::state::MarkState::Cancelled {
                continue;
            }
            let same = plan.marks.iter().position(|m| {
                m.scope == old.scope
                    && m.name == old.name
                    && m.echelon == old.echelon
                    && m.applies(class.ring, class.severity, &class.category, minute)
            });
            if let Some(ix) = same {
                goes_on.push((ix, old.limit(ring_limit_before), run.clone()));
            }
        }
        self.cancel_marks(id, 0, |_| true);
        let now = self.now;
        let incident = self.incident_mut(id);
        incident.marks.clear();
        incident.plan = plan.clone();
        for (ix, limit_before, mut run) in goes_on {
            let mark = &plan.marks[ix];
            let limit = mark.limit(ring_limit);
            run.mark = u16::try_from(ix).expect("a plan has some ten marks");
            if run.state.waits() && limit != limit_before {
                // A faster measure never gives more time than was left; a slower one begins anew.
                let faster = limit < limit_before;
                let fresh = now + limit;
                if faster && run.state == super::state::MarkState::Missed {
                    // Missed by the slower measure, so by the faster one too: it goes on repeating.
                    incident.marks.push(run);
                    continue;
                }
                run.limit_at = if faster { fresh.min(run.limit_at) } else { fresh };
                run.due = run.limit_at;
                run.warn = mark.warning(ring_limit).map(|w| now + w).filter(|w| *w < run.due);
                run.state = super::state::MarkState::Running;
            }
            incident.marks.push(run);
        }
        let runs = incident.marks.clone();
        for (ix, run) in runs.iter().enumerate() {
            super::marks::arm(&mut self.wheel, id, 0, ix, run);
        }
        let carried = |old: &Mark| {
            let like = |m: &Mark| m.scope == Scope::Order && (&m.name, m.milestone) == (&old.name, old.milestone);
            let ix = plan.marks.iter().position(|m| old.scope == Scope::Order && like(m))?;
            let faster = plan.marks[ix].limit(ring_limit) < old.limit(ring_limit_before);
            Some(Carried { mark: u16::try_from(ix).expect("a plan has some ten marks"), faster })
        };
        before.plan.marks.iter().map(carried).collect()
    }

    /// Marks whose milestone has been reached already do not run.
    pub(super) fn reach_what_stands(&mut self, id: &IncidentId) {
        let now = self.now;
        if self.incidents[id].place.spot == Spot::Known {
            self.reach(id, Milestone::Located, now, None);
        }
        if self.incidents[id].taken {
            self.reach(id, Milestone::Taken, now, None);
        }
        if self.incidents[id].confirmed.is_some() {
            self.reach(id, Milestone::Verified, now, None);
        }
        if self.incidents[id].ordered.is_some() {
            self.reach(id, Milestone::Ordered, now, None);
        }
        self.reach_by_orders(id, now);
    }

    /// What is asked for now in other words is still the same need: one of the same role, echelon and capability, which the
    /// posts that serve the old one can serve as well. They keep their orders; only the difference is ordered.
    fn adapt_needs(&mut self, id: &IncidentId) {
        let incident = &self.incidents[id];
        let c = &incident.classification;
        let asked: Vec<_> = incident.plan.needs(c.ring, c.severity).to_vec();
        for need in &asked {
            if self.incidents[id].needs.iter().any(|run| run.need.asks_like(need)) {
                continue;
            }
            let fits = |ix: usize| {
                let old = &self.incidents[id].needs[ix].need;
                let alike = (old.role, old.echelon, &old.capability) == (need.role, need.echelon, &need.capability);
                let mut served = self.orders_of_now(id).filter(|o| o.need == u16::try_from(ix).ok() && o.serves());
                let kind = |post: &crate::model::PostId| self.fleet.get(post).map(|unit| unit.spec.kind);
                alike
                    && !asked.iter().any(|other| other.asks_like(old))
                    && served.all(|o| kind(&o.post).is_none_or(|kind| need.kinds.contains(&kind)))
            };
            if let Some(ix) = (0..self.incidents[id].needs.len()).find(|&ix| fits(ix)) {
                self.incident_mut(id).needs[ix].need = need.clone();
            }
        }
    }

    /// An operator lowered it, or made it something else: the orders of posts that have not set out and are no longer asked
    /// for.
    fn withdraw(&mut self, id: &IncidentId) -> Vec<u32> {
        let mut unneeded = Vec::new();
        let c = &self.incidents[id].classification;
        let asked: Vec<_> = self.incidents[id].plan.needs(c.ring, c.severity).to_vec();
        for ix in 0..self.incidents[id].needs.len() {
            let run = self.incidents[id].needs[ix].clone();
            let wanted = asked.iter().find(|n| n.asks_like(&run.need)).map_or(0, |n| n.count);
            let run_mut = &mut self.incident_mut(id).needs[ix];
            run_mut.wanted = wanted;
            if wanted == 0 {
                run_mut.waiting = None;
            }
            let serving: Vec<u32> = self
                .orders_of(id)
                .filter(|o| {
                    o.need == u16::try_from(ix).ok() && o.is_live() && o.state < crate::model::OrderState::EnRoute
                })
                .map(|o| o.id.n)
                .collect();
            let beyond = self.serving(id, ix).saturating_sub(usize::from(wanted));
            unneeded.extend(serving.into_iter().rev().take(beyond));
        }
        unneeded
    }

    /// Whether `new` is worse than `old` in severity or lane: only then does a later report change an incident.
    pub(super) fn rises(old: &Classification, new: &Classification) -> bool {
        let key = |c: &Classification| -> (Severity, Lane) { (c.severity, c.lane) };
        key(new).0 < key(old).0 || key(new).1 < key(old).1
    }
}
