//! A filter that says of most new ids that they are new, in bounded memory. Pure.
//!
//! Each filter is twice as large as the one before it, up to a bound. Beyond it the last one is overfull: then it
//! says less often that an id is new, and never wrongly.

/// Words of a block, which is one line of the cache.
const WORDS: usize = 8;
/// Bits for each id, up to the bound.
const BITS_PER_ID: u64 = 12;
const FIRST_BYTES: u64 = 64 << 10;
/// Most bytes of the largest filter; all together have at most twice as many.
const MAX_BYTES: u64 = 32 << 20;

/// Filters over ids.
#[derive(Debug, Default)]
pub(crate) struct IdFilter {
    stages: Vec<Stage>,
}

/// It begins where a line of the cache does.
#[derive(Clone, Debug)]
#[repr(align(64))]
struct Block([u64; WORDS]);

#[derive(Debug)]
struct Stage {
    blocks: Vec<Block>,
    left: u64,
}

impl IdFilter {
    /// Makes room for this many more ids at once.
    pub(crate) fn expect(&mut self, ids: u64) {
        let left = self.stages.last().map_or(0, |stage| stage.left);
        if ids > left {
            self.grow(ids.saturating_mul(BITS_PER_ID) / 8);
        }
    }

    fn grow(&mut self, wanted: u64) {
        let last = self.stages.last().map_or(0, Stage::bytes);
        if last >= MAX_BYTES {
            return;
        }
        let bytes = wanted.max(last * 2).clamp(FIRST_BYTES, MAX_BYTES);
        let blocks = usize::try_from(bytes / 64).unwrap_or(1);
        self.stages.push(Stage {
            blocks: vec![Block([0; WORDS]); blocks],
            left: bytes * 8 / BITS_PER_ID,
        });
    }

    /// Adds an id, given as a hash; returns whether it may have been added before.
    pub(crate) fn add(&mut self, id: u128) -> bool {
        if self.stages.last().is_none_or(|stage| stage.left == 0) {
            self.grow(0);
        }
        let Some((last, earlier)) = self.stages.split_last_mut() else {
            return true;
        };
        // What a stage says once it says always.
        earlier.iter().any(|stage| stage.may_have(id)) || last.add(id)
    }

    /// Whether an id may have been added.
    pub(crate) fn may_have(&self, id: u128) -> bool {
        self.stages.iter().any(|stage| stage.may_have(id))
    }

    /// Begins to read what the next question about this id will read. Memory is slow, and what is done meanwhile
    /// costs no time.
    pub(crate) fn prefetch(&self, id: u128) {
        for stage in &self.stages {
            // Otherwise the compiler would remove a load whose result is unused.
            std::hint::black_box(stage.blocks[stage.block_of(id)].0[0]);
        }
    }
}

impl Stage {
    fn bytes(&self) -> u64 {
        self.blocks.len() as u64 * 64
    }

    fn may_have(&self, id: u128) -> bool {
        let words = self.blocks[self.block_of(id)].0.iter().zip(bits_of(id));
        words.into_iter().all(|(word, bits)| word & bits == bits)
    }

    /// Adds an id; returns whether it may have been added before.
    fn add(&mut self, id: u128) -> bool {
        let block = self.block_of(id);
        let mut missing = 0;
        for (word, bits) in self.blocks[block].0.iter_mut().zip(bits_of(id)) {
            missing |= bits & !*word;
            *word |= bits;
        }
        if missing == 0 {
            return true;
        }
        self.left = self.left.saturating_sub(1);
        false
    }

    /// The block of an id, by its lower half.
    fn block_of(&self, id: u128) -> usize {
        let scaled = u128::from(low_half(id).wrapping_mul(0x9e37_79b9_7f4a_7c15))
            * self.blocks.len() as u128;
        usize::try_from(scaled >> 64).unwrap_or(0)
    }
}

fn low_half(id: u128) -> u64 {
    u64::try_from(id & u128::from(u64::MAX)).unwrap_or(0)
}

/// The bits of an id in its block, one in each word, by both halves.
fn bits_of(id: u128) -> [u64; WORDS] {
    let high = u64::try_from(id >> 64).unwrap_or(0) ^ low_half(id).rotate_left(17);
    let mixed = high.wrapping_mul(0xff51_afd7_ed55_8ccd);
    // The upper bits are mixed best.
    std::array::from_fn(|word| 1 << (mixed >> (16 + 6 * word) & 63))
}

#[cfg(test)]
mod tests {
    use super::*;
    use xxhash_rust::xxh3::xxh3_128;

    fn id(number: u64) -> u128 {
        xxh3_128(&number.to_le_bytes()) >> 48
    }

    #[test]
    fn what_was_added_is_never_new_and_most_others_are() {
        let mut filter = IdFilter::default();
        let known = (0..200_000).filter(|number| filter.add(id(*number)));
        let known = known.count();
        assert!(known < 6_000, "{known} of 200000");
        assert!((0..200_000).all(|number| filter.may_have(id(number))));
        let wrong = (1_000_000..1_100_000).filter(|number| filter.may_have(id(*number)));
        let wrong = wrong.count();
        assert!(wrong < 3_000, "{wrong} of 100000");
    }

    #[test]
    fn memory_is_bounded_and_an_overfull_filter_forgets_nothing() {
        let mut filter = IdFilter::default();
        filter.expect(1 << 40);
        (0..10).for_each(|_| filter.grow(u64::MAX));
        let bytes: u64 = filter.stages.iter().map(Stage::bytes).sum();
        assert!(bytes <= 2 * MAX_BYTES);
        if let Some(stage) = filter.stages.last_mut() {
            stage.left = 0;
        }
        filter.add(id(7));
        assert!(filter.may_have(id(7)));
    }
}
