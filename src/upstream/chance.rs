//! Chance: random draws for sample data. The same seed gives the same sequence.
//!
//! Good enough for samples and faults, not for secrets: small biases are accepted.

use std::io;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::ids::Ids;

/// A sequence of draws, always from a seeded generator, so that no draw can fail.
#[derive(Debug)]
pub(crate) struct Chance(Ids);

impl Chance {
    /// A new sequence, seeded by one draw from `ids`.
    pub(crate) fn new(ids: &Ids) -> io::Result<Self> {
        ids.next().map(Self::from_seed)
    }

    /// The sequence of that seed.
    pub(crate) fn from_seed(seed: u64) -> Self {
        Self(Ids::seeded(seed))
    }

    /// 64 random bits.
    pub(crate) fn bits(&self) -> u64 {
        // Only the system's generator can fail, and this one is seeded.
        self.0.next().unwrap_or_default()
    }

    /// A number from 0 to `limit` - 1; 0 if `limit` is 0.
    pub(crate) fn below(&self, limit: u32) -> u32 {
        let rest = self.bits().checked_rem(u64::from(limit)).unwrap_or(0);
        u32::try_from(rest).unwrap_or(0)
    }

    /// A number of the range; its start if it is empty.
    pub(crate) fn within(&self, range: &RangeInclusive<u32>) -> u32 {
        let width = range.end().saturating_sub(*range.start());
        range.start() + self.below(width.saturating_add(1))
    }

    /// A duration of the range, in steps of a millisecond.
    pub(crate) fn duration_within(&self, range: &RangeInclusive<Duration>) -> Duration {
        let width = range.end().saturating_sub(*range.start());
        let width_millis = u32::try_from(width.as_millis()).unwrap_or(u32::MAX);
        let millis = self.below(width_millis.saturating_add(1));
        let more = Duration::from_millis(u64::from(millis));
        range.start().saturating_add(more)
    }

    /// A fraction from 0 to just under 1.
    pub(crate) fn fraction(&self) -> f64 {
        let upper_half = u32::try_from(self.bits() >> 32).unwrap_or(0);
        f64::from(upper_half) / (f64::from(u32::MAX) + 1.0)
    }

    /// True for that share of draws.
    pub(crate) fn hits(&self, share: f64) -> bool {
        self.fraction() < share
    }

    /// One of the choices.
    pub(crate) fn pick<T: Copy, const N: usize>(&self, choices: &[T; N]) -> T {
        const { assert!(N > 0, "there must be something to choose") };
        let count = u32::try_from(N).unwrap_or(u32::MAX);
        let index = usize::try_from(self.below(count)).unwrap_or(0);
        choices[index]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_stay_within_their_range() {
        let chance = Chance::from_seed(1);
        let mut seen = [false; 3];
        for _ in 0..1000 {
            assert!(chance.below(3) < 3);
            let number = chance.within(&(5..=7));
            assert!((5..=7).contains(&number));
            seen[number as usize - 5] = true;
            let range = Duration::from_millis(10)..=Duration::from_millis(12);
            assert!(range.contains(&chance.duration_within(&range)));
            assert!((0.0..1.0).contains(&chance.fraction()));
        }
        assert_eq!(seen, [true; 3]);
        assert_eq!(chance.below(0), 0);
        assert_eq!(chance.within(&(4..=4)), 4);
    }

    #[test]
    fn shares_of_nothing_and_everything_are_exact() {
        let chance = Chance::from_seed(2);
        assert!((0..1000).all(|_| !chance.hits(0.0) && chance.hits(1.0)));
    }
}
