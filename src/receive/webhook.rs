//! The webhook: from a request to its durable answer.

use std::sync::Arc;

use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use http::HeaderMap;
use http::header::CONTENT_TYPE;

use super::body::{BodyError, ENCODINGS, Encoding, encoding_of, inflate, read};
use super::budget::Share;
use super::client::Client;
use super::gate::{Peer, RequestId};
use super::refused;
use super::replies::{Problem, Success};
use super::router::{App, Core};
use super::signature::Admitted;
use super::turns::Turn;
use crate::clock::Micros;
use crate::contract::Checked;
use crate::metrics::EventsCounted;
use crate::quarantine::{FieldError, Reason};
use crate::record::Origin;
use crate::wal::request::{Append, Appended, NO_RUN};

/// Larger bodies are checked where they don't hold up other requests.
const SMALL_BODY: usize = 64 << 10;

/// `POST /webhook/events`.
pub async fn receive(app: &App, request: Request) -> Response {
    match accept(app, request).await {
        Ok(success) => success.into_response(),
        Err(problem) => problem.into_response(),
    }
}

async fn accept(app: &App, request: Request) -> Result<Success, Problem> {
    let (parts, body) = request.into_parts();
    let peer = parts.extensions.get::<Peer>().map(|peer| peer.0.ip());
    let client = authenticate(app, &parts.headers, peer)?;
    if let (Some(limit), Some(client)) = (&app.rate_limit, client) {
        limit.check(client).map_err(Problem::too_many_requests)?;
    }
    let encoding = negotiate(&parts.headers)?;
    let core = ready_core(app)?;
    let mut share = app.budget.share();
    let raw = read(&parts.headers, body, app.settings.body, &mut share).await?;
    let raw = match &app.settings.signing {
        Some(signing) => signing.admit(&parts.headers, raw, app.clock.wall()),
        None => Ok(Admitted::unsigned(raw)),
    };
    let raw = raw.map_err(Problem::unsigned)?;
    let request_id = parts.extensions.get::<RequestId>();
    let origin = Origin {
        received_at: received_at(app, core),
        endpoint: Arc::clone(&app.settings.endpoint),
        request_id: request_id.map_or_else(Box::default, |id| id.0.clone()),
        client: peer,
    };
    let is_large = encoding != Encoding::Identity || raw.bytes().len() > SMALL_BODY;
    let turn = if is_large {
        Some(app.turns.take().await.map_err(BodyError::from)?)
    } else {
        None
    };
    if encoding == Encoding::Identity {
        return store(app, core, raw, origin, (share, turn)).await;
    }
    let max_bytes = app.settings.body.max_bytes;
    let inflated = tokio::task::block_in_place(|| {
        raw.inflated(|raw| inflate(raw, encoding, max_bytes, &mut share))
    });
    match inflated {
        Ok(body) => {
            share.shrink(raw.bytes().len());
            drop(raw);
            store(app, core, body, origin, (share, turn)).await
        }
        Err(error) => {
            drop(turn);
            if matches!(error, BodyError::Inflate { .. }) {
                let error = FieldError::of_body("bad_encoding", error.to_string());
                keep(app, core, (&[error], 1), raw.bytes(), origin).await;
            }
            Err(error.into())
        }
    }
}

/// Who sends: 401 where credentials are needed and not given.
fn authenticate(
    app: &App,
    headers: &HeaderMap,
    peer: Option<std::net::IpAddr>,
) -> Result<Option<Client>, Problem> {
    if !app.tokens.are_required() {
        return Ok(peer.map(Client::Address));
    }
    if let Some(number) = app.tokens.find(headers) {
        return Ok(Some(Client::Token(number)));
    }
    // Guessing is limited by address, or it would be free.
    if let (Some(limit), Some(peer)) = (&app.rate_limit, peer) {
        limit
            .check(Client::Address(peer))
            .map_err(Problem::too_many_requests)?;
    }
    Err(Problem::unauthorized())
}

/// Media type and encoding, before the body is read.
pub(super) fn negotiate(headers: &HeaderMap) -> Result<Encoding, Problem> {
    const MEDIA_TYPES: [&str; 1] = ["application/json"];
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let declared = types
        .next()
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let mut parts = declared.split(';').map(str::trim);
    let is_json = parts
        .next()
        .is_some_and(|kind| kind.eq_ignore_ascii_case(MEDIA_TYPES[0]));
    if !is_json || types.next().is_some() {
        let detail = "send the events as JSON, with `Content-Type: application/json`";
        return Err(Problem::unsupported("media-type", detail, &MEDIA_TYPES));
    }
    let foreign_charset = parts.any(|parameter| {
        parameter.split_once('=').is_some_and(|(name, value)| {
            let value = value.trim().trim_matches('"');
            name.trim().eq_ignore_ascii_case("charset") && !value.eq_ignore_ascii_case("utf-8")
        })
    });
    if foreign_charset {
        let detail = "JSON is sent in UTF-8; leave the charset parameter out";
        return Err(Problem::unsupported("charset", detail, &["utf-8"]));
    }
    encoding_of(headers).ok_or_else(|| {
        let detail = "one Content-Encoding at most, and one of those supported";
        Problem::unsupported("content-encoding", detail, &ENCODINGS)
    })
}

pub(super) fn ready_core(app: &App) -> Result<&Core, Problem> {
    if let Some(unavailable) = app.status.refusal(app.clock.now()) {
        return Err(unavailable.into());
    }
    let starting = || Problem::from(crate::status::Unavailable::Recovering);
    app.core.get().ok_or_else(starting)
}

/// The time of receipt.
pub(super) fn received_at(app: &App, core: &Core) -> Micros {
    core.log.gauges().receipt(app.clock.wall())
}

async fn store(
    app: &App,
    core: &Core,
    admitted: Admitted,
    origin: Origin,
    (mut share, turn): (Share, Option<Turn>),
) -> Result<Success, Problem> {
    let body = admitted.bytes();
    // Rows are mostly a little larger than their body; what they really take is known afterwards.
    let expected = body.len() + body.len() / 4;
    share.grow(expected).map_err(BodyError::from)?;
    let checked = if body.len() <= SMALL_BODY {
        core.contract.check(body, &origin)
    } else {
        tokio::task::block_in_place(|| core.contract.check(body, &origin))
    };
    drop(turn);
    let checked = match checked {
        Ok(checked) => checked,
        Err(refusal) => {
            if let Some((errors, errors_total)) = refusal.field_errors() {
                keep(app, core, (&errors, errors_total), body, origin).await;
            }
            return Err(refusal.into());
        }
    };
    let taken = checked.rows.bytes.capacity();
    share
        .grow(taken.saturating_sub(expected))
        .map_err(BodyError::from)?;
    share.shrink(expected.saturating_sub(taken) + body.len());
    drop(admitted);
    let Checked {
        rows,
        received,
        dropped,
        errors,
        errors_total,
    } = checked;
    let dropped_total: u64 = dropped.iter().map(|(_, count)| u64::from(*count)).sum();
    let invalid = rows_in_quarantine(&rows);
    let append = Append {
        rows,
        dropped: dropped_total,
        origin,
        run: NO_RUN,
        cursor: None,
    };
    let appended = core.log.append(append).await?;
    app.metrics.count_events(EventsCounted {
        received,
        accepted: appended.accepted,
        duplicates: appended.duplicates,
        dropped: &dropped,
        invalid,
        conflicts: appended.conflicts,
    });
    let Appended {
        accepted,
        duplicates,
        quarantined,
        ..
    } = appended;
    let mut success = Success::new(accepted, dropped_total, duplicates, quarantined);
    if errors_total > 0 {
        success.errors = errors;
        success.errors_total = Some(errors_total);
    }
    Ok(success)
}

fn rows_in_quarantine(rows: &crate::record::Rows) -> u64 {
    use crate::record::RowKind;
    rows.rows
        .iter()
        .filter(|row| row.kind == RowKind::Quarantined)
        .count() as u64
}

/// Keeps a copy of a request that is answered 400, as far as the bound allows. The answer doesn't
/// depend on it.
pub(super) async fn keep(
    app: &App,
    core: &Core,
    errors: (&[FieldError], usize),
    body: &[u8],
    origin: Origin,
) {
    let stream = &core.contract.rules().feed;
    let max_bytes = app.settings.max_refused_bytes;
    let rows = refused::row_of(stream, errors, body, &origin, max_bytes);
    let bytes = rows.bytes.len() as u64;
    let allowed = app.refused_allowance.take(bytes, app.clock.now());
    let append = Append {
        rows,
        dropped: 0,
        origin,
        run: NO_RUN,
        cursor: None,
    };
    if allowed && core.log.append(append).await.is_ok() {
        app.metrics.quarantined(Reason::RefusedRequest).increment(1);
    } else {
        app.metrics.refused_not_kept.increment(1);
    }
}
