//! The gate that every request passes: it refuses unsound HTTP, assigns an id, and measures the time to the answer.

use std::net::{IpAddr, SocketAddr};

use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};

use super::app::App;
use super::browsers;
use super::replies::Problem;
use super::unread::before_body;

/// The header with the request's id, in requests and answers.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const MAX_REQUEST_ID: usize = 128;

/// The peer's address; the server adds it to each request.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

/// The request's id: the sender's if it is valid, otherwise a new one.
#[derive(Clone, Debug)]
pub struct RequestId(pub Box<str>);

/// Passes sound requests on, and records how each was answered.
pub(super) async fn pass(
    app: &App,
    mut request: Request,
    next: impl AsyncFnOnce(Request) -> Response,
) -> Response {
    let before = app.clock.mono();
    let asked =
        tracing::enabled!(tracing::Level::DEBUG).then(|| Box::new(Asked::of(app, &request)));
    let (id, value) = request_id(app, request.headers());
    let mut response = if let Some(detail) = unsound(&request) {
        Problem::bad_request(detail).into_response()
    } else if browsers::is_foreign(&app.settings.cors_origins, &request) {
        let (parts, body) = request.into_parts();
        let problem = before_body(browsers::foreign_origin(), &parts.headers, body).await;
        problem.into_response()
    } else {
        request.extensions_mut().insert(id.clone());
        next(request).await
    };
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, value);
    // Browsers must not guess a type: no answer is meant to be shown as a page.
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let took = app.clock.mono().saturating_sub(before);
    let status = response.status();
    app.metrics.answered(status.as_u16(), took);
    if let Some(asked) = asked {
        tracing::debug!(
            request_id = &*id.0,
            method = %asked.method,
            path = asked.path,
            client = asked.client.map(tracing::field::display),
            body_bytes = asked.body_bytes,
            status = status.as_u16(),
            took_seconds = took.as_secs_f64(),
            "answered"
        );
    }
    response
}

/// What is logged of a request. A query is left out, since some providers put a secret into it.
struct Asked {
    method: Method,
    path: String,
    client: Option<IpAddr>,
    /// As announced; a body in chunks announces nothing.
    body_bytes: Option<u64>,
}

impl Asked {
    fn of(app: &App, request: &Request) -> Self {
        let headers = request.headers();
        let peer = request.extensions().get::<Peer>().map(|peer| peer.0.ip());
        let length = headers.get(CONTENT_LENGTH);
        Self {
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            client: peer.map(|peer| app.settings.proxies.client(peer, headers)),
            body_bytes: length.and_then(|value| value.to_str().ok()?.parse().ok()),
        }
    }
}

/// If we and a proxy in front of us could read the request differently (RFC 9112, sections 3.2 and 6.1), says
/// why. hyper has refused all other ambiguities already.
fn unsound(request: &Request) -> Option<&'static str> {
    let headers = request.headers();
    let hosts = headers.get_all(HOST).iter().count();
    if hosts > 1 || hosts == 0 && request.version() == Version::HTTP_11 {
        return Some("a request has exactly one Host header");
    }
    let mut encodings = headers.get_all(TRANSFER_ENCODING).iter();
    let is_chunked = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"chunked");
    // Several header lines form one list, and a list with chunked twice is invalid.
    let chunked_only = encodings.next().is_none_or(is_chunked) && encodings.next().is_none();
    (!chunked_only).then_some("the only Transfer-Encoding is chunked")
}

fn request_id(app: &App, headers: &HeaderMap) -> (RequestId, HeaderValue) {
    let sane = |value: &&HeaderValue| {
        let bytes = value.as_bytes();
        !bytes.is_empty() && bytes.len() <= MAX_REQUEST_ID && bytes.iter().all(u8::is_ascii_graphic)
    };
    let given = headers.get(REQUEST_ID).filter(sane);
    if let Some((value, text)) = given.and_then(|value| Some((value, value.to_str().ok()?))) {
        return (RequestId(text.into()), value.clone());
    }
    fresh_id(app)
}

/// A new id.
pub(super) fn fresh_id(app: &App) -> (RequestId, HeaderValue) {
    let number = app.ids.dice();
    let digit = |at: usize| char::from_digit((number >> (60 - 4 * at)) as u32 & 15, 16);
    let digits = std::array::from_fn::<_, 16, _>(|at| digit(at).map_or(b'0', |digit| digit as u8));
    let id = std::str::from_utf8(&digits).unwrap_or_default();
    let value = HeaderValue::from_str(id).unwrap_or(HeaderValue::from_static("none"));
    (RequestId(id.into()), value)
}
