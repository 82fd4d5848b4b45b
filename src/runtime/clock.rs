//! The one real clock. Everybody else is told what time it is.
//!
//! Three clocks share one type, so that what runs in a drill is what runs at night:
//! * [`Clock::wall`] is monotonic and anchored to the wall once, at the start. A wall that is set forward or back
//!   later does not move it (a mark that is due in a minute stays due in a minute); [`Clock::check`] tells of the step.
//!   A machine that slept is another matter: there time really passed, so the clock moves on by as much.
//! * [`Clock::scaled`] runs so many times as fast, from a chosen instant: for demonstrations and training.
//! * [`Clock::driven`] stands still until its [`Driver`] moves it: for tests and for `--speed max`.
//!
//! Invariant: no clock ever runs backwards. Where the wall is behind the last accepted step (it was set back while we
//! were down), time runs on from that step: [`Clock::run_on_from`].

#![expect(clippy::disallowed_methods, reason = "this is the rightful place of the real clock")]

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use crate::model::{Millis, Timestamp};

/// A step of the wall clock smaller than this is drift, and not told.
pub const STEP_MIN: Millis = Millis(1_000);

type Waker = Box<dyn Fn() + Send + Sync>;

/// What time it is. Cheap to clone; all clones are one clock.
#[derive(Clone)]
pub struct Clock(Arc<Inner>);

struct Inner {
    kind: Kind,
    /// Told whenever a driven clock has been moved.
    wakers: Mutex<Vec<Waker>>,
}

enum Kind {
    Running {
        origin: Instant,
        factor: f64,
        /// The instant at `origin`, in milliseconds.
        start: AtomicI64,
        wall: Option<Mutex<Wall>>,
    },
    Driven {
        now: AtomicI64,
    },
}

/// What the last check saw, each relative to the monotonic clock.
#[derive(Clone, Copy)]
struct Wall {
    /// The wall's distance from our time, in milliseconds.
    ahead: i64,
    /// Milliseconds the machine has slept since we started.
    slept: i64,
}

/// How long to wait for an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// It has come.
    None,
    /// At most so long.
    For(Duration),
    /// Until somebody moves the clock.
    UntilMoved,
}

/// What happened to the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It was set, by so many milliseconds. Our time did not follow.
    Set {
        /// Positive when it was set forward.
        by_ms: i64,
    },
    /// The machine slept, and our time has moved on by as much.
    Slept {
        /// For so long.
        by: Millis,
    },
}

/// Moves a driven clock.
#[derive(Clone)]
pub struct Driver(Clock);

impl Clock {
    /// Monotonic, anchored to the wall now.
    #[must_use]
    pub fn wall() -> Self {
        let wall = Wall { ahead: 0, slept: slept(Duration::ZERO).unwrap_or(0) };
        Self::running(wall_now(), 1.0, Some(Mutex::new(wall)))
    }

    /// Runs `factor` times as fast as the wall, from `start`. A factor of 0 or less stands still.
    #[must_use]
    pub fn scaled(start: Timestamp, factor: f64) -> Self {
        Self::running(start.0, factor.max(0.0), None)
    }

    /// Stands still at `start` until its driver moves it.
    #[must_use]
    pub fn driven(start: Timestamp) -> (Self, Driver) {
        let clock = Self::of(Kind::Driven { now: AtomicI64::new(start.0) });
        (clock.clone(), Driver(clock))
    }

    fn running(start: i64, factor: f64, wall: Option<Mutex<Wall>>) -> Self {
        Self::of(Kind::Running { origin: Instant::now(), factor, start: AtomicI64::new(start), wall })
    }

    fn of(kind: Kind) -> Self {
        Self(Arc::new(Inner { kind, wakers: Mutex::new(Vec::new()) }))
    }

    /// What time it is.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match &self.0.kind {
            Kind::Running { origin, factor, start, .. } => {
                Timestamp(start.load(Ordering::SeqCst).saturating_add(scale(origin.elapsed(), *factor)))
            }
            Kind::Driven { now } => Timestamp(now.load(Ordering::SeqCst)),
        }
    }

    /// How long to wait until `due`.
    #[must_use]
    pub fn until(&self, due: Timestamp) -> Wait {
        let ahead = due.since(self.now());
        match &self.0.kind {
            _ if ahead == Millis::ZERO => Wait::None,
            Kind::Driven { .. } => Wait::UntilMoved,
            Kind::Running { factor, .. } if *factor <= 0.0 => Wait::UntilMoved,
            Kind::Running { factor, .. } => {
                Wait::For(Duration::try_from_secs_f64(ahead.as_secs_f64() / factor).unwrap_or(Duration::MAX))
            }
        }
    }

    /// What a span of real time is on this clock; `None` when somebody drives it.
    #[must_use]
    pub fn span(&self, real: Duration) -> Option<Millis> {
        match &self.0.kind {
            Kind::Running { factor, .. } => Some(Millis(scale(real, *factor).unsigned_abs())),
            Kind::Driven { .. } => None,
        }
    }

    /// Never before `last` again: where the clock is behind it, time runs on from there.
    pub fn run_on_from(&self, last: Timestamp) {
        match &self.0.kind {
            Kind::Running { start, wall, .. } => {
                let mut wall = wall.as_ref().map(|w| w.lock().unwrap_or_else(PoisonError::into_inner));
                let behind = i64::try_from(last.since(self.now()).0).unwrap_or(i64::MAX);
                start.fetch_add(behind, Ordering::SeqCst);
                if let Some(wall) = &mut wall {
                    wall.ahead = wall.ahead.saturating_sub(behind);
                }
            }
            Kind::Driven { now } => _ = now.fetch_max(last.0, Ordering::SeqCst),
        }
    }

    /// Whether the wall clock was set, or the machine slept, since the last call. To be asked about once a second.
    #[must_use]
    pub fn check(&self) -> Option<Step> {
        let Kind::Running { origin, start, wall: Some(wall), .. } = &self.0.kind else { return None };
        let mut wall = wall.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = Wall {
            ahead: wall_now().saturating_sub(self.now().0),
            slept: slept(origin.elapsed()).unwrap_or(wall.slept),
        };
        let step = judge(*wall, seen);
        match step {
            Some(Step::Slept { by }) => {
                let by = i64::try_from(by.0).unwrap_or(i64::MAX);
                start.fetch_add(by, Ordering::SeqCst);
                *wall = Wall { ahead: seen.ahead.saturating_sub(by), slept: seen.slept };
            }
            Some(Step::Set { .. }) => *wall = seen,
            None => {}
        }
        step
    }

    /// Calls `waker` whenever a driven clock has been moved. The shard registers itself here.
    pub fn on_move(&self, waker: impl Fn() + Send + Sync + 'static) {
        self.0.wakers.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(waker));
    }
}

impl Driver {
    /// Moves the clock to `to`, and wakes who waits for it. A clock never runs backwards: an earlier instant does nothing.
    pub fn set(&self, to: Timestamp) {
        self.0.run_on_from(to);
        for wake in &*self.0.0.wakers.lock().unwrap_or_else(PoisonError::into_inner) {
            wake();
        }
    }

    /// Moves the clock on by `span`.
    pub fn advance(&self, span: Millis) {
        self.set(self.0.now() + span);
    }

    /// The clock that is driven.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.0.clone()
    }
}

/// What a change between two checks means: what the machine slept explains as much of the wall's step.
fn judge(before: Wall, seen: Wall) -> Option<Step> {
    let least = i64::try_from(STEP_MIN.0).unwrap_or(i64::MAX);
    let slept = seen.slept.saturating_sub(before.slept);
    if slept >= least {
        return Some(Step::Slept { by: Millis(slept.unsigned_abs()) });
    }
    let by_ms = seen.ahead.saturating_sub(before.ahead);
    (by_ms.abs() >= least).then_some(Step::Set { by_ms })
}

/// The wall, in milliseconds since 1970.
fn wall_now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX))
}

/// The machine's uptime, which counts sleep, less our own running time, which does not; in milliseconds. A difference of
/// two such readings is the sleep between them. Where the machine does not tell, sleep looks like a step of the wall.
fn slept(running: Duration) -> Option<i64> {
    let uptime: f64 = std::fs::read_to_string("/proc/uptime").ok()?.split_whitespace().next()?.parse().ok()?;
    Some(scale(Duration::try_from_secs_f64(uptime).ok()?.saturating_sub(running), 1.0))
}

#[expect(clippy::cast_possible_truncation, reason = "milliseconds of any real span fit, and the cast saturates")]
fn scale(span: Duration, factor: f64) -> i64 {
    (span.as_secs_f64() * factor * 1000.0) as i64
}

impl std::fmt::Debug for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Clock({})", self.now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_driven_clock_moves_only_forward_and_wakes() {
        let (clock, driver) = Clock::driven(Timestamp(1_000));
        let woken = Arc::new(AtomicI64::new(0));
        let seen = Arc::clone(&woken);
        clock.on_move(move || _ = seen.fetch_add(1, Ordering::SeqCst));
        assert_eq!(clock.until(Timestamp(1_001)), Wait::UntilMoved);
        driver.advance(Millis(500));
        driver.set(Timestamp(700));
        assert_eq!(clock.now(), Timestamp(1_500));
        assert_eq!(clock.until(Timestamp(1_500)), Wait::None);
        assert_eq!(woken.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn a_scaled_clock_waits_as_much_less() {
        let clock = Clock::scaled(Timestamp(0), 60.0);
        let Wait::For(wait) = clock.until(Timestamp(60_000)) else { panic!("a minute is a second") };
        assert!(wait <= Duration::from_secs(1) && wait > Duration::from_millis(900), "{wait:?}");
        assert_eq!(Clock::scaled(Timestamp(5), 0.0).until(Timestamp(6)), Wait::UntilMoved);
    }

    #[test]
    fn time_runs_on_from_the_last_step_when_the_wall_is_behind_it() {
        let clock = Clock::wall();
        let last = clock.now() + Millis::from_mins(60);
        clock.run_on_from(last);
        assert!(clock.now() >= last && clock.now() < last + Millis(500));
        clock.run_on_from(Timestamp(0));
        assert!(clock.now() >= last);
    }

    #[test]
    fn a_quiet_wall_has_taken_no_step() {
        let clock = Clock::wall();
        assert_eq!((clock.check(), clock.check()), (None, None));
        clock.run_on_from(clock.now() + Millis::from_mins(5));
        assert_eq!(clock.check(), None, "running on is our own doing, not the wall's");
        assert_eq!(Clock::scaled(Timestamp(0), 1.0).check(), None);
    }

    #[test]
    fn sleep_moves_time_and_a_set_wall_does_not() {
        let before = Wall { ahead: 0, slept: 100 };
        let slept = judge(before, Wall { ahead: 60_000, slept: 60_100 });
        assert_eq!(slept, Some(Step::Slept { by: Millis(60_000) }));
        assert_eq!(judge(before, Wall { ahead: -5_000, slept: 100 }), Some(Step::Set { by_ms: -5_000 }));
        assert_eq!(judge(before, Wall { ahead: 900, slept: 100 }), None);
    }
}
