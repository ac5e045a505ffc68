//! How large the next segments should be. Pure.
//!
//! Their owner may end segments before they are full, because a segment has its share of ids. What they did not need
//! was written as zeros, and counts as part of the log: so the next ones are about as large as the last one turned
//! out to be.

use super::layout::next_block;

/// After a segment that ended early, the next ones have what it needed and, as a margin, this part of that, …
const MORE: u64 = 32;
/// … and this part of the usual size.
const MORE_OF_USUAL: u64 = 64;
/// A segment has at least this part of the usual size. Each that is full makes the next ones larger by this part.
const LEAST_PART: u64 = 4;

/// The size of the next segments.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SegmentSizes {
    usual: u64,
    next: u64,
}

impl SegmentSizes {
    /// Segments have the usual size, until some have ended early.
    pub(crate) fn new(usual: u64) -> Self {
        Self { usual, next: usual }
    }

    /// Bytes of the next segment.
    pub(crate) fn next(self) -> u64 {
        self.next
    }

    /// A segment ended before it was full: it needed so many bytes.
    pub(crate) fn ended_early(&mut self, used: u64) {
        self.set(used + used / MORE + self.usual / MORE_OF_USUAL);
    }

    /// A segment ended because the next frame had no room in it.
    pub(crate) fn was_full(&mut self) {
        self.set(self.next + self.next / LEAST_PART);
    }

    fn set(&mut self, bytes: u64) {
        self.next = next_block(bytes).clamp(self.usual / LEAST_PART, self.usual);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn segments_are_about_as_large_as_the_last_one_turned_out_to_be() {
        let mut sizes = SegmentSizes::new(64 * MIB);
        sizes.was_full();
        assert_eq!(sizes.next(), 64 * MIB);
        sizes.ended_early(32 * MIB);
        assert_eq!(sizes.next(), 34 * MIB);
        sizes.ended_early(100);
        assert_eq!(sizes.next(), 16 * MIB, "not less than a quarter");
        let grown: Vec<u64> = (0..8)
            .map(|_| {
                sizes.was_full();
                sizes.next() / MIB
            })
            .collect();
        assert_eq!(grown, [20, 25, 31, 39, 48, 61, 64, 64]);
        sizes.ended_early(64 * MIB);
        assert_eq!(sizes.next(), 64 * MIB);
    }
}
