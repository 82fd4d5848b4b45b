//! Show 1: two hundred targets, forty of them sick. Every order reaches every healthy target exactly once, in time; every
//! skip has its reason; nothing is unaccounted for; and nobody is sent to where a redirect points.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use muster::deliver::log::{Did, Query};
use muster::deliver::webhook::Options;
use muster::model::{Millis, OrderState};
use muster::wire::Kind;

use crate::channel::{Rig, order};
use crate::outside::{Health, Outside, percentile, trap, until};

/// Nothing expires while this runs, however loaded the machine is.
const LIVES: Millis = Millis::from_mins(60);
const WELL: usize = 160;
const BROKEN: usize = 20;
const HANGING: usize = 10;
const RESETTING: usize = 5;
const REDIRECTING: usize = 5;

/// A file of these targets.
fn file(targets: &[Outside]) -> tempfile::NamedTempFile {
    let mut text = String::new();
    for (n, target) in targets.iter().enumerate() {
        // Whoever hangs is not waited for as long as whoever may merely be slow.
        let timeout = if n < WELL { "60s" } else { "1s" };
        let url = target.url();
        write!(text, "[[target]]\nname = \"t-{n}\"\nurl = \"{url}\"\ntimeout = \"{timeout}\"\n").unwrap();
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

fn options(file: &tempfile::NamedTempFile) -> Options {
    Options {
        targets: file.path().to_owned(),
        types: vec![Kind::Order],
        allow_private: vec!["127.0.0.0/8".parse().unwrap()],
        retry: [0, 200, 500, 1_000].map(Millis).to_vec(),
        tail: Millis::from_secs(20),
        ..Options::default()
    }
}

/// Hands over `count` orders, `rate` a second; how long each took to each healthy target.
async fn issue(rig: &Rig, well: &[Outside], first: u32, count: u32, rate: u32) -> Vec<Duration> {
    let mut issued: BTreeMap<String, Instant> = BTreeMap::new();
    let mut beat = tokio::time::interval(Duration::from_secs(1) / rate);
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let begin = rig.told.settled.lock().unwrap().to_owned();
    for n in first..first + count {
        beat.tick().await;
        let now = muster::deliver::webhook::Upstream::now(&*rig.told);
        let message = order(u64::from(n), n, now, LIVES, n % 5 == 0, OrderState::Issued);
        issued.insert(format!("{}/{}", message.key, message.rev), Instant::now());
        rig.webhook.send(&message, false).await;
    }
    let all = begin + count as usize * well.len();
    until("all healthy targets have all", async || {
        let heard: usize = well.iter().map(|w| w.heard.lock().unwrap().len()).sum();
        heard >= well.len() * (first + count - 1) as usize && *rig.told.settled.lock().unwrap() >= all
    })
    .await;
    let mut took = Vec::new();
    for target in well {
        let heard = target.heard.lock().unwrap();
        took.extend(heard.iter().filter_map(|h| Some(h.at.duration_since(*issued.get(&h.id)?))));
    }
    took.sort();
    took
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_order_reaches_every_healthy_target_once_and_no_sick_one_delays_it() {
    let long = std::env::var_os("MUSTER_LONG").is_some();
    let (before, count, rate) = if long { (500, 10_000, 25) } else { (10, 40, 5) };
    let (trap, reached) = trap().await;
    let mut targets = Vec::new();
    for (health, count) in [
        (Health::Well, WELL),
        (Health::Broken, BROKEN),
        (Health::Hangs, HANGING),
        (Health::Resets, RESETTING),
        (Health::Redirects(trap), REDIRECTING),
    ] {
        for _ in 0..count {
            targets.push(Outside::listen(health).await);
        }
    }
    let well = &targets[..WELL];

    // The healthy ones alone, as the measure.
    let alone = file(well);
    let rig = Rig::start(&options(&alone));
    let took = issue(&rig, well, 1, before, rate).await;
    let p99_alone = percentile(&took, 990);
    assert_eq!(took.len(), before as usize * WELL);
    assert_eq!(rig.unaccounted(), 0);
    for target in well {
        target.heard.lock().unwrap().clear();
    }

    let all = file(&targets);
    let rig = Rig::start(&options(&all));
    let took = issue(&rig, well, 1, count, rate).await;
    let (p50, p99) = (percentile(&took, 500), percentile(&took, 990));
    eprintln!(
        "{count} orders to {} targets at {rate} a second: healthy p50 {p50:?} p99 {p99:?} max {:?}; without the sick p99 {p99_alone:?}",
        targets.len(),
        took.last().unwrap()
    );
    for (n, target) in well.iter().enumerate() {
        let ids = target.ids();
        assert_eq!(ids.len(), count as usize, "t-{n} heard every order");
        assert!(ids.values().all(|heard| *heard == 1), "t-{n} heard each once");
    }
    assert!(p99 < Duration::from_secs(30) + 5 * p99_alone, "{p99:?} with the sick, {p99_alone:?} without");

    // The sick ones: each order was tried or skipped with a reason, was given up in time, and is still there for the tail.
    let handed = u64::from(count) * targets.len() as u64;
    until("the sick ones' orders were given up", async || *rig.told.settled.lock().unwrap() as u64 == handed).await;
    let sick = u64::from(count) * (targets.len() - WELL) as u64;
    assert_eq!(rig.count("handed"), handed);
    assert_eq!(rig.count("sent"), u64::from(count) * WELL as u64);
    assert_eq!(rig.count("gave-up"), sick);
    until("the gauge has caught up", async || rig.waiting() == sick).await;
    assert_eq!(rig.unaccounted(), 0);
    assert_eq!(*reached.lock().unwrap(), 0, "no redirect was followed");
    assert!(rig.count("skipped") > 0, "the circuits opened");
    let mut reasons: BTreeMap<(String, String), usize> = BTreeMap::new();
    for (n, target) in targets.iter().enumerate().skip(WELL) {
        let query = Query { target: Some(format!("t-{n}").into()), limit: usize::MAX - 1, ..Query::default() };
        let (lines, _) = rig.log.find(&query);
        for line in &lines {
            assert!(!line.reason.is_empty() && line.did != Did::Sent, "{line:?}");
            *reasons.entry((line.did.as_str().into(), line.reason.to_string())).or_default() += 1;
        }
        let ends = lines.iter().filter(|l| l.did == Did::GaveUp).count();
        assert_eq!(ends, count as usize, "t-{n}: each order was given up once");
        // The bottom line passes the breaker: every fifth order was tried, whatever had happened before.
        if n < WELL + BROKEN {
            assert!(target.ids().len() >= count as usize / 5, "t-{n} was asked for every order of the bottom line");
        }
    }
    eprintln!("what became of the rest: {reasons:#?}");
    // An order that a healthy target took is sent, and never failed.
    let outcomes = rig.told.outcomes.lock().unwrap();
    assert_eq!(outcomes.len(), count as usize, "each order is sent once, by whoever was first");
    assert!(outcomes.iter().all(|(.., outcome)| *outcome == muster::engine::DeliveryOutcome::Sent));
}
