//! Text that is never printed.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use aws_lc_rs::hmac;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

/// Text that is never printed. It cannot be compared either: only constant-time code may compare what
/// [`Secret::expose`] returns.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, which must not get into logs or errors.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// A key that makes pseudonyms: equal texts have equal ones, and nobody without the key finds the text.
#[derive(Clone)]
pub struct HmacKey(hmac::Key);

impl HmacKey {
    /// The key with the bytes of this text.
    pub fn new(key: &Secret) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key.expose().as_bytes()))
    }

    /// The HMAC-SHA256 of a text, in hexadecimal.
    pub fn hex(&self, text: &[u8]) -> String {
        let tag = hmac::sign(&self.0, text);
        let mut out = String::with_capacity(2 * tag.as_ref().len());
        for byte in tag.as_ref() {
            let _memory_takes_it = write!(out, "{byte:02x}");
        }
        out
    }
}

impl fmt::Debug for HmacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[key]")
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

impl JsonSchema for Secret {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "writeOnly": true })
    }
}
