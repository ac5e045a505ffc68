//! Negotiation: media type and encoding of a request, before its body is read.

use http::HeaderMap;
use http::header::CONTENT_TYPE;

use super::body::{ENCODINGS, Encoding, encoding_of};
use super::replies::Problem;

/// The encoding of a JSON body; refuses other media types, charsets and encodings with 415.
pub(super) fn negotiate(headers: &HeaderMap) -> Result<Encoding, Problem> {
    const MEDIA_TYPES: [&str; 1] = ["application/json"];
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let declared = types
        .next()
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let mut parts = declared.split(';').map(str::trim);
    let is_json = parts
        .next()
        .is_some_and(|kind| kind.eq_ignore_ascii_case(MEDIA_TYPES[0]));
    if !is_json || types.next().is_some() {
        let detail = "send the events as JSON, with `Content-Type: application/json`";
        return Err(Problem::unsupported("media-type", detail, &MEDIA_TYPES));
    }
    let foreign_charset = parts.any(|parameter| {
        parameter.split_once('=').is_some_and(|(name, value)| {
            let value = value.trim().trim_matches('"');
            name.trim().eq_ignore_ascii_case("charset") && !value.eq_ignore_ascii_case("utf-8")
        })
    });
    if foreign_charset {
        let detail = "JSON is sent in UTF-8; leave the charset parameter out";
        return Err(Problem::unsupported("charset", detail, &["utf-8"]));
    }
    encoding_of(headers).ok_or_else(|| {
        let detail = "one Content-Encoding at most, and one of those supported";
        Problem::unsupported("content-encoding", detail, &ENCODINGS)
    })
}
