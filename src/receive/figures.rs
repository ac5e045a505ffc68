//! Figures of the polls, as `/health` shows them. The service fills them in; this room knows nothing else of polls.
#![allow(
    missing_docs,
    reason = "a doc line on a field would become part of the published description"
)]

use schemars::JsonSchema;
use serde::Serialize;

/// What is known of a poll.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PollHealth {
    pub last_error: Option<LastError>,
    pub last_success: Option<LastSuccess>,
    pub next_run: Option<String>,
    pub running: Option<RunningPoll>,
}

/// Why the last run failed, if it did.
#[derive(Debug, Serialize, JsonSchema)]
pub struct LastError {
    pub at: String,
    pub error: String,
}

/// The last run that did not fail.
#[derive(Debug, Serialize, JsonSchema)]
pub struct LastSuccess {
    pub at: String,
    pub records: u64,
    pub run: String,
}

/// How far a run has got.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RunningPoll {
    pub pages: u64,
    pub records: u64,
    /// Records in all, once the API said so.
    pub total: Option<u64>,
}
