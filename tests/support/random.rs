//! Random numbers that are the same for the same seed.
//!
//! Built on the program's own seeded generator; good enough for faults and for test data.

use std::ops::Range;

use lakehook::ids::Ids;

/// A seeded sequence. Clones share the sequence.
#[derive(Clone, Debug)]
pub(crate) struct Random(Ids);

impl Random {
    /// The sequence of this seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self(Ids::seeded(seed))
    }

    /// 64 random bits.
    pub(crate) fn bits(&self) -> u64 {
        self.0.next().expect("a seeded sequence has no end")
    }

    /// A number from 0 to `bound - 1`; the bias is far below what a test could notice.
    pub(crate) fn below(&self, bound: u64) -> u64 {
        self.bits() % bound
    }

    /// True with this probability: 0.0 never, 1.0 always.
    pub(crate) fn chance(&self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// A number of [0, 1).
    pub(crate) fn unit(&self) -> f64 {
        let bits = u32::try_from(self.bits() >> 32).unwrap_or(0);
        f64::from(bits) / (f64::from(u32::MAX) + 1.0)
    }
}

/// Seeds of worlds in which the real program is killed; each takes seconds, so they are a hundredth of those of
/// the simulation.
pub(crate) fn seeds() -> Range<u64> {
    if let Ok(seed) = std::env::var("LAKEHOOK_SEED") {
        let seed = seed.parse().unwrap();
        return seed..seed + 1;
    }
    let seeds = std::env::var("LAKEHOOK_SEEDS").ok();
    0..seeds.map_or(3, |seeds| seeds.parse::<u64>().unwrap().div_ceil(100))
}
