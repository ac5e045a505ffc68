//! The contract: the bytes of a request in, rows or errors out.
//!
//! A body is read at most twice. The fast pass works on borrowed bytes and either accepts every event or
//! gives up; only then does the slow pass read again and collect every error. Both hand an event's fields to
//! the same judge and the same row writer, so that they cannot disagree about it.
//!
//! Every accepted line can be read by DuckDB and Athena. Errors never echo values.
//!
//! Pure: no I/O (except [`Schemas::from_dir`] at start), no time but the one it is given, no knowledge of
//! HTTP, the log or the lake.

mod check;
mod canonical;
mod checked;
pub mod column_rules;
pub mod entity;
mod entity_columns;
pub mod entity_files;
mod event;
mod event_ids;
mod fast;
mod faults;
mod field_path;
pub mod foreign;
mod ignore;
mod named;
mod open;
mod keys;
mod pointer;
mod published;
mod quick;
mod raw;
mod reader;
mod row;
mod rules;
mod schemas;
mod slow;
pub mod straight;
mod strict;
mod terms;
pub mod quarantine;
#[cfg(test)]
#[path = "../../../tests/support/mutations.rs"]
mod mutations;
#[cfg(test)]
mod tests;

pub use canonical::hash as canonical_hash;
pub use checked::{Checked, MAX_ERRORS, Refusal};
pub use event_ids::EventIds;
pub use open::{OpenChecked, OpenRequest};
pub use published::event_schema;
pub use rules::{Beyond, EVENTS, OnInvalid, PartitionBy, PartitionError, Partitioning, Rules};
pub use schemas::{SchemaError, Schemas};
pub use terms::Contract;
