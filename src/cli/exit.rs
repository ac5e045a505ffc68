//! How a command ends.

/// Exit code of a command that failed.
pub const FAILED: u8 = 1;
/// Exit code for wrong usage or configuration.
pub const WRONG_USAGE: u8 = 2;

/// Why a command ends without success.
#[derive(Debug)]
pub enum Failure {
    /// Wrong usage or configuration; the message says what is wrong.
    Usage(String),
    /// The command failed.
    Failed(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}
