//! The cursor of a feed: what it remembers of a stream from run to run. It is stored in the log,
//! durable together with the rows that it describes.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::watermark::Mark;
use lakehook_base::clock::Micros;

/// Most invalid records that are remembered, so that they are not quarantined in every run.
const MAX_INVALID: usize = 128;

/// How far a stream has been read. `R` says where an interrupted run resumes, in terms of its feed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, bound(deserialize = "R: Deserialize<'de>"))]
pub struct FeedCursor<R> {
    /// Hash of the settings that it was written under.
    pub plan: u64,
    /// Hash of the watermark's field and parameter.
    pub marks: u64,
    /// The lake that the snapshot is in.
    pub lake: String,
    /// Start of the last complete run, in microseconds.
    pub started: Option<i64>,
    /// The last snapshot that was written.
    pub snapshot: Option<Snapshot>,
    /// The highest value that complete appending runs have seen.
    pub watermark: Option<String>,
    /// Where an appending run was interrupted.
    pub resume: Option<R>,
    /// Hashes of the latest invalid records, the newest last.
    pub invalid: Vec<u64>,
    /// Number of valid records of the last complete snapshot, whatever it was read with.
    pub rows: Option<u64>,
    /// Hashes of records that failed runs have left in the quarantine, the newest last.
    pub shown: Vec<u64>,
}

/// Most records of failed runs that are remembered, so that they are not quarantined again and again.
const MAX_SHOWN: usize = 40;

/// What is known of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Name of the run that wrote it.
    pub run: String,
    /// Number of records, including those in the quarantine.
    pub records: u64,
    /// Hash of the contents of all records, whatever their order; in hexadecimal.
    pub content: String,
    /// The source's validator (ETag), if it sent one.
    pub etag: Option<String>,
}

impl<R> Default for FeedCursor<R> {
    fn default() -> Self {
        Self {
            plan: 0,
            marks: 0,
            lake: String::new(),
            started: None,
            snapshot: None,
            watermark: None,
            resume: None,
            invalid: Vec::new(),
            rows: None,
            shown: Vec::new(),
        }
    }
}

impl<R: Serialize + DeserializeOwned> FeedCursor<R> {
    /// Reads a stored cursor. One that cannot be read is discarded: the next run then reads everything,
    /// and duplicates are recognised. Snapshot and resume position are discarded if the plan has changed,
    /// because they say nothing about what the source returns now; so is the watermark if its field or
    /// parameter has changed. The times are kept.
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
            // A snapshot in another lake is not in this one.
            cursor.snapshot = None;
            cursor.rows = None;
            lake.clone_into(&mut cursor.lake);
        }
        cursor
    }

    /// Encodes the cursor.
    pub fn write(&self) -> Vec<u8> {
        // Strings and numbers always serialise.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Start of the last complete run.
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

    /// Remembers invalid records that are in the quarantine.
    pub fn add_invalid(&mut self, hashes: &[u64]) {
        self.invalid.extend_from_slice(hashes);
        let too_many = self.invalid.len().saturating_sub(MAX_INVALID);
        self.invalid.drain(..too_many);
    }

    /// Remembers records that a failed run has left in the quarantine.
    pub fn add_shown(&mut self, hashes: &[u64]) {
        self.shown.extend_from_slice(hashes);
        let too_many = self.shown.len().saturating_sub(MAX_SHOWN);
        self.shown.drain(..too_many);
    }
}
