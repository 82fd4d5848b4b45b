//! The door's governor: so many ordinary reports a second from one source, and so many in all; the rest is told to come
//! again. Bottom-line reports pass it: the fifth of the door that ordinary traffic never gets is theirs, and more.
//!
//! Where there is access control a source is whoever's token it is, whatever it calls itself; and everybody's reads are
//! limited too, each by its own share.
//!
//! Keys are bounded: beyond `rate_sources_max` sources at once, new ones share one key. Keys that have rested are swept
//! on a timer.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, NotUntil, Quota, RateLimiter};
use smol_str::SmolStr;

use super::Options;
use crate::access;
use crate::model::Lane;

type Keyed = RateLimiter<SmolStr, governor::state::keyed::HashMapStateStore<SmolStr>, DefaultClock>;

/// Holds back ordinary traffic.
#[derive(Debug)]
pub struct Governor {
    sources: Keyed,
    callers: Keyed,
    door: DefaultDirectRateLimiter,
    sources_max: usize,
    clock: DefaultClock,
}

/// What new sources share once there are too many. No source has this name: it is not empty on the wire.
const OTHERS: SmolStr = SmolStr::new_static("");

impl Governor {
    /// One with these rates; a fifth of the door's is kept for the bottom line.
    #[must_use]
    pub fn new(options: &Options, access: &access::Options) -> Self {
        let caller = Quota::per_second(access.rate_per_principal).allow_burst(access.rate_burst);
        let source = Quota::per_second(options.rate_per_source).allow_burst(options.rate_burst);
        let ordinary = options.rate_total.get() / 5 * 4 + options.rate_total.get() % 5 * 4 / 5;
        Self {
            sources: RateLimiter::hashmap(source),
            callers: RateLimiter::hashmap(caller),
            door: RateLimiter::direct(Quota::per_second(NonZeroU32::new(ordinary).unwrap_or(NonZeroU32::MIN))),
            sources_max: options.rate_sources_max,
            clock: DefaultClock::default(),
        }
    }

    /// Lets it pass, or says after how long to come again.
    ///
    /// # Errors
    /// The time to wait.
    pub fn admit(&self, source: &str, lane: Lane) -> Result<(), Duration> {
        if lane == Lane::BottomLine {
            return Ok(());
        }
        let wait = |not_until: NotUntil<_>| not_until.wait_time_from(self.clock.now());
        let key = if self.sources.len() < self.sources_max { SmolStr::from(source) } else { OTHERS };
        self.sources.check_key(&key).map_err(wait)?;
        self.door.check().map_err(wait)
    }

    /// Lets a read of this principal pass, or says after how long to come again. Principals are as many as the file of tokens
    /// holds.
    ///
    /// # Errors
    /// The time to wait.
    pub fn admit_caller(&self, id: &SmolStr) -> Result<(), Duration> {
        self.callers.check_key(id).map_err(|not_until| not_until.wait_time_from(self.clock.now()))
    }

    /// Forgets sources that have rested. Called on a timer.
    pub fn sweep(&self) {
        self.callers.retain_recent();
        self.callers.shrink_to_fit();
        self.sources.retain_recent();
        self.sources.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn governor(per_source: u32, total: u32, sources_max: usize) -> Governor {
        let n = |n| NonZeroU32::new(n).unwrap();
        let rates = (n(per_source), n(per_source), n(total));
        let (rate_per_source, rate_burst, rate_total) = rates;
        let options =
            Options { rate_per_source, rate_burst, rate_total, rate_sources_max: sources_max, ..Options::default() };
        Governor::new(&options, &access::Options { rate_per_principal: n(3), rate_burst: n(3), ..Default::default() })
    }

    #[test]
    fn one_source_cannot_take_the_others_share() {
        let g = governor(2, 1000, 100);
        let (loud, calm) = ("loud", "calm");
        let loud_passed = (0..50).filter(|_| g.admit(loud, Lane::Ordinary).is_ok()).count();
        assert!((2..=3).contains(&loud_passed), "{loud_passed}");
        assert!(g.admit(loud, Lane::Ordinary).unwrap_err() <= Duration::from_secs(1));
        assert_eq!(g.admit(calm, Lane::Ordinary), Ok(()));
    }

    #[test]
    fn one_principal_cannot_read_another_off_the_door() {
        let g = governor(1, 1, 1);
        let passed = (0..50).filter(|_| g.admit_caller(&"desk-1".into()).is_ok()).count();
        assert!((3..=4).contains(&passed), "{passed}");
        assert_eq!(g.admit_caller(&"desk-2".into()), Ok(()));
    }

    #[test]
    fn the_bottom_line_passes_whatever_ordinary_traffic_took() {
        let g = governor(1000, 10, 100);
        let source = "app";
        let passed = (0..100).filter(|_| g.admit(source, Lane::Ordinary).is_ok()).count();
        assert!((8..=9).contains(&passed), "a fifth of ten is kept: {passed}");
        assert!((0..100).all(|_| g.admit(source, Lane::BottomLine).is_ok()));
    }

    #[test]
    fn names_made_up_by_the_thousand_share_one_key() {
        let g = governor(5, 1_000_000, 10);
        let passed = (0..5000).filter(|n| g.admit(&format!("s{n}"), Lane::Ordinary).is_ok()).count();
        assert!(passed < 100, "{passed}");
        assert!(g.sources.len() <= 11);
        // The share a rested key is forgotten after: all of its burst has come back.
        std::thread::sleep(Duration::from_millis(1500));
        g.sweep();
        assert_eq!(g.sources.len(), 0);
    }
}
