//! Evidence of a run that failed because of its guards: the first records that it refused.
//!
//! The rows of such a run are discarded, those of the quarantine too. So that a person can see what was wrong,
//! the first refused records are kept in the quarantine all the same, once, however often the run fails.

use lakehook_base::record::{RowKind, Rows};

/// Most records that are kept of a run.
const MAX_RECORDS: usize = 20;
/// Most bytes that are kept of a run.
const MAX_BYTES: usize = 256 << 10;

/// The first refused records of a run, as rows of the quarantine.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    rows: Vec<Kept>,
    bytes: usize,
}

#[derive(Debug)]
struct Kept {
    /// Hash of the record.
    hash: u64,
    lsn_at: u32,
    row: Vec<u8>,
}

impl Evidence {
    /// Keeps the last of these rows, if there is room.
    pub(super) fn keep_last(&mut self, hash: u64, rows: &Rows) {
        let Some((last, before)) = rows.rows.split_last() else {
            return;
        };
        let start = before.last().map_or(0, |row| row.end);
        let row = &rows.bytes[start..last.end];
        let is_known = self.rows.iter().any(|kept| kept.hash == hash);
        if is_known || self.rows.len() >= MAX_RECORDS || self.bytes + row.len() > MAX_BYTES {
            return;
        }
        self.bytes += row.len();
        self.rows.push(Kept {
            hash,
            lsn_at: last.lsn_at,
            row: row.to_vec(),
        });
    }

    /// The rows that an earlier run has not kept, and the hashes of their records.
    pub(super) fn rows(&self, partition: &str, shown: &[u64]) -> (Rows, Vec<u64>) {
        let mut rows = Rows::default();
        let mut hashes = Vec::new();
        for kept in self.rows.iter().filter(|kept| !shown.contains(&kept.hash)) {
            rows.bytes.extend_from_slice(&kept.row);
            let partition = rows.partition(partition);
            rows.finish_row(kept.lsn_at, partition, RowKind::Quarantined);
            hashes.push(kept.hash);
        }
        (rows, hashes)
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.rows.clear();
        self.bytes = 0;
    }
}
