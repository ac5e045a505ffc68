//! Types and sources of events, where the contract may take others than those of its list.

use std::borrow::Cow;

/// A type or source.
#[derive(Clone, Debug)]
pub(super) enum Named<'a> {
    /// One of the list: its index into [`super::Rules::types`] or [`super::Rules::sources`].
    Listed(usize),
    /// Another, where any is taken.
    Other(Cow<'a, str>),
}

impl<'a> Named<'a> {
    /// A name, in the list or not.
    pub(super) fn of(words: &[String], name: Cow<'a, str>) -> Self {
        match place_of(words, &name) {
            Some(index) => Self::Listed(index),
            None => Self::Other(name),
        }
    }

    /// The index, if it is one of the list.
    pub(super) fn index(&self) -> Option<usize> {
        match self {
            Self::Listed(index) => Some(*index),
            Self::Other(_) => None,
        }
    }
}

/// Where a name stands in a list.
pub(super) fn place_of(words: &[String], name: &str) -> Option<usize> {
    words.iter().position(|word| word == name)
}
