//! The circuit breaker of one target: after some failures in a row nobody asks it any more, but for one probe now and
//! then; the probe that succeeds closes the circuit.
//!
//! It only spares us useless attempts. What it holds back counts as a failed attempt of its message, so that an order
//! goes on to the next post no later than if the attempt had been made. The bottom line passes it.

use std::time::Duration;

use tokio::time::Instant;

/// A pause grows to at most so many times the first one.
const PAUSE_GROWS_TO: u32 = 6;

/// Whether a target is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Circuit {
    /// Asked.
    Closed,
    /// Not asked until the pause is over.
    Open,
    /// One probe is under way.
    HalfOpen,
}

impl Circuit {
    /// The label of the metric.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
        }
    }
}

/// See the module.
#[derive(Debug)]
pub struct Breaker {
    /// So many failures in a row open it.
    limit: u32,
    pause: Duration,
    state: Circuit,
    failures: u32,
    opened: u32,
    until: Option<Instant>,
}

impl Breaker {
    /// A closed one.
    #[must_use]
    pub fn new(limit: u32, pause: Duration) -> Self {
        Self { limit: limit.max(1), pause, state: Circuit::Closed, failures: 0, opened: 0, until: None }
    }

    /// Where it stands.
    #[must_use]
    pub fn state(&self) -> Circuit {
        self.state
    }

    /// Whether an attempt may be made now. An open one whose pause is over lets this one through as its probe.
    pub fn admits(&mut self, now: Instant) -> bool {
        match self.state {
            Circuit::Closed => true,
            Circuit::HalfOpen => false,
            Circuit::Open => {
                let over = self.until.is_none_or(|until| now >= until);
                if over {
                    self.state = Circuit::HalfOpen;
                }
                over
            }
        }
    }

    /// An attempt succeeded. Whether this closed it.
    pub fn succeeded(&mut self) -> bool {
        let closed = self.state != Circuit::Closed;
        (self.state, self.failures, self.opened, self.until) = (Circuit::Closed, 0, 0, None);
        closed
    }

    /// An attempt failed. Whether this opened it.
    pub fn failed(&mut self, now: Instant) -> bool {
        self.failures = self.failures.saturating_add(1);
        let opens = match self.state {
            Circuit::Closed => self.failures >= self.limit,
            Circuit::HalfOpen => true,
            Circuit::Open => false,
        };
        if opens {
            self.opened = (self.opened + 1).min(PAUSE_GROWS_TO);
            (self.state, self.until) = (Circuit::Open, Some(now + self.pause * self.opened));
        }
        opens
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_probes_and_closes() {
        let pause = Duration::from_secs(10);
        let mut breaker = Breaker::new(3, pause);
        let now = Instant::now();
        assert!(!breaker.failed(now) && !breaker.failed(now));
        assert!(!breaker.succeeded(), "it was closed all along");
        assert!(!breaker.failed(now) && !breaker.failed(now), "the count began anew");
        assert!(breaker.failed(now), "the third in a row");
        assert!(!breaker.admits(now));
        let later = now + pause;
        assert!(breaker.admits(later), "one probe");
        assert!(!breaker.admits(later), "and no other beside it");
        assert!(breaker.failed(later));
        assert!(!breaker.admits(later + pause), "the pause grows");
        assert!(breaker.admits(later + 2 * pause));
        assert!(breaker.succeeded());
        assert_eq!(breaker.state(), Circuit::Closed);
        assert!(breaker.admits(later));
    }
}
