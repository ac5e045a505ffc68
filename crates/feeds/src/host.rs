//! What feeds ask of the process around them, and what they tell it.

use lakehook_base::clock::{Micros, Now};

/// The process that feeds run in.
pub trait Host: Send + Sync {
    /// Why no rows can be stored now; `None` if they can. Looks at the clock on the way.
    fn refusal(&self, now: Now) -> Option<String>;
    /// Counts a run of a feed's stream that has ended.
    fn count_run(&self, stream: &str, ended: RunEnded);
}

/// How a run ended, as it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunEnded {
    /// It did not fail.
    Well {
        /// What it read is what the run before read, so it wrote nothing.
        unchanged: bool,
        /// Records that it read.
        records: u64,
        /// Of these, records in the quarantine.
        quarantined: u64,
        /// When it ended.
        at: Micros,
    },
    /// It failed, and nothing of it is visible.
    Failed,
}
