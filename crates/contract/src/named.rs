//! Types and sources of events, where the contract may take others than those of its list.

use std::borrow::Cow;

/// A type or source: one of the list, or another where any is taken.
#[derive(Clone, Debug)]
pub(super) struct Named<'a> {
    /// Index into [`super::Rules::types`] or [`super::Rules::sources`].
    pub(super) index: Option<usize>,
    /// The name, if it is not in the list.
    pub(super) other: Cow<'a, str>,
}

impl<'a> Named<'a> {
    /// A name, in the list or not.
    pub(super) fn of(words: &[String], name: Cow<'a, str>) -> Self {
        let index = words.iter().position(|word| *word == name);
        Self { index, other: name }
    }
}
