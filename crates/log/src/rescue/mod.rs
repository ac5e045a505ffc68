//! Rescue: what can be read of a log that cannot go on, in a log that can.
//!
//! For two cases: damage to acknowledged data (`lakehook wal repair`), and a directory that is a copy of
//! another one, whose keys are taken (`lakehook wal adopt`). Both are the same work. [`survey`] reads every
//! frame that is whole and says which LSNs nobody can read any more. [`rebuild`] puts the rows that are
//! not in the lake into a new log beside the old one: new node id, own LSNs from 1, the same key and id
//! files, so that duplicates stay known. [`finish`] moves the old files aside and the new ones in.
//!
//! Promises: nothing is deleted, whatever is cut out stays in the directory aside; a crash at any moment
//! leaves the old log, or a log that refuses to open until the rescue is finished; no row that was read goes
//! missing, and none that the lake has is put again. Why a new node id: after a gap neither the numbers of
//! seals nor the running totals of the old one could ever add up again.
//!
//! Knows no lake and no JSON: which rows the lake has is asked through a function.

mod errors;
mod scan;
mod survey;
mod rebuild;

pub use crate::journal::exchange::{finish, is_unfinished};
pub use errors::RescueError;
pub use rebuild::{Rebuilt, rebuild};
pub use scan::Damaged;
pub use survey::{Survey, Unshipped, survey};
