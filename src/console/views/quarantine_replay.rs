//! Replays rows of the quarantine: those of a kind, or one of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::response::Response;
use maud::{Markup, html};

use super::quarantine_index::{Filter, index};
use crate::console::asked::Fields;
use crate::console::jobs::JobState;
use crate::console::layout::{Visit, notice};
use crate::console::state::{Console, WantedRows};
use crate::console::{reply, shown};
use crate::contract::EVENTS;
use crate::quarantine::Reason;
use crate::replay::ReplaySummary;
use crate::replay::kinds::Kind;

/// How the last replay stands, if there was one.
pub(super) fn state(console: &Console) -> Markup {
    html! {
        @match console.jobs.replay.state() {
            JobState::Idle => {},
            JobState::UnderWay { done, total } => (notice("good", &html! {
                "Replaying: " (shown::count(done as u64)) " of " (shown::counted(total as u64, "row", "rows"))
            })),
            JobState::Ended { at, result } => @match result.as_ref() {
                Err(error) => (notice("bad", &html! { strong { "The replay failed: " } (error) })),
                Ok(summary) => (notice("good", &html! { strong { "Replayed" } " at " (shown::time(at)) ": " (told(summary)) })),
            },
        }
    }
}

/// Whether a replay is under way.
pub(super) fn is_under_way(console: &Console) -> bool {
    matches!(console.jobs.replay.state(), JobState::UnderWay { .. })
}

fn told(summary: &ReplaySummary) -> Markup {
    let events = summary.events;
    html! {
        (shown::counted(summary.rows, "row", "rows")) " with " (shown::count(events.stored)) " new events, "
        (shown::count(events.duplicates)) " known already, " (shown::count(events.dropped)) " dropped, "
        (shown::count(events.conflicts)) " in conflict; "
        (shown::counted(summary.invalid, "row is", "rows are")) " still invalid."
        @for error in &summary.errors { br; code { (error.pointer) } " " (error.detail) }
        @for (why, rows) in &summary.skipped { br; (shown::count(*rows)) " " (why) }
    }
}

/// The form that asks for a replay. What it does is said before it can be clicked.
pub(super) fn form(visit: &Visit, hidden: &[(&str, &str)], rows: usize) -> Markup {
    html! {
        details .confirm {
            summary { "Replay …" }
            p {
                "Judges " (shown::counted(rows as u64, "row", "rows")) " again by the contract of now, and stores what is valid. "
                "Events with known ids stay as they are. It cannot be undone."
            }
            form method="post" action="/quarantine/replay" {
                (visit.field())
                @for (name, value) in hidden { input type="hidden" name=(name) value=(value); }
                button type="submit" { "Replay " (shown::counted(rows as u64, "row", "rows")) }
            }
        }
    }
}

/// Whether rows of a kind can be replayed here.
pub(super) fn can_replay(kind: &Kind) -> bool {
    let reasons = [Reason::InvalidEvent, Reason::RefusedRequest];
    kind.stream == EVENTS && reasons.iter().any(|reason| reason.as_str() == kind.reason)
}

/// Begins a replay, unless one is under way.
pub(in crate::console) async fn begin(console: &Arc<Console>, form: &Fields) -> Response {
    let wanted = wanted(console, form).await;
    if !wanted.is_empty() && console.jobs.replay.begin() {
        let rows: usize = wanted.values().map(Vec::len).sum();
        tracing::info!(rows, "somebody asked for a replay in the console");
        let own = Arc::clone(console);
        console.beside.tasks.spawn(async move {
            let stepping = Arc::clone(&own);
            let step = Box::new(move |done, total| stepping.jobs.replay.step(done, total));
            let replayed = match own.jobs.replay_rows.get() {
                // It ends by itself: a page of rows is stored or not, whatever happens to the console.
                Some(replay) => replay(wanted, step).await,
                None => Err("the service is starting".to_owned()),
            };
            own.jobs.replay.end(own.app.clock.wall(), replayed);
        });
    }
    reply::go_to("/quarantine")
}

/// The rows that a form is about.
async fn wanted(console: &Arc<Console>, form: &Fields) -> WantedRows {
    let looked = index(console).await;
    let mut wanted: WantedRows = BTreeMap::new();
    let Some(index) = looked.value() else {
        return wanted;
    };
    let (key, lsn) = (form.get("key"), form.number("lsn"));
    let filter = Filter::of(form);
    for line in index.lines(|kind| can_replay(kind) && filter.has(kind)) {
        let is_wanted =
            key.is_empty() && filter.is_set() || *line.key == *key && Some(line.lsn) == lsn;
        if is_wanted && index.replayed(line).is_none() {
            wanted
                .entry(line.key.to_string())
                .or_default()
                .push(line.lsn);
        }
    }
    for lsns in wanted.values_mut() {
        lsns.sort_unstable();
    }
    wanted
}
