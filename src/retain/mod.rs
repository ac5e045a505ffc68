//! Retention: whole days and old runs leave the lake, and notes keep what the audit needs of them.
//!
//! [`plan`] is pure and says what has expired; [`notes`] lists it durably before anything is removed; [`expire`]
//! looks at objects, and removes them.

pub mod plan;
pub mod notes;
pub mod expire;
