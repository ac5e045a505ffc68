//! `[wal]`: the write-ahead log.

use std::path::PathBuf;

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
    /// A bucket and a prefix that keep the log, so that it outlives the machine; the directory holds copies then.
    pub replica: Option<ReplicaUrl>,
    /// The name by which the lake knows the logs of this service; each service with a replica has its own.
    #[validate(custom(function = rules::plain_name))]
    pub replica_name: String,
    /// The shortest time between two writes to the replica: each of them costs.
    #[validate(custom(function = rules::replica_interval))]
    pub replica_interval: Span,
    /// The log may be taken back from whoever has taken it; an argument of `lakehook serve`.
    #[serde(skip)]
    pub takes_over: bool,
}

impl Default for Wal {
    fn default() -> Self {
        Self {
            dir: PathBuf::from("data/wal"),
            max_bytes: ByteSize::mib(10 << 10),
            segment_bytes: None,
            replica: None,
            replica_name: "main".to_owned(),
            replica_interval: Span::millis(250),
            takes_over: false,
        }
    }
}

impl Wal {
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
