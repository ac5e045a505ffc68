//! Answers to heads that the HTTP library cannot read. It answers them by itself, with a status and nothing else; these
//! say what is wrong, like every other refusal.

use http::{HeaderValue, StatusCode};

use super::replies::Problem;

/// 400, 414 or 431. The connection ends, because nobody knows where the next request would begin.
pub(super) fn problem(status: u16, max_head: usize) -> Problem {
    match StatusCode::from_u16(status) {
        Ok(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE) => {
            let detail = format!(
                "a request has at most 100 header lines, and a head of at most {max_head} bytes; send fewer or shorter \
                 headers, such as cookies"
            );
            let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
            let problem = Problem::new(status, "head-too-large", "The head is too large", detail);
            problem.limited(max_head).closing()
        }
        Ok(StatusCode::URI_TOO_LONG) => {
            let detail = "the path with its query is too long";
            let status = StatusCode::URI_TOO_LONG;
            Problem::new(status, "path-too-long", "The path is too long", detail).closing()
        }
        _ => Problem::bad_request(
            "the head is not sound HTTP/1.1: a request line, then lines of `Name: value`, and an empty line",
        ),
    }
}

/// The whole answer as bytes of HTTP/1.1.
pub(super) fn bytes(problem: &Problem, request_id: Option<&HeaderValue>, date: &str) -> Vec<u8> {
    let id = request_id.and_then(|id| id.to_str().ok());
    let id = id.map_or_else(String::new, |id| format!("x-request-id: {id}\r\n"));
    let body = problem.body();
    let head = format!(
        "HTTP/1.1 {}\r\ncontent-type: application/problem+json\r\ncache-control: no-store\r\n\
         x-content-type-options: nosniff\r\n{id}connection: close\r\ncontent-length: {}\r\ndate: {date}\r\n\r\n",
        problem.status(),
        body.len()
    );
    [head.into_bytes(), body].concat()
}
