//! `[wal]`: the write-ahead log.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use validator::Validate;

use super::amounts::{ByteSize, Span};
use super::replica_url::ReplicaUrl;
use super::rules;

/// `[wal]`: the write-ahead log.
#[derive(Clone, Debug, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct Wal {
    /// The log's directory.
    #[schemars(length(min = 1))]
    pub dir: PathBuf,
    /// The most bytes that the log takes on disk.
    #[validate(custom(function = rules::log_size))]
    pub max_bytes: ByteSize,
    /// The size of one segment; see [`Wal::segment_size`].
    #[validate(custom(function = rules::segment_size))]
    pub segment_bytes: Option<ByteSize>,
    /// What keeps the log so that it outlives the machine, and the directory holds copies: `s3://bucket/prefix`, or
    /// `nats://host:port,host:port,host:port`.
    pub replica: Option<ReplicaUrl>,
    /// The name by which the lake knows the logs of this service; each service with a replica has its own.
    #[validate(custom(function = rules::plain_name))]
    pub replica_name: String,
    /// The shortest time between two writes to the replica, by default 250 ms in a bucket, where each of them costs.
    #[validate(custom(function = rules::replica_interval))]
    pub replica_interval: Option<Span>,
    /// A file with the credentials for NATS.
    #[schemars(length(min = 1))]
    pub nats_creds_file: Option<PathBuf>,
    /// A file with the certificates of NATS to trust, instead of those of the system.
    #[schemars(length(min = 1))]
    pub nats_ca_file: Option<PathBuf>,
    /// A file with the client's certificate for NATS.
    #[schemars(length(min = 1))]
    pub nats_cert_file: Option<PathBuf>,
    /// A file with the key of that certificate.
    #[schemars(length(min = 1))]
    pub nats_key_file: Option<PathBuf>,
    /// The addresses at which servers of NATS say how they are, for `lakehook check`.
    #[validate(custom(function = rules::monitors))]
    pub nats_monitor: Vec<String>,
    /// The log may be taken back from whoever has taken it; an argument of `lakehook serve`.
    #[serde(skip)]
    pub takes_over: bool,
    /// Which of the logs of a cluster it is.
    #[serde(skip)]
    pub number: u16,
}

impl Default for Wal {
    fn default() -> Self {
        Self {
            dir: PathBuf::from("data/wal"),
            max_bytes: ByteSize::mib(10 << 10),
            segment_bytes: None,
            replica: None,
            replica_name: "main".to_owned(),
            replica_interval: None,
            nats_creds_file: None,
            nats_ca_file: None,
            nats_cert_file: None,
            nats_key_file: None,
            nats_monitor: Vec::new(),
            takes_over: false,
            number: 0,
        }
    }
}

impl Wal {
    /// The paths of files that are read.
    pub(super) fn files(&mut self) -> [&mut Option<PathBuf>; 4] {
        [
            &mut self.nats_creds_file,
            &mut self.nats_ca_file,
            &mut self.nats_cert_file,
            &mut self.nats_key_file,
        ]
    }

    /// The shortest time between two writes to the replica.
    pub fn replica_interval(&self) -> Duration {
        let by_default = match self.replica {
            Some(ReplicaUrl::Bucket { .. }) => Span::millis(250),
            Some(ReplicaUrl::Nats(_)) | None => Span::ZERO,
        };
        self.replica_interval.unwrap_or(by_default).duration()
    }

    /// The size of a segment: as configured, otherwise 64 MiB, or a sixteenth of the log if that is less;
    /// always at least 1 MiB.
    pub fn segment_size(&self) -> ByteSize {
        let by_default = || {
            let sixteenth = ByteSize::new(self.max_bytes.bytes() / 16);
            sixteenth.min(ByteSize::mib(64)).max(ByteSize::mib(1))
        };
        self.segment_bytes.unwrap_or_else(by_default)
    }
}
