//! CloudEvents in the binary mode of their binding to HTTP: attributes are headers, and the body is the data.
//!
//! Such an event is stored as it would look in the structured mode, so that it is the same row in both.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use serde_json::{Map, Value};

use crate::contract::foreign::without_mark;
use crate::contract::{Contract, Refusal};
use crate::quarantine::FieldError;

/// How the header of an attribute begins.
const PREFIX: &str = "ce-";
/// Attributes that stand elsewhere in this mode.
const ELSEWHERE: [&str; 3] = ["data", "data_base64", "datacontenttype"];

/// How data is written in JSON.
enum Data {
    /// As it is.
    Json,
    /// As a string, if it is UTF-8.
    Text,
    /// In base64.
    Bytes,
}

/// Whether a request is an event in binary mode.
pub(super) fn is_binary(headers: &HeaderMap) -> bool {
    headers.contains_key("ce-specversion")
}

/// The event in structured mode.
pub(super) fn structured(
    headers: &HeaderMap,
    contract: &Contract,
    body: &[u8],
) -> Result<String, Refusal> {
    let mut event = Map::new();
    for (name, value) in headers {
        let Some(attribute) = name.as_str().strip_prefix(PREFIX) else {
            continue;
        };
        if ELSEWHERE.contains(&attribute) {
            continue;
        }
        let text = decoded(value.as_bytes());
        let text = text.ok_or_else(|| invalid("not_utf8", "attributes in UTF-8"))?;
        if event
            .insert(attribute.to_owned(), Value::String(text))
            .is_some()
        {
            return Err(invalid("duplicate_key", "each attribute in one header"));
        }
    }
    let declared = headers.get(CONTENT_TYPE);
    let declared = declared.and_then(|value| value.to_str().ok());
    if let Some(declared) = declared {
        let declared = Value::String(declared.to_owned());
        event.insert("datacontenttype".to_owned(), declared);
    }
    let mut text = Value::Object(event).to_string();
    if body.is_empty() {
        return Ok(text);
    }
    text.pop();
    text.push_str(&data(declared, contract, body)?);
    text.push('}');
    Ok(text)
}

fn data(declared: Option<&str>, contract: &Contract, body: &[u8]) -> Result<String, Refusal> {
    match data_of(declared) {
        Data::Json => Ok(format!(",\"data\":{}", contract.foreign_text(body)?)),
        Data::Text if let Ok(text) = std::str::from_utf8(without_mark(body)) => {
            Ok(format!(",\"data\":{}", Value::from(text)))
        }
        _ => Ok(format!(",\"data_base64\":\"{}\"", BASE64.encode(body))),
    }
}

fn data_of(declared: Option<&str>) -> Data {
    // Without a type, data is JSON (specification 1.0.2, datacontenttype).
    let declared = declared.unwrap_or("application/json").to_ascii_lowercase();
    let mut parts = declared.split(';').map(str::trim);
    let media_type = parts.next().unwrap_or_default();
    if media_type.ends_with("/json") || media_type.ends_with("+json") {
        return Data::Json;
    }
    let is_unicode = parts.all(|parameter| {
        let charset = parameter.strip_prefix("charset=");
        charset.is_none_or(|name| matches!(name.trim_matches('"'), "utf-8" | "utf8" | "us-ascii"))
    });
    if media_type.starts_with("text/") && is_unicode {
        Data::Text
    } else {
        Data::Bytes
    }
}

/// The value of an attribute: percent-decoded, in UTF-8 (HTTP protocol binding, 3.1.3.2).
fn decoded(value: &[u8]) -> Option<String> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some((&first, behind)) = rest.split_first() {
        let escaped = match (first, behind) {
            (b'%', [high, low, ..]) => digit(high).zip(digit(low)),
            _ => None,
        };
        if let Some((high, low)) = escaped {
            bytes.push(u8::try_from(high << 4 | low).unwrap_or_default());
            rest = &behind[2..];
        } else {
            bytes.push(first);
            rest = behind;
        }
    }
    String::from_utf8(bytes).ok()
}

fn invalid(code: &'static str, detail: &str) -> Refusal {
    Refusal::Invalid {
        errors: vec![FieldError::of_body(code, detail)],
        errors_total: 1,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;

    #[test]
    fn attributes_are_decoded() {
        for (value, text) in [
            ("plain", Some("plain")),
            ("Euro%20%E2%82%AC%20%F0%9F%98%80", Some("Euro € 😀")),
            ("100%", Some("100%")),
            ("%zz", Some("%zz")),
            ("%ff", None),
        ] {
            assert_eq!(decoded(value.as_bytes()).as_deref(), text, "{value}");
        }
    }

    #[test]
    fn data_is_written_as_its_type_says() {
        let is = |declared: Option<&str>| match data_of(declared) {
            Data::Json => "json",
            Data::Text => "text",
            Data::Bytes => "bytes",
        };
        for (declared, expected) in [
            (None, "json"),
            (Some("application/json; charset=utf-8"), "json"),
            (Some("application/vnd.a+JSON"), "json"),
            (Some("text/plain"), "text"),
            (Some("text/xml; charset=\"UTF-8\""), "text"),
            (Some("text/plain; charset=latin1"), "bytes"),
            (Some("image/png"), "bytes"),
        ] {
            assert_eq!(is(declared), expected, "{declared:?}");
        }
    }
}
