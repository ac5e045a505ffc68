//! Marks: what was replayed, noted in the lake by the row of the quarantine, so that it is not shown and not
//! replayed again.
//!
//! A mark is put after what it speaks of is durable in the log. Lost marks do no harm: what is replayed again is
//! found to be known.

use std::collections::HashMap;
use std::io;

use serde::{Deserialize, Serialize};

use super::Counts;
use crate::clock::Micros;
use crate::files::Disk;
use crate::ids::NodeId;
use crate::lake::reader::{LakeReadError, LakeReader};
use crate::lake::{Lake, LakeError, keys, notes};

/// A mark speaks of at most so many rows.
pub const MAX_ROWS: usize = 50_000;

/// A mark as it is in the lake.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Mark {
    /// When.
    at: String,
    /// Into the log of which node.
    by: String,
    rows: Vec<Row>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Row {
    /// The node that refused it.
    node: String,
    lsn: u64,
    #[serde(flatten)]
    counts: Counts,
}

/// When and how a row was replayed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Replayed {
    /// When.
    pub at: String,
    /// What became of its events.
    #[serde(flatten)]
    pub counts: Counts,
}

/// Why marks cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum MarksError {
    /// The lake.
    #[error(transparent)]
    Lake(#[from] LakeReadError),
    /// A mark.
    #[error("{key}: it cannot be read: {error}")]
    Mark {
        /// Its key.
        key: String,
        /// Why.
        error: serde_json::Error,
    },
}

/// All marks of a lake: some 100 bytes for each row that was replayed.
#[derive(Debug, Default)]
pub struct Marks {
    times: Vec<String>,
    rows: HashMap<(NodeId, u64), (usize, Counts)>,
}

impl Marks {
    /// Reads those of a lake.
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
        let mark: Mark = serde_json::from_slice(text)?;
        for row in mark.rows {
            if let Ok(node) = u64::from_str_radix(&row.node, 16) {
                let at = self.times.len();
                // The first one did it; later ones found duplicates.
                let known = self.rows.entry((NodeId(node), row.lsn));
                known.or_insert((at, row.counts));
            }
        }
        self.times.push(mark.at);
        Ok(())
    }

    /// Of the row with that number, which that node refused.
    pub fn of(&self, node: Option<NodeId>, lsn: u64) -> Option<Replayed> {
        let (at, counts) = self.rows.get(&(node?, lsn))?;
        Some(Replayed {
            at: self.times.get(*at)?.clone(),
            counts: *counts,
        })
    }
}

/// A mark in the making.
#[derive(Debug, Default)]
pub struct Marking {
    rows: Vec<Row>,
}

impl Marking {
    /// Whether nothing is noted.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Notes a row. `true` if the mark is full.
    pub fn add(&mut self, node: NodeId, lsn: u64, counts: Counts) -> bool {
        let node = node.to_string();
        self.rows.push(Row { node, lsn, counts });
        self.rows.len() >= MAX_ROWS
    }

    /// Puts what is noted, if anything is, and begins anew. The number is to be random. Blocks.
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
        let mark = Mark {
            at: at.to_string(),
            by: by.to_string(),
            rows: std::mem::take(&mut self.rows),
        };
        let text = serde_json::to_vec(&mark).map_err(io::Error::other);
        let text = text.map_err(|error| LakeError::Unusable(error.to_string()))?;
        let put = notes::leave(&Disk, lake, keys::replay_key(at, by, number), by, &text);
        if put.is_err() {
            // For another attempt.
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
        let stored = Counts {
            stored: 2,
            dropped: 1,
            ..Counts::default()
        };
        let again = Counts {
            duplicates: 3,
            ..Counts::default()
        };
        let mark = |at: &str, counts| Mark {
            at: at.to_owned(),
            by: NodeId(9).to_string(),
            rows: vec![Row {
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
            assert!(!marking.add(NodeId(1), lsn, Counts::default()));
        }
        assert!(marking.add(NodeId(1), 0, Counts::default()));
    }
}
