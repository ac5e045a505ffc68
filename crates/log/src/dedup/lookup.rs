//! Dedup, the tier on disk: the identities of closed segments, looked up in their id files.
//!
//! A filter in memory excludes nearly every new id, so a new event costs no read. If the filter
//! does not exclude an id, a small index in memory leads to the few hundred bytes of a file in
//! which the id must be. Each filter covers a group of segments that follow each other, so that it
//! is dropped with their files. The size of the filters bounds how often a file is read in vain.
//! Only whole files are forgotten, the oldest first.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use crate::dedup::id_files::{ENTRY, HEADER, IdFile, SegmentIds};
use lakehook_base::clock::Micros;
use lakehook_base::files::{File, Files};
use lakehook_base::record::Identity;

/// Entries of a file for each entry of its index.
const STRIDE: usize = 64;
/// Words of 64 bits in a block of a filter; a block is one cache line.
const BLOCK_WORDS: usize = 8;
/// Bits of a block that an id sets.
const PROBES: u32 = 7;
/// Most bits per id; more make no difference.
const MAX_BITS: u64 = 12;
/// A full group covers `max_ids` divided by this number; a few more groups exist at once.
const GROUPS: u64 = 4;
/// The smallest group covers a full one divided by this number.
const SMALL_GROUPS: u64 = 8;

/// A blocked Bloom filter over tags, which are uniform hashes already.
struct Filter {
    words: Vec<u64>,
}

impl Filter {
    fn new(bits: u64) -> Self {
        let blocks = usize::try_from(bits / 512).unwrap_or(usize::MAX).max(1);
        Self {
            words: vec![0; blocks * BLOCK_WORDS],
        }
    }

    /// Index of the first word of a tag's block.
    fn block(&self, tag: u64) -> usize {
        let blocks = (self.words.len() / BLOCK_WORDS) as u128;
        let block = (u128::from(tag) * blocks) >> 64;
        usize::try_from(block).unwrap_or(0) * BLOCK_WORDS
    }

    /// The bits of a tag in its block: word and mask.
    fn bits(tag: u64) -> impl Iterator<Item = (usize, u64)> {
        // The bits must differ from those that chose the block.
        let mixed = tag.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mixed = mixed ^ (mixed >> 32);
        (0..PROBES).map(move |probe| {
            let bit = mixed >> (probe * 9) & 511;
            (usize::try_from(bit / 64).unwrap_or(0), 1 << (bit % 64))
        })
    }

    fn add(&mut self, tag: u64) {
        let block = self.block(tag);
        for (word, mask) in Self::bits(tag) {
            self.words[block + word] |= mask;
        }
    }

    fn may_have(&self, tag: u64) -> bool {
        let block = self.block(tag);
        Self::bits(tag).all(|(word, mask)| self.words[block + word] & mask != 0)
    }
}

/// A filter over the ids of some segments that follow each other.
///
/// A new group is made for as many ids as all others have together, up to a full one. So filters take memory as the
/// number of ids grows: a few ids touch every page of a filter, however large it is.
struct Group {
    first: u64,
    last: u64,
    ids: u64,
    /// Ids that the filter is made for.
    planned: u64,
    filter: Filter,
}

/// An open id file with its index.
struct Open<H> {
    file: IdFile,
    handle: H,
    /// The tag of every 64th entry.
    index: Box<[u64]>,
    newest_received: Micros,
}

/// The identities of closed segments.
pub struct ArchivedIds<F: Files> {
    files: F,
    dir: PathBuf,
    group_ids: u64,
    group_bits: u64,
    /// Filters, the oldest first.
    groups: VecDeque<Group>,
    /// Ids that will be added for certain.
    expected: u64,
    /// Files sorted by their last segment, the oldest first.
    open: Vec<Open<F::File>>,
    forgotten: Option<Micros>,
}

impl<F: Files> ArchivedIds<F> {
    /// An empty lookup. Its filters take at most `filter_bytes` while at most `max_ids` are in
    /// force.
    pub fn new(files: F, dir: &Path, max_ids: u64, filter_bytes: u64) -> Self {
        let group_ids = (max_ids / GROUPS).max(1024);
        let group_bits = filter_bytes * 8 / (GROUPS + 2);
        Self {
            files,
            dir: dir.to_owned(),
            group_ids,
            group_bits: group_bits.min(group_ids.saturating_mul(MAX_BITS)),
            groups: VecDeque::new(),
            expected: 0,
            open: Vec::new(),
            forgotten: None,
        }
    }

    /// Says how many ids are about to be added, because a few large filters are faster than many small ones.
    pub fn expect(&mut self, ids: u64) {
        self.expected = ids;
    }

    /// Whether no file is in force.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Adds a file, and drops those that it replaces. `ids` is the content of the file, in its
    /// order.
    pub fn add(&mut self, file: IdFile, ids: &SegmentIds) -> std::io::Result<()> {
        let handle = self.files.open(&file.path(&self.dir))?;
        let index = ids.identities.iter().step_by(STRIDE);
        let open = Open {
            file,
            handle,
            index: index.map(|identity| identity.tag).collect(),
            newest_received: ids.newest_received,
        };
        self.add_to_filters(file, ids);
        self.open
            .retain(|other| other.file.first < file.first || other.file.last > file.last);
        let at = self
            .open
            .partition_point(|other| other.file.last < file.last);
        self.open.insert(at, open);
        Ok(())
    }

    /// Adds ids to the newest filter, unless smaller files have put all of them into filters
    /// already. Files may come in any order: one whose write failed comes later.
    fn add_to_filters(&mut self, file: IdFile, ids: &SegmentIds) {
        let parts = self.open.iter().map(|open| &open.file);
        let parts = parts.filter(|part| part.first >= file.first && part.last <= file.last);
        let segments: u64 = parts.map(|part| part.last - part.first + 1).sum();
        if segments == file.last - file.first + 1 {
            return;
        }
        let count = ids.identities.len() as u64;
        let has_room = |group: &Group| group.ids < group.planned;
        if !self.groups.back().is_some_and(has_room) {
            let planned = self.ids_of_next_group(count);
            let bits = u128::from(self.group_bits) * u128::from(planned);
            let bits = bits / u128::from(self.group_ids);
            self.groups.push_back(Group {
                first: file.first,
                last: file.last,
                ids: 0,
                planned,
                filter: Filter::new(u64::try_from(bits).unwrap_or(self.group_bits)),
            });
        }
        if let Some(group) = self.groups.back_mut() {
            group.first = group.first.min(file.first);
            group.last = group.last.max(file.last);
            group.ids += count;
            for identity in &ids.identities {
                group.filter.add(identity.tag);
            }
        }
    }

    /// How many ids the next group is made for, of which a file with `count` is the first.
    fn ids_of_next_group(&self, count: u64) -> u64 {
        let so_far: u64 = self.groups.iter().map(|group| group.ids).sum();
        let least = (self.group_ids / SMALL_GROUPS).max(count.saturating_mul(2));
        so_far.max(self.expected).max(least).min(self.group_ids)
    }

    /// Drops the files whose segments are all older than `segment`, with their filters.
    pub fn forget_below(&mut self, segment: u64) {
        let gone = self.open.partition_point(|open| open.file.last < segment);
        for open in self.open.drain(..gone) {
            self.forgotten = self.forgotten.max(Some(open.newest_received));
        }
        while self
            .groups
            .front()
            .is_some_and(|group| group.last < segment)
        {
            self.groups.pop_front();
        }
    }

    /// Notes that ids before the first file have been forgotten.
    pub fn begin_behind_forgotten(&mut self) {
        self.forgotten = self.open.first().map(|open| open.newest_received);
    }

    /// The time of receipt from which on duplicates are recognised; `None` while nothing was
    /// forgotten.
    pub fn known_since(&self) -> Option<Micros> {
        self.forgotten
    }

    /// Prefetches the words of the filters that lookups of these identities will read.
    ///
    /// The filters are larger than the processor's cache. These loads don't depend on each other,
    /// so the processor waits for memory once for many of them.
    pub fn look_ahead(&self, identities: impl Iterator<Item = Identity>) {
        let touched = identities.fold(0, |all, identity| {
            let groups = self.groups.iter();
            groups.fold(all, |all, group| {
                all ^ group.filter.words[group.filter.block(identity.tag)]
            })
        });
        std::hint::black_box(touched);
    }

    /// The content hash with which an id was stored; the newest, if there are several.
    ///
    /// A file that cannot be read is logged and skipped: its ids may be stored again.
    pub fn content_of(&self, tag: u64) -> Option<u32> {
        let groups = self.groups.iter().rev();
        for group in groups.filter(|group| group.filter.may_have(tag)) {
            let from = self
                .open
                .partition_point(|open| open.file.last < group.first);
            let until = self
                .open
                .partition_point(|open| open.file.first <= group.last);
            let files = self.open.get(from..until).unwrap_or_default();
            if let Some(content) = files.iter().rev().find_map(|open| open.content_of(tag)) {
                return Some(content);
            }
        }
        None
    }
}

impl<H: File> Open<H> {
    fn content_of(&self, tag: u64) -> Option<u32> {
        // The run of equal tags may begin in the stride before the first index entry that is not less.
        let stride = self.index.partition_point(|first| *first < tag);
        let stride = stride.checked_sub(1).unwrap_or_else(|| {
            let begins_with_it = self.index.first() == Some(&tag);
            if begins_with_it { 0 } else { usize::MAX }
        });
        if stride == usize::MAX {
            return None;
        }
        let first = stride * STRIDE;
        let count = usize::try_from(self.file.count()).unwrap_or(0);
        // One more, in case the tag is the first of the next stride.
        let entries = (STRIDE + 1).min(count.saturating_sub(first));
        let mut bytes = [0; (STRIDE + 1) * ENTRY];
        let bytes = &mut bytes[..entries * ENTRY];
        let at = (HEADER + first * ENTRY) as u64;
        if let Err(error) = self.handle.read_exact_at(bytes, at) {
            tracing::error!(%error, file = ?self.file, "failed to look into an id file; duplicates may get through");
            return None;
        }
        let (entries, _) = bytes.as_chunks::<ENTRY>();
        entries.iter().rev().find_map(|entry| {
            let (found, content) = entry.split_first_chunk::<8>()?;
            let content = content.first_chunk::<4>()?;
            (u64::from_le_bytes(*found) == tag).then(|| u32::from_le_bytes(*content))
        })
    }
}

#[cfg(test)]
#[path = "lookup_tests.rs"]
mod tests;
