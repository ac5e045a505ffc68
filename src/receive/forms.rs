//! Forms as JSON: `application/x-www-form-urlencoded`, and `multipart/form-data` (RFC 7578).
//!
//! A field of text is a string. A file is an object with its name, its media type and its content, which is a string if it
//! is text in UTF-8, and base64 otherwise. The body was read before, so nothing here waits.

use std::convert::Infallible;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use futures_util::{FutureExt as _, stream};
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use multer::Multipart;
use serde_json::{Map, Value, json};

use crate::signature::pairs;

/// More fields than any form of a provider has.
const MAX_FIELDS: usize = 1000;
/// The body is passed on in pieces of this size, because each of them is copied twice.
const PIECE: usize = 64 << 10;

/// The fields of a form, by their names.
#[derive(Debug, Default)]
pub(super) struct Fields(Map<String, Value>);

impl Fields {
    /// Adds a field; several of one name are a list.
    pub(super) fn push(&mut self, name: String, value: Value) {
        match self.0.get_mut(&name) {
            None => _ = self.0.insert(name, value),
            Some(Value::Array(values)) => values.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
        }
    }

    /// A JSON object of the fields, or the JSON in a field `payload` or `json` that stands alone.
    pub(super) fn into_json(self) -> Option<String> {
        let mut fields = self.0.iter();
        if let (Some((name, Value::String(text))), None) = (fields.next(), fields.next())
            && matches!(name.as_str(), "payload" | "json")
        {
            return Some(text.trim().to_owned());
        }
        serde_json::to_string(&self.0).ok()
    }
}

/// The fields of `application/x-www-form-urlencoded`; `None` if they are not in UTF-8.
pub(super) fn of_pairs(body: &[u8]) -> Option<Fields> {
    let mut fields = Fields::default();
    for (name, value) in pairs(body) {
        let name = String::from_utf8(name.into_owned()).ok()?;
        let value = Value::String(String::from_utf8(value.into_owned()).ok()?);
        fields.push(name, value);
    }
    Some(fields)
}

/// The fields of `multipart/form-data`, or what is wrong with it.
pub(super) fn of_parts(headers: &HeaderMap, body: &[u8]) -> Result<Fields, String> {
    let declared = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let boundary = multer::parse_boundary(declared.unwrap_or_default());
    let boundary = boundary.map_err(|error| error.to_string())?;
    let pieces = body
        .chunks(PIECE)
        .map(|piece| Ok::<_, Infallible>(Bytes::copy_from_slice(piece)));
    let mut parts = Multipart::new(stream::iter(pieces), boundary);
    let reading = read(&mut parts).now_or_never();
    reading.unwrap_or_else(|| Err("it ends too early".to_owned()))
}

async fn read(parts: &mut Multipart<'_>) -> Result<Fields, String> {
    let told = |error: multer::Error| error.to_string();
    let mut fields = Fields::default();
    let mut count = 0;
    while let Some(part) = parts.next_field().await.map_err(told)? {
        count += 1;
        if count > MAX_FIELDS {
            return Err(format!("it has more than {MAX_FIELDS} fields"));
        }
        let name = part.name().ok_or("a field has no name")?.to_owned();
        let file = part.file_name().map(str::to_owned);
        let media_type = part.content_type().map(ToString::to_string);
        let content = part.bytes().await.map_err(told)?;
        fields.push(name, value_of(file, media_type, &content));
    }
    Ok(fields)
}

/// A text, if it can be one; or a file.
fn value_of(file: Option<String>, media_type: Option<String>, content: &[u8]) -> Value {
    let text = std::str::from_utf8(content).ok();
    if let (None, Some(text)) = (&file, text) {
        return Value::String(text.to_owned());
    }
    let mut value = json!({});
    if let Some(file) = file {
        value["filename"] = Value::String(file);
    }
    if let Some(media_type) = media_type {
        value["content_type"] = Value::String(media_type);
    }
    match text {
        Some(text) => value["content"] = Value::String(text.to_owned()),
        None => value["content_base64"] = Value::String(BASE64.encode(content)),
    }
    value
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;

    fn json_of(content_type: &str, body: &[u8]) -> Result<Value, String> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, content_type.parse().unwrap());
        let text = of_parts(&headers, body)?.into_json().unwrap();
        Ok(serde_json::from_str(&text).unwrap())
    }

    fn part(head: &str, content: &[u8]) -> Vec<u8> {
        let head = format!("--b\r\nContent-Disposition: form-data; {head}\r\n\r\n");
        [head.as_bytes(), content, b"\r\n"].concat()
    }

    const OF_B: &str = "multipart/form-data; boundary=b";

    #[test]
    fn fields_are_text_and_files_say_what_they_are() {
        let body = [
            part("name=\"from\"", "Ada <ada@example.com>\r\n".as_bytes()),
            part("name=\"x\"", b"1"),
            part("name=\"x\"", "é".as_bytes()),
            part("name=\"raw\"", b"\xff\0"),
            part(
                "name=\"a\"; filename=\"a.txt\"\r\nContent-Type: text/plain",
                b"text",
            ),
            part(
                "name=\"b\"; filename=\"b.png\"\r\nContent-Type: image/png",
                b"\x89PNG",
            ),
            b"--b--\r\n".to_vec(),
        ];
        let expected = json!({
            "from": "Ada <ada@example.com>\r\n",
            "x": ["1", "é"],
            "raw": {"content_base64": "/wA="},
            "a": {"filename": "a.txt", "content_type": "text/plain", "content": "text"},
            "b": {"filename": "b.png", "content_type": "image/png", "content_base64": "iVBORw=="},
        });
        assert_eq!(json_of(OF_B, &body.concat()).unwrap(), expected);
        let alone = [part("name=\"payload\"", b" {\"a\":1}\n"), b"--b--".to_vec()];
        assert_eq!(json_of(OF_B, &alone.concat()).unwrap(), json!({"a": 1}));
    }

    #[test]
    fn what_is_no_form_is_refused() {
        let good = [part("name=\"a\"", b"1"), b"--b--".to_vec()].concat();
        assert!(json_of(OF_B, &good).is_ok());
        let many = [part("name=\"a\"", b"1").repeat(1001), b"--b--".to_vec()].concat();
        let nameless = [part("x=\"a\"", b"1"), b"--b--".to_vec()].concat();
        for (content_type, body) in [
            ("multipart/form-data", &good[..]),
            ("multipart/form-data; boundary=c", &good),
            (OF_B, b""),
            (OF_B, b"{}"),
            (OF_B, &good[..good.len() - 5]),
            (OF_B, &good[..good.len() - 9]),
            (OF_B, b"--b\r\nno head"),
            (OF_B, &nameless),
            (OF_B, &many),
        ] {
            let read = json_of(content_type, body);
            assert!(read.is_err(), "{content_type}: {read:?}");
        }
    }
}
