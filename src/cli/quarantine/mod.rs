//! `lakehook quarantine`: shows what was refused and why, and replays what is valid by now.

pub mod kept;
pub mod look;
mod door;
pub mod replay;
mod report;
