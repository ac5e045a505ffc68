//! Column rules: fixed verbs that change the members of a record before its schema sees them.
//!
//! ```text
//!  record ─▶ from, drop, value ─▶ trim ─▶ nulls ─▶ case ─▶ type (formats, strip, thousands, whole) ─▶ hash ─▶ record
//! ```
//!
//! There is no language of expressions: rules between columns belong into queries. Rules are compiled once, a
//! record passes through them member by member, and a record without rules does not come here at all. A value
//! that a rule cannot take refuses its record; the quarantine has it as it was sent.

mod compiled;
mod definition;
mod formats;
mod values;

pub use compiled::{ColumnRules, Nulled};
pub use definition::{Case, ColumnRule, RuleError};
