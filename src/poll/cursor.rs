//! What a poll remembers from run to run. It is in the log, durable together with the rows that it
//! speaks of.

use serde::{Deserialize, Serialize};

use super::pages::Position;
use super::watermark::Mark;
use crate::clock::Micros;

/// So many invalid records are remembered, so that they are not quarantined again and again.
const MAX_INVALID: usize = 128;

/// How far a poll has got.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PollCursor {
    /// Stands for the plan that it was written by.
    pub plan: u64,
    /// Stands for the watermark's field and parameter.
    pub marks: u64,
    /// The lake that the snapshot is in.
    pub lake: String,
    /// When the last complete run started, in microseconds.
    pub started: Option<i64>,
    /// The last snapshot that was written.
    pub snapshot: Option<Snapshot>,
    /// The highest value that complete appending runs have seen.
    pub watermark: Option<String>,
    /// Where an appending run was interrupted.
    pub resume: Option<Resume>,
    /// Hashes of invalid records of late, the newest last.
    pub invalid: Vec<u64>,
}

/// What is known of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Its name.
    pub run: String,
    /// Records, with those of the quarantine.
    pub records: u64,
    /// Stands for all of their content, in whatever order; in hexadecimal.
    pub content: String,
    /// The API's validator.
    pub etag: Option<String>,
}

/// An appending run on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resume {
    /// What it asked from.
    pub since: Option<String>,
    /// The next page; where pages are counted, the last one that was stored.
    pub position: Position,
    /// Where pages are counted: stands for the records of that page, so that it is known again.
    pub page_hash: Option<u64>,
    /// Records of the pages before that position.
    pub read: u64,
    /// The highest value seen.
    pub highest: Option<String>,
    /// When the run began that was interrupted, in microseconds; the first of them, if several were.
    pub began: i64,
}

impl PollCursor {
    /// Reads what was written. What cannot be read is forgotten: the next run then reads everything,
    /// and duplicates are recognised. What was written by another plan says nothing about what the API
    /// holds now, and a watermark of another field says nothing either; the times stay.
    pub fn read(bytes: Option<&[u8]>, plan: u64, marks: u64, lake: &str) -> Self {
        let read = bytes.and_then(|bytes| serde_json::from_slice(bytes).ok());
        let mut cursor: Self = read.unwrap_or_default();
        if cursor.plan != plan {
            cursor.snapshot = None;
            cursor.resume = None;
            cursor.plan = plan;
        }
        if cursor.marks != marks {
            cursor.watermark = None;
            cursor.marks = marks;
        }
        if cursor.lake != lake {
            // What another lake holds is not in this one.
            cursor.snapshot = None;
            lake.clone_into(&mut cursor.lake);
        }
        cursor
    }

    /// The bytes that are stored.
    pub fn write(&self) -> Vec<u8> {
        // Strings and numbers always serialise.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// When the last complete run started.
    pub fn last_started(&self) -> Option<Micros> {
        self.started.map(Micros)
    }

    /// The watermark.
    pub fn mark(&self) -> Option<Mark> {
        self.watermark.as_deref().and_then(Mark::parse_text)
    }

    /// Whether an invalid record is in the quarantine already.
    pub fn knows_invalid(&self, hash: u64) -> bool {
        self.invalid.contains(&hash)
    }

    /// Invalid records are in the quarantine.
    pub fn add_invalid(&mut self, hashes: &[u64]) {
        self.invalid.extend_from_slice(hashes);
        let too_many = self.invalid.len().saturating_sub(MAX_INVALID);
        self.invalid.drain(..too_many);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_by_the_same_plan_and_fits() {
        let mut cursor = PollCursor {
            plan: 7,
            marks: 1,
            lake: "lake".to_owned(),
            started: Some(5),
            watermark: Some("2026-11-25T00:00:00.000000Z".to_owned()),
            resume: Some(Resume {
                since: None,
                position: Position::Cursor("x".repeat(4 << 10)),
                page_hash: Some(u64::MAX),
                read: 3,
                highest: None,
                began: 1,
            }),
            ..PollCursor::default()
        };
        let hashes: Vec<u64> = (0..300).map(|n| u64::MAX - n).collect();
        cursor.add_invalid(&hashes);
        assert!(cursor.knows_invalid(u64::MAX - 299) && !cursor.knows_invalid(u64::MAX));
        let bytes = cursor.write();
        assert!(
            bytes.len() <= crate::wal::request::MAX_CURSOR,
            "{}",
            bytes.len()
        );
        let read = |bytes, plan, marks, lake| PollCursor::read(bytes, plan, marks, lake);
        assert_eq!(read(Some(&bytes), 7, 1, "lake"), cursor);
        let other = read(Some(&bytes), 8, 1, "lake");
        assert_eq!((other.resume, other.started), (None, Some(5)));
        assert_eq!(other.watermark, cursor.watermark);
        assert_eq!(read(Some(&bytes), 7, 2, "lake").watermark, None);
        assert_eq!(read(Some(&bytes), 7, 1, "other").snapshot, None);
        assert_eq!(read(Some(b"?"), 7, 1, "lake").plan, 7);
        assert_eq!(read(None, 7, 1, "lake").started, None);
    }
}
