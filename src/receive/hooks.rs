//! Webhooks of providers, each on a path of its own: signed by the provider's scheme, mapped to the envelope
//! of events.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::Value;

use super::body::{BodyError, Encoding, inflate, read};
use super::client::Client;
use super::gate::{Peer, RequestId};
use super::replies::{self, Problem, Success};
use super::router::App;
use super::signature::{Admitted, Scheme, Signing};
use super::webhook::{keep, negotiate, ready_core, received_at};
use crate::clock::Micros;
use crate::contract::foreign::Envelope;
use crate::metrics::EventsCounted;
use crate::record::Origin;
use crate::rfc3339;
use crate::wal::request::{Append, NO_RUN};

/// A provider's webhook.
#[derive(Clone)]
pub struct Hook {
    /// Its name, which is the source of its events.
    pub name: Arc<str>,
    /// Its path.
    pub path: Arc<str>,
    /// How it signs, and with what.
    pub signing: Signing,
    /// Whether it is asked to prove itself by a challenge.
    pub answers_challenges: bool,
    /// Where the event's id is.
    pub id: Place,
    /// Where its type is.
    pub kind: Place,
    /// Where its time is.
    pub time: Place,
}

/// Where a provider says something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Place {
    /// Nowhere.
    #[default]
    Nowhere,
    /// In the first of these headers that is there; in lower case.
    Headers(Vec<String>),
    /// In the body, by a JSON Pointer.
    Body(String),
}

impl Place {
    /// Reads `header:X-Name`, or a JSON Pointer.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(name) = text.strip_prefix("header:") {
            let name = http::HeaderName::from_bytes(name.trim().as_bytes()).ok()?;
            return Some(Self::Headers(vec![name.as_str().to_owned()]));
        }
        text.starts_with('/').then(|| Self::Body(text.to_owned()))
    }

    /// Id, type and time of a scheme, where it has its own.
    pub fn of_scheme(scheme: &Scheme) -> [Self; 3] {
        let headers = |names: &[&str]| Self::Headers(names.iter().map(|&n| n.to_owned()).collect());
        let body = |pointer: &str| Self::Body(pointer.to_owned());
        match scheme {
            Scheme::Standard => [
                headers(&["webhook-id", "svix-id"]),
                body("/type"),
                body("/timestamp"),
            ],
            Scheme::GitHub => [
                headers(&["x-github-delivery"]),
                headers(&["x-github-event"]),
                Self::Nowhere,
            ],
            Scheme::Stripe => [body("/id"), body("/type"), body("/created")],
            Scheme::Shopify => [
                headers(&["x-shopify-webhook-id"]),
                headers(&["x-shopify-topic"]),
                headers(&["x-shopify-triggered-at"]),
            ],
            Scheme::Slack => [body("/event_id"), body("/event/type"), body("/event_time")],
            Scheme::Plain { .. } => [body("/id"), body("/type"), Self::Nowhere],
        }
    }

    fn find<'a>(&self, headers: &'a HeaderMap, body: &'a Value) -> Option<Cow<'a, str>> {
        match self {
            Self::Nowhere => None,
            Self::Headers(names) => {
                let mut values = names
                    .iter()
                    .filter_map(|name| headers.get(name)?.to_str().ok());
                values.next().map(Cow::Borrowed)
            }
            Self::Body(pointer) => match body.pointer(pointer)? {
                Value::String(text) => Some(Cow::Borrowed(text)),
                Value::Number(number) => Some(Cow::Owned(number.to_string())),
                _ => None,
            },
        }
    }
}

/// `POST` to a provider's path.
pub async fn receive(app: Arc<App>, hook: Arc<Hook>, request: Request) -> Response {
    match accept(&app, &hook, request).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    }
}

async fn accept(app: &App, hook: &Hook, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let peer = parts.extensions.get::<Peer>().map(|peer| peer.0.ip());
    if let (Some(limit), Some(peer)) = (&app.rate_limit, peer) {
        limit
            .check(Client::Address(peer))
            .map_err(Problem::too_many_requests)?;
    }
    let encoding = negotiate(&parts.headers)?;
    let core = ready_core(app)?;
    let mut share = app.budget.share();
    let raw = read(&parts.headers, body, app.settings.body, &mut share).await?;
    let now = app.clock.now().wall;
    let admitted = hook.signing.admit(&parts.headers, raw, now);
    let mut admitted = admitted.map_err(Problem::unsigned)?;
    let request_id = parts.extensions.get::<RequestId>();
    let origin = Origin {
        received_at: received_at(app, core),
        endpoint: Arc::clone(&hook.path),
        request_id: request_id.map_or_else(Box::default, |id| id.0.clone()),
        client: peer,
    };
    if encoding != Encoding::Identity {
        let max_bytes = app.settings.body.max_bytes;
        let _turn = app.turns.take().await.map_err(BodyError::from)?;
        let inflated = tokio::task::block_in_place(|| {
            admitted.inflated(|raw: Bytes| inflate(raw, encoding, max_bytes, &mut share))
        });
        admitted = inflated?;
    }
    let taken = 2 * admitted.bytes().len();
    share.grow(taken).map_err(BodyError::from)?;
    let read = envelope(hook, &parts.headers, &admitted, &origin, core);
    let rows = match read {
        Read::Challenge(text) => {
            let answer = serde_json::json!({"challenge": text});
            return Ok(replies::json(StatusCode::OK, "application/json", &answer));
        }
        Read::Rows(rows) => rows,
        Read::Refused(refusal) => {
            if let Some((errors, errors_total)) = refusal.field_errors() {
                keep(app, core, (&errors, errors_total), admitted.bytes(), origin).await;
            }
            return Err(refusal.into());
        }
    };
    let append = Append {
        rows,
        dropped: 0,
        origin,
        run: NO_RUN,
        cursor: None,
    };
    let appended = core.log.append(append).await?;
    app.metrics.count_events(EventsCounted {
        received: 1,
        accepted: appended.accepted,
        duplicates: appended.duplicates,
        conflicts: appended.conflicts,
        ..EventsCounted::default()
    });
    let success = Success::new(
        appended.accepted,
        0,
        appended.duplicates,
        appended.quarantined,
    );
    Ok(success.into_response())
}

enum Read {
    Rows(crate::record::Rows),
    Challenge(String),
    Refused(crate::contract::Refusal),
}

fn envelope(
    hook: &Hook,
    headers: &HeaderMap,
    body: &Admitted,
    origin: &Origin,
    core: &super::router::Core,
) -> Read {
    let bytes = body.bytes();
    if bytes.len() > core.contract.rules().max_event_bytes {
        return Read::Refused(crate::contract::Refusal::EventTooLarge {
            index: 0,
            max_event_bytes: core.contract.rules().max_event_bytes,
        });
    }
    // What is no JSON has no fields, and is refused below, with the place.
    let value: Value = serde_json::from_slice(bytes).unwrap_or_default();
    if hook.answers_challenges && value["type"] == "url_verification" {
        let challenge = value["challenge"].as_str().unwrap_or_default();
        return Read::Challenge(challenge.to_owned());
    }
    // Without an id of its own, an event is known by its content.
    let by_content = || {
        let hash = xxhash_rust::xxh3::xxh3_128(bytes);
        Cow::Owned(format!("content {hash:032x}"))
    };
    let id = hook.id.find(headers, &value).filter(|id| !id.is_empty());
    let id = id.unwrap_or_else(by_content);
    let kind = hook.kind.find(headers, &value);
    let kind = kind
        .filter(|kind| !kind.is_empty())
        .unwrap_or(Cow::Borrowed("unknown"));
    let envelope = Envelope {
        source: &hook.name,
        id: &id,
        event_type: &kind,
        time: hook.time.find(headers, &value).and_then(|text| time(&text)),
    };
    match core.contract.foreign(bytes, &envelope, origin) {
        Ok(rows) => Read::Rows(rows),
        Err(refusal) => Read::Refused(refusal),
    }
}

/// A time as providers write it: RFC 3339, or seconds since 1970.
fn time(text: &str) -> Option<Micros> {
    if let Some(time) = rfc3339::parse(text) {
        return Some(time);
    }
    let seconds: u64 = text.parse().ok()?;
    Some(Micros(0).plus(Duration::from_secs(seconds)))
}
