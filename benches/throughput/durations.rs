//! Times, and which of them most did not exceed. Exact: every one is kept.

use std::time::Duration;

/// Times in ascending order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sorted(Vec<Duration>);

impl Sorted {
    /// Sorts them.
    pub(crate) fn new(mut durations: Vec<Duration>) -> Self {
        durations.sort_unstable();
        Self(durations)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The time that so many of a thousand did not exceed; zero if there is none.
    pub(crate) fn quantile(&self, per_mille: usize) -> Duration {
        let at = self.0.len().saturating_sub(1) * per_mille / 1000;
        self.0.get(at).copied().unwrap_or_default()
    }
}
