//! The audit: proves from the metadata of a lake's objects that each LSN of each node is accounted for.
//!
//! Every object carries the state of its node's log as of its seal. From one seal to the next, the rows of
//! the seal, the change of what is open and the change of what is void must make up all LSNs in between, both
//! in number and in the sum of their hashes. So a missing object is noticed even if nothing else knows of it,
//! and it does not invalidate the proof of the other objects.
//!
//! [`judge`], [`judge_log`] and [`judge_markers`] are pure; [`gather`] lists a lake, [`deep`] reads objects,
//! and [`whole`] does all of it.

mod object;
mod report;
mod seals;
mod log;
mod markers;
mod expired;
pub mod copies;
pub mod deep;
pub mod gather;
pub mod whole;

pub use expired::judge_retentions;
pub use log::judge_log;
pub use markers::{FileProof, Marker, judge_markers, judge_parcels};
pub use object::AuditedObject;
pub use report::{Discrepancy, LogProof, NodeProof};
pub use seals::{Waiting, judge, judge_erasures};

#[cfg(test)]
mod tests;
