//! `lakehook wal`: looks into a write-ahead log, replaces one that cannot go on, moves one, and says what one costs.

pub mod cost;
pub mod inspect;
pub mod rescue;
pub mod moving;
