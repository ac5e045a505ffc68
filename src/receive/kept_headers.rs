//! The headers of a request that are kept with its events.

use http::{HeaderMap, HeaderName};
use serde_json::{Map, Value};

/// Headers with credentials, which no pattern keeps.
pub(super) const NEVER: [&str; 4] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "set-cookie",
];

/// Names of headers, and beginnings of names.
#[derive(Clone, Debug, Default)]
pub struct KeptHeaders {
    names: Vec<HeaderName>,
    beginnings: Vec<String>,
}

impl KeptHeaders {
    /// Takes names, and beginnings with a `*` behind them. The error is the first that is neither, or that would keep
    /// credentials.
    pub fn parse<'t>(texts: impl Iterator<Item = &'t str>) -> Result<Self, &'t str> {
        let mut kept = Self::default();
        for text in texts {
            let lower = text.to_ascii_lowercase();
            let (name, is_beginning) = match lower.strip_suffix('*') {
                Some(beginning) => (beginning, true),
                None => (lower.as_str(), false),
            };
            let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| text)?;
            if is_beginning {
                kept.beginnings.push(name.to_owned());
            } else if NEVER.contains(&name) {
                return Err(text);
            } else {
                kept.names.push(parsed);
            }
        }
        Ok(kept)
    }

    /// Whether a header is kept.
    pub(super) fn keep(&self, name: &HeaderName) -> bool {
        let text = name.as_str();
        let begins = |beginning: &String| text.starts_with(beginning.as_str());
        self.names.contains(name) || self.beginnings.iter().any(begins) && !NEVER.contains(&text)
    }

    /// The kept headers of a request as a JSON object; several values of one name are a list. `None` if there are none.
    pub(super) fn object(&self, headers: &HeaderMap) -> Option<String> {
        if self.names.is_empty() && self.beginnings.is_empty() {
            return None;
        }
        let mut object = Map::new();
        for (name, value) in headers.iter().filter(|(name, _)| self.keep(name)) {
            let value = Value::String(String::from_utf8_lossy(value.as_bytes()).into_owned());
            match object.get_mut(name.as_str()) {
                None => _ = object.insert(name.as_str().to_owned(), value),
                Some(Value::Array(values)) => values.push(value),
                Some(first) => *first = Value::Array(vec![first.take(), value]),
            }
        }
        (!object.is_empty()).then(|| Value::Object(object).to_string())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;

    #[test]
    fn names_and_beginnings_are_kept_but_no_credentials() {
        let kept = KeptHeaders::parse(["X-Shop", "ce-*", "a*"].into_iter()).unwrap();
        let mut headers = HeaderMap::new();
        assert_eq!(kept.object(&headers), None);
        for (name, value) in [
            ("x-shop", "one"),
            ("ce-id", "1"),
            ("ce-type", "a"),
            ("ce-type", "b"),
            ("authorization", "Bearer secret"),
            ("x-other", "no"),
        ] {
            headers.append(name, value.parse().unwrap());
        }
        let object: Value = serde_json::from_str(&kept.object(&headers).unwrap()).unwrap();
        assert_eq!(
            object,
            serde_json::json!({"x-shop": "one", "ce-id": "1", "ce-type": ["a", "b"]})
        );
        for bad in ["Authorization", "a b", "*", "cookie"] {
            assert_eq!(KeptHeaders::parse([bad].into_iter()).unwrap_err(), bad);
        }
    }
}
