//! The choice of posts, said again as plainly as possible: every post is weighed for every need, rule by rule, and the
//! least (cost, id) wins. No grid, no bound, nothing remembered. The real one must always agree.

use std::collections::BTreeMap;

use muster::engine::linkage::{Ask, Choice, Pick, Wanted};
use muster::engine::travel::Roads;
use muster::engine::{Duty, Fleet, Task, Unit};
use muster::model::{AreaId, IncidentId, Kind, Lane, OrderId, PostId, Role};
use muster::playbook::Playbook;

/// What is compared of a pick.
#[derive(Clone, Debug, PartialEq)]
pub struct Plain {
    pub need: usize,
    pub post: PostId,
    pub cost_ms: u64,
    pub preempts: Option<OrderId>,
    pub queued_behind: Option<OrderId>,
    pub drops: Vec<OrderId>,
    pub uncovers: Option<AreaId>,
    pub runner_up: Option<(PostId, u32)>,
}

struct World<'a> {
    playbook: &'a Playbook,
    fleet: &'a Fleet,
    ask: &'a Ask<'a>,
    roads: Roads<'a>,
    chosen: Vec<PostId>,
    robbed: Vec<IncidentId>,
    gone_from: BTreeMap<AreaId, usize>,
}

/// Picks in order, and (need, lacking) for the rest.
pub fn choose(playbook: &Playbook, fleet: &Fleet, ask: &Ask<'_>) -> (Vec<Plain>, Vec<(usize, u16)>) {
    let roads = Roads::at(&playbook.travel, ask.local);
    let mut world =
        World { playbook, fleet, ask, roads, chosen: Vec::new(), robbed: Vec::new(), gone_from: BTreeMap::new() };
    let mut places: Vec<&Wanted<'_>> = ask.needs.iter().filter(|w| w.spec.echelon <= ask.echelon_max).collect();
    places.sort_by_key(|w| (w.spec.role != Role::First, w.spec.echelon));
    let (mut picks, mut short): (Vec<Plain>, Vec<(usize, u16)>) = (Vec::new(), Vec::new());
    for wanted in places {
        for served in 0..wanted.count {
            let mut all: Vec<Plain> = fleet.iter().filter_map(|unit| world.weigh(wanted, unit)).collect();
            all.sort_by(|a, b| (a.cost_ms, &a.post).cmp(&(b.cost_ms, &b.post)));
            let Some(mut best) = all.first().cloned() else {
                short.push((wanted.need, wanted.count - served));
                break;
            };
            best.runner_up = all.get(1).map(|other| (other.post.clone(), rounded(other.cost_ms - best.cost_ms)));
            world.take(&best);
            picks.push(best);
        }
    }
    (picks, short)
}

/// A real choice in the same shape.
pub fn plain(choice: &Choice) -> (Vec<Plain>, Vec<(usize, u16)>) {
    let of = |pick: &Pick| Plain {
        need: pick.need,
        post: pick.post.clone(),
        cost_ms: u64::from(pick.weighed.cost_s),
        preempts: pick.preempts.clone(),
        queued_behind: pick.queued_behind.clone(),
        drops: pick.drops.clone(),
        uncovers: pick.uncovers.clone(),
        runner_up: pick.weighed.runner_up.clone(),
    };
    (choice.picks.iter().map(of).collect(), choice.short.iter().map(|s| (s.need, s.count)).collect())
}

/// Milliseconds as the seconds that are shown.
pub fn rounded(ms: u64) -> u32 {
    ((ms + 500) / 1000) as u32
}

impl World<'_> {
    fn take(&mut self, best: &Plain) {
        self.chosen.push(best.post.clone());
        self.robbed.extend(best.preempts.iter().map(|order| order.incident.clone()));
        if best.preempts.is_none() && best.queued_behind.is_none() && !self.ask.drill {
            let unit = self.fleet.get(&best.post).expect("picked from the fleet");
            *self.gone_from.entry(unit.covers().clone()).or_default() += 1;
        }
    }

    fn weigh(&self, wanted: &Wanted<'_>, unit: &Unit) -> Option<Plain> {
        let (ask, cost, need) = (self.ask, &self.playbook.cost, wanted.spec);
        let spec = &unit.spec;
        let on_duty = match unit.duty {
            Duty::ByHours => spec.hours.contains(ask.local.minute),
            Duty::On => true,
            Duty::Off | Duty::OutOfService(_) | Duty::EndsAfterClearing => false,
        };
        let able = need.capability.as_ref().is_none_or(|c| spec.capabilities.contains(c));
        let asked = !ask.excluded.contains_key(&spec.id) && !self.chosen.contains(&spec.id);
        let here = unit.whereabouts(ask.now, self.playbook.limits.position_stale).position;
        let metres = here.distance_m(ask.target);
        if !on_duty || !able || !asked || !need.kinds.contains(&spec.kind) || metres > cost.reach_m {
            return None;
        }
        if ask.drill && unit.tasks.iter().any(|t| !t.drill) {
            return None;
        }
        let tasks: Vec<&Task> = unit.tasks.iter().filter(|t| ask.drill || !t.gives_way()).collect();
        let (seconds, preempts, queued_behind) = self.way_to_come(unit, &tasks)?;
        let comes = preempts.is_none() && queued_behind.is_none();
        let mut total = seconds;
        if spec.kind == Kind::Standing && need.role != Role::Cover && spec.radius_m.is_none_or(|r| metres > r) {
            total += cost.leave_site_s;
        }
        let county = self.playbook.areas.areas.get(&spec.area).map(|a| &a.county);
        if ask.county.is_some() && county != ask.county {
            total += cost.mutual_aid_s;
        }
        let mut uncovers = None;
        if comes && !ask.drill {
            let covers = unit.covers();
            let min = self.playbook.areas.areas.get(covers).map_or(0, |a| i64::from(a.min_cover));
            let idle = self.fleet.cover(covers, ask.local) - self.gone_from.get(covers).copied().unwrap_or(0);
            let lacking = min - (idle as i64 - 1);
            if min > 0 && lacking > 0 {
                total += cost.cover_s * lacking as f64;
                uncovers = Some(covers.clone());
            }
        }
        let drops = unit.tasks.iter().filter(|t| !ask.drill && t.gives_way()).map(|t| t.order.clone()).collect();
        let cost_ms = (total * 1000.0).round() as u64;
        let (need, post) = (wanted.need, spec.id.clone());
        Some(Plain { need, post, cost_ms, preempts, queued_behind, drops, uncovers, runner_up: None })
    }

    /// Seconds, with the order it is taken from or waits behind.
    fn way_to_come(&self, unit: &Unit, tasks: &[&Task]) -> Option<(f64, Option<OrderId>, Option<OrderId>)> {
        let (ask, cost) = (self.ask, &self.playbook.cost);
        let pace = self.roads.pace(unit.spec.kind)?;
        let leg = |a: muster::model::Position, b| self.roads.way(a, b, a.distance_m(b)).ok().map(|w| w.metres * pace);
        let here = unit.whereabouts(ask.now, self.playbook.limits.position_stale).position;
        let Some(active) = tasks.first() else {
            return Some((leg(here, ask.target)? + self.roads.turnout_s(unit.spec.kind), None, None));
        };
        let may_take = ask.lane == Lane::BottomLine
            && !ask.drill
            && ask.may_preempt
            && tasks.iter().all(|t| t.lane == Lane::Ordinary)
            && !active.robbed
            && !self.robbed.contains(&active.order.incident)
            && (!active.is_on_scene() || ask.severity.number() + 2 <= active.severity.number());
        let taken = may_take.then(|| leg(here, ask.target)).flatten();
        let taken = taken.map(|s| s + cost.task_s[active.severity as usize]);
        let waits = (tasks.len() <= self.playbook.limits.queue_max).then(|| {
            let (mut seconds, mut from) = (0.0, here);
            for (i, task) in tasks.iter().enumerate() {
                let (leg_s, rest_s) = (leg(from, task.target)?, cost.task_remaining_s[task.severity as usize]);
                seconds += if i == 0 { f64::max(leg_s, rest_s) } else { leg_s + rest_s };
                from = task.target;
            }
            Some(seconds + leg(from, ask.target)?)
        });
        let last = tasks.last().map(|t| t.order.clone());
        match (taken, waits.flatten()) {
            (Some(taken), Some(waits)) if waits <= taken => Some((waits, None, last)),
            (Some(taken), _) => Some((taken, Some(active.order.clone()), None)),
            (None, Some(waits)) => Some((waits, None, last)),
            (None, None) => None,
        }
    }
}
