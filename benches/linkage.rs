//! What a choice of posts costs, reasons included: the target is 5 ms at the 99th percentile for 2,000 posts and 6 needs.
//!
//! Measured in CPU time on a busy two-core machine, 6 needs: 2,000 posts 34 µs ordinary, 116 thin, 318 rare, 457 nobody;
//! 20,000 posts 64 µs, 200 µs, 12 ms, 15 ms.
//!
//! * `ordinary`: a tenth of the posts are busy, as on a normal day.
//! * `thin`: nine in ten are busy and every area is at its minimum, so that taking, waiting and cover all are weighed.
//! * `rare`: each need asks for a capability that one post in a hundred has, so that the search goes far.
//! * `nobody`: for a capability that no post has, so that every post is looked at and counted.

#![allow(
    missing_docs,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::similar_names,
    reason = "a bench: small numbers, generated functions"
)]

#[path = "../tests/linkage/world.rs"]
#[allow(dead_code)]
mod world;

use std::collections::BTreeMap;
use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use muster::engine::Fleet;
use muster::engine::linkage::{Ask, Wanted, choose};
use muster::model::{AreaId, Kind, Lane, Millis, Need, OrderState, PostId, Role, Severity};
use muster::playbook::{Barrier, Playbook};
use world::{NOON, NOW, area, at, order, post, task};

/// A fixed sequence of numbers between 0 and 1 (Weyl), so that every run measures the same city.
fn weyl(n: usize, of: f64) -> f64 {
    (n as f64 * of).fract()
}

/// A city of 30 by 30 km with 188 areas, a river and so many posts.
fn city(posts: usize, busy_share: f64, min_cover: u16) -> (Playbook, Fleet) {
    let mut playbook = world::playbook();
    for i in 0..188 {
        let centre = at((i % 14) as f64 * 2_200.0 - 15_000.0, (i / 14) as f64 * 2_200.0 - 15_000.0);
        let id = format!("A{i:03}");
        let county = ["430405", "430406", "430481"][i % 3];
        playbook.areas.areas.insert(AreaId::from(id.as_str()), area(&id, county, min_cover, centre));
    }
    let line = (0..40).map(|i| at(800.0 * weyl(i, 0.618), i as f64 * 1_000.0 - 20_000.0)).collect();
    let crossings = [-9_000.0, -4_000.0, -500.0, 2_500.0, 7_000.0].map(|north| at(300.0, north)).to_vec();
    playbook.travel.barriers.push(Barrier { name: "Xiang".into(), line, crossings });
    let mut fleet = Fleet::default();
    for i in 0..posts {
        let (east, north) = (weyl(i, 0.754_877_666), weyl(i, 0.569_840_291));
        let kind = [Kind::Patrol, Kind::Base, Kind::Standing, Kind::Patrol, Kind::Peak][i % 5];
        let cell = ((north * 13.4) as usize * 14 + (east * 14.0) as usize).min(187);
        let here = at(east * 30_000.0 - 15_000.0, north * 30_000.0 - 15_000.0);
        let mut spec = post(&format!("P-{i:05}"), kind, &format!("A{cell:03}"), here);
        spec.capabilities.push(if i % 100 == 0 { "rope".into() } else { "first-aid".into() });
        let id = spec.id.clone();
        fleet.put(spec);
        if kind == Kind::Patrol {
            let age = Millis::from_secs(i as u64 % 70);
            fleet.fix(&id, here.offset_m(400.0, -300.0), NOW - age, NOW);
        }
        if weyl(i, 0.414_213_562) < busy_share {
            let severity = Severity::ALL[1 + i % 3];
            let lane = if severity == Severity::II { Lane::BottomLine } else { Lane::Ordinary };
            let state = if i % 2 == 0 { OrderState::EnRoute } else { OrderState::OnScene };
            let number = u32::try_from(i + 1).expect("few posts");
            fleet.assign(&id, task(order(number, 1), severity, lane, state, here.offset_m(900.0, 200.0)));
        }
    }
    (playbook, fleet)
}

fn six_needs(capability: Option<&str>) -> Vec<Need> {
    use Kind::{Base, Patrol, Peak, Standing};
    let need = |kinds: &[Kind], role, echelon| Need {
        kinds: kinds.to_vec(),
        count: 1,
        role,
        capability: capability.map(Into::into),
        echelon,
    };
    vec![
        need(&[Patrol, Standing], Role::First, 1),
        need(&[Patrol], Role::First, 1),
        need(&[Base], Role::Reinforce, 2),
        need(&[Base, Patrol], Role::Reinforce, 2),
        need(&[Peak, Patrol], Role::Cordon, 2),
        need(&[Standing, Patrol, Base], Role::Cover, 3),
    ]
}

fn choices(c: &mut Criterion) {
    for (posts, count) in [(2_000, "2k"), (20_000, "20k")] {
        for (case, busy, min, capability) in [
            ("ordinary", 0.1, 1, None),
            ("thin", 0.9, 4, None),
            ("rare", 0.1, 1, Some("rope")),
            ("nobody", 0.1, 1, Some("unheard-of")),
        ] {
            let (playbook, fleet) = city(posts, busy, min);
            let (needs, excluded) = (six_needs(capability), BTreeMap::<PostId, _>::new());
            let mut n = 0;
            c.bench_function(&format!("choose/{count}/{case}"), |b| {
                b.iter(|| {
                    n += 1;
                    let target = at(weyl(n, 0.618) * 28_000.0 - 14_000.0, weyl(n, 0.414) * 28_000.0 - 14_000.0);
                    let ask = Ask {
                        target,
                        county: None,
                        severity: Severity::I,
                        lane: Lane::BottomLine,
                        drill: false,
                        may_preempt: true,
                        echelon_max: 3,
                        needs: needs.iter().enumerate().map(|(need, spec)| Wanted { need, spec, count: 1 }).collect(),
                        excluded: &excluded,
                        now: NOW,
                        local: NOON,
                    };
                    black_box(choose(&playbook, &fleet, &ask))
                });
            });
        }
    }
}

criterion_group!(benches, choices);
criterion_main!(benches);
