//! `lakehook wal`: looks into a write-ahead log, replaces one that cannot go on, and moves one.

pub mod inspect;
pub mod rescue;
pub mod moving;
