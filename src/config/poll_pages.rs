//! `[poll.NAME]`: the keys that say what a page looks like and how one leads to the next, as far as
//! their values are more than a text or a number.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::apis::Api;
use crate::poll::definition::{self, Body, JsonBody};
use crate::poll::form::{self, Condition, CsvForm, Empty};
use crate::poll::place::Place;
use crate::poll::template::{JsonTemplate, Template, UrlTemplate};
use crate::secret::Secret;

/// `empty`: which pages have nothing to report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Empties(Empty);

/// `fail_if`: what a page says that reports a failure.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FailIf {
    /// JSON Pointer to the value.
    pub pointer: String,
    /// The value that reports a failure; without it, anything does but null, false and what is empty.
    #[serde(default)]
    #[schemars(schema_with = "scalar")]
    pub value: Option<Value>,
}

/// `csv`: the form of a table.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Csv {
    /// What separates values: one ASCII character.
    #[serde(default = "comma")]
    pub delimiter: String,
    /// Whether the first row has the names of the columns.
    #[serde(default = "yes")]
    pub header: bool,
}

/// `pagination.then`: how a page is asked for by its cursor.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Then {
    /// The URL, for a poll without an API; it may hold placeholders.
    pub url: String,
    /// What follows the URL of the API; it may hold placeholders.
    pub path: String,
    /// Parameters of the request, instead of the poll's.
    pub query: BTreeMap<String, Secret>,
    /// The JSON object that is sent, instead of the poll's body.
    #[schemars(with = "Option<BTreeMap<String, serde_json::Value>>", extend("writeOnly" = true))]
    pub body: Option<JsonBody>,
}

/// `pagination.stop`: when a page is the last one.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub struct Stop(Value);

const EMPTIES: [&str; 3] = ["null", "204", "absent"];
const STOPS: &str = "must be \"empty-page\", \"same-link\", \"short-page\", { pointer = \"/done\", value = \
                     true }, or { status = [400, 404] }";

fn comma() -> String {
    ",".to_owned()
}

fn yes() -> bool {
    true
}

fn scalar(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": ["string", "number", "boolean"] })
}

impl Empties {
    /// What they are.
    pub fn empty(self) -> Empty {
        self.0
    }
}

impl<'de> Deserialize<'de> for Empties {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let words = Vec::<String>::deserialize(deserializer)?;
        let has = |word: &str| words.iter().any(|own| own == word);
        Ok(Self(Empty {
            null: has("null"),
            no_content: has("204"),
            absent: has("absent"),
        }))
    }
}

impl JsonSchema for Empties {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Empties".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "array", "items": { "type": "string", "enum": EMPTIES } })
    }
}

impl Then {
    /// The request with all that it has from the poll's API.
    pub(super) fn of_api(&self, api: &Api) -> Self {
        let mut query = api.query.clone();
        query.extend(self.query.clone());
        Self {
            url: api.at(&self.path),
            query,
            ..self.clone()
        }
    }

    /// The names of the placeholders in it.
    pub(super) fn names(&self) -> Vec<String> {
        let url = UrlTemplate::parse(&self.url).ok();
        let mut names: Vec<String> = url
            .iter()
            .flat_map(UrlTemplate::names)
            .map(str::to_owned)
            .collect();
        for value in self.query.values() {
            names.extend(Template::parse(value.expose()).names().map(str::to_owned));
        }
        if let Some(body) = &self.body {
            let template = JsonTemplate::parse(body.expose());
            names.extend(template.names().into_iter().map(str::to_owned));
        }
        names
    }

    /// The request.
    pub(super) fn definition(&self) -> definition::Then {
        definition::Then {
            url: self.url.clone(),
            query: self.query.clone(),
            body: self.body.clone().map_or(Body::None, Body::Json),
        }
    }
}

impl Csv {
    /// The form. A delimiter that cannot be one was reported.
    pub(super) fn form(&self) -> CsvForm {
        CsvForm {
            delimiter: self.delimiter().unwrap_or(b','),
            header: self.header,
        }
    }

    /// The delimiter, if it can be one.
    pub(super) fn delimiter(&self) -> Option<u8> {
        match self.delimiter.as_bytes() {
            [byte] if byte.is_ascii() && !b"\"\r\n".contains(byte) => Some(*byte),
            _ => None,
        }
    }
}

impl FailIf {
    /// The condition.
    pub(super) fn condition(&self) -> Condition {
        Condition {
            pointer: self.pointer.clone(),
            value: self.value.clone(),
        }
    }
}

impl JsonSchema for Stop {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Stop".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "object"] })
    }
}

impl Stop {
    /// The rule, or why it is none.
    pub(super) fn rule(&self) -> Result<form::Stop, String> {
        let members = match &self.0 {
            Value::String(word) => {
                return match word.as_str() {
                    "empty-page" => Ok(form::Stop::EmptyPage),
                    "same-link" => Ok(form::Stop::SameLink),
                    "short-page" => Ok(form::Stop::ShortPage),
                    _ => Err(STOPS.to_owned()),
                };
            }
            Value::Object(members) => members,
            _ => return Err(STOPS.to_owned()),
        };
        let keys: Vec<&str> = members.keys().map(String::as_str).collect();
        match keys[..] {
            ["pointer"] | ["pointer", "value"] => told(members),
            ["status"] => statuses(&members["status"]),
            _ => Err(STOPS.to_owned()),
        }
    }
}

fn told(members: &serde_json::Map<String, Value>) -> Result<form::Stop, String> {
    let pointer = members["pointer"].as_str();
    let pointer = pointer.ok_or("pointer must be text, such as \"/done\"")?;
    if Place::parse(pointer)?.steps().is_empty() {
        return Err("pointer must lead to a value in the body, such as \"/done\"".to_owned());
    }
    let value = members.get("value");
    if value.is_some_and(|value| value.is_object() || value.is_array()) {
        return Err("value must be text, a number, true or false".to_owned());
    }
    Ok(form::Stop::Told(Condition {
        pointer: pointer.to_owned(),
        value: value.cloned(),
    }))
}

fn statuses(value: &Value) -> Result<form::Stop, String> {
    let rule = "status must be a list of statuses between 400 and 499 without 401, 403, 408, 425 and 429, \
                such as [400, 404]";
    let is_end =
        |status: &u64| (400..500).contains(status) && ![401, 403, 408, 425, 429].contains(status);
    let listed = value
        .as_array()
        .filter(|list| !list.is_empty())
        .ok_or(rule)?;
    let status = |value: &Value| {
        let status = value.as_u64().filter(is_end)?;
        u16::try_from(status).ok()
    };
    let statuses: Option<Vec<u16>> = listed.iter().map(status).collect();
    statuses
        .map(form::Stop::Status)
        .ok_or_else(|| rule.to_owned())
}
