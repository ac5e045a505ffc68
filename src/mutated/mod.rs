//! Fuzzing that is always on: what comes from outside as bytes, changed in every way that bytes change,
//! ends in an answer or an error, never in a panic, and never in something that was not sent.
//!
//! Counts are small in `make check`; `PROPTEST_CASES` sets others.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests may fail, and read and write files of their own"
)]

mod requests;
mod stored;
#[path = "../../tests/support/mutations.rs"]
pub(crate) mod mutations;
