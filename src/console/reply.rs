//! Answers: pages, redirections, files; each with the headers that keep a browser from doing more than it should.

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE, LOCATION, SET_COOKIE};
use http::{HeaderName, HeaderValue, StatusCode};
use maud::Markup;

use super::sessions::Visitor;

/// The cookie of a visitor.
pub(super) const COOKIE: &str = "lakehook_console";

/// Nothing but our own style sheet, script and images; no text may become a script; no frame; no other place for forms.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'; \
                      require-trusted-types-for 'script'; trusted-types 'none'";

const GUARDS: [(HeaderName, &str); 6] = [
    (HeaderName::from_static("content-security-policy"), POLICY),
    (HeaderName::from_static("x-content-type-options"), "nosniff"),
    (HeaderName::from_static("x-frame-options"), "DENY"),
    (HeaderName::from_static("referrer-policy"), "same-origin"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
];

/// A page.
pub(super) fn page(status: StatusCode, page: Markup) -> Response {
    answer(
        status,
        "text/html; charset=utf-8",
        Body::from(page.into_string()),
    )
}

/// Leads to another page of this console.
pub(super) fn go_to(path: &str) -> Response {
    let mut response = answer(
        StatusCode::SEE_OTHER,
        "text/plain; charset=utf-8",
        Body::empty(),
    );
    if let Ok(place) = HeaderValue::from_str(path) {
        response.headers_mut().insert(LOCATION, place);
    }
    response
}

/// A short text, where no page would be looked at.
pub(super) fn text(status: StatusCode, text: &'static str) -> Response {
    answer(status, "text/plain; charset=utf-8", Body::from(text))
}

/// A part of the console that is always the same.
pub(super) fn asset(media_type: &'static str, bytes: &'static str) -> Response {
    let mut response = answer(StatusCode::OK, media_type, Body::from(bytes));
    let briefly = HeaderValue::from_static("private, max-age=300");
    response.headers_mut().insert(CACHE_CONTROL, briefly);
    response
}

/// A file to keep.
pub(super) fn download(media_type: &'static str, name: &str, bytes: impl Into<Bytes>) -> Response {
    let mut response = answer(StatusCode::OK, media_type, Body::from(bytes.into()));
    let disposition = format!("attachment; filename=\"{name}\"");
    if let Ok(disposition) = HeaderValue::from_str(&disposition) {
        response
            .headers_mut()
            .insert(CONTENT_DISPOSITION, disposition);
    }
    response
}

/// Lines that come one after the other.
pub(super) fn events(body: Body) -> Response {
    answer(StatusCode::OK, "text/event-stream", body)
}

fn answer(status: StatusCode, media_type: &'static str, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    for (name, value) in GUARDS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Makes a browser name this visitor from now on, and to nobody else.
pub(super) fn remember(response: &mut Response, visitor: &Visitor, has_tls: bool) {
    let secure = if has_tls { "; Secure" } else { "" };
    let cookie = format!(
        "{COOKIE}={}; Path=/; HttpOnly; SameSite=Strict{secure}",
        visitor.text()
    );
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
}
