#![allow(dead_code)]
mod engine {
    pub use muster::engine::*;
}
mod journal {
    pub use muster::journal::*;
}
mod model {
    pub use muster::model::*;
}
mod city;
mod dice;
mod host;
mod invariants;
mod log;
mod loss;
mod mutations;
mod toy;
mod trouble;
use city::{City, Kind, Plan};
fn kind() -> Kind {
    match std::env::var("KIND").as_deref() {
        Ok("loss") => Kind::Loss,
        Ok("two") => Kind::TwoForAnHour,
        _ => Kind::Trouble,
    }
}
fn main() {
    let a: Vec<String> = std::env::args().collect();
    if let Ok(seed) = std::env::var("MUSTER_SIM_SEED") {
        let seed: u64 = seed.parse().unwrap();
        match City::new(Plan { seed, kind: kind(), trace: true, fault: None }).run() {
            Ok(s) => println!("{s:?}"),
            Err(e) => println!("FAILED {e}"),
        }
        return;
    }
    if a.get(1).is_some_and(|x| x == "faults") {
        std::panic::set_hook(Box::new(|_| {}));
        for fault in mutations::FAULTS {
            let mut found = 0;
            let mut first = None;
            let mut kinds = std::collections::BTreeMap::new();
            for seed in 0..20000 {
                let r = std::panic::catch_unwind(|| {
                    City::new(Plan { seed, kind: kind(), trace: false, fault: Some(fault) }).run()
                });
                let e = match r {
                    Ok(Ok(_)) => continue,
                    Ok(Err(e)) => e,
                    Err(_) => "panic".into(),
                };
                found += 1;
                first.get_or_insert(seed);
                *kinds.entry(e.chars().filter(|c| !c.is_ascii_digit()).take(60).collect::<String>()).or_insert(0) += 1;
                if found > 300 {
                    break;
                }
            }
            println!("{fault:?} found {found} first {first:?}");
            let mut kinds: Vec<_> = kinds.into_iter().collect();
            kinds.sort_by_key(|k| -k.1);
            for k in kinds.into_iter().take(4) {
                println!("     {k:?}");
            }
        }
        return;
    }
    let n: u64 = a.get(1).map_or(1000, |n| n.parse().unwrap());
    let mut failed = 0;
    let mut sum = city::Seen::default();
    for seed in 0..n {
        match std::panic::catch_unwind(|| City::new(Plan { seed, kind: kind(), trace: false, fault: None }).run()) {
            Ok(Ok(s)) => {
                sum.histories += 1;
                sum.events += s.events;
                sum.records += s.records;
                sum.steps += s.steps;
                sum.void += s.void;
                sum.claims += s.claims;
                sum.acceptances += s.acceptances;
                sum.claims_in_peace = sum.claims_in_peace.max(s.claims_in_peace);
                for i in 0..5 {
                    sum.drops[i] += s.drops[i];
                }
                sum.holds += s.holds;
                sum.restores += s.restores;
                sum.repeats += s.repeats;
                sum.trims += s.trims;
                sum.crashes += s.crashes;
                sum.stalls += s.stalls;
            }
            Ok(Err(e)) => {
                failed += 1;
                if failed < 15 {
                    println!("seed {seed}: {}", e.chars().take(300).collect::<String>());
                }
            }
            Err(_) => {
                failed += 1;
                println!("seed {seed}: panic");
            }
        }
    }
    println!("{failed} of {n} failed; {sum:?}");
}
