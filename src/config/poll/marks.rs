//! `[poll.NAME.watermark]`: how an appending run asks for what is new; its keys and its rules.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};
use validator::Validate;

use super::super::amounts::Span;
use crate::poll::asking::AskFrom;
use crate::poll::definition::{self, Definition, GivenLag, Mode};

/// `[poll.NAME.watermark]`: how an appending run asks for what is new.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct Watermark {
    /// JSON Pointer or name of the field that grows.
    pub field: Option<String>,
    /// How records write it: a kind of time, `serial`, `text`, or a strftime text.
    pub format: Option<String>,
    /// The time zone of times without an offset.
    pub zone: Option<String>,
    /// Where it goes in a request.
    pub into: Option<String>,
    /// How requests write it, if not as records do.
    pub into_format: Option<String>,
    /// The parameter that asks for records from the watermark on: short for `into = "query:…"`.
    pub param: Option<String>,
    /// How far before the highest value seen the next run begins.
    pub lag: Option<Lag>,
    /// Where the first run begins.
    pub start: Option<String>,
}

/// A lag: a duration or, for serial numbers, a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lag {
    span: Span,
    has_unit: bool,
}

impl JsonSchema for Lag {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Lag".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Span::json_schema(generator)
    }
}

impl<'de> Deserialize<'de> for Lag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct LagVisitor;
        impl Visitor<'_> for LagVisitor {
            type Value = Lag;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration or a number")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Lag, E> {
                let span = Span::parse(text).map_err(E::custom)?;
                let has_unit = text.contains(|c: char| c.is_ascii_alphabetic());
                Ok(Lag { span, has_unit })
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Lag, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Lag, E> {
                self.visit_str(&number.to_string())
            }
        }
        deserializer.deserialize_any(LagVisitor)
    }
}

impl Watermark {
    pub(crate) fn definition(&self) -> definition::Watermark {
        definition::Watermark {
            field: self.field.clone(),
            format: self.format.clone(),
            zone: self.zone.clone(),
            into: self.into.clone(),
            into_format: self.into_format.clone(),
            param: self.param.clone(),
            lag: self.lag.map(|lag| GivenLag {
                time: lag.span.duration(),
                has_unit: lag.has_unit,
            }),
            start: self.start.clone(),
            begins: false,
        }
    }
}

/// The rules that the watermark of a poll breaks, each with its keys.
pub(in super::super) fn broken_rules(poll: &Definition) -> Vec<(Vec<String>, String)> {
    let mark = &poll.watermark;
    let is_set = !mark.is_empty();
    let key = |key: &str| match key {
        "" => "watermark".to_owned(),
        key => format!("watermark.{key}"),
    };
    let mut broken = Vec::new();
    if poll.mode == Mode::Snapshot {
        if mark.begins {
            let rule = "a mark is for mode = \"append\"; remove pagination.begin, or set that";
            broken.push((vec!["pagination.begin".to_owned()], rule.to_owned()));
        }
        if is_set {
            let rule = "a watermark is for mode = \"append\"; a snapshot is a whole copy";
            broken.push((vec![key(""), "mode".to_owned()], rule.to_owned()));
        } else if poll.keep_mark {
            let rule = "keep_mark is for mode = \"append\", whose marks it keeps; remove it";
            broken.push((vec!["keep_mark".to_owned()], rule.to_owned()));
        }
        return broken;
    }
    if mark.begins && !is_set {
        let keys = ["pagination.begin", "watermark"].map(str::to_owned);
        let rule = "pagination.begin = \"mark\" needs a watermark, whose mark is the cursor of the first page";
        broken.push((keys.to_vec(), rule.to_owned()));
    }
    if let Err(wrongs) = AskFrom::new(mark, &poll.request) {
        for wrong in wrongs {
            broken.push((vec![key(wrong.key)], wrong.rule));
        }
    }
    broken
}
