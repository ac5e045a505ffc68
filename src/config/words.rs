//! Settings that are one of a few words.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error};

use super::hooks::{SchemeName, SignatureEncoding};
use super::polls::{AuthKind, Mode, PaginationKind};
use super::sections::LogFormat;
use crate::contract::{OnInvalid, PartitionBy};
use crate::encode::Format;

/// A value with a word in the configuration.
pub(super) trait Word: Sized {
    /// All words with what they mean, in the order in which to name them.
    fn words() -> Vec<(&'static str, Self)>;
}

/// The schema of such a setting.
pub(super) fn schema<W: Word>(_: &mut SchemaGenerator) -> Schema {
    let words: Vec<&str> = W::words().into_iter().map(|(word, _)| word).collect();
    json_schema!({ "type": "string", "enum": words })
}

/// Reads such a setting.
pub(super) fn deserialize<'de, W: Word, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<W, D::Error> {
    let text = String::deserialize(deserializer)?;
    let known = W::words().into_iter().find(|(word, _)| *word == text);
    known
        .map(|(_, value)| value)
        .ok_or_else(|| D::Error::custom("not one of the words"))
}

impl Word for Format {
    fn words() -> Vec<(&'static str, Self)> {
        Self::ALL.map(|format| (format.as_str(), format)).to_vec()
    }
}

impl Word for OnInvalid {
    fn words() -> Vec<(&'static str, Self)> {
        vec![("reject", Self::Reject), ("quarantine", Self::Quarantine)]
    }
}

impl Word for PartitionBy {
    fn words() -> Vec<(&'static str, Self)> {
        vec![
            ("timestamp", Self::Timestamp),
            ("received_at", Self::ReceivedAt),
        ]
    }
}

impl Word for LogFormat {
    fn words() -> Vec<(&'static str, Self)> {
        vec![
            ("auto", Self::Auto),
            ("text", Self::Text),
            ("json", Self::Json),
        ]
    }
}

impl Word for Mode {
    fn words() -> Vec<(&'static str, Self)> {
        vec![("snapshot", Self::Snapshot), ("append", Self::Append)]
    }
}

impl Word for AuthKind {
    fn words() -> Vec<(&'static str, Self)> {
        vec![
            ("none", Self::None),
            ("bearer", Self::Bearer),
            ("basic", Self::Basic),
            ("header", Self::Header),
            ("oauth2", Self::OAuth2),
        ]
    }
}

impl Word for PaginationKind {
    fn words() -> Vec<(&'static str, Self)> {
        vec![
            ("none", Self::None),
            ("offset", Self::Offset),
            ("page", Self::Page),
            ("cursor", Self::Cursor),
            ("next-url", Self::NextUrl),
            ("link-header", Self::LinkHeader),
        ]
    }
}

impl Word for SchemeName {
    fn words() -> Vec<(&'static str, Self)> {
        vec![
            ("standard", Self::Standard),
            ("github", Self::GitHub),
            ("stripe", Self::Stripe),
            ("shopify", Self::Shopify),
            ("slack", Self::Slack),
            ("hmac", Self::Hmac),
        ]
    }
}

impl Word for SignatureEncoding {
    fn words() -> Vec<(&'static str, Self)> {
        vec![("hex", Self::Hex), ("base64", Self::Base64)]
    }
}

impl Word for tracing::Level {
    fn words() -> Vec<(&'static str, Self)> {
        vec![
            ("trace", Self::TRACE),
            ("debug", Self::DEBUG),
            ("info", Self::INFO),
            ("warn", Self::WARN),
            ("error", Self::ERROR),
        ]
    }
}
