//! What an answer says: its records, its failures and whose they are. Pure.

use serde_json::Value;
use serde_json::value::RawValue;

use super::definition::Success;
use super::group::Group;
use lakehook_base::json::{Members, text};

/// What an answer says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Told<'a> {
    /// The records, as they were sent.
    pub records: Vec<&'a str>,
    /// The failures, as they were sent.
    pub failures: Vec<&'a str>,
}

/// Where an answer says what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places<'a> {
    pub success: Option<&'a Success>,
    pub records: &'a str,
    pub failures: Option<&'a str>,
}

/// What keeps an answer from being one.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unusable {
    /// It is not whole, or not JSON.
    NotJson(String),
    /// It does not report success, but this value.
    NotSuccess(String),
    /// It has another form than expected.
    Form(String),
}

/// Reads an answer.
pub(super) fn read<'a>(body: &'a str, places: Places<'_>) -> Result<Told<'a>, Unusable> {
    let body = body.trim_ascii();
    let body = body.strip_prefix('\u{feff}').unwrap_or(body);
    if let Err(error) = serde_json::from_str::<&RawValue>(body) {
        return Err(Unusable::NotJson(format!(
            "the answer is not JSON: {error}"
        )));
    }
    if let Some(success) = places.success {
        let found = at(body, &success.pointer).unwrap_or("null");
        let value: Value = serde_json::from_str(found).unwrap_or_default();
        if !success
            .values
            .iter()
            .any(|wanted| are_equal(wanted, &value))
        {
            return Err(Unusable::NotSuccess(found.to_owned()));
        }
    }
    Ok(Told {
        records: list(body, places.records)?,
        failures: places
            .failures
            .map_or(Ok(Vec::new()), |pointer| list(body, pointer))?,
    })
}

/// Whether two values are equal, where a number may also be written as text.
fn are_equal(one: &Value, other: &Value) -> bool {
    let plain = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    one == other || plain(one) == plain(other)
}

/// The elements of a list; a single object is a list of one, and what is absent is an empty one.
fn list<'a>(body: &'a str, pointer: &str) -> Result<Vec<&'a str>, Unusable> {
    let Some(found) = at(body, pointer) else {
        return Ok(Vec::new());
    };
    if found.starts_with('[') {
        let items: Vec<&RawValue> = serde_json::from_str(found).unwrap_or_default();
        return Ok(items.into_iter().map(RawValue::get).collect());
    }
    match found.as_bytes() {
        b"null" => Ok(Vec::new()),
        [b'{', ..] => Ok(vec![found]),
        _ => Err(Unusable::Form(format!(
            "the answer has neither a list nor an object at {pointer:?}"
        ))),
    }
}

/// The raw value at a JSON Pointer.
fn at<'a>(body: &'a str, pointer: &str) -> Option<&'a str> {
    let mut value = body;
    for step in pointer.split('/').skip(1) {
        let key = step.replace("~1", "/").replace("~0", "~");
        value = if value.starts_with('[') {
            let items: Vec<&RawValue> = serde_json::from_str(value).ok()?;
            items.get(key.parse::<usize>().ok()?)?.get()
        } else {
            let Members(members) = serde_json::from_str(value).ok()?;
            let mut own = members.iter();
            own.find(|(name, _)| text(name).is_some_and(|name| *name == *key))?
                .1
        };
    }
    Some(value)
}

/// The index of the group that a part of an answer is about: the value of the member that keeps groups together
/// says it, wherever in the part it stands. A chunk of one group leaves no choice.
pub(super) fn group_of(part: &str, name: Option<&str>, groups: &[Group]) -> Option<usize> {
    if groups.len() == 1 {
        return Some(0);
    }
    let value: Value = serde_json::from_str(part).ok()?;
    let found = find(&value, name?)?;
    groups.iter().position(|group| {
        let own: Value = serde_json::from_str(&group.key).unwrap_or_default();
        are_equal(&own, found)
    })
}

fn find<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
    match value {
        Value::Object(members) => members
            .get(name)
            .or_else(|| members.values().find_map(|inner| find(inner, name))),
        Value::Array(items) => items.iter().find_map(|inner| find(inner, name)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn success() -> Success {
        Success {
            pointer: "/statusCode".to_owned(),
            values: vec![200.into(), 206.into()],
        }
    }

    #[test]
    fn an_answer_says_what_went_well_and_what_did_not() {
        let success = success();
        let places = Places {
            success: Some(&success),
            records: "/value",
            failures: Some("/errors"),
        };
        let body =
            r#" {"statusCode":"206","value":[{"id":1.50},{"id":2}],"errors":[{"c":"x"},"why"]} "#;
        let told = read(body, places).unwrap();
        assert_eq!(told.records, [r#"{"id":1.50}"#, r#"{"id":2}"#]);
        assert_eq!(told.failures, [r#"{"c":"x"}"#, "\"why\""]);
        let body = r#"{"statusCode":200,"value":null}"#;
        let nothing = Told {
            records: vec![],
            failures: vec![],
        };
        assert_eq!(read(body, places), Ok(nothing));
        for (body, wrong) in [
            ("{", Unusable::NotJson(String::new())),
            (
                r#"{"statusCode":500}"#,
                Unusable::NotSuccess("500".to_owned()),
            ),
            ("[]", Unusable::NotSuccess("null".to_owned())),
            (
                r#"{"statusCode":200,"value":7}"#,
                Unusable::Form(String::new()),
            ),
        ] {
            let error = read(body, places).unwrap_err();
            let is_same = std::mem::discriminant(&error) == std::mem::discriminant(&wrong);
            assert!(is_same, "{body}: {error:?}");
        }
    }

    #[test]
    fn the_whole_body_may_be_the_record() {
        let places = Places {
            success: None,
            records: "",
            failures: None,
        };
        let told = read(r#"{"name":"x"}"#, places).unwrap();
        assert_eq!(told.records, [r#"{"name":"x"}"#]);
        assert_eq!(at(r#"{"a":[{"b/c":7}]}"#, "/a/0/b~1c"), Some("7"));
    }

    #[test]
    fn failures_belong_to_groups() {
        let group = |key: &str| Group {
            key: key.to_owned(),
            ..Group::default()
        };
        let groups = [group("\"a\""), group("7")];
        let of = |part: &str| group_of(part, Some("c"), &groups);
        assert_eq!(of(r#"{"c":"a"}"#), Some(0));
        assert_eq!(of(r#"{"error":{"at":[{"c":"7"}]}}"#), Some(1));
        assert_eq!(of(r#"{"c":"b"}"#), None);
        assert_eq!(of("\"why\""), None);
        assert_eq!(group_of("\"why\"", Some("c"), &groups[..1]), Some(0));
    }
}
