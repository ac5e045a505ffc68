//! Templates: text of a request with placeholders such as `{cursor}`. Pure.
//!
//! ```text
//!  "https://api.example.com/users/{id}/orders?since={mark}"      {"after": "{cursor}", "first": "{limit}"}
//! ```
//!
//! A placeholder is a name in braces, without blanks: `{cursor}`. Every other brace is an ordinary
//! character, and `{{name}}` stands for the text `{name}`. Values are encoded for the place that
//! they get into, so that no value can change the structure of a request. Where a value does not
//! exist yet, such as the cursor of the first page, the parameter, header or member that needs it
//! is left out.

use std::fmt;

use http::header::HeaderValue;
use reqwest::Url;
use serde_json::Value;

/// The names that every request may use, each with what it stands for.
pub const NAMES: [(&str, &str); 9] = [
    ("cursor", "the cursor that the page before named"),
    ("offset", "the number of records before the page"),
    ("page", "the number of the page"),
    ("limit", "pagination.limit"),
    ("mark", "the watermark from which the run asks"),
    ("until", "the end of the window that the run asks for"),
    ("token", "the token that the last run has ended with"),
    ("now", "the time of the request"),
    ("run_start", "the time at which the run began"),
];

/// The value of a placeholder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filler {
    /// Text, which is a string in JSON.
    Text(String),
    /// A number as JSON writes it, with all its digits.
    Number(String),
    /// A truth value.
    Bool(bool),
    /// A JSON value, as its text.
    Json(String),
}

/// The values of placeholders: an open list of names, of which the last one set holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Values(Vec<(String, Filler)>);

impl Filler {
    /// The value as text.
    pub fn text(&self) -> &str {
        match self {
            Self::Text(text) | Self::Number(text) | Self::Json(text) => text,
            Self::Bool(true) => "true",
            Self::Bool(false) => "false",
        }
    }

    fn push_json(&self, out: &mut String) {
        match self {
            Self::Text(text) => push_text(out, text),
            Self::Number(_) | Self::Bool(_) | Self::Json(_) => out.push_str(self.text()),
        }
    }
}

impl From<&str> for Filler {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Filler {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<u64> for Filler {
    fn from(number: u64) -> Self {
        Self::Number(number.to_string())
    }
}

impl From<i64> for Filler {
    fn from(number: i64) -> Self {
        Self::Number(number.to_string())
    }
}

impl Values {
    /// Sets a value, in place of one of the same name.
    pub fn set(&mut self, name: &str, value: impl Into<Filler>) {
        let value = value.into();
        match self.0.iter_mut().find(|(own, _)| own == name) {
            Some((_, own)) => *own = value,
            None => self.0.push((name.to_owned(), value)),
        }
    }

    /// The value of this name, if it is set.
    pub fn get(&self, name: &str) -> Option<&Filler> {
        let found = self.0.iter().find(|(own, _)| own == name);
        found.map(|(_, value)| value)
    }
}

/// Text with placeholders. Its debug form shows the placeholders only, as the text may be secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Name(String),
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

impl Template {
    /// Reads text. All text is a template; which of its names exist is for the caller to say.
    pub fn parse(text: &str) -> Self {
        let (mut parts, mut plain, mut rest) = (Vec::new(), String::new(), text);
        while let Some(at) = rest.find('{') {
            plain.push_str(&rest[..at]);
            rest = &rest[at..];
            if let Some(name) = rest
                .strip_prefix("{{")
                .and_then(|inner| name_in(inner, "}}"))
            {
                plain.push_str(&rest[1..name.len() + 3]);
                rest = &rest[name.len() + 4..];
            } else if let Some(name) = name_in(&rest[1..], "}") {
                if !plain.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut plain)));
                }
                parts.push(Part::Name(name.to_owned()));
                rest = &rest[name.len() + 2..];
            } else {
                plain.push('{');
                rest = &rest[1..];
            }
        }
        plain.push_str(rest);
        if !plain.is_empty() || parts.is_empty() {
            parts.push(Part::Text(plain));
        }
        Self(parts)
    }

    /// The names of the placeholders, in their order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            Part::Name(name) => Some(name.as_str()),
            Part::Text(_) => None,
        })
    }

    /// The text with its values as they are; `None` if one of them does not exist.
    pub fn fill(&self, values: &Values) -> Option<String> {
        self.fill_with(values, String::push_str)
    }

    /// The text with its values, each of them encoded.
    fn fill_with(&self, values: &Values, encode: fn(&mut String, &str)) -> Option<String> {
        let mut out = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Name(name) => encode(&mut out, values.get(name)?.text()),
            }
        }
        Some(out)
    }

    /// The value of a header: `Ok(None)` if a value does not exist, an error if no header can hold
    /// it. The error does not repeat the value.
    pub fn header(&self, values: &Values) -> Result<Option<HeaderValue>, &'static str> {
        let Some(text) = self.fill(values) else {
            return Ok(None);
        };
        let value = HeaderValue::from_str(&text);
        let mut value = value.map_err(|_| "it holds characters that no header may have")?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    /// The only placeholder, if the text is nothing else.
    fn only(&self) -> Option<&str> {
        match self.0.as_slice() {
            [Part::Name(name)] => Some(name),
            _ => None,
        }
    }
}

/// The name at the start of the text that is followed by `end`.
fn name_in<'t>(text: &'t str, end: &str) -> Option<&'t str> {
    let is_inner = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let length = text.find(|c| !is_inner(c))?;
    let (name, rest) = text.split_at(length);
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    (is_name && rest.starts_with(end)).then_some(name)
}

/// A URL with placeholders in its path and its query.
#[derive(Clone, Debug)]
pub struct UrlTemplate {
    /// Scheme and authority.
    origin: String,
    /// The path as a list of segments, which slashes separate.
    path: Vec<Template>,
    /// The query as a list of pairs, which ampersands separate.
    query: Vec<Template>,
}

impl UrlTemplate {
    /// Reads a URL. Its origin may not have placeholders: it decides who gets the credentials.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let authority = text.find("://").map_or(0, |at| at + 3);
        let after = &text[authority..];
        let end = after.find(['/', '?', '#']).unwrap_or(after.len());
        let (origin, rest) = text.split_at(authority + end);
        if Template::parse(origin).names().next().is_some() {
            return Err("may hold placeholders in its path and its query only");
        }
        let (path, query) = match rest.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (rest, None),
        };
        Ok(Self {
            origin: origin.to_owned(),
            path: path.split('/').map(Template::parse).collect(),
            query: query
                .into_iter()
                .flat_map(|query| query.split('&'))
                .map(Template::parse)
                .collect(),
        })
    }

    /// The names of the placeholders.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.path
            .iter()
            .chain(&self.query)
            .flat_map(Template::names)
    }

    /// The URL with some value for each placeholder: what does not depend on values can be learned
    /// from it, such as its origin.
    pub fn example(&self) -> Result<Url, String> {
        let mut values = Values::default();
        for name in self.names() {
            values.set(name, "0");
        }
        self.fill(&values)
    }

    /// The URL with its values, each of which stays within one segment of the path, or within one
    /// value of the query. A parameter without a value is left out.
    pub fn fill(&self, values: &Values) -> Result<Url, String> {
        let mut text = self.origin.clone();
        for (index, segment) in self.path.iter().enumerate() {
            if index > 0 {
                text.push('/');
            }
            text.push_str(&fill_segment(segment, values)?);
        }
        let pairs = self.query.iter();
        let pairs = pairs.filter_map(|pair| pair.fill_with(values, push_encoded));
        for (index, pair) in pairs.enumerate() {
            text.push(if index == 0 { '?' } else { '&' });
            text.push_str(&pair);
        }
        Url::parse(&text).map_err(|_| "the url cannot be used".to_owned())
    }
}

fn fill_segment(segment: &Template, values: &Values) -> Result<String, String> {
    let Some(text) = segment.fill_with(values, push_encoded) else {
        let missing = segment.names().find(|name| values.get(name).is_none());
        let name = missing.unwrap_or_default();
        return Err(format!(
            "{{{name}}} stands in the path of the url and has no value yet; expected one"
        ));
    };
    let plain = text.replace("%2e", ".").replace("%2E", ".");
    if segment.names().next().is_some() && matches!(plain.as_str(), "" | "." | "..") {
        let name = segment.names().next().unwrap_or_default();
        return Err(format!(
            "{{{name}}} makes {plain:?} a segment of the url's path, which leads elsewhere; expected \
             another value"
        ));
    }
    Ok(text)
}

/// Percent-encodes everything that is not unreserved (RFC 3986, section 2.3).
fn push_encoded(out: &mut String, text: &str) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
}

/// A JSON value with placeholders in its strings.
///
/// A string that is one placeholder becomes the value itself: a number stays a number. Within other
/// text, a value is escaped as JSON text is. The names of members are never templates.
#[derive(Clone, Debug)]
pub struct JsonTemplate(Node);

#[derive(Clone)]
enum Node {
    /// JSON text without placeholders.
    Fixed(String),
    Text(Template),
    List(Vec<Node>),
    Object(Vec<(String, Node)>),
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names = Vec::new();
        self.add_names(&mut names);
        f.debug_set().entries(names).finish()
    }
}

impl JsonTemplate {
    /// Reads a value.
    pub fn parse(value: &Value) -> Self {
        Self(Node::parse(value))
    }

    /// The names of the placeholders.
    pub fn names(&self) -> Vec<&str> {
        let mut names = Vec::new();
        self.0.add_names(&mut names);
        names
    }

    /// The JSON text with its values. What has no value is left out, with each list and object that
    /// becomes empty by that.
    pub fn fill(&self, values: &Values) -> String {
        let mut out = String::new();
        if !self.0.push(&mut out, values) {
            out.push_str("{}");
        }
        out
    }
}

impl Node {
    fn parse(value: &Value) -> Self {
        match value {
            Value::String(text) => {
                let template = Template::parse(text);
                if template.names().next().is_some() {
                    return Self::Text(template);
                }
                let mut fixed = String::new();
                push_text(
                    &mut fixed,
                    &template.fill(&Values::default()).unwrap_or_default(),
                );
                Self::Fixed(fixed)
            }
            Value::Array(items) => Self::List(items.iter().map(Self::parse).collect()),
            Value::Object(members) => {
                let members = members.iter();
                let members = members.map(|(name, value)| (name.clone(), Self::parse(value)));
                Self::Object(members.collect())
            }
            plain => Self::Fixed(plain.to_string()),
        }
    }

    fn add_names<'n>(&'n self, names: &mut Vec<&'n str>) {
        match self {
            Self::Fixed(_) => {}
            Self::Text(template) => names.extend(template.names()),
            Self::List(items) => items.iter().for_each(|item| item.add_names(names)),
            Self::Object(members) => members.iter().for_each(|(_, node)| node.add_names(names)),
        }
    }

    /// Appends the value; `false`, and nothing appended, if it has none.
    fn push(&self, out: &mut String, values: &Values) -> bool {
        match self {
            Self::Fixed(text) => out.push_str(text),
            Self::Text(template) => {
                if let Some(name) = template.only() {
                    let value = values.get(name);
                    value.inspect(|value| value.push_json(out));
                    return value.is_some();
                }
                let Some(text) = template.fill(values) else {
                    return false;
                };
                push_text(out, &text);
            }
            Self::List(items) => {
                let pushed = |item: &Self, out: &mut String| item.push(out, values);
                return push_all(out, ('[', ']'), items, pushed);
            }
            Self::Object(members) => {
                return push_all(out, ('{', '}'), members, |(name, node), out| {
                    push_text(out, name);
                    out.push(':');
                    node.push(out, values)
                });
            }
        }
        true
    }
}

/// Appends all items that have a value, between brackets; `false`, and nothing appended, if there
/// are items and none of them has one.
fn push_all<T>(
    out: &mut String,
    (open, close): (char, char),
    items: &[T],
    push: impl Fn(&T, &mut String) -> bool,
) -> bool {
    let start = out.len();
    out.push(open);
    let mut has_one = items.is_empty();
    for item in items {
        let before = out.len();
        if before > start + 1 {
            out.push(',');
        }
        if push(item, out) {
            has_one = true;
        } else {
            out.truncate(before);
        }
    }
    out.push(close);
    if !has_one {
        out.truncate(start);
    }
    has_one
}

/// Appends text as a JSON string.
fn push_text(out: &mut String, text: &str) {
    out.push_str(&Value::from(text).to_string());
}

#[cfg(test)]
#[path = "template_tests.rs"]
mod tests;
