//! JSON Schemas (draft 2020-12) of the properties of events, by event type.
//!
//! Nothing is fetched: a reference to another file is an error at start. `format` is an annotation,
//! as the standard says.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;

use jsonschema::error::ValidationErrorKind;
use jsonschema::{Draft, ValidationError, Validator};
use serde_json::Value;

use super::faults::Faults;
use super::pointer::{segment, unescaped};
use super::quick::Quick;
use super::reader::{Member, Reader};
use lakehook_base::columns::{ColumnType, Dates, Kinds, TYPE_KEYWORD};
use lakehook_base::json::{Members, text};

const DRAFT_2020_12: &str = "https://json-schema.org/draft/2020-12/schema";

/// Longer parts of a schema are truncated in the detail of an error.
const MAX_DETAIL_CHARS: usize = 200;

/// The schemas of a feed, by event type.
#[derive(Debug, Default)]
pub struct Schemas(BTreeMap<String, Schema>);

/// Why schemas cannot be used. Names the file or the event type.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// The directory or a file in it cannot be read.
    #[error("read {name}: {source}")]
    Read {
        /// The file or directory.
        name: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// A schema is not JSON.
    #[error("parse schema {name}: {source}")]
    Json {
        /// The file or event type.
        name: String,
        /// What the parser says.
        source: serde_json::Error,
    },
    /// The schemas together cannot be turned into a table.
    #[error("the schemas of events: {0}")]
    Table(#[from] lakehook_base::tables::TableError),
    /// JSON, but not a self-contained schema of draft 2020-12.
    #[error("compile schema {name}: {detail}")]
    Schema {
        /// The file or event type.
        name: String,
        /// What is wrong with it.
        detail: String,
    },
}

impl Schemas {
    /// The schemas that are part of the program: `purchase`, `view`, `like`, `share`.
    pub fn embedded() -> Result<Self, SchemaError> {
        let shipped = [
            ("like", include_str!("../../../schemas/events/like.json")),
            (
                "purchase",
                include_str!("../../../schemas/events/purchase.json"),
            ),
            ("share", include_str!("../../../schemas/events/share.json")),
            ("view", include_str!("../../../schemas/events/view.json")),
        ];
        let mut schemas = Self::default();
        for (event_type, text) in shipped {
            let schema = Schema::new(event_type, text, Dates::AsText, &Kinds::new())?;
            schemas.0.insert(event_type.to_owned(), schema);
        }
        Ok(schemas)
    }

    /// Parses pairs of an event type and a schema; reports all errors at once.
    pub fn parse<N: Into<String>, T: AsRef<str>>(
        texts: impl Iterator<Item = (N, T)>,
    ) -> Result<Self, Vec<SchemaError>> {
        let (mut schemas, mut errors) = (Self::default(), Vec::new());
        for (event_type, text) in texts {
            let event_type = event_type.into();
            match Schema::new(&event_type, text.as_ref(), Dates::AsText, &Kinds::new()) {
                Ok(schema) => _ = schemas.0.insert(event_type, schema),
                Err(error) => errors.push(error),
            }
        }
        if errors.is_empty() {
            Ok(schemas)
        } else {
            Err(errors)
        }
    }

    /// Reads each `<event type>.json` of a directory, and no other files; reports all errors at once.
    #[allow(
        clippy::disallowed_methods,
        reason = "schemas are read before anything durable"
    )]
    pub fn from_dir(dir: &Path) -> Result<Self, Vec<SchemaError>> {
        let unreadable = |path: &Path, source| SchemaError::Read {
            name: path.display().to_string(),
            source,
        };
        let entries = std::fs::read_dir(dir).map_err(|error| vec![unreadable(dir, error)])?;
        let (mut schemas, mut errors) = (Self::default(), Vec::new());
        for entry in entries {
            let path = match entry {
                Ok(entry) => entry.path(),
                Err(error) => {
                    errors.push(unreadable(dir, error));
                    continue;
                }
            };
            let Some(event_type) = path.file_stem().and_then(OsStr::to_str) else {
                continue;
            };
            if path.extension() != Some(OsStr::new("json")) {
                continue;
            }
            let text = std::fs::read_to_string(&path).map_err(|error| unreadable(&path, error));
            let name = path.display().to_string();
            match text.and_then(|text| Schema::new(&name, &text, Dates::AsText, &Kinds::new())) {
                Ok(schema) => _ = schemas.0.insert(event_type.to_owned(), schema),
                Err(error) => errors.push(error),
            }
        }
        errors.sort_by_key(ToString::to_string);
        if errors.is_empty() {
            Ok(schemas)
        } else {
            Err(errors)
        }
    }

    /// The event types that have a schema, sorted.
    pub fn types(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The schemas of these event types, as text.
    pub fn texts<'s>(&'s self, types: &'s [String]) -> impl Iterator<Item = String> + 's {
        let own = self.0.iter().filter(|(name, _)| types.contains(*name));
        own.map(|(_, schema)| schema.text.to_string())
    }

    pub(super) fn into_map(self) -> BTreeMap<String, Schema> {
        self.0
    }
}

/// One compiled schema.
#[derive(Debug)]
pub(super) struct Schema {
    text: Value,
    pub(super) quick: Option<Quick>,
    validator: Validator,
    /// Properties whose schema allows values that their columns cannot hold.
    narrow: Vec<(String, ColumnType)>,
}

impl Schema {
    /// Compiles a schema; errors mention `name`. Columns whose type is given take what the schema allows.
    pub(super) fn new(
        name: &str,
        text: &str,
        dates: Dates,
        given: &Kinds,
    ) -> Result<Self, SchemaError> {
        let text: Value = serde_json::from_str(text).map_err(|source| SchemaError::Json {
            name: name.to_owned(),
            source,
        })?;
        let error = |detail: String| SchemaError::Schema {
            name: name.to_owned(),
            detail,
        };
        let dialect = text
            .get("$schema")
            .and_then(Value::as_str)
            .unwrap_or(DRAFT_2020_12);
        if dialect.trim_end_matches('#') != DRAFT_2020_12 {
            return Err(error(format!("$schema must be {DRAFT_2020_12}")));
        }
        check_types(&text).map_err(error)?;
        let options = Validator::options()
            .with_draft(Draft::Draft202012)
            .offline();
        let validator = options
            .build(&text)
            .map_err(|invalid| error(fault_of(&invalid)))?;
        Ok(Self {
            quick: Quick::compile(&text),
            narrow: narrow_of(&text, dates, given),
            text,
            validator,
        })
    }

    /// Whether an object with these members, which a reader has read, is certainly valid and fits its columns.
    pub(super) fn is_surely_met(&self, members: &[Member<'_>]) -> bool {
        let is_valid = |quick: &Quick| quick.is_surely_valid(members);
        self.quick.as_ref().is_some_and(is_valid)
            && (self.narrow.is_empty()
                || members
                    .iter()
                    .all(|(key, value)| self.misfit(key, value).is_none()))
    }

    /// Adds the errors of `raw`, in which the scanner has found nothing wrong.
    pub(super) fn check(&self, raw: &str, prefix: &str, faults: &mut impl Faults) {
        let mut members = Vec::new();
        if self.quick.is_some()
            && Reader::new(raw).object(&mut members).is_some()
            && self.is_surely_met(&members)
        {
            return;
        }
        let Ok(value) = serde_json::from_str::<Value>(raw) else {
            // A number so close to the largest double that this parser gives up on it.
            let detail = || "numbers within the range of a double".to_owned();
            faults.add("number_out_of_range", || prefix.to_owned(), detail);
            return;
        };
        if self.validator.is_valid(&value) {
            self.check_columns(raw, prefix, faults);
            return;
        }
        for error in self.validator.iter_errors(&value) {
            let pointer = || format!("{prefix}{}", pointer_of(&error));
            faults.add(code(error.kind()), pointer, || self.detail(&error));
        }
    }

    /// Adds values that are valid but do not fit their columns: integers beyond 64 bits, and text that is
    /// declared a `date-time` but is not one.
    fn check_columns(&self, raw: &str, prefix: &str, faults: &mut impl Faults) {
        if self.narrow.is_empty() {
            return;
        }
        let members = serde_json::from_str::<Members<'_>>(raw).map_or(Vec::new(), |m| m.0);
        for (key, value) in members {
            let Some(key) = text(key) else { continue };
            if let Some(kind) = self.misfit(&key, value) {
                let pointer = || format!("{prefix}{}", segment(&key));
                let detail = || match kind {
                    ColumnType::Time => "a time (RFC 3339): the schema says date-time".to_owned(),
                    ColumnType::Date => {
                        "a date such as 2026-11-20: its column holds no other".to_owned()
                    }
                    ColumnType::Decimal(size) => format!("a number that fits {size} exactly"),
                    ColumnType::Integer => {
                        "a whole number of 64 bits: its column holds no other".to_owned()
                    }
                    other => format!("a value that fits a column of the type {other}"),
                };
                faults.add("column", pointer, detail);
            }
        }
    }

    /// The type of the column of that name, if the column cannot hold this value.
    fn misfit(&self, key: &str, value: &str) -> Option<ColumnType> {
        let (_, kind) = self.narrow.iter().find(|(name, _)| name == key)?;
        (value != "null" && !kind.fits(value)).then_some(*kind)
    }

    /// What the schema demands where an error is. It quotes the schema, never the value.
    fn detail(&self, error: &ValidationError<'_>) -> String {
        let keyword = error.kind().keyword();
        if matches!(error.kind(), ValidationErrorKind::Required { .. }) {
            return "required by the schema of this event type".to_owned();
        }
        match self.text.pointer(error.schema_path().as_str()) {
            Some(wanted) => {
                let wanted = format!("what the schema asks for: {keyword} {wanted}");
                wanted.chars().take(MAX_DETAIL_CHARS).collect()
            }
            None => format!("what the schema asks for: {keyword}"),
        }
    }
}

fn narrow_of(schema: &Value, dates: Dates, given: &Kinds) -> Vec<(String, ColumnType)> {
    let properties = schema["properties"].as_object().into_iter().flatten();
    let kinds = properties.map(|(name, property)| {
        let kind = ColumnType::of_schema(property, dates);
        // A type that the schema does not follow from is checked, whatever it is.
        let is_checked = kind.is_narrow() || property.get(TYPE_KEYWORD).is_some();
        (name.clone(), kind, is_checked)
    });
    let checked = kinds.filter(|(name, _, is_checked)| *is_checked && !given.contains_key(name));
    checked.map(|(name, kind, _)| (name, kind)).collect()
}

/// Checks the types that properties are given by a keyword of our own.
fn check_types(schema: &Value) -> Result<(), String> {
    let properties = schema["properties"].as_object().into_iter().flatten();
    for (name, property) in properties {
        let Some(word) = property.get(TYPE_KEYWORD) else {
            continue;
        };
        if word.as_str().and_then(ColumnType::parse).is_none() {
            return Err(format!(
                "{TYPE_KEYWORD} of {name:?} must be one of text, time, date, integer, double, boolean, json, or \
                 decimal(p,s) with at most 38 digits, such as \"decimal(12,2)\""
            ));
        }
    }
    Ok(())
}

/// What is wrong with a schema, and where in it.
fn fault_of(invalid: &ValidationError<'_>) -> String {
    let place = invalid.instance_path().as_str();
    let rule = match invalid.kind() {
        // The keyword `type` is the only one for which the standard lists alternatives.
        ValidationErrorKind::AnyOf { .. } if place.ends_with("/type") => {
            let given = invalid.instance().to_string();
            let given: String = given.chars().take(MAX_DETAIL_CHARS).collect();
            format!(
                "{given} is no type; take \"string\", \"number\", \"integer\", \"boolean\", \"object\", \"array\" or \
                 \"null\", or a list of different ones"
            )
        }
        _ => invalid.to_string().chars().take(MAX_DETAIL_CHARS).collect(),
    };
    if place.is_empty() {
        rule
    } else {
        format!("at {place}: {rule}")
    }
}

/// The pointer to an error, relative to the value; a missing property has the pointer that it would have.
fn pointer_of(error: &ValidationError<'_>) -> String {
    let path = error.instance_path().as_str();
    // The path is escaped: each part is unescaped, truncated and escaped again.
    let parts = path.split('/').skip(1);
    let parts = parts.map(|part| segment(&unescaped(part)));
    let mut pointer: String = parts.collect();
    if let ValidationErrorKind::Required { property } = error.kind() {
        pointer.push_str(&segment(property.as_str().unwrap_or_default()));
    }
    pointer
}

fn code(kind: &ValidationErrorKind) -> &'static str {
    match kind {
        ValidationErrorKind::Required { .. } => "schema_required",
        ValidationErrorKind::Type { .. } => "schema_type",
        ValidationErrorKind::Enum { .. } => "schema_enum",
        ValidationErrorKind::Constant { .. } => "schema_const",
        ValidationErrorKind::Minimum { .. } | ValidationErrorKind::ExclusiveMinimum { .. } => {
            "schema_minimum"
        }
        ValidationErrorKind::Maximum { .. } | ValidationErrorKind::ExclusiveMaximum { .. } => {
            "schema_maximum"
        }
        ValidationErrorKind::MinLength { .. } => "schema_min_length",
        ValidationErrorKind::MaxLength { .. } => "schema_max_length",
        ValidationErrorKind::Pattern { .. } => "schema_pattern",
        ValidationErrorKind::Format { .. } => "schema_format",
        ValidationErrorKind::AdditionalProperties { .. }
        | ValidationErrorKind::UnevaluatedProperties { .. } => "schema_additional_properties",
        _ => "schema",
    }
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::disallowed_methods,
        reason = "a failed unwrap is a failed test, and tests write their own files"
    )]
    use super::*;

    fn error(text: &str) -> String {
        let errors = Schemas::parse([("x", text)].into_iter()).unwrap_err();
        errors[0].to_string()
    }

    #[test]
    fn the_shipped_schemas_compile_and_are_quick() {
        let schemas = Schemas::embedded().unwrap();
        let types: Vec<&str> = schemas.types().collect();
        assert_eq!(types, ["like", "purchase", "share", "view"]);
        assert!(schemas.0.values().all(|schema| schema.quick.is_some()));
    }

    #[test]
    fn what_is_no_schema_is_refused_by_name() {
        assert!(error("{").starts_with("parse schema x: "));
        let nested = error(r#"{"properties":{"a":{"type":"strng"}}}"#);
        assert!(
            nested.starts_with(
                "compile schema x: at /properties/a/type: \"strng\" is no type; take \"string\""
            ),
            "{nested}"
        );
        let twice = error(r#"{"type":["string","string"]}"#);
        assert!(
            twice.contains("at /type: ") && !twice.contains("anyOf"),
            "{twice}"
        );
        let misplaced = error(r#"{"properties":[]}"#);
        assert!(misplaced.contains("at /properties: []"), "{misplaced}");
        let elsewhere = error(r#"{"$ref":"https://example.com/a.json"}"#);
        assert!(elsewhere.starts_with("compile schema x: "), "{elsewhere}");
        let old = error(r#"{"$schema":"http://json-schema.org/draft-07/schema#"}"#);
        assert!(old.contains("2020-12"), "{old}");
    }

    #[test]
    fn a_directory_is_read_and_all_its_errors_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        write("click.json", r#"{"type":"object"}"#);
        write("README.md", "not a schema");
        let schemas = Schemas::from_dir(dir.path()).unwrap();
        assert_eq!(schemas.types().collect::<Vec<_>>(), ["click"]);

        write("a.json", "{");
        write("b.json", r#"{"type":1}"#);
        let errors = Schemas::from_dir(dir.path()).unwrap_err();
        assert_eq!(errors.len(), 2);
        assert!(errors[0].to_string().contains("b.json"));
        assert!(errors[1].to_string().contains("a.json"));
        let missing = Schemas::from_dir(&dir.path().join("nowhere")).unwrap_err();
        assert!(missing[0].to_string().contains("nowhere"));
    }
}
