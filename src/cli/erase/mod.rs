//! `lakehook erase`: rows with one value in one field leave the lake, and the audit goes on adding up.

pub mod run;
mod turn;
mod versions;
mod report;
mod patience;

pub use run::{EraseArgs, run};
