//! The events in a body of a hook: one object, a list, lines, or the batch of a client.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::delivery::BodyForm;
use super::hooks::{Hook, Judging};
use super::packs::Shape;
use crate::contract::{Contract, MAX_ERRORS, Refusal};
use crate::json::{self, Members};
use crate::quarantine::FieldError;

/// What stands beside the events of a batch is kept with each of them, but not more than so many bytes in all.
const MAX_BESIDE: usize = 1 << 20;
/// The member of a batch that holds its events.
const BATCH: &str = "batch";

/// An event in a body.
pub(super) struct Element<'t> {
    /// The event as it was sent, without a secret of its sender.
    pub(super) raw: Cow<'t, str>,
    /// Its JSON Pointer; empty if it is the whole body.
    pub(super) pointer: String,
}

/// The events of a body.
pub(super) struct Elements<'t> {
    /// The events, in their order.
    pub(super) list: Vec<Element<'t>>,
    /// What stands beside the events of a batch, as a JSON object.
    pub(super) beside: Option<String>,
}

impl Hook {
    /// The events of a body: an object, the elements of an array or of a batch, or the lines of NDJSON.
    pub(super) fn elements<'t>(
        &self,
        text: &'t str,
        with: &Judging<'_>,
    ) -> Result<Elements<'t>, Refusal> {
        let found = match with.form {
            BodyForm::Lines => {
                let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
                Found::list(lines.collect(), "")
            }
            _ if text.starts_with('[') => Found::list(listed(text), ""),
            _ => match self.shape {
                Shape::Batch(_) => batch_of(text, &self.secret_members)?,
                _ => Found::single(without(text, &self.secret_members)),
            },
        };
        let rules = with.contract.rules();
        let max_events = rules.max_events;
        if found.raws.len() > max_events {
            return Err(Refusal::TooManyEvents { max_events });
        }
        let max_event_bytes = self.max_body.unwrap_or(rules.max_event_bytes);
        if let Some(index) = found
            .raws
            .iter()
            .position(|raw| raw.len() > max_event_bytes)
        {
            return Err(Refusal::EventTooLarge {
                index,
                max_event_bytes,
            });
        }
        found.check_beside(with.contract)?;
        let is_alone =
            found.prefix.is_none() || matches!(with.form, BodyForm::Lines) && found.raws.len() == 1;
        let prefix = found.prefix.unwrap_or_default();
        let mut list = Vec::with_capacity(found.raws.len());
        for (index, raw) in found.raws.into_iter().enumerate() {
            let raw = match (with.form, raw) {
                (BodyForm::Lines, Cow::Borrowed(line)) => {
                    Cow::Borrowed(with.contract.foreign_text(line.as_bytes())?)
                }
                (_, raw) => raw,
            };
            let pointer = if is_alone {
                String::new()
            } else {
                format!("{prefix}/{index}")
            };
            list.push(Element { raw, pointer });
        }
        Ok(Elements {
            list,
            beside: found.beside,
        })
    }
}

/// What was found in a body.
struct Found<'t> {
    raws: Vec<Cow<'t, str>>,
    /// The pointer to the list; `None` if there is none.
    prefix: Option<&'static str>,
    beside: Option<String>,
}

impl<'t> Found<'t> {
    fn list(raws: Vec<&'t str>, prefix: &'static str) -> Self {
        Self {
            raws: raws.into_iter().map(Cow::Borrowed).collect(),
            prefix: Some(prefix),
            beside: None,
        }
    }

    fn single(raw: Cow<'t, str>) -> Self {
        Self {
            raws: vec![raw],
            prefix: None,
            beside: None,
        }
    }

    /// What stands beside a batch becomes a part of each row, and so must be readable to engines.
    fn check_beside(&self, contract: &Contract) -> Result<(), Refusal> {
        let Some(beside) = &self.beside else {
            return Ok(());
        };
        if !self.is_beside_small() {
            let detail = "at most 1 MiB beside the batch, counted once for each of its events";
            return Err(invalid(FieldError::of_body("too_much_beside", detail)));
        }
        match contract.foreign_errors(beside, "", MAX_ERRORS) {
            (_, 0) => Ok(()),
            (errors, errors_total) => Err(Refusal::Invalid {
                errors,
                errors_total,
            }),
        }
    }

    fn is_beside_small(&self) -> bool {
        let bytes = self.beside.as_ref().map_or(0, String::len);
        bytes.saturating_mul(self.raws.len()) <= MAX_BESIDE
    }
}

fn invalid(error: FieldError) -> Refusal {
    Refusal::Invalid {
        errors: vec![error],
        errors_total: 1,
    }
}

/// The elements of an array that was read as JSON before.
fn listed(raw: &str) -> Vec<&str> {
    let list: Vec<&RawValue> = serde_json::from_str(raw).unwrap_or_default();
    list.into_iter().map(RawValue::get).collect()
}

/// The events of a batch, or the one event that a body is. Members that hold a secret are left out.
fn batch_of<'t>(text: &'t str, secrets: &[Box<str>]) -> Result<Found<'t>, Refusal> {
    let Ok(Members(members)) = serde_json::from_str(text) else {
        return Ok(Found::single(Cow::Borrowed(text)));
    };
    let is_batch = |key: &str| json::text(key).as_deref() == Some(BATCH);
    let mut batches = members
        .iter()
        .filter(|(key, value)| is_batch(key) && value.starts_with('['));
    let batch = batches.next();
    if batches.next().is_some() {
        let detail = "one member `batch`, and not several";
        return Err(invalid(FieldError::of_body("duplicate_key", detail)));
    }
    if batch.is_none() {
        return Ok(Found::single(without(text, secrets)));
    }
    let others = members
        .iter()
        .filter(|(key, _)| !is_one_of(key, secrets) && !is_batch(key));
    let others: Vec<String> = others
        .map(|(key, value)| format!("{key}:{value}"))
        .collect();
    let object = || format!("{{{}}}", others.join(","));
    Ok(match batch {
        Some((_, list)) => Found {
            beside: (!others.is_empty()).then(object),
            ..Found::list(listed(list), "/batch")
        },
        None => Found::single(Cow::Borrowed(text)),
    })
}

/// Whether a raw key is one of these names.
fn is_one_of(key: &str, names: &[Box<str>]) -> bool {
    json::text(key).is_some_and(|key| names.iter().any(|name| **name == *key))
}

/// An event without those members of it that hold a secret.
fn without<'t>(text: &'t str, secrets: &[Box<str>]) -> Cow<'t, str> {
    if secrets.is_empty() {
        return Cow::Borrowed(text);
    }
    let Ok(Members(members)) = serde_json::from_str(text) else {
        return Cow::Borrowed(text);
    };
    if !members.iter().any(|(key, _)| is_one_of(key, secrets)) {
        return Cow::Borrowed(text);
    }
    let others = members.iter().filter(|(key, _)| !is_one_of(key, secrets));
    let others: Vec<String> = others
        .map(|(key, value)| format!("{key}:{value}"))
        .collect();
    Cow::Owned(format!("{{{}}}", others.join(",")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;

    fn parts(text: &str) -> (Vec<String>, Option<String>) {
        let found = batch_of(text, &["writeKey".into()]).unwrap();
        let raws = found.raws.into_iter().map(Cow::into_owned).collect();
        (raws, found.beside)
    }

    #[test]
    fn a_batch_is_taken_apart_and_its_secret_is_left_out() {
        let own = |texts: &[&str]| {
            texts
                .iter()
                .map(|&text| text.to_owned())
                .collect::<Vec<_>>()
        };
        let batch = r#"{"batch" : [ {"a":1}, 2 ], "writeKey":"secret", "sentAt":"now"}"#;
        assert_eq!(
            parts(batch),
            (
                own(&[r#"{"a":1}"#, "2"]),
                Some(r#"{"sentAt":"now"}"#.to_owned())
            )
        );
        assert_eq!(parts(r#"{"batch":[]}"#), (Vec::new(), None));
        for (alone, kept) in [
            (r#"{"event":"a"}"#, r#"{"event":"a"}"#),
            (r#"{"event":"a","writeKey":"k"}"#, r#"{"event":"a"}"#),
            (r#"{"batch":7,"write\u004bey":"k"}"#, r#"{"batch":7}"#),
            ("7", "7"),
        ] {
            assert_eq!(parts(alone), (own(&[kept]), None), "{alone}");
        }
        assert!(batch_of(r#"{"batch":[],"batch":[{}]}"#, &[]).is_err());
    }

    #[test]
    fn what_stands_beside_a_batch_is_bounded() {
        let found = |events: usize, bytes: usize| Found {
            raws: vec![Cow::Borrowed("{}"); events],
            prefix: Some("/batch"),
            beside: Some("x".repeat(bytes)),
        };
        assert!(found(1024, 1024).is_beside_small());
        assert!(!found(1025, 1024).is_beside_small());
    }
}
