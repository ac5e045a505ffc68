//! One event, by its id, a provider's id or the id of a request: what became of it, and where it is.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use maud::{Markup, html};

use super::lake::all_objects;
use super::quarantine::link_to_row;
use crate::console::asked::{Fields, link};
use crate::console::layout::{Page, View, notice};
use crate::console::readings::Looked;
use crate::console::state::Console;
use crate::console::{json_view, shown};
use crate::contract::EVENTS;
use crate::find::{FoundRow, Search, SearchLimits, Sought, search};
use crate::receive::recall::{Recalled, RecalledRefusal, RecalledRequest, Share};

/// What was found is shown for this long before it is looked for again.
const MAX_AGE: Duration = Duration::from_secs(3);
/// What a page reads whole, at most.
const LIMITS: SearchLimits = SearchLimits {
    objects: 300,
    bytes: 512 << 20,
};
/// More objects that cannot be read are not named; the audit names them all.
const MAX_UNREAD: usize = 5;

/// The page.
pub(in crate::console) async fn page(console: &Arc<Console>, fields: &Fields) -> Page<'static> {
    let text = fields.get("q").trim().to_owned();
    let hooks = console.settings.hooks.iter().map(String::as_str);
    let sought = Sought::id(&text, &feed(console), hooks);
    let remembered = sought.as_ref().map(|sought| remembered(console, sought));
    let looked = match (&sought, &remembered) {
        (Some(sought), Some(remembered)) => Some(look(console, sought, remembered).await),
        _ => None,
    };
    let content = html! {
        h1 { "Find" }
        form .card .search method="get" action="/find" role="search" {
            label for="q" { "The id of an event, of the provider, or of a request" }
            p .row {
                input #q type="search" name="q" value=(text) autocomplete="off" spellcheck="false" autofocus;
                button type="submit" { "Find" }
            }
        }
        @if let (Some(remembered), Some(looked)) = (&remembered, &looked) {
            (answer(console, remembered, looked))
        } @else if !text.is_empty() {
            (notice("warn", &html! { "That is no id." }))
        }
    };
    Page {
        is_unfinished: looked.is_some_and(|looked| looked.is_under_way),
        ..Page::of(View::Find, content)
    }
}

/// The feed of events, whose name is part of what the log knows events by.
fn feed(console: &Console) -> String {
    let core = console.app.core.get();
    core.map_or_else(
        || EVENTS.to_owned(),
        |core| core.contract.rules().feed.clone(),
    )
}

/// What the service remembers of an id.
fn remembered(console: &Console, sought: &Sought) -> Recalled {
    let core = console.app.core.get();
    core.map(|core| core.recall(sought.text(), sought.ids()))
        .unwrap_or_default()
}

/// Looks into the lake, the newest objects first.
async fn look(console: &Arc<Console>, sought: &Sought, remembered: &Recalled) -> Looked<Search> {
    let (own, key) = (Arc::clone(console), sought.text().to_owned());
    // Rows do not have the id of their request, but its time, to the microsecond.
    let of_request = remembered
        .accepted
        .first()
        .filter(|_| remembered.is_request);
    let sought = match of_request {
        Some(request) => sought.clone().or_received_at(request.received_at()),
        None => sought.clone(),
    };
    let read = async move |_| {
        let objects = all_objects(&own).await?;
        let publish = |search: &Search| {
            let key = sought.text().to_owned();
            own.known.found.publish(&key, search.clone());
        };
        let found = search(own.lake().await, objects, &sought, (None, LIMITS), &publish).await;
        found.map_err(|error| error.to_string())
    };
    let ages = (console.mono(), MAX_AGE);
    console
        .known
        .found
        .look(&console.beside, key, ages, read)
        .await
}

fn answer(console: &Console, remembered: &Recalled, looked: &Looked<Search>) -> Markup {
    let found = looked.value();
    let is_known = !remembered.is_nothing();
    let rows = found
        .map(|search| search.rows.as_slice())
        .unwrap_or_default();
    html! {
        @for refused in &remembered.refused { (was_refused(refused)) }
        @for (at, request) in remembered.accepted.iter().enumerate() {
            (was_accepted(request, remembered, at, rows))
        }
        @if let Some(error) = looked.error() {
            (notice("bad", &html! { strong { "The lake cannot be read: " } (error) }))
        }
        @for row in rows { (in_the_lake(console, row)) }
        @if looked.is_under_way {
            p .faint {
                @match found {
                    Some(search) => { (shown::count((search.objects + search.ruled_out) as u64)) " of " (shown::counted(search.of as u64, "object", "objects")) " read …" },
                    None => "The lake is being looked into …",
                }
            }
        } @else if rows.is_empty() {
            (not_there(remembered, found, is_known))
        }
    }
}

fn was_refused(refused: &RecalledRefusal) -> Markup {
    notice(
        "bad",
        &html! {
            strong { "Refused with " (refused.status) } " at " (shown::time(refused.at())) " by " code { (refused.endpoint) }
            ", " (sender(refused.client)) ": " (refused.why)
        },
    )
}

fn sender(client: Option<IpAddr>) -> Markup {
    html! { @match client { Some(client) => { "from " code { (client) } }, None => "from nobody known" } }
}

/// What became of an accepted request.
fn was_accepted(
    request: &RecalledRequest,
    remembered: &Recalled,
    at: usize,
    rows: &[FoundRow],
) -> Markup {
    let time = request.received_at().to_string();
    let stored = rows.iter().filter(|row| !row.is_refused());
    let stores_it = stored
        .map(|row| row.row.contains(&time))
        .reduce(|a, b| a || b);
    let (kind, word) = match remembered.share(at, stores_it) {
        Share::Whole => ("good", "Accepted"),
        Share::Stored => ("good", "Stored"),
        Share::Duplicate => ("warn", "A duplicate"),
        Share::Conflict => ("warn", "In conflict with another event of this id"),
        Share::Unclear => ("good", "Received"),
    };
    notice(
        kind,
        &html! {
            strong { (word) } ", received at " (shown::time(request.received_at())) " " (sender(request.client)) ". "
            "The request had " (shown::counted(u64::from(request.events()), "event", "events")) ": "
            (request.accepted) " stored, " (request.duplicates) " known already, " (request.dropped) " dropped by a rule, "
            (request.quarantined) " in the quarantine."
        },
    )
}

fn in_the_lake(console: &Console, row: &FoundRow) -> Markup {
    let is_refused = row.is_refused();
    html! {
        section .card {
            div .head {
                h2 { @if is_refused { "In the quarantine" } @else { "In the lake" } }
                span .faint { "LSN " (row.lsn) @if let Some(batch) = row.batch { ", batch " (batch) } ", row " (row.place) }
            }
            p {
                @if is_refused {
                    a href=(link_to_row(&row.key, row.lsn)) { "the row, with what is wrong" } " in "
                }
                a href=(link("/lake/object", &[("key", &row.key)])) { code { (row.key) } }
            }
            @if !is_refused && let Some(json) = json_view::view(&row.row, &[], console.settings.shows_values) { (json) }
        }
    }
}

fn not_there(remembered: &Recalled, found: Option<&Search>, is_known: bool) -> Markup {
    let (all, kept) = (remembered.requests, remembered.remembered);
    html! {
        section .card {
            @if is_known {
                p { "No row of it is in the lake yet: it is in the log, and gets there with its batch; or it was dropped, or a duplicate of something older." }
            } @else if found.is_some_and(Search::has_gaps) {
                p { strong { "Nothing was found, but not everything could be looked into: it may be there all the same." } }
            } @else {
                p { strong { "Nothing is known of it." } }
            }
            @if let Some(search) = found {
                @for unread in search.unread_rows().take(MAX_UNREAD) {
                    p { code { (unread.key) } " cannot be read: " (unread.why) }
                }
            }
            p .faint {
                "Remembered are the last " (shown::counted(kept, "request", "requests")) " of this process"
                @if all > kept { "; older ones are not" }
                ". "
                @if let Some(search) = found {
                    (shown::counted((search.objects + search.ruled_out) as u64, "object", "objects"))
                    " of the last five weeks were looked into"
                    @if search.is_cut { ", the newest ones" }
                    "."
                }
            }
        }
    }
}
