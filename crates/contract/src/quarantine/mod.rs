//! Rows of the quarantine: what was refused, why, and where it came from.
//!
//! They take the same way as accepted rows, under `quarantine/<stream>/`. Pure: bytes in, a row out.
//! `replay::kept` of the program reads the rows again.

mod error;
mod row;

pub use error::FieldError;
pub use row::{MAX_ROW_ERRORS, OfHook, Reason, RecordPlace, Refused, partition};
