//! Chance with a seed: SplitMix64 (Steele, Lea, Flood 2014), ten lines that give the same day on every machine.

use crate::model::Position;

/// A seeded source of numbers.
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    /// The same seed gives the same numbers.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A whole number from `from` to `to`, both included.
    pub fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.next() % (to.max(from) - from + 1)
    }

    /// True so many times in a hundred.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.between(0, 99) < percent
    }

    /// One of these; `None` of nothing.
    pub fn one<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        let last = u64::try_from(of.len()).ok()?.checked_sub(1)?;
        of.get(usize::try_from(self.between(0, last)).ok()?)
    }

    /// A share from 0 to 1.
    #[expect(clippy::cast_precision_loss, reason = "a thousandth is fine enough")]
    pub fn share(&mut self) -> f64 {
        self.between(0, 1_000_000) as f64 / 1_000_000.0
    }

    /// Somewhere within `radius_m` of a place, everywhere as likely.
    pub fn near(&mut self, middle: Position, radius_m: f64) -> Position {
        let (turn, far) = (self.share() * std::f64::consts::TAU, self.share().sqrt() * radius_m);
        middle.offset_m(far * turn.cos(), far * turn.sin())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_numbers_within_their_bounds() {
        let (mut a, mut b) = (Chance::new(7), Chance::new(7));
        for _ in 0..1000 {
            let n = a.between(3, 9);
            assert_eq!(n, b.between(3, 9));
            assert!((3..=9).contains(&n));
        }
        assert_ne!(Chance::new(1).between(0, u64::MAX - 1), Chance::new(2).between(0, u64::MAX - 1));
        assert_eq!(Chance::new(1).one::<u8>(&[]), None);
    }
}
