//! The form of a poll's pages: the settings in plain values, and the names of their words.

use serde_json::Value;

/// What a page looks like.
#[derive(Clone, Debug, Default)]
pub struct PageForm {
    /// JSON Pointer to the records in a page; empty for the whole body. The step `*` stands for each
    /// element.
    pub records: String,
    /// What stands there.
    pub records_as: RecordsAs,
    /// The format of a page.
    pub format: BodyFormat,
    /// The form of a table.
    pub csv: CsvForm,
    /// The key that a record gets its name in the map under.
    pub map_key: Option<String>,
    /// Where the number of records in all pages is: a JSON Pointer, or `header:NAME`.
    pub total: Option<String>,
    /// Which pages have nothing to report.
    pub empty: Empty,
    /// What a page says that reports a failure.
    pub fail_if: Option<Condition>,
    /// JSON Pointer to the text of an error.
    pub error: Option<String>,
}

/// The format of a page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BodyFormat {
    /// One JSON value.
    #[default]
    Json,
    /// One JSON value in each line.
    Ndjson,
    /// A table.
    Csv,
}

/// The form of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CsvForm {
    /// What separates values.
    pub delimiter: u8,
    /// Whether the first row has the names of the columns.
    pub header: bool,
}

/// What stands where the records are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RecordsAs {
    /// A list of records.
    #[default]
    List,
    /// An object whose values are records, by name.
    Map,
    /// One record.
    Object,
}

/// Which pages have nothing to report, and are no failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Empty {
    /// `null` in the place of the records, or on the way there.
    pub null: bool,
    /// The status 204, or a body without a byte.
    pub no_content: bool,
    /// Nothing in the place of the records.
    pub absent: bool,
}

/// A value that a page tells at a place.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// JSON Pointer to the value.
    pub pointer: String,
    /// The value; without it, anything but `null`, `false`, and what is empty.
    pub value: Option<Value>,
}

/// When a page is the last one, although it may name a next one.
#[derive(Clone, Debug, PartialEq)]
pub enum Stop {
    /// When it has no records.
    EmptyPage,
    /// When the next page that it names is itself.
    SameLink,
    /// When it has fewer records than were asked for.
    ShortPage,
    /// When it says so.
    Told(Condition),
    /// When the page after it is answered with one of these statuses.
    Status(Vec<u16>),
}

/// How far an offset goes on from page to page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Step {
    /// By the number of records in the page.
    #[default]
    Count,
    /// By the number of records that were asked for.
    Limit,
}

/// How what names the next page goes into the request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NextAs {
    /// As text or a number.
    #[default]
    Text,
    /// As the JSON value that it is, such as a list.
    Json,
    /// As parameters: it is an object of them.
    Parameters,
}

/// The cursor in the request for the first page of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Begin {
    /// There is none: the run begins with the first page of the API.
    #[default]
    First,
    /// The cursor is the mark of the run.
    Mark,
    /// The cursor is the token that the last run ended with.
    Token,
}

impl Default for Empty {
    fn default() -> Self {
        Self {
            null: true,
            no_content: true,
            absent: false,
        }
    }
}

impl Default for CsvForm {
    fn default() -> Self {
        Self {
            delimiter: b',',
            header: true,
        }
    }
}

impl BodyFormat {
    /// Every format.
    pub const ALL: [Self; 3] = [Self::Json, Self::Ndjson, Self::Csv];

    /// Name in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Ndjson => "ndjson",
            Self::Csv => "csv",
        }
    }

    /// The media types that a request accepts.
    pub(super) fn accept(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Ndjson => "application/x-ndjson, application/json",
            Self::Csv => "text/csv",
        }
    }
}

impl RecordsAs {
    /// Every form.
    pub const ALL: [Self; 3] = [Self::List, Self::Map, Self::Object];

    /// Name in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Map => "map",
            Self::Object => "object",
        }
    }
}

impl Step {
    /// Every step.
    pub const ALL: [Self; 2] = [Self::Count, Self::Limit];

    /// Name in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Limit => "limit",
        }
    }
}

impl NextAs {
    /// Every form.
    pub const ALL: [Self; 3] = [Self::Text, Self::Json, Self::Parameters];

    /// Name in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
            Self::Parameters => "parameters",
        }
    }
}

impl Begin {
    /// Every beginning.
    pub const ALL: [Self; 3] = [Self::First, Self::Mark, Self::Token];

    /// Name in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Mark => "mark",
            Self::Token => "token",
        }
    }
}

impl Condition {
    /// Whether a value of a page fulfils the condition. Numbers and words count as what they say,
    /// whether they are text or not.
    pub fn holds(&self, found: &Value) -> bool {
        match &self.value {
            None => !is_nothing(found) && *found != Value::Bool(false),
            Some(Value::Bool(expected)) => flag(found) == Some(Some(*expected)),
            Some(expected) => *found == *expected || text(found) == text(expected),
        }
    }
}

/// Whether a value stands for none: `null`, or something empty.
pub fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    }
}

/// What a flag says, in one of the ways in which APIs write it: `Some(None)` if it says nothing, and
/// `None` if it is no flag.
pub fn flag(value: &Value) -> Option<Option<bool>> {
    match value {
        Value::Bool(flag) => Some(Some(*flag)),
        // The number of records that are left is a flag too.
        Value::Number(number) => number.as_f64().map(|number| Some(number > 0.0)),
        Value::String(text) => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "yes" | "1" => Some(Some(true)),
            "false" | "no" | "0" => Some(Some(false)),
            "" => Some(None),
            _ => None,
        },
        Value::Null => Some(None),
        _ => None,
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_condition_holds_however_the_value_is_written() {
        let on = |value: Option<Value>| Condition {
            pointer: "/x".to_owned(),
            value,
        };
        for (expected, yes, no) in [
            (
                Some(json!(false)),
                vec![json!(false), json!("False"), json!(0)],
                vec![json!(true), json!(null), json!([])],
            ),
            (
                Some(json!(7)),
                vec![json!(7), json!("7")],
                vec![json!(8), json!([7]), json!(null)],
            ),
            (
                Some(json!("error")),
                vec![json!("error")],
                vec![json!("Error"), json!({"error": 1})],
            ),
            (
                None,
                vec![json!("x"), json!({"a": 1}), json!(0)],
                vec![json!(null), json!([]), json!({}), json!(""), json!(false)],
            ),
        ] {
            let condition = on(expected);
            for value in yes {
                assert!(condition.holds(&value), "{condition:?} {value}");
            }
            for value in no {
                assert!(!condition.holds(&value), "{condition:?} {value}");
            }
        }
    }

    #[test]
    fn flags_are_written_in_many_ways() {
        for (value, said) in [
            (json!(true), Some(Some(true))),
            (json!("FALSE"), Some(Some(false))),
            (json!("1"), Some(Some(true))),
            (json!(0), Some(Some(false))),
            (json!(17), Some(Some(true))),
            (json!(null), Some(None)),
            (json!("maybe"), None),
            (json!({}), None),
        ] {
            assert_eq!(flag(&value), said, "{value}");
        }
    }
}
