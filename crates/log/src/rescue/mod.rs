//! Rescue puts what can be read of a log that cannot go on into a log that can.
//!
//! There are two cases: damage to acknowledged data (`lakehook wal repair`), and a directory that
//! is a copy of another one, whose keys are taken (`lakehook wal adopt`). Both take the same steps.
//! [`survey`] reads every frame that is whole and says which LSNs cannot be read any more.
//! [`rebuild`] puts the rows that are not in the lake into a new log beside the old one. It has a
//! new node id and its own LSNs from 1, but the same key and id files, so that duplicates stay
//! known. [`finish`] moves the old files aside and the new ones in.
//!
//! It promises that nothing is deleted, and that damaged files stay in the directory aside; that a
//! crash at any moment leaves the old log, or a log that refuses to open until the rescue is
//! finished; and that no row that was read goes missing, and none that the lake has is put again.
//! The node id is new because after a gap neither the numbers of seals nor the running totals of
//! the old one could ever add up again.
//!
//! This room knows no lake and no JSON: a function of the caller says which rows the lake has.

mod errors;
mod scan;
mod survey;
mod rebuild;

pub use crate::journal::exchange::{finish, is_unfinished};
pub use errors::RescueError;
pub use rebuild::{Rebuilt, rebuild};
pub use scan::Damaged;
pub use survey::{Survey, Unshipped, survey};
