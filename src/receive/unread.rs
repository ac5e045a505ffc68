//! Answers to requests whose body was not read.
//!
//! What is left of such a body would be taken for the next request, so the connection can only go on if it is read after
//! all. That is done for small bodies; otherwise the answer says that the connection ends (RFC 9112, 9.6).

use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, EXPECT};
use http_body_util::BodyExt as _;

use super::replies::Problem;

/// Larger bodies are not read for the sake of the connection.
const MAX_BYTES: u64 = 64 << 10;
/// Bodies that take longer to arrive are not read for it either.
const PATIENCE: Duration = Duration::from_secs(1);

/// The problem as an answer before the body has been read.
pub(super) async fn before_body(problem: Problem, headers: &HeaderMap, body: Body) -> Problem {
    if body.is_end_stream() || is_soon_read(headers, body).await {
        problem
    } else {
        problem.closing()
    }
}

/// Reads and discards a body, if it is small and on its way.
async fn is_soon_read(headers: &HeaderMap, mut body: Body) -> bool {
    let announced = headers.get(CONTENT_LENGTH);
    let announced = announced.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_none_or(|bytes| bytes > MAX_BYTES) || headers.contains_key(EXPECT) {
        return false;
    }
    let reading = async {
        while let Some(frame) = body.frame().await {
            if frame.is_err() {
                return false;
            }
        }
        true
    };
    tokio::time::timeout(PATIENCE, reading)
        .await
        .unwrap_or(false)
}
