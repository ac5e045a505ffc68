//! `lakehook wal`: looks into a write-ahead log, and replaces one that cannot go on.

pub mod inspect;
pub mod rescue;
