//! Why a log cannot be rescued.

use std::io;

use crate::journal::errors::OpenError;
use crate::ledger::request::{AppendError, WriteError};

/// Why a log cannot be rescued. The old log is unchanged.
#[derive(Debug, thiserror::Error)]
pub enum RescueError {
    /// The operating system returned an error.
    #[error("failed to rescue the log: {0}")]
    Io(#[from] io::Error),
    /// The new log cannot be made.
    #[error("failed to make the new log: {0}")]
    Open(#[from] OpenError),
    /// The new log cannot be written.
    #[error("failed to write the new log: {0}")]
    Write(#[from] WriteError),
    /// The new log does not take a row.
    #[error("failed to write the new log: {0}")]
    Append(#[from] AppendError),
    /// The new log takes rows for duplicates, and would leave them out.
    #[error("the new log would leave out {0} rows; nothing was changed")]
    LeftOut(u64),
}
