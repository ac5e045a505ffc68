//! Where values come from: merges the TOML file and the environment, and finds the place that set a key.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use figment::providers::{Format as _, Toml};
use figment::value::{Dict, Map, Num, Value as Setting};
use figment::{Figment, Metadata, Profile, Provider};
use serde_json::Value;

use super::errors::{ConfigPlace, ConfigProblem};
use super::guesses;
use super::key::{Key, key_of, shown};
use super::lines::line_of;
use super::shape::Shape;

/// The prefix of variables that are configuration.
pub(super) const PREFIX: &str = "LAKEHOOK_";
/// The variable that names the file. It is not a key.
pub(super) const CONFIG_VARIABLE: &str = "LAKEHOOK_CONFIG";

/// What separates section and key in the name of a variable.
pub(super) const SEPARATOR: &str = "__";
/// The most parts of a key. This bounds the depth of the tree, whatever the environment holds.
const MAX_KEY_PARTS: usize = 8;

/// All settings, by their source.
#[derive(Debug, Default)]
pub(super) struct Sources {
    /// The file, if there is one.
    pub(super) file: Option<TomlFile>,
    /// The settings of the environment.
    pub(super) variables: Variables,
}

/// A file that was read.
pub(super) struct TomlFile {
    name: PathBuf,
    text: String,
    dict: Dict,
}

/// The variables that are configuration, by key. Their values may be secret.
#[derive(Default)]
pub(super) struct Variables {
    by_key: BTreeMap<Key, Variable>,
    /// The names of those that begin like ours and have no separator.
    strays: Vec<String>,
}

struct Variable {
    place: ConfigPlace,
    value: String,
}

/// A key that an argument of the command line sets.
#[derive(Clone, Debug)]
pub struct Argument {
    /// The argument, such as `--listen`.
    pub name: &'static str,
    /// The key in its dotted form.
    pub key: &'static str,
    /// The value, as a variable of the environment would have it.
    pub value: String,
}

impl TomlFile {
    /// Parses the text of a file; `name` is used in errors.
    pub(super) fn parse(name: &Path, text: String) -> Result<Self, ConfigProblem> {
        match Toml::from_str::<Dict>(&text) {
            Ok(dict) => Ok(Self {
                name: name.to_owned(),
                text,
                dict,
            }),
            // The error's own text quotes the line, which may contain secrets, so it is not shown.
            Err(error) => {
                let at = error.span().map_or(0, |span| span.start);
                let before = text.get(..at).unwrap_or_default();
                let start = before.rfind('\n').map_or(0, |end| end + 1);
                let line = text[start..].lines().next().unwrap_or_default();
                let advice = guesses::advice_on_toml(line, error.message());
                let advice = advice.map_or_else(String::new, |advice| format!("; {advice}"));
                Err(ConfigProblem {
                    place: position(name, &text, at),
                    rule: format!("not TOML: {}{advice}", error.message().replace('\n', ", ")),
                })
            }
        }
    }

    /// The path, as the user gave it.
    pub(super) fn name(&self) -> &Path {
        &self.name
    }

    /// Whether the file sets the key or something below it.
    fn sets(&self, key: &[String]) -> bool {
        let Some((first, rest)) = key.split_first() else {
            return true;
        };
        let mut setting = self.dict.get(first);
        for part in rest {
            setting = match setting {
                Some(Setting::Dict(_, dict)) => dict.get(part),
                _ => return false,
            };
        }
        setting.is_some()
    }
}

/// Line and column of a byte of the text.
fn position(name: &Path, text: &str, byte: usize) -> ConfigPlace {
    let before = &text[..text.floor_char_boundary(byte)];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    ConfigPlace::Position {
        file: name.to_owned(),
        line: before.matches('\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
    }
}

impl Variables {
    /// Selects the variables that are configuration: those with `LAKEHOOK_` and at least one `__`.
    pub(super) fn pick(
        environment: impl Iterator<Item = (OsString, OsString)>,
        problems: &mut Vec<ConfigProblem>,
    ) -> Self {
        let (mut variables, mut strays) = (BTreeMap::new(), Vec::new());
        for (name, value) in environment {
            let name = name.to_string_lossy().into_owned();
            let Some(rest) = name.strip_prefix(PREFIX) else {
                continue;
            };
            if !rest.contains(SEPARATOR) {
                strays.push(name);
                continue;
            }
            let key: Key = rest
                .to_lowercase()
                .split(SEPARATOR)
                .map(str::to_owned)
                .collect();
            let rule = if key.len() > MAX_KEY_PARTS {
                format!("names no key: it has {} parts", key.len())
            } else if let Ok(value) = value.into_string() {
                let place = ConfigPlace::Variable(name);
                variables.insert(key, Variable { place, value });
                continue;
            } else {
                "is not UTF-8".to_owned()
            };
            let place = ConfigPlace::Variable(name);
            problems.push(ConfigProblem { place, rule });
        }
        strays.sort_unstable();
        Self {
            by_key: variables,
            strays,
        }
    }

    /// Sets what arguments set, which overrules the environment.
    pub(super) fn overrule(&mut self, arguments: &[Argument]) {
        for Argument { name, key, value } in arguments {
            let variable = Variable {
                place: ConfigPlace::Argument(name),
                value: value.clone(),
            };
            self.by_key.insert(key_of(key), variable);
        }
    }

    /// The names of the variables that begin like ours and have no separator, sorted.
    pub(super) fn strays(&self) -> &[String] {
        &self.strays
    }

    /// The values as a tree, each parsed as the type of its key requires.
    fn dict(&self, shape: &Shape) -> Dict {
        let mut dict = Dict::new();
        for (key, variable) in &self.by_key {
            insert(&mut dict, key, parse(&variable.value, shape.is_text(key)));
        }
        dict
    }
}

/// Parses the value of a variable as the file would: numbers, booleans, `["a", "b"]`, text in quotes.
/// Anything else is text as it is.
///
/// This does not use figment's own parser, which panics on quoted text with an escape after a letter outside
/// ASCII.
/// than ASCII.
fn parse(value: &str, is_text: bool) -> Setting {
    let is_quoted = value.starts_with('"');
    if is_quoted || !is_text {
        let line = Toml::from_str::<Dict>(&format!("value = {value}"));
        // More than one key means that the value contained line breaks.
        let alone = line.ok().filter(|dict| dict.len() == 1);
        if let Some(setting) = alone.and_then(|mut dict| dict.remove("value")) {
            return setting;
        }
    }
    Setting::from(value.trim())
}

/// Sets a value at a key, and replaces whatever is in its way.
fn insert(dict: &mut Dict, key: &[String], setting: Setting) {
    match key {
        [] => {}
        [last] => _ = dict.insert(last.clone(), setting),
        [first, rest @ ..] => {
            let inner = dict
                .entry(first.clone())
                .or_insert_with(|| Dict::new().into());
            if !matches!(inner, Setting::Dict(..)) {
                *inner = Dict::new().into();
            }
            if let Setting::Dict(_, inner) = inner {
                insert(inner, rest, setting);
            }
        }
    }
}

impl Sources {
    /// Merges all settings; the environment overrides the file. Defaults are not included.
    pub(super) fn merged(&self, shape: &Shape) -> Value {
        let file = self.file.as_ref().map(|file| file.dict.clone());
        let merged = Figment::new()
            .merge(Layer(file.unwrap_or_default()))
            .merge(Layer(self.variables.dict(shape)));
        let mut profiles = merged.data().unwrap_or_default();
        let dict = profiles.remove(&Profile::Default).unwrap_or_default();
        json_object(dict)
    }

    /// The place whose value for a key takes effect.
    pub(super) fn place_of(&self, key: &[String]) -> ConfigPlace {
        let set = self.places_of(key).into_iter().next();
        set.unwrap_or_else(|| ConfigPlace::Default(shown(key)))
    }

    /// Every place that sets a key or something below it; the one that takes effect comes first.
    pub(super) fn places_of(&self, key: &[String]) -> Vec<ConfigPlace> {
        let variables = &self.variables.by_key;
        let at_or_below = variables.iter().filter(|(own, _)| own.starts_with(key));
        let mut places: Vec<ConfigPlace> = at_or_below
            .map(|(_, variable)| variable.place.clone())
            .collect();
        if let Some(file) = self.file.as_ref().filter(|file| file.sets(key)) {
            places.push(ConfigPlace::Key {
                file: file.name.clone(),
                key: shown(key),
                line: line_of(&file.text, key),
            });
        }
        places
    }

    /// Whether any source sets the key.
    pub(super) fn sets(&self, key: &[String]) -> bool {
        !self.places_of(key).is_empty()
    }
}

/// One layer of settings.
struct Layer(Dict);

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::default()
    }

    fn data(&self) -> figment::Result<Map<Profile, Dict>> {
        Ok(Profile::Default.collect(self.0.clone()))
    }
}

pub(super) fn json_object(dict: Dict) -> Value {
    let members = dict.into_iter().map(|(key, setting)| (key, json(setting)));
    Value::Object(members.collect())
}

fn json(setting: Setting) -> Value {
    match setting {
        Setting::String(_, text) => Value::String(text),
        Setting::Char(_, c) => Value::String(c.to_string()),
        Setting::Bool(_, value) => Value::Bool(value),
        Setting::Num(_, number) => json_number(number),
        Setting::Empty(..) => Value::Null,
        Setting::Dict(_, dict) => json_object(dict),
        Setting::Array(_, items) => Value::Array(items.into_iter().map(json).collect()),
    }
}

/// A number with an integral value, such as `1e6`, becomes a whole number. One that JSON cannot express, or
/// that no key takes, becomes text, so that the error can show it.
#[expect(
    clippy::cast_possible_truncation,
    reason = "only for whole values that are well within the range"
)]
fn json_number(number: Num) -> Value {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if let Some(whole) = number.to_u128() {
        return u64::try_from(whole).map_or_else(|_| Value::String(whole.to_string()), Value::from);
    }
    if let Some(whole) = number.to_i128() {
        return i64::try_from(whole).map_or_else(|_| Value::String(whole.to_string()), Value::from);
    }
    match number.to_f64() {
        Some(float) if float.fract() == 0.0 && float.abs() < EXACT => Value::from(float as i64),
        Some(float) if float.is_finite() && float.fract() != 0.0 => Value::from(float),
        Some(float) => Value::String(float.to_string()),
        None => Value::Null,
    }
}

impl std::fmt::Debug for TomlFile {
    /// Leaves out the text, which may hold secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("TomlFile").field(&self.name).finish()
    }
}

impl std::fmt::Debug for Variables {
    /// Leaves out the values, which may be secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.by_key.keys()).finish()
    }
}
