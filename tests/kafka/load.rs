//! What the tests that break things have in common: how long they take, when what breaks, and the reports that go in
//! meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::outside::Reports;

/// `MUSTER_LONG=1`: as often and as much as it takes to believe it. Otherwise a few of each.
pub fn is_long() -> bool {
    std::env::var_os("MUSTER_LONG").is_some()
}

/// Waits for something, at most so long. How long it took.
pub fn until(what: &str, at_most: Duration, mut there: impl FnMut() -> bool) -> Duration {
    let began = Instant::now();
    while !there() {
        assert!(began.elapsed() < at_most, "{what} has not come within {at_most:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
    began.elapsed()
}

/// A seeded order of moments (SplitMix64).
pub struct Chance(u64);

impl Chance {
    /// Of `MUSTER_SEED`, which is printed.
    pub fn new() -> Self {
        let seed = std::env::var("MUSTER_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(7);
        println!("MUSTER_SEED={seed}");
        Self(seed)
    }

    pub fn between(&mut self, from: u64, to: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        from + (z ^ (z >> 31)) % (to - from)
    }
}

/// Reports that go in at a steady pace until told to end.
pub struct Load {
    ends: Arc<AtomicBool>,
    sent: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

impl Load {
    /// All of them for the city that this repository ships, in the first partition.
    pub fn start(brokers: &str, a_second: u32) -> Self {
        Self::of(brokers, a_second, |reports, n| reports.send("4304", 0, n))
    }

    /// The report of each number is sent by `send`.
    pub fn of(brokers: &str, a_second: u32, send: impl Fn(&Reports, usize) + Send + 'static) -> Self {
        let (ends, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let reports = Reports::to(brokers);
        let (told, count) = (Arc::clone(&ends), Arc::clone(&sent));
        let thread = std::thread::spawn(move || {
            let began = Instant::now();
            while !told.load(Ordering::Acquire) {
                let due = (began.elapsed().as_secs_f64() * f64::from(a_second)) as usize;
                while count.load(Ordering::Acquire) < due {
                    let n = count.fetch_add(1, Ordering::AcqRel);
                    send(&reports, n);
                }
                std::thread::sleep(Duration::from_millis(2));
            }
            reports.flush();
        });
        Self { ends, sent, thread: Some(thread) }
    }

    /// Ends it; how many were sent, all of them taken by the brokers.
    pub fn end(mut self) -> usize {
        self.ends.store(true, Ordering::Release);
        self.thread.take().unwrap().join().unwrap();
        self.sent.load(Ordering::Acquire)
    }
}
