//! Why a page cannot be read.

use std::io;

/// Why a page cannot be read.
#[derive(Debug)]
pub enum ReadError<E> {
    /// The stream failed.
    Stream(io::Error),
    /// The page ended before it was complete.
    CutOff,
    /// The page has no byte, or only white space.
    NoBody,
    /// The page has another form than declared, or reports a failure.
    Form {
        /// What is wrong, and what was expected.
        rule: String,
        /// What the page itself says about that.
        told: Option<String>,
    },
    /// The callback that takes records failed.
    Taker(E),
}

impl<E> ReadError<E> {
    pub(super) fn form(rule: impl Into<String>) -> Self {
        Self::Form {
            rule: rule.into(),
            told: None,
        }
    }
}

impl<E> From<io::Error> for ReadError<E> {
    fn from(error: io::Error) -> Self {
        Self::Stream(error)
    }
}
