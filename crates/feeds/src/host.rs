//! What feeds ask of the process in which they run, and what they report to it.

use lakehook_base::clock::{Micros, Now};

/// The process in which feeds run.
pub trait Host: Send + Sync {
    /// Why no rows can be stored now; `None` if they can. Also updates the state of the clock.
    fn refusal(&self, now: Now) -> Option<String>;
    /// Counts a run that has ended, by stream.
    fn count_run(&self, stream: &str, ended: RunEnded);
}

/// How a run ended, as it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunEnded {
    /// The run did not fail.
    Well {
        /// Whether it read the same as the run before, so that it wrote nothing.
        unchanged: bool,
        /// Number of records that it read.
        records: u64,
        /// Number of these that are in the quarantine.
        quarantined: u64,
        /// When it ended.
        at: Micros,
    },
    /// The run failed.
    Failed,
}
