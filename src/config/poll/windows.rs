//! `[poll.NAME.window]`: the windows that an appending run asks for; their keys and their rules.

use schemars::JsonSchema;
use serde::Deserialize;
use validator::Validate;

use super::super::amounts::Span;
use crate::poll::definition::{self, Definition, Mode};
use crate::poll::windows::Windows;

/// `[poll.NAME.window]`: the windows that an appending run asks for, one after the other.
#[derive(Clone, Debug, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct Window {
    /// The length of a window.
    pub size: Span,
    /// Where the first one begins.
    pub start: String,
    /// How requests write the ends: a kind of time, or a strftime text.
    pub format: Option<String>,
    /// The time zone of times without an offset.
    pub zone: Option<String>,
    /// How far before the end of the last window the next run begins.
    pub lag: Span,
    /// Whether the API takes the end as a part of the window.
    pub inclusive: bool,
}

impl Default for Window {
    fn default() -> Self {
        Self {
            size: Span::days(1),
            start: String::new(),
            format: None,
            zone: None,
            lag: Span::ZERO,
            inclusive: false,
        }
    }
}

impl Window {
    pub(in super::super) fn definition(&self) -> definition::Window {
        definition::Window {
            size: self.size.duration(),
            start: self.start.clone(),
            format: self.format.clone(),
            zone: self.zone.clone(),
            lag: self.lag.duration(),
            is_inclusive: self.inclusive,
        }
    }
}

/// The rules that the windows of a poll break, each with its keys. `uses_until` says whether the request
/// holds `{until}`.
pub(in super::super) fn broken_rules(
    poll: &Definition,
    uses_until: bool,
) -> Vec<(Vec<String>, String)> {
    let Some(window) = &poll.window else {
        return Vec::new();
    };
    let key = |key: &str| format!("window.{key}");
    let mut broken = Vec::new();
    if poll.mode == Mode::Snapshot {
        let rule = "windows are for mode = \"append\"; a snapshot is a whole copy";
        broken.push((
            vec!["window".to_owned(), "mode".to_owned()],
            rule.to_owned(),
        ));
    }
    if !poll.watermark.is_empty() {
        let rule = "a poll asks by a watermark or by windows; remove one of them";
        broken.push((
            vec!["window".to_owned(), "watermark".to_owned()],
            rule.to_owned(),
        ));
    }
    if !uses_until {
        let rule = "a request for a window says where it begins and ends: {mark} and {until} must stand in it, \
                    such as query = { from = \"{mark}\", to = \"{until}\" }";
        broken.push((vec!["window".to_owned()], rule.to_owned()));
    }
    if let Err(wrongs) = Windows::new(window) {
        broken.extend(
            wrongs
                .into_iter()
                .map(|wrong| (vec![key(wrong.key)], wrong.rule)),
        );
    }
    broken
}
