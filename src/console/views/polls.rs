//! What is pulled and sent: each poll and call with its last and next run, and how the one under way gets on.

use axum::response::Response;
use maud::{Markup, html};

use super::cluster;
use crate::clock::Micros;
use crate::console::asked::Fields;
use crate::console::layout::{Page, View, Visit, notice};
use crate::console::settings::FeedSetting;
use crate::console::standing::is_elsewhere;
use crate::console::state::{Console, total_of};
use crate::console::{reply, shown};
use crate::feeds::figures::{Progress, StreamState};
use crate::metrics::Reading;

/// The page.
pub(in crate::console) fn page(console: &Console, fields: &Fields, visit: &Visit) -> Page<'static> {
    let feeds = console.feeds.get();
    let figures = feeds.map(|feeds| (feeds.figures)()).unwrap_or_default();
    let reading = console.app.metrics.read();
    let is_running = figures.values().any(|state| state.running.is_some());
    let content = html! {
        h1 { "Polls, files and calls" }
        (cluster::hint(console, "How polls, files and calls stand"))
        @match fields.get("asked") {
            "yes" => (notice("good", &html! { "A run was asked for; it begins once there is a place for it." })),
            "no" => (notice("warn", &html! { "It cannot be asked now: too many wait for it, or the service is starting." })),
            _ => {},
        }
        @if let Some(polls) = console.app.polls.get()
            && let Some(refusal) = polls.status.refusal(console.app.clock.now())
        {
            (notice("bad", &html! { strong { "Nothing can be stored now: " } (refusal) }))
        }
        @if console.settings.feeds.is_empty() {
            section .card .empty {
                p { strong { "Nothing is pulled." } }
                p .faint { "A section " code { "[poll.NAME]" } " declares an API to poll, " code { "[files.NAME]" } " an inbox of files." }
            }
        }
        @for setting in &console.settings.feeds {
            (card(console, setting, figures.get(&setting.name), &reading, visit))
        }
    };
    Page {
        is_unfinished: is_running,
        ..Page::of(View::Polls, content)
    }
}

fn card(
    console: &Console,
    setting: &FeedSetting,
    state: Option<&StreamState>,
    reading: &Reading,
    visit: &Visit,
) -> Markup {
    let unknown = StreamState::default();
    let state = state.unwrap_or(&unknown);
    html! {
        section .card .source {
            div .head {
                h2 { (setting.name) }
                span .faint { (setting.about) }
                @if !is_elsewhere(console) { (pill(state)) }
            }
            @if let Some(progress) = &state.running { (under_way(progress)) }
            @if let Some(waiting) = &state.waiting {
                p { "waits for " (waiting.what) @if let Some(until) = waiting.until { ", until " (shown::time(until)) } }
            }
            @if let Some((at, error)) = &state.last_error {
                p .bad-text { "failed " (ago(console, *at)) ": " (error) }
            }
            (facts(console, setting, state, reading))
            @if !is_elsewhere(console) {
                form .actions method="post" action="/polls/run" {
                    (visit.field())
                    input type="hidden" name="name" value=(setting.name);
                    button .quiet type="submit" { "Run now" }
                }
            }
        }
    }
}

fn pill(state: &StreamState) -> Markup {
    let tries_again = state.waiting.as_ref().is_some_and(|waiting| waiting.failed);
    let (kind, words) = if tries_again {
        ("warn", "trying again")
    } else if state.running.is_some() {
        ("good", "running")
    } else if state.last_error.is_some() {
        ("bad", "failed")
    } else if state.last_success.is_some() {
        ("good", "fine")
    } else {
        ("", "not run yet")
    };
    html! { span .pill .(kind) { (words) } }
}

fn under_way(progress: &Progress) -> Markup {
    let Progress {
        pages,
        records,
        total,
    } = progress;
    html! {
        p {
            (shown::counted(*records, "record", "records"))
            @if let Some(total) = total { " of " (shown::count(*total)) }
            " in " (shown::counted(*pages, "page", "pages"))
        }
        @if let Some(total) = total.filter(|total| *total > 0) {
            progress max=(total) value=((*records).min(total)) aria-label="Records read" {}
        }
    }
}

fn facts(
    console: &Console,
    setting: &FeedSetting,
    state: &StreamState,
    reading: &Reading,
) -> Markup {
    let name = setting.name.as_str();
    let runs = |outcome: &'static str| {
        let labels = [("poll", name), ("outcome", outcome)];
        total_of(reading, "lakehook_poll_runs_total", &labels)
    };
    let of = |metric: &str| total_of(reading, metric, &[("poll", name)]);
    html! {
        dl .facts {
            div {
                dt { "Last good run" }
                dd {
                    @match &state.last_success {
                        Some((at, _, records)) => {
                            (ago(console, *at)) ", " (shown::counted(*records, "record", "records"))
                        },
                        None => "–",
                    }
                }
            }
            div {
                dt { "Next run" }
                dd { @match state.next_run { Some(at) => (next(console, at)), None => "–" } }
            }
            @if let Some(every) = setting.every {
                div { dt { "Schedule" } dd { "every " (shown::duration(every)) } }
            } @else if !setting.schedule.is_empty() {
                div { dt { "Schedule" } dd { (setting.schedule) } }
            }
            div { dt { "Runs" } dd { (shown::count(runs("complete"))) " new, " (shown::count(runs("unchanged"))) " unchanged, " (shown::count(runs("failed"))) " failed" } }
            div { dt { "Records" } dd { (shown::count(of("lakehook_poll_records_total"))) } }
            div {
                dt { "Quarantined" }
                dd { a href="/quarantine" { (shown::count(of("lakehook_poll_quarantined_total"))) } }
            }
        }
        @if let Some((_, run, _)) = &state.last_success { p .beneath { "run " code { (run) } } }
    }
}

fn ago(console: &Console, at: Micros) -> String {
    format!(
        "{} ago",
        shown::duration(console.app.clock.wall().since(at))
    )
}

fn next(console: &Console, at: Micros) -> String {
    let now = console.app.clock.wall();
    if at <= now {
        "now".to_owned()
    } else {
        format!("in {}", shown::duration(at.since(now)))
    }
}

/// Asks for a run.
pub(in crate::console) fn run(console: &Console, form: &Fields) -> Response {
    let is_asked = console
        .feeds
        .get()
        .is_some_and(|feeds| (feeds.run)(form.get("name")));
    tracing::info!(
        poll = form.get("name"),
        is_asked,
        "somebody asked for a run in the console"
    );
    reply::go_to(if is_asked {
        "/polls?asked=yes"
    } else {
        "/polls?asked=no"
    })
}
