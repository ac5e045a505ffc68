//! Settings that are one of a few words.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error};

use crate::contract::{OnInvalid, PartitionBy};
use crate::encode::Format;
use crate::poll::definition::{AuthKind, ClientAuth, GrantKind, Mode, PaginationKind, Verb};
use crate::poll::form::{Begin, BodyFormat, NextAs, RecordsAs, Step};
use crate::signature::TimeForm;
use crate::telemetry::LogFormat;

/// A setting that is one word of a list.
pub(super) trait Word: Sized {
    /// All words with their values, in the order in which errors list them.
    fn words() -> Vec<(&'static str, Self)>;
}

/// The schema of such a setting.
pub(super) fn schema<W: Word>(_: &mut SchemaGenerator) -> Schema {
    let words: Vec<&str> = W::words().into_iter().map(|(word, _)| word).collect();
    json_schema!({ "type": "string", "enum": words })
}

/// Deserialises such a setting.
pub(super) fn deserialize<'de, W: Word, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<W, D::Error> {
    let text = String::deserialize(deserializer)?;
    let known = W::words().into_iter().find(|(word, _)| *word == text);
    known
        .map(|(_, value)| value)
        .ok_or_else(|| D::Error::custom("not one of the words"))
}

/// Deserialises such a setting where it has no default.
pub(super) fn deserialize_optional<'de, W: Word, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<W>, D::Error> {
    deserialize(deserializer).map(Some)
}

/// Deserialises a list of such settings.
pub(super) fn deserialize_list<'de, W: Word, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<W>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    let values = texts.into_iter().map(|text| {
        let known = W::words().into_iter().find(|(word, _)| *word == text);
        known.map(|(_, value)| value)
    });
    let values: Option<Vec<W>> = values.collect();
    values.ok_or_else(|| D::Error::custom("not one of the words"))
}

/// The schema of a list of such settings.
pub(super) fn list_schema<W: Word>(_: &mut SchemaGenerator) -> Schema {
    let words: Vec<&str> = W::words().into_iter().map(|(word, _)| word).collect();
    json_schema!({ "type": "array", "items": { "type": "string", "enum": words } })
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

/// What events must look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContractKind {
    /// They have the envelope of this project's contract.
    Typed,
    /// They may look like anything.
    Open,
}

impl Word for ContractKind {
    fn words() -> Vec<(&'static str, Self)> {
        vec![("typed", Self::Typed), ("open", Self::Open)]
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
        Self::ALL.map(|mode| (mode.as_str(), mode)).to_vec()
    }
}

impl Word for Verb {
    fn words() -> Vec<(&'static str, Self)> {
        Self::ALL.map(|verb| (verb.as_str(), verb)).to_vec()
    }
}

impl Word for AuthKind {
    fn words() -> Vec<(&'static str, Self)> {
        Self::ALL.map(|kind| (kind.as_str(), kind)).to_vec()
    }
}

impl Word for GrantKind {
    fn words() -> Vec<(&'static str, Self)> {
        Self::ALL.map(|kind| (kind.as_str(), kind)).to_vec()
    }
}

impl Word for ClientAuth {
    fn words() -> Vec<(&'static str, Self)> {
        Self::ALL.map(|kind| (kind.as_str(), kind)).to_vec()
    }
}

impl Word for TimeForm {
    fn words() -> Vec<(&'static str, Self)> {
        vec![
            ("s", Self::Seconds),
            ("ms", Self::Millis),
            ("rfc3339", Self::Rfc3339),
        ]
    }
}

impl Word for PaginationKind {
    fn words() -> Vec<(&'static str, Self)> {
        Self::ALL.map(|kind| (kind.as_str(), kind)).to_vec()
    }
}

impl Word for BodyFormat {
    fn words() -> Vec<(&'static str, Self)> {
        Self::ALL.map(|format| (format.as_str(), format)).to_vec()
    }
}

impl Word for RecordsAs {
    fn words() -> Vec<(&'static str, Self)> {
        Self::ALL.map(|form| (form.as_str(), form)).to_vec()
    }
}

impl Word for NextAs {
    fn words() -> Vec<(&'static str, Self)> {
        Self::ALL.map(|form| (form.as_str(), form)).to_vec()
    }
}

impl Word for Begin {
    fn words() -> Vec<(&'static str, Self)> {
        Self::ALL.map(|begin| (begin.as_str(), begin)).to_vec()
    }
}

impl Word for Step {
    fn words() -> Vec<(&'static str, Self)> {
        Self::ALL.map(|step| (step.as_str(), step)).to_vec()
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
