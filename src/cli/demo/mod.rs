//! `lakehook demo`: everything in one process, and a check that it adds up. `lakehook upstream`: only its
//! sample system.

pub mod run;
pub mod summary;
mod verdict;
mod screen;
pub mod upstream;
