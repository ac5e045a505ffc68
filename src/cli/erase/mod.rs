//! `lakehook erase`: rows with one value in one field leave the lake, and the audit goes on adding up.

pub mod run;
pub(super) mod turn;
mod versions;
mod report;
pub(super) mod patience;

pub use run::{EraseArgs, run};
