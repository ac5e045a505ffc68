//! What a replay did with rows, in short.

use std::collections::BTreeMap;

use super::candidate::Skip;
use super::judge::{EventCounts, ReplayOutcome};
use super::kept::KeptError;

/// Errors beyond these are counted.
const MAX_ERRORS: usize = 10;

/// What a replay did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplaySummary {
    /// Rows that are valid now.
    pub rows: u64,
    /// What became of their events.
    pub events: EventCounts,
    /// Rows that are still invalid.
    pub invalid: u64,
    /// The first errors of the first of them.
    pub errors: Vec<KeptError>,
    /// Rows that were skipped, by the reason in words.
    pub skipped: BTreeMap<&'static str, u64>,
}

impl ReplaySummary {
    /// Adds the outcome of a row; returns what was stored of it, if it is valid.
    pub fn add(&mut self, outcome: ReplayOutcome) -> Option<EventCounts> {
        match outcome {
            ReplayOutcome::Replayed(counts) => {
                self.rows += 1;
                self.events = self.events.plus(counts);
                Some(counts)
            }
            ReplayOutcome::Invalid { errors, .. } => {
                self.invalid += 1;
                let room = MAX_ERRORS.saturating_sub(self.errors.len());
                self.errors.extend(errors.into_iter().take(room));
                None
            }
        }
    }

    /// Adds a row that was skipped.
    pub fn skip(&mut self, why: Skip) {
        *self.skipped.entry(why.describe()).or_default() += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_add_up_and_errors_are_bounded() {
        let mut summary = ReplaySummary::default();
        let stored = EventCounts {
            stored: 2,
            ..EventCounts::default()
        };
        assert_eq!(summary.add(ReplayOutcome::Replayed(stored)), Some(stored));
        for number in 0..2 * MAX_ERRORS {
            let error = KeptError {
                pointer: format!("/{number}"),
                code: "c".to_owned(),
                detail: String::new(),
            };
            let invalid = ReplayOutcome::Invalid {
                errors: vec![error],
                errors_total: 1,
            };
            assert_eq!(summary.add(invalid), None);
        }
        summary.skip(Skip::Cut);
        summary.skip(Skip::Cut);
        assert_eq!((summary.rows, summary.events.stored), (1, 2));
        assert_eq!(
            (summary.invalid, summary.errors.len()),
            (2 * MAX_ERRORS as u64, MAX_ERRORS)
        );
        assert_eq!(summary.skipped[Skip::Cut.describe()], 2);
    }
}
