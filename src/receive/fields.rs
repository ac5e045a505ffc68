//! Where a provider's requests have an event's id, type and time.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName};
use serde_json::Value;

/// Places in a request, of which the first that has a value counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSource(Vec<FieldPlace>);

/// A place in a request.
#[derive(Clone, Debug, PartialEq, Eq)]
enum FieldPlace {
    /// A header, in lower case.
    Header(String),
    /// A JSON Pointer into the body.
    Body(String),
}

/// What becomes of an event without an id at the places where ids are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WithoutId {
    /// Its content is its id: equal bytes are one event.
    #[default]
    Content,
    /// It gets a new id: equal bytes are several events.
    Fresh,
}

impl FieldSource {
    /// Parses places, each `header:X-Name` or a JSON Pointer. `None` if one of them is neither.
    pub fn parse<'t>(places: impl IntoIterator<Item = &'t str>) -> Option<Self> {
        let places = places.into_iter().map(FieldPlace::parse);
        places.collect::<Option<Vec<_>>>().map(Self)
    }

    /// Whether one of the places is this header.
    pub(super) fn looks_at(&self, name: &HeaderName) -> bool {
        let mut places = self.0.iter();
        places.any(|place| matches!(place, FieldPlace::Header(known) if known == name.as_str()))
    }

    /// The first value that is there.
    pub fn find<'a>(&self, headers: &'a HeaderMap, body: &'a Value) -> Option<Cow<'a, str>> {
        self.0.iter().find_map(|place| place.find(headers, body))
    }
}

impl FieldPlace {
    fn parse(text: &str) -> Option<Self> {
        if let Some(name) = text.strip_prefix("header:") {
            let name = http::HeaderName::from_bytes(name.trim().as_bytes()).ok()?;
            return Some(Self::Header(name.as_str().to_owned()));
        }
        text.starts_with('/').then(|| Self::Body(text.to_owned()))
    }

    fn find<'a>(&self, headers: &'a HeaderMap, body: &'a Value) -> Option<Cow<'a, str>> {
        let found = match self {
            Self::Header(name) => Cow::Borrowed(headers.get(name)?.to_str().ok()?),
            Self::Body(pointer) => match body.pointer(pointer)? {
                Value::String(text) => Cow::Borrowed(text.as_str()),
                Value::Number(number) => Cow::Owned(number.to_string()),
                _ => return None,
            },
        };
        (!found.is_empty()).then_some(found)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use serde_json::json;

    use super::*;

    #[test]
    fn the_first_value_that_is_there_counts() {
        let source = FieldSource::parse(["/event/type", "header:X-Type", "/type"]).unwrap();
        let mut headers = HeaderMap::new();
        let find =
            |headers: &HeaderMap, body: Value| source.find(headers, &body).map(Cow::into_owned);
        let of = |text: &str| Some(text.to_owned());
        assert_eq!(
            find(&headers, json!({"event": {"type": "a"}, "type": "b"})),
            of("a")
        );
        assert_eq!(
            find(&headers, json!({"event": {"type": ""}, "type": 7})),
            of("7")
        );
        headers.insert("x-type", "c".parse().unwrap());
        assert_eq!(
            find(&headers, json!({"event": {"type": {}}, "type": "b"})),
            of("c")
        );
        assert_eq!(FieldSource::default().find(&headers, &json!({})), None);
        for bad in ["type", "header:", "header:a b", ""] {
            assert_eq!(FieldSource::parse(["/type", bad]), None, "{bad}");
        }
    }
}
