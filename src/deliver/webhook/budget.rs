//! The budget of one target: so many attempts a second, of which a fifth is kept for the bottom line.
//!
//! A bucket that holds one second's worth. Ordinary attempts may draw it down to the reserve; the bottom line draws
//! whatever is there and is never told to wait, even where nothing is left.

use std::time::Duration;

use tokio::time::Instant;

/// See the module.
#[derive(Debug)]
pub struct Budget {
    /// Attempts a second; 0 is without a bound.
    per_second: f64,
    /// What ordinary attempts leave in the bucket.
    reserve: f64,
    left: f64,
    at: Instant,
}

impl Budget {
    /// A full one. `reserve_percent` of it are the bottom line's alone.
    #[must_use]
    pub fn new(per_second: u32, reserve_percent: usize, now: Instant) -> Self {
        let per_second = f64::from(per_second);
        let percent = f64::from(u8::try_from(reserve_percent.min(99)).unwrap_or(99));
        // At least one attempt a second is left for the ordinary ones.
        let reserve = (per_second * percent / 100.0).min((per_second - 1.0).max(0.0));
        Self { per_second, reserve, left: per_second, at: now }
    }

    /// How long an ordinary attempt has to wait; zero: it may go now.
    pub fn wait(&mut self, now: Instant) -> Duration {
        self.fill(now);
        let lacks = self.reserve + 1.0 - self.left;
        if self.per_second == 0.0 || lacks <= 0.0 {
            return Duration::ZERO;
        }
        Duration::from_secs_f64(lacks / self.per_second).max(Duration::from_millis(1))
    }

    /// An attempt is made.
    pub fn spend(&mut self, now: Instant) {
        self.fill(now);
        self.left = (self.left - 1.0).max(0.0);
    }

    fn fill(&mut self, now: Instant) {
        let gone = now.saturating_duration_since(self.at).as_secs_f64();
        (self.left, self.at) = ((self.left + gone * self.per_second).min(self.per_second), now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fifth_is_kept_for_the_bottom_line() {
        let now = Instant::now();
        let mut budget = Budget::new(10, 20, now);
        let mut ordinary = 0;
        while budget.wait(now).is_zero() {
            budget.spend(now);
            ordinary += 1;
        }
        assert_eq!(ordinary, 8);
        for _ in 0..20 {
            budget.spend(now);
        }
        assert_eq!(budget.wait(now), Duration::from_millis(300), "two of the reserve and its own");
        assert!(budget.wait(now + Duration::from_millis(300)).is_zero());
        assert!(Budget::new(0, 20, now).wait(now).is_zero(), "without a bound");
        assert!(Budget::new(1, 20, now).wait(now).is_zero(), "one a second is one for everybody");
    }
}
