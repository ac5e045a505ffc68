//! What a run of a call has done.

use serde::{Deserialize, Serialize};

/// Most chunks that a dry run describes.
pub(super) const MAX_CHUNKS: usize = 1_000;
/// Most samples of what was refused.
const MAX_SAMPLES: usize = 5;

/// What a run of a call has done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// Requests that were made, repeated ones included.
    pub calls: u64,
    /// Groups that were answered.
    pub groups: u64,
    /// Groups that were sent before, or whose answer is still fresh.
    pub known: u64,
    /// Groups outside of the range of times.
    pub outside: u64,
    /// Rows of answers that were stored.
    pub stored: u64,
    /// Groups that the API does not know.
    pub missing: u64,
    /// Groups that the API has refused, alone or within an answer.
    pub failed: u64,
    /// Groups that an answer says nothing of.
    pub unanswered: u64,
    /// Rows of the quarantine: failures, and what could not be sent or stored.
    pub quarantined: u64,
    /// Whether groups are left because `max_calls` is used up.
    pub is_limited: bool,
    /// What a dry run would send, one line for each request.
    pub chunks: Vec<String>,
    /// The first of what was refused.
    pub samples: Vec<String>,
    /// Duration of the run in milliseconds.
    pub took_ms: u64,
}

impl Report {
    /// Adds a sample of what was refused, if there is room.
    pub(super) fn sample(&mut self, text: String) {
        if self.samples.len() < MAX_SAMPLES {
            self.samples.push(text);
        }
    }

    /// Adds what another one counts.
    pub(super) fn add(&mut self, other: Self) {
        self.groups += other.groups;
        self.stored += other.stored;
        self.missing += other.missing;
        self.failed += other.failed;
        self.unanswered += other.unanswered;
        self.quarantined += other.quarantined;
        other.samples.into_iter().for_each(|text| self.sample(text));
    }
}
