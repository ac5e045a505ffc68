//! The ledger says what frames mean. It knows no file: a journal keeps the frames
//! ([`crate::journal::seam`]).
//!
//! In the order of reading: [`coding`], [`chunks`], [`facts`] and [`entry`] (what a frame holds), [`packed`] (rows as a piece of their object),
//! [`lateness`] (which partitions are current), [`batch`] (open batches, and when they are due), [`frame`] (a frame under construction), [`runs`] and
//! [`state`] (the state that follows from the frames), `projection` (from frames to state),
//! `copy` (a frame at another position), [`arriving`] (the rows of a request), [`reservation`] (rows that others pack), [`request`], and
//! [`writer`] with `building`, `append`, `reserving`, `sealing`, `polling` and `rolling` (the owner of all of it).

pub mod coding;
pub mod chunks;
pub mod lateness;
pub mod batch;
pub mod facts;
pub mod entry;
pub mod frame;
pub mod packed;
pub mod runs;
pub mod state;
pub(crate) mod projection;
pub(crate) mod copy;
pub mod arriving;
pub mod reservation;
pub mod request;
mod building;
pub mod writer;
mod append;
mod reserving;
mod sealing;
mod polling;
pub(crate) mod rolling;
