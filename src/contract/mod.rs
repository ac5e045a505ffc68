//! The contract: the bytes of a request in, rows or errors out.
//!
//! A request is read twice at most. The fast pass works on borrowed bytes and only says yes; where it
//! doesn't, the slow pass reads again and collects every error. Both hand what they gathered of an
//! event to the same judge and the same row writer, so that they cannot disagree about an event.
//!
//! What is accepted can be read by DuckDB and Athena, line by line. Errors never echo values.
//!
//! Pure: no I/O (but [`Schemas::from_dir`], at start), no clock but the time it is given, no
//! knowledge of HTTP, the log or the lake.

mod check;
pub mod entity;
mod event;
mod fast;
mod faults;
pub mod foreign;
mod ignore;
mod keys;
mod published;
mod quick;
mod reader;
mod row;
mod rules;
mod schemas;
mod slow;
mod strict;
mod timestamp;
#[cfg(test)]
mod tests;

pub use check::Contract;
pub use published::event_schema;
pub use rules::{EVENTS, OnInvalid, PartitionBy, PartitionError, Partitioning, Rules};
pub use schemas::{SchemaError, Schemas};
pub use timestamp::parse as time_of;

use crate::quarantine::FieldError;
use crate::record::Rows;

/// A request whose events may go into the log.
#[derive(Debug, Default)]
pub struct Checked {
    /// Accepted events, and invalid ones as quarantine rows where the contract says so.
    pub rows: Rows,
    /// How many events the request held: rows + dropped.
    pub received: u32,
    /// Valid events that a drop rule took, by index of the event type in [`Rules::types`].
    pub dropped: Vec<(usize, u32)>,
    /// What was wrong with quarantined events, at most [`MAX_ERRORS`], sorted by event.
    pub errors: Vec<FieldError>,
    /// How many errors there were in all.
    pub errors_total: usize,
}

/// At most so many errors are reported for one request.
pub const MAX_ERRORS: usize = 100;

/// A request that is refused as a whole.
#[derive(Debug)]
pub enum Refusal {
    /// Not JSON.
    Syntax {
        /// From 1.
        line: usize,
        /// From 1, in bytes; where the parser stopped, which is at the fault or just before it.
        column: usize,
        /// What the parser says.
        detail: String,
    },
    /// JSON that breaks the contract, or is not `{"events":[…]}`.
    Invalid {
        /// At most [`MAX_ERRORS`], sorted by place: the body's own first, then event by event.
        errors: Vec<FieldError>,
        /// How many there were in all.
        errors_total: usize,
    },
    /// More events than a request may hold.
    TooManyEvents {
        /// The limit.
        max_events: usize,
    },
    /// An event of more bytes than an event may have.
    EventTooLarge {
        /// Which one, from 0.
        index: usize,
        /// The limit.
        max_event_bytes: usize,
    },
}
