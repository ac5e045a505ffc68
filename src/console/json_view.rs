//! JSON as it was sent, in lines, with the places of errors marked; values only if they may be shown.

use std::collections::BTreeSet;

use maud::{Markup, html};
use serde_json::Value;
use serde_json::value::RawValue;

use super::shown;
use crate::json::{Members, text};

/// More lines are left out.
const MAX_LINES: usize = 1_000;
/// What is nested deeper is left out.
const MAX_DEPTH: usize = 24;
/// Longer values are cut.
const MAX_CHARS: usize = 2_000;

/// What a page says of a value.
enum Part {
    /// The value.
    Text(String),
    /// What kind of value it is, in its place.
    Hidden(String),
    /// Something that is expected and not there.
    Missing,
    /// An opening or closing bracket.
    Bracket(&'static str),
}

struct Line {
    depth: usize,
    name: Option<String>,
    part: Part,
    is_marked: bool,
}

/// The lines of a JSON text; `None` if it is none. `pointers` are JSON Pointers to what is marked: into the text, or
/// into something larger that it is a part of.
pub(super) fn view(raw: &str, pointers: &[&str], shows_values: bool) -> Option<Markup> {
    let value: Value = serde_json::from_str(raw).ok()?;
    let marks = pointers.iter().map(|pointer| within(&value, pointer));
    let mut printer = Printer {
        marks: marks.collect(),
        shows_values,
        lines: Vec::new(),
        left_out: false,
    };
    printer.put("", 0, None, raw.trim());
    Some(printer.render())
}

/// The part of a pointer that leads to something in this value, or else to a member that an object in it lacks; the whole
/// value if the pointer is about neither.
fn within(value: &Value, pointer: &str) -> String {
    let starts = pointer.match_indices('/').map(|(at, _)| &pointer[at..]);
    let ends: Vec<&str> = starts.collect();
    let is_there = |end: &&&str| value.pointer(end).is_some();
    let is_lacking = |end: &&&str| {
        let (parent, name) = end.rsplit_once('/').unwrap_or_default();
        let is_position = name.bytes().all(|byte| byte.is_ascii_digit());
        !is_position && value.pointer(parent).is_some_and(Value::is_object)
    };
    let end = ends
        .iter()
        .find(is_there)
        .or_else(|| ends.iter().find(is_lacking));
    end.map_or_else(String::new, |end| (*end).to_owned())
}

struct Printer {
    marks: BTreeSet<String>,
    shows_values: bool,
    lines: Vec<Line>,
    left_out: bool,
}

impl Printer {
    fn put(&mut self, pointer: &str, depth: usize, name: Option<&str>, raw: &str) {
        let is_marked = self.marks.contains(pointer);
        let mut add = |part| self.add(depth, name, part, is_marked);
        match raw.as_bytes().first() {
            _ if depth > MAX_DEPTH => add(Part::Hidden("nested deeper".to_owned())),
            Some(b'{') => {
                add(Part::Bracket("{"));
                self.put_members(pointer, depth, raw);
                self.add(depth, None, Part::Bracket("}"), false);
            }
            Some(b'[') => {
                add(Part::Bracket("["));
                let items: Vec<&RawValue> = serde_json::from_str(raw).unwrap_or_default();
                for (at, item) in items.iter().enumerate() {
                    if self.is_full() {
                        break;
                    }
                    self.put(&format!("{pointer}/{at}"), depth + 1, None, item.get());
                }
                self.add(depth, None, Part::Bracket("]"), false);
            }
            _ => {
                let part = self.scalar(raw);
                self.add(depth, name, part, is_marked);
            }
        }
    }

    fn put_members(&mut self, pointer: &str, depth: usize, raw: &str) {
        let Ok(Members(members)) = serde_json::from_str(raw) else {
            return;
        };
        let names: Vec<String> = members
            .iter()
            .map(|(key, _)| text(key).unwrap_or_default().into_owned())
            .collect();
        for (name, (_, value)) in names.iter().zip(&members) {
            if self.is_full() {
                break;
            }
            let below = format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"));
            self.put(&below, depth + 1, Some(name), value);
        }
        let lacking: Vec<String> = self
            .marks
            .iter()
            .filter_map(|mark| {
                let (parent, name) = mark.rsplit_once('/')?;
                let name = name.replace("~1", "/").replace("~0", "~");
                (parent == pointer && !names.contains(&name)).then_some(name)
            })
            .collect();
        for name in lacking {
            self.add(depth + 1, Some(&name), Part::Missing, true);
        }
    }

    fn scalar(&self, raw: &str) -> Part {
        if self.shows_values || raw == "null" {
            return Part::Text(shown::beginning(raw, MAX_CHARS));
        }
        Part::Hidden(match raw.as_bytes().first() {
            Some(b'"') => {
                let length = text(raw).map_or(0, |text| text.chars().count());
                format!(
                    "text, {}",
                    shown::counted(length as u64, "character", "characters")
                )
            }
            Some(b't' | b'f') => "true or false".to_owned(),
            _ => "number".to_owned(),
        })
    }

    fn is_full(&mut self) -> bool {
        let is_full = self.lines.len() >= MAX_LINES;
        self.left_out |= is_full;
        is_full
    }

    fn add(&mut self, depth: usize, name: Option<&str>, part: Part, is_marked: bool) {
        self.lines.push(Line {
            depth,
            name: name.map(|name| shown::beginning(name, MAX_CHARS)),
            part,
            is_marked,
        });
    }

    fn render(self) -> Markup {
        html! {
            div .json tabindex="0" role="region" aria-label="What was sent" {
                @for line in &self.lines {
                    div .line .marked[line.is_marked] {
                        @for _ in 0..line.depth { span .indent {} }
                        @if let Some(name) = &line.name { span .name { (name) } span .faint { ": " } }
                        @match &line.part {
                            Part::Text(text) => span .value { (text) },
                            Part::Hidden(kind) => span .hidden { (kind) },
                            Part::Missing => em { "missing" },
                            Part::Bracket(bracket) => span .faint { (bracket) },
                        }
                    }
                }
                @if self.left_out { div .line .faint { "… and more" } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;

    const EVENT: &str = r#"{"b": "<i>x</i>", "a": {"x/y": 7, "list": [true, null]}}"#;

    fn shown_as(raw: &str, pointers: &[&str], shows_values: bool) -> String {
        view(raw, pointers, shows_values).unwrap().into_string()
    }

    #[test]
    fn values_are_shown_as_they_were_sent_and_escaped() {
        let text = shown_as(EVENT, &[], true);
        assert!(
            text.contains("&lt;i&gt;x&lt;/i&gt;") && !text.contains("<i>"),
            "{text}"
        );
        assert!(
            text.find("&lt;i&gt;") < text.find("list"),
            "the order is that of the sender"
        );
        assert!(!text.contains("marked"));
    }

    #[test]
    fn values_are_hidden_unless_they_may_be_shown() {
        let text = shown_as(EVENT, &[], false);
        for hidden in ["&lt;i&gt;", ">7<", "true<"] {
            assert!(!text.contains(hidden), "{hidden}: {text}");
        }
        assert!(
            text.contains("text, 8\u{a0}characters")
                && text.contains("number")
                && text.contains("null")
        );
    }

    #[test]
    fn places_are_marked_also_those_of_something_larger_and_those_that_are_missing() {
        let marked = |pointer: &str| {
            let text = shown_as(EVENT, &[pointer], true);
            let line = text
                .split("<div class=\"line")
                .find(|line| line.starts_with(" marked"));
            line.unwrap_or_default().to_owned()
        };
        assert!(marked("/a/x~1y").contains(">7<"));
        assert!(marked("/events/3/a/list/0").contains(">true<"));
        assert!(
            marked("/events/3/user_id").contains("user_id")
                && marked("/events/3/user_id").contains("missing")
        );
        assert!(marked("/user_id").contains("missing"));
        assert!(marked("/a/z").contains("missing"));
        assert!(marked("").contains('{') && marked("/events/3").contains('{'));
        assert_eq!(view("{\"a\":", &[], true).map(|_| ()), None);
    }

    #[test]
    fn long_and_deep_values_are_cut() {
        let deep = format!("{}1{}", "[".repeat(100), "]".repeat(100));
        assert!(shown_as(&deep, &[], true).contains("nested deeper"));
        let long = format!("[{}1]", "1,".repeat(5_000));
        let text = shown_as(&long, &[], true);
        assert!(text.contains("and more") && text.matches("class=\"line").count() <= MAX_LINES + 2);
    }
}
