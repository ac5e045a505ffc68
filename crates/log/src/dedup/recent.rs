//! Dedup, the tier in memory: the newest identities, in one table that is allocated once. Older
//! ones are in files ([`crate::dedup::lookup`]).
//!
//! The table uses open addressing with linear probing, 16 bytes a slot. The newest `window`
//! identities are never forgotten. Each insertion also checks the next four slots of the table and
//! frees those that are older, so that at most `window` plus a quarter of the slots are in use. Two
//! ids that share a tag by chance differ in content, so the second one is quarantined as a
//! conflict: nothing vanishes.

use lakehook_base::record::Identity;

/// Slots that each insertion checks for identities older than the window.
const SWEEP: usize = 4;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Slot {
    /// 0 means free.
    tag: u64,
    content: u32,
    /// Number of the insertion, modulo 2^32.
    age: u32,
}

/// Result of looking an identity up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// The id was unknown, and was inserted.
    New,
    /// The same id with the same content.
    Duplicate,
    /// The same id with other content.
    Conflict,
}

/// The newest identities of a log.
#[derive(Debug)]
pub struct RecentIds {
    slots: Vec<Slot>,
    /// Number of bits by which a tag is shifted right to give its slot.
    shift: u32,
    window: u32,
    sequence: u32,
    len: usize,
    hand: usize,
}

impl RecentIds {
    /// A table that never forgets the newest `window` identities (at least 16). Takes 16 bytes times
    /// the next power of two above 1.7 × `window`; the pages are touched only as they fill.
    pub fn new(window: u32) -> Self {
        let window = window.clamp(16, 1 << 28);
        let slots = (u64::from(window) * 17 / 10).next_power_of_two();
        Self {
            slots: vec![Slot::default(); usize::try_from(slots).unwrap_or(64)],
            shift: 64 - slots.trailing_zeros(),
            window,
            sequence: 0,
            len: 0,
            hand: 0,
        }
    }

    /// The largest window whose table takes at most `bytes`.
    pub fn window_of_bytes(bytes: u64) -> u32 {
        let slots = (bytes / 16).max(32);
        let power = 1_u64 << slots.ilog2();
        u32::try_from(power * 10 / 17).unwrap_or(u32::MAX)
    }

    /// Number of newest identities that are never forgotten.
    pub fn window(&self) -> u32 {
        self.window
    }

    /// Looks an identity up, and inserts it if it is new.
    pub fn insert(&mut self, identity: Identity) -> Known {
        self.insert_unless(identity, || None)
    }

    /// Like [`Self::insert`], where another tier may know the id: `older` returns the content hash
    /// of the id there, if it has one.
    pub fn insert_unless(
        &mut self,
        identity: Identity,
        older: impl FnOnce() -> Option<u32>,
    ) -> Known {
        let known = |content: u32| {
            if content == identity.content {
                Known::Duplicate
            } else {
                Known::Conflict
            }
        };
        let tag = identity.tag.max(1);
        let mut at = self.home(tag);
        loop {
            let slot = &self.slots[at];
            if slot.tag == tag {
                return known(slot.content);
            }
            if slot.tag == 0 {
                break;
            }
            at = self.after(at);
        }
        if let Some(content) = older() {
            return known(content);
        }
        self.slots[at] = Slot {
            tag,
            content: identity.content,
            age: self.sequence,
        };
        self.sequence = self.sequence.wrapping_add(1);
        self.len += 1;
        self.sweep();
        Known::New
    }

    /// The content hash with which an id was inserted.
    pub fn content_of(&self, tag: u64) -> Option<u32> {
        let tag = tag.max(1);
        let mut at = self.home(tag);
        while self.slots[at].tag != 0 {
            if self.slots[at].tag == tag {
                return Some(self.slots[at].content);
            }
            at = self.after(at);
        }
        None
    }

    /// Prefetches the slots of identities that are about to be inserted; changes nothing.
    ///
    /// The table is larger than the processor's cache. These loads don't depend on each other, so
    /// the processor waits for memory once for many of them, instead of once for each insertion.
    pub fn look_ahead(&self, identities: impl Iterator<Item = Identity>) {
        let tags = identities.map(|identity| self.slots[self.home(identity.tag.max(1))].tag);
        // Otherwise the compiler would remove loads whose result is unused.
        std::hint::black_box(tags.fold(0, |all, tag| all ^ tag));
    }

    /// Removes the newest identities, which did not become durable: nothing gets older by them.
    pub fn take_back(&mut self, newest: &[Identity]) {
        for identity in newest {
            self.remove(*identity);
        }
        let count = u32::try_from(newest.len()).unwrap_or(0);
        self.sequence = self.sequence.wrapping_sub(count);
    }

    fn remove(&mut self, identity: Identity) {
        let tag = identity.tag.max(1);
        let mut at = self.home(tag);
        while self.slots[at].tag != 0 {
            if self.slots[at].tag == tag {
                self.free(at);
                return;
            }
            at = self.after(at);
        }
    }

    fn sweep(&mut self) {
        for _ in 0..SWEEP {
            // Freeing a slot may move a later one into it, which is checked in turn.
            while self.slots[self.hand].tag != 0
                && self.age_of(self.slots[self.hand].age) > self.window
            {
                self.free(self.hand);
            }
            self.hand = self.after(self.hand);
        }
    }

    /// Frees a slot and closes the gap, so that probing still finds what lies behind it.
    fn free(&mut self, at: usize) {
        let mut gap = at;
        let mut next = self.after(at);
        while self.slots[next].tag != 0 {
            let home = self.home(self.slots[next].tag);
            let from_home = next.wrapping_sub(home) & self.mask();
            let from_gap = next.wrapping_sub(gap) & self.mask();
            if from_home >= from_gap {
                self.slots[gap] = self.slots[next];
                gap = next;
            }
            next = self.after(next);
        }
        self.slots[gap] = Slot::default();
        self.len -= 1;
    }

    fn age_of(&self, sequence: u32) -> u32 {
        self.sequence.wrapping_sub(sequence)
    }

    fn home(&self, tag: u64) -> usize {
        usize::try_from(tag >> self.shift).unwrap_or(0)
    }

    fn after(&self, at: usize) -> usize {
        (at + 1) & self.mask()
    }

    fn mask(&self) -> usize {
        self.slots.len() - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    fn identity(tag: u64, content: u32) -> Identity {
        Identity { tag, content }
    }

    #[test]
    fn knows_new_duplicate_and_conflict() {
        let mut dedup = RecentIds::new(100);
        assert_eq!(dedup.insert(identity(5, 1)), Known::New);
        assert_eq!(dedup.insert(identity(5, 1)), Known::Duplicate);
        assert_eq!((dedup.content_of(5), dedup.content_of(6)), (Some(1), None));
        assert_eq!(dedup.insert(identity(5, 2)), Known::Conflict);
        dedup.remove(identity(5, 1));
        assert_eq!(dedup.insert(identity(5, 2)), Known::New);
    }

    /// Requests that fail again and again must not push out what is in no file yet.
    #[test]
    fn what_is_taken_back_makes_nothing_older() {
        let mut dedup = RecentIds::new(16);
        for tag in 1..=16 {
            assert_eq!(dedup.insert(identity(tag << 58, 0)), Known::New);
        }
        for round in 0..100 {
            let failed: Vec<_> = (0..8)
                .map(|n| identity(1 << 40 | round << 8 | n, 0))
                .collect();
            for new in &failed {
                assert_eq!(dedup.insert(*new), Known::New);
            }
            dedup.take_back(&failed);
        }
        assert_eq!(dedup.sequence, 16);
        (9..=16).for_each(|tag| assert_eq!(dedup.content_of(tag << 58), Some(0), "{tag}"));
    }

    #[test]
    fn the_table_of_the_default_budget_holds_a_million() {
        assert_eq!(RecentIds::window_of_bytes(32 << 20), 1_233_618);
        assert_eq!(RecentIds::new(1_233_618).slots.len() * 16, 32 << 20);
    }

    proptest! {
        /// Tags are few and clustered, so that runs are long and gaps are closed around the end.
        #[test]
        fn never_forgets_within_the_window(
            ops in prop::collection::vec((0_u64..400, 0_u32..2, 0_u8..10), 1..3000),
        ) {
            let mut dedup = RecentIds::new(16);
            let mut model: HashMap<u64, (u32, u32)> = HashMap::new();
            let mut sequence = 0_u32;
            for (tag, content, op) in ops {
                let tag = (tag % 40) << 58 | tag << 1 | 1;
                if op == 0 {
                    dedup.remove(identity(tag, content));
                    model.remove(&tag);
                    continue;
                }
                let known = dedup.insert(identity(tag, content));
                match model.get(&tag) {
                    Some((age, expected)) if known == Known::New => {
                        prop_assert!(sequence - age > 16, "forgot {tag} after {}", sequence - age);
                        let _ = expected;
                    }
                    Some((_, expected)) => {
                        let same = *expected == content;
                        prop_assert_eq!(known == Known::Duplicate, same);
                    }
                    None => prop_assert_eq!(known, Known::New),
                }
                if known == Known::New {
                    model.insert(tag, (sequence, content));
                    sequence += 1;
                }
                prop_assert!(dedup.len < dedup.slots.len() * 9 / 10);
            }
        }
    }
}
