//! Marks: the lake notes which rows of the quarantine were replayed, so that they are neither shown nor
//! replayed again.
//!
//! A mark is put once the rows that it names are durable in the log. Losing a mark does no harm: if its rows
//! are replayed again, their events are duplicates.

use std::collections::HashMap;
use std::io;

use serde::{Deserialize, Serialize};

use super::judge::EventCounts;
use crate::clock::Micros;
use crate::files::Disk;
use crate::ids::NodeId;
use crate::lake::reader::{LakeReadError, LakeReader};
use crate::lake::{Lake, LakeError, keys, notes};

/// A mark names at most this many rows.
pub const MAX_ROWS: usize = 50_000;

/// A mark as it is in the lake.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct ReplayMark {
    /// When the rows were replayed.
    at: String,
    /// The node whose log stored them.
    by: String,
    rows: Vec<MarkedRow>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct MarkedRow {
    /// The node that refused the row.
    node: String,
    lsn: u64,
    #[serde(flatten)]
    counts: EventCounts,
}

/// When and how a row was replayed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Replayed {
    /// The time, RFC 3339, in UTC.
    pub at: String,
    /// What the replay did with its events.
    #[serde(flatten)]
    pub counts: EventCounts,
}

/// Why marks cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum MarksError {
    /// The lake cannot be read.
    #[error(transparent)]
    Lake(#[from] LakeReadError),
    /// A mark is not what a replay writes.
    #[error("{key}: it cannot be read: {error}")]
    Mark {
        /// The key of the mark.
        key: String,
        /// What the parser says about it.
        error: serde_json::Error,
    },
}

/// All marks of a lake; they take about 100 bytes of memory for each row that was replayed.
#[derive(Debug, Default)]
pub struct Marks {
    times: Vec<String>,
    rows: HashMap<(NodeId, u64), (usize, EventCounts)>,
}

impl Marks {
    /// Reads all marks of a lake.
    pub async fn read(place: &LakeReader) -> Result<Self, MarksError> {
        let mut marks = Self::default();
        for key in place.keys(&keys::replays_prefix()).await? {
            if let Some(text) = place.read(&key).await? {
                let taken = marks.take(&text);
                taken.map_err(|error| MarksError::Mark { key, error })?;
            }
        }
        Ok(marks)
    }

    fn take(&mut self, text: &[u8]) -> Result<(), serde_json::Error> {
        let mark: ReplayMark = serde_json::from_slice(text)?;
        for row in mark.rows {
            if let Ok(node) = u64::from_str_radix(&row.node, 16) {
                let at = self.times.len();
                // The first mark says what was stored; later replays of the row found only duplicates.
                let known = self.rows.entry((NodeId(node), row.lsn));
                known.or_insert((at, row.counts));
            }
        }
        self.times.push(mark.at);
        Ok(())
    }

    /// When and how the row with this LSN was replayed, given the node that refused it.
    pub fn of(&self, node: Option<NodeId>, lsn: u64) -> Option<Replayed> {
        let (at, counts) = self.rows.get(&(node?, lsn))?;
        Some(Replayed {
            at: self.times.get(*at)?.clone(),
            counts: *counts,
        })
    }
}

/// Collects rows for the next mark.
#[derive(Debug, Default)]
pub struct Marking {
    rows: Vec<MarkedRow>,
}

impl Marking {
    /// Whether there are no rows to mark.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Adds a row. Returns `true` if the mark is full then.
    pub fn add(&mut self, node: NodeId, lsn: u64, counts: EventCounts) -> bool {
        let node = node.to_string();
        self.rows.push(MarkedRow { node, lsn, counts });
        self.rows.len() >= MAX_ROWS
    }

    /// Puts a mark for the rows, if there are any, and starts a new one. `number` must be random. Blocks.
    pub fn put(
        &mut self,
        lake: &Lake<Disk>,
        by: NodeId,
        at: Micros,
        number: u64,
    ) -> Result<(), LakeError> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let mark = ReplayMark {
            at: at.to_string(),
            by: by.to_string(),
            rows: std::mem::take(&mut self.rows),
        };
        let text = serde_json::to_vec(&mark).map_err(io::Error::other);
        let text = text.map_err(|error| LakeError::Unusable(error.to_string()))?;
        let put = notes::leave(&Disk, lake, keys::replay_key(at, by, number), by, &text);
        if put.is_err() {
            // The rows are kept for another attempt.
            self.rows = mark.rows;
        }
        put
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;

    #[test]
    fn marks_are_read_as_they_were_written_and_the_first_one_counts() {
        let stored = EventCounts {
            stored: 2,
            dropped: 1,
            ..EventCounts::default()
        };
        let again = EventCounts {
            duplicates: 3,
            ..EventCounts::default()
        };
        let mark = |at: &str, counts| ReplayMark {
            at: at.to_owned(),
            by: NodeId(9).to_string(),
            rows: vec![MarkedRow {
                node: NodeId(0xab).to_string(),
                lsn: 7,
                counts,
            }],
        };
        let mut marks = Marks::default();
        for (at, counts) in [("a", stored), ("b", again)] {
            let text = serde_json::to_vec(&mark(at, counts)).unwrap();
            marks.take(&text).unwrap();
        }
        let replayed = marks.of(Some(NodeId(0xab)), 7).unwrap();
        assert_eq!((replayed.at.as_str(), replayed.counts), ("a", stored));
        assert_eq!(marks.of(Some(NodeId(0xab)), 8), None);
        assert_eq!(marks.of(Some(NodeId(9)), 7), None);
        assert_eq!(marks.of(None, 7), None);
        assert!(marks.take(b"{}").is_err());
    }

    #[test]
    fn a_mark_is_full_at_its_bound() {
        let mut marking = Marking::default();
        for lsn in 1..MAX_ROWS as u64 {
            assert!(!marking.add(NodeId(1), lsn, EventCounts::default()));
        }
        assert!(marking.add(NodeId(1), 0, EventCounts::default()));
    }
}
