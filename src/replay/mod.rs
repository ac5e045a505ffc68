//! Replay: rows of the quarantine are judged again by the current contract, and stored if they are valid now.
//!
//! A row is stored whole or not at all, like a request that is refused. Its events keep the `received_at` of
//! the row, but the log counts them as received now, so that no published watermark becomes wrong. An event
//! with a known id is a duplicate, as always. The lake notes what was replayed ([`marks`]), by quarantine
//! row.
//!
//! Records of appending polls are judged and stored by `poll::replay`, where the polls' log is; nothing can be added to
//! the published runs of a snapshot.
//!
//! [`kept`] reads rows of the quarantine. [`owner`] stores events, in the process that holds the log; other
//! processes reach it through [`talk`].

mod candidate;
mod judge;
pub mod kept;
pub mod kinds;
pub mod index;
pub mod marks;
pub mod owner;
mod summary;
pub mod talk;

pub use candidate::{Candidate, CandidateHook, RowsOf, Scope, Skip};
pub use judge::{EventCounts, HookCandidate, HookJudge, ReplayOutcome, Valid, judge};
pub use kept::node_of;
pub use summary::ReplaySummary;
