//! The HTTP interface, row by row, through the real program.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::float_cmp,
    clippy::cast_precision_loss,
    reason = "tests may fail, read files and live in real time; counts and the same digits are exact in floats"
)]

mod accepted;
mod clients;
mod refused;
mod secrets;
mod signed;
mod hooks;
mod deliveries;
mod questions;
mod topics;
mod open;
mod oversized;
mod payloads;
mod providers;
mod senders;
mod tokens;
mod origins;
mod limits;
mod protocol;
mod connections;
mod tls;
mod framing;
mod multiplexed;
mod keys;
pub(crate) mod unavailable;
mod kept;
mod silence;
mod described;
mod explored;

use std::fmt::Write as _;

use crate::support::http::{self, Answer};
use crate::support::process::Setup;

pub(crate) const PATH: &str = "/webhook/events";

/// The configuration of most of these tests; `more` is further TOML.
fn setup(more: &str) -> Setup {
    Setup::new(&format!(
        "{more}\n[lake]\nurl = \"lake\"\n[wal]\nmax_bytes = \"64 MiB\"\n"
    ))
}

/// The id of that number.
pub(crate) fn id(number: u64) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}

/// A valid event, with its id from that number.
pub(crate) fn event(number: u64, event_type: &str, properties: &str) -> String {
    // One time for the whole process, so that the same number gives the same event.
    static NOW: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    let now = NOW.get_or_init(|| lakehook::clock::Clock::system().now().wall.to_string());
    format!(
        r#"{{"event_id":"{}","user_id":"u","event_type":"{event_type}","source":"web","timestamp":"{now}","properties":{properties}}}"#,
        id(number)
    )
}

/// A click.
pub(crate) fn click(number: u64) -> String {
    event(number, "click", "{}")
}

/// A body of these events.
pub(crate) fn body(events: &[String]) -> String {
    format!(r#"{{"events":[{}]}}"#, events.join(","))
}

/// The answer to this body.
pub(crate) fn post(setup: &Setup, body: impl AsRef<[u8]>) -> Answer {
    http::post_json(setup.address(), PATH, body.as_ref()).unwrap()
}

/// The head of a request with so many bytes of JSON for the webhook.
fn head(body_bytes: usize) -> String {
    format!(
        "POST {PATH} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {body_bytes}\r\n\r\n"
    )
}

/// A request on a connection of its own.
fn request(setup: &Setup, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    connect(setup).request(method, path, headers, b"").unwrap()
}

fn connect(setup: &Setup) -> http::Connection {
    http::Connection::open(setup.address(), std::time::Duration::from_secs(20)).unwrap()
}

/// Checks what all problems have in common, and returns status, relevant headers and body.
fn problem(answer: &Answer) -> String {
    assert_eq!(
        answer.header("content-type"),
        Some("application/problem+json"),
        "{answer:?}"
    );
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert!(answer.header("x-request-id").is_some());
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    described::holds(answer);
    let body = answer.json();
    assert_eq!(body["status"], answer.status);
    assert_ne!(answer.status, 410, "senders disable an endpoint on it");
    for member in ["type", "title", "detail"] {
        assert!(body[member].is_string(), "{member} of {body}");
    }
    let mut text = answer.status.to_string();
    for name in ["retry-after", "allow", "www-authenticate", "connection"] {
        if let Some(value) = answer.header(name) {
            write!(text, "\n{name}: {value}").unwrap();
        }
    }
    text + "\n" + &answer.text()
}

/// The value of a metric, given with its labels; 0 if there is none.
pub(crate) fn metric(setup: &Setup, name: &str) -> f64 {
    let text = http::get(setup.address(), "/metrics").unwrap().text();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map_or(0.0, |value| value.parse().unwrap())
}
