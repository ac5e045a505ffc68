//! `lakehook quarantine`: what was refused, why, and bringing it in once it is valid.

pub mod kept;
pub mod look;
pub mod replay;
mod report;
