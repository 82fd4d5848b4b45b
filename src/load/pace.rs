//! The open loop: each request has an instant at which it is meant to be sent, whatever became of those before it.
//!
//! A connection that is free takes the next ticket and waits for its instant; where all are busy the next ticket is taken
//! late. Latency counts from the instant that was meant, so a server that stands still for a second is charged with all who
//! would have come in that second (Tene's "coordinated omission"). Two lags are told apart: a ticket that was taken in time
//! and sent late is the *driver's* (its timer, its processor); one that was taken late is the *wait* for a connection.

use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How the rate is spread over the span: weights of slots of one length, gone through once.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    /// Where each slot ends, as a share of all.
    ends: Vec<f64>,
}

impl Shape {
    /// The same rate all the time.
    #[must_use]
    pub fn even() -> Self {
        Self::of(&[1])
    }

    /// These weights, one slot each: a day's hours, for example. Without any weight it is even.
    #[must_use]
    pub fn of(weights: &[u32]) -> Self {
        let all: f64 = weights.iter().map(|w| f64::from(*w)).sum();
        if all <= 0.0 {
            return Self { ends: vec![1.0] };
        }
        let mut sum = 0.0;
        let end = |w: &u32| {
            sum += f64::from(*w) / all;
            sum
        };
        Self { ends: weights.iter().map(end).collect() }
    }

    /// The rate rises to so many times the rest for a tenth of every `every`.
    #[must_use]
    pub fn bursts(bursts: Bursts, span: Duration) -> Self {
        const SLOTS: usize = 10;
        let periods = (span.as_secs_f64() / bursts.every.as_secs_f64()).ceil().clamp(1.0, 10_000.0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped just above")]
        let slots = periods as usize * SLOTS;
        let weights: Vec<u32> = (0..slots).map(|n| if n % SLOTS == 0 { bursts.times } else { 1 }).collect();
        Self::of(&weights)
    }

    /// At which share of the span this share of the requests has been sent.
    #[must_use]
    pub fn at(&self, share: f64) -> f64 {
        let slot = self.ends.partition_point(|end| *end <= share).min(self.ends.len() - 1);
        let from = if slot == 0 { 0.0 } else { self.ends[slot - 1] };
        let within = if self.ends[slot] > from { (share - from) / (self.ends[slot] - from) } else { 0.0 };
        #[expect(clippy::cast_precision_loss, reason = "slots are few")]
        let at = (slot as f64 + within) / self.ends.len() as f64;
        at.min(1.0)
    }
}

/// `5x/10s`: five times the rate, once every ten seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bursts {
    /// How many times the rate of the rest.
    pub times: u32,
    /// How often.
    pub every: Duration,
}

impl FromStr for Bursts {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no burst; write how much and how often, such as 5x/10s");
        let (times, every) = text.split_once('/').ok_or_else(wrong)?;
        let times = times.trim_end_matches('x').parse().map_err(|_| wrong())?;
        let every: crate::model::Millis = every.parse().map_err(|_| wrong())?;
        if times == 0 || every.0 == 0 {
            return Err(wrong());
        }
        Ok(Self { times, every: Duration::from_millis(every.0) })
    }
}

/// The tickets of one run of requests.
#[derive(Debug)]
pub struct Tickets {
    shape: Shape,
    begin: Instant,
    span: Duration,
    requests: u64,
    next: AtomicU64,
}

/// One request: its number, and when it is meant to be sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ticket {
    /// From 0.
    pub number: u64,
    /// When.
    pub intended: Instant,
}

impl Tickets {
    /// So many requests over the span.
    #[must_use]
    pub fn new(shape: Shape, begin: Instant, span: Duration, requests: u64) -> Self {
        Self { shape, begin, span, requests, next: AtomicU64::new(0) }
    }

    /// The next one; `None` when all are taken.
    pub fn take(&self) -> Option<Ticket> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        (number < self.requests).then(|| Ticket { number, intended: self.intended(number) })
    }

    /// When the request of this number is meant to be sent.
    #[must_use]
    pub fn intended(&self, number: u64) -> Instant {
        #[expect(clippy::cast_precision_loss, reason = "fifty-two bits number more requests than a run has")]
        let share = number as f64 / self.requests.max(1) as f64;
        self.begin + self.span.mul_f64(self.shape.at(share))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_even_rate_is_even_and_a_burst_is_not() {
        let even = Shape::even();
        assert!((even.at(0.25) - 0.25).abs() < 1e-9 && even.at(1.0) <= 1.0);
        // Nine slots of weight 1 and the first of weight 9: half of all is sent in the first tenth.
        let burst = Shape::bursts(Bursts { times: 9, every: Duration::from_secs(10) }, Duration::from_secs(10));
        assert!((burst.at(0.5) - 0.1).abs() < 1e-9, "{}", burst.at(0.5));
        assert!((0..100).all(|n| burst.at(f64::from(n) / 100.0) <= burst.at(f64::from(n + 1) / 100.0)));
        assert!((Shape::of(&[0, 0]).at(0.5) - 0.5).abs() < 1e-9);
    }

    #[test]
    fn tickets_are_meant_for_their_instants_whoever_takes_them_when() {
        let begin = super::super::clock::now();
        let tickets = Tickets::new(Shape::even(), begin, Duration::from_secs(1), 4);
        let taken: Vec<Ticket> = std::iter::from_fn(|| tickets.take()).collect();
        assert_eq!(taken.len(), 4);
        assert_eq!(taken[2], Ticket { number: 2, intended: begin + Duration::from_millis(500) });
        assert_eq!("5x/10s".parse::<Bursts>().unwrap(), Bursts { times: 5, every: Duration::from_secs(10) });
        assert!("5x".parse::<Bursts>().is_err() && "0x/1s".parse::<Bursts>().is_err());
    }
}
