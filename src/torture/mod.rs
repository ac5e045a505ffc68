//! `lakehook torture`: a test of the promise that users can run on their own machine and disk.
//!
//! It runs real servers, and kills, pauses and stops them and takes their lake away on a schedule that follows from a
//! seed. Meanwhile senders repeat every request that got no answer. At the end the content of the lake is compared with
//! the answers. Memory is bounded, every process that it starts ends with it, and it touches only its own directory.
//!
//! A service by itself ([`faults`]) has a lake in a directory. The nodes of a cluster ([`losses`]) share a log and a lake,
//! which are in a folder and a stream that only this run has.
//!
//! A kill cannot reveal a missing sync, because the kernel still has what was written. The simulation and the power
//! cuts of the tests do that.

mod errors;
pub mod plan;
pub mod events;
pub mod server;
pub mod stage;
pub mod senders;
pub mod ledger;
pub mod tally;
pub mod faults;
pub mod sharing;
pub mod nodes;
pub mod losses;
pub mod judge;
pub mod lake;
pub mod report;
mod run;

pub use errors::TortureError;
pub use run::{Options, Progress, run};
pub use sharing::Sharing;
