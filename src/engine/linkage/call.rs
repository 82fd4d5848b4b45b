//! Whom an all-call (一呼百应) may call.

use std::collections::BTreeMap;

use smol_str::{SmolStr, ToSmolStr};

use crate::engine::effect::Callee;
use crate::engine::fleet::{Duty, Fleet, Unit};
use crate::model::{AreaId, Lane, LocalTime, Position, PostId, Team, TeamId, Timestamp};
use crate::playbook::Playbook;

/// Where an all-call is made.
#[derive(Clone, Debug)]
pub struct Around<'a> {
    /// The middle.
    pub centre: Position,
    /// In metres.
    pub radius_m: f64,
    /// Exercise or test: no post is called away from anything real.
    pub drill: bool,
    /// Whether volunteer teams are called.
    pub volunteers: bool,
    /// Posts that are not called, such as those ordered already, each with the reason.
    pub excluded: &'a BTreeMap<PostId, SmolStr>,
    /// The instant of the decision.
    pub now: Timestamp,
    /// The same on the clock on the wall.
    pub local: LocalTime,
}

/// A unit that an all-call may call. Orders by distance, then posts before teams, then by id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Near {
    /// Metres from the middle, rounded.
    pub distance_m: u32,
    /// Who.
    pub unit: Callee,
}

/// Every post and team within the radius that an all-call may call, nearest first; and the posts it may not, counted by
/// reason. Never a post on a bottom-line task, never one whose area would have fewer idle posts than its minimum
/// without it and all those called before it.
#[must_use]
pub fn within_radius(
    playbook: &Playbook,
    fleet: &Fleet,
    teams: &BTreeMap<TeamId, Team>,
    around: &Around<'_>,
) -> (Vec<Near>, Vec<(SmolStr, u32)>) {
    let mut near = posts_within(playbook, fleet, around);
    near.sort_by(|a, b| (a.0, &a.1.spec.id).cmp(&(b.0, &b.1.spec.id)));
    let mut refused: BTreeMap<SmolStr, u32> = BTreeMap::new();
    let mut left: BTreeMap<&AreaId, usize> = BTreeMap::new();
    let mut called = Vec::new();
    for (distance_m, unit) in near {
        match may_call(playbook, fleet, around, unit, &mut left) {
            Ok(()) => called.push(Near { distance_m, unit: Callee::Post(unit.spec.id.clone()) }),
            Err(why) => *refused.entry(why).or_default() += 1,
        }
    }
    if around.volunteers {
        called.extend(teams.values().filter_map(|team| {
            let distance_m = around.centre.distance_m(team.base);
            let unit = Callee::Team(team.id.clone());
            (distance_m <= around.radius_m).then(|| Near { distance_m: metres(distance_m), unit })
        }));
        called.sort_unstable();
    }
    (called, refused.into_iter().collect())
}

fn posts_within<'a>(playbook: &Playbook, fleet: &'a Fleet, around: &Around<'_>) -> Vec<(u32, &'a Unit)> {
    let mut near = Vec::new();
    let mut rings = fleet.around(around.centre);
    let mut bound_m = 0.0;
    while bound_m <= around.radius_m {
        bound_m = rings.next_ring(|listed| {
            let Some((unit, at)) = fleet.seen(listed, around.now, playbook.limits.position_stale) else { return };
            let distance_m = around.centre.distance_m(at.position);
            if distance_m <= around.radius_m {
                near.push((metres(distance_m), unit));
            }
        });
    }
    near
}

fn may_call<'a>(
    playbook: &Playbook,
    fleet: &Fleet,
    around: &Around<'_>,
    unit: &'a Unit,
    left: &mut BTreeMap<&'a AreaId, usize>,
) -> Result<(), SmolStr> {
    if let Some(why) = around.excluded.get(&unit.spec.id) {
        return Err(why.clone());
    }
    if !unit.is_on_duty(around.local) || unit.duty == Duty::EndsAfterClearing {
        return Err("off duty".to_smolstr());
    }
    if unit.tasks.iter().any(|task| task.lane == Lane::BottomLine && !task.gives_way()) {
        return Err("on a bottom-line task".to_smolstr());
    }
    if around.drill && unit.tasks.iter().any(|task| !task.drill) {
        return Err("on a real task".to_smolstr());
    }
    if unit.is_idle() && !around.drill {
        let area = unit.covers();
        let min = playbook.areas.areas.get(area).map_or(0, |area| usize::from(area.min_cover));
        let idle = left.entry(area).or_insert_with(|| fleet.cover(area, around.local));
        if *idle <= min && min > 0 {
            return Err("its area is at its minimum".to_smolstr());
        }
        *idle = idle.saturating_sub(1);
    }
    Ok(())
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "no two places are 2^32 m apart")]
fn metres(distance_m: f64) -> u32 {
    distance_m.round() as u32
}
