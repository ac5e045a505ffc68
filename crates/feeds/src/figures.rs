//! Figures of a feed's runs, for `/health`, commands and metrics.

use std::collections::BTreeMap;

use lakehook_base::clock::Micros;

/// State of each stream of a feed, by name.
pub type Figures = BTreeMap<String, StreamState>;

/// Progress of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Number of pages read.
    pub pages: u64,
    /// Number of records read.
    pub records: u64,
    /// Number of all records, once the source has said so.
    pub total: Option<u64>,
}

/// What is known of the runs of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamState {
    /// Progress of the run under way, if there is one.
    pub running: Option<Progress>,
    /// End of the last run that did not fail, its name, and how many records it read.
    pub last_success: Option<(Micros, String, u64)>,
    /// When and why the last run failed; `None` if it did not.
    pub last_error: Option<(Micros, String)>,
    /// When the next run is due.
    pub next_run: Option<Micros>,
}
