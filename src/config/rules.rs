//! Rules of single values. The sections name them beside their keys. Pure.
#![allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "validator passes every value by reference"
)]

use std::borrow::Cow;
use std::collections::HashSet;
use std::num::NonZeroU16;

use http::uri::Authority;
use http::{HeaderName, Uri};
use reqwest::Url;
use validator::ValidationError;

use super::amounts::{ByteSize, Span};
use crate::poll::schedule::{parse_cron, parse_zone};
use crate::poll::template::UrlTemplate;
use crate::signature::Template;

/// Name of the parameter that holds the broken rules of a list, one for each entry.
pub(super) const BROKEN_RULES: &str = "rules";

pub(super) const MIN_WAL: ByteSize = ByteSize::mib(16);
const MIN_SEGMENT: ByteSize = ByteSize::mib(1);
const MIN_BATCH_BYTES: ByteSize = ByteSize::new(1024);
const MIN_BATCH_AGE: Span = Span::seconds(1);
const MAX_BATCH_AGE: Span = Span::days(7);
const MAX_LATE_BATCH_AGE: Span = Span::days(1);
/// A sender waits as long.
const MAX_REPLICA_INTERVAL: Span = Span::seconds(10);
const MIN_TAKEOVER: Span = Span::seconds(1);
const MAX_TAKEOVER: Span = Span::seconds(300);
const MIN_INTERVAL: Span = Span::seconds(1);
/// A row of this size still fits into one frame, even if every byte of it is escaped.
const MAX_ROW: ByteSize = ByteSize::mib(4);
/// A line of this size can be read by engines, which take 16 MiB, and fits into one frame.
const MAX_RECORD: ByteSize = ByteSize::mib(15);
/// All rows of an answer, and what is refused of it, must fit into one frame of the log.
const MAX_ANSWER: ByteSize = ByteSize::mib(8);
/// Paths that the server itself answers.
pub(super) const OWN_PATHS: &[&str] = &crate::receive::pages::PATHS;
/// Headers that the program itself sets.
pub(super) const OWN_HEADERS: [&str; 6] = [
    "accept-encoding",
    "connection",
    "content-length",
    "host",
    "if-none-match",
    "transfer-encoding",
];

/// The result of checking a value.
type Checked = Result<(), ValidationError>;

fn broken(rule: impl Into<Cow<'static, str>>) -> ValidationError {
    ValidationError::new("rule").with_message(rule.into())
}

/// Reports every broken rule of a list.
fn all_of(rules: impl Iterator<Item = String>) -> Checked {
    let rules: Vec<String> = rules.collect();
    if rules.is_empty() {
        return Ok(());
    }
    let mut error = ValidationError::new("rules");
    error.add_param(BROKEN_RULES.into(), &rules);
    Err(error)
}

// These bounds are not a `range`, because that would become part of the schema, where a size is text and has
// none.

fn at_least(size: ByteSize, min: ByteSize) -> Checked {
    if size < min {
        return Err(broken(format!("must be at least {min}")));
    }
    Ok(())
}

/// Checks the size of a log on disk.
pub(super) fn log_size(size: &ByteSize) -> Checked {
    at_least(*size, MIN_WAL)
}

/// Checks the size of a segment.
pub(super) fn segment_size(size: &ByteSize) -> Checked {
    at_least(*size, MIN_SEGMENT)
}

/// Checks a name that becomes a part of keys.
pub(super) fn plain_name(name: &str) -> Checked {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || name.len() > 64 || !name.chars().all(is_plain) {
        return Err(broken(
            "must be 1 to 64 lower-case letters, digits and hyphens",
        ));
    }
    Ok(())
}

/// Most logs of a cluster. Each has queues and threads of its own wherever it is owned.
pub(super) const MAX_LOGS: u16 = 64;

/// Checks the number of logs that nodes share.
pub(super) fn cluster_logs(logs: u16) -> Checked {
    if logs == 0 || logs > MAX_LOGS {
        return Err(broken("must be between 1 and 64"));
    }
    Ok(())
}

/// Checks how long the owner of a log may be silent.
pub(super) fn takeover_after(after: &Span) -> Checked {
    if *after < MIN_TAKEOVER || *after > MAX_TAKEOVER {
        return Err(broken("must be between \"1s\" and \"5m\""));
    }
    Ok(())
}

/// Checks the time between two writes to a replica.
pub(super) fn replica_interval(interval: &Span) -> Checked {
    if *interval > MAX_REPLICA_INTERVAL {
        return Err(broken("must be at most \"10s\""));
    }
    Ok(())
}

/// Checks the addresses at which servers of NATS say how they are.
pub(super) fn monitors(urls: &[String]) -> Checked {
    let is_right = |url: &str| {
        let rest = ["http://", "https://"]
            .iter()
            .find_map(|scheme| url.strip_prefix(scheme));
        rest.is_some_and(|rest| is_authority(rest.trim_end_matches('/')))
    };
    let wrong = urls.iter().enumerate().filter(|(_, url)| !is_right(url));
    all_of(wrong.map(|(index, _)| {
        format!(
            "entry {} must be an address such as \"http://n1:8222\"",
            index + 1
        )
    }))
}

/// Checks the size of a batch.
pub(super) fn batch_size(size: &ByteSize) -> Checked {
    at_least(*size, MIN_BATCH_BYTES)
}

/// Checks the age of a batch.
pub(super) fn batch_age(age: &Span) -> Checked {
    if *age < MIN_BATCH_AGE || *age > MAX_BATCH_AGE {
        return Err(broken("must be between \"1s\" and \"7d\""));
    }
    Ok(())
}

/// Checks the age of a batch of a late partition.
pub(super) fn late_batch_age(age: &Span) -> Checked {
    if *age < MIN_BATCH_AGE || *age > MAX_LATE_BATCH_AGE {
        return Err(broken("must be between \"1s\" and \"24h\""));
    }
    Ok(())
}

/// Checks the size of a row in the quarantine.
pub(super) fn row_size(size: &ByteSize) -> Checked {
    if *size > MAX_ROW {
        return Err(broken(format!("must be at most {MAX_ROW}")));
    }
    Ok(())
}

/// Checks the size of a record.
pub(super) fn record_size(size: &ByteSize) -> Checked {
    if *size > MAX_RECORD || size.bytes() == 0 {
        let rule = format!("must be more than 0 and at most {MAX_RECORD}");
        return Err(broken(rule));
    }
    Ok(())
}

/// Checks the size of an answer, or of the body of a call.
pub(super) fn answer_size(size: &ByteSize) -> Checked {
    if *size > MAX_ANSWER || size.bytes() == 0 {
        let rule = format!("must be more than 0 and at most {MAX_ANSWER}");
        return Err(broken(rule));
    }
    Ok(())
}

/// Checks the time between two runs.
pub(super) fn interval(every: &Span) -> Checked {
    if *every < MIN_INTERVAL {
        return Err(broken("must be at least \"1s\""));
    }
    Ok(())
}

/// Checks origins, in the form that browsers send.
pub(super) fn origins(origins: &[String]) -> Checked {
    let numbered = origins.iter().enumerate();
    let wrong = numbered.filter(|(_, origin)| !is_origin(origin));
    all_of(wrong.map(|(index, _)| {
        format!(
            "entry {} must be an origin as browsers send it: a scheme and a host in lower case, such as \
             \"https://app.example.com\" or \"http://localhost:3000\", without a path",
            index + 1
        )
    }))
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

/// Whether the text is a host with or without a port.
fn is_authority(text: &str) -> bool {
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

/// Checks the address of a store.
pub(super) fn endpoint(text: &str) -> Checked {
    let rule = "must be the http:// or https:// address of a store, without credentials, query or \
                fragment, such as \"http://localhost:4566\"";
    if is_endpoint(text) {
        Ok(())
    } else {
        Err(broken(rule))
    }
}

fn is_endpoint(text: &str) -> bool {
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

/// Checks JSON Pointers into an event.
pub(super) fn pointers_into_events(pointers: &[String]) -> Checked {
    let wrong = pointers.iter().filter(|pointer| !pointer.starts_with('/'));
    all_of(wrong.map(|pointer| {
        format!(
            "{pointer:?} must be a JSON Pointer into the event, which starts with a slash, such as \
             \"/properties/attempt\""
        )
    }))
}

/// Checks that no word is listed twice.
pub(super) fn listed_once(words: &[String]) -> Checked {
    let mut seen = HashSet::new();
    let twice = words.iter().filter(|word| !seen.insert(word.as_str()));
    all_of(twice.map(|word| format!("{word:?} is listed twice; remove one")))
}

/// Checks the path of the webhook.
pub(super) fn webhook_path(path: &str) -> Checked {
    if OWN_PATHS.contains(&path) {
        let own = OWN_PATHS.join(", ");
        let rule = format!("must not be {own}: the server answers there itself");
        return Err(broken(rule));
    }
    if !is_plain_path(path) {
        let rule = "must start with a slash and consist of letters, digits and - . _ ~ between single \
                    slashes, such as \"/webhook/events\"";
        return Err(broken(rule));
    }
    Ok(())
}

/// Whether the path is free of anything that has a meaning to a router or in a URL.
pub(super) fn is_plain_path(path: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
    let is_name = |name: &str| !matches!(name, "" | "." | "..") && name.chars().all(is_plain);
    path.strip_prefix('/')
        .is_some_and(|rest| rest.split('/').all(is_name))
}

/// Checks a URL that requests are sent to.
pub(super) fn request_url(text: &str) -> Checked {
    http_url(text).map(drop).map_err(broken)
}

/// Checks such a URL whose path and query may hold placeholders.
pub(super) fn url_template(text: &str) -> Checked {
    UrlTemplate::parse(text).map_err(broken)?;
    request_url(text)
}

/// Checks the URL of an API, which paths follow.
pub(super) fn base_url(text: &str) -> Checked {
    if text.contains(['?', '{']) {
        return Err(broken(
            "must have neither parameters nor placeholders; set query, or the path of polls",
        ));
    }
    request_url(text)
}

/// Checks what a signature of a request covers.
pub(super) fn signature_template(text: &str) -> Checked {
    let parsed = Template::parse_any(text).map(drop);
    parsed.map_err(|error| broken(error.to_string()))
}

/// Whether requests to a URL travel over the network unencrypted.
pub(super) fn is_unencrypted(url: &str) -> bool {
    http_url(url).is_ok_and(|url| url.scheme() == "http" && !url.host_str().is_some_and(is_local))
}

fn is_local(host: &str) -> bool {
    let bare = host.trim_matches(['[', ']']);
    let address: Result<std::net::IpAddr, _> = bare.parse();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// Checks such a URL and returns it parsed.
pub(super) fn http_url(text: &str) -> Result<Url, String> {
    let example = "such as \"https://api.example.com/users\"";
    let Ok(url) = Url::parse(text) else {
        return Err(format!("must be a URL {example}"));
    };
    let has_user = !url.username().is_empty() || url.password().is_some();
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        Err(format!("must be a URL with http or https {example}"))
    } else if has_user {
        Err("must not hold a user or a password; set auth.type = \"basic\" instead".to_owned())
    } else if url.fragment().is_some() {
        Err("must not hold a fragment (#…), which is never sent".to_owned())
    } else {
        Ok(url)
    }
}

/// Checks hosts with or without a port.
pub(super) fn hosts(hosts: &[String]) -> Checked {
    let numbered = hosts.iter().enumerate();
    let wrong = numbered.filter(|(_, host)| !is_authority(host));
    all_of(wrong.map(|(index, _)| {
        format!(
            "entry {} must be a host with or without a port, such as \"cdn.example.com\"",
            index + 1
        )
    }))
}

/// Checks a cron expression.
pub(super) fn cron(text: &str) -> Checked {
    let parsed = parse_cron(text).map(drop);
    parsed.map_err(|detail| {
        broken(format!(
            "{text:?} is no cron expression such as \"*/15 * * * *\": {detail}"
        ))
    })
}

/// Checks the name of a time zone.
pub(super) fn time_zone(text: &str) -> Checked {
    if parse_zone(text).is_some() {
        return Ok(());
    }
    Err(broken(format!(
        "{text:?} is no time zone such as \"UTC\" or \"Europe/Berlin\""
    )))
}

/// Checks the name of a header that holds credentials.
pub(super) fn credentials_header(name: &str) -> Checked {
    let is_own = OWN_HEADERS.contains(&name.to_ascii_lowercase().as_str());
    if is_own || HeaderName::from_bytes(name.as_bytes()).is_err() {
        let rule = "must be the name of a header that the program does not set itself";
        return Err(broken(rule));
    }
    Ok(())
}
