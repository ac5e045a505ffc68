//! Parts of `[poll.NAME]` that have rules of their own.

pub(super) mod marks;
pub(super) mod windows;
