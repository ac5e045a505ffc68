//! `lakehook find`: what became of one event, as a running service remembers it and as the lake has it.

mod print;
mod report;
mod run;
mod verdict;

pub use run::{FindArgs, run};
