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

/// What a run waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// In words, to follow "waits for": `an answer`.
    pub what: String,
    /// When it goes on, if that is known.
    pub until: Option<Micros>,
    /// Whether it waits because something failed.
    pub failed: bool,
}

impl Waiting {
    /// Waits for something whose time nobody knows.
    pub fn for_something(what: &str) -> Self {
        Self {
            what: what.to_owned(),
            until: None,
            failed: false,
        }
    }

    /// Waits until a time.
    pub fn until(what: &str, until: Micros) -> Self {
        Self {
            what: what.to_owned(),
            until: Some(until),
            failed: false,
        }
    }
}

/// What is known of the runs of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamState {
    /// Progress of the run under way, if there is one.
    pub running: Option<Progress>,
    /// What the run under way, or the next one, waits for, if it does.
    pub waiting: Option<Waiting>,
    /// End of the last run that did not fail, its name, and how many records it read.
    pub last_success: Option<(Micros, String, u64)>,
    /// When and why the last run failed; `None` if it did not.
    pub last_error: Option<(Micros, String)>,
    /// When the next run is due.
    pub next_run: Option<Micros>,
}
