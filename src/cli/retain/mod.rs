//! `lakehook retain`: whole days and old runs leave the lake, and the audit goes on adding up.

pub mod run;
mod stock;
mod report;

pub use run::{RetainArgs, run};
