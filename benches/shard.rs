//! The shard as a whole (door, queue, engine, embedded journal), in real time on the wall clock, with the shipped
//! playbook. No criterion: what counts are tails over some minutes, not the mean of one call.
//!
//! * `lanes`: how long a bottom-line report waits for its answer: alone, under 50 ordinary ones for each, and under as many
//!   ordinary ones as the queue takes. The 20/80 rule promises: p99 within twice of idle.
//! * `marks`: how late marks fire while thousands of incidents are open that nobody looks after. The promise: 100 ms at p99.
//!
//! `cargo bench --bench shard -- lanes` or `-- marks [open incidents a second] [seconds]`.
#![allow(clippy::disallowed_methods, reason = "measures real time")]
#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::print_stdout,
    reason = "prints figures for people"
)]

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use muster::classify::verdict;
use muster::config::playbook::load_dir;
use muster::journal::{JournalOptions, Sqlite};
use muster::model::{Body, Digest, Event, FreeText, Lane, Meta, Millis, Position, Report, Timestamp};
use muster::runtime::{Clock, Handle, Observer, Running, Setup, Sorter};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let number = |n: usize, default: u64| arguments.get(n).and_then(|a| a.parse().ok()).unwrap_or(default);
    match arguments.first().map(String::as_str) {
        Some("marks") => marks(number(1, 170), number(2, 60)),
        Some("lanes") => lanes(number(1, 20), number(2, 15)),
        _ => {
            lanes(20, 10);
            marks(100, 20);
        }
    }
}

// The city

struct City {
    running: Running,
    late: Arc<Late>,
    /// Removed with the city.
    _folder: tempfile::TempDir,
}

#[derive(Default)]
struct Late {
    marks: Mutex<Vec<Duration>>,
    appends: Mutex<Vec<Duration>>,
}

impl Observer for Late {
    fn fired(&self, late: Millis) {
        self.marks.lock().expect("no panic").push(Duration::from_millis(late.0));
    }

    fn accepted(&self, _: &muster::journal::Step, spent: Duration) {
        self.appends.lock().expect("no panic").push(spent);
    }
}

impl City {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder for the bench");
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/playbooks/hengyang");
        let playbook = Arc::new(load_dir(&dir, None).expect("the shipped playbook loads"));
        let options = JournalOptions { path: folder.path().into(), ..JournalOptions::default() };
        let clock = Clock::wall();
        let journal = Sqlite::open(&options, &playbook.head.command_area, clock.now()).expect("a journal");
        let sorter: Sorter = Arc::new(|playbook, event| match &event.body {
            Body::Report(report) => Some(verdict(playbook, &event.meta, report, event.received)),
            _ => None,
        });
        let late = Arc::<Late>::default();
        let mut setup = Setup::new(playbook, Box::new(journal), clock, sorter);
        (setup.undelivered, setup.observer) = (true, Arc::clone(&late) as _);
        let running = setup.open().expect("opens").run().expect("runs");
        Self { running, late, _folder: folder }
    }

    fn end(self) {
        self.running.handle.close();
        self.running.join().expect("a clean end");
    }
}

/// A report somewhere in the city, in another place for each number.
fn report(id: usize, text: &str) -> Event {
    let spread = |n: usize, step: f64| (n % 500) as f64 * step;
    let mut report = Report { text: FreeText::from(text), ..Report::default() };
    report.place.position =
        Some(Position { lon: 112.40 + spread(id, 0.0008), lat: 26.75 + spread(id * 7 / 500, 0.0006) });
    let digest = Digest::of(&id.to_be_bytes());
    let id = format!("{text}-{id}");
    let meta = Meta { source: "110/desk-1".into(), id: id.as_str().into(), time: None, traceparent: None, digest };
    Event { meta, received: Timestamp(0), body: Body::Report(Box::new(report)) }
}

const URGENT: &str = "有人持刀砍人";
const ORDINARY: &str = "楼上噪音扰民";

// Lanes

fn lanes(per_second: u64, seconds: u64) {
    println!("lanes: answers to {per_second} bottom-line reports a second, for {seconds} s each");
    let idle = measure("alone", per_second, seconds, Flood::None);
    let fifty = measure("with 50 ordinary for each", per_second, seconds, Flood::Rate(per_second * 50));
    let full = measure("with all the queue takes", per_second, seconds, Flood::Full);
    let ratio = |p: Duration| p.as_secs_f64() / idle.as_secs_f64();
    println!("  p99 against idle: {:.2} under 50×, {:.2} with a full queue", ratio(fifty), ratio(full));
}

#[derive(Clone, Copy)]
enum Flood {
    None,
    /// Ordinary reports a second.
    Rate(u64),
    /// The ordinary share of the queue is always full.
    Full,
}

fn measure(what: &str, per_second: u64, seconds: u64, flood: Flood) -> Duration {
    let city = City::new();
    let handle = &city.running.handle;
    let check = handle.judge(&report(0, URGENT)).map(|v| v.classification.lane);
    assert_eq!(check, Some(Lane::BottomLine), "the text is a bottom-line one");
    assert_eq!(handle.judge(&report(0, ORDINARY)).map(|v| v.classification.lane), Some(Lane::Ordinary));
    let (over, flooded) = (AtomicBool::new(false), AtomicUsize::new(0));
    let mut waits = std::thread::scope(|scope| {
        scope.spawn(|| flood_with(handle, flood, &over, &flooded));
        // The queue fills before anything is measured.
        std::thread::sleep(Duration::from_secs(1));
        let mut waits = Vec::new();
        let mut next = Instant::now();
        for n in 0..per_second * seconds {
            next += Duration::from_secs(1) / u32::try_from(per_second).expect("some");
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
            let begun = Instant::now();
            handle.submit(report(usize::try_from(n).expect("few"), URGENT)).wait().expect("the bottom line is taken");
            waits.push(begun.elapsed());
        }
        over.store(true, Ordering::SeqCst);
        waits
    });
    let taken = flooded.load(Ordering::SeqCst);
    let rate = taken as f64 / (seconds + 1) as f64;
    let p99 = show(&format!("{what} ({rate:.0}/s taken)"), &mut waits);
    show("    append", &mut std::mem::take(&mut *city.late.appends.lock().expect("no panic")));
    city.end();
    p99
}

fn flood_with(handle: &Handle, flood: Flood, over: &AtomicBool, taken: &AtomicUsize) {
    let mut n = 1_000_000;
    let begun = Instant::now();
    while !over.load(Ordering::SeqCst) {
        let wanted = match flood {
            Flood::None => 0,
            Flood::Rate(rate) => {
                let due = (begun.elapsed().as_secs_f64() * rate as f64) as usize;
                due.saturating_sub(taken.load(Ordering::SeqCst))
            }
            Flood::Full => {
                let (waiting, limit) = handle.status().ordinary;
                limit.saturating_sub(waiting)
            }
        };
        let events: Vec<_> = (0..wanted).map(|i| report(n + i, ORDINARY)).collect();
        n += wanted;
        // Nobody waits for these: what is refused is refused.
        drop(handle.submit_many(events));
        taken.fetch_add(wanted, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(5));
    }
}

// Marks

fn marks(per_second: u64, seconds: u64) {
    let city = City::new();
    let handle = &city.running.handle;
    let mut next = Instant::now();
    for n in 0..per_second * seconds {
        next += Duration::from_secs(1) / u32::try_from(per_second).expect("some");
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
        let text = if n % 10 == 0 { URGENT } else { ORDINARY };
        drop(handle.submit(report(usize::try_from(n * 3).expect("few"), text)));
    }
    let opened = Instant::now();
    city.late.marks.lock().expect("no panic").clear();
    // Everybody's first marks fall due within the next minutes, as spread as the reports were.
    std::thread::sleep(Duration::from_secs(seconds + 120));
    println!("marks: {} reports that nobody looks after, watched for {:.0?}", per_second * seconds, opened.elapsed());
    show("late", &mut std::mem::take(&mut *city.late.marks.lock().expect("no panic")));
    show("append", &mut std::mem::take(&mut *city.late.appends.lock().expect("no panic")));
    city.end();
}

/// Prints the quantiles and returns the p99.
fn show(what: &str, spans: &mut [Duration]) -> Duration {
    spans.sort_unstable();
    if spans.is_empty() {
        println!("  {what}: none");
        return Duration::ZERO;
    }
    let at = |q: usize| spans[(spans.len() - 1) * q / 1000];
    println!(
        "  {what}: n {} p50 {:.1?} p90 {:.1?} p99 {:.1?} p99.9 {:.1?} max {:.1?}",
        spans.len(),
        at(500),
        at(900),
        at(990),
        at(999),
        at(1000)
    );
    at(990)
}
