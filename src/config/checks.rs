//! The rules that a shape can't say: what a value means, and how values go together.
//!
//! Each rule names the keys that it looks at, says what holds, and what to do.

use std::collections::HashSet;
use std::num::NonZeroU16;
use std::path::Path;
use std::time::Duration;

use http::Uri;
use http::uri::Authority;

use super::amounts::{ByteSize, Span};
use super::findings::Findings;
use super::lake_url::LakeUrl;
use super::secret::{Secret, SecretFile};
use super::sections::{Batch, Config, Dedup, Events, Lake, Quarantine, Server, Wal};
use crate::wal::layout::MAX_FRAME;

/// What one write to the log needs beside the rows.
const FRAME_SLACK_BYTES: u64 = 64 << 10;
/// At worst each byte of a body is kept twice, once escaped in the quarantine …
const FRAME_BYTES_PER_BODY_BYTE: u64 = 2;
/// … and each event adds so much of our own.
const FRAME_BYTES_PER_EVENT: u64 = 640;

pub(super) const MIN_WAL: ByteSize = ByteSize::mib(16);
const MIN_SEGMENT: ByteSize = ByteSize::mib(1);
const MIN_SEGMENTS: u64 = 4;
const MIN_BATCH_BYTES: ByteSize = ByteSize::new(1024);
const MAX_BATCH_AGE: Span = Span::days(7);
/// A row of this size still fits into one write, every byte of it escaped.
const MAX_QUARANTINE_ROW: ByteSize = ByteSize::mib(4);
const MIN_TOKEN_CHARS: usize = 16;
/// Fewer identities are forgotten before senders have given up retrying.
const FEW_IDS: u64 = 1_000_000;
/// Paths that the server answers itself.
pub(super) const OWN_PATHS: &[&str] = &crate::receive::pages::PATHS;

/// Checks every rule but those of tokens.
pub(super) fn check(config: &Config, findings: &mut Findings<'_>) {
    addresses(config, findings);
    tls(&config.server, findings);
    timeouts(&config.server, findings);
    origins(&config.server, findings);
    request_sizes(config, findings);
    lake(&config.lake, findings);
    columns_in_the_lakes_path(config, findings);
    wal(&config.wal, findings);
    directories(config, findings);
    dedup(&config.dedup, findings);
    quarantine(&config.quarantine, findings);
    batch(&config.batch, findings);
    words(&config.events, findings);
    path(&config.events, findings);
    times_and_partitions(&config.events, findings);
}

/// Adds the tokens of a file to those of the configuration.
pub(super) fn take_tokens(
    server: &mut Server,
    path: &Path,
    file: SecretFile,
    findings: &mut Findings<'_>,
) {
    let (key, path) = ("server.tokens_file", path.display());
    if file.is_open_to_others {
        let text = format!("{path} can be read by others than its owner; chmod 600 it");
        findings.warning(key, &text);
    }
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
    server.tokens.extend(secrets);
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
            "whoever reaches this address could write into the lake; set server.tokens, \
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

fn timeouts(server: &Server, findings: &mut Findings<'_>) {
    for (key, timeout) in [
        ("server.header_timeout", server.header_timeout),
        ("server.body_timeout", server.body_timeout),
        ("server.idle_timeout", server.idle_timeout),
    ] {
        if timeout.is_zero() {
            findings.problem(&[key], "must be more than 0");
        }
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

/// What is wrong with a token, without a word of it.
fn fault_of_token(token: &Secret) -> Option<String> {
    let text = token.expose();
    if !text.chars().all(|c| c.is_ascii_graphic()) {
        return Some("may hold no whitespace and only visible ASCII characters".to_owned());
    }
    (text.len() < MIN_TOKEN_CHARS).then(|| {
        format!(
            "must have at least {MIN_TOKEN_CHARS} characters; \"openssl rand -hex 32\" makes one"
        )
    })
}

fn origins(server: &Server, findings: &mut Findings<'_>) {
    for (index, origin) in server.cors_origins.iter().enumerate() {
        if !is_origin(origin) {
            let rule = format!(
                "entry {} must be an origin as browsers send it: a scheme and a host in lower case, \
                 such as \"https://app.example.com\" or \"http://localhost:3000\", without a path",
                index + 1
            );
            findings.problem(&["server.cors_origins"], rule);
        }
    }
}

fn is_origin(text: &str) -> bool {
    let Some((scheme, host)) = text.split_once("://") else {
        return false;
    };
    let starts_with_letter = scheme.starts_with(|c: char| c.is_ascii_lowercase());
    let is_scheme = scheme
        .chars()
        .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.".contains(c));
    let is_plain = !host.contains(['@', '*']) && !host.chars().any(|c| c.is_ascii_uppercase());
    starts_with_letter && is_scheme && is_plain && is_authority(host)
}

/// Whether it is a host with or without a port.
pub(super) fn is_authority(text: &str) -> bool {
    let Ok(authority) = text.parse::<Authority>() else {
        return false;
    };
    let port_is_sound = match text.strip_prefix(authority.host()) {
        Some("") => true,
        Some(rest) => {
            let port = rest.strip_prefix(':').map(str::parse::<NonZeroU16>);
            matches!(port, Some(Ok(_)))
        }
        None => false,
    };
    !authority.host().is_empty() && port_is_sound
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
    if let Some(endpoint) = &lake.endpoint {
        let rule = "must be the http:// or https:// address of a store, without credentials, query \
                    or fragment, such as \"http://localhost:4566\"";
        if !is_endpoint(endpoint) {
            findings.problem(&["lake.endpoint"], rule);
        }
        if is_directory {
            findings.problem(
                &["lake.endpoint", "lake.url"],
                "an endpoint needs a bucket: set lake.url = \"s3://bucket/prefix\", or leave the endpoint out",
            );
        }
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

/// Whether text is the address of a store.
pub(super) fn is_endpoint(text: &str) -> bool {
    if text.contains(['?', '#', '@']) {
        return false;
    }
    let uri: Result<Uri, _> = text.parse();
    uri.is_ok_and(|uri| {
        let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
        is_http
            && uri
                .authority()
                .is_some_and(|authority| is_authority(authority.as_str()))
    })
}

fn wal(wal: &Wal, findings: &mut Findings<'_>) {
    if wal.max_bytes < MIN_WAL {
        let rule = format!("must be at least {MIN_WAL}");
        findings.problem(&["wal.max_bytes"], rule);
        return;
    }
    let segment = wal.segment_size();
    if segment < MIN_SEGMENT {
        let rule = format!("must be at least {MIN_SEGMENT}");
        findings.problem(&["wal.segment_bytes"], rule);
    }
    if segment.bytes().saturating_mul(MIN_SEGMENTS) > wal.max_bytes.bytes() {
        let rule = format!(
            "wal.max_bytes = {} must hold at least {MIN_SEGMENTS} segments of wal.segment_bytes = \
             {segment}; lower wal.segment_bytes, or leave it out",
            wal.max_bytes
        );
        findings.problem(&["wal.segment_bytes", "wal.max_bytes"], rule);
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

fn dedup(dedup: &Dedup, findings: &mut Findings<'_>) {
    for pointer in &dedup.ignore {
        if !pointer.starts_with('/') {
            let rule = format!(
                "{pointer:?} must be a JSON Pointer into the event, which starts with a slash, such \
                 as \"/properties/attempt\""
            );
            findings.problem(&["dedup.ignore"], rule);
        }
    }
    if dedup.max_ids < FEW_IDS {
        findings.warning(
            "dedup.max_ids",
            "so few identities may be forgotten while senders still retry (for three days), and \
             what they send again is then stored twice; at least 1000000 are advised",
        );
    }
}

fn quarantine(quarantine: &Quarantine, findings: &mut Findings<'_>) {
    if quarantine.max_row > MAX_QUARANTINE_ROW {
        let rule = format!("must be at most {MAX_QUARANTINE_ROW}");
        findings.problem(&["quarantine.max_row"], rule);
    }
}

fn batch(batch: &Batch, findings: &mut Findings<'_>) {
    if batch.max_bytes < MIN_BATCH_BYTES {
        let rule = format!("must be at least {MIN_BATCH_BYTES}");
        findings.problem(&["batch.max_bytes"], rule);
    }
    let age = batch.max_age.duration();
    if age < Duration::from_secs(1) || batch.max_age > MAX_BATCH_AGE {
        findings.problem(&["batch.max_age"], "must be between \"1s\" and \"7d\"");
    }
}

fn words(events: &Events, findings: &mut Findings<'_>) {
    for (key, words) in [
        ("events.types", &events.types),
        ("events.sources", &events.sources),
        ("events.drop", &events.drop),
    ] {
        let mut seen = HashSet::new();
        let twice = words.iter().filter(|word| !seen.insert(word.as_str()));
        for word in twice {
            findings.problem(&[key], format!("{word:?} is listed twice; remove one"));
        }
    }
    for word in &events.drop {
        if !events.types.contains(word) {
            let rule = format!(
                "{word:?} is dropped, but not among events.types; add it there, or remove it from \
                 events.drop"
            );
            findings.problem(&["events.drop", "events.types"], rule);
        }
    }
}

fn path(events: &Events, findings: &mut Findings<'_>) {
    let path = events.path.as_str();
    let rule = if OWN_PATHS.contains(&path) {
        format!(
            "must not be {}: the server answers there itself",
            OWN_PATHS.join(", ")
        )
    } else if !is_plain_path(path) {
        "must start with a slash and consist of letters, digits and - . _ ~ between single slashes, \
         such as \"/webhook/events\""
            .to_owned()
    } else {
        return;
    };
    findings.problem(&["events.path"], rule);
}

/// Whether it is a path without anything that means something to a router or a URL.
pub(super) fn is_plain_path(path: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
    let is_name = |name: &str| !matches!(name, "" | "." | "..") && name.chars().all(is_plain);
    path.strip_prefix('/')
        .is_some_and(|rest| rest.split('/').all(is_name))
}

fn times_and_partitions(events: &Events, findings: &mut Findings<'_>) {
    if events.max_age.is_zero() {
        findings.problem(&["events.max_age"], "must be more than 0");
    }
    if let Err(error) = events.partitioning() {
        findings.problem(&["events.partition"], error.to_string());
    }
}
