//! `[poll.NAME.columns]`: how columns are made of what an API sends.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::Deserializer;
use serde_json::Value;

use super::words::{self, Word};
use crate::columns::ColumnType;
use crate::contract::column_rules::{Case, ColumnRule};
use crate::secret::Secret;

/// One column of `[poll.NAME.columns]`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Column {
    /// The member that the column is made of.
    pub from: Option<String>,
    /// The type of its values.
    pub r#type: Option<String>,
    /// Forms of dates and times, as strftime writes them.
    pub formats: Vec<String>,
    /// Text that is removed from numbers.
    pub strip: Vec<String>,
    /// The character between groups of three digits.
    pub thousands: Option<String>,
    /// Whether white space around text is removed.
    pub trim: bool,
    /// The letters that text gets.
    #[serde(deserialize_with = "optional_word")]
    #[schemars(schema_with = "words::schema::<Case>")]
    pub case: Option<Case>,
    /// The hash that replaces the text.
    #[serde(deserialize_with = "optional_word")]
    #[schemars(schema_with = "words::schema::<Hash>")]
    pub hash: Option<Hash>,
    /// The file of the hash's key.
    #[schemars(length(min = 1))]
    pub key_file: Option<PathBuf>,
    /// Whether whole numbers may have a fraction of zero.
    pub whole: bool,
    /// Texts and numbers that stand for null.
    pub nulls: Vec<String>,
    /// Whether the member is left out.
    pub drop: bool,
    /// A constant, whatever was sent.
    #[schemars(schema_with = "any_scalar")]
    pub value: Option<Value>,
    /// The key of the hash, as its file holds it.
    #[serde(skip)]
    pub key: Option<Secret>,
}

/// A hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    /// HMAC with SHA-256, in hexadecimal.
    HmacSha256,
}

impl Word for Case {
    fn words() -> Vec<(&'static str, Self)> {
        vec![("lower", Self::Lower), ("upper", Self::Upper)]
    }
}

impl Word for Hash {
    fn words() -> Vec<(&'static str, Self)> {
        vec![("hmac-sha256", Self::HmacSha256)]
    }
}

fn optional_word<'de, W: Word, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<W>, D::Error> {
    words::deserialize(deserializer).map(Some)
}

fn any_scalar(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": ["string", "integer", "number", "boolean"] })
}

impl Column {
    /// The rule in the form that runs use.
    fn rule(&self) -> ColumnRule {
        ColumnRule {
            from: self.from.clone(),
            kind: self.r#type.as_deref().and_then(ColumnType::parse),
            formats: self.formats.clone(),
            strip: self.strip.clone(),
            thousands: self.thousands.clone(),
            trim: self.trim,
            case: self.case,
            hash: self.key.clone().filter(|_| self.hash.is_some()),
            whole: self.whole,
            nulls: self.nulls.clone(),
            drop: self.drop,
            value: self.value.clone(),
        }
    }
}

/// The rules of a poll's columns in the form that runs use.
pub(super) fn rules(columns: &BTreeMap<String, Column>) -> BTreeMap<String, ColumnRule> {
    let rules = columns.iter();
    rules
        .map(|(name, column)| (name.clone(), column.rule()))
        .collect()
}
