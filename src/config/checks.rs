//! Rules that relate several values to each other. The rules of single values stand beside their keys.
//!
//! Each error names the keys that its rule looks at, and says what must hold and what to do.

use std::path::Path;

use super::cluster_checks;
use super::console_checks;
use super::event_rules::ANY;
use super::findings::Findings;
use super::lake_url::LakeUrl;
use super::replica_checks;
use super::rules::{MIN_WAL, late_batch_age};
use super::secret_file::{SecretFile, fault_of_token};
use super::sections::{Batch, Config, Dedup, Events, Lake, Server};
use super::simple;
use super::wal::Wal;
use super::words::ContractKind;
use crate::contract::Schemas;
use crate::receive::Proxies;
use crate::secret::Secret;
use crate::wal::layout::MAX_FRAME;

/// Bytes of one write to the log apart from its rows.
const FRAME_SLACK_BYTES: u64 = 64 << 10;
/// A row in the quarantine can be twice as long as its body, if every byte must be escaped …
const FRAME_BYTES_PER_BODY_BYTE: u64 = 2;
/// … and each event adds up to this many bytes.
const FRAME_BYTES_PER_EVENT: u64 = 640;

const MIN_SEGMENTS: u64 = 4;
/// With fewer ids, the log forgets events before their senders give up retrying.
const FEW_IDS: u64 = 1_000_000;

/// Checks every rule but those of tokens, polls and hooks.
pub(super) fn check(config: &Config, findings: &mut Findings<'_>) {
    simple::check("", config, findings);
    addresses(config, findings);
    console_checks::check(&config.server, findings);
    tls(&config.server, findings);
    request_sizes(config, findings);
    lake(&config.lake, findings);
    columns_in_the_lakes_path(config, findings);
    wal(&config.wal, findings);
    replica_checks::check(config, findings);
    cluster_checks::check(config, findings);
    batch(&config.batch, findings);
    directories(config, findings);
    unexpanded_paths(config, findings);
    dedup(&config.dedup, findings);
    dropped_types(&config.events, findings);
    if let Err(text) = Proxies::parse(&config.server.trusted_proxies) {
        let rule = format!("{text:?} must be a network such as \"10.0.0.0/8\", or an address");
        findings.problem(&["server.trusted_proxies"], rule);
    }
    schemas_without_type(&config.events, findings);
    partition(&config.events, findings);
}

/// Adds the tokens of the file, if there is one, to those of the configuration.
pub(super) fn read_tokens(config: &mut Config, findings: &mut Findings<'_>) {
    let server = &mut config.server;
    server.own_tokens = server.tokens.len();
    if let Some(path) = server.tokens_file.clone() {
        let tokens = tokens_of("server.tokens_file", &path, findings);
        server.tokens.extend(tokens);
    }
    if let Some(path) = server.console_token_file.clone() {
        server.console_tokens = tokens_of("server.console_token_file", &path, findings);
    }
    cluster_checks::read_secret(&mut config.cluster, findings);
}

/// The tokens of the file that a key names. What is wrong with them is among the findings.
fn tokens_of(key: &str, path: &Path, findings: &mut Findings<'_>) -> Vec<Secret> {
    match SecretFile::read(path) {
        Ok(file) => take_tokens(key, path, file, findings),
        Err(error) => {
            let rule = format!("{} cannot be read: {error}", path.display());
            findings.problem(&[key], rule);
            findings.distrust(key);
            Vec::new()
        }
    }
}

fn take_tokens(
    key: &str,
    path: &Path,
    file: SecretFile,
    findings: &mut Findings<'_>,
) -> Vec<Secret> {
    file.warn_if_open(key, path, findings);
    let path = path.display();
    if file.secrets.is_empty() {
        findings.problem(&[key], format!("{path} holds no token; put one on a line"));
        findings.distrust(key);
    }
    for (line, token) in &file.secrets {
        if let Some(rule) = fault_of_token(token) {
            findings.problem(&[key], format!("{path}, line {line}: the token {rule}"));
        }
    }
    let secrets = file.secrets.into_iter().map(|(_, token)| token);
    secrets.collect()
}

fn addresses(config: &Config, findings: &mut Findings<'_>) {
    let server = &config.server;
    let is_local = server.listen.ip().to_canonical().is_loopback();
    let is_signed = !config.events.signing_secrets.is_empty();
    if !is_local && server.tokens.is_empty() && !is_signed && !server.allow_unauthenticated {
        let keys = [
            "server.listen",
            "server.tokens",
            "server.tokens_file",
            "server.allow_unauthenticated",
        ];
        findings.problem(
            &keys,
            "anyone who reaches this address could write into the lake; set server.tokens, \
             server.tokens_file or events.signing_secrets, or server.allow_unauthenticated = true if something in front of it \
             lets in only those who may",
        );
    }
    if server.metrics_listen == Some(server.listen) && server.listen.port() != 0 {
        findings.problem(
            &["server.metrics_listen", "server.listen"],
            "server.metrics_listen must differ from server.listen; leave it out to serve /metrics there",
        );
    }
}

fn tls(server: &Server, findings: &mut Findings<'_>) {
    let keys = ["server.tls_cert_file", "server.tls_key_file"];
    if server.tls_cert_file.is_some() != server.tls_key_file.is_some() {
        findings.problem(
            &keys,
            "TLS needs both a certificate and its key: set server.tls_cert_file and \
             server.tls_key_file, or neither",
        );
    }
}

/// Checks the tokens of the list; those of the file must not have been added yet.
pub(super) fn check_tokens(server: &Server, findings: &mut Findings<'_>) {
    for (index, token) in server.tokens.iter().enumerate() {
        if let Some(rule) = fault_of_token(token) {
            let rule = format!("token {} of the list {rule}", index + 1);
            findings.problem(&["server.tokens"], rule);
        }
    }
}

fn request_sizes(config: &Config, findings: &mut Findings<'_>) {
    let server = &config.server;
    let body_bytes = server.max_body.bytes();
    if server.max_event > server.max_body || server.max_event.bytes() == 0 {
        let rule = format!(
            "server.max_event = {} must be more than 0 and at most server.max_body = {}",
            server.max_event, server.max_body
        );
        findings.problem(&["server.max_event", "server.max_body"], rule);
    }
    if server.memory.bytes() < body_bytes.saturating_mul(4) {
        let rule = format!(
            "server.memory = {} must be at least four times server.max_body = {}: a body as sent, \
             decompressed, and its rows are in memory at the same time",
            server.memory, server.max_body
        );
        findings.problem(&["server.memory", "server.max_body"], rule);
    }
    let events = server.max_events as u64;
    let needed_bytes = body_bytes
        .saturating_mul(FRAME_BYTES_PER_BODY_BYTE)
        .saturating_add(events.saturating_mul(FRAME_BYTES_PER_EVENT));
    let room_bytes = MAX_FRAME as u64 - FRAME_SLACK_BYTES;
    if needed_bytes > room_bytes {
        let rule = format!(
            "a request of server.max_body = {} with server.max_events = {events} may need \
             {needed_bytes} bytes of the log (2 for each byte, 640 for each event), and one write \
             holds {room_bytes}; lower server.max_body or server.max_events",
            server.max_body
        );
        findings.problem(&["server.max_body", "server.max_events"], rule);
    } else if config.wal.max_bytes >= MIN_WAL {
        let segments_bytes = config.wal.segment_size().bytes().saturating_mul(2);
        if needed_bytes.saturating_add(segments_bytes) > config.wal.max_bytes.bytes() {
            findings.warning(
                "wal.max_bytes",
                "a log so small may never have room for a request of server.max_body, which is then \
                 answered 503; raise it, or lower server.max_body or server.max_events",
            );
        }
    }
}

fn lake(lake: &Lake, findings: &mut Findings<'_>) {
    let is_directory = matches!(lake.url, LakeUrl::Directory(_));
    if lake.endpoint.is_some() && is_directory {
        findings.problem(
            &["lake.endpoint", "lake.url"],
            "an endpoint needs a bucket: set lake.url = \"s3://bucket/prefix\", or leave the endpoint out",
        );
    }
    for (key, is_set) in [
        ("lake.region", lake.region.is_some()),
        ("lake.path_style", lake.path_style.is_some()),
        ("lake.kms_key_id", lake.kms_key_id.is_some()),
    ] {
        if is_set && is_directory {
            findings.warning(key, "has no effect: lake.url is a directory");
        }
    }
}

fn columns_in_the_lakes_path(config: &Config, findings: &mut Findings<'_>) {
    if let Some(name) = config.lake.url.column_in_path(&config.events.partition) {
        let rule = format!(
            "must not have {name}=… in its path: engines would read it as the column {name} of every row; \
             name that part otherwise, such as lake-{name}"
        );
        findings.problem(&["lake.url"], rule);
    }
}

fn wal(wal: &Wal, findings: &mut Findings<'_>) {
    if wal.max_bytes < MIN_WAL {
        return;
    }
    let segment = wal.segment_size();
    if segment.bytes().saturating_mul(MIN_SEGMENTS) > wal.max_bytes.bytes() {
        let rule = format!(
            "wal.max_bytes = {} must hold at least {MIN_SEGMENTS} segments of wal.segment_bytes = \
             {segment}; lower wal.segment_bytes, or leave it out",
            wal.max_bytes
        );
        findings.problem(&["wal.segment_bytes", "wal.max_bytes"], rule);
    }
}

fn batch(batch: &Batch, findings: &mut Findings<'_>) {
    if let Some(late) = batch.late_max_age
        && late < batch.max_age
        && late_batch_age(&late).is_ok()
    {
        let rule = "batch.late_max_age must be at least batch.max_age, since late rows never wait for less \
                    than those of today; raise it, or leave it out";
        findings.problem(&["batch.late_max_age", "batch.max_age"], rule);
    }
}

fn directories(config: &Config, findings: &mut Findings<'_>) {
    let LakeUrl::Directory(lake) = &config.lake.url else {
        return;
    };
    let wal = &config.wal.dir;
    let keys = ["wal.dir", "lake.url"];
    if wal == lake {
        findings.problem(
            &keys,
            "wal.dir and lake.url must not be the same directory; give each its own",
        );
    } else if wal.starts_with(lake) || lake.starts_with(wal) {
        findings.problem(
            &keys,
            "the log's directory and the lake's must not contain one another; put them side by side",
        );
    }
}

/// Nothing stands for the home directory or a variable: a directory would be made that is called so.
fn unexpanded_paths(config: &Config, findings: &mut Findings<'_>) {
    let lake = match &config.lake.url {
        LakeUrl::Directory(path) => Some(path.as_path()),
        LakeUrl::S3 { .. } => None,
    };
    let own = [
        ("wal.dir".to_owned(), Some(config.wal.dir.as_path())),
        ("polls.dir".to_owned(), Some(&config.polls.dir)),
        ("lake.url".to_owned(), lake),
    ];
    let inboxes = config.files.iter();
    let inboxes = inboxes.map(|(name, files)| (format!("files.{name}.path"), files.shown_path()));
    for (key, path) in own.into_iter().chain(inboxes) {
        let parts = path.into_iter().flat_map(Path::components);
        let mut parts = parts.map(|part| part.as_os_str().to_string_lossy());
        if let Some(part) = parts.find(|part| part == "~" || part.starts_with('$')) {
            let rule = format!(
                "{part} is not replaced in paths; write the whole path, such as /var/lib/lakehook"
            );
            findings.problem(&[&key], rule);
        }
    }
}

fn dedup(dedup: &Dedup, findings: &mut Findings<'_>) {
    if dedup.max_ids < FEW_IDS {
        findings.warning(
            "dedup.max_ids",
            "so few identities may be forgotten while senders still retry (for three days), and \
             what they send again is then stored twice; at least 1000000 are advised",
        );
    }
}

/// A schema whose name is no type validates nothing, and nobody would notice.
fn schemas_without_type(events: &Events, findings: &mut Findings<'_>) {
    let Some(dir) = &events.schemas else { return };
    // Schemas that cannot be read are told elsewhere, with their errors.
    let Ok(schemas) = Schemas::from_dir(dir) else {
        return;
    };
    let takes_any = events.contract == ContractKind::Open || events.types.iter().any(|t| t == ANY);
    if takes_any {
        return;
    }
    for name in schemas
        .types()
        .filter(|name| !events.types.iter().any(|known| known == name))
    {
        let text = format!(
            "{name}.json is the schema of no event type, so it validates nothing; is it one of {}?",
            events.types.join(", ")
        );
        findings.warning("events.schemas", &text);
    }
}

/// What is dropped by default is dropped where it is one of the types.
pub(super) fn default_drop(events: &mut Events, findings: &Findings<'_>) {
    if findings.is_set("events.drop") {
        return;
    }
    let types = &events.types;
    let is_open = events.contract == ContractKind::Open;
    events.drop.retain(|word| !is_open && types.contains(word));
}

fn dropped_types(events: &Events, findings: &mut Findings<'_>) {
    let takes_any = events.contract == ContractKind::Open || events.types.iter().any(|t| t == ANY);
    for word in &events.drop {
        if !takes_any && !events.types.contains(word) {
            let rule = format!(
                "{word:?} is dropped, but not among events.types; add it there, or remove it from \
                 events.drop"
            );
            findings.problem(&["events.drop", "events.types"], rule);
        }
    }
}

fn partition(events: &Events, findings: &mut Findings<'_>) {
    if let Err(error) = events.partitioning() {
        findings.problem(&["events.partition"], error.to_string());
    }
}
