//! Parts of `[poll.NAME]` that have rules of their own.

pub(super) mod children;
pub(super) mod deleted;
pub(super) mod marks;
pub(super) mod tokens;
pub(super) mod windows;
