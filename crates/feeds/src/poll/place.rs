//! Places in a page, as the configuration names them: JSON Pointers (RFC 6901), headers, and the
//! first or last record.

use std::fmt;

use http::HeaderName;

/// Most steps of a pointer.
const MAX_STEPS: usize = 32;

/// One step of a pointer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The member with this key or, in a list, the element with this index.
    Key(String, Option<u64>),
    /// Each element of a list, or each value of an object.
    Each,
}

impl Step {
    /// Whether the step leads to the member with this key.
    pub fn takes_key(&self, key: &str) -> bool {
        match self {
            Self::Key(own, _) => own == key,
            Self::Each => true,
        }
    }

    /// Whether the step leads to the element with this index.
    pub fn takes_index(&self, index: u64) -> bool {
        match self {
            Self::Key(_, own) => *own == Some(index),
            Self::Each => true,
        }
    }

    /// Whether the step can lead into a list.
    pub fn may_be_index(&self) -> bool {
        !matches!(self, Self::Key(_, None))
    }
}

/// A place in a JSON value: the steps that lead to it from the top.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place(Vec<Step>);

impl Place {
    /// Reads a pointer; `""` is the whole value.
    pub fn parse(pointer: &str) -> Result<Self, String> {
        Self::read(pointer, false)
    }

    /// Reads a pointer in which the step `*` stands for each element.
    pub fn parse_each(pointer: &str) -> Result<Self, String> {
        Self::read(pointer, true)
    }

    fn read(pointer: &str, has_each: bool) -> Result<Self, String> {
        if pointer.is_empty() {
            return Ok(Self::default());
        }
        let Some(rest) = pointer.strip_prefix('/') else {
            return Err(format!(
                "{pointer:?} must be a JSON Pointer into the body, which starts with a slash, such as \
                 \"/data/items\""
            ));
        };
        if rest.is_empty() {
            return Err(
                "\"/\" names the key \"\"; the whole body is \"\", and a key is \"/key\""
                    .to_owned(),
            );
        }
        let steps: Result<Vec<Step>, String> = rest
            .split('/')
            .map(|text| match text {
                "*" if has_each => Ok(Step::Each),
                "*" => Err(format!(
                    "{pointer:?} has the step \"*\", which only records may have"
                )),
                text => key(text).ok_or_else(|| {
                    format!(
                        "{pointer:?} has a ~ that is neither ~0 (which stands for ~) nor ~1 (which \
                         stands for /)"
                    )
                }),
            })
            .collect();
        let steps = steps?;
        if steps.len() > MAX_STEPS {
            return Err(format!("{pointer:?} has more than {MAX_STEPS} steps"));
        }
        Ok(Self(steps))
    }

    /// The steps, outermost first.
    pub fn steps(&self) -> &[Step] {
        &self.0
    }

    /// Whether a step stands for each element.
    pub fn has_each(&self) -> bool {
        self.0.contains(&Step::Each)
    }

    /// The place beside this one with another key.
    #[must_use]
    pub fn beside(&self, key: &str) -> Self {
        let mut steps = self.0.clone();
        steps.pop();
        steps.push(Step::Key(key.to_owned(), None));
        Self(steps)
    }

    /// Whether this place is the other one or within it.
    pub fn is_within(&self, other: &Self) -> bool {
        self.0.starts_with(&other.0)
    }

    /// The value at the place; `None` if there is none.
    pub fn find<'v>(&self, value: &'v serde_json::Value) -> Option<&'v serde_json::Value> {
        self.0.iter().try_fold(value, |value, step| match step {
            Step::Key(key, index) => match value {
                serde_json::Value::Object(members) => members.get(key),
                serde_json::Value::Array(list) => list.get(usize::try_from((*index)?).ok()?),
                _ => None,
            },
            Step::Each => None,
        })
    }
}

/// A step by its text.
fn key(text: &str) -> Option<Step> {
    let mut key = String::with_capacity(text.len());
    let mut parts = text.split('~');
    key.push_str(parts.next()?);
    for part in parts {
        key.push(match part.chars().next()? {
            '0' => '~',
            '1' => '/',
            _ => return None,
        });
        key.push_str(&part[1..]);
    }
    let is_index =
        text == "0" || !text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit());
    let index = text.parse().ok().filter(|_| is_index);
    Some(Step::Key(key, index))
}

impl fmt::Display for Place {
    /// The pointer; "the body" for the whole of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("the body");
        }
        self.0.iter().try_for_each(|step| match step {
            Step::Key(key, _) => write!(f, "/{}", key.replace('~', "~0").replace('/', "~1")),
            Step::Each => f.write_str("/*"),
        })
    }
}

/// Where a value that a page tells is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// In the body.
    Body(Place),
    /// In a header of the answer.
    Header(HeaderName),
    /// In the first record of the page.
    First(Place),
    /// In the last record of the page.
    Last(Place),
}

impl Source {
    /// Reads `"/pointer"`, `"header:NAME"`, `"first:/pointer"` or `"last:/pointer"`.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(name) = text.strip_prefix("header:") {
            let name = HeaderName::from_bytes(name.trim().as_bytes());
            return name.map(Self::Header).map_err(|_| {
                format!("{text:?} must name a header, such as \"header:x-next-page\"")
            });
        }
        for (prefix, of) in [
            ("first:", Self::First as fn(Place) -> Self),
            ("last:", Self::Last),
        ] {
            let Some(pointer) = text.strip_prefix(prefix) else {
                continue;
            };
            let place = Place::parse(pointer)?;
            if place.steps().is_empty() {
                let rule =
                    format!("{text:?} must name a value of the record, such as \"{prefix}/id\"");
                return Err(rule);
            }
            return Ok(of(place));
        }
        Place::parse(text).map(Self::Body)
    }

    /// The place in the body, if it is there.
    pub fn body(&self) -> Option<&Place> {
        match self {
            Self::Body(place) => Some(place),
            _ => None,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Body(place) => place.fmt(f),
            Self::Header(name) => write!(f, "the header {name}"),
            Self::First(place) => write!(f, "{place} of the first record"),
            Self::Last(place) => write!(f, "{place} of the last record"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_are_those_of_rfc_6901() {
        let place = Place::parse("/a~1b/~01/0/00/x").unwrap_or_default();
        let key = |text: &str, index| Step::Key(text.to_owned(), index);
        let expected = [
            key("a/b", None),
            key("~1", None),
            key("0", Some(0)),
            key("00", None),
            key("x", None),
        ];
        assert_eq!(place.steps(), expected);
        assert_eq!(place.to_string(), "/a~1b/~01/0/00/x");
        assert_eq!(Place::default().to_string(), "the body");
        let body = serde_json::json!({"0": [{"a": 7}]});
        let found = |text| {
            let place = Place::parse(text).unwrap_or_default();
            place.find(&body).cloned()
        };
        assert_eq!(found("/0/0/a"), Some(7.into()));
        assert_eq!((found("/0/1/a"), found("/0/a")), (None, None));
        for wrong in ["a", "/", "/a~", "/a~2", "/a/*"] {
            assert!(Place::parse(wrong).is_err(), "{wrong}");
        }
        let each = Place::parse_each("/items/*/item").unwrap_or_default();
        assert!(each.has_each() && each.steps()[1].takes_index(5));
        assert!(Place::parse(&"/a".repeat(33)).is_err());
    }

    #[test]
    fn sources_say_where_a_value_is() {
        let shown = |text: &str| Source::parse(text).map(|source| source.to_string());
        assert_eq!(shown("/next").as_deref(), Ok("/next"));
        assert_eq!(
            shown("header:X-Next-Page").as_deref(),
            Ok("the header x-next-page")
        );
        assert_eq!(shown("last:/id").as_deref(), Ok("/id of the last record"));
        assert_eq!(shown("first:/id").as_deref(), Ok("/id of the first record"));
        for wrong in ["header:a b", "last:", "last:id", "next"] {
            assert!(shown(wrong).is_err(), "{wrong}");
        }
    }
}
