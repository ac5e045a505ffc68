//! Dedup: which events the log has had before.

pub mod recent;
pub mod id_files;
pub mod archived;
