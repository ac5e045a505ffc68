//! Handlers of the service's own pages: `/health`, `/ready`, `/metrics`, `/openapi.json`.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;

use super::app::{App, Core, PollFigures};
use super::figures::{ClusterHealth, PollHealth};
use super::replies::{self, Problem};
use crate::clock::{Micros, Now};
use crate::status::Unavailable;

/// The media type of `/metrics`.
pub(super) const METRICS_MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The body of `/health`. Figures of the log are present once the log has been read.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Health {
    /// How many rows make a full batch.
    batch_size: u64,
    /// How many rows are in the log and not yet in the lake.
    buffer_size: u64,
    /// How the node stands in its cluster, if it is in one.
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster: Option<ClusterHealth>,
    /// As the watermark, but without the rows of late partitions.
    #[serde(skip_serializing_if = "Option::is_none")]
    current_watermark: Option<String>,
    /// Rows of late partitions, which `buffer_size` counts too.
    #[serde(skip_serializing_if = "Option::is_none")]
    late_rows: Option<u64>,
    /// The id of the node that owns the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    open_batches: Option<u64>,
    /// The state of the polls, if any are configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    polls: Option<PollsHealth>,
    /// Whether requests are accepted.
    ready: bool,
    #[schemars(extend("const" = "healthy"))]
    status: &'static str,
    version: &'static str,
    /// How many batches are sealed and not yet in the lake.
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting_batches: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wal_bytes: Option<u64>,
    /// Everything acknowledged before this time is in the lake.
    #[serde(skip_serializing_if = "Option::is_none")]
    watermark: Option<String>,
}

/// What `/health` says about the polls.
#[derive(Debug, Serialize, JsonSchema)]
struct PollsHealth {
    /// How many rows are in the log and not yet in the lake.
    buffer_size: u64,
    /// Batches whose rows cannot be read back.
    held: Vec<String>,
    /// Why polled rows cannot be stored, if that is the case.
    refusal: Option<String>,
    /// How many runs have ended and are not visible yet.
    runs_to_publish: u64,
    /// Each poll, by the name of its stream.
    streams: BTreeMap<String, PollHealth>,
    wal_bytes: u64,
}

/// The body of `/ready`.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Ready {
    #[schemars(extend("const" = "ready"))]
    status: &'static str,
}

/// `GET /health`: 200 while the process runs, with figures.
pub(super) fn health(app: &App) -> Response {
    let now = app.clock.now();
    let mut body = Health {
        batch_size: app.settings.batch_size,
        buffer_size: 0,
        cluster: None,
        current_watermark: None,
        late_rows: None,
        node: None,
        open_batches: None,
        polls: app.polls.get().map(|polls| polls_health(polls, now)),
        ready: app.status.unready(now).is_none()
            && !app.status.is_log_full(now)
            && without_owner(app).is_none(),
        status: "healthy",
        version: env!("CARGO_PKG_VERSION"),
        waiting_batches: None,
        wal_bytes: None,
        watermark: None,
    };
    if let Some(core) = app.core.get() {
        body.node = Some(core.node.to_string());
        body.cluster = app.cluster();
    }
    // What another node owns has no figures here.
    if let Some(core) = app.core.get().filter(|core| !core.logs.are_elsewhere()) {
        let figures = core.logs.figures();
        body.buffer_size = figures.uncommitted_rows;
        body.wal_bytes = Some(figures.used_bytes);
        body.open_batches = Some(figures.open_batches);
        body.waiting_batches = Some(figures.waiting_seals);
        let right_time = app.status.right_time(now);
        let watermark = core.logs.watermark(right_time);
        body.watermark = watermark.map(|at| at.to_string());
        let current = core.logs.current_watermark(right_time);
        body.current_watermark = current.map(|at| at.to_string());
        body.late_rows = Some(figures.late_rows);
    }
    replies::json(StatusCode::OK, "application/json", &body)
}

fn polls_health(polls: &PollFigures, now: Now) -> PollsHealth {
    let gauges = polls.log.gauges();
    PollsHealth {
        buffer_size: gauges.uncommitted_rows.load(Ordering::Relaxed),
        held: polls.status.held(),
        refusal: polls.status.refusal(now).map(|refusal| refusal.to_string()),
        runs_to_publish: gauges.unpublished_runs.load(Ordering::Relaxed),
        streams: (polls.streams)(),
        wal_bytes: gauges.used_bytes.load(Ordering::Relaxed),
    }
}

/// Answers `GET /openapi.json`: the description of this interface.
pub(super) fn openapi(app: &App) -> Response {
    let mut response = Response::new(Body::from(app.settings.openapi.clone()));
    let media_type = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, media_type);
    response
}

/// Answers `GET /ready`: 503 while the service starts, leaves, stops or cannot store, and while a batch is held.
pub(super) fn ready(app: &App) -> Response {
    match unready(app) {
        Some(problem) => problem.into_response(),
        None => {
            let body = Ready { status: "ready" };
            replies::json(StatusCode::OK, "application/json", &body)
        }
    }
}

/// Why a balancer should send nothing here now.
fn unready(app: &App) -> Option<Problem> {
    let now = app.clock.now();
    if let Some(unavailable) = app.status.unready(now) {
        return Some(unavailable.into());
    }
    if app.core.get().is_none() {
        return Some(Unavailable::Recovering.into());
    }
    if let Some(problem) = without_owner(app) {
        return Some(problem);
    }
    if app.status.is_log_full(now) {
        let detail =
            "the write-ahead log is full: requests are refused until batches are in the lake";
        return Some(Problem::unavailable("log-full", detail));
    }
    let held = app.status.held();
    (!held.is_empty()).then(|| Problem::unavailable("batch-held", held.join("; ")))
}

/// Why nothing can be stored now that this node receives, because no node owns the log that it reaches.
fn without_owner(app: &App) -> Option<Problem> {
    let detail = app.cluster()?.without_owner()?;
    Some(Problem::unavailable("no-owner", detail))
}

/// Answers `GET /metrics` in Prometheus' text format 0.0.4.
pub(super) fn metrics(app: &App) -> Response {
    refresh(app);
    let mut response = Response::new(Body::from(app.metrics.render()));
    let media_type = HeaderValue::from_static(METRICS_MEDIA_TYPE);
    response.headers_mut().insert(CONTENT_TYPE, media_type);
    response
}

/// Sets the gauges to their current values.
#[allow(
    clippy::cast_precision_loss,
    reason = "gauges are floats; a byte in 2^53 does not matter"
)]
fn refresh(app: &App) {
    let metrics = &app.metrics;
    let of_polls = app.polls.get().map_or(0, |polls| polls.status.held().len());
    let held = app.status.held().len() + of_polls;
    metrics.batches_held.set(held as f64);
    metrics.ready.set(f64::from(unready(app).is_none()));
    if let Some(end) = app.tls.get().and_then(|tls| tls.end()) {
        let end = end.since(Micros(0)).as_secs_f64();
        metrics.tls_certificate_expiry_seconds.set(end);
    }
    if let Some(polls) = app.polls.get() {
        let bytes = polls.log.gauges().used_bytes.load(Ordering::Relaxed);
        metrics.polls_wal_bytes.set(bytes as f64);
        for (name, state) in (polls.streams)() {
            if let Some(of_poll) = metrics.poll(&name) {
                of_poll.waiting.set(f64::from(state.waiting.is_some()));
            }
        }
    }
    if let Some(core) = app.core.get() {
        refresh_log(app, core);
    }
}

/// Sets the gauges of the logs of events that this node owns.
#[allow(
    clippy::cast_precision_loss,
    reason = "gauges are floats; a byte in 2^53 does not matter"
)]
fn refresh_log(app: &App, core: &Core) {
    let metrics = &app.metrics;
    let now = app.clock.now();
    let right_time = app.status.right_time(now);
    let now = now.wall;
    let figures = core.logs.figures();
    for (gauge, figure) in [
        // Each log has its own limit.
        (&metrics.wal_bytes, figures.fullest_bytes),
        (&metrics.wal_unshipped_rows, figures.uncommitted_rows),
        (&metrics.batch_open, figures.open_batches),
        (&metrics.batch_waiting, figures.waiting_seals),
        (&metrics.batch_late_rows, figures.late_rows),
    ] {
        gauge.set(figure as f64);
    }
    let lag = |oldest: Micros| now.since(oldest).as_secs_f64();
    metrics.lake_lag_seconds.set(lag(figures.oldest_received));
    metrics
        .lake_current_lag_seconds
        .set(lag(figures.oldest_current));
    // While nothing was forgotten, every duplicate is recognised, however late.
    let window = figures.known_since;
    let window = window.map_or(f64::INFINITY, |since| now.since(since).as_secs_f64());
    metrics.dedup_window_seconds.set(window);
    let seconds = |watermark: Option<Micros>| {
        watermark.map_or(0.0, |watermark| watermark.since(Micros(0)).as_secs_f64())
    };
    metrics
        .lake_watermark_seconds
        .set(seconds(core.logs.watermark(right_time)));
    metrics
        .lake_current_watermark_seconds
        .set(seconds(core.logs.current_watermark(right_time)));
}
