//! Linkage from outside: the real choice against a plain reference on random cities, and what it must never do.

#![allow(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    clippy::too_many_lines,
    reason = "a test: small numbers, and a panic is its way to fail"
)]

mod cases;
mod reference;
mod world;

use std::collections::BTreeMap;

use muster::engine::linkage::{Around, Ask, Wanted, choose, could_serve, move_up, within_radius};
use muster::engine::{Callee, Duty, Fleet, Task};
use muster::model::{
    AreaCode, AreaId, Kind, Lane, Millis, Need, OrderState, Position, PostId, Role, Severity, Team, TeamId,
};
use muster::playbook::{Barrier, Playbook};
use proptest::prelude::*;
use smol_str::SmolStr;

use self::world::{MIDDLE, NOON, NOW, area, at, order, post, task};

const AREAS: [&str; 5] = ["a", "b", "c", "d", "e"];

fn spot() -> impl Strategy<Value = Position> {
    // Some places coincide, so that ties are met.
    prop_oneof![6 => (-9_000.0..9_000.0_f64, -9_000.0..9_000.0_f64), 1 => Just((500.0, 500.0)), 1 => Just((30_000.0, 0.0))]
        .prop_map(|(east, north)| at(east, north))
}

fn kind() -> impl Strategy<Value = Kind> {
    prop::sample::select(Kind::ALL.to_vec())
}

fn severity() -> impl Strategy<Value = Severity> {
    prop::sample::select(Severity::ALL.to_vec())
}

fn lane() -> impl Strategy<Value = Lane> {
    prop_oneof![1 => Just(Lane::BottomLine), 2 => Just(Lane::Ordinary)]
}

fn role() -> impl Strategy<Value = Role> {
    prop::sample::select(vec![Role::First, Role::Reinforce, Role::Cordon, Role::Cover])
}

fn one_task() -> impl Strategy<Value = Task> {
    let state = prop::sample::select(vec![
        OrderState::Issued,
        OrderState::Signed,
        OrderState::EnRoute,
        OrderState::OnScene,
        OrderState::FirstReport,
    ]);
    let rare = || prop::bool::weighted(0.15);
    (1..12_u32, severity(), lane(), state, spot(), rare(), rare(), prop::option::weighted(0.15, 0..AREAS.len()))
        .prop_map(|(incident, severity, lane, state, target, drill, robbed, covers)| Task {
            drill,
            robbed,
            covers: covers.filter(|_| !drill).map(|i| AreaId::from(AREAS[i])),
            ..task(order(incident, 0), severity, lane, state, target)
        })
}

/// One post with all that can befall it.
#[derive(Clone, Debug)]
struct Life {
    kind: Kind,
    area: usize,
    base: Position,
    radius_m: Option<f64>,
    by_day: bool,
    able: bool,
    duty: Duty,
    fix: Option<(Position, u64)>,
    tasks: Vec<Task>,
    excluded: bool,
}

fn life() -> impl Strategy<Value = Life> {
    let duty = prop_oneof![
        12 => Just(Duty::ByHours),
        1 => Just(Duty::On),
        1 => Just(Duty::Off),
        1 => Just(Duty::EndsAfterClearing),
        1 => Just(Duty::OutOfService("broken".into())),
    ];
    let tasks = prop_oneof![3 => Just(Vec::new()), 2 => prop::collection::vec(one_task(), 1..4)];
    (
        (kind(), 0..AREAS.len(), spot(), prop::option::of(100.0..3_000.0_f64)),
        (prop::bool::weighted(0.9), any::<bool>(), duty),
        prop::option::of((spot(), 0..120_u64)),
        tasks,
        prop::bool::weighted(0.05),
    )
        .prop_map(|((kind, area, base, radius_m), (by_day, able, duty), fix, tasks, excluded)| Life {
            kind,
            area,
            base,
            radius_m,
            by_day,
            able,
            duty,
            fix,
            tasks,
            excluded,
        })
}

fn city(mins: &[u16], river: Option<(f64, Vec<f64>)>) -> Playbook {
    let mut playbook = world::playbook();
    for (i, id) in AREAS.iter().enumerate() {
        let county = if i < 3 { "430405" } else { "430481" };
        playbook
            .areas
            .areas
            .insert(AreaId::from(*id), area(id, county, mins[i], at(i as f64 * 2_000.0 - 4_000.0, 0.0)));
    }
    playbook.travel.barriers.extend(river.map(|(east, bridges)| Barrier {
        name: "Xiang".into(),
        line: [-40_000.0, -3_000.0, 0.0, 40_000.0].map(|north| at(east, north)).to_vec(),
        crossings: bridges.iter().map(|&north| at(east, north)).collect(),
    }));
    playbook
}

fn peopled(lives: &[Life]) -> (Fleet, BTreeMap<PostId, SmolStr>) {
    let (mut fleet, mut excluded) = (Fleet::default(), BTreeMap::new());
    for (i, life) in lives.iter().enumerate() {
        let mut spec = post(&format!("P-{i:03}"), life.kind, AREAS[life.area], life.base);
        spec.radius_m = life.radius_m;
        spec.hours = if life.by_day { "06:00-20:00" } else { "20:00-06:00" }.parse().unwrap();
        spec.capabilities.extend(life.able.then(|| SmolStr::new("first-aid")));
        let id = spec.id.clone();
        fleet.put(spec);
        fleet.set_duty(&id, life.duty.clone());
        if let Some((position, age_s)) = life.fix {
            fleet.fix(&id, position, NOW - Millis::from_secs(age_s), NOW);
        }
        for (n, task) in life.tasks.iter().enumerate() {
            let order = order(task.order.incident.n, u32::try_from(i * 10 + n + 1).unwrap());
            fleet.assign(&id, Task { order, ..task.clone() });
        }
        if life.excluded {
            excluded.insert(id, "declined".into());
        }
    }
    (fleet, excluded)
}

fn need() -> impl Strategy<Value = Need> {
    let kinds = prop::collection::vec(kind(), 1..4);
    (kinds, 1..4_u16, role(), prop::bool::weighted(0.2), 1..4_u8).prop_map(|(kinds, count, role, able, echelon)| Need {
        kinds,
        count,
        role,
        capability: able.then(|| "first-aid".into()),
        echelon,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn the_choice_is_that_of_the_exhaustive_search(
        lives in prop::collection::vec(life(), 0..80),
        mins in prop::collection::vec(0..4_u16, AREAS.len()),
        river in prop::option::of((-2_000.0..2_000.0_f64, prop::collection::vec(-6_000.0..6_000.0_f64, 0..3))),
        needs in prop::collection::vec(need(), 1..5),
        (severity, lane, drill, may_preempt) in (severity(), lane(), prop::bool::weighted(0.15), prop::bool::weighted(0.8)),
        (target, echelon_max, known) in (spot(), 1..4_u8, any::<bool>()),
    ) {
        let playbook = city(&mins, river);
        let (fleet, excluded) = peopled(&lives);
        let county = AreaCode::from("430405");
        let ask = Ask {
            target, severity, lane, drill, may_preempt, echelon_max,
            county: known.then_some(&county),
            needs: needs.iter().enumerate().map(|(need, spec)| Wanted { need, spec, count: spec.count }).collect(),
            excluded: &excluded,
            now: NOW,
            local: NOON,
        };
        let choice = choose(&playbook, &fleet, &ask);
        let (mut picks, short) = reference::choose(&playbook, &fleet, &ask);
        for pick in &mut picks {
            pick.cost_ms = u64::from(reference::rounded(pick.cost_ms));
        }
        prop_assert_eq!(reference::plain(&choice), (picks, short));
        // Whoever was chosen could serve, and where somebody is lacking nobody could who was not chosen.
        let chosen: Vec<_> = choice.picks.iter().map(|pick| &pick.post).collect();
        for unit in fleet.iter() {
            let could = could_serve(&playbook, &fleet, &ask, &unit.spec.id);
            prop_assert!(could || !chosen.contains(&&unit.spec.id), "{:?}", unit);
        }
        // Every post of the city is accounted for, at every decision.
        let sum = |counts: &[(SmolStr, u32)]| counts.iter().map(|(_, n)| *n as usize).sum::<usize>();
        for pick in &choice.picks {
            prop_assert_eq!(sum(&pick.weighed.rejected_counts) + 1, fleet.len(), "{:?}", pick);
        }
        for short in &choice.short {
            prop_assert_eq!(sum(&short.reasons), fleet.len(), "{:?}", short);
        }
    }

    /// The words too depend only on what the fleet holds, not on how it came to hold it.
    #[test]
    fn a_fleet_built_in_another_order_chooses_the_same_in_the_same_words(
        lives in prop::collection::vec(life(), 1..80),
        needs in prop::collection::vec(need(), 1..4),
        mins in prop::collection::vec(0..4_u16, AREAS.len()),
    ) {
        let playbook = city(&mins, None);
        let (fleet, excluded) = peopled(&lives);
        let mut other = Fleet::default();
        for unit in fleet.iter().collect::<Vec<_>>().into_iter().rev() {
            let id = &unit.spec.id;
            other.put(post("passing", Kind::Base, "a", at(90_000.0, 0.0)));
            other.put(post(id.as_str(), Kind::Base, "e", at(-20_000.0, 50.0)));
            other.put(unit.spec.clone());
            other.set_duty(id, unit.duty.clone());
            for task in &unit.tasks {
                other.assign(id, task.clone());
            }
            if let Some((position, fixed_at)) = unit.fix {
                other.fix(id, at(1.0, 2.0), fixed_at, NOW);
                other.fix(id, position, fixed_at, NOW);
            }
            other.remove(&PostId::from("passing"));
        }
        let ask = Ask {
            target: MIDDLE, county: None, severity: Severity::II, lane: Lane::BottomLine, drill: false, may_preempt: true,
            echelon_max: 3,
            needs: needs.iter().enumerate().map(|(need, spec)| Wanted { need, spec, count: spec.count }).collect(),
            excluded: &excluded,
            now: NOW,
            local: NOON,
        };
        prop_assert_eq!(choose(&playbook, &fleet, &ask), choose(&playbook, &other, &ask));
    }

    #[test]
    fn a_move_up_comes_from_an_area_with_one_to_spare_and_an_all_call_leaves_every_minimum(
        lives in prop::collection::vec(life(), 0..60),
        mins in prop::collection::vec(0..4_u16, AREAS.len()),
        radius_m in 100.0..12_000.0_f64,
    ) {
        let playbook = city(&mins, None);
        let (fleet, excluded) = peopled(&lives);
        let wanting = AreaId::from("a");
        if let Some(pick) = move_up(&playbook, &fleet, &wanting, &excluded, NOW, NOON) {
            let unit = fleet.get(&pick.post).unwrap();
            let from = unit.covers();
            prop_assert!(from != &wanting && unit.is_idle() && unit.tasks.iter().all(|t| t.covers.is_none()));
            prop_assert!(fleet.cover(from, NOON) > usize::from(playbook.areas.areas[from].min_cover));
            prop_assert!(pick.uncovers.is_none() && pick.preempts.is_none() && pick.queued_behind.is_none());
        }
        let team = Team { id: TeamId::from("T1"), area: wanting, base: at(50.0, 0.0), strength: 8 };
        let teams: BTreeMap<_, _> = [(team.id.clone(), team)].into();
        let around = Around {
            centre: MIDDLE, radius_m, drill: false, volunteers: true, excluded: &excluded, now: NOW, local: NOON,
        };
        let (called, _) = within_radius(&playbook, &fleet, &teams, &around);
        prop_assert!(called.is_sorted());
        let mut idle: BTreeMap<&AreaId, usize> = BTreeMap::new();
        for near in &called {
            let Callee::Post(id) = &near.unit else { continue };
            let unit = fleet.get(id).unwrap();
            prop_assert!(unit.tasks.iter().all(|t| t.gives_way() || t.lane == Lane::Ordinary) && !excluded.contains_key(id));
            *idle.entry(unit.covers()).or_default() += usize::from(unit.is_idle());
        }
        for (area, called) in idle.into_iter().filter(|(_, called)| *called > 0) {
            prop_assert!(fleet.cover(area, NOON) >= called + usize::from(playbook.areas.areas[area].min_cover));
        }
        prop_assert!(called.iter().any(|near| near.unit == Callee::Team(TeamId::from("T1"))) );
    }
}
