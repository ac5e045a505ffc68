//! Turns the configuration into the settings of each part.

use std::num::NonZeroU32;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderValue;

use crate::call;
use crate::config::{Batch, ByteSize, Config, Hook, Server, Wal};
use crate::contract::foreign::Ignored;
use crate::contract::{EVENTS, Rules};
use crate::lake::keys;
use crate::quarantine::{self, FieldError, Reason, Refused};
use crate::receive;
use crate::receive::admission::{Proof, Proofs};
use crate::receive::body::BodyLimits;
use crate::receive::client::Tokens;
use crate::receive::packs::STANDARD;
use crate::receive::signature::Signing;
use crate::receive::{Credentials, KeptDelivery, Proxies};
use crate::receive::{openapi, tls};
use crate::record::Origin;
use crate::replay::HookJudge;
use crate::secret::Secret;
use crate::wal::batch::Limits;
use crate::wal::dedup::recent::RecentIds;
use crate::wal::lateness::Calendar;
use crate::wal::node::Ordinal;
use crate::wal::request::{Packing, Settings as WalSettings};

/// Memory for deduplicating events: a quarter for the newest ids, the rest for filters over older ones.
const DEDUP_BYTES: u64 = 128 << 20;
/// The least of it for one of several logs.
const LEAST_DEDUP_BYTES: u64 = 8 << 20;
/// Memory for deduplicating polled records.
const POLLS_DEDUP_BYTES: u64 = 24 << 20;
/// The most ids of polled records that are kept on disk.
const POLLS_MAX_IDS: u64 = 10_000_000;
/// Id files with fewer ids are merged. A merge holds at most twice as many ids in memory. Segments that end because
/// they have their share of the ids in memory have more, so that their files stay as they are.
const IDS_PER_FILE: u64 = 250_000;
/// At most about this many id files are open, …
const MAX_ID_FILES: u64 = 200;
/// … as long as none of them has more ids than this, because a merge holds them in memory.
const MAX_IDS_PER_FILE: u64 = 4_000_000;
/// The size of the first segment after a start; it is small so that the start is quick.
const FIRST_SEGMENT_BYTES: u64 = 1 << 20;
/// While this many seals wait for their commit, batches are not sealed because of their age.
const MAX_WAITING_SEALS: usize = 64;

/// Settings of the HTTP server.
pub fn receive_settings(config: &Config, rules: &Rules) -> receive::ReceiveSettings {
    let server = &config.server;
    let rate = NonZeroU32::new(server.rate_limit);
    let mut settings = receive::ReceiveSettings {
        endpoint: config.events.path.as_str().into(),
        body: BodyLimits {
            max_bytes: server.max_body.as_usize(),
            timeout: server.body_timeout.duration(),
        },
        memory: server.memory.as_usize(),
        signing: signing(config),
        hooks: hooks(config),
        tokens: Tokens::new(tokens(server)),
        rate: rate.zip(NonZeroU32::new(server.rate_burst)),
        refused_bytes_per_minute: config.quarantine.max_bytes_per_minute.bytes(),
        max_refused_bytes: config.quarantine.max_row.as_usize(),
        cors_origins: server
            .cors_origins
            .iter()
            .filter_map(|origin| HeaderValue::from_str(origin).ok())
            .collect(),
        checks_host: is_for_this_machine(server)
            && server.tokens.is_empty()
            && config.events.signing_secrets.is_empty(),
        proxies: Proxies::parse(&server.trusted_proxies).unwrap_or_default(),
        batch_size: config.batch.max_records,
        metrics_elsewhere: server.metrics_listen.is_some(),
        openapi: Bytes::new(),
    };
    let document = openapi::document(&settings, rules);
    settings.openapi = document.to_string().into();
    settings
}

/// Whether the service is reached from this machine alone, and not through a proxy. With TLS, a browser makes sure that
/// it talks to whom it means to.
fn is_for_this_machine(server: &Server) -> bool {
    server.listen.ip().to_canonical().is_loopback()
        && server.tls_cert_file.is_none()
        && server.trusted_proxies.is_empty()
}

/// The files of certificate and key, if they are configured.
pub fn tls_files(server: &Server) -> Option<tls::Files> {
    let pair = server
        .tls_cert_file
        .clone()
        .zip(server.tls_key_file.clone());
    pair.map(|(cert, key)| tls::Files { cert, key })
}

/// How events must be signed, if the webhook has secrets.
fn signing(config: &Config) -> Option<Proofs> {
    let proofs = signing_proofs(config);
    (!proofs.is_empty()).then(|| Proofs::any(proofs))
}

fn signing_proofs(config: &Config) -> Vec<Proof> {
    let secrets = &config.events.signing_secrets;
    if secrets.is_empty() {
        return Vec::new();
    }
    let texts = secrets.iter().map(Secret::expose);
    let tolerance = Hook::default().tolerance.duration();
    let signing = Signing::new(STANDARD.schemes(), texts, tolerance, "");
    vec![Proof::Signature(signing)]
}

fn tokens(server: &Server) -> Vec<String> {
    let tokens = server.tokens.iter();
    tokens.map(|token| token.expose().to_owned()).collect()
}

/// The secrets of senders, to replace those that a service started with.
pub(super) fn credentials(config: &Config) -> Credentials {
    let hooks = config.hook.iter();
    Credentials {
        tokens: tokens(&config.server),
        signing: signing_proofs(config),
        hooks: hooks
            .map(|(name, hook)| (name.clone(), hook.proof_list()))
            .collect(),
    }
}

fn hooks(config: &Config) -> Vec<Arc<receive::hooks::Hook>> {
    let hooks = config.hook.iter().flat_map(|(name, hook)| {
        let first = receive::hooks::Hook {
            name: name.as_str().into(),
            path: hook.path(name).into(),
            has_routes: !hook.pack().routes.is_empty(),
            challenges: hook.questions(),
            verify_token: hook.verify_token.clone(),
            max_body: hook.max_body.map(ByteSize::as_usize),
            proofs: hook.proofs(),
            checks_host: is_for_this_machine(&config.server) && hook.takes_this_machine(),
            shape: hook.pack().shape,
            secret_members: hook.secret_members().into(),
            places: hook.places(),
            changed_is_duplicate: hook.changed_is_duplicate(),
            ignored: Ignored::new(hook.pack().ignore.iter().copied()),
            headers: hook.kept_headers(),
            alarm: Arc::default(),
        };
        let paths = hook.paths(name).into_iter();
        paths.map(move |(path, default_type)| {
            let mut own = first.clone();
            own.path = path.into();
            own.places.default_type = default_type;
            Arc::new(own)
        })
    });
    hooks.collect()
}

/// Judges rows of the quarantine that came from hooks.
pub fn hook_judge(config: &Config) -> HookJudge {
    let hooks = hooks(config);
    Arc::new(move |contract, kept| {
        // Of a hook with several paths, the one that took it.
        let same = |hook: &&Arc<receive::hooks::Hook>| *hook.name == *kept.hook.name;
        let by_path = hooks
            .iter()
            .filter(same)
            .find(|hook| hook.path == kept.origin.endpoint);
        let hook = by_path.or_else(|| hooks.iter().find(same))?;
        let kept = KeptDelivery {
            raw: kept.raw,
            is_event: kept.is_event,
            headers: &kept.hook.headers,
            origin: kept.origin,
        };
        Some(hook.judge_again(contract, &kept))
    })
}

/// One of the two logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogRole {
    /// The log of events.
    Events,
    /// The log of everything that is pulled.
    Feeds,
}

impl LogRole {
    /// The key that names the log's directory.
    pub fn key(self) -> &'static str {
        match self {
            Self::Events => "wal.dir",
            Self::Feeds => "polls.dir",
        }
    }

    /// The name of the log, for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Feeds => "feeds",
        }
    }

    /// The folder of the log in a bucket that keeps all.
    pub fn folder(self, config: &Config) -> String {
        match (self, config.wal.number) {
            (Self::Events, number @ 1..) => format!("{}-{number}", self.name()),
            _ => self.name().to_owned(),
        }
    }

    /// Which of several logs it is.
    pub fn ordinal(self, config: &Config) -> Ordinal {
        match self {
            Self::Events => Ordinal {
                number: config.wal.number,
                of: config.cluster.logs,
            },
            // Feeds run where the first log of events is owned.
            Self::Feeds => Ordinal::ONLY,
        }
    }

    /// The directory and size of the log.
    pub fn section(self, config: &Config) -> Wal {
        match self {
            Self::Events => config.wal.clone(),
            Self::Feeds => config.feeds_log(),
        }
    }
}

/// The settings of a log whose rows are shipped to the lake with this identity.
pub fn log_settings(config: &Config, role: LogRole, lake: &str) -> WalSettings {
    let shared = shared_settings(config, role, lake);
    match role {
        LogRole::Events => shared,
        LogRole::Feeds => WalSettings {
            conflict_row: record_conflict_row,
            conflict_partition: record_conflict_partition,
            max_ids: config.dedup.max_ids.min(POLLS_MAX_IDS),
            ..shared
        },
    }
}

fn shared_settings(config: &Config, role: LogRole, lake: &str) -> WalSettings {
    // Several logs share the ids between them, and a node may own all of them.
    let logs = u64::from(role.ordinal(config).of.max(1));
    let dedup_bytes = match role {
        LogRole::Events => (DEDUP_BYTES / logs).max(LEAST_DEDUP_BYTES),
        LogRole::Feeds => POLLS_DEDUP_BYTES,
    };
    let max_ids = config.dedup.max_ids.div_ceil(logs);
    let segment_bytes = role.section(config).segment_size().bytes();
    let window = RecentIds::window_of_bytes(dedup_bytes / 4);
    WalSettings {
        segment_bytes,
        first_segment_bytes: FIRST_SEGMENT_BYTES.min(segment_bytes),
        max_bytes: role.section(config).max_bytes.bytes(),
        dedup_window: window,
        max_ids,
        filter_bytes: dedup_bytes / 4 * 3,
        ids_per_file: (max_ids / MAX_ID_FILES).clamp(IDS_PER_FILE, MAX_IDS_PER_FILE),
        limits: limits(config, role),
        calendar: calendar(config, role),
        lake: lake.to_owned(),
        format: config.batch.format.as_str().to_owned(),
        packing: config.batch.format.packed_with().map(Packing::of),
        object_key: keys::object_key,
        conflict_row,
        conflict_partition,
    }
}

/// When the log's batches are closed.
fn limits(config: &Config, role: LogRole) -> Limits {
    let polls = &config.polls.batch;
    let batch = match role {
        LogRole::Events => config.batch.clone(),
        LogRole::Feeds => Batch {
            max_bytes: polls.max_bytes,
            max_records: polls.max_records,
            max_age: polls.max_age,
            late_max_age: None,
            format: config.batch.format,
        },
    };
    Limits {
        max_bytes: batch.max_bytes.bytes(),
        max_records: batch.max_records,
        max_age: batch.max_age.duration(),
        late_max_age: batch.late_age().duration(),
        max_waiting_seals: MAX_WAITING_SEALS,
    }
}

/// The partitions that a time falls into: those of the rows that are stored, and those of the quarantine.
fn calendar(config: &Config, role: LogRole) -> Calendar {
    match role {
        LogRole::Events => {
            // A pattern that is none was refused before.
            let events = config.events.partitioning().unwrap_or_default();
            Calendar::new(move |time| vec![events.key(time), quarantine::partition(EVENTS, time)])
        }
        LogRole::Feeds => {
            let streams = config.poll.keys().chain(config.files.keys());
            let mut streams: Vec<String> = streams.cloned().collect();
            for call in config.call.keys() {
                streams.extend([call.clone(), format!("{call}{}", call::plan::SENT)]);
            }
            Calendar::new(move |time| {
                let of_stream = |stream: &String| {
                    let kept = quarantine::partition(stream, time);
                    [keys::day_partition(stream, time), kept]
                };
                streams.iter().flat_map(of_stream).collect()
            })
        }
    }
}

fn conflict_partition(origin: &Origin) -> String {
    quarantine::partition(EVENTS, origin.received_at)
}

/// Writes the quarantine row of an event whose id is known with other content.
fn conflict_row(origin: &Origin, row: &[u8], out: &mut Vec<u8>) -> u32 {
    let detail = "the id is known with other content; the first copy is kept";
    write_conflict(EVENTS, "/event_id", detail, origin, row, out)
}

/// The quarantine partition of a record. Its origin names the stream in place of a request's path.
fn record_conflict_partition(origin: &Origin) -> String {
    quarantine::partition(&origin.endpoint, origin.received_at)
}

/// Writes the quarantine row of a record whose identity equals that of another. Because the content is part
/// of the identity, a collision has a probability of 2^-64.
fn record_conflict_row(origin: &Origin, row: &[u8], out: &mut Vec<u8>) -> u32 {
    let detail = "another record has the same fingerprint; it is kept";
    write_conflict(&origin.endpoint, "", detail, origin, row, out)
}

fn write_conflict(
    stream: &str,
    pointer: &str,
    detail: &str,
    origin: &Origin,
    row: &[u8],
    out: &mut Vec<u8>,
) -> u32 {
    let error = FieldError {
        pointer: pointer.to_owned(),
        code: "id_conflict",
        detail: detail.to_owned(),
    };
    let refused = Refused {
        reason: Reason::IdConflict,
        stream,
        origin,
        errors: &[error],
        errors_total: 1,
        raw: row,
        max_raw_bytes: usize::MAX,
        hook: None,
        place: None,
    };
    refused.write(out)
}
