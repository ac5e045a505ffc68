//! The ledger: what frames mean.

pub mod batch;
pub mod facts;
pub mod entry;
pub mod frame;
pub mod runs;
pub mod state;
pub mod projection;
pub mod copy;
pub mod request;
pub mod writer;
mod append;
mod sealing;
mod polling;
pub mod space;
