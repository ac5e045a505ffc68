//! Events as they are accepted.

use std::sync::Arc;

use axum::response::Response;
use maud::html;
use serde_json::{Map, Value, json};

use crate::console::asked::{Fields, link};
use crate::console::layout::{Page, View};
use crate::console::state::Console;
use crate::console::{shown, stream};
use crate::receive::watch::Seen;

/// A value is cut to so many characters.
const MAX_CHARS: usize = 300;

/// Which events are shown.
#[derive(Clone, Debug, Default)]
struct Filter {
    source: String,
    event_type: String,
    text: String,
}

impl Filter {
    fn of(fields: &Fields) -> Self {
        let text = |name: &str| fields.get(name).trim().to_owned();
        Self {
            source: text("source"),
            event_type: text("type"),
            text: text("text"),
        }
    }

    /// Whether a row is shown. A text is looked for in the whole row only if its values are shown.
    fn has(&self, row: &Map<String, Value>, raw: &str, shows_values: bool) -> bool {
        let is = |wanted: &str, name: &str| wanted.is_empty() || text_of(row, name) == wanted;
        let has_text = self.text.is_empty()
            || text_of(row, "event_id") == self.text
            || shows_values && raw.contains(&self.text);
        is(&self.source, "source") && is(&self.event_type, "event_type") && has_text
    }
}

/// The page.
pub(in crate::console) fn page(console: &Console, fields: &Fields) -> Page<'static> {
    let filter = Filter::of(fields);
    let parameters = [
        ("source", filter.source.as_str()),
        ("type", &filter.event_type),
        ("text", &filter.text),
    ];
    let shows = console.settings.shows_values;
    let content = html! {
        h1 { "Live" }
        form .card .filters method="get" action="/live" {
            div { label for="source" { "Source" } input #source name="source" value=(filter.source) autocomplete="off"; }
            div { label for="type" { "Type" } input #type name="type" value=(filter.event_type) autocomplete="off"; }
            div {
                label for="text" { @if shows { "Text" } @else { "Id" } }
                input #text name="text" value=(filter.text) autocomplete="off" spellcheck="false";
            }
            button type="submit" { "Filter" }
        }
        noscript { p { "Events come in only with scripts." } }
        section .card {
            div .head {
                h2 { "Accepted, the newest first" }
                button .quiet .copy type="button" hidden data-pause { "Pause" }
            }
            p .faint data-live="status" { "Waiting for events …" }
            div .scroll {
                table .live {
                    thead { tr {
                        th scope="col" { "Received" } th scope="col" { "Source" } th scope="col" { "Type" } th scope="col" { "Id" }
                        th scope="col" { @if shows { "Properties" } @else { "Properties, without values" } }
                    } }
                    tbody data-live-rows {}
                }
            }
            template #live-row {
                tr {
                    td .nowrap data-field="time" {} td data-field="source" {} td data-field="type" {}
                    td { a data-field="id" data-link="link" {} }
                    td data-field="properties" {}
                }
            }
        }
    };
    Page {
        live: Some(link("/live/events", &parameters).into()),
        ..Page::of(View::Live, content)
    }
}

/// Sends what is accepted from now on.
pub(in crate::console) fn events(console: &Arc<Console>, fields: &Fields) -> Response {
    let (filter, shows) = (Filter::of(fields), console.settings.shows_values);
    stream::open_tail(console, move |seen| message(seen, &filter, shows))
}

/// What is said of a request, if anything of it is shown.
fn message(seen: &Seen, filter: &Filter, shows_values: bool) -> Option<Value> {
    let rows: Vec<Value> = seen
        .rows
        .iter()
        .filter_map(|raw| {
            let raw = std::str::from_utf8(raw).ok()?;
            let row: Map<String, Value> = serde_json::from_str(raw).ok()?;
            filter
                .has(&row, raw, shows_values)
                .then(|| shown_row(&row, shows_values))
        })
        .collect();
    (!rows.is_empty()).then(|| {
        let more = match seen.more {
            0 => String::new(),
            more => format!("and {more} more events of that request"),
        };
        json!({"rows": rows, "texts": {"status": more}})
    })
}

fn shown_row(row: &Map<String, Value>, shows_values: bool) -> Value {
    let id = text_of(row, "event_id");
    let time = text_of(row, "received_at");
    json!({
        "time": time.get(11..23).unwrap_or(time),
        "source": text_of(row, "source"),
        "type": text_of(row, "event_type"),
        "id": id,
        "link": link("/find", &[("q", id)]),
        "properties": properties(row.get("properties"), shows_values),
    })
}

fn text_of<'r>(row: &'r Map<String, Value>, name: &str) -> &'r str {
    row.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn properties(value: Option<&Value>, shows_values: bool) -> String {
    let text = match value {
        Some(value) if shows_values => value.to_string(),
        Some(Value::Object(members)) => {
            let kinds = members
                .iter()
                .map(|(name, value)| format!("{name}: {}", kind(value)));
            kinds.collect::<Vec<_>>().join(", ")
        }
        Some(_) | None => String::new(),
    };
    shown::beginning(&text, MAX_CHARS)
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "number",
        Value::String(_) => "text",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Micros;

    fn seen(row: &str) -> Seen {
        Seen {
            received_at: Micros(0),
            endpoint: "/webhook/events".into(),
            request_id: "r".into(),
            client: None,
            rows: vec![row.as_bytes().into()],
            more: 2,
        }
    }

    const ROW: &str = r#"{"event_id":"e","user_id":"me","event_type":"click","source":"web","received_at":"2026-11-29T12:30:15.123456Z","properties":{"a":"secret","n":{}}}"#;

    #[test]
    fn values_are_hidden_unless_they_may_be_shown() -> Result<(), String> {
        let told = message(&seen(ROW), &Filter::default(), false).ok_or("nothing is told")?;
        assert_eq!(told["rows"][0]["properties"], "a: text, n: object");
        assert_eq!(told["rows"][0]["time"], "12:30:15.123");
        assert!(!told.to_string().contains("secret") && !told.to_string().contains("\"me\""));
        let told = message(&seen(ROW), &Filter::default(), true).ok_or("nothing is told")?;
        assert!(told.to_string().contains("secret"));
        Ok(())
    }

    #[test]
    fn filters_choose_and_do_not_tell_values_that_are_hidden() {
        let has = |source: &str, event_type: &str, text: &str, shows: bool| {
            let filter = Filter {
                source: source.to_owned(),
                event_type: event_type.to_owned(),
                text: text.to_owned(),
            };
            message(&seen(ROW), &filter, shows).is_some()
        };
        assert!(has("web", "click", "e", false) && has("", "", "", false));
        assert!(!has("apple", "", "", false) && !has("", "view", "", false));
        assert!(has("", "", "secret", true) && !has("", "", "secret", false));
    }
}
