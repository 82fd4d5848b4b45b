//! The fleet: every post with its duty, position and tasks, and the index that finds the near ones.
//!
//! A post has one active assignment and up to `queue_max` waiting behind it; status belongs to the assignment, not to the
//! post. The fleet is a derived view: duty and roster come from post documents, tasks from order documents, positions
//! from the field (they change no document; after a restart they are heard anew).
//!
//! Three small indexes stand beside the posts: orders to posts (acts name an order), areas to the posts that cover them
//! (minimum cover is asked at every pick), and the grid (near ones first). Whatever changes a post passes through one
//! door that keeps all three, so they never disagree.
//!
//! Where a post counts as being: at its last fix if that is fresh, else where it stands on scene, else at its base.
//! Idle means free to be sent at no loss: without any task, or with nothing but a drill or a move-up, which both
//! end at once when something real happens.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use super::grid::{Grid, Listed, Rings};
use crate::model::{
    AreaId, IncidentId, Kind, Lane, LocalTime, Millis, OrderId, OrderState, Position, PostId, PostSpec, Role, Severity,
    Timestamp,
};
use crate::playbook::Playbook;

/// Whether a post can be sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Duty {
    /// As its hours say.
    #[default]
    ByHours,
    /// On duty by its own word, outside its hours too.
    On,
    /// Off duty by its own word.
    Off,
    /// Off duty as soon as it has cleared.
    EndsAfterClearing,
    /// Cannot be sent, with the short reason.
    OutOfService(SmolStr),
}

/// One assignment as the choice of posts sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Task {
    /// The order.
    pub order: OrderId,
    /// Of the incident it serves.
    pub severity: Severity,
    /// Of the incident it serves.
    pub lane: Lane,
    /// Exercise or test.
    pub drill: bool,
    /// As what.
    pub role: Role,
    /// How far it has come.
    pub state: OrderState,
    /// Where it leads.
    pub target: Position,
    /// Whether the incident it serves has already lost a post to a more urgent one: then it is not robbed again.
    pub robbed: bool,
    /// A move-up: the area it covers meanwhile instead of its own.
    pub covers: Option<AreaId>,
}

/// A post with what it is doing.
#[derive(Clone, Debug, PartialEq)]
pub struct Unit {
    /// What it is.
    pub spec: PostSpec,
    /// Whether it can be sent.
    pub duty: Duty,
    /// Where it last said it was, and when that was fixed.
    pub fix: Option<(Position, Timestamp)>,
    /// The active assignment first, then the waiting ones.
    pub tasks: Vec<Task>,
}

/// Where a post counts as being.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Whereabouts {
    /// The point.
    pub position: Position,
    /// How it is known.
    pub known_by: KnownBy,
}

/// How a post's position is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KnownBy {
    /// A fresh fix.
    Fix,
    /// It stands on scene.
    Scene,
    /// It stays at its base or fixed point by nature.
    Base,
    /// It counts at its base because its last fix is too old, or because it moves and never sent one.
    StaleAtBase,
}

/// What became of a post when one of its orders ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Released {
    /// The post.
    pub post: PostId,
    /// The task that ended.
    pub task: Task,
    /// The waiting order that became the active one by it.
    pub promoted: Option<OrderId>,
}

/// Every post of the command area.
#[derive(Clone, Debug, Default)]
pub struct Fleet {
    ids: BTreeMap<PostId, usize>,
    units: Vec<Option<Unit>>,
    free: Vec<usize>,
    orders: BTreeMap<OrderId, usize>,
    covering: BTreeMap<AreaId, BTreeSet<usize>>,
    /// Posts that cover for another one: few, and looked through whenever a post becomes free.
    moved_up: BTreeSet<PostId>,
    grid: Grid,
}

impl Fleet {
    /// The posts of the playbook's roster, idle and on duty by their hours.
    #[must_use]
    pub fn of(playbook: &Playbook) -> Self {
        let mut fleet = Self::default();
        for spec in playbook.posts.values() {
            fleet.put(spec.clone());
        }
        fleet
    }

    // In

    /// Adds a post, or replaces its spec with its state kept.
    pub fn put(&mut self, spec: PostSpec) {
        if let Some(&slot) = self.ids.get(&spec.id) {
            return self.change(slot, |unit| unit.spec = spec);
        }
        let slot = self.free.pop().unwrap_or_else(|| {
            self.units.push(None);
            self.units.len() - 1
        });
        let unit = Unit { spec, duty: Duty::default(), fix: None, tasks: Vec::new() };
        self.ids.insert(unit.spec.id.clone(), slot);
        self.enter(slot, unit);
    }

    /// Takes a post out of the roster, with what it was doing.
    pub fn remove(&mut self, post: &PostId) -> Option<Unit> {
        self.ids.remove(post).map(|slot| self.leave(slot))
    }

    /// Sets whether a post can be sent. False when there is no such post.
    pub fn set_duty(&mut self, post: &PostId, duty: Duty) -> bool {
        self.on_post(post, |unit| unit.duty = duty).is_some()
    }

    /// Hears where a post is. A fix from the future counts as one of `now`, so that a wrong clock cannot keep it fresh;
    /// an older fix than the one known is not taken. Returns whether it was taken.
    pub fn fix(&mut self, post: &PostId, position: Position, fixed_at: Timestamp, now: Timestamp) -> bool {
        let fixed_at = fixed_at.min(now);
        let take = |unit: &mut Unit| {
            let newer = unit.fix.is_none_or(|(_, known)| known <= fixed_at);
            if newer {
                unit.fix = Some((position, fixed_at));
            }
            newer
        };
        position.is_valid() && self.on_post(post, take).unwrap_or(false)
    }

    /// Gives a post a task behind those it has. Returns how many stand before it (0: it is the active one), or `None`
    /// when there is no such post. The bound of the queue is kept by whoever chooses.
    pub fn assign(&mut self, post: &PostId, task: Task) -> Option<usize> {
        let slot = *self.ids.get(post)?;
        self.orders.insert(task.order.clone(), slot);
        self.change(slot, |unit| unit.tasks.push(task));
        self.unit(slot).map(|unit| unit.tasks.len() - 1)
    }

    /// Puts a task in the place of another one of the same post, which is returned: pre-emption, with the queue kept.
    pub fn replace(&mut self, order: &OrderId, task: Task) -> Option<Task> {
        let slot = self.orders.remove(order)?;
        self.orders.insert(task.order.clone(), slot);
        self.change(slot, |unit| {
            let held = unit.tasks.iter_mut().find(|t| t.order == *order)?;
            Some(std::mem::replace(held, task))
        })
    }

    /// Ends a task, whatever its end was; the next waiting one becomes active.
    pub fn release(&mut self, order: &OrderId) -> Option<Released> {
        let slot = self.orders.remove(order)?;
        self.change(slot, |unit| {
            let held = unit.tasks.iter().position(|t| t.order == *order)?;
            let task = unit.tasks.remove(held);
            let promoted = if held == 0 { unit.tasks.first().map(|t| t.order.clone()) } else { None };
            Some(Released { post: unit.spec.id.clone(), task, promoted })
        })
    }

    /// Notes how far an order has come. False when no post holds it.
    pub fn set_state(&mut self, order: &OrderId, state: OrderState) -> bool {
        self.on_order(order, |task| task.state = state)
    }

    /// Makes a waiting order the active one: its post has set out for it.
    pub fn activate(&mut self, order: &OrderId) -> bool {
        let Some(&slot) = self.orders.get(order) else { return false };
        self.change(slot, |unit| {
            let held = unit.tasks.iter().position(|t| t.order == *order).filter(|&held| held > 0);
            if let Some(held) = held {
                unit.tasks[..=held].rotate_right(1);
            }
            held.is_some()
        })
    }

    /// Notes where an order leads now, after its place was corrected. False when no post holds it.
    pub fn set_target(&mut self, order: &OrderId, target: Position) -> bool {
        self.on_order(order, |task| task.target = target)
    }

    /// Notes what an incident has become, on all its tasks.
    pub fn update_incident(&mut self, incident: &IncidentId, severity: Severity, lane: Lane, robbed: bool) {
        let of = |n| OrderId { incident: incident.clone(), n };
        let orders: Vec<OrderId> = self.orders.range(of(0)..=of(u32::MAX)).map(|(order, _)| order.clone()).collect();
        for order in orders {
            self.on_order(&order, |task| (task.severity, task.lane, task.robbed) = (severity, lane, robbed));
        }
    }

    // Look

    /// A post by its id.
    #[must_use]
    pub fn get(&self, post: &PostId) -> Option<&Unit> {
        self.ids.get(post).and_then(|&slot| self.unit(slot))
    }

    /// The post that holds an order, and the task.
    #[must_use]
    pub fn holder(&self, order: &OrderId) -> Option<(&Unit, &Task)> {
        let unit = self.unit(*self.orders.get(order)?)?;
        unit.tasks.iter().find(|t| t.order == *order).map(|task| (unit, task))
    }

    /// Every post, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Unit> {
        self.ids.values().filter_map(|&slot| self.unit(slot))
    }

    /// Every post that covers for another one, by id.
    pub fn moved_up(&self) -> impl Iterator<Item = &Unit> {
        self.moved_up.iter().filter_map(|post| self.get(post))
    }

    /// How many posts there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there are no posts.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Assignments that wait behind the active one.
    #[must_use]
    pub fn queue_len(&self, post: &PostId) -> usize {
        self.get(post).map_or(0, |unit| unit.tasks.len().saturating_sub(1))
    }

    /// Idle posts on duty that cover an area: its own and those that moved up, without its own that moved away.
    #[must_use]
    pub fn cover(&self, area: &AreaId, local: LocalTime) -> usize {
        let covers = |slot: &&usize| self.unit(**slot).is_some_and(|unit| unit.is_on_duty(local) && unit.is_idle());
        self.covering.get(area).map_or(0, |slots| slots.iter().filter(covers).count())
    }

    /// Searches outward from a point. A post is handed out at its fix and at its resting place; the caller takes the one
    /// that counts.
    pub(super) fn around(&self, target: Position) -> Rings<'_> {
        self.grid.around(target)
    }

    /// The post behind a listing, with its whereabouts, if this listing is the one that counts.
    pub(super) fn seen(&self, listed: Listed, now: Timestamp, stale: Millis) -> Option<(&Unit, Whereabouts)> {
        let unit = self.unit(listed.slot)?;
        let whereabouts = unit.whereabouts(now, stale);
        ((whereabouts.known_by == KnownBy::Fix) == listed.is_fix).then_some((unit, whereabouts))
    }

    // The one door

    fn unit(&self, slot: usize) -> Option<&Unit> {
        self.units.get(slot).and_then(Option::as_ref)
    }

    fn on_post<R>(&mut self, post: &PostId, change: impl FnOnce(&mut Unit) -> R) -> Option<R> {
        let slot = *self.ids.get(post)?;
        Some(self.change(slot, change))
    }

    fn on_order(&mut self, order: &OrderId, change: impl FnOnce(&mut Task)) -> bool {
        let Some(&slot) = self.orders.get(order) else { return false };
        self.change(slot, |unit| unit.tasks.iter_mut().find(|t| t.order == *order).map(change)).is_some()
    }

    /// Changes a post and keeps the indexes.
    fn change<R>(&mut self, slot: usize, change: impl FnOnce(&mut Unit) -> R) -> R {
        let unit = self.units[slot].as_mut().expect("ids and orders name posts that exist");
        let (area, listed, moved) = (unit.covers().clone(), unit.listed(slot), unit.is_moved_up());
        let result = change(unit);
        let (area_now, listed_now) = (unit.covers().clone(), unit.listed(slot));
        match (moved, unit.is_moved_up()) {
            (false, true) => drop(self.moved_up.insert(unit.spec.id.clone())),
            (true, false) => drop(self.moved_up.remove(&unit.spec.id)),
            _ => {}
        }
        if area != area_now {
            self.uncover(&area, slot);
            self.covering.entry(area_now).or_default().insert(slot);
        }
        for (before, after) in listed.into_iter().zip(listed_now).filter(|(before, after)| before != after) {
            if let Some(listed) = before {
                self.grid.remove(listed);
            }
            if let Some(listed) = after {
                self.grid.insert(listed);
            }
        }
        result
    }

    fn enter(&mut self, slot: usize, unit: Unit) {
        self.covering.entry(unit.covers().clone()).or_default().insert(slot);
        for listed in unit.listed(slot).into_iter().flatten() {
            self.grid.insert(listed);
        }
        if unit.is_moved_up() {
            self.moved_up.insert(unit.spec.id.clone());
        }
        self.units[slot] = Some(unit);
    }

    fn leave(&mut self, slot: usize) -> Unit {
        let unit = self.units[slot].take().expect("ids name posts that exist");
        self.free.push(slot);
        self.moved_up.remove(&unit.spec.id);
        self.uncover(unit.covers(), slot);
        for listed in unit.listed(slot).into_iter().flatten() {
            self.grid.remove(listed);
        }
        for task in &unit.tasks {
            self.orders.remove(&task.order);
        }
        unit
    }

    fn uncover(&mut self, area: &AreaId, slot: usize) {
        if let Some(slots) = self.covering.get_mut(area) {
            slots.remove(&slot);
            if slots.is_empty() {
                self.covering.remove(area);
            }
        }
    }
}

impl Task {
    /// Whether it ends at once, at no loss, when something real happens: a drill or a move-up.
    #[must_use]
    pub fn gives_way(&self) -> bool {
        self.drill || self.covers.is_some()
    }

    /// Whether the post stands there.
    #[must_use]
    pub fn is_on_scene(&self) -> bool {
        matches!(self.state, OrderState::OnScene | OrderState::FirstReport)
    }
}

impl Unit {
    /// Whether it is on duty at this local time.
    #[must_use]
    pub fn is_on_duty(&self, local: LocalTime) -> bool {
        match self.duty {
            Duty::ByHours => self.spec.hours.contains(local.minute),
            Duty::On | Duty::EndsAfterClearing => true,
            Duty::Off | Duty::OutOfService(_) => false,
        }
    }

    /// Whether it can be sent at no loss: no task, or nothing but what gives way.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.tasks.iter().all(Task::gives_way) && self.duty != Duty::EndsAfterClearing
    }

    /// Whether it covers for another post.
    #[must_use]
    pub fn is_moved_up(&self) -> bool {
        self.tasks.iter().any(|task| task.covers.is_some())
    }

    /// The area whose cover it counts for.
    #[must_use]
    pub fn covers(&self) -> &AreaId {
        self.tasks.iter().find_map(|task| task.covers.as_ref()).unwrap_or(&self.spec.area)
    }

    /// Where it counts as being: its fix if that is younger than `stale`, else where it stands on scene, else its base.
    #[must_use]
    pub fn whereabouts(&self, now: Timestamp, stale: Millis) -> Whereabouts {
        if let Some((position, fixed_at)) = self.fix
            && now.since(fixed_at) < stale
        {
            return Whereabouts { position, known_by: KnownBy::Fix };
        }
        self.resting()
    }

    /// Its places in the grid: resting place and fix.
    fn listed(&self, slot: usize) -> [Option<Listed>; 2] {
        let fix = self.fix.map(|(position, _)| Listed { slot, position, is_fix: true });
        [Some(Listed { slot, position: self.resting().position, is_fix: false }), fix]
    }

    /// Where it counts as being without a fresh fix.
    fn resting(&self) -> Whereabouts {
        match self.tasks.first().filter(|task| task.is_on_scene()) {
            Some(task) => Whereabouts { position: task.target, known_by: KnownBy::Scene },
            None if self.fix.is_some() || self.spec.kind == Kind::Patrol => {
                Whereabouts { position: self.spec.base, known_by: KnownBy::StaleAtBase }
            }
            None => Whereabouts { position: self.spec.base, known_by: KnownBy::Base },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{CommandArea, Weekday};

    const NOW: Timestamp = Timestamp(1_795_420_800_000);
    const STALE: Millis = Millis::from_secs(60);
    const NOON: LocalTime = LocalTime { date: 20_261_123, minute: 12 * 60, weekday: Weekday::Mon };
    const HERE: Position = Position { lon: 112.6, lat: 26.9 };

    fn post(id: &str, kind: Kind) -> PostSpec {
        let text = format!(r#"{{"id":"{id}","kind":"{kind}","area":"A","base":[112.6,26.9]}}"#);
        serde_json::from_str(&text).unwrap()
    }

    fn order(incident: u32, n: u32) -> OrderId {
        OrderId { incident: IncidentId { area: CommandArea::from("4304"), date: 20_261_123, n: incident }, n }
    }

    fn task(order: OrderId) -> Task {
        Task {
            order,
            severity: Severity::III,
            lane: Lane::Ordinary,
            drill: false,
            role: Role::First,
            state: OrderState::Issued,
            target: HERE.offset_m(1000.0, 0.0),
            robbed: false,
            covers: None,
        }
    }

    fn fleet(kinds: &[Kind]) -> Fleet {
        let mut fleet = Fleet::default();
        kinds.iter().enumerate().for_each(|(i, &kind)| fleet.put(post(&format!("P{i}"), kind)));
        fleet
    }

    fn seen_at(fleet: &Fleet, id: &str, now: Timestamp) -> Whereabouts {
        let mut seen = Vec::new();
        let mut rings = fleet.around(HERE);
        while rings.next_ring(|listed| seen.extend(fleet.seen(listed, now, STALE))) < f64::INFINITY {}
        let mut found = seen.into_iter().filter(|(unit, _)| unit.spec.id.as_str() == id);
        let one = found.next().expect("a search hands out every post").1;
        assert!(found.next().is_none(), "once");
        one
    }

    #[test]
    fn posts_that_cover_for_another_are_known_however_their_cover_begins_and_ends() {
        let mut fleet = fleet(&[Kind::Patrol, Kind::Patrol, Kind::Patrol]);
        let [p0, p1, p2] = ["P0", "P1", "P2"].map(PostId::from);
        let cover = |n| Task { covers: Some(AreaId::from("B")), ..task(order(n, 1)) };
        let names = |fleet: &Fleet| fleet.moved_up().map(|u| u.spec.id.to_string()).collect::<Vec<_>>();
        fleet.assign(&p2, cover(1));
        fleet.assign(&p0, cover(2));
        fleet.assign(&p1, task(order(3, 1)));
        assert_eq!(names(&fleet), ["P0", "P2"], "by id");
        // Taken for something else, released, off the roster.
        fleet.replace(&order(2, 1), task(order(4, 1)));
        assert_eq!(names(&fleet), ["P2"]);
        fleet.assign(&p1, cover(5));
        fleet.release(&order(1, 1));
        assert_eq!(names(&fleet), ["P1"]);
        fleet.remove(&p1);
        assert_eq!(names(&fleet), [""; 0]);
    }

    #[test]
    fn a_post_counts_at_its_fix_until_that_is_stale_then_at_its_scene_or_base() {
        let mut fleet = fleet(&[Kind::Patrol, Kind::Base]);
        let (p0, east) = (PostId::from("P0"), HERE.offset_m(5000.0, 0.0));
        assert_eq!(seen_at(&fleet, "P1", NOW).known_by, KnownBy::Base);
        assert_eq!(seen_at(&fleet, "P0", NOW).known_by, KnownBy::StaleAtBase, "a patrol that never said where it is");
        assert!(fleet.fix(&p0, east, NOW, NOW));
        assert_eq!(seen_at(&fleet, "P0", NOW), Whereabouts { position: east, known_by: KnownBy::Fix });
        assert_eq!(seen_at(&fleet, "P0", NOW + Millis(59_999)).known_by, KnownBy::Fix);
        let stale = seen_at(&fleet, "P0", NOW + STALE);
        assert_eq!(stale, Whereabouts { position: HERE, known_by: KnownBy::StaleAtBase });
        fleet.assign(&p0, task(order(1, 1)));
        assert!(fleet.set_state(&order(1, 1), OrderState::OnScene));
        let scene = seen_at(&fleet, "P0", NOW + STALE);
        assert_eq!((scene.known_by, scene.position), (KnownBy::Scene, HERE.offset_m(1000.0, 0.0)));
    }

    #[test]
    fn a_fix_from_the_future_counts_as_now_and_an_older_one_is_not_taken() {
        let mut fleet = fleet(&[Kind::Patrol]);
        let (p0, tomorrow) = (PostId::from("P0"), NOW + Millis::from_mins(24 * 60));
        assert!(fleet.fix(&p0, HERE, tomorrow, NOW));
        assert!(!fleet.fix(&p0, HERE, NOW - Millis(1), NOW), "older");
        assert_eq!(
            seen_at(&fleet, "P0", NOW + STALE).known_by,
            KnownBy::StaleAtBase,
            "a wrong clock keeps nothing fresh"
        );
        assert!(fleet.fix(&p0, HERE, NOW + STALE, NOW + STALE), "and does not blind us for what follows");
        assert!(!fleet.fix(&p0, Position { lon: 0.0, lat: 0.0 }, tomorrow, tomorrow), "no fix at all");
    }

    #[test]
    fn tasks_wait_in_turn_and_the_next_becomes_active() {
        let mut fleet = fleet(&[Kind::Patrol]);
        let p0 = PostId::from("P0");
        let before: Vec<_> = (1..4).map(|n| fleet.assign(&p0, task(order(n, 1))).unwrap()).collect();
        assert_eq!((before, fleet.queue_len(&p0)), (vec![0, 1, 2], 2));
        assert_eq!(fleet.release(&order(2, 1)).unwrap().promoted, None, "a waiting one ends without effect");
        let robbed = fleet.replace(&order(1, 1), task(order(9, 1))).unwrap();
        assert_eq!((robbed.order, fleet.release(&order(1, 1))), (order(1, 1), None));
        let released = fleet.release(&order(9, 1)).unwrap();
        assert_eq!((released.post, released.promoted), (p0, Some(order(3, 1))));
        assert!(!fleet.set_state(&order(9, 1), OrderState::Signed), "it is gone");
    }

    #[test]
    fn what_an_incident_has_become_reaches_all_its_tasks_and_no_others() {
        let mut fleet = fleet(&[Kind::Patrol, Kind::Base]);
        for (post, incident, n) in [("P0", 7, 1), ("P1", 7, 2), ("P1", 8, 1)] {
            fleet.assign(&PostId::from(post), task(order(incident, n)));
        }
        fleet.update_incident(&order(7, 1).incident, Severity::I, Lane::BottomLine, true);
        let lane =
            |incident, n| fleet.holder(&order(incident, n)).map(|(_, t)| (t.severity, t.lane, t.robbed)).unwrap();
        assert_eq!(lane(7, 1), (Severity::I, Lane::BottomLine, true));
        assert_eq!(lane(7, 2), (Severity::I, Lane::BottomLine, true));
        assert_eq!(lane(8, 1), (Severity::III, Lane::Ordinary, false));
    }

    #[test]
    fn cover_counts_idle_posts_on_duty_where_they_cover_now() {
        let mut fleet = fleet(&[Kind::Patrol, Kind::Patrol, Kind::Base, Kind::Base]);
        let (a, b) = (AreaId::from("A"), AreaId::from("B"));
        assert_eq!((fleet.cover(&a, NOON), fleet.cover(&b, NOON)), (4, 0));
        fleet.assign(&PostId::from("P0"), task(order(1, 1)));
        fleet.assign(&PostId::from("P1"), Task { covers: Some(b.clone()), ..task(order(1, 2)) });
        fleet.assign(&PostId::from("P2"), Task { drill: true, ..task(order(2, 1)) });
        fleet.set_duty(&PostId::from("P3"), Duty::Off);
        assert_eq!((fleet.cover(&a, NOON), fleet.cover(&b, NOON)), (1, 1), "a drill can be left at once");
        fleet.release(&order(1, 2));
        fleet.release(&order(1, 1));
        assert_eq!((fleet.cover(&a, NOON), fleet.cover(&b, NOON)), (3, 0));
        assert_eq!(fleet.remove(&PostId::from("P2")).map(|unit| unit.tasks.len()), Some(1));
        assert_eq!((fleet.cover(&a, NOON), fleet.release(&order(2, 1)), fleet.len()), (2, None, 3));
    }
}
