//! Views for DuckDB.
//!
//! A view reads the objects of both formats that exist when it is queried. It lists its columns, so that
//! DuckDB opens no object only for its schema; a column that only newer objects have is null in older ones.
//! The partition keys are computed from the names of objects, so that DuckDB skips objects of other days
//! without opening them.

mod exact;
mod sources;
mod values;
mod views;

pub(super) use views::statements;
