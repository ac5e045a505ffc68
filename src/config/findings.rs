//! Collects the problems that the rules find, each with the place where the value was set.

use super::errors::ConfigProblem;
use super::key::{Key, key_of};
use super::sources::Sources;

/// The problems and warnings found so far.
pub(super) struct Findings<'s> {
    sources: &'s Sources,
    broken: Vec<Key>,
    problems: Vec<ConfigProblem>,
    warnings: Vec<String>,
}

impl<'s> Findings<'s> {
    /// Starts without findings. The keys in `broken` have been reported already and were replaced by their
    /// defaults, so rules that look at them are skipped.
    pub(super) fn new(sources: &'s Sources, broken: Vec<Key>) -> Self {
        Self {
            sources,
            broken,
            problems: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// Whether the file or the environment sets a key.
    pub(super) fn is_set(&self, key: &str) -> bool {
        self.sources.sets(&key_of(key))
    }

    /// Reports a broken rule and the keys that it looks at. The report names the place of the first of them
    /// that is set.
    pub(super) fn problem(&mut self, keys: &[&str], rule: impl Into<String>) {
        let keys: Vec<Key> = keys.iter().map(|key| key_of(key)).collect();
        let is_broken = |key: &Key| self.broken.iter().any(|broken| key.starts_with(broken));
        if keys.iter().any(is_broken) {
            return;
        }
        let set = keys.iter().find(|key| self.sources.sets(key));
        let decisive = set.or_else(|| keys.first());
        self.problems.push(ConfigProblem {
            place: self.sources.place_of(decisive.map_or(&[], Vec::as_slice)),
            rule: rule.into(),
        });
    }

    /// Reports a setting that is allowed, but probably a mistake.
    pub(super) fn warning(&mut self, key: &str, text: &str) {
        let place = self.sources.place_of(&key_of(key));
        self.warnings.push(format!("{place}: {text}"));
    }

    /// Skips rules that look at this key from now on.
    pub(super) fn distrust(&mut self, key: &str) {
        self.broken.push(key_of(key));
    }

    /// Returns the problems and the warnings.
    pub(super) fn into_parts(self) -> (Vec<ConfigProblem>, Vec<String>) {
        (self.problems, self.warnings)
    }
}
