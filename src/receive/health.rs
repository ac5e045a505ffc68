//! What the service tells of itself: `/health`, `/ready`, `/metrics`, `/openapi.json`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;

use super::replies::{self, Problem};
use super::router::{App, PollsView};
use crate::clock::Now;
use crate::feeds::figures::StreamState;

/// What `/metrics` is sent as.
pub(super) const METRICS_MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The body of `/health`. What the log tells is there once it is read.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Health {
    /// Rows that make a full batch.
    batch_size: u64,
    /// What is logged and not yet in the lake.
    buffer_size: u64,
    /// Whose log it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    open_batches: Option<u64>,
    /// The polls, where there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    polls: Option<PollsHealth>,
    /// Whether requests are accepted.
    ready: bool,
    #[schemars(extend("const" = "healthy"))]
    status: &'static str,
    version: &'static str,
    /// Batches that are closed and not yet in the lake.
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting_batches: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wal_bytes: Option<u64>,
    /// What was acknowledged before is in the lake.
    #[serde(skip_serializing_if = "Option::is_none")]
    watermark: Option<String>,
}

/// The polls' part of it.
#[derive(Debug, Serialize, JsonSchema)]
struct PollsHealth {
    /// What is logged and not yet in the lake.
    buffer_size: u64,
    /// Batches whose rows cannot be read back.
    held: Vec<String>,
    /// Why nothing is stored, if so.
    refusal: Option<String>,
    /// Runs that have ended and are not visible yet.
    runs_to_publish: u64,
    /// Each poll, by the name of its stream.
    streams: BTreeMap<String, PollHealth>,
    wal_bytes: u64,
}

/// What is known of a poll.
#[derive(Debug, Serialize, JsonSchema)]
struct PollHealth {
    last_error: Option<LastError>,
    last_success: Option<LastSuccess>,
    next_run: Option<String>,
    running: Option<RunningPoll>,
}

/// Why the last run failed, if it did.
#[derive(Debug, Serialize, JsonSchema)]
struct LastError {
    at: String,
    error: String,
}

/// The last run that did not fail.
#[derive(Debug, Serialize, JsonSchema)]
struct LastSuccess {
    at: String,
    records: u64,
    run: String,
}

/// How far a run has got.
#[derive(Debug, Serialize, JsonSchema)]
struct RunningPoll {
    pages: u64,
    records: u64,
    /// Records in all, once the API said so.
    total: Option<u64>,
}

/// The body of `/ready`.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Ready {
    #[schemars(extend("const" = "ready"))]
    status: &'static str,
}

/// `GET /health`: alive, with figures.
pub async fn health(State(app): State<Arc<App>>) -> Response {
    let now = app.clock.now();
    let mut body = Health {
        batch_size: app.settings.batch_size,
        buffer_size: 0,
        node: None,
        open_batches: None,
        polls: app.polls.get().map(|polls| polls_detail(polls, now)),
        ready: app.status.refusal(now).is_none(),
        status: "healthy",
        version: env!("CARGO_PKG_VERSION"),
        waiting_batches: None,
        wal_bytes: None,
        watermark: None,
    };
    if let Some(core) = app.core.get() {
        let gauges = core.log.gauges();
        body.buffer_size = gauges.uncommitted_rows.load(Ordering::Relaxed);
        body.wal_bytes = Some(gauges.used_bytes.load(Ordering::Relaxed));
        body.open_batches = Some(gauges.open_batches.load(Ordering::Relaxed));
        body.waiting_batches = Some(gauges.waiting_seals.load(Ordering::Relaxed));
        body.watermark = Some(gauges.watermark(app.status.right_time(now)).to_string());
        body.node = Some(core.node.to_string());
    }
    replies::json(StatusCode::OK, "application/json", &body)
}

/// What is known of each poll.
fn polls_detail(polls: &PollsView, now: Now) -> PollsHealth {
    let states = (polls.figures)().into_iter().map(|(name, state)| {
        let StreamState {
            running,
            last_success,
            last_error,
            next_run,
        } = state;
        let health = PollHealth {
            last_error: last_error.map(|(at, error)| LastError {
                at: at.to_string(),
                error,
            }),
            last_success: last_success.map(|(at, run, records)| LastSuccess {
                at: at.to_string(),
                records,
                run,
            }),
            next_run: next_run.map(|at| at.to_string()),
            running: running.map(|at| RunningPoll {
                pages: at.pages,
                records: at.records,
                total: at.total,
            }),
        };
        (name, health)
    });
    let gauges = polls.log.gauges();
    PollsHealth {
        buffer_size: gauges.uncommitted_rows.load(Ordering::Relaxed),
        held: polls.status.held(),
        refusal: polls.status.refusal(now).map(|refusal| refusal.to_string()),
        runs_to_publish: gauges.unpublished_runs.load(Ordering::Relaxed),
        streams: states.collect(),
        wal_bytes: gauges.used_bytes.load(Ordering::Relaxed),
    }
}

/// `GET /openapi.json`: what this interface is.
pub async fn openapi(State(app): State<Arc<App>>) -> Response {
    let mut response = Response::new(Body::from(app.settings.openapi.clone()));
    let media_type = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, media_type);
    response
}

/// `GET /ready`: 503 while recovering, draining or unable to store, and while a batch is held.
pub async fn ready(State(app): State<Arc<App>>) -> Response {
    if let Some(unavailable) = app.status.refusal(app.clock.now()) {
        return Problem::from(unavailable).into_response();
    }
    let held = app.status.held();
    if !held.is_empty() {
        return Problem::unavailable("batch-held", held.join("; ")).into_response();
    }
    let body = Ready { status: "ready" };
    replies::json(StatusCode::OK, "application/json", &body)
}

/// `GET /metrics`: Prometheus text format 0.0.4.
pub async fn metrics(State(app): State<Arc<App>>) -> Response {
    refresh(&app);
    let mut response = Response::new(Body::from(app.metrics.render()));
    let media_type = HeaderValue::from_static(METRICS_MEDIA_TYPE);
    response.headers_mut().insert(CONTENT_TYPE, media_type);
    response
}

/// Brings the gauges up to date.
#[allow(
    clippy::cast_precision_loss,
    reason = "gauges are floats; a byte in 2^53 does not matter"
)]
pub fn refresh(app: &App) {
    let metrics = &app.metrics;
    let of_polls = app.polls.get().map_or(0, |polls| polls.status.held().len());
    let held = app.status.held().len() + of_polls;
    metrics.batches_held.set(held as f64);
    if let Some(polls) = app.polls.get() {
        let bytes = polls.log.gauges().used_bytes.load(Ordering::Relaxed);
        metrics.polls_wal_bytes.set(bytes as f64);
    }
    let Some(core) = app.core.get() else { return };
    let now = app.clock.now();
    let right_time = app.status.right_time(now);
    let now = now.wall;
    let gauges = core.log.gauges();
    metrics
        .wal_bytes
        .set(gauges.used_bytes.load(Ordering::Relaxed) as f64);
    metrics
        .batch_open
        .set(gauges.open_batches.load(Ordering::Relaxed) as f64);
    let oldest = gauges.oldest_received.load(Ordering::Relaxed);
    let lag = if oldest == i64::MAX {
        0
    } else {
        now.0.saturating_sub(oldest).max(0)
    };
    metrics
        .lake_lag_seconds
        .set(Duration::from_micros(lag.unsigned_abs()).as_secs_f64());
    let watermark = gauges.watermark(right_time).0.max(0).unsigned_abs();
    metrics
        .lake_watermark_seconds
        .set(Duration::from_micros(watermark).as_secs_f64());
}
