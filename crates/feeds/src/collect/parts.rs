//! The parts of a collector: rows on their way to the log, the page that is read, and what was seen so far.

use std::collections::BTreeMap;

use super::ids::SeenIds;
use crate::evidence::Evidence;
use crate::guards::Tally;
use crate::watermark::Mark;
use lakehook_base::record::Rows;

/// Most characters of a row that is shown.
const MAX_SHOWN: usize = 2_000;

/// Rows that are not in the log yet, and what is added to the totals once they are.
#[derive(Debug, Default)]
pub(super) struct Pending {
    pub(super) rows: Rows,
    pub(super) records: u64,
    pub(super) tally: Tally,
    /// Hashes of the invalid records among these rows.
    pub(super) invalid: Vec<u64>,
    /// The records of a snapshot that were not compared with those before.
    pub(super) unseen: Vec<Unseen>,
    /// Number of records of a snapshot without ids that are equal to one before.
    pub(super) repeated: u64,
    pub(super) content: u128,
    pub(super) highest: Option<Mark>,
    pub(super) samples: Vec<String>,
    /// How many values were made null, by the index of the column's rule.
    pub(super) nulls: BTreeMap<u32, u64>,
    /// How many values do not fit a column that was found, by its index.
    pub(super) unfit: BTreeMap<u32, u64>,
}

impl Pending {
    /// Nothing, with room for as many rows as these.
    pub(super) fn with_room_for(other: &Self) -> Self {
        let mut own = Self::default();
        own.rows.bytes.reserve(other.rows.bytes.len());
        own.rows.rows.reserve(other.rows.rows.len());
        own
    }

    /// Forgets everything, and keeps the room.
    pub(super) fn clear(&mut self) {
        let mut rows = std::mem::take(&mut self.rows);
        rows.clear();
        *self = Self {
            rows,
            ..Self::default()
        };
    }
}

/// A record of a snapshot that may have come before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unseen {
    /// Its index in the page.
    pub(super) index: u64,
    /// The hash of its id, or of its content if it has none.
    pub(super) hash: u128,
    pub(super) is_id: bool,
}

/// The page that is being read.
#[derive(Debug, Default)]
pub(super) struct CurrentPage {
    /// Number of the page, from 1.
    pub(super) number: u64,
    /// Hash of the records that this attempt has taken so far.
    pub(super) hash: u64,
    /// Number of its records that are in the log, and their hash.
    pub(super) flushed: (u64, u64),
    /// The records of it that are in the log.
    pub(super) tally: Tally,
}

/// What the run has seen of all records.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// The ids of a snapshot, or of its records if they have no ids.
    pub(super) ids: SeenIds,
    /// Number of records of a snapshot without ids that are equal to one before.
    pub(super) repeated: u64,
    /// Sum of the hashes of what is flushed.
    pub(super) content: u128,
    /// Number of records with a value in the watermark's field.
    pub(super) marked: u64,
    /// How many values do not fit a column that was found, by its index.
    pub(super) unfit: BTreeMap<u32, u64>,
    /// Whether a resume position was too long to be remembered.
    pub(super) is_too_long: bool,
}

/// What a run has read, for its guards.
#[derive(Debug, Default)]
pub(super) struct Judged {
    /// What is in the log.
    pub(super) tally: Tally,
    /// The first records that were refused.
    pub(super) evidence: Evidence,
}

/// The end of the rows at some time, to cut off what was added since.
#[derive(Clone, Copy)]
pub(super) struct RowsMark {
    bytes: usize,
    rows: usize,
    partitions: usize,
}

impl RowsMark {
    pub(super) fn of(rows: &Rows) -> Self {
        Self {
            bytes: rows.bytes.len(),
            rows: rows.rows.len(),
            partitions: rows.partitions.len(),
        }
    }

    pub(super) fn cut(self, rows: &mut Rows) {
        rows.bytes.truncate(self.bytes);
        rows.rows.truncate(self.rows);
        rows.partitions.truncate(self.partitions);
    }
}

/// The last row without the time of its receipt, for people; cut if it is long.
pub(super) fn first_row(rows: &Rows) -> Option<String> {
    let (row, bytes) = rows.iter().last()?;
    let text = String::from_utf8_lossy(bytes.get(row.lsn_at as usize..)?);
    let mut shown = String::from("{");
    shown.extend(text.chars().take(MAX_SHOWN));
    if shown.len() <= text.len() {
        shown.push_str(" … (cut)");
    }
    Some(shown)
}
