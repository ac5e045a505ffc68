//! The way of a request with events from its head to its durable answer; all webhooks share it.
//!
//! Client → media type and encoding → whether requests are accepted → body → signature → inflating → judging
//! → appending → counting. [`Endpoint`] holds what differs between webhooks. A body that is refused with 400
//! because of its content is kept in the quarantine, up to a bound on bytes.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::StatusCode;
use http::request::Parts;

use super::admission::{Admitted, Standing};
use super::app::{App, Core};
use super::body::{BodyError, Encoding, inflate, read};
use super::budget::Share;
use super::challenges::echo;
use super::delivery::{Answer, BodyForm, HookRows};
use super::gate::{Peer, RequestId};
use super::hooks::Judging;
use super::oversized::Oversized;
use super::recent::RefusedRequest;
use super::refused::{self, RefusedBody};
use super::replies::{self, Problem, Success};
use super::unread::before_body;
use super::webhook::{Admission, Endpoint, Judged};
use crate::contract::Refusal;
use crate::metrics::{EventsCounted, HookOutcome, SourceCounts};
use crate::quarantine::{FieldError, Reason};
use crate::record::{Origin, RowKind, Rows};
use crate::traces::RequestSpan;
use crate::wal::request::{Append, AppendError, Appended, NO_RUN};

/// A body of up to this size is judged on the runtime's thread. A larger one would delay other requests
/// there.
const SMALL_BODY: usize = 64 << 10;

/// An answer, and what a hook counts it as.
type Answered = Result<(Response, HookOutcome), Problem>;

/// Answers a `POST` to a webhook.
pub(super) async fn receive(app: &App, endpoint: Endpoint<'_>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    if let Some(answer) = endpoint.answer_to_query(&parts) {
        return answer;
    }
    let span = RequestSpan::begin(&parts.headers, endpoint.path(app));
    let answered = match Head::read(app, endpoint, &parts) {
        Ok(head) => accept(app, endpoint, &head, (&parts, &span), body).await,
        Err(problem) => Err(before_body(problem, &parts.headers, body).await),
    };
    endpoint.count(app, &answered);
    if let Err(problem) = &answered {
        note_refused(app, endpoint, &parts, problem);
    }
    let answer = match answered {
        Ok((response, _)) => response,
        Err(problem) => problem.into_response(),
    };
    span.end(answer.status().as_u16());
    answer
}

/// Remembers a refused request for those who ask for it.
fn note_refused(app: &App, endpoint: Endpoint<'_>, parts: &Parts, problem: &Problem) {
    let Some(core) = app.core.get() else { return };
    let peer = parts.extensions.get::<Peer>().map(|peer| peer.0.ip());
    let id = parts.extensions.get::<RequestId>();
    core.watch.recent.refuse(RefusedRequest {
        at: app.clock.wall(),
        request_id: id.map_or_else(Box::default, |id| id.0.clone()),
        endpoint: Arc::clone(endpoint.path(app)),
        client: peer.map(|peer| app.settings.proxies.client(peer, &parts.headers)),
        status: problem.status().as_u16(),
        why: problem.told(),
    });
}

/// What the head of a request says.
struct Head<'a> {
    core: &'a Core,
    standing: Standing,
    form: BodyForm,
    encoding: Encoding,
    peer: Option<std::net::IpAddr>,
}

impl<'a> Head<'a> {
    fn read(app: &'a App, endpoint: Endpoint<'_>, parts: &Parts) -> Result<Self, Problem> {
        let peer = parts.extensions.get::<Peer>().map(|peer| peer.0.ip());
        let peer = peer.map(|peer| app.settings.proxies.client(peer, &parts.headers));
        endpoint.check_host(app, &parts.headers)?;
        endpoint.check_client(app, &parts.headers, peer)?;
        let standing = endpoint.standing(app, parts)?;
        let (form, encoding) = endpoint.negotiate(&parts.headers)?;
        let core = app.ready_core()?;
        Ok(Self {
            core,
            standing,
            form,
            encoding,
            peer,
        })
    }
}

async fn accept(
    app: &App,
    endpoint: Endpoint<'_>,
    head: &Head<'_>,
    (parts, span): (&Parts, &RequestSpan),
    body: Body,
) -> Answered {
    let core = head.core;
    let mut share = app.budget.share();
    let raw = match read_or_keep(app, endpoint, head, parts, body, &mut share).await {
        Ok(raw) => raw,
        Err(error) => return Err(error.into()),
    };
    if let Some(source) = endpoint.source(app) {
        source.received_bytes.increment(raw.len() as u64);
    }
    let admission = if head.standing == Standing::NeedsCertificate {
        // It is rare, and its future large.
        Box::pin(endpoint.admit_message(app, raw)).await?
    } else {
        endpoint.admit(app, head.standing, parts, raw)?
    };
    let body = match admission {
        Admission::Body(body) => body,
        Admission::Ping => return Ok((StatusCode::OK.into_response(), HookOutcome::Challenge)),
    };
    let origin = origin(app, endpoint, head, parts);
    let encoding = head.encoding;
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
        parts,
        standing: head.standing,
        form: head.form,
        body,
        origin,
        share,
        span: span.clone(),
    };
    let judged = intake.judge(encoding);
    drop(permit);
    match judged {
        Ok(Judged::Events(rows)) => intake.append(rows).await,
        Ok(Judged::Answer(answer)) => Box::pin(respond(endpoint, answer)).await,
        Err(rejection) => Err(intake.reject(rejection).await),
    }
}

/// The response to what is no event.
async fn respond(endpoint: Endpoint<'_>, answer: Answer) -> Answered {
    let response = match answer {
        Answer::Json(answer) => replies::json(StatusCode::OK, "application/json", &answer),
        Answer::Text(text) => echo(&text),
        Answer::Nothing => StatusCode::NO_CONTENT.into_response(),
        Answer::Opening(url) => {
            endpoint.confirm(&url).await?;
            StatusCode::NO_CONTENT.into_response()
        }
    };
    Ok((response, HookOutcome::Challenge))
}

fn origin(app: &App, endpoint: Endpoint<'_>, head: &Head<'_>, parts: &Parts) -> Origin {
    let request_id = parts.extensions.get::<RequestId>();
    Origin {
        received_at: head.core.logs.receipt(app.clock.wall()),
        endpoint: Arc::clone(endpoint.path(app)),
        request_id: request_id.map_or_else(Box::default, |id| id.0.clone()),
        client: head.peer,
    }
}

/// Reads a body. If that of a hook is too large, the quarantine says so.
async fn read_or_keep(
    app: &App,
    endpoint: Endpoint<'_>,
    head: &Head<'_>,
    parts: &Parts,
    mut body: Body,
    share: &mut Share,
) -> Result<Bytes, BodyError> {
    let limits = endpoint.limits(app);
    let mut beginning = Vec::new();
    let reading = read(&parts.headers, &mut body, limits, share, &mut beginning);
    let error = match reading.await {
        Ok(raw) => return Ok(raw),
        Err(error) => error,
    };
    if let (Endpoint::Hook(hook), BodyError::TooLarge { .. }) = (endpoint, &error) {
        let oversized = Oversized {
            hook,
            parts,
            standing: head.standing,
            beginning,
            rest: body,
            limits,
        };
        let origin = origin(app, endpoint, head, parts);
        // It is rare, and its future large.
        Box::pin(oversized.keep(app, head.core, origin)).await;
    }
    Err(error)
}

/// A body whose sender was admitted, with what is known of its request.
struct Intake<'a> {
    app: &'a App,
    core: &'a Core,
    endpoint: Endpoint<'a>,
    parts: &'a Parts,
    standing: Standing,
    form: BodyForm,
    body: Admitted,
    origin: Origin,
    share: Share,
    span: RequestSpan,
}

/// Why nothing of a body is stored.
enum Rejection {
    /// The sender is not who it must be.
    Sender(Problem),
    Body(BodyError),
    Contract(Refusal),
}

impl Intake<'_> {
    /// Decompresses the body and turns it into rows, both within the budget. The caller needs a permit for a
    /// large body, since this takes time.
    fn judge(&mut self, encoding: Encoding) -> Result<Judged, Rejection> {
        if encoding != Encoding::Identity
            && let Err(error) = self.inflate(encoding)
        {
            return self.keep_undecoded(error);
        }
        // Rows are usually a little larger than their body. Their real size is known once they are written.
        let body_bytes = self.body.bytes().len();
        let expected = body_bytes + body_bytes / 4;
        let text_bytes = self.form.text_bytes(body_bytes);
        self.grow(expected + text_bytes)?;
        let admitted = self.endpoint.check_secret(
            self.app,
            self.standing,
            (self.parts, self.form),
            self.body.bytes(),
        );
        admitted.map_err(Rejection::Sender)?;
        let judge = || self.endpoint.judge(&self.judging(), self.body.bytes());
        let judged = if body_bytes <= SMALL_BODY {
            judge()
        } else {
            tokio::task::block_in_place(judge)
        };
        let judged = judged.map_err(Rejection::Contract)?;
        if let Judged::Events(rows) = &judged {
            let taken = rows.checked.rows.bytes.capacity();
            self.grow(taken.saturating_sub(expected))?;
            self.share
                .shrink(expected.saturating_sub(taken) + body_bytes + text_bytes);
        }
        Ok(judged)
    }

    fn judging(&self) -> Judging<'_> {
        Judging {
            contract: &self.core.contract,
            headers: &self.parts.headers,
            form: self.form,
            origin: &self.origin,
            ids: &self.app.event_ids,
            repeated: &self.app.repeated,
            is_replay: false,
        }
    }

    /// A body that cannot be decompressed is kept as it was sent where the sender would send it for ever.
    fn keep_undecoded(&mut self, error: BodyError) -> Result<Judged, Rejection> {
        if let (Endpoint::Hook(hook), BodyError::Inflate { .. }) = (self.endpoint, &error)
            && hook.keeps_unreadable()
            && self.standing != Standing::NeedsSecret
        {
            let errors = vec![FieldError::of_body("bad_encoding", error.to_string())];
            let refusal = Refusal::Invalid {
                errors,
                errors_total: 1,
            };
            let kept = hook.unreadable(&self.judging(), self.body.bytes(), refusal);
            return kept.map(Judged::Events).map_err(Rejection::Contract);
        }
        Err(Rejection::Body(error))
    }

    fn inflate(&mut self, encoding: Encoding) -> Result<(), BodyError> {
        let max_bytes = self.endpoint.limits(self.app).max_bytes;
        let share = &mut self.share;
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

    async fn append(self, judged: HookRows) -> Answered {
        let Self {
            app,
            core,
            endpoint,
            body,
            origin,
            share: _until_the_answer,
            span,
            ..
        } = self;
        drop(body);
        let HookRows {
            checked,
            event_ids,
            unreadable,
            repeated,
            unusable_times,
        } = judged;
        let dropped_total: u64 = checked.dropped.iter().map(|(_, n)| u64::from(*n)).sum();
        let invalid = rows_in_quarantine(&checked.rows);
        let received_at = origin.received_at;
        let watched = core.watch.begin(&origin, &checked.rows);
        let log_span = span.log(&checked.rows.partitions);
        let append = Append {
            rows: checked.rows,
            dropped: dropped_total,
            origin,
            run: NO_RUN,
            cursor: None,
        };
        let appended = core.logs.append(append).await;
        log_span.end(appended.is_ok());
        if let Err(AppendError::Full) = &appended {
            app.status.log_is_full(app.clock.now());
        }
        let appended = appended?;
        app.status.log_has_room();
        app.metrics.count_events(EventsCounted {
            received: checked.received,
            accepted: appended.accepted,
            duplicates: appended.duplicates,
            dropped: &checked.dropped,
            invalid,
            conflicts: appended.conflicts,
        });
        app.repeated.remember(&unreadable);
        endpoint.count_unusable_times(app, unusable_times);
        let Appended {
            accepted,
            duplicates,
            quarantined,
            ..
        } = appended;
        let duplicates = duplicates + repeated;
        let counts = SourceCounts {
            accepted,
            dropped: dropped_total,
            duplicates,
            quarantined,
        };
        core.watch.end(watched, counts);
        if let Some(source) = endpoint.source(app) {
            source.count(counts, received_at);
        }
        let mut success = Success::new(accepted, dropped_total, duplicates, quarantined);
        success.event_ids = event_ids.iter().map(ToString::to_string).collect();
        let success = success.with_errors(checked.errors, checked.errors_total);
        Ok((success.into_response(), outcome(appended, repeated)))
    }

    /// Keeps a copy of a body that is refused because of its content, and returns the problem to answer.
    async fn reject(self, rejection: Rejection) -> Problem {
        match rejection {
            Rejection::Sender(problem) => problem,
            Rejection::Body(error) => {
                let is_proven = self.standing != Standing::NeedsSecret;
                let is_hook = matches!(self.endpoint, Endpoint::Hook(_));
                if matches!(error, BodyError::TooLarge { .. }) && is_proven && is_hook {
                    let error = FieldError::of_body("too_large", error.to_string());
                    self.keep(&[error], 1).await;
                } else if matches!(error, BodyError::Inflate { .. }) && is_proven {
                    let error = FieldError::of_body("bad_encoding", error.to_string());
                    self.keep(&[error], 1).await;
                }
                error.into()
            }
            Rejection::Contract(refusal) => {
                if let Some((errors, errors_total)) = refusal.field_errors() {
                    self.keep(&errors, errors_total).await;
                } else if let Endpoint::Hook(hook) = self.endpoint
                    && hook.keeps_unreadable()
                {
                    let error =
                        FieldError::of_body("too_large", "more than the limits of a request");
                    self.keep(&[error], 1).await;
                }
                refusal.into()
            }
        }
    }

    /// Keeps a copy of a body that is answered 4xx, up to the bound on bytes. The answer does not depend on
    /// whether this succeeds.
    async fn keep(self, errors: &[FieldError], errors_total: usize) {
        let Self {
            app,
            core,
            endpoint,
            parts,
            body,
            origin,
            share: _until_it_is_kept,
            ..
        } = self;
        let fingerprint = endpoint.fingerprint(body.bytes());
        if fingerprint.is_some_and(|fingerprint| app.repeated.has(fingerprint)) {
            return;
        }
        let stream = &core.contract.rules().feed;
        let max_bytes = app.settings.max_refused_bytes;
        let evidence = endpoint.evidence(&parts.headers);
        let refused = RefusedBody {
            errors: (errors, errors_total),
            body: body.bytes(),
            whole: None,
            origin: &origin,
            hook: endpoint.of_hook(evidence.as_deref()),
        };
        let rows = refused::row_of(stream, &refused, max_bytes);
        let bytes = rows.bytes.len() as u64;
        let allowed = app.refused_allowance.take(bytes, app.clock.now());
        let append = Append {
            rows,
            dropped: 0,
            origin,
            run: NO_RUN,
            cursor: None,
        };
        if allowed && core.logs.append(append).await.is_ok() {
            app.metrics.quarantined(Reason::RefusedRequest).increment(1);
            app.repeated.remember(fingerprint.as_slice());
        } else {
            app.metrics.refused_not_kept.increment(1);
        }
    }
}

/// What a hook counts a success as: what an operator should know first.
fn outcome(appended: Appended, repeated: u64) -> HookOutcome {
    if appended.conflicts > 0 {
        HookOutcome::Conflict
    } else if appended.quarantined > 0 {
        HookOutcome::Quarantined
    } else if repeated > 0 {
        HookOutcome::Repeated
    } else if appended.accepted > 0 {
        HookOutcome::Accepted
    } else if appended.changed > 0 {
        HookOutcome::Changed
    } else {
        HookOutcome::Duplicate
    }
}

fn rows_in_quarantine(rows: &Rows) -> u64 {
    rows.rows
        .iter()
        .filter(|row| row.kind == RowKind::Quarantined)
        .count() as u64
}
