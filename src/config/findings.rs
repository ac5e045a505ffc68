//! Collects what the rules find, each with the place that is to be changed.

use super::errors::Problem;
use super::key::{Key, key_of};
use super::sources::Sources;

/// What was found so far.
pub(super) struct Findings<'s> {
    sources: &'s Sources,
    broken: Vec<Key>,
    problems: Vec<Problem>,
    warnings: Vec<String>,
}

impl<'s> Findings<'s> {
    /// Nothing yet. Keys that are broken have been reported, and defaults stand in for them: no rule
    /// that looks at them has anything to say.
    pub(super) fn new(sources: &'s Sources, broken: Vec<Key>) -> Self {
        Self {
            sources,
            broken,
            problems: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// A broken rule, and the keys that it looks at. The first of them that was set is the place.
    pub(super) fn problem(&mut self, keys: &[&str], rule: impl Into<String>) {
        let keys: Vec<Key> = keys.iter().map(|key| key_of(key)).collect();
        let is_broken = |key: &Key| self.broken.iter().any(|broken| key.starts_with(broken));
        if keys.iter().any(is_broken) {
            return;
        }
        let set = keys.iter().find(|key| self.sources.sets(key));
        let decisive = set.or_else(|| keys.first());
        self.problems.push(Problem {
            place: self.sources.place_of(decisive.map_or(&[], Vec::as_slice)),
            rule: rule.into(),
        });
    }

    /// Something that is allowed, but hardly meant.
    pub(super) fn warning(&mut self, key: &str, text: &str) {
        let place = self.sources.place_of(&key_of(key));
        self.warnings.push(format!("{place}: {text}"));
    }

    /// The value of a key is not to be trusted from here on.
    pub(super) fn distrust(&mut self, key: &str) {
        self.broken.push(key_of(key));
    }

    /// The problems and the warnings.
    pub(super) fn into_parts(self) -> (Vec<Problem>, Vec<String>) {
        (self.problems, self.warnings)
    }
}
