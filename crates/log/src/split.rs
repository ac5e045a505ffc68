//! Splits the rows of a request among several logs. Pure.
//!
//! The log of a record follows from its tag alone, which is a hash of its id under a key that all nodes of a cluster share.
//! So an event that is sent again meets the log that knows it, whichever node takes it. What has no identity goes to the
//! first log: the quarantine of a cluster is in one place.

use crate::ledger::request::{Append, NO_RUN};
use lakehook_base::record::{Row, RowKind, Rows};

/// Which of `logs` logs has the records with this tag.
pub fn log_of(tag: u64, logs: usize) -> usize {
    let logs = logs.max(1) as u64;
    // Tags are uniform; tables of identities use their highest bits, so these are taken from the lowest.
    usize::try_from(tag % logs).unwrap_or(0)
}

/// The parts of a request, with the numbers of their logs.
#[derive(Debug)]
pub(crate) struct Divided {
    /// What can be stored at once. If it is sent again, it is known.
    pub(crate) first: Vec<(usize, Append)>,
    /// What is stored once all that is: it has rows without identity, which nothing would recognise.
    pub(crate) last: Option<(usize, Append)>,
}

/// Splits a request. If all its rows belong to one log, nothing is copied.
pub(crate) fn split(append: Append, logs: usize) -> Divided {
    let whole = |append, log| Divided {
        first: vec![(log, append)],
        last: None,
    };
    // Runs and cursors are of a log that is alone.
    if logs < 2 || append.run != NO_RUN || append.cursor.is_some() {
        return whole(append, 0);
    }
    let number = |row: &Row| match row.kind {
        RowKind::Record(identity) => log_of(identity.tag, logs),
        RowKind::Snapshot | RowKind::Quarantined | RowKind::Refused => 0,
    };
    let mut rows = append.rows.rows.iter();
    let one = rows.next().map_or(0, number);
    if rows.all(|row| number(row) == one) {
        return whole(append, one);
    }
    let mut parts: Vec<Portion> = (0..logs).map(|_| Portion::default()).collect();
    let mut start = 0;
    for row in &append.rows.rows {
        let part = &mut parts[number(row)];
        part.bytes += row.end - start;
        part.count += 1;
        start = row.end;
    }
    for part in &mut parts {
        part.rows.bytes.reserve_exact(part.bytes);
        part.rows.rows.reserve_exact(part.count);
        part.known.resize(append.rows.partitions.len(), None);
    }
    let mut former = append.rows.former.iter();
    let mut has_unidentified = false;
    for (row, bytes) in append.rows.iter() {
        let part = &mut parts[number(row)];
        part.take(row, bytes, &append.rows.partitions);
        if matches!(row.kind, RowKind::Record(_)) {
            part.rows.former.extend(former.next());
        } else {
            has_unidentified = true;
        }
    }
    collect(&append, parts, has_unidentified)
}

fn collect(append: &Append, parts: Vec<Portion>, has_unidentified: bool) -> Divided {
    let mut first = Vec::new();
    let mut last = None;
    for (log, mut part) in parts.into_iter().enumerate() {
        if part.count == 0 {
            continue;
        }
        part.rows.changed_is_duplicate = append.rows.changed_is_duplicate;
        let own = Append {
            rows: part.rows,
            dropped: 0,
            origin: append.origin.clone(),
            run: NO_RUN,
            cursor: None,
        };
        if log == 0 && has_unidentified {
            last = Some((log, own));
        } else {
            first.push((log, own));
        }
    }
    // Counted once, with what is stored last.
    let counting = last.as_mut().or_else(|| first.last_mut());
    if let Some((_, counting)) = counting {
        counting.dropped = append.dropped;
    }
    Divided { first, last }
}

/// The rows of one log.
#[derive(Default)]
struct Portion {
    rows: Rows,
    bytes: usize,
    count: usize,
    /// What the partitions of the whole are here.
    known: Vec<Option<u32>>,
}

impl Portion {
    fn take(&mut self, row: &Row, bytes: &[u8], partitions: &[String]) {
        let whole = row.partition as usize;
        let known = self.known[whole];
        let partition = known.unwrap_or_else(|| self.rows.partition(&partitions[whole]));
        self.known[whole] = Some(partition);
        self.rows.bytes.extend_from_slice(bytes);
        self.rows.finish_row(row.lsn_at, partition, row.kind);
    }
}

#[cfg(test)]
#[path = "split_tests.rs"]
mod tests;
