//! One row of the quarantine: what was sent, with the places of the errors marked, and whether it would be taken now.

use std::sync::Arc;
use std::time::Duration;

use maud::{Markup, html};

use super::quarantine::words;
use super::quarantine_index::index;
use super::quarantine_replay::{can_replay, form};
use crate::console::asked::Fields;
use crate::console::layout::{Page, View, Visit, notice};
use crate::console::readings::Looked;
use crate::console::state::Console;
use crate::console::{json_view, shown};
use crate::quarantine::Reason;
use crate::replay::index::row_of;
use crate::replay::kept::{Kept, KeptError};
use crate::replay::kinds::Kind;
use crate::replay::marks::Replayed;
use crate::replay::{Candidate, ReplayOutcome, RowsOf, Scope, judge, node_of};

/// A row does not change but by an erasure.
const MAX_AGE: Duration = Duration::from_secs(10);
/// Most characters that are shown of a body that is not JSON.
const MAX_CHARS: usize = 4_000;

/// The result of a question about a row.
pub(in crate::console) enum Verdict {
    /// Nobody asked.
    Unasked,
    /// What a replay would do.
    Tried(Result<ReplayOutcome, String>),
}

/// The page of a row, after something was asked about it.
pub(in crate::console) async fn page(
    console: &Arc<Console>,
    fields: &Fields,
    visit: &Visit,
    verdict: Verdict,
) -> Page<'static> {
    let (key, lsn) = place(fields);
    let looked = look(console, &key, lsn).await;
    let content = html! {
        p .up { a href="/quarantine" { "Quarantine" } }
        h1 { "Row " (lsn) }
        @match (looked.value(), looked.error()) {
            (Some(Some(row)), _) => {
                (answer(&verdict))
                (facts(&key, row, replayed(console, &key, lsn).await.as_ref()))
                (errors(row))
                (sent(console, row))
                (actions(&key, lsn, can_replay(&Kind::of(row)), visit))
            },
            (Some(None), _) => p { "There is no such row in the lake." },
            (None, Some(error)) => (notice("bad", &html! { strong { "The lake cannot be read: " } (error) })),
            (None, None) => p { "The object is being read …" },
        }
    };
    Page {
        is_unfinished: looked.is_under_way && looked.value().is_none(),
        ..Page::of(View::Quarantine, content)
    }
    .titled("A row")
}

/// The object and the LSN that are asked for.
fn place(fields: &Fields) -> (String, u64) {
    let key = fields.get("key");
    // Nothing but objects of the quarantine is read here.
    let parts = key.split('/');
    let is_ours = key.starts_with("quarantine/")
        && parts.clone().all(|part| !part.is_empty() && part != "..");
    let key = if is_ours { key } else { "" };
    (key.to_owned(), fields.number("lsn").unwrap_or(0))
}

/// Reads a row.
async fn look(console: &Arc<Console>, key: &str, lsn: u64) -> Looked<Option<Kept>> {
    let (own, of) = (Arc::clone(console), (key.to_owned(), lsn));
    let wanted = of.clone();
    let read = async move |_| {
        if wanted.0.is_empty() {
            return Ok(None);
        }
        let row = row_of(own.lake().await, &wanted.0, wanted.1).await;
        row.map_err(|error| error.to_string())
    };
    let ages = (console.mono(), MAX_AGE);
    console
        .known
        .rows
        .look(&console.beside, of, ages, read)
        .await
}

/// How the row was replayed, if that is known.
async fn replayed(console: &Arc<Console>, key: &str, lsn: u64) -> Option<Replayed> {
    let looked = index(console).await;
    looked.value()?.replayed_row(key, lsn)
}

fn facts(key: &str, row: &Kept, replayed: Option<&Replayed>) -> Markup {
    html! {
        section .card {
            dl .facts {
                div { dt { "Received" } dd { (shown::time_text(&row.received_at)) } }
                div { dt { "Reason" } dd { (words(&row.reason)) } }
                div { dt { "For" } dd { (row.stream) } }
                div { dt { "By" } dd { (row.endpoint) } }
                div { dt { "From" } dd { (row.client.as_deref().unwrap_or("–")) } }
                div { dt { "Request" } dd { (row.request_id) } }
                div { dt { "Bytes" } dd { (shown::count(row.raw_bytes)) } }
            }
            p .beneath { "LSN " (row.lsn) " of " code { (key) } }
            @if let Some(Replayed { at, counts }) = replayed {
                p {
                    span .pill .good { "replayed" } " at " (shown::time_text(at)) ": "
                    (counts.stored) " stored, " (counts.duplicates) " known already, " (counts.dropped) " dropped, "
                    (counts.conflicts) " in conflict"
                }
            }
        }
    }
}

fn errors(row: &Kept) -> Markup {
    let told = row.errors.len() as u64;
    html! {
        section .card {
            h2 { "What is wrong" }
            (list(&row.errors))
            @if row.errors_total > told { p .beneath { "and " (row.errors_total - told) " more" } }
        }
    }
}

fn list(errors: &[KeptError]) -> Markup {
    html! {
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
    }
}

/// What was sent.
fn sent(console: &Console, row: &Kept) -> Markup {
    let shows = console.settings.shows_values;
    let pointers: Vec<&str> = row
        .errors
        .iter()
        .map(|error| error.pointer.as_str())
        .collect();
    let json = if row.raw_encoding == "base64" {
        None
    } else {
        json_view::view(&row.raw, &pointers, shows)
    };
    html! {
        section .card {
            h2 { "What was sent" }
            @match json {
                Some(json) => (json),
                None if shows => {
                    p .faint { "It is no JSON; " (row.raw_encoding) "." }
                    pre tabindex="0" { code { (shown::beginning(&row.raw, MAX_CHARS)) } }
                },
                None => p .faint { "It is no JSON, and values are hidden." },
            }
            @if !shows {
                p .beneath { "Values are hidden; " code { "server.console_show_values = true" } " shows them." }
            }
        }
    }
}

fn actions(key: &str, lsn: u64, is_replayable: bool, visit: &Visit) -> Markup {
    html! {
        section .card .actions {
            form method="post" action="/quarantine/try" {
                (visit.field())
                input type="hidden" name="key" value=(key);
                input type="hidden" name="lsn" value=(lsn);
                button .quiet type="submit" { "Try again" }
            }
            p .hint { "judges it by the contract of now, and stores nothing" }
            @if is_replayable { (form(visit, &[("key", key), ("lsn", &lsn.to_string())], 1)) }
        }
    }
}

/// Judges a row again, and stores nothing.
pub(in crate::console) async fn try_again(console: &Arc<Console>, fields: &Fields) -> Verdict {
    let (key, lsn) = place(fields);
    let looked = look(console, &key, lsn).await;
    let Some(Some(row)) = looked.value() else {
        let error = looked
            .error()
            .unwrap_or("the object is still being read; try once more");
        return Verdict::Tried(Err(error.to_owned()));
    };
    Verdict::Tried(candidate(console, &key, row).and_then(|candidate| {
        let core = console.app.core.get().ok_or("the service is starting")?;
        let judged =
            tokio::task::block_in_place(|| judge(&core.contract, &console.hooks, &candidate));
        Ok(match judged {
            Ok(valid) => ReplayOutcome::Replayed(crate::replay::EventCounts {
                stored: valid.checked.rows.rows.len() as u64,
                dropped: valid
                    .checked
                    .dropped
                    .iter()
                    .map(|(_, count)| u64::from(*count))
                    .sum(),
                ..crate::replay::EventCounts::default()
            }),
            Err(outcome) => outcome,
        })
    }))
}

/// What a replay would take of a row, or why it would not.
fn candidate(console: &Console, key: &str, row: &Kept) -> Result<Candidate, String> {
    let core = console.app.core.get().ok_or("the service is starting")?;
    let scope = Scope {
        stream: crate::contract::EVENTS.to_owned(),
        rows: RowsOf::Events,
        node: Some(core.node),
        other_nodes: false,
        hooks: console.settings.hooks.clone(),
        hook_paths: console.settings.hook_paths.clone(),
    };
    if row.reason == Reason::InvalidRecord.as_str() {
        return Err(format!(
            "it is a record of the poll {0}: `lakehook quarantine replay --stream {0}` judges it",
            row.stream
        ));
    }
    let candidate = scope
        .candidate(row, node_of(key))
        .map_err(|error| error.to_string())?;
    candidate.map_err(|skip| format!("it is not replayed: one {}", skip.describe()))
}

fn answer(verdict: &Verdict) -> Markup {
    match verdict {
        Verdict::Unasked => html! {},
        Verdict::Tried(Ok(ReplayOutcome::Replayed(counts))) => notice(
            "good",
            &html! {
                strong { "It is valid now. " }
                "A replay would store " (shown::counted(counts.stored, "event", "events"))
                @if counts.dropped > 0 { " and drop " (counts.dropped) }
                ", unless they are known."
            },
        ),
        Verdict::Tried(Ok(ReplayOutcome::Invalid {
            errors,
            errors_total,
        })) => notice(
            "warn",
            &html! {
                strong { "It is still invalid: " }
                (shown::counted(*errors_total, "error", "errors")) "."
                (list(errors))
            },
        ),
        Verdict::Tried(Err(why)) => notice("warn", &html! { (why) }),
    }
}
