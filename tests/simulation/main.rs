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
mod mutations;
mod toy;
use city::{City, Plan};
fn main() {
    let a: Vec<String> = std::env::args().collect();
    if let Ok(seed) = std::env::var("MUSTER_SIM_SEED") {
        let seed: u64 = seed.parse().unwrap();
        match City::new(Plan { seed, trace: true, fault: None }).run() {
            Ok(s) => println!("{s:?}"),
            Err(e) => println!("FAILED {e}"),
        }
        return;
    }
    let n: u64 = a.get(1).map_or(1000, |n| n.parse().unwrap());
    let mut failed = 0;
    let mut sum = city::Seen::default();
    for seed in 0..n {
        match std::panic::catch_unwind(|| City::new(Plan { seed, trace: false, fault: None }).run()) {
            Ok(Ok(s)) => {
                sum.histories += 1;
                sum.events += s.events;
                sum.records += s.records;
                sum.steps += s.steps;
                sum.void += s.void;
                sum.claims += s.claims;
                sum.releases += s.releases;
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
