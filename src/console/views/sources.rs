//! What sends: the webhook for events and each hook, what came of it, and how to send the first event.

use std::time::Duration;

use maud::{Markup, html};

use crate::clock::Micros;
use crate::console::asked::link;
use crate::console::history::{Sample, SourceTotals, rate, rates};
use crate::console::layout::{Page, View};
use crate::console::state::{Console, total_of};
use crate::console::{plot, shown};
use crate::metrics::{EVENTS_SOURCE, Reading};
use crate::receive::recent::RefusedRequest;

/// Rates are of so much time.
const RECENT: Duration = Duration::from_secs(60);

/// What is known of a source.
struct Source<'a> {
    name: &'a str,
    paths: Vec<&'a str>,
    /// Whether requests must prove where they come from.
    is_proven: bool,
    rate: f64,
    line: String,
    events: [(&'static str, u64); 4],
    requests: [(&'static str, u64); 4],
    bytes: u64,
    last: Option<Micros>,
    /// The last request that was refused, of those that are remembered.
    refused: Option<RefusedRequest>,
}

/// The page.
pub(in crate::console) fn page(console: &Console) -> Page<'static> {
    let mut samples = console.history.all();
    samples.push(console.sample());
    let reading = console.app.metrics.read();
    let numbered = console.sources.iter().enumerate();
    let sources: Vec<Source<'_>> = numbered
        .map(|(at, name)| source(console, &reading, &samples, at, name))
        .collect();
    let content = html! {
        h1 { "Sources" }
        p .lead {
            "What sends to this node: the webhook for events, and each webhook of a provider. Figures are since the start of the process."
        }
        @for source in &sources { (card(console, source)) }
    };
    Page::of(View::Sources, content)
}

fn source<'a>(
    console: &'a Console,
    reading: &Reading,
    samples: &[Sample],
    at: usize,
    name: &'a str,
) -> Source<'a> {
    let totals = |sample: &Sample| sample.sources.get(at).copied().unwrap_or_default();
    let events_of = |sample: &Sample| -> u64 {
        let SourceTotals { events, refused: _ } = totals(sample);
        events
    };
    let app = &console.app;
    let hooks = app.settings.hooks.iter();
    let own: Vec<_> = hooks.filter(|hook| *hook.name == *name).collect();
    let is_events = name == EVENTS_SOURCE && own.is_empty();
    let of = |metric: &str, label: &'static str, value: &'static str| {
        total_of(reading, metric, &[("source", name), (label, value)])
    };
    let rates = rates(samples, events_of);
    let labels = [("source", name)];
    let last = reading.of_labels("lakehook_source_last_event_seconds", &labels);
    Source {
        name,
        paths: if is_events {
            vec![&*app.settings.endpoint]
        } else {
            own.iter().map(|hook| &*hook.path).collect()
        },
        is_proven: if is_events {
            app.tokens.are_required() || app.settings.signing.is_some()
        } else {
            own.iter().all(|hook| hook.proofs.authenticate())
        },
        rate: rate(samples, RECENT, events_of),
        line: plot::line(&rates, plot::span(rates.len())),
        events: ["accepted", "duplicate", "dropped", "quarantined"].map(|outcome| {
            (
                outcome,
                of("lakehook_source_events_total", "outcome", outcome),
            )
        }),
        requests: ["2xx", "3xx", "4xx", "5xx"].map(|status| {
            (
                status,
                of("lakehook_source_requests_total", "status", status),
            )
        }),
        bytes: total_of(reading, "lakehook_source_received_bytes_total", &labels),
        refused: app.core.get().and_then(|core| {
            let is_own = |refused: &RefusedRequest| {
                let hook = own.iter().any(|hook| hook.path == refused.endpoint);
                hook || is_events && app.settings.endpoint == refused.endpoint
            };
            core.watch.recent.refused(is_own).into_iter().next()
        }),
        last: (last > 0.0).then(|| Micros(0).plus(seconds(last))),
    }
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

fn card(console: &Console, source: &Source<'_>) -> Markup {
    let requests: u64 = source.requests.iter().map(|(_, number)| number).sum();
    let refused: u64 = source.requests[2..].iter().map(|(_, number)| number).sum();
    html! {
        section .card .source {
            div .head {
                h2 { (source.name) }
                @for path in &source.paths { code { "POST " (path) } }
                @if source.is_proven {
                    span .pill .good { "authenticated" }
                } @else {
                    span .pill .warn { "no authentication" }
                }
            }
            @match source.last {
                Some(last) => (figures(console, source, requests, refused, last)),
                None => (first_event(console, source, refused)),
            }
            @if let Some(refused) = &source.refused { (last_refused(console, refused)) }
        }
    }
}

fn figures(
    console: &Console,
    source: &Source<'_>,
    requests: u64,
    refused: u64,
    last: Micros,
) -> Markup {
    let ago = console.app.clock.wall().since(last);
    html! {
        div .beside {
            dl .facts {
                div { dt { "Events" } dd { (shown::rate(source.rate)) } }
                div { dt { "Last event" } dd { (shown::duration(ago)) " ago" } }
                div { dt { "Requests" } dd { (shown::count(requests)) } }
                div { dt { "Refused" } dd { (shown::share(refused, requests)) } }
                div { dt { "Bytes" } dd { (shown::bytes(source.bytes)) } }
            }
            (plot::plot(source.name, "Events in a second, over the last hour", &source.line))
        }
        ul .chips {
            @for (outcome, number) in source.events {
                li { span .key .(outcome) {} (shown::count(number)) " " (words(outcome)) }
            }
        }
    }
}

fn last_refused(console: &Console, refused: &RefusedRequest) -> Markup {
    let ago = console.app.clock.wall().since(refused.at);
    html! {
        p .beneath {
            "Last refused " (shown::duration(ago)) " ago with " (refused.status) ": " (refused.why) " "
            a href=(link("/find", &[("q", &refused.request_id)])) { "request " code { (refused.request_id) } }
        }
    }
}

fn words(outcome: &str) -> &'static str {
    match outcome {
        "accepted" => "stored",
        "duplicate" => "duplicates",
        "dropped" => "dropped",
        _ => "quarantined",
    }
}

/// A command that sends an event to the webhook.
fn command(console: &Console) -> String {
    let app = &console.app;
    let url = format!("{}{}", console.settings.receives_at, app.settings.endpoint);
    let now = app.clock.wall();
    console
        .sample_event()
        .command(&url, app.tokens.are_required(), now)
}

/// How to send the first event.
fn first_event(console: &Console, source: &Source<'_>, refused: u64) -> Markup {
    let is_events = source.name == EVENTS_SOURCE;
    html! {
        p { strong { "Waiting for the first event." } }
        @if refused > 0 {
            p .bad-text { (shown::counted(refused, "request was", "requests were")) " refused." }
        }
        @if is_events {
            p { "Send one from a shell:" }
            pre tabindex="0" { code { (command(console)) } }
        } @else {
            p { "Have the provider send a test, or sign a delivery of your own:" }
            pre tabindex="0" { code { "echo '{\"id\":\"1\",\"type\":\"test\"}' | lakehook hook sign " (source.name) } }
        }
    }
}
