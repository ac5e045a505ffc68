//! Records, as they pass from a feed or a request to the log: the rows of one request in one
//! buffer.
//!
//! A row is one line of the lake without its `lsn` and without the line end. The offset at which
//! the `lsn` is inserted is stored beside the row, so that neither the log nor the encoder for
//! lines parses JSON.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use siphasher::sip128::{Hasher128, SipHasher24};
use xxhash_rust::xxh3::{xxh3_64_with_seed, xxh3_128};

use crate::clock::Micros;
use crate::ids::HashKey;

/// Log sequence number of a row: from 1; never used again for another row that counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lsn(pub u64);

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Lsn {
    /// The hash that is summed over LSNs in object metadata; not keyed, so that anyone can audit.
    pub fn hash(self) -> u128 {
        xxh3_128(&self.0.to_le_bytes())
    }
}

/// The run of rows that belong to no run of a poll.
pub const NO_RUN: Lsn = Lsn(0);

/// The hash that is summed over rows in object metadata. `row` has no `lsn` and no line end.
pub fn row_hash(row: &[u8]) -> u128 {
    xxh3_128(row)
}

/// Appends a row as a line of the lake: with `"lsn":<lsn>,` inserted at `lsn_at`, and the line end.
pub fn put_line(out: &mut Vec<u8>, lsn: Lsn, lsn_at: usize, row: &[u8]) {
    let (before, after) = row.split_at(lsn_at);
    out.extend_from_slice(before);
    out.extend_from_slice(LSN_NAME);
    out.extend_from_slice(itoa::Buffer::new().format(lsn.0).as_bytes());
    out.push(b',');
    out.extend_from_slice(after);
    out.push(b'\n');
}

/// Appends the row without its `lsn` that [`put_line`] made a line of; `None` if the line is not one
/// with this LSN at this place.
pub fn take_line(out: &mut Vec<u8>, lsn: Lsn, lsn_at: usize, line: &[u8]) -> Option<()> {
    let (before, rest) = line.split_at_checked(lsn_at)?;
    let rest = rest.strip_prefix(LSN_NAME)?;
    let rest = rest.strip_prefix(itoa::Buffer::new().format(lsn.0).as_bytes())?;
    let after = rest.strip_prefix(b",")?.strip_suffix(b"\n")?;
    out.extend_from_slice(before);
    out.extend_from_slice(after);
    Some(())
}

/// Bytes that [`put_line`] adds to a row.
pub fn line_overhead(lsn: Lsn) -> usize {
    let digits = lsn.0.checked_ilog10().unwrap_or(0) as usize + 1;
    LSN_NAME.len() + digits + 2
}

/// The most that it adds.
pub const MAX_LINE_OVERHEAD: usize = LSN_NAME.len() + 20 + 2;

const LSN_NAME: &[u8] = b"\"lsn\":";

/// Kind of a row, which decides what the log does with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowKind {
    /// A valid record with its identity; stored unless the log knows it already.
    Record(Identity),
    /// A valid record of a snapshot: always stored; its run identifies it.
    Snapshot,
    /// An event that violates the contract, in a request that was accepted.
    Quarantined,
    /// The copy of a request that was refused as a whole.
    Refused,
}

/// Identifies a record, so that a retry is recognised as a duplicate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Keyed hash of the feed's name and the event id.
    pub tag: u64,
    /// Keyed hash of the normalised row without `received_at` and without the ignored fields.
    pub content: u32,
}

/// One row in [`Rows`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Offset in [`Rows::bytes`] at which its bytes end; they begin where those of the row before
    /// end.
    pub end: usize,
    /// Offset within the row at which `"lsn":<n>,` is inserted.
    pub lsn_at: u32,
    /// Index into [`Rows::partitions`].
    pub partition: u32,
    /// Kind of the row.
    pub kind: RowKind,
}

/// The rows of one request, ready for the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// The bytes of all rows, one after the other.
    pub bytes: Vec<u8>,
    /// The rows, in the order of the request.
    pub rows: Vec<Row>,
    /// Partition keys such as `events/dt=2026-11-20`, each once.
    pub partitions: Vec<String>,
    /// Identities by which an earlier version may have stored the records, one for each
    /// [`RowKind::Record`] in order; empty if none of them can be that old.
    pub former: Vec<Identity>,
    /// Whether a record with a known id and other content is a duplicate, instead of a conflict.
    pub changed_is_duplicate: bool,
}

impl Rows {
    /// Removes all rows, and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.rows.clear();
        self.partitions.clear();
        self.former.clear();
    }

    /// The rows with their bytes, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&Row, &[u8])> {
        let mut start = 0;
        self.rows.iter().map(move |row| {
            let bytes = &self.bytes[start..row.end];
            start = row.end;
            (row, bytes)
        })
    }

    /// The index of a partition key, which is added if it is new.
    ///
    /// The search is linear: a request has few partitions, and the last one is mostly used again.
    pub fn partition(&mut self, key: &str) -> u32 {
        let known = self.partitions.iter().rposition(|k| k == key);
        let index = known.unwrap_or_else(|| {
            self.partitions.push(key.to_owned());
            self.partitions.len() - 1
        });
        u32::try_from(index).unwrap_or(u32::MAX)
    }

    /// Ends a row whose bytes were appended to `bytes` after the row before.
    #[inline]
    pub fn finish_row(&mut self, lsn_at: u32, partition: u32, kind: RowKind) {
        let start = self.rows.last().map_or(0, |row| row.end);
        debug_assert!(
            start + lsn_at as usize <= self.bytes.len(),
            "the lsn goes into the row"
        );
        debug_assert!(
            (partition as usize) < self.partitions.len(),
            "the partition is known"
        );
        self.rows.push(Row {
            end: self.bytes.len(),
            lsn_at,
            partition,
            kind,
        });
    }
}

/// Where the rows of a request came from; quarantine rows contain it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// When the request was received.
    pub received_at: Micros,
    /// The path of the endpoint, or the poll's name.
    pub endpoint: Arc<str>,
    /// The request's id, which the answer carries too.
    pub request_id: Box<str>,
    /// The peer's address, if there is one.
    pub client: Option<IpAddr>,
}

/// Computes identities. They are the same after every restart of a node, and senders cannot guess them.
#[derive(Clone, Copy, Debug)]
pub struct Fingerprint {
    key: HashKey,
    seed: u64,
}

impl Fingerprint {
    /// Makes it from the secret key of the node.
    pub fn new(key: HashKey) -> Self {
        let mut hasher = SipHasher24::new_with_key(&key.0);
        std::hash::Hasher::write(&mut hasher, b"seed of content hashes");
        let seed = hasher.finish128().h1;
        Self { key, seed }
    }

    /// The tag of an event id (its canonical bytes) for a feed.
    pub fn tag(&self, feed: &str, id: &[u8]) -> u64 {
        self.feed(feed).tag(id)
    }

    /// The part of the computation that is the same for all ids of one feed.
    pub fn feed(&self, feed: &str) -> FeedTags {
        let mut hasher = SipHasher24::new_with_key(&self.key.0);
        std::hash::Hasher::write(&mut hasher, feed.as_bytes());
        std::hash::Hasher::write(&mut hasher, &[0]);
        FeedTags(hasher)
    }

    /// The content hash of a row, given as the parts before and after the bytes that are left out.
    pub fn content(&self, before: &[u8], after: &[u8]) -> u32 {
        let first = xxh3_64_with_seed(before, self.seed);
        let both = xxh3_64_with_seed(after, first);
        // Any half would do, because xxh3 mixes all bits alike.
        u32::try_from(both >> 32).unwrap_or(0)
    }
}

/// Computes tags of ids of one feed; see [`Fingerprint::tag`].
#[derive(Clone, Copy)]
pub struct FeedTags(SipHasher24);

impl FeedTags {
    /// The tag of an event id.
    #[inline]
    pub fn tag(&self, id: &[u8]) -> u64 {
        let mut hasher = self.0;
        std::hash::Hasher::write(&mut hasher, id);
        hasher.finish128().h1
    }
}

impl fmt::Debug for FeedTags {
    /// Prints no part of the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FeedTags(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_cut_at_their_ends() {
        let mut rows = Rows::default();
        let partition = rows.partition("events/dt=2026-11-20");
        rows.bytes.extend_from_slice(b"ab");
        rows.finish_row(1, partition, RowKind::Quarantined);
        rows.bytes.extend_from_slice(b"cde");
        rows.finish_row(1, partition, RowKind::Refused);
        let cut: Vec<&[u8]> = rows.iter().map(|(_, bytes)| bytes).collect();
        assert_eq!(cut, [b"ab".as_slice(), b"cde"]);
        assert_eq!(rows.partition("events/dt=2026-11-20"), 0);
        assert_eq!(rows.partition("events/dt=2026-11-21"), 1);
    }

    #[test]
    fn a_line_gives_its_row_back() {
        assert_eq!(line_overhead(Lsn(u64::MAX)), MAX_LINE_OVERHEAD);
        for (lsn, at) in [1, 9, 10, 99, 100, 42, u64::MAX].map(|lsn| (Lsn(lsn), 1)) {
            let row = b"{\"a\":1,\"b\":2}";
            let (mut line, mut back) = (Vec::new(), Vec::new());
            put_line(&mut line, lsn, at, row);
            assert_eq!(line.len(), row.len() + line_overhead(lsn));
            assert_eq!(take_line(&mut back, lsn, at, &line), Some(()));
            assert_eq!(back, row);
            assert_eq!(take_line(&mut back, Lsn(lsn.0 - 1), at, &line), None);
            assert_eq!(take_line(&mut back, lsn, at + 1, &line), None);
            assert_eq!(take_line(&mut back, lsn, 1000, &line), None);
        }
    }

    #[test]
    fn identities_depend_on_key_feed_and_bytes() {
        let (a, b) = (
            Fingerprint::new(HashKey([1; 16])),
            Fingerprint::new(HashKey([2; 16])),
        );
        assert_eq!(a.tag("events", b"x"), a.tag("events", b"x"));
        assert_ne!(a.tag("events", b"x"), a.tag("users", b"x"));
        assert_ne!(a.tag("events", b"x"), b.tag("events", b"x"));
        assert_ne!(a.content(b"1", b"2"), a.content(b"12", b""));
        assert_ne!(a.content(b"1", b"2"), b.content(b"1", b"2"));
    }
}
