//! The settings that are in force, each with where it comes from. Secrets are masked.

use figment::providers::{Format as _, Toml};
use figment::value::Dict;
use serde_json::{Map, Value};

use super::errors::ConfigPlace;
use super::key::{Key, key_of};
use super::shape::Shape;
use super::sources::{Sources, json_object};

/// The sample shows every key with its default; a test holds it to that.
const SAMPLE: &str = include_str!("../../lakehook.toml");
/// What is shown in place of a secret.
const MASK: &str = "***";

/// One setting that is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EffectiveSetting {
    /// Its section, such as `server` or `poll.users.auth`.
    pub section: String,
    /// Its key within the section.
    pub key: String,
    /// Its value as TOML, masked if it is secret.
    pub value: String,
    /// Where it was set.
    pub origin: ConfigPlace,
}

/// The settings of all sections, in the order of the schema, with defaults where nothing is set.
pub(super) fn settings(sources: &Sources, shape: &Shape, set: &Value) -> Vec<EffectiveSetting> {
    let sample: Dict = Toml::from_str(SAMPLE).unwrap_or_default();
    let mut merged = json_object(sample);
    overlay(&mut merged, set);
    let mut listing = Listing {
        sources,
        shape,
        settings: Vec::new(),
    };
    if let Value::Object(sections) = &merged {
        for (name, section) in sections {
            listing.add(&key_of(name), section);
        }
    }
    listing.settings
}

/// Sets in `base` what `over` sets.
fn overlay(base: &mut Value, over: &Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                overlay(base.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (base, over) => *base = over.clone(),
    }
}

struct Listing<'a> {
    sources: &'a Sources,
    shape: &'a Shape,
    settings: Vec<EffectiveSetting>,
}

impl Listing<'_> {
    /// Adds the value of a key: single values first, then the sections in it.
    fn add(&mut self, key: &Key, value: &Value) {
        let Value::Object(members) = value else {
            return self.add_leaf(key, value);
        };
        let below = |name: &String| [key.as_slice(), std::slice::from_ref(name)].concat();
        let is_section = |name: &String, value: &Value| {
            value.is_object() && !self.shape.takes_any_value(&below(name))
        };
        let (sections, leaves): (Vec<_>, Vec<_>) = members
            .iter()
            .partition(|(name, value)| is_section(name, value));
        for (name, value) in leaves {
            self.add_leaf(&below(name), value);
        }
        for (name, value) in sections {
            self.add(&below(name), value);
        }
    }

    fn add_leaf(&mut self, key: &Key, value: &Value) {
        let Some((last, section)) = key.split_last() else {
            return;
        };
        self.settings.push(EffectiveSetting {
            section: section.join("."),
            key: last.clone(),
            value: toml_of(&masked(self.shape, key, value)),
            origin: self.sources.place_of(key),
        });
    }
}

/// The value with everything masked that may be secret: what the schema calls secret, and user and query of URLs.
fn masked(shape: &Shape, key: &[String], value: &Value) -> Value {
    match value {
        _ if shape.is_secret(key) && !value.is_null() => Value::from(MASK),
        Value::String(text) => Value::from(masked_url(text)),
        Value::Array(items) => {
            let entry = [key, &["0".to_owned()]].concat();
            let items = items.iter().map(|item| masked(shape, &entry, item));
            Value::Array(items.collect())
        }
        Value::Object(members) => {
            let mask = |(name, value): (&String, &Value)| {
                let key = [key, std::slice::from_ref(name)].concat();
                (name.clone(), masked(shape, &key, value))
            };
            Value::Object(members.iter().map(mask).collect::<Map<_, _>>())
        }
        other => other.clone(),
    }
}

/// A URL without its user and the values of its query; any other text as it is.
fn masked_url(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else {
        return text.to_owned();
    };
    let (rest, query) = match rest.split_once('?') {
        Some((rest, _)) => (rest, format!("?{MASK}")),
        None => (rest, String::new()),
    };
    let end = rest.find('/').unwrap_or(rest.len());
    let host = rest[..end].rsplit_once('@');
    let rest = match host {
        Some((_, host)) => format!("{MASK}@{host}{}", &rest[end..]),
        None => rest.to_owned(),
    };
    format!("{scheme}://{rest}{query}")
}

/// A value as TOML on one line.
fn toml_of(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(toml_of).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(members) => {
            let members = members
                .iter()
                .map(|(name, value)| format!("{} = {}", toml_key(name), toml_of(value)));
            let members: Vec<String> = members.collect();
            format!("{{ {} }}", members.join(", "))
        }
        // TOML's basic strings have the escapes of JSON.
        other => other.to_string(),
    }
}

/// A key of TOML, in quotes where it must be.
pub(super) fn toml_key(name: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !name.is_empty() && name.chars().all(is_bare) {
        name.to_owned()
    } else {
        Value::from(name).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_and_queries_of_urls_are_masked() {
        for (url, shown) in [
            ("https://a.example/x", "https://a.example/x"),
            (
                "https://me:pw@a.example/x?key=1",
                "https://***@a.example/x?***",
            ),
            ("https://a.example?key=1@2", "https://a.example?***"),
            ("s3://bucket/a@b", "s3://bucket/a@b"),
            ("no url ? at all", "no url ? at all"),
        ] {
            assert_eq!(masked_url(url), shown);
        }
    }
}
