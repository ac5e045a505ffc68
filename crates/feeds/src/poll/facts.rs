//! What a page says besides its records, however the API writes it.

use http::{HeaderName, HeaderValue};
use serde_json::Value;

use super::form::{NextAs, flag, is_nothing};
use super::wanted::What;

/// Most bytes of a cursor or a URL that names the next page.
pub const MAX_NEXT_BYTES: usize = 64 << 10;
/// Numbers up to this are whole, if they are written with a point.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

/// What a page says besides its records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageFacts {
    /// Number of records in the page.
    pub records: u64,
    /// Number of records in all pages, if the page says so.
    pub total: Option<u64>,
    /// Number of pages, if the page says so.
    pub pages: Option<u64>,
    /// Whether the page says that there is a next one.
    pub more: Option<bool>,
    /// Whether the page says that it is the last one.
    pub is_last: Option<bool>,
    /// The next page's cursor or URL.
    pub next: Option<String>,
    /// How it goes into the request.
    pub next_as: NextAs,
    /// Whether that is the page itself.
    pub names_itself: bool,
    /// The token that the next run begins with.
    pub token: Option<String>,
    /// What was looked for and is not there at all, not even as null.
    pub absent: Vec<Absent>,
    /// Where the page hints at a next one, although nobody asked it to.
    pub hint: Option<String>,
    /// Hash of the records.
    pub hash: u64,
}

/// A value that a page does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Absent {
    /// What it would say.
    pub what: What,
    /// Where it should be.
    pub place: String,
}

impl PageFacts {
    /// Takes a value; `false` if it cannot be one of these.
    pub(super) fn take(&mut self, what: What, value: &Value) -> bool {
        let (place, read) = match what {
            What::Total => (&mut self.total, number(value)),
            What::Pages => (&mut self.pages, number(value)),
            What::More => {
                let said = said(value);
                self.more = said.flatten();
                return said.is_some();
            }
            What::Next | What::Token => {
                let named = match self.next_as {
                    NextAs::Text => next(value),
                    _ if what == What::Token => next(value),
                    NextAs::Json => Some(json(value)),
                    NextAs::Parameters => parameters(value),
                };
                let place = if what == What::Next {
                    &mut self.next
                } else {
                    &mut self.token
                };
                let is_sound = named.is_some();
                *place = named.flatten();
                return is_sound;
            }
            _ => return false,
        };
        *place = read.flatten();
        read.is_some()
    }
}

impl PageFacts {
    /// Takes a value from a header, where an empty one is none.
    pub(super) fn take_header(
        &mut self,
        what: What,
        name: &HeaderName,
        value: Option<&HeaderValue>,
    ) -> Result<(), String> {
        let Some(value) = value else {
            let place = format!("the header {name}");
            self.absent.push(Absent { what, place });
            return Ok(());
        };
        let text = value.to_str().map(str::trim).ok();
        match text.map(|text| self.take(what, &Value::from(text))) {
            Some(true) => Ok(()),
            _ => Err(format!("the header {name} is not {}", what.expected())),
        }
    }
}

/// A number of records or pages: `Some(None)` if the value does not say an exact one (as -1 does, for
/// "not known"), and `None` if it is none.
pub fn number(value: &Value) -> Option<Option<u64>> {
    match value {
        value if is_nothing(value) => Some(None),
        Value::Number(number) => {
            let whole = number.as_u64().or_else(|| number.as_f64().and_then(whole));
            let is_unknown = number.as_i64() == Some(-1);
            whole.map(Some).or(is_unknown.then_some(None))
        }
        Value::String(text) => {
            let text = text.trim();
            let whole = text
                .parse()
                .ok()
                .or_else(|| text.parse().ok().and_then(whole));
            whole.map(Some).or((text == "-1").then_some(None))
        }
        // A search engine counts up to a cap, and says whether it has stopped there.
        Value::Object(members) => {
            if members.get("relation").is_some_and(|how| how != "eq") {
                return Some(None);
            }
            members
                .get("value")
                .filter(|v| !v.is_object())
                .and_then(number)
        }
        _ => None,
    }
}

/// A whole number that is written with a point.
#[expect(
    clippy::cast_sign_loss,
    reason = "the number was found to be positive and whole"
)]
fn whole(number: f64) -> Option<u64> {
    let is_whole = (0.0..=MAX_EXACT).contains(&number) && number.fract() == 0.0;
    is_whole.then_some(number as u64)
}

/// What a flag says; see [`flag`].
pub fn said(value: &Value) -> Option<Option<bool>> {
    if matches!(value, Value::Array(list) if list.is_empty()) {
        return Some(None);
    }
    flag(value)
}

/// What names the next page: a cursor, a URL, or a link object. `Some(None)` if there is none, and
/// `None` if the value cannot name one.
pub fn next(value: &Value) -> Option<Option<String>> {
    match value {
        Value::String(text) if text.len() <= MAX_NEXT_BYTES => {
            Some(Some(text.clone()).filter(|text| !text.is_empty()))
        }
        Value::Number(number) => Some(Some(number.to_string())),
        Value::Bool(false) => Some(None),
        value if is_nothing(value) => Some(None),
        Value::Object(link) => {
            let target = link.get("href").or_else(|| link.get("url"))?;
            (!target.is_object()).then(|| next(target))?
        }
        Value::Array(links) => {
            let relation = |link: &Value| {
                let relation = link.get("rel").or_else(|| link.get("relation"))?;
                relation.as_str().map(str::to_owned)
            };
            if !links.iter().all(|link| relation(link).is_some()) {
                return None;
            }
            let following = links.iter().find(|link| {
                relation(link).is_some_and(|relation| relation.eq_ignore_ascii_case("next"))
            });
            following.map_or(Some(None), next)
        }
        _ => None,
    }
}

/// What names the next page as JSON, unless it is nothing.
pub fn json(value: &Value) -> Option<String> {
    let is_none = is_nothing(value) || *value == Value::Bool(false);
    let text = (!is_none).then(|| value.to_string());
    text.filter(|text| text.len() <= MAX_NEXT_BYTES)
}

/// What names the next page as an object of parameters; see [`next`].
pub fn parameters(value: &Value) -> Option<Option<String>> {
    let is_single = |value: &Value| !value.is_object() && !value.is_array() && !value.is_null();
    match value {
        value if is_nothing(value) => Some(None),
        Value::Bool(false) => Some(None),
        Value::Object(members) if members.values().all(is_single) => json(value).map(Some),
        _ => None,
    }
}

/// The parameters of a cursor that is an object of them.
pub(super) fn parameters_of(cursor: &str) -> Vec<(String, String)> {
    let members: serde_json::Map<String, Value> = serde_json::from_str(cursor).unwrap_or_default();
    let text = |value: Value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    let members = members.into_iter();
    members.map(|(name, value)| (name, text(value))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_cursor_may_be_a_list_or_an_object_of_parameters() {
        let named = |next_as, value: &Value| {
            let mut facts = PageFacts {
                next_as,
                ..PageFacts::default()
            };
            facts.take(What::Next, value).then_some(facts.next)
        };
        for (value, as_json, as_parameters) in [
            (json!([7, "a"]), Some(Some("[7,\"a\"]")), None),
            (
                json!({"a": 1, "b": "x"}),
                Some(Some(r#"{"a":1,"b":"x"}"#)),
                Some(Some(r#"{"a":1,"b":"x"}"#)),
            ),
            (json!({"a": [1]}), Some(Some(r#"{"a":[1]}"#)), None),
            (json!("x"), Some(Some("\"x\"")), None),
            (json!(null), Some(None), Some(None)),
            (json!({}), Some(None), Some(None)),
        ] {
            let found = named(NextAs::Json, &value);
            assert_eq!(found.as_ref().map(Option::as_deref), as_json, "{value}");
            let found = named(NextAs::Parameters, &value);
            assert_eq!(
                found.as_ref().map(Option::as_deref),
                as_parameters,
                "{value}"
            );
        }
        let pairs = parameters_of(r#"{"rccontinue":"2026|1","n":5}"#);
        let expected = [("n", "5"), ("rccontinue", "2026|1")];
        assert_eq!(
            pairs,
            expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
    }

    #[test]
    fn totals_are_written_in_many_ways() {
        for (value, expected) in [
            (json!(7), Some(Some(7))),
            (json!("7"), Some(Some(7))),
            (json!(7.0), Some(Some(7))),
            (json!("7.0"), Some(Some(7))),
            (json!(null), Some(None)),
            (json!(""), Some(None)),
            (json!(-1), Some(None)),
            (json!({"value": 7, "relation": "eq"}), Some(Some(7))),
            (json!({"value": 10_000, "relation": "gte"}), Some(None)),
            (json!(7.5), None),
            (json!("many"), None),
            (json!(-2), None),
            (json!([1]), None),
            (json!({"count": 7}), None),
        ] {
            assert_eq!(number(&value), expected, "{value}");
        }
    }

    #[test]
    fn a_next_page_is_named_in_many_ways() {
        let named = |text: &str| Some(Some(text.to_owned()));
        for (value, expected) in [
            (json!("abc"), named("abc")),
            (json!(17), named("17")),
            (json!({"href": "/b"}), named("/b")),
            (json!({"url": "/b", "label": "next"}), named("/b")),
            (
                json!([{"relation": "self", "url": "/a"}, {"relation": "next", "url": "/b"}]),
                named("/b"),
            ),
            (json!([{"rel": "self", "href": "/a"}]), Some(None)),
            (json!({"href": null}), Some(None)),
            (json!(null), Some(None)),
            (json!(""), Some(None)),
            (json!(false), Some(None)),
            (json!([]), Some(None)),
            (json!({}), Some(None)),
            (json!(true), None),
            (json!(["x"]), None),
            (json!({"page": 2}), None),
            (json!("x".repeat(MAX_NEXT_BYTES + 1)), None),
        ] {
            assert_eq!(next(&value), expected, "{value}");
        }
    }
}
