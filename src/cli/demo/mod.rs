//! `lakehook demo`: everything in one process, and whether it adds up; and its sample system alone.

pub mod run;
pub mod summary;
pub mod upstream;
