//! The cursor of a feed: what it remembers of a stream from run to run. It is stored in the log,
//! durable together with the rows that it describes.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::mark_format::MarkFormat;
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
    /// Hash of the watermark's field. Where `request` is none, an earlier version has written it, and it
    /// is one of the field and the parameter.
    pub marks: u64,
    /// Hash of the request that the watermark was taken with.
    pub request: Option<u64>,
    /// The lake that the snapshot is in.
    pub lake: String,
    /// Start of the last complete run, in microseconds.
    pub started: Option<i64>,
    /// The last snapshot that was written.
    pub snapshot: Option<Snapshot>,
    /// The highest value that complete appending runs have seen.
    pub watermark: Option<String>,
    /// The end of the last window that was read whole, in microseconds.
    pub window: Option<i64>,
    /// Where an appending run was interrupted.
    pub resume: Option<R>,
    /// Hashes of the latest invalid records, the newest last.
    pub invalid: Vec<u64>,
    /// Number of valid records of the last complete snapshot, whatever it was read with.
    pub rows: Option<u64>,
    /// Hashes of records that failed runs have left in the quarantine, the newest last.
    pub shown: Vec<u64>,
    /// Which identities the stored records have: [`BY_BYTES`] or [`BY_CONTENT`].
    #[serde(default = "by_bytes")]
    pub identity: u8,
}

/// Some of the stored records may have been identified by the bytes of their rows.
pub const BY_BYTES: u8 = 1;
/// All stored records were identified by what they say.
pub const BY_CONTENT: u8 = 2;

/// What cursors of earlier versions do not say.
fn by_bytes() -> u8 {
    BY_BYTES
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
            request: None,
            lake: String::new(),
            started: None,
            snapshot: None,
            watermark: None,
            window: None,
            resume: None,
            invalid: Vec::new(),
            identity: BY_CONTENT,
            rows: None,
            shown: Vec::new(),
        }
    }
}

/// What a stored cursor must fit, to be used as it is.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// Hash of the settings that snapshot and resume position depend on.
    pub plan: u64,
    /// Hash of the watermark's field.
    pub field: u64,
    /// The hash of field and parameter that earlier versions have written.
    pub earlier: u64,
    /// Hash of the request.
    pub request: u64,
    /// Whether the watermark is kept when the request has changed.
    pub keep_mark: bool,
    /// The format of marks, if there are any.
    pub format: Option<&'a MarkFormat>,
    /// The lake that snapshots are in.
    pub lake: &'a str,
}

/// Why a watermark was discarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Forgotten {
    /// Another field grows now.
    #[error("watermark.field has changed")]
    Field,
    /// Other records are asked for now.
    #[error(
        "the url, the query or the body has changed; if it asks for the same records all the same, set keep_mark = true before the next run"
    )]
    Request,
    /// It cannot be read in the format that is configured now.
    #[error("the mark so far cannot be read in the watermark.format that is configured now")]
    Format,
}

impl<R: Serialize + DeserializeOwned> FeedCursor<R> {
    /// Reads a stored cursor. One that cannot be read is discarded: the next run then reads everything,
    /// and duplicates are recognised. Snapshot and resume position are discarded if the plan has changed,
    /// because they say nothing about what the source returns now; so is the watermark if it belongs to
    /// another field or request, and the reason is returned. The times are kept.
    pub fn read(bytes: Option<&[u8]>, terms: &Terms<'_>) -> (Self, Option<Forgotten>) {
        let read = bytes.and_then(|bytes| serde_json::from_slice(bytes).ok());
        let mut cursor: Self = read.unwrap_or_default();
        if cursor.plan != terms.plan {
            cursor.snapshot = None;
            cursor.resume = None;
            cursor.plan = terms.plan;
        }
        let forgotten = cursor.check_mark(terms);
        cursor.marks = terms.field;
        cursor.request = Some(terms.request);
        if cursor.lake != terms.lake {
            // A snapshot in another lake is not in this one.
            cursor.snapshot = None;
            cursor.rows = None;
            terms.lake.clone_into(&mut cursor.lake);
        }
        (cursor, forgotten)
    }

    /// Discards the watermark if it does not fit, and returns why.
    fn check_mark(&mut self, terms: &Terms<'_>) -> Option<Forgotten> {
        if self.watermark.is_none() && self.window.is_none() {
            return None;
        }
        let is_of_field = match self.request {
            None => self.marks == terms.earlier,
            Some(_) => self.marks == terms.field,
        };
        let is_of_request = self.request.is_none_or(|request| request == terms.request);
        let is_readable = self.watermark.as_deref().is_none_or(|mark| {
            let format = terms.format;
            format.is_some_and(|format| format.read_remembered(mark).is_some())
        });
        let why = if !is_of_field {
            Forgotten::Field
        } else if !is_of_request && !terms.keep_mark {
            Forgotten::Request
        } else if !is_readable {
            Forgotten::Format
        } else {
            return None;
        };
        self.watermark = None;
        self.window = None;
        // It has seen records up to a mark that no longer counts.
        self.resume = None;
        Some(why)
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

    /// The watermark, in a format.
    pub fn mark(&self, format: &MarkFormat) -> Option<Mark> {
        format.read_remembered(self.watermark.as_deref()?)
    }

    /// Whether an earlier version may have stored records under other identities.
    pub fn may_have_older(&self) -> bool {
        self.identity < BY_CONTENT
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
