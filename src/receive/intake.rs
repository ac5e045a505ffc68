//! The way of a request with events from its head to its durable answer; all webhooks share it.
//!
//! Client → media type and encoding → whether requests are accepted → body → signature → inflating → judging
//! → appending → counting. [`Endpoint`] holds what differs between webhooks. A body that is refused with 400
//! because of its content is kept in the quarantine, up to a bound on bytes.

use std::sync::Arc;

use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, StatusCode};

use super::admission::Admitted;
use super::app::{App, Core};
use super::body::{BodyError, Encoding, inflate, read};
use super::budget::Share;
use super::gate::{Peer, RequestId};
use super::media::negotiate;
use super::refused;
use super::replies::{self, Problem, Success};
use super::webhook::{Endpoint, Judged};
use crate::contract::{Checked, Refusal};
use crate::metrics::EventsCounted;
use crate::quarantine::{FieldError, Reason};
use crate::record::{Origin, RowKind, Rows};
use crate::wal::request::{Append, Appended, NO_RUN};

/// A body of up to this size is judged on the runtime's thread. A larger one would delay other requests
/// there.
const SMALL_BODY: usize = 64 << 10;

/// Answers a `POST` to a webhook.
pub(super) async fn receive(app: &App, endpoint: Endpoint<'_>, request: Request) -> Response {
    match accept(app, endpoint, request).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    }
}

async fn accept(app: &App, endpoint: Endpoint<'_>, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let peer = parts.extensions.get::<Peer>().map(|peer| peer.0.ip());
    endpoint.check_client(app, &parts.headers, peer)?;
    let standing = endpoint.standing(app, &parts.headers)?;
    let encoding = negotiate(&parts.headers)?;
    let core = app.ready_core()?;
    let mut share = app.budget.share();
    let raw = read(&parts.headers, body, app.settings.body, &mut share).await?;
    let body = endpoint.admit(app, standing, &parts, raw)?;
    let request_id = parts.extensions.get::<RequestId>();
    let origin = Origin {
        received_at: core.log.gauges().receipt(app.clock.wall()),
        endpoint: Arc::clone(endpoint.path(app)),
        request_id: request_id.map_or_else(Box::default, |id| id.0.clone()),
        client: peer,
    };
    let is_large = encoding != Encoding::Identity || body.bytes().len() > SMALL_BODY;
    let permit = if is_large {
        Some(app.processors.acquire().await.map_err(BodyError::from)?)
    } else {
        None
    };
    let mut intake = Intake {
        app,
        core,
        endpoint,
        headers: &parts.headers,
        body,
        origin,
        share,
    };
    let judged = intake.judge(encoding);
    drop(permit);
    match judged {
        Ok(Judged::Events(checked)) => intake.append(checked).await,
        Ok(Judged::Answer(answer)) => {
            Ok(replies::json(StatusCode::OK, "application/json", &answer))
        }
        Err(rejection) => Err(intake.reject(rejection).await),
    }
}

/// A body whose sender was admitted, with what is known of its request.
struct Intake<'a> {
    app: &'a App,
    core: &'a Core,
    endpoint: Endpoint<'a>,
    headers: &'a HeaderMap,
    body: Admitted,
    origin: Origin,
    share: Share,
}

/// Why nothing of a body is stored.
enum Rejection {
    Body(BodyError),
    Contract(Refusal),
}

impl Intake<'_> {
    /// Decompresses the body and turns it into rows, both within the budget. The caller needs a permit for a
    /// large body, since this takes time.
    fn judge(&mut self, encoding: Encoding) -> Result<Judged, Rejection> {
        if encoding != Encoding::Identity {
            self.inflate(encoding).map_err(Rejection::Body)?;
        }
        // Rows are usually a little larger than their body. Their real size is known once they are written.
        let body_bytes = self.body.bytes().len();
        let expected = body_bytes + body_bytes / 4;
        self.grow(expected)?;
        let judge = || {
            let (contract, body) = (&self.core.contract, self.body.bytes());
            self.endpoint.judge(
                contract,
                self.headers,
                body,
                &self.origin,
                &self.app.event_ids,
            )
        };
        let judged = if body_bytes <= SMALL_BODY {
            judge()
        } else {
            tokio::task::block_in_place(judge)
        };
        let judged = judged.map_err(Rejection::Contract)?;
        if let Judged::Events(checked) = &judged {
            let taken = checked.rows.bytes.capacity();
            self.grow(taken.saturating_sub(expected))?;
            self.share
                .shrink(expected.saturating_sub(taken) + body_bytes);
        }
        Ok(judged)
    }

    fn inflate(&mut self, encoding: Encoding) -> Result<(), BodyError> {
        let (max_bytes, share) = (self.app.settings.body.max_bytes, &mut self.share);
        let raw = &self.body;
        let inflated = tokio::task::block_in_place(|| {
            raw.inflated(|raw| inflate(raw, encoding, max_bytes, share))
        })?;
        self.share.shrink(self.body.bytes().len());
        self.body = inflated;
        Ok(())
    }

    fn grow(&mut self, bytes: usize) -> Result<(), Rejection> {
        let grown = self.share.grow(bytes);
        grown.map_err(|error| Rejection::Body(error.into()))
    }

    async fn append(self, checked: Checked) -> Result<Response, Problem> {
        let Self {
            app,
            core,
            body,
            origin,
            share: _until_the_answer,
            ..
        } = self;
        drop(body);
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
        Ok(success.into_response())
    }

    /// Keeps a copy of a body that is refused because of its content, and returns the problem to answer.
    async fn reject(self, rejection: Rejection) -> Problem {
        match rejection {
            Rejection::Body(error) => {
                if matches!(error, BodyError::Inflate { .. }) {
                    let error = FieldError::of_body("bad_encoding", error.to_string());
                    self.keep(&[error], 1).await;
                }
                error.into()
            }
            Rejection::Contract(refusal) => {
                if let Some((errors, errors_total)) = refusal.field_errors() {
                    self.keep(&errors, errors_total).await;
                }
                refusal.into()
            }
        }
    }

    /// Keeps a copy of a body that is answered 400, up to the bound on bytes. The answer does not depend on
    /// whether this succeeds.
    async fn keep(self, errors: &[FieldError], errors_total: usize) {
        let Self {
            app,
            core,
            body,
            origin,
            share: _until_it_is_kept,
            ..
        } = self;
        let stream = &core.contract.rules().feed;
        let max_bytes = app.settings.max_refused_bytes;
        let errors = (errors, errors_total);
        let rows = refused::row_of(stream, errors, body.bytes(), &origin, max_bytes);
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
}

fn rows_in_quarantine(rows: &Rows) -> u64 {
    rows.rows
        .iter()
        .filter(|row| row.kind == RowKind::Quarantined)
        .count() as u64
}
