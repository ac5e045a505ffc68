//! Why a service does not start.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::tables::{Changed, ColumnsError};
use crate::contract::{PartitionError, SchemaError};
use crate::feeds::feed::SetupError;
use crate::lake::LakeError;
use crate::receive::tls::TlsError;
use crate::wal::node::LockError;
use crate::wal::recover::OpenError;
use crate::wal::rows::RowsError;

/// Why the service does not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The schemas cannot be used.
    #[error("the schemas cannot be used:{}", list(.0))]
    Schemas(Vec<SchemaError>),
    /// The settings of the polls cannot be used.
    #[error("the polls cannot be used:{}", list(.0))]
    Polls(Vec<SetupError>),
    /// Columns would change their type, or their files cannot be used.
    #[error("the columns cannot be kept:{}", list(.0))]
    Columns(Vec<Changed>),
    /// The partition pattern cannot be used.
    #[error("`events.partition` cannot be used: {0}")]
    Partition(PartitionError),
    /// Certificate or key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The service cannot listen on the address.
    #[error("failed to listen on {address}: {error}{}", hint(.error))]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the operating system says.
        error: io::Error,
    },
    /// The service cannot listen for the other nodes of its cluster.
    #[error("failed to listen on {address}, which is `cluster.address`: {error}{}", hint_for_nodes(.error))]
    ListenForNodes {
        /// The address.
        address: SocketAddr,
        /// What the operating system says.
        error: io::Error,
    },
    /// A node of a cluster can neither own the log nor follow its owner.
    #[error("{0}")]
    Node(String),
    /// The system gives no signals.
    #[error("failed to listen to signals: {0}")]
    Signals(io::Error),
    /// The log's directory is in use by another process.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The log cannot be opened.
    #[error(transparent)]
    Log(#[from] OpenError),
    /// The log has sealed batches for another lake.
    #[error(
        "batches in the log were sealed for {other}, and the configured lake is {configured}; start \
         once more with the old lake until /health shows no waiting batches, then change it"
    )]
    OtherLake {
        /// The lake that the batches were sealed for.
        other: String,
        /// The lake that the configuration names.
        configured: String,
    },
    /// The bucket cannot keep a log as promised, or does not answer.
    #[error("the log cannot be kept in {log}: {error}")]
    Replica {
        /// The log's name.
        log: String,
        /// What is wrong with it.
        error: LakeError,
    },
    /// Another process has taken the log from this one.
    #[error(
        "{by} has taken the log in {log} over, and this service does not take it back by itself: run \
         `lakehook serve --take-over` if that process is gone or is to end"
    )]
    Fenced {
        /// The log's name.
        log: String,
        /// Who has it.
        by: String,
    },
    /// A command would have to take the log from the service that owns it.
    #[error(
        "the log is kept in {log}, and no service runs here that owns it; run this command on the machine where \
         `lakehook serve` runs, which `lakehook wal info` names"
    )]
    OwnedElsewhere {
        /// The log's name.
        log: String,
    },
    /// The lake cannot hold objects as promised.
    #[error("the lake cannot be used: {0}")]
    Lake(LakeError),
    /// A seal or the end of a run that waits for shipping cannot be read.
    #[error(transparent)]
    Seal(#[from] RowsError),
    /// A directory of the configuration can be neither made nor opened.
    #[error("{key} cannot be used: {path} cannot be made: {error}{}", way_out(.error))]
    Directory {
        /// The key that names it.
        key: &'static str,
        /// The directory.
        path: PathBuf,
        /// What the operating system says.
        error: io::Error,
    },
    /// Another log in the volume holds rows that nobody would ship.
    #[error(
        "{rows} rows in {former} are not in the lake yet, and {key} is {configured}; set {key} to the \
         former directory until they are shipped, or move that directory away"
    )]
    LeftBehind {
        /// The key that names the log's directory.
        key: &'static str,
        /// Where the log was before.
        former: PathBuf,
        /// Where it is now.
        configured: PathBuf,
        /// How many rows wait there.
        rows: u64,
    },
    /// The operating system refused something that the service needs.
    #[error("failed to start: {0}")]
    Io(io::Error),
    /// Metrics cannot be set up.
    #[error("failed to set up metrics: {0}")]
    Metrics(metrics_exporter_prometheus::BuildError),
    /// A task of the start ended before it was done.
    #[error("the start was interrupted")]
    Interrupted(#[from] tokio::task::JoinError),
}

// The messages of these name the cause already, so it is no `source`, which would print it again.

impl From<PartitionError> for ServeError {
    fn from(error: PartitionError) -> Self {
        Self::Partition(error)
    }
}

impl From<LakeError> for ServeError {
    fn from(error: LakeError) -> Self {
        Self::Lake(error)
    }
}

impl From<io::Error> for ServeError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<metrics_exporter_prometheus::BuildError> for ServeError {
    fn from(error: metrics_exporter_prometheus::BuildError) -> Self {
        Self::Metrics(error)
    }
}

impl From<ColumnsError> for ServeError {
    fn from(error: ColumnsError) -> Self {
        match error {
            ColumnsError::Changed(changed) => Self::Columns(changed),
            ColumnsError::Io(error) => Self::Io(error),
        }
    }
}

fn list(errors: &[impl std::fmt::Display]) -> String {
    errors.iter().fold(String::new(), |list, error| {
        list + "\n  " + &error.to_string()
    })
}

/// What to do about a directory that cannot be made.
pub(super) fn way_out(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "; make it and give it to the user that runs lakehook, or choose another"
        }
        io::ErrorKind::ReadOnlyFilesystem => "; choose one on a disk that can be written to",
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
            "; a part of the path is a file, choose another"
        }
        _ => "; choose another",
    }
}

fn hint_for_nodes(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrNotAvailable => {
            "; it is no address of this machine, set the one of this machine that the other nodes reach"
        }
        io::ErrorKind::AddrInUse => "; another process has it, choose another port",
        io::ErrorKind::PermissionDenied => "; ports below 1024 need a privilege",
        _ => "",
    }
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "; another process has it, choose another `server.listen`",
        io::ErrorKind::PermissionDenied => "; ports below 1024 need a privilege",
        _ => "",
    }
}
