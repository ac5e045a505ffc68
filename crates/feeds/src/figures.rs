//! What a feed shows of its runs, for `/health`, commands and metrics.

use std::collections::BTreeMap;

use lakehook_base::clock::Micros;

/// State of each stream of a feed, by name.
pub type Figures = BTreeMap<String, StreamState>;

/// How far a run has got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Pages read.
    pub pages: u64,
    /// Records read.
    pub records: u64,
    /// Records in all, once the source said so.
    pub total: Option<u64>,
}

/// What is known of the runs of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamState {
    /// Progress of the run under way, if there is one.
    pub running: Option<Progress>,
    /// When the last run that did not fail ended, its name, and how many records it read.
    pub last_success: Option<(Micros, String, u64)>,
    /// When and why the last run failed; nothing if it did not.
    pub last_error: Option<(Micros, String)>,
    /// When the next run is due.
    pub next_run: Option<Micros>,
}
