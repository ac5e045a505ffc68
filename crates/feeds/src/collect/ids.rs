//! The ids that a snapshot has read, so that one that comes twice is noticed.
//!
//! Of each id 80 bits of its hash are kept, in 16 sets: eleven to twenty-two bytes per id, while the growth of one
//! set does not need the memory of all of them twice. Two different ids are taken for one with a
//! probability of n² / 2^81 among n ids: 4 in 10^9 among a hundred million.

use std::collections::HashSet;

const SETS: usize = 16;
const BYTES: usize = 10;

/// Ids, by their hashes.
#[derive(Debug, Default)]
pub(super) struct SeenIds {
    sets: [HashSet<[u8; BYTES]>; SETS],
}

impl SeenIds {
    /// Adds an id; `false` if it was there.
    pub(super) fn insert(&mut self, id: u128) -> bool {
        let (set, kept) = Self::place(id);
        self.sets.get_mut(set).is_none_or(|set| set.insert(kept))
    }

    /// Takes an id out again.
    pub(super) fn remove(&mut self, id: u128) {
        let (set, kept) = Self::place(id);
        if let Some(set) = self.sets.get_mut(set) {
            set.remove(&kept);
        }
    }

    /// The set of an id, by bits that are not kept, and what is kept of it.
    fn place(id: u128) -> (usize, [u8; BYTES]) {
        let bytes = id.to_le_bytes();
        let mut kept = [0; BYTES];
        kept.copy_from_slice(&bytes[..BYTES]);
        (usize::from(bytes[BYTES]) % SETS, kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use xxhash_rust::xxh3::xxh3_128;

    #[test]
    fn an_id_is_new_once_until_it_is_taken_out() {
        let mut seen = SeenIds::default();
        let ids: Vec<u128> = (0..10_000_u32)
            .map(|id| xxh3_128(&id.to_le_bytes()))
            .collect();
        assert!(ids.iter().all(|id| seen.insert(*id)));
        assert!(!ids.iter().any(|id| seen.insert(*id)));
        seen.remove(ids[7]);
        assert!(seen.insert(ids[7]));
        // All sets are used.
        assert!(seen.sets.iter().all(|set| set.len() > 400));
    }
}
