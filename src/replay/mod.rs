//! Replay: rows of the quarantine are judged again, by the contract of today, and stored if they are valid now.
//!
//! A row is stored whole or not at all, like a request that is refused. Its events keep the `received_at` of their
//! row; the log counts them as received now, so that no published watermark becomes wrong. An event whose id is
//! known is a duplicate, as always. What was replayed is noted in the lake ([`marks`]), by quarantine row.
//!
//! [`kept`] reads rows of the quarantine back. [`owner`] stores, in the process that holds the log; [`talk`] is how
//! other processes reach it.

mod candidate;
mod judge;
pub mod kept;
pub mod marks;
pub mod owner;
pub mod talk;

pub use candidate::{Candidate, Scope, Skip};
pub use judge::{EventCounts, ReplayOutcome, Valid, judge};
pub use kept::node_of;
