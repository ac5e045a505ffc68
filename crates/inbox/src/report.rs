//! What a look into an inbox has found and done, for commands and markers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What became of the lines of files. Each line that was read is counted once more, as what it became:
/// `lines = rows + repeats + quarantined + blank`. The line that names the columns does not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineCounts {
    /// Lines, or records of more lines than one.
    pub lines: u64,
    /// Rows.
    pub rows: u64,
    /// Records that were known, with the same content.
    pub repeats: u64,
    /// Records in the quarantine.
    pub quarantined: u64,
    /// Lines with nothing on them.
    pub blank: u64,
}

impl LineCounts {
    /// Adds other counts.
    pub fn add(&mut self, other: &Self) {
        self.lines += other.lines;
        self.rows += other.rows;
        self.repeats += other.repeats;
        self.quarantined += other.quarantined;
        self.blank += other.blank;
    }
}

/// A file that was refused, or could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedFile {
    /// Its name.
    pub name: String,
    /// Why.
    pub why: String,
}

/// What a look into an inbox has found and done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassReport {
    /// The runs that it made.
    pub runs: Vec<String>,
    /// Number of files that were taken.
    pub files: u64,
    /// Files that were refused or could not be read; the first of them.
    pub failed: Vec<FailedFile>,
    /// Number of all of these.
    pub failed_total: u64,
    /// Number of files that were known already, or passed over.
    pub known: u64,
    /// Number of files that are not complete yet.
    pub waiting: u64,
    /// What became of the lines of the files that were taken.
    pub counts: LineCounts,
    /// Errors of the first refused records, as messages.
    pub samples: Vec<String>,
    /// How many values column rules have made null, by column.
    pub nulls: BTreeMap<String, u64>,
    /// What is probably a mistake.
    pub warnings: Vec<String>,
}

/// Failed files that are listed.
const MAX_FAILED: usize = 20;
/// Refused records that are described.
pub(crate) const MAX_SAMPLES: usize = 5;

impl PassReport {
    /// Whether anything was done.
    pub(crate) fn is_news(&self) -> bool {
        !self.runs.is_empty() || self.failed_total > 0
    }

    /// Notes a file that failed.
    pub(crate) fn fail(&mut self, name: &str, why: &str) {
        self.failed_total += 1;
        if self.failed.len() < MAX_FAILED {
            self.failed.push(FailedFile {
                name: name.to_owned(),
                why: why.to_owned(),
            });
        }
    }
}
