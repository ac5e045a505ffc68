//! The sections of the file: every key with its type and default.
//!
//! The doc comments end up in the JSON Schema that the file is checked against.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use validator::Validate;

use super::address::address_schema;
use super::amounts::{ByteSize, Span};
use super::apis::Api;
use super::calls::Call;
use super::cluster::Cluster;
use super::console::ConsoleListen;
use super::files::Inbox;
use super::hooks::Hook;
use super::lake_url::LakeUrl;
use super::polls::{Poll, Polls};
use super::wal::Wal;
use super::words::ContractKind;
use super::{rules, words};
use crate::contract::{OnInvalid, PartitionBy, Rules};
use crate::encode::Format;
use crate::secret::Secret;
use crate::telemetry::LogFormat;

/// The whole configuration.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The HTTP server.
    #[validate(nested)]
    pub server: Server,
    /// Where objects go.
    #[validate(nested)]
    pub lake: Lake,
    /// The write-ahead log.
    #[validate(nested)]
    pub wal: Wal,
    /// Several nodes that share logs.
    #[validate(nested)]
    pub cluster: Cluster,
    /// How duplicates are recognised.
    #[validate(nested)]
    pub dedup: Dedup,
    /// How much of what is refused is kept.
    #[validate(nested)]
    pub quarantine: Quarantine,
    /// When a batch is closed, and the format of its object.
    #[validate(nested)]
    pub batch: Batch,
    /// The webhook for events and its contract.
    #[validate(nested)]
    pub events: Events,
    /// The webhooks of providers, by name.
    pub hook: BTreeMap<String, Hook>,
    /// What all polls share.
    pub polls: Polls,
    /// What the polls of one API share, by its name.
    pub api: BTreeMap<String, Api>,
    /// APIs that are polled, by the name of their stream.
    pub poll: BTreeMap<String, Poll>,
    /// Rows that go out to an API, by the name of the stream of its answers.
    pub call: BTreeMap<String, Call>,
    /// Inboxes whose files are read, by the name of their stream.
    pub files: BTreeMap<String, Inbox>,
    /// The program's own log.
    pub log: Log,
}

/// `[server]`: addresses, limits and credentials.
#[derive(Clone, Debug, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// The address on which requests come in.
    #[schemars(schema_with = "address_schema")]
    pub listen: SocketAddr,
    /// The address that serves `/metrics` instead, if it is set.
    #[schemars(schema_with = "address_schema")]
    pub metrics_listen: Option<SocketAddr>,
    /// Where the console listens, or `off`; see [`Server::console_address`].
    pub console_listen: Option<ConsoleListen>,
    /// A file of tokens for the console, one per line. Without it, the console is for this machine alone.
    #[schemars(length(min = 1))]
    pub console_token_file: Option<PathBuf>,
    /// The tokens of that file.
    #[serde(skip)]
    #[schemars(skip)]
    pub console_tokens: Vec<Secret>,
    /// Names by which browsers reach the console, besides addresses and `localhost`.
    #[validate(custom(function = rules::hosts))]
    pub console_hosts: Vec<String>,
    /// Whether the console shows the values of events.
    pub console_show_values: bool,
    /// The most bytes of a request's body, after decoding.
    pub max_body: ByteSize,
    /// The most events in a request.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_events: usize,
    /// The most bytes of one event, as sent.
    pub max_event: ByteSize,
    /// How long the head of a request may take to arrive.
    #[validate(range(exclusive_min = Span::ZERO))]
    pub header_timeout: Span,
    /// How long the body of a request may take to arrive.
    #[validate(range(exclusive_min = Span::ZERO))]
    pub body_timeout: Span,
    /// How long a connection may be idle.
    #[validate(range(exclusive_min = Span::ZERO))]
    pub idle_timeout: Span,
    /// How long requests are still taken after a signal to stop, while `/ready` says that the service leaves.
    pub drain_delay: Span,
    /// How long a shutdown may take after that; what is left stays in the log.
    pub shutdown_grace: Span,
    /// The most connections at a time.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_connections: usize,
    /// Whether clients may speak HTTP/2.
    pub http2: bool,
    /// Memory for bodies in flight and the rows made of them.
    pub memory: ByteSize,
    /// Bearer tokens, any of which is accepted. Loading adds those of `tokens_file`.
    pub tokens: Vec<Secret>,
    /// A file of further tokens, one per line.
    #[schemars(length(min = 1))]
    pub tokens_file: Option<PathBuf>,
    /// How many of them are in the configuration itself, before those of the file.
    #[serde(skip)]
    #[schemars(skip)]
    pub own_tokens: usize,
    /// A certificate chain in PEM. If it is set, `listen` speaks TLS.
    #[schemars(length(min = 1))]
    pub tls_cert_file: Option<PathBuf>,
    /// The certificate's private key in PEM.
    #[schemars(length(min = 1))]
    pub tls_key_file: Option<PathBuf>,
    /// Whether the service may listen beyond this machine without tokens.
    pub allow_unauthenticated: bool,
    /// How many requests per second each client may send; 0 means no limit.
    #[schemars(range(max = 1_000_000))]
    pub rate_limit: u32,
    /// How many requests a client may send at once before the rate applies.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub rate_burst: u32,
    /// Networks of proxies in front of this service, whose `Forwarded` or `X-Forwarded-For` counts.
    pub trusted_proxies: Vec<String>,
    /// Origins of web pages from which browsers may send.
    #[validate(custom(function = rules::origins))]
    pub cors_origins: Vec<String>,
}

/// `[lake]`: where objects go.
#[derive(Clone, Debug, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct Lake {
    /// A directory, or a bucket and a prefix.
    pub url: LakeUrl,
    /// The address of an S3-compatible store.
    #[validate(custom(function = rules::endpoint))]
    pub endpoint: Option<String>,
    /// The setting that names the endpoint: `lake.endpoint`, or a variable of the environment.
    #[serde(skip)]
    pub endpoint_named_by: &'static str,
    /// The lake is another one than at the last start, and that is meant; an argument of `lakehook serve`.
    #[serde(skip)]
    pub accepts_new: bool,
    /// The region, if it is not that of the AWS environment.
    #[schemars(length(min = 1))]
    pub region: Option<String>,
    /// Whether requests name the bucket in the path instead of in the host name.
    pub path_style: Option<bool>,
    /// The key that objects are encrypted with.
    #[schemars(length(min = 1))]
    pub kms_key_id: Option<String>,
    /// Encryption by S3's own key.
    pub sse_s3: bool,
    /// Who may read objects, as a canned ACL.
    #[schemars(length(min = 1))]
    pub acl: Option<String>,
    /// How objects are kept.
    #[schemars(length(min = 1))]
    pub storage_class: Option<String>,
    /// Tags of each object.
    pub tags: BTreeMap<String, String>,
    /// Requests are paid by who makes them.
    pub requester_pays: bool,
}

/// The key that names an endpoint, before any variable of the environment.
const ENDPOINT_KEY: &str = "lake.endpoint";

/// `[dedup]`: which events count as the same.
#[derive(Clone, Debug, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct Dedup {
    /// How many ids are kept on disk.
    #[schemars(range(min = 1))]
    pub max_ids: u64,
    /// JSON Pointers to those parts of an event that senders change when they retry.
    #[validate(custom(function = rules::pointers_into_events))]
    pub ignore: Vec<String>,
}

/// `[quarantine]`: how much of what is refused is kept.
#[derive(Clone, Debug, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct Quarantine {
    /// The most bytes kept of one refused body.
    #[validate(custom(function = rules::row_size))]
    pub max_row: ByteSize,
    /// The most bytes kept of all refused bodies in a minute.
    pub max_bytes_per_minute: ByteSize,
}

/// `[batch]`: when a batch is closed, and the format of its object.
#[derive(Clone, Debug, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct Batch {
    /// The most bytes of logged rows, before compression.
    #[validate(custom(function = rules::batch_size))]
    pub max_bytes: ByteSize,
    /// The most rows.
    #[schemars(range(min = 1))]
    pub max_records: u64,
    /// How long after its first row a batch is closed.
    #[validate(custom(function = rules::batch_age))]
    pub max_age: Span,
    /// The same for partitions that are not current; see [`Batch::late_age`].
    #[validate(custom(function = rules::late_batch_age))]
    pub late_max_age: Option<Span>,
    /// The format of objects.
    #[serde(deserialize_with = "words::deserialize")]
    #[schemars(schema_with = "words::schema::<Format>")]
    pub format: Format,
}

/// `[events]`: the webhook and its contract.
#[derive(Clone, Debug, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct Events {
    /// The path to which events are posted.
    #[validate(custom(function = rules::webhook_path))]
    pub path: String,
    /// Secrets of Standard Webhooks. If there are any, every request must be signed with one of them.
    pub signing_secrets: Vec<Secret>,
    /// A file of further signing secrets, one per line.
    #[schemars(length(min = 1))]
    pub signing_secrets_file: Option<PathBuf>,
    /// How many of them are in the configuration itself, before those of the file.
    #[serde(skip)]
    #[schemars(skip)]
    pub own_signing_secrets: usize,
    /// What events must look like.
    #[serde(deserialize_with = "words::deserialize")]
    #[schemars(schema_with = "words::schema::<ContractKind>")]
    pub contract: ContractKind,
    /// Event types that are accepted; `*` stands for any.
    #[schemars(length(min = 1), inner(length(min = 1)))]
    #[validate(custom(function = rules::listed_once))]
    pub types: Vec<String>,
    /// Sources that are accepted.
    #[schemars(length(min = 1), inner(length(min = 1)))]
    #[validate(custom(function = rules::listed_once))]
    pub sources: Vec<String>,
    /// Event types that are checked and counted, but not stored.
    #[validate(custom(function = rules::listed_once))]
    pub drop: Vec<String>,
    /// Whether such events are dropped whatever else is wrong with them.
    pub drop_unchecked: bool,
    /// What happens to a request with an invalid event.
    #[serde(deserialize_with = "words::deserialize")]
    #[schemars(schema_with = "words::schema::<OnInvalid>")]
    pub on_invalid: OnInvalid,
    /// A directory of schemas by event type, which replace the built-in ones.
    #[schemars(length(min = 1))]
    pub schemas: Option<PathBuf>,
    /// The pattern of partitions.
    pub partition: String,
    /// Which time of an event decides about its partition.
    #[serde(deserialize_with = "words::deserialize")]
    #[schemars(schema_with = "words::schema::<PartitionBy>")]
    pub partition_by: PartitionBy,
    /// How long before its receipt an event may have happened.
    #[validate(range(exclusive_min = Span::ZERO))]
    pub max_age: Span,
    /// How long after its receipt an event may claim to happen.
    pub max_ahead: Span,
}

/// `[log]`: the program's own log, on standard error.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// The least important level that is written.
    #[serde(deserialize_with = "words::deserialize")]
    #[schemars(schema_with = "words::schema::<tracing::Level>")]
    pub level: tracing::Level,
    /// The form of its lines.
    #[serde(deserialize_with = "words::deserialize")]
    #[schemars(schema_with = "words::schema::<LogFormat>")]
    pub format: LogFormat,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 4000)),
            metrics_listen: None,
            console_listen: None,
            console_token_file: None,
            console_tokens: Vec::new(),
            console_hosts: Vec::new(),
            console_show_values: false,
            max_body: ByteSize::mib(8),
            max_events: 10_000,
            max_event: ByteSize::mib(1),
            header_timeout: Span::seconds(10),
            body_timeout: Span::seconds(30),
            idle_timeout: Span::seconds(75),
            drain_delay: Span::ZERO,
            shutdown_grace: Span::seconds(30),
            max_connections: 2048,
            http2: true,
            memory: ByteSize::mib(64),
            tokens: Vec::new(),
            tokens_file: None,
            own_tokens: 0,
            tls_cert_file: None,
            tls_key_file: None,
            allow_unauthenticated: false,
            rate_limit: 0,
            rate_burst: 100,
            trusted_proxies: Vec::new(),
            cors_origins: Vec::new(),
        }
    }
}

impl Default for Lake {
    fn default() -> Self {
        Self {
            url: LakeUrl::Directory(PathBuf::from("data/lake")),
            endpoint: None,
            accepts_new: false,
            endpoint_named_by: ENDPOINT_KEY,
            region: None,
            path_style: None,
            kms_key_id: None,
            sse_s3: false,
            acl: None,
            storage_class: None,
            tags: BTreeMap::new(),
            requester_pays: false,
        }
    }
}

impl Default for Dedup {
    fn default() -> Self {
        Self {
            max_ids: 50_000_000,
            ignore: Vec::new(),
        }
    }
}

impl Default for Quarantine {
    fn default() -> Self {
        Self {
            max_row: ByteSize::mib(1),
            max_bytes_per_minute: ByteSize::mib(16),
        }
    }
}

impl Default for Batch {
    fn default() -> Self {
        Self {
            max_bytes: ByteSize::mib(64),
            max_records: 1_000_000,
            max_age: Span::seconds(300),
            late_max_age: None,
            format: Format::default(),
        }
    }
}

impl Default for Events {
    fn default() -> Self {
        let rules = Rules::default();
        Self {
            path: "/webhook/events".to_owned(),
            signing_secrets: Vec::new(),
            signing_secrets_file: None,
            own_signing_secrets: 0,
            contract: ContractKind::Typed,
            types: rules.types,
            sources: rules.sources,
            drop: rules.drop,
            drop_unchecked: rules.drop_unchecked,
            on_invalid: rules.on_invalid,
            schemas: None,
            partition: "dt=%Y-%m-%d".to_owned(),
            partition_by: PartitionBy::Timestamp,
            max_age: Span::days(365),
            max_ahead: Span::days(1),
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self {
            level: tracing::Level::INFO,
            format: LogFormat::Auto,
        }
    }
}

impl Batch {
    /// The age of batches of late partitions: as configured, else two hours, or `max_age` if that is more.
    pub fn late_age(&self) -> Span {
        let by_default = || Span::seconds(2 * 3600).max(self.max_age);
        self.late_max_age.unwrap_or_else(by_default)
    }
}
