//! Bodies that could not be read and are kept already, so that a provider that sends one again and again makes one row.
//!
//! The newest are remembered, in memory: a restart forgets them, and then one more row is made.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};

use xxhash_rust::xxh3::xxh3_128;

/// How many are remembered.
const MAX_REMEMBERED: usize = 4096;

/// What is kept already.
#[derive(Debug, Default)]
pub struct Repeated(Mutex<Remembered>);

#[derive(Debug, Default)]
struct Remembered {
    known: HashSet<u128>,
    /// From the oldest to the newest.
    order: VecDeque<u128>,
}

impl Repeated {
    /// Identifies a body of a hook.
    pub(super) fn fingerprint(hook: &str, body: &[u8]) -> u128 {
        xxh3_128(&[hook.as_bytes(), &[0], body].concat())
    }

    /// Whether it is kept already.
    pub(super) fn has(&self, fingerprint: u128) -> bool {
        let remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        remembered.known.contains(&fingerprint)
    }

    /// Remembers what is durable now.
    pub(super) fn remember(&self, fingerprints: &[u128]) {
        if fingerprints.is_empty() {
            return;
        }
        let mut remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for fingerprint in fingerprints {
            if remembered.known.insert(*fingerprint) {
                remembered.order.push_back(*fingerprint);
            }
            if remembered.order.len() > MAX_REMEMBERED
                && let Some(oldest) = remembered.order.pop_front()
            {
                remembered.known.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_remembered_per_hook() {
        let repeated = Repeated::default();
        let of = |hook: &str, body: usize| Repeated::fingerprint(hook, &body.to_le_bytes());
        for body in 0..=MAX_REMEMBERED {
            assert!(!repeated.has(of("a", body)));
            repeated.remember(&[of("a", body), of("a", body)]);
            assert!(repeated.has(of("a", body)) && !repeated.has(of("b", body)));
        }
        assert!(!repeated.has(of("a", 0)) && repeated.has(of("a", 1)));
    }
}
