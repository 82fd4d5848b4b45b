//! The protocol of the journal under everything that can go wrong, seeded and on one thread.
//!
//! A history is a *city* of two or three hosts that drive the real [`Owner`](muster::journal::log::Owner) with a toy in
//! place of the engine, a model of the partitioned log, inputs, outputs, a group that gives its word, and trouble: crashes,
//! stalls of any length, clocks that jump, appends that are late, lost, doubled, unacknowledged or overtaken, readers
//! who are told that the log ends earlier than it does, a log that is trimmed while it is read, two who are both
//! told that the shard is theirs. After every event the invariants are asked ([`invariants`]): each input is decided once, in
//! the history that counts; a step is accepted, and its effects leave, only when it stands for everybody; epochs rise; every
//! fold, from wherever it began, is what all accepted records come to; marks point to nothing that is needed; a recall is
//! never undone. When the trouble is over it must come to rest: one owner, everything decided, everything emitted, nobody
//! held, and hardly anything written.
//!
//! * [`city`], [`trouble`], [`loss`]: the history. [`host`], [`reading`]: whoever drives an owner. [`toy`]: the decider.
//!   [`log`]: the partition. [`invariants`]: what must hold.
//! * [`mutations`], [`optimized`]: broken on purpose; the simulator has to notice.
//!
//! The same histories every day. `MUSTER_SIM_HISTORIES=1000000` lives through more of them, `MUSTER_LONG=1` through new ones.
//! `MUSTER_SIM_SEED=7` (and `MUSTER_SIM_KIND=loss`) tells one history as it happens: `cargo test --test simulation
//! one_history -- --nocapture`. What is ignored is run by `dev/check`, built with optimization.
#![cfg(feature = "service")]
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::case_sensitive_file_extension_comparisons,
    reason = "a test says what went wrong by failing, and its numbers are small"
)]

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
mod trouble;

mod loss;

mod host;
mod reading;

mod toy;

mod log;

mod invariants;

mod search;

mod mutations;
mod optimized;

mod dice;

use std::fs;

use city::{Kind, Plan, Seen};
use mutations::{FAULTS, breakages};
use optimized::root;
use search::{again, one, search};

/// Seeds of a run: the same every day, new ones in the long form.
fn seeds(every_day: u64) -> std::ops::Range<u64> {
    let histories = std::env::var("MUSTER_SIM_HISTORIES").map_or(every_day, |n| n.parse().unwrap());
    let first = if std::env::var_os("MUSTER_LONG").is_some() { fresh() } else { 0 };
    first..first + histories
}

/// A seed that no run before had.
fn fresh() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::process::id()) >> 16
}

fn hold(kind: Kind, every_day: u64) -> Seen {
    search(kind, seeds(every_day), None).unwrap_or_else(|finding| panic!("{}", again(kind, &finding)))
}

#[test]
fn trouble_of_all_kinds_ends_well() {
    let seen = hold(Kind::Trouble, 4_000);
    println!("{seen}");
    seen.is_worth_something();
}

#[test]
fn a_log_that_loses_records_is_held_until_somebody_accepts_it() {
    let seen = hold(Kind::Loss, 1_500);
    println!("{seen}");
    assert!(seen.holds > seen.histories / 2 && seen.acceptances > seen.histories / 4, "{seen}");
}

#[test]
fn two_who_both_own_the_shard_for_an_hour_write_little() {
    println!("{}", hold(Kind::TwoForAnHour, 6));
}

#[test]
fn a_seed_repeats_its_history() {
    for seed in 0..20 {
        let plan = Plan { seed, kind: Kind::Trouble, trace: false, fault: None };
        assert_eq!(one(plan), one(plan), "seed {seed}");
    }
}

#[test]
fn a_host_that_breaks_the_protocol_is_caught() {
    let mut unseen = Vec::new();
    for fault in FAULTS {
        match search(fault.kind(), 0..20_000, Some(fault)) {
            Ok(_) => unseen.push(fault),
            Err(finding) => {
                println!("{fault:?}: after {} histories: {}", finding.after, finding.what.lines().next().unwrap());
            }
        }
    }
    assert!(unseen.is_empty(), "nobody noticed: {unseen:?}");
}

#[test]
fn every_breakage_of_the_list_still_applies() {
    let mut wrong = Vec::new();
    for breakage in breakages(root()) {
        let source = fs::read_to_string(root().join("src/journal/log").join(&breakage.file)).unwrap_or_default();
        let found = source.matches(&breakage.original).count();
        if found != 1 || breakage.original.is_empty() {
            wrong.push(format!("line {}: stands {found} times in {}", breakage.line, breakage.file));
        }
    }
    assert!(wrong.is_empty(), "tests/simulation/breakages.txt:\n{}", wrong.join("\n"));
}

#[test]
fn one_history() {
    let Ok(seed) = std::env::var("MUSTER_SIM_SEED") else { return };
    let kind = std::env::var("MUSTER_SIM_KIND").map_or(Kind::Trouble, |kind| kind.parse().unwrap());
    let plan = Plan { seed: seed.parse().unwrap(), kind, trace: true, fault: None };
    println!("{}", one(plan).unwrap());
}

#[test]
#[ignore = "builds the simulation with optimization; run by dev/check"]
fn a_hundred_thousand_histories() {
    let program = optimized::build(None).unwrap();
    let long = std::env::var_os("MUSTER_LONG").is_some();
    let seeds = seeds(if long { 1_000_000 } else { 100_000 });
    let histories = seeds.end - seeds.start;
    for (kind, share) in [(Kind::Trouble, 80), (Kind::Loss, 20), (Kind::TwoForAnHour, 0)] {
        let histories = (histories * share / 100).max(50);
        let (found, said) = optimized::run(&program, kind, seeds.start, histories);
        println!("{kind}: {said}");
        assert!(!found, "{said}");
    }
}

#[test]
#[ignore = "builds the protocol once per breakage; run by the long CI"]
fn every_breakage_of_the_protocol_is_caught() {
    let only = std::env::var("MUSTER_MUTATION").unwrap_or_default();
    let (mut unseen, all) = (Vec::new(), breakages(root()));
    assert!(all.iter().any(|breakage| breakage.why.contains(&only)), "MUSTER_MUTATION={only} names none of the list");
    for breakage in all.iter().filter(|breakage| breakage.why.contains(&only)) {
        let caught = optimized::build(Some(breakage)).and_then(|program| {
            let (found, said) = optimized::run(&program, breakage.kind, 0, 100_000);
            if found { Ok(said) } else { Err(format!("100,000 histories did not notice: {said}")) }
        });
        match caught {
            Ok(said) => println!("caught {}\n       {}", breakage.why, said.lines().next().unwrap_or_default()),
            Err(why) => {
                println!("UNSEEN {}", breakage.why);
                unseen.push(format!("line {}: {}: {why}", breakage.line, breakage.why));
            }
        }
    }
    assert!(unseen.is_empty(), "breakages that nobody noticed:\n{}", unseen.join("\n"));
}
