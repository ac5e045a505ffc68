//! What the service does now, and has done in the last hour.

use std::time::Duration;

use maud::{Markup, html};
use serde_json::{Value, json};

use super::cluster;
use crate::console::history::{Sample, log_rate, rate, rates};
use crate::console::layout::{Page, View, notice, problem};
use crate::console::standing::is_elsewhere;
use crate::console::state::{Console, total};
use crate::console::{plot, shown};
use crate::metrics::Reading;
use crate::wal::logs::LogFigures;

/// Rates are of so much time.
const RECENT: Duration = Duration::from_secs(60);
/// How fast the log grows is not known before.
const KNOWN_AFTER: Duration = Duration::from_secs(300);
/// How often a page that is open gets new figures.
pub(in crate::console) const LIVE_EVERY: Duration = Duration::from_secs(2);

/// One figure with its last hour.
struct Figure {
    /// Its name in the page.
    name: &'static str,
    title: &'static str,
    value: String,
    beneath: String,
    /// What the plot shows, in words.
    label: String,
    line: String,
}

/// The page.
pub(in crate::console) fn page(console: &Console) -> Page<'static> {
    let figures = figures(console);
    let reading = console.app.metrics.read();
    let content = html! {
        h1 { "Overview" }
        @if let Some(problem) = problem(console) {
            (notice("bad", &html! { strong { "Requests are not taken as usual: " } (problem) }))
        }
        (cluster::hint(console, "What is on its way to the lake, and what landed there,"))
        section .figures aria-label="Figures of the last hour" {
            @for figure in &figures { (card(figure)) }
        }
        div .columns {
            (outcomes(&reading))
            @if !is_elsewhere(console) { (waiting(console)) }
        }
        (cluster::card(console))
    };
    Page {
        live: Some("/live/overview".into()),
        ..Page::of(View::Overview, content)
    }
}

/// What an open page is sent.
pub(in crate::console) fn live(console: &Console) -> Value {
    let (mut texts, mut lines) = (json!({}), json!({}));
    for figure in figures(console) {
        let beneath = format!("{}-beneath", figure.name);
        texts[figure.name] = figure.value.into();
        texts[beneath] = figure.beneath.into();
        let area = plot::area(&figure.line);
        lines[figure.name] = json!([figure.line, area]);
    }
    let reading = console.app.metrics.read();
    let (totals, mut bars) = (outcome_totals(&reading), json!({}));
    let all = totals.iter().map(|(_, number, _)| number).sum();
    for (name, number, _) in totals {
        texts[name] = shown::count(number).into();
        texts[share_of(name)] = shown::share(number, all).into();
    }
    for (name, at, width) in widths(&totals, all) {
        bars[name] = json!([at, width]);
    }
    for (name, _, text) in waiting_figures(console) {
        texts[name] = text.into();
    }
    json!({"texts": texts, "lines": lines, "bars": bars})
}

fn figures(console: &Console) -> Vec<Figure> {
    let mut samples = console.history.all();
    samples.push(console.sample());
    if is_elsewhere(console) {
        return vec![
            received(&samples),
            forwarded(&samples),
            not_forwarded(&samples),
        ];
    }
    vec![
        received(&samples),
        landed(&samples),
        lag(console, &samples),
        fill(console, &samples),
    ]
}

fn received(samples: &[Sample]) -> Figure {
    let total = |sample: &Sample| sample.received;
    let rates = rates(samples, total);
    let highest = shown::rate(plot::peak(&rates));
    Figure {
        name: "received",
        title: "Events in",
        value: shown::rate(rate(samples, RECENT, total)),
        beneath: format!("at most {highest} in the last hour"),
        label: format!("Events received in a second, over the last hour; at most {highest}"),
        line: plot::line(&rates, plot::span(rates.len())),
    }
}

fn forwarded(samples: &[Sample]) -> Figure {
    let total = |sample: &Sample| sample.forwarded;
    let rates = rates(samples, total);
    let since = samples.last().map_or(0, total);
    Figure {
        name: "forwarded",
        title: "Requests forwarded",
        value: shown::rate(rate(samples, RECENT, total)),
        beneath: format!(
            "{} stored at the owner since the start",
            shown::counted(since, "request", "requests")
        ),
        label: "Requests that the owner has stored in a second, over the last hour".to_owned(),
        line: plot::line(&rates, plot::span(rates.len())),
    }
}

fn not_forwarded(samples: &[Sample]) -> Figure {
    let total = |sample: &Sample| sample.not_forwarded;
    let rates = rates(samples, total);
    let since = samples.last().map_or(0, total);
    Figure {
        name: "not-forwarded",
        title: "Not stored there",
        value: shown::rate(rate(samples, RECENT, total)),
        beneath: format!(
            "{} since the start, whose senders try again",
            shown::counted(since, "request", "requests")
        ),
        label: "Requests that the owner has not stored, or not answered, in a second, over the last hour".to_owned(),
        line: plot::line(&rates, plot::span(rates.len())),
    }
}

fn landed(samples: &[Sample]) -> Figure {
    let total = |sample: &Sample| sample.landed;
    let rates = rates(samples, total);
    let since = samples.last().map_or(0, total);
    Figure {
        name: "landed",
        title: "Into the lake",
        value: shown::rate(rate(samples, RECENT, total)),
        beneath: format!("{} since the start", shown::counted(since, "row", "rows")),
        label: "Rows that landed in the lake in a second, over the last hour".to_owned(),
        line: plot::line(&rates, plot::span(rates.len())),
    }
}

fn lag(console: &Console, samples: &[Sample]) -> Figure {
    let lags: Vec<f64> = samples.iter().map(|sample| sample.lag_seconds).collect();
    let now = samples.last().map_or(0.0, |sample| sample.lag_seconds);
    let watermark = console.app.core.get().and_then(|core| {
        let right_time = console.app.status.right_time(console.app.clock.now());
        core.logs.watermark(right_time)
    });
    let watermark = watermark.map(|at| at.to_string()).unwrap_or_default();
    let clock = watermark.get(11..19).unwrap_or("–");
    Figure {
        name: "lag",
        title: "Lag",
        value: shown::duration(seconds(now)),
        beneath: format!("all before {clock} UTC is in the lake"),
        label: "Age of the oldest row that is not in the lake, over the last hour".to_owned(),
        line: plot::line(&lags, plot::span(lags.len())),
    }
}

#[allow(
    clippy::cast_precision_loss,
    reason = "figures for people; a byte in 2^53 does not matter"
)]
fn fill(console: &Console, samples: &[Sample]) -> Figure {
    let most = total(&console.app.metrics.read(), "lakehook_wal_max_bytes");
    let used = samples.last().map_or(0, |sample| sample.log_bytes);
    let sizes: Vec<f64> = samples
        .iter()
        .map(|sample| sample.log_bytes as f64)
        .collect();
    let left = most.saturating_sub(used) as f64 / log_rate(samples);
    let known = samples.first().zip(samples.last());
    let known = known.map(|(first, last)| last.at.saturating_sub(first.at));
    let is_known = known.is_some_and(|known| known >= KNOWN_AFTER);
    let left = if is_known && left < 1e9 {
        format!("{} left without the lake", shown::duration(seconds(left)))
    } else {
        format!("of {}", shown::bytes(most))
    };
    Figure {
        name: "log",
        title: "Log on disk",
        value: shown::bytes(used),
        beneath: format!("{} full · {left}", shown::share(used, most)),
        label: "Bytes of the write-ahead log, over the last hour".to_owned(),
        line: plot::line(&sizes, plot::span(sizes.len())),
    }
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

fn card(figure: &Figure) -> Markup {
    let beneath = format!("{}-beneath", figure.name);
    html! {
        article .card {
            h2 { (figure.title) }
            p .figure data-live=(figure.name) { (figure.value) }
            (plot::plot(figure.name, &figure.label, &figure.line))
            p .beneath data-live=(beneath) { (figure.beneath) }
        }
    }
}

/// What became of all events since the start.
fn outcomes(reading: &Reading) -> Markup {
    let totals = outcome_totals(reading);
    let all: u64 = totals.iter().map(|(_, number, _)| number).sum();
    html! {
        section .card {
            h2 { "What became of events" }
            (bar(&totals, all))
            table .plain {
                tbody {
                    @for (name, number, words) in &totals {
                        tr {
                            th scope="row" { span .key .(name) {} (words) }
                            td .number data-live=(name) { (shown::count(*number)) }
                            td .number .faint data-live=(share_of(name)) { (shown::share(*number, all)) }
                        }
                    }
                }
            }
            p .beneath { "since the start of this process" }
        }
    }
}

fn outcome_totals(reading: &Reading) -> [(&'static str, u64, &'static str); 4] {
    let of = |name: &str| total(reading, &format!("lakehook_events_{name}_total"));
    let kept: u64 = ["invalid_event", "id_conflict"]
        .iter()
        .map(|reason| {
            let labels = [("reason", *reason)];
            crate::console::state::total_of(reading, "lakehook_events_quarantined_total", &labels)
        })
        .sum();
    let dropped = of("received").saturating_sub(of("accepted") + of("duplicate") + kept);
    [
        ("accepted", of("accepted"), "Stored"),
        ("duplicate", of("duplicate"), "Duplicates, known already"),
        ("dropped", dropped, "Dropped by a rule"),
        ("quarantined", kept, "In the quarantine"),
    ]
}

/// The name of the share of an outcome.
fn share_of(name: &str) -> String {
    format!("{name}-share")
}

/// The parts of a whole, side by side: where each begins, and how wide it is, in hundredths of the whole.
#[allow(clippy::cast_precision_loss, reason = "figures for people")]
fn widths(
    parts: &[(&'static str, u64, &'static str)],
    all: u64,
) -> Vec<(&'static str, String, String)> {
    let mut from = 0.0;
    let widths = parts.iter().map(|(name, number, _)| {
        let width = if all == 0 {
            0.0
        } else {
            *number as f64 * 100.0 / all as f64
        };
        let at = from;
        from += width;
        (*name, format!("{at:.2}"), format!("{width:.2}"))
    });
    widths.collect()
}

fn bar(parts: &[(&'static str, u64, &'static str)], all: u64) -> Markup {
    html! {
        svg .bar viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true" {
            rect .whole width="100" height="4" {}
            @for (name, at, width) in widths(parts, all) {
                rect .(name) data-live-bar=(name) x=(at) width=(width) height="4" {}
            }
        }
    }
}

/// What is in the log and not in the lake.
fn waiting(console: &Console) -> Markup {
    html! {
        section .card {
            h2 { "On its way to the lake" }
            table .plain {
                tbody {
                    @for (name, words, text) in waiting_figures(console) {
                        tr {
                            th scope="row" { (words) }
                            td .number data-live=(name) { (text) }
                        }
                    }
                }
            }
            p .beneath { "a batch closes after " (shown::duration(console.settings.batch_age)) ", or when it is full" }
        }
    }
}

fn waiting_figures(console: &Console) -> Vec<(&'static str, &'static str, String)> {
    let Some(core) = console.app.core.get() else {
        return Vec::new();
    };
    let LogFigures {
        uncommitted_rows,
        open_batches,
        waiting_seals,
        late_rows,
        ..
    } = core.logs.figures();
    [
        ("rows", "Rows in the log", uncommitted_rows),
        ("open", "Open batches", open_batches),
        ("sealed", "Closed batches that wait", waiting_seals),
        ("late", "Rows of other days", late_rows),
    ]
    .map(|(name, words, figure)| (name, words, shown::count(figure)))
    .to_vec()
}
