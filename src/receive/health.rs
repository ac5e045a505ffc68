//! What the service tells of itself: `/health`, `/ready`, `/metrics`.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use serde_json::{Value, json};

use super::replies::{self, Problem};
use super::router::{App, PollsView};
use crate::clock::Now;
use crate::poll::supervisor::PollState;

/// `GET /health`: alive, with figures.
pub async fn health(State(app): State<Arc<App>>) -> Response {
    let now = app.clock.now();
    let ready = app.status.refusal(now).is_none();
    let mut body = json!({
        "status": "healthy",
        "ready": ready,
        "version": env!("CARGO_PKG_VERSION"),
        "batch_size": app.settings.batch_size,
        "buffer_size": 0,
    });
    if let Some(core) = app.core.get() {
        let gauges = core.log.gauges();
        body["buffer_size"] = gauges.uncommitted_rows.load(Ordering::Relaxed).into();
        body["wal_bytes"] = gauges.used_bytes.load(Ordering::Relaxed).into();
        body["open_batches"] = gauges.open_batches.load(Ordering::Relaxed).into();
        body["waiting_batches"] = gauges.waiting_seals.load(Ordering::Relaxed).into();
        let watermark = gauges.watermark(app.status.right_time(now));
        body["watermark"] = watermark.to_string().into();
        body["node"] = core.node.to_string().into();
    }
    if let Some(polls) = app.polls.get() {
        body["polls"] = polls_detail(polls, now);
    }
    replies::json(StatusCode::OK, "application/json", &body)
}

/// What is known of each poll.
fn polls_detail(polls: &PollsView, now: Now) -> Value {
    let states = polls.supervisor.states().into_iter().map(|(name, state)| {
        let PollState {
            running,
            last_success,
            last_error,
            next_run,
        } = state;
        let detail = json!({
            "running": running.map(|at| json!({
                "pages": at.pages, "records": at.records, "total": at.total,
            })),
            "last_success": last_success.map(|(at, run, records)| json!({
                "at": at.to_string(), "run": run, "records": records,
            })),
            "last_error": last_error.map(|(at, error)| json!({
                "at": at.to_string(), "error": error,
            })),
            "next_run": next_run.map(|at| at.to_string()),
        });
        (name, detail)
    });
    let gauges = polls.log.gauges();
    json!({
        "buffer_size": gauges.uncommitted_rows.load(Ordering::Relaxed),
        "wal_bytes": gauges.used_bytes.load(Ordering::Relaxed),
        "refusal": polls.status.refusal(now).map(|refusal| refusal.to_string()),
        "held": polls.status.held(),
        "runs_to_publish": gauges.unpublished_runs.load(Ordering::Relaxed),
        "streams": states.collect::<serde_json::Map<_, _>>(),
    })
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
    replies::json(
        StatusCode::OK,
        "application/json",
        &json!({"status": "ready"}),
    )
}

/// `GET /metrics`: Prometheus text format 0.0.4.
pub async fn metrics(State(app): State<Arc<App>>) -> Response {
    refresh(&app);
    let mut response = Response::new(Body::from(app.metrics.render()));
    let media_type = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
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
