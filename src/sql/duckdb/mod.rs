//! Views for DuckDB.
//!
//! A view reads the objects that are there when it is asked, of both formats. Its columns are written out in it,
//! so that no object has to be opened for its schema: a column that only newer objects have is null in older ones.
//! The partition keys are made from the names of the objects, so that DuckDB leaves out objects of other days
//! before it opens any.

mod sources;
mod values;
mod views;

pub(super) use views::statements;
