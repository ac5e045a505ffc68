//! Why a run has no verdict.

use std::path::PathBuf;

use crate::lake::reader::LakeReadError;

/// Why there is no verdict.
#[derive(Debug, thiserror::Error)]
pub enum TortureError {
    /// The directory is not empty.
    #[error("{} is not empty; choose another place with --dir", .0.display())]
    NotEmpty(PathBuf),
    /// Arguments do not fit each other.
    #[error("{0}")]
    Usage(String),
    /// The nodes of a cluster cannot run.
    #[error("the nodes could not run as they are told to:\n{0}")]
    Check(String),
    /// The run was interrupted before its report.
    #[error("interrupted; the files of this run are in {}", .0.display())]
    Interrupted(PathBuf),
    /// No port is free.
    #[error("failed to find a free port")]
    NoPort,
    /// Files or the child process failed.
    #[error("failed to run the server, or to look at what it left: {0}")]
    Io(#[from] std::io::Error),
    /// The HTTP client could not be made.
    #[error("failed to make an HTTP client: {0}")]
    Client(#[from] reqwest::Error),
    /// The lake could not be read at the end.
    #[error(transparent)]
    Lake(#[from] LakeReadError),
}
