//! Randomness, as a plain value: node ids, segment ids, nonces, request ids, hash keys.
//!
//! The program uses the system's generator; simulations use a seeded one, so that a seed can be
//! replayed.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The persistent random id of one log directory; 16 hex digits in object keys.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub u64);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeId({self})")
    }
}

/// The secret key of the dedup hashes of one log directory. Never printed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct HashKey(pub [u8; 16]);

impl fmt::Debug for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashKey(..)")
    }
}

/// A source of random numbers.
#[derive(Clone, Debug)]
pub enum Ids {
    /// The operating system's generator.
    System,
    /// A splitmix64 sequence, for tests: equal seeds give equal sequences.
    Seeded(Arc<AtomicU64>),
}

impl Ids {
    /// A generator that gives the same numbers for the same seed.
    pub fn seeded(seed: u64) -> Self {
        Self::Seeded(Arc::new(AtomicU64::new(seed)))
    }

    /// 64 random bits for uses that may be predictable, such as jitter; 0 if the system has no
    /// generator.
    pub fn dice(&self) -> u64 {
        self.next().unwrap_or(0)
    }

    /// 64 random bits. Fails only if the system has no generator.
    #[allow(clippy::disallowed_methods, reason = "this is the seam for randomness")]
    pub fn next(&self) -> io::Result<u64> {
        match self {
            Self::System => {
                let mut bytes = [0; 8];
                getrandom::fill(&mut bytes).map_err(io::Error::other)?;
                Ok(u64::from_le_bytes(bytes))
            }
            Self::Seeded(state) => {
                const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
                let mut z = state.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
                z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                Ok(z ^ (z >> 31))
            }
        }
    }

    /// 128 random bits.
    pub fn next_u128(&self) -> io::Result<u128> {
        Ok(u128::from(self.next()?) << 64 | u128::from(self.next()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_seeds_give_equal_sequences() -> io::Result<()> {
        let (a, b) = (Ids::seeded(7), Ids::seeded(7));
        for _ in 0..10 {
            assert_eq!(a.next()?, b.next()?);
        }
        assert_ne!(Ids::System.next()?, Ids::System.next()?);
        Ok(())
    }

    #[test]
    fn a_hash_key_is_never_printed() {
        assert_eq!(format!("{:?}", HashKey([7; 16])), "HashKey(..)");
    }
}
