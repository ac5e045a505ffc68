//! Figures of the polls, as `/health` shows them. The service fills them in; this room knows nothing else of polls.
#![allow(
    missing_docs,
    reason = "a doc line on a field would become part of the published description"
)]

use schemars::JsonSchema;
use serde::Serialize;

/// The state of a poll.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PollHealth {
    pub last_error: Option<LastError>,
    pub last_success: Option<LastSuccess>,
    pub next_run: Option<String>,
    pub running: Option<RunningPoll>,
    pub waiting: Option<WaitingPoll>,
}

/// When and why the last run failed.
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

/// The progress of a run.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RunningPoll {
    pub pages: u64,
    pub records: u64,
    /// The number of all records, if the API has reported it.
    pub total: Option<u64>,
}

/// What a run waits for.
#[derive(Debug, Serialize, JsonSchema)]
pub struct WaitingPoll {
    pub r#for: String,
    /// When it goes on, if that is known.
    pub until: Option<String>,
}
