//! Many histories, one after the other, until one of them is wrong.

use std::panic::catch_unwind;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::city::{City, Kind, Plan, Seen};
use crate::mutations::Fault;

/// A history that is wrong.
#[derive(Clone, Debug)]
pub struct Finding {
    pub seed: u64,
    /// Histories lived through until it was found.
    pub after: u64,
    pub what: String,
}

/// Lives through the histories of these seeds, on every core there is. Of the findings it tells the one with the lowest seed.
pub fn search(kind: Kind, seeds: std::ops::Range<u64>, fault: Option<Fault>) -> Result<Seen, Finding> {
    let (next, found, sum) = (AtomicU64::new(seeds.start), Mutex::new(None::<Finding>), Mutex::new(Seen::default()));
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    match one(Plan { seed, kind, trace: false, fault }) {
                        Ok(seen) => sum.lock().expect("nobody panics").add(&seen),
                        Err(what) => {
                            next.store(seeds.end, Ordering::Relaxed);
                            let finding = Finding { seed, after: seed - seeds.start + 1, what };
                            let mut found = found.lock().expect("nobody panics");
                            if found.as_ref().is_none_or(|before| seed < before.seed) {
                                *found = Some(finding);
                            }
                        }
                    }
                }
            });
        }
    });
    match found.into_inner().expect("nobody panics") {
        Some(finding) => Err(finding),
        None => Ok(sum.into_inner().expect("nobody panics")),
    }
}

/// Lives through one history. A panic is a wrong history as any other: the owner asserts what it is promised.
pub fn one(plan: Plan) -> Result<Seen, String> {
    catch_unwind(|| City::new(plan).run())
        .unwrap_or_else(|_| Err("the protocol panicked; what it said is above".to_owned()))
}

/// How to look at a history again.
pub fn again(kind: Kind, finding: &Finding) -> String {
    format!(
        "{kind} history {} is wrong: {}\nlook at it with:  MUSTER_SIM_KIND={kind} MUSTER_SIM_SEED={} cargo test --test simulation one_history -- --nocapture",
        finding.seed, finding.what, finding.seed
    )
}
