//! The shape of the configuration: which keys there are and what each of them takes, as a JSON Schema that is
//! generated from the sections. A schema finds every fault, whereas deserialising stops at the first one.

use std::net::SocketAddr;

use jsonschema::error::ValidationErrorKind;
use jsonschema::paths::LocationSegment;
use jsonschema::{Draft, ValidationError, Validator};
use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::address::{ADDRESS_FORMAT, NODE_ADDRESS_FORMAT};
use super::amounts::{BYTE_SIZE_FORMAT, ByteSize, SPAN_FORMAT, Span};
use super::console::{CONSOLE_FORMAT, ConsoleListen};
use super::guesses;
use super::key::{Key, shown};
use super::lake_url::{LAKE_URL_FORMAT, LakeUrl};
use super::rate::{RATE_FORMAT, Rate};
use super::replica_url::{REPLICA_URL_FORMAT, ReplicaUrl};
use super::sections::Config;
use super::share::{SHARE_FORMAT, Share};

/// Checks text against a format; the error says why it does not fit.
type Check = fn(&str) -> Result<(), String>;

/// The formats of text, each with its parser.
const FORMATS: [(&str, Check); 9] = [
    (ADDRESS_FORMAT, check_address),
    (NODE_ADDRESS_FORMAT, check_node_address),
    (BYTE_SIZE_FORMAT, check_size),
    (CONSOLE_FORMAT, check_console),
    (LAKE_URL_FORMAT, check_lake_url),
    (RATE_FORMAT, check_rate),
    (REPLICA_URL_FORMAT, check_replica_url),
    (SHARE_FORMAT, check_share),
    (SPAN_FORMAT, check_span),
];

/// Keys that are at least this similar (Jaro-Winkler) are taken for misspellings.
const MIN_SIMILARITY: f64 = 0.8;

/// The compiled schema.
pub(super) struct Shape {
    schema: Value,
    validator: Validator,
}

/// One setting that does not fit the schema.
#[derive(Debug)]
pub(super) struct Fault {
    /// The key of the setting.
    pub(super) key: Key,
    /// The rule that it breaks.
    pub(super) rule: String,
    /// Whether there is no such key.
    pub(super) is_unknown: bool,
}

impl Shape {
    /// Generates the schema. It fails only if the sections make no schema, which a test excludes.
    pub(super) fn new() -> Result<Self, String> {
        let settings = SchemaSettings::draft2020_12().with(|settings| {
            settings.inline_subschemas = true;
        });
        let schema = settings
            .into_generator()
            .into_root_schema_for::<Config>()
            .to_value();
        let options = Validator::options()
            .with_draft(Draft::Draft202012)
            .should_validate_formats(true)
            .offline();
        let options = FORMATS.into_iter().fold(options, |options, (name, check)| {
            options.with_format(name, move |text: &str| check(text).is_ok())
        });
        match options.build(&schema) {
            Ok(validator) => Ok(Self { schema, validator }),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Finds every fault of the settings.
    pub(super) fn faults(&self, settings: &Value) -> Vec<Fault> {
        let errors = self.validator.iter_errors(settings);
        errors.flat_map(|error| self.faults_of(&error)).collect()
    }

    /// Whether a key takes text and nothing else.
    pub(super) fn is_text(&self, key: &[String]) -> bool {
        let taken = self.node(key).and_then(|node| node.get("type"));
        match taken {
            Some(Value::String(name)) => name == "string",
            Some(Value::Array(names)) => {
                names.iter().all(|name| name == "string" || name == "null")
            }
            _ => false,
        }
    }

    fn node(&self, key: &[String]) -> Option<&Value> {
        let mut steps = key.iter();
        steps.try_fold(&self.schema, |node, part| {
            let named = node.get("properties").and_then(|names| names.get(part));
            let of_any = |key: &str| node.get(key).filter(|any| any.is_object());
            named
                .or_else(|| of_any("additionalProperties"))
                .or_else(|| of_any("items"))
        })
    }

    /// Whether a value is a secret; a list of secrets is one too.
    pub(super) fn is_secret(&self, key: &[String]) -> bool {
        let node = self.node(key);
        node.is_some_and(|node| node["writeOnly"] == true)
    }

    /// Whether a key takes a table without keys of its own, such as headers.
    pub(super) fn takes_any_value(&self, key: &[String]) -> bool {
        let has_keys = |node: &Value| node.get("properties").is_some();
        let node = self.node(key);
        node.is_none_or(|node| {
            !has_keys(node) && !node.get("additionalProperties").is_some_and(has_keys)
        })
    }

    /// Whether the keys of a section are names that the operator chooses, such as those of polls.
    pub(super) fn takes_any_name(&self, section: &[String]) -> bool {
        let any = self
            .node(section)
            .and_then(|node| node.get("additionalProperties"));
        any.is_some_and(Value::is_object)
    }

    /// The names of the keys of a section, or of the sections.
    pub(super) fn names(&self, section: &[String]) -> impl Iterator<Item = &str> {
        let properties = self.node(section).and_then(|node| node.get("properties"));
        let names = properties.and_then(Value::as_object);
        names
            .into_iter()
            .flat_map(|names| names.keys().map(String::as_str))
    }

    fn faults_of(&self, error: &ValidationError<'_>) -> Vec<Fault> {
        let (key, entry) = place(error);
        if let ValidationErrorKind::AdditionalProperties { unexpected } = error.kind() {
            let unknown = unexpected.iter();
            return unknown.map(|name| self.unknown(&key, name)).collect();
        }
        let entry = entry.map_or_else(String::new, |index| format!("entry {} ", index + 1));
        let rule = format!("{entry}{}", self.rule(error));
        let is_unknown = false;
        vec![Fault {
            key,
            rule,
            is_unknown,
        }]
    }

    fn unknown(&self, section: &[String], name: &str) -> Fault {
        let key = [section, &[name.to_owned()]].concat();
        let elsewhere: Vec<String> = self
            .names(&[])
            .filter(|other| self.names(&[(*other).to_owned()]).any(|own| own == name))
            .map(|other| format!("`{other}.{name}`"))
            .collect();
        let hint = if let Some(advice) = guesses::advice(section, name) {
            advice.to_owned()
        } else if section == ["polls"] && !self.names(section).any(|known| known == name) {
            format!("did you mean `[poll.{name}]`? [polls] is for what all polls share")
        } else if let Some(near) = nearest(name, self.names(section)) {
            format!("did you mean `{near}`?")
        } else if elsewhere.is_empty() {
            let known: Vec<&str> = self.names(section).collect();
            format!("known are {}", known.join(", "))
        } else {
            format!("did you mean {}?", elsewhere.join(" or "))
        };
        let rule = format!("unknown key `{}`; {hint}", shown(&key));
        let is_unknown = true;
        Fault {
            key,
            rule,
            is_unknown,
        }
    }

    /// The rule that an error is about. Only the rules of formats show the value, because none of these
    /// values is secret.
    fn rule(&self, error: &ValidationError<'_>) -> String {
        let schema_path = error.schema_path().as_str();
        let node_path = schema_path.rsplit_once('/').map_or("", |(node, _)| node);
        let node = self.schema.pointer(node_path).unwrap_or(&Value::Null);
        match error.kind() {
            ValidationErrorKind::Type { .. } => format!("must be {}", expected(node)),
            ValidationErrorKind::Minimum { limit } => format!("must be at least {limit}"),
            ValidationErrorKind::Maximum { limit } => format!("must be at most {limit}"),
            ValidationErrorKind::MinLength { .. } | ValidationErrorKind::MinItems { .. } => {
                "must not be empty".to_owned()
            }
            ValidationErrorKind::Enum { options } => one_of(options, error.instance()),
            ValidationErrorKind::Format { format } => {
                let check = FORMATS.iter().find(|(name, _)| name == format);
                let text = error.instance().as_str().unwrap_or_default();
                let rule = check.and_then(|(_, check)| check(text).err());
                rule.unwrap_or_else(|| format!("must be {}", expected(node)))
            }
            other => format!("breaks the rule {:?} of the schema", other.keyword()),
        }
    }
}

/// The key that an error is about and, within a list, the index of the entry.
fn place(error: &ValidationError<'_>) -> (Key, Option<usize>) {
    let mut key = Key::new();
    for segment in error.instance_path().segments() {
        match segment {
            LocationSegment::Property(name) => key.push(name.into_owned()),
            LocationSegment::Index(index) => return (key, Some(index)),
        }
    }
    (key, None)
}

/// What a key takes, in words.
fn expected(node: &Value) -> &'static str {
    if node["format"] == BYTE_SIZE_FORMAT {
        return "a size, such as \"8 MiB\"";
    }
    if node["format"] == SPAN_FORMAT {
        return "a duration, such as \"300s\"";
    }
    if node["format"] == SHARE_FORMAT {
        return "a share, such as \"10 %\"";
    }
    let names = match &node["type"] {
        Value::Array(names) => names.first().and_then(Value::as_str),
        name => name.as_str(),
    };
    match names {
        Some("string") => "text in quotes",
        Some("integer") => "a whole number",
        Some("boolean") => "true or false, without quotes",
        Some("array") => "a list, such as [\"a\", \"b\"]",
        Some("object") => "a section with keys of its own",
        _ => "something else",
    }
}

fn one_of(options: &Value, given: &Value) -> String {
    let words = options.as_array().into_iter().flatten();
    let words: Vec<&str> = words.filter_map(Value::as_str).collect();
    let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    let near = nearest(given.as_str().unwrap_or_default(), words.into_iter());
    let hint = near.map_or_else(String::new, |near| format!("; did you mean \"{near}\"?"));
    format!("must be one of {}{hint}", quoted.join(", "))
}

fn nearest<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let name = name.to_lowercase();
    let similarities = known.map(|own| (strsim::jaro_winkler(&name, own), own));
    let near = similarities.filter(|(similarity, _)| *similarity >= MIN_SIMILARITY);
    near.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, own)| own)
}

fn check_address(text: &str) -> Result<(), String> {
    let address: Result<SocketAddr, _> = text.parse();
    address.map(drop).map_err(|_| {
        "must be an IP address with a port, such as \"127.0.0.1:4000\", \"[::1]:4000\", or \
         \"0.0.0.0:4000\" for all addresses"
            .to_owned()
    })
}

fn check_node_address(text: &str) -> Result<(), String> {
    let address: Result<SocketAddr, _> = text.parse();
    address.map(drop).map_err(|_| {
        "must be an IP address of this machine with a port, such as \"10.0.0.5:4100\" or \"[fd00::5]:4100\"; names of \
         machines are not looked up"
            .to_owned()
    })
}

fn check_console(text: &str) -> Result<(), String> {
    ConsoleListen::parse(text).map(drop)
}

fn check_size(text: &str) -> Result<(), String> {
    ByteSize::parse(text)
        .map(drop)
        .map_err(|error| error.to_string())
}

fn check_span(text: &str) -> Result<(), String> {
    Span::parse(text)
        .map(drop)
        .map_err(|error| error.to_string())
}

fn check_rate(text: &str) -> Result<(), String> {
    Rate::parse(text).map(drop)
}

fn check_share(text: &str) -> Result<(), String> {
    Share::parse(text)
        .map(drop)
        .map_err(|error| error.to_string())
}

fn check_replica_url(text: &str) -> Result<(), String> {
    ReplicaUrl::parse(text)
        .map(drop)
        .map_err(|error| error.to_string())
}

fn check_lake_url(text: &str) -> Result<(), String> {
    LakeUrl::parse(text)
        .map(drop)
        .map_err(|error| error.to_string())
}
