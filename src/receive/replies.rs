//! Replies: the one map from results to status and body.
//!
//! Every answer but a success is a problem (RFC 9457). 410 is never used, because senders disable an endpoint on it.
//! Nothing that a sender sent is echoed.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{
    ACCEPT_ENCODING, ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;

use crate::contract::Refusal;
use crate::quarantine::FieldError;
use crate::status::Unavailable;
use crate::wal::request::AppendError;

use super::admission::{Proof, Proofs};
use super::body::BodyError;
use super::client::TooMany;
use super::sns::Unverified;
use crate::signature::Unsigned;

/// The header of RFC 5789 and others that names the media types that a POST may have.
const ACCEPT_POST: HeaderName = HeaderName::from_static("accept-post");
/// Seconds after which a sender should try again if storage is the reason.
const RETRY_SOON: u32 = 5;

/// The answer to an accepted request. The four counts add up to the events sent.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct Success {
    #[schemars(extend("const" = "success"))]
    status: &'static str,
    /// New events, which are stored.
    pub accepted: u64,
    /// Valid events that a rule dropped.
    pub dropped: u64,
    /// Events that were known already.
    pub duplicates: u64,
    /// Events that are in the quarantine.
    pub quarantined: u64,
    /// The ids of all events in their order, if some of them were given one (by an open contract).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub event_ids: Vec<String>,
    /// What was wrong with quarantined events.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// The number of all errors, if there were any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errors_total: Option<usize>,
}

impl Success {
    /// The same, with what was wrong with events that are in the quarantine, if anything was.
    #[must_use]
    pub fn with_errors(mut self, errors: Vec<FieldError>, errors_total: usize) -> Self {
        if errors_total > 0 {
            self.errors = errors;
            self.errors_total = Some(errors_total);
        }
        self
    }

    /// A success with these counts.
    pub fn new(accepted: u64, dropped: u64, duplicates: u64, quarantined: u64) -> Self {
        let status = "success";
        Self {
            status,
            accepted,
            dropped,
            duplicates,
            quarantined,
            ..Self::default()
        }
    }
}

impl IntoResponse for Success {
    fn into_response(self) -> Response {
        json(StatusCode::OK, "application/json", &self)
    }
}

/// A problem. It is boxed because every step of a request may return one.
#[derive(Clone, Debug)]
pub struct Problem(Box<ProblemBody>);

/// Why a request was refused or failed (RFC 9457).
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "Problem")]
pub(super) struct ProblemBody {
    /// A stable word, which follows `urn:lakehook:problem:`.
    #[serde(rename = "type")]
    kind: String,
    title: &'static str,
    status: u16,
    /// A description of what happened, for people.
    detail: String,
    /// The line at which the body stops being JSON, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    /// The column at which the body stops being JSON, in bytes, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
    /// The limit that the request exceeds.
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<usize>,
    /// What is supported instead.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    supported: Vec<&'static str>,
    /// Breaches of the contract, each with its place.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
    /// How many breaches there were in all.
    #[serde(skip_serializing_if = "Option::is_none")]
    errors_total: Option<usize>,
    #[serde(skip)]
    headers: AnswerHeaders,
}

/// What the headers of an answer say.
#[derive(Clone, Debug)]
struct AnswerHeaders {
    retry_after: Option<u32>,
    too_many: Option<TooMany>,
    allow: Option<&'static str>,
    close: bool,
    /// What `WWW-Authenticate` asks for.
    credentials: &'static str,
}

impl Problem {
    /// A problem with that status; `kind` is a stable word.
    pub fn new(
        status: StatusCode,
        kind: &str,
        title: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        Self(Box::new(ProblemBody {
            kind: Self::kind_of(kind),
            title,
            status: status.as_u16(),
            detail: detail.into(),
            line: None,
            column: None,
            limit: None,
            supported: Vec::new(),
            errors: Vec::new(),
            errors_total: None,
            headers: AnswerHeaders {
                retry_after: None,
                too_many: None,
                allow: None,
                close: false,
                credentials: "Bearer",
            },
        }))
    }

    /// The `type` member for that word.
    pub(super) fn kind_of(word: &str) -> String {
        format!("urn:lakehook:problem:{word}")
    }

    /// 503: the request should be sent again.
    pub fn unavailable(kind: &str, detail: impl Into<String>) -> Self {
        let mut problem = Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            kind,
            "Not available now",
            detail,
        );
        problem.0.headers.retry_after = Some(RETRY_SOON);
        problem
    }

    /// 401: a token is missing or wrong.
    pub fn unauthorized() -> Self {
        let detail = "send a valid token as `Authorization: Bearer <token>`";
        Self::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "Bad or missing credentials",
            detail,
        )
    }

    /// 401: the head of the request proves nothing, and no signature could.
    pub(super) fn unproven(proofs: &Proofs) -> Self {
        let proofs = proofs.list();
        let ways: Vec<&str> = proofs.iter().map(Proof::wanted).collect();
        let detail = format!("send {}", ways.join(", or "));
        let status = StatusCode::UNAUTHORIZED;
        let mut problem = Self::new(status, "unauthorized", "Bad or missing credentials", detail);
        if proofs.iter().any(|proof| matches!(proof, Proof::Basic(_))) {
            problem.0.headers.credentials = "Basic realm=\"lakehook\"";
        }
        problem
    }

    /// 401: the body is not signed as it must be.
    pub fn unsigned(why: Unsigned) -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "bad-signature",
            "Bad or missing signature",
            why.to_string(),
        )
    }

    /// 429, with the limit in the headers.
    pub fn too_many_requests(too_many: TooMany) -> Self {
        let detail = "this client sends more requests than it may";
        let status = StatusCode::TOO_MANY_REQUESTS;
        let mut problem = Self::new(status, "too-many-requests", "Too many requests", detail);
        problem.0.headers.retry_after = Some(too_many.retry_after_seconds);
        problem.0.headers.too_many = Some(too_many);
        problem
    }

    /// 404: nothing is at the path.
    pub fn not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not-found",
            "Not found",
            "there is nothing at this path",
        )
    }

    /// 405, with the allowed methods.
    pub fn method_not_allowed(allow: &'static str) -> Self {
        let status = StatusCode::METHOD_NOT_ALLOWED;
        let detail = format!("this path takes {allow}");
        let mut problem = Self::new(status, "method-not-allowed", "Method not allowed", detail);
        problem.0.headers.allow = Some(allow);
        problem
    }

    /// 400: the request is not sound HTTP. The connection ends, because its framing is in doubt.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        let status = StatusCode::BAD_REQUEST;
        let mut problem = Self::new(status, "bad-request", "Bad request", detail);
        problem.0.headers.close = true;
        problem
    }

    /// 413, with the limit.
    pub fn too_large(kind: &str, detail: impl Into<String>, limit: usize) -> Self {
        let status = StatusCode::PAYLOAD_TOO_LARGE;
        let mut problem = Self::new(status, kind, "Too large", detail);
        problem.0.limit = Some(limit);
        problem
    }

    /// 415, with what is supported.
    pub fn unsupported(kind: &str, detail: &str, supported: &[&'static str]) -> Self {
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        let mut problem = Self::new(status, kind, "Unsupported media type or encoding", detail);
        problem.0.supported = supported.to_vec();
        problem
    }

    /// 500: a bug. What was durable stays durable.
    pub fn internal() -> Self {
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        let detail = "an internal error; the request may be sent again";
        Self::new(status, "internal", "Internal error", detail)
    }

    /// The same, as the last answer on its connection.
    #[must_use]
    pub(super) fn closing(mut self) -> Self {
        self.0.headers.close = true;
        self
    }

    /// The same, with the limit that the request exceeds.
    #[must_use]
    pub(super) fn limited(mut self, limit: usize) -> Self {
        self.0.limit = Some(limit);
        self
    }

    /// The body of the answer.
    pub(super) fn body(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(256);
        crate::json::push_json(&mut bytes, &self.0);
        bytes
    }

    /// What happened, for people.
    pub(super) fn detail(&self) -> &str {
        &self.0.detail
    }

    /// What is wrong, in a line: with the place of the first breach of the contract.
    pub(super) fn told(&self) -> String {
        let detail = &self.0.detail;
        match self.0.errors.first() {
            Some(first) => format!("{detail}: {} {}", first.pointer, first.detail),
            None => detail.clone(),
        }
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl From<Unverified> for Problem {
    fn from(why: Unverified) -> Self {
        match why {
            Unverified::Unsigned(why) => Self::unsigned(why),
            Unverified::Topic => {
                let status = StatusCode::UNAUTHORIZED;
                let title = "Not a topic of this path";
                Self::new(status, "unknown-topic", title, why.to_string())
            }
            Unverified::NoCertificate(_) => Self::unavailable("no-certificate", why.to_string()),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let bad = StatusCode::BAD_REQUEST;
        match refusal {
            Refusal::Syntax {
                line,
                column,
                detail,
            } => {
                let detail = format!("line {line}, column {column}: {detail}");
                let mut problem = Self::new(bad, "not-json", "The body is not JSON", detail);
                (problem.0.line, problem.0.column) = (Some(line), Some(column));
                problem
            }
            Refusal::Invalid {
                errors,
                errors_total,
            } => {
                let detail = "the body breaks the contract; nothing of it was stored as events";
                let title = "Events break the contract";
                let mut problem = Self::new(bad, "invalid-events", title, detail);
                problem.0.errors = errors;
                problem.0.errors_total = Some(errors_total);
                problem
            }
            Refusal::TooManyEvents { max_events } => {
                let detail = format!("a request may hold at most {max_events} events");
                Self::too_large("too-many-events", detail, max_events)
            }
            Refusal::EventTooLarge {
                index,
                max_event_bytes,
            } => {
                let detail = format!("event {index} has more than {max_event_bytes} bytes");
                Self::too_large("event-too-large", detail, max_event_bytes)
            }
        }
    }
}

impl From<BodyError> for Problem {
    fn from(error: BodyError) -> Self {
        let detail = error.to_string();
        match error {
            BodyError::TooLarge { max_bytes } => {
                let mut problem = Self::too_large("body-too-large", detail, max_bytes);
                problem.0.headers.close = true;
                problem
            }
            BodyError::Timeout { .. } => {
                let status = StatusCode::REQUEST_TIMEOUT;
                let mut problem = Self::new(status, "timeout", "The body came too slowly", detail);
                problem.0.headers.close = true;
                problem
            }
            BodyError::Broken => Self::bad_request(detail),
            BodyError::Inflate { .. } => {
                let title = "The body cannot be decompressed";
                Self::new(StatusCode::BAD_REQUEST, "bad-encoding", title, detail)
            }
            BodyError::NoMemory(_) => {
                let mut problem = Self::unavailable("busy", detail);
                problem.0.headers.close = true;
                problem
            }
        }
    }
}

impl From<AppendError> for Problem {
    fn from(error: AppendError) -> Self {
        let detail = error.to_string();
        match error {
            AppendError::TooLarge { max_bytes, .. } => {
                Self::too_large("request-too-large", detail, max_bytes)
            }
            AppendError::Full => Self::unavailable("log-full", detail),
            AppendError::Late => Self::unavailable("late", detail),
            AppendError::Storage(_) | AppendError::NoSuchRun | AppendError::NotReserved => {
                // The service's own log says what exactly failed.
                Self::unavailable("storage-failed", "storage failed; nothing was acknowledged")
            }
            AppendError::Closed => Self::unavailable("stopping", detail),
            AppendError::NoOwner(_) => Self::unavailable("no-owner", detail),
            AppendError::Unanswered(_) => Self::unavailable("owner-silent", detail),
        }
    }
}

impl From<Unavailable> for Problem {
    fn from(unavailable: Unavailable) -> Self {
        let kind = match &unavailable {
            Unavailable::Recovering => "starting",
            Unavailable::Leaving | Unavailable::Draining => "stopping",
            Unavailable::Failed(_) => "storage-failed",
            Unavailable::Foreign(_) => "foreign-object",
            Unavailable::LowSpace => "low-space",
            Unavailable::ReplicaAway => "replica-away",
            Unavailable::WrongClock => "wrong-clock",
        };
        Self::unavailable(kind, unavailable.to_string())
    }
}

impl ProblemBody {
    /// The header that names what is supported, if there is one for it.
    fn accepts(&self) -> Option<HeaderName> {
        match self.kind.rsplit(':').next() {
            Some("media-type") => Some(ACCEPT_POST),
            Some("content-encoding") => Some(ACCEPT_ENCODING),
            _ => None,
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = json(self.status(), "application/problem+json", &self.0);
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.0.headers.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(too_many) = self.0.headers.too_many {
            too_many.write(headers);
        }
        if let Some(allow) = self.0.headers.allow {
            headers.insert(ALLOW, HeaderValue::from_static(allow));
        }
        if self.status() == StatusCode::UNAUTHORIZED {
            let wanted = HeaderValue::from_static(self.0.headers.credentials);
            headers.insert(WWW_AUTHENTICATE, wanted);
        }
        if let Some(name) = self.0.accepts() {
            let list = HeaderValue::from_str(&self.0.supported.join(", "));
            list.ok().and_then(|list| headers.insert(name, list));
        }
        if self.0.headers.close {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

impl TooMany {
    /// Adds the header fields of draft-ietf-httpapi-ratelimit-headers: the policy (requests and seconds), and what is
    /// left of it until when.
    fn write(self, headers: &mut HeaderMap) {
        let policy = format!("\"requests\";q={};w={}", self.burst, self.window_seconds);
        let left = format!("\"requests\";r=0;t={}", self.retry_after_seconds);
        let fields = [("ratelimit-policy", policy), ("ratelimit", left)];
        for (name, value) in fields {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(name, value);
            }
        }
    }
}

/// A JSON answer.
pub fn json<T: Serialize>(status: StatusCode, media_type: &'static str, value: &T) -> Response {
    let mut bytes = Vec::with_capacity(128);
    crate::json::push_json(&mut bytes, value);
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}
