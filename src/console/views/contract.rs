//! What is accepted: types, sources, limits, schemas; and whether an event would be.

use maud::{Markup, html};
use serde_json::Value;
use uuid::Uuid;

use crate::console::asked::Fields;
use crate::console::layout::{Page, View, Visit, notice};
use crate::console::state::Console;
use crate::console::{json_view, shown};
use crate::contract::{Checked, Contract, OnInvalid, OpenRequest, Refusal, Rules};
use crate::quarantine::FieldError;
use crate::record::Origin;

/// What the contract says of a text.
enum Judged {
    /// It would be taken.
    Taken { stored: u64, dropped: u64 },
    /// It would not, or not all of it.
    Wrong(Vec<FieldError>, usize),
    /// It is too large.
    TooLarge(String),
}

/// The page, with the verdict about a text if one was sent.
pub(in crate::console) fn page(
    console: &Console,
    form: Option<&Fields>,
    visit: &Visit,
) -> Page<'static> {
    let content = html! {
        h1 { "Contract" }
        @match console.app.core.get() {
            None => p { "The service is starting." },
            Some(core) => {
                (try_out(console, &core.contract, form, visit))
                (rules(core.contract.rules()))
                (schemas(console, core.contract.rules()))
            },
        }
    };
    Page::of(View::Contract, content)
}

fn try_out(console: &Console, contract: &Contract, form: Option<&Fields>, visit: &Visit) -> Markup {
    let given = form.map(|form| form.get("event").to_owned());
    let judged = given.as_deref().map(|text| judge(console, contract, text));
    let text = given.unwrap_or_else(|| console.sample_event().body(console.app.clock.wall()));
    html! {
        section .card {
            h2 { "Try an event" }
            form method="post" action="/contract" {
                (visit.field())
                label .visually-hidden for="event" { "An event, or the body of a request" }
                textarea #event name="event" spellcheck="false" rows="8" { (text) }
                p .row {
                    button type="submit" { "Check it" }
                    span .hint { "An event, or the body of a request. Nothing is stored." }
                }
            }
            @if let Some(judged) = judged { (verdict(&judged, &text)) }
        }
    }
}

/// Judges a text as if it had just come in.
fn judge(console: &Console, contract: &Contract, text: &str) -> Judged {
    let origin = Origin {
        received_at: console.app.clock.wall(),
        endpoint: console.app.settings.endpoint.clone(),
        request_id: "console".into(),
        client: None,
    };
    let checked = if contract.rules().beyond.is_open {
        let request = OpenRequest {
            origin: &origin,
            idempotency_key: None,
            fresh: &|| Uuid::nil(),
        };
        contract
            .check_open(text.as_bytes(), &request)
            .map(|checked| checked.checked)
    } else {
        contract.check(whole(text).as_bytes(), &origin)
    };
    match checked {
        Ok(checked) if checked.errors_total > 0 => {
            Judged::Wrong(checked.errors, checked.errors_total)
        }
        Ok(checked) => taken(&checked),
        Err(refusal) => match refusal.field_errors() {
            Some((errors, total)) => Judged::Wrong(errors.into_owned(), total),
            None => Judged::TooLarge(too_large(&refusal)),
        },
    }
}

/// A single event as the body of a request.
fn whole(text: &str) -> String {
    let is_event = serde_json::from_str::<Value>(text)
        .is_ok_and(|value| value.is_object() && value.get("events").is_none());
    if is_event {
        format!("{{\"events\":[{text}]}}")
    } else {
        text.to_owned()
    }
}

fn taken(checked: &Checked) -> Judged {
    let dropped = checked.dropped.iter().map(|(_, count)| u64::from(*count));
    Judged::Taken {
        stored: checked.rows.rows.len() as u64,
        dropped: dropped.sum(),
    }
}

fn too_large(refusal: &Refusal) -> String {
    match refusal {
        Refusal::TooManyEvents { max_events } => {
            format!("a request may hold at most {max_events} events")
        }
        Refusal::EventTooLarge {
            index,
            max_event_bytes,
        } => format!("event {index} has more than {max_event_bytes} bytes"),
        Refusal::Syntax { .. } | Refusal::Invalid { .. } => String::new(),
    }
}

fn verdict(judged: &Judged, text: &str) -> Markup {
    match judged {
        Judged::Taken { stored, dropped } => notice(
            "good",
            &html! {
                strong { "It is valid. " }
                (shown::counted(*stored, "event", "events")) " would be stored, unless known"
                @if *dropped > 0 { "; " (shown::counted(*dropped, "is", "are")) " dropped by a rule" }
                "."
            },
        ),
        Judged::TooLarge(why) => notice("warn", &html! { strong { "It is too large: " } (why) }),
        Judged::Wrong(errors, total) => {
            let pointers: Vec<&str> = errors.iter().map(|error| error.pointer.as_str()).collect();
            html! {
                (notice("warn", &html! {
                    strong { "It breaks the contract: " } (shown::counted(*total as u64, "error", "errors")) "."
                }))
                table .plain {
                    tbody {
                        @for error in errors {
                            tr {
                                th scope="row" { code { @if error.pointer.is_empty() { "(the whole)" } @else { (error.pointer) } } }
                                td { (error.detail) " " span .faint { (error.code) } }
                            }
                        }
                    }
                }
                // Whoever sees it has sent it.
                @if let Some(json) = json_view::view(text, &pointers, true) { (json) }
            }
        }
    }
}

fn rules(rules: &Rules) -> Markup {
    let beyond = rules.beyond;
    html! {
        section .card {
            h2 { "Rules" }
            dl .facts {
                div { dt { "Kind" } dd { @if beyond.is_open { "open: any JSON" } @else { "typed" } } }
                div {
                    dt { "Invalid events" }
                    dd {
                        @match rules.on_invalid {
                            OnInvalid::Reject => "the request is refused",
                            OnInvalid::Quarantine => "go to the quarantine, the others are stored",
                        }
                    }
                }
                div { dt { "Events of a request" } dd { "at most " (shown::count(rules.max_events as u64)) } }
                div { dt { "Bytes of an event" } dd { "at most " (shown::bytes(rules.max_event_bytes as u64)) } }
                div {
                    dt { "Timestamp" }
                    dd { "at most " (shown::duration(rules.max_age)) " old, " (shown::duration(rules.max_ahead)) " ahead" }
                }
            }
            h3 { "Types" }
            (words(&rules.types, &rules.drop, beyond.is_open || beyond.any_type))
            h3 { "Sources" }
            (words(&rules.sources, &[], beyond.is_open || beyond.any_source))
        }
    }
}

fn words(words: &[String], dropped: &[String], takes_any: bool) -> Markup {
    html! {
        ul .words {
            @if takes_any { li { span .pill .good { "any" } } }
            @else {
                @for word in words {
                    li {
                        code { (word) }
                        @if dropped.contains(word) { " " span .pill { "counted, not stored" } }
                    }
                }
            }
        }
    }
}

fn schemas(console: &Console, rules: &Rules) -> Markup {
    html! {
        section .card {
            h2 { "Schemas of properties" }
            @if console.settings.schemas.is_empty() {
                p .faint { "There are none: properties may be any JSON object." }
            }
            @for (name, text) in &console.settings.schemas {
                details {
                    summary { code { (name) } @if rules.drop.contains(name) { " " span .pill { "dropped" } } }
                    pre tabindex="0" { code { (text) } }
                }
            }
        }
    }
}
