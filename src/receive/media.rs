//! Negotiation: media type and encoding of a request, before its body is read.

use http::HeaderMap;
use http::header::CONTENT_TYPE;

use super::body::{ENCODINGS, Encoding, encoding_of};
use super::cloud_events::is_binary;
use super::delivery::BodyForm;
use super::hooks::Hook;
use super::packs::Shape;
use super::replies::Problem;

/// What the webhook of events takes; browsers send text as `text/plain` without asking first.
const OF_EVENTS: [&str; 2] = ["application/json", "text/plain"];
/// What hooks take.
const OF_HOOKS: [&str; 7] = [
    "application/json",
    "application/*+json",
    "text/json",
    "text/plain",
    "application/x-ndjson",
    "application/x-www-form-urlencoded",
    "multipart/form-data",
];
/// A body that is a JSON Web Token (RFC 7519, 10.3.1).
const JWT: &str = "application/jwt";
/// Names of the encoding of JSON, and of a part of it.
const CHARSETS: [&str; 4] = ["utf-8", "utf8", "us-ascii", "ascii"];

/// The encoding of a JSON body; refuses other media types, charsets and encodings with 415.
pub(super) fn negotiate(headers: &HeaderMap) -> Result<Encoding, Problem> {
    let is_json = |media_type: &str| {
        let mut taken = OF_EVENTS.iter();
        taken.any(|taken| media_type.eq_ignore_ascii_case(taken))
    };
    let detail = "send the events as JSON, with `Content-Type: application/json`";
    let form = form_of(headers, |media_type| {
        is_json(media_type).then_some(BodyForm::Json)
    });
    form?.ok_or_else(|| Problem::unsupported("media-type", detail, &OF_EVENTS))?;
    encoding(headers)
}

/// The form and encoding of a provider's body.
pub(super) fn negotiate_hook(
    headers: &HeaderMap,
    hook: &Hook,
) -> Result<(BodyForm, Encoding), Problem> {
    if hook.shape == Shape::CloudEvents && is_binary(headers) {
        return Ok((BodyForm::Data, encoding(headers)?));
    }
    let detail = "send JSON, lines of JSON, or a form, and say which in `Content-Type`";
    let form = form_of(headers, |media_type| {
        let is_token = || media_type.eq_ignore_ascii_case(JWT) && hook.proofs.take_tokens();
        of_hook(media_type).or_else(|| is_token().then_some(BodyForm::Json))
    })?;
    let form = form.ok_or_else(|| Problem::unsupported("media-type", detail, &OF_HOOKS))?;
    Ok((form, encoding(headers)?))
}

/// The form of a provider's body that was taken before.
pub(super) fn form_of_hook(headers: &HeaderMap, hook: &Hook) -> Option<BodyForm> {
    let (form, _) = negotiate_hook(headers, hook).ok()?;
    Some(form)
}

fn of_hook(media_type: &str) -> Option<BodyForm> {
    let media_type = media_type.to_ascii_lowercase();
    match media_type.as_str() {
        "application/json" | "text/json" | "text/plain" => Some(BodyForm::Json),
        "application/x-www-form-urlencoded" => Some(BodyForm::Form),
        "multipart/form-data" => Some(BodyForm::FormData),
        "application/x-ndjson"
        | "application/ndjson"
        | "application/jsonl"
        | "application/x-jsonlines" => Some(BodyForm::Lines),
        other if other.starts_with("application/") && other.ends_with("+json") => {
            Some(BodyForm::Json)
        }
        _ => None,
    }
}

/// The form that the one `Content-Type` names, if it is a known one; refuses charsets that are not UTF-8.
fn form_of(
    headers: &HeaderMap,
    form_of: impl Fn(&str) -> Option<BodyForm>,
) -> Result<Option<BodyForm>, Problem> {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let declared = types
        .next()
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let mut parts = declared.split(';').map(str::trim);
    let form = parts.next().and_then(form_of);
    if form.is_none() || types.next().is_some() {
        return Ok(None);
    }
    let foreign_charset = parts.any(|parameter| {
        parameter.split_once('=').is_some_and(|(name, value)| {
            let value = value.trim().trim_matches('"');
            let is_known = CHARSETS
                .iter()
                .any(|known| value.eq_ignore_ascii_case(known));
            name.trim().eq_ignore_ascii_case("charset") && !is_known
        })
    });
    if foreign_charset {
        let detail = "JSON is sent in UTF-8; leave the charset parameter out";
        return Err(Problem::unsupported("charset", detail, &CHARSETS[..1]));
    }
    Ok(form)
}

fn encoding(headers: &HeaderMap) -> Result<Encoding, Problem> {
    encoding_of(headers).ok_or_else(|| {
        let detail = "one Content-Encoding at most, and one of those supported";
        Problem::unsupported("content-encoding", detail, &ENCODINGS)
    })
}
