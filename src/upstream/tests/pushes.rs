//! The generator against a receiver that fails first, refuses, lies or is not there.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http::{HeaderMap, StatusCode};

use super::*;
use crate::upstream::{Sent, StartError};

/// Answers the n-th request, from 0.
type Script = fn(usize, &Bytes) -> Response;

/// A receiver of events that does what a script says and keeps every body.
struct Sink {
    url: String,
    bodies: Arc<Mutex<Vec<Bytes>>>,
    server: JoinHandle<()>,
}

impl Sink {
    async fn new(script: Script) -> Self {
        let bodies = Arc::new(Mutex::new(Vec::new()));
        let app = Router::new()
            .route("/webhook/events", post(receive))
            .with_state((script, Arc::clone(&bodies)));
        let (listener, address) = listen().await;
        let server = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self {
            url: format!("http://{address}/webhook/events"),
            bodies,
            server,
        }
    }

    fn bodies(&self) -> Vec<Bytes> {
        self.bodies.lock().unwrap().clone()
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.server.abort();
    }
}

type SinkState = (Script, Arc<Mutex<Vec<Bytes>>>);

async fn receive(
    State((script, bodies)): State<SinkState>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    assert_eq!(headers["content-type"], "application/json");
    let number = {
        let mut bodies = bodies.lock().unwrap();
        bodies.push(body.clone());
        bodies.len() - 1
    };
    script(number, &body)
}

fn events_of(body: &Bytes) -> Vec<Value> {
    let body: Value = serde_json::from_slice(body).unwrap();
    body["events"].as_array().unwrap().clone()
}

/// Judges a request as the real receiver does: broken, dropped, repeated or new.
fn judge(body: &Bytes) -> Response {
    let events = events_of(body);
    let is_broken = |e: &Value| {
        let time = e["timestamp"].as_str().unwrap();
        e["event_type"] == "teleport" || chrono::DateTime::parse_from_rfc3339(time).is_err()
    };
    if events.iter().any(is_broken) {
        return StatusCode::BAD_REQUEST.into_response();
    }
    let dropped = events
        .iter()
        .filter(|e| e["event_type"] == "signup")
        .count();
    let kept = events.iter().filter(|e| e["event_type"] != "signup");
    let kept: Vec<Value> = kept.cloned().collect();
    let accepted = distinct(&kept, "event_id").len();
    let duplicates = kept.len() - accepted;
    format!(
        r#"{{"status":"success","accepted":{accepted},"dropped":{dropped},"duplicates":{duplicates},"quarantined":0}}"#
    )
    .into_response()
}

fn fast(url: &str) -> Options {
    Options {
        webhook_url: Some(url.to_owned()),
        pause: Duration::ZERO..=Duration::from_millis(2),
        stop_within: Duration::from_secs(2),
        ..Options::default()
    }
}

fn upstream(options: Options) -> Upstream {
    Upstream::new(options, Clock::system(), &Ids::seeded(9)).unwrap()
}

/// Runs the generator until it has sent so many requests, stops it, and returns the counters.
async fn send(options: Options, requests: u64) -> Sent {
    let upstream = upstream(options);
    upstream.start_generator().await.unwrap();
    eventually(|| upstream.sent().requests >= requests).await;
    upstream.stop().await;
    let sent = upstream.sent();
    assert_eq!(sent.events, sent.accounted(), "{sent:?}");
    sent
}

#[tokio::test]
async fn what_fails_is_sent_again_and_everything_adds_up() {
    let sink = Sink::new(|number, body| match number {
        0 | 1 => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        2 => StatusCode::TOO_MANY_REQUESTS.into_response(),
        _ => judge(body),
    })
    .await;
    let options = Options {
        broken_requests: 0.1,
        duplicates: 0.2,
        ..fast(&sink.url)
    };
    let sent = send(options, 100).await;
    let bodies = sink.bodies();
    assert!(bodies[..4].iter().all(|body| body == &bodies[0]));
    assert_ne!(bodies[3], bodies[4]);
    assert_eq!(sent.retries, 3);
    assert_eq!(sent.requests, bodies.len() as u64 - 3);
    let received: usize = bodies[3..].iter().map(|body| events_of(body).len()).sum();
    assert_eq!(sent.events, received as u64);
    assert_eq!((sent.unanswered, sent.quarantined), (0, 0));
    assert!(sent.accepted > sent.dropped && sent.dropped > 0);
    assert!(sent.duplicates > 0 && sent.refused > 0);
}

#[tokio::test]
async fn retry_after_is_honoured() {
    let sink = Sink::new(|number, body| match number {
        0 => (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "1")]).into_response(),
        _ => judge(body),
    })
    .await;
    let upstream = upstream(fast(&sink.url));
    let clock = Clock::system();
    upstream.start_generator().await.unwrap();
    eventually(|| sink.bodies().len() > 1).await;
    assert!(clock.now().mono >= Duration::from_secs(1));
    upstream.stop().await;
}

#[tokio::test]
async fn a_4xx_is_final() {
    let sink = Sink::new(|_, _| StatusCode::FORBIDDEN.into_response()).await;
    let sent = send(fast(&sink.url), 5).await;
    assert_eq!((sent.retries, sent.refused), (0, sent.events));
}

#[tokio::test]
async fn a_success_that_does_not_add_up_is_not_believed() {
    let sink = Sink::new(|number, _| match number % 2 {
        0 => "fine".into_response(),
        _ => r#"{"status":"success","accepted":99,"dropped":0,"duplicates":0}"#.into_response(),
    })
    .await;
    let sent = send(fast(&sink.url), 5).await;
    assert_eq!((sent.retries, sent.unanswered), (0, sent.events));
}

/// Options with a webhook where nobody listens, and little patience when stopped.
async fn nobody_there() -> Options {
    // The port was free a moment ago.
    let (listener, address) = listen().await;
    drop(listener);
    Options {
        stop_within: Duration::from_millis(300),
        ..fast(&format!("http://{address}/"))
    }
}

#[tokio::test]
async fn without_an_answer_a_stop_gives_up_in_time() {
    let upstream = upstream(nobody_there().await);
    upstream.start_generator().await.unwrap();
    eventually(|| upstream.sent().retries > 0).await;
    let clock = Clock::system();
    upstream.stop().await;
    assert!(clock.now().mono < Duration::from_secs(2));
    let sent = upstream.sent();
    assert_eq!((sent.requests, sent.unanswered), (1, sent.events));
}

#[tokio::test]
async fn there_is_never_a_second_task() {
    let upstream = upstream(nobody_there().await);
    upstream.start_generator().await.unwrap();
    eventually(|| upstream.sent().retries > 0).await;
    // A start leaves the task at work alone.
    upstream.start_generator().await.unwrap();
    assert_eq!(upstream.sent().unanswered, 0);
    // Somebody stops it and does not wait for the end; the next start does.
    let impatient = tokio::time::timeout(Duration::from_millis(10), upstream.stop());
    assert!(impatient.await.is_err());
    upstream.start_generator().await.unwrap();
    assert!(upstream.sent().unanswered > 0);
    eventually(|| upstream.sent().requests > 1).await;
    upstream.stop().await;
    assert_eq!(upstream.sent().events, upstream.sent().accounted());
}

#[tokio::test]
async fn a_shutdown_waits_for_the_generator() {
    let options = Options {
        start_generator: true,
        ..nobody_there().await
    };
    let served = Served::new(options).await;
    let upstream = served.upstream.clone();
    eventually(|| upstream.sent().retries > 0).await;
    served.end().await;
    let sent = upstream.sent();
    assert_eq!((sent.requests, sent.unanswered), (1, sent.events));
}

#[tokio::test]
async fn a_stop_finishes_the_push_under_way() {
    let sink = Sink::new(|number, body| match number {
        0 => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        _ => judge(body),
    })
    .await;
    let upstream = upstream(fast(&sink.url));
    upstream.start_generator().await.unwrap();
    eventually(|| sink.bodies().len() == 1).await;
    upstream.stop().await;
    let sent = upstream.sent();
    assert_eq!((sent.requests, sent.retries, sent.unanswered), (1, 1, 0));
    assert_eq!(sent.events, sent.accounted());
}

#[tokio::test]
async fn a_rate_overrides_the_pauses() {
    let sink = Sink::new(|_, body| judge(body)).await;
    let options = Options {
        rate: Some(500.0),
        pause: Duration::from_hours(1)..=Duration::from_hours(1),
        ..fast(&sink.url)
    };
    let upstream = upstream(options);
    let clock = Clock::system();
    upstream.start_generator().await.unwrap();
    eventually(|| upstream.sent().events >= 500).await;
    // 500 events are due after a second. A slow machine may take longer, but no machine less.
    assert!(clock.now().mono >= Duration::from_millis(900));
    upstream.stop().await;
}

#[tokio::test]
async fn starting_and_stopping_are_idempotent() {
    let sink = Sink::new(|_, body| judge(body)).await;
    let served = Served::new(fast(&sink.url)).await;
    assert_eq!(served.post("/stop-generator").await.1["status"], "stopped");
    for _ in 0..3 {
        let (status, body) = served.post("/start-generator").await;
        assert_eq!((status, &body["status"]), (200, &"running".into()));
    }
    eventually(|| served.upstream.sent().requests > 3).await;
    for _ in 0..2 {
        assert_eq!(served.post("/stop-generator").await.1["status"], "stopped");
    }
    let stopped_at = served.upstream.sent();
    assert_eq!(stopped_at.events, stopped_at.accounted());
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(served.upstream.sent(), stopped_at);
    let (_, health) = served.get("/health").await;
    assert_eq!(health["sent"]["events"], stopped_at.events);
    served.post("/start-generator").await;
    eventually(|| served.upstream.sent().requests > stopped_at.requests).await;
    let upstream = served.upstream.clone();
    served.end().await;
    assert_eq!(upstream.sent().events, upstream.sent().accounted());
    let refused = upstream.start_generator().await;
    assert_eq!(refused, Err(StartError::ShuttingDown));
}

#[tokio::test]
async fn serving_can_start_the_generator() {
    let sink = Sink::new(|_, body| judge(body)).await;
    let options = Options {
        start_generator: true,
        ..fast(&sink.url)
    };
    let served = Served::new(options).await;
    eventually(|| served.upstream.sent().accepted > 0).await;
    served.end().await;
}

#[tokio::test]
async fn without_a_webhook_there_is_nothing_to_start() {
    let served = Served::new(Options::default()).await;
    let (status, problem) = served.post("/start-generator").await;
    assert_eq!(
        (status, &problem["error"]),
        (409, &"no webhook URL is configured".into())
    );
    assert_eq!(served.post("/stop-generator").await.0, 200);
    served.end().await;
}
