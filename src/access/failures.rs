//! Failed attempts by address: so many a minute are answered and written down one by one. Beyond it whoever fails is told
//! to come again, and the trail gets one line that counts what was held back: guessing fills neither the disk nor the log.
//! The keys are bounded; an IPv6 address counts by its /64, which one house has to itself.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{Quota, RateLimiter};

type Keyed = RateLimiter<u128, governor::state::keyed::HashMapStateStore<u128>, DefaultClock>;

/// Counts failures.
#[derive(Debug)]
pub struct Failures {
    addresses: Keyed,
    addresses_max: usize,
    held_back: AtomicU64,
    clock: DefaultClock,
}

/// What further addresses share once there are too many.
const OTHERS: u128 = 0;

impl Failures {
    /// So many a minute, for so many addresses.
    pub fn new(per_minute: NonZeroU32, addresses_max: usize) -> Self {
        Self {
            addresses: RateLimiter::hashmap(Quota::per_minute(per_minute)),
            addresses_max,
            held_back: AtomicU64::new(0),
            clock: DefaultClock::default(),
        }
    }

    /// Counts one.
    pub fn admit(&self, from: Option<IpAddr>) -> Result<(), Duration> {
        let key = if self.addresses.len() < self.addresses_max { from.map_or(OTHERS, key) } else { OTHERS };
        self.addresses.check_key(&key).map_err(|not_until| {
            self.held_back.fetch_add(1, Ordering::Relaxed);
            not_until.wait_time_from(self.clock.now())
        })
    }

    /// Forgets addresses that have rested. How many failures were held back since the last time, if any.
    pub fn sweep(&self) -> Option<u64> {
        self.addresses.retain_recent();
        self.addresses.shrink_to_fit();
        Some(self.held_back.swap(0, Ordering::Relaxed)).filter(|n| *n > 0)
    }
}

fn key(address: IpAddr) -> u128 {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits() >> 64 << 64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failures(per_minute: u32, max: usize) -> Failures {
        Failures::new(NonZeroU32::new(per_minute).unwrap(), max)
    }

    fn passed(f: &Failures, times: usize, address: impl Fn(usize) -> String) -> usize {
        (0..times).filter(|n| f.admit(Some(address(*n).parse().unwrap())).is_ok()).count()
    }

    #[test]
    fn one_address_is_held_back_and_another_is_not() {
        let f = failures(5, 100);
        assert_eq!(passed(&f, 50, |_| "10.0.0.1".into()), 5);
        assert_eq!(passed(&f, 1, |_| "10.0.0.2".into()), 1);
        assert_eq!(passed(&f, 1, |_| "::ffff:10.0.0.1".into()), 0, "the same one");
        assert_eq!(f.sweep(), Some(46));
        assert_eq!(f.sweep(), None);
    }

    #[test]
    fn a_house_of_ipv6_is_one_address_and_houses_without_number_share_a_key() {
        let f = failures(5, 10);
        assert_eq!(passed(&f, 50, |n| format!("2001:db8::{n:x}")), 5);
        assert!(passed(&f, 5000, |n| format!("2001:db8:{:x}::1", n + 1)) < 60);
        assert!(f.addresses.len() <= 11);
    }
}
