//! The kinds of webhooks and how they differ: who may send, what a body may be, how it is signed, and how it becomes
//! rows.
//!
//! Everything else that happens to a request is the same for all of them; see `intake`.

use std::net::IpAddr;
use std::sync::Arc;

use axum::response::Response;
use bytes::Bytes;
use http::HeaderMap;
use http::request::Parts;

use super::admission::{Admitted, Proofs, Standing};
use super::app::App;
use super::body::{BodyLimits, Encoding};
use super::browsers::check_host;
use super::client::Client;
use super::delivery::{Answer, BodyForm, Delivery, HookRows};
use super::hooks::{Hook, Judging, fresh_id};
use super::media;
use super::repeated::Repeated;
use super::replies::Problem;
use crate::contract::{OpenRequest, Refusal};
use crate::metrics::{HookOutcome, SourceMetrics};
use crate::quarantine::OfHook;

/// A path that takes events.
#[derive(Clone, Copy)]
pub(super) enum Endpoint<'a> {
    /// The webhook for events of our own contract.
    Events,
    /// The webhook of a provider.
    Hook(&'a Hook),
}

/// What a body turned out to be.
pub(super) enum Judged {
    /// Events, as rows to store.
    Events(HookRows),
    /// A question or a notice; nothing is stored.
    Answer(Answer),
}

/// A body that was read.
pub(super) enum Admission {
    /// It may become events.
    Body(Admitted),
    /// It is a question that nobody signs; nothing is stored.
    Ping,
}

impl<'a> Endpoint<'a> {
    /// The configured path, which the rows of the quarantine name.
    pub(super) fn path(self, app: &'a App) -> &'a Arc<str> {
        match self {
            Self::Events => &app.settings.endpoint,
            Self::Hook(hook) => &hook.path,
        }
    }

    /// The limits of its bodies.
    pub(super) fn limits(self, app: &App) -> BodyLimits {
        let limits = app.settings.body;
        let own = match self {
            Self::Events => None,
            Self::Hook(hook) => hook.max_body,
        };
        BodyLimits {
            max_bytes: own.unwrap_or(limits.max_bytes),
            ..limits
        }
    }

    /// Answers a check of the endpoint, which providers send in the query and which is not an event.
    pub(super) fn answer_to_query(self, parts: &Parts) -> Option<Response> {
        match self {
            Self::Events => None,
            Self::Hook(hook) => hook.answer_to_query(parts.uri.query()),
        }
    }

    /// Where anybody on this machine may send, checks that the request is for this machine.
    pub(super) fn check_host(self, app: &App, headers: &HeaderMap) -> Result<(), Problem> {
        let is_checked = match self {
            Self::Events => app.settings.checks_host,
            Self::Hook(hook) => hook.checks_host,
        };
        if is_checked {
            check_host(headers)?;
        }
        Ok(())
    }

    /// Checks the token, if one is needed, and the rate of the client. Providers have no tokens; their
    /// proofs are looked at next.
    pub(super) fn check_client(
        self,
        app: &App,
        headers: &HeaderMap,
        peer: Option<IpAddr>,
    ) -> Result<(), Problem> {
        let address = peer.map(Client::Address);
        let needs_token = matches!(self, Self::Events) && app.tokens.are_required();
        let token = if needs_token {
            app.tokens.find(headers)
        } else {
            None
        };
        // A client without a valid token is limited by its address, so that guessing is not free.
        let client = token.map(Client::Token).or(address);
        if let (Some(limit), Some(client)) = (&app.rate_limit, client) {
            limit.check(client).map_err(Problem::too_many_requests)?;
        }
        if needs_token && token.is_none() {
            return Err(Problem::unauthorized());
        }
        Ok(())
    }

    /// Who may send, apart from tokens for events.
    fn proofs(self, app: &'a App) -> Option<&'a Proofs> {
        match self {
            Self::Events => app.settings.signing.as_ref(),
            Self::Hook(hook) => Some(&hook.proofs),
        }
    }

    /// What the head proves about the sender. Fails if a signature cannot help any more.
    pub(super) fn standing(self, app: &App, parts: &Parts) -> Result<Standing, Problem> {
        let Some(proofs) = self.proofs(app) else {
            return Ok(Standing::Proven);
        };
        match proofs.standing(&parts.headers, parts.uri.query()) {
            Standing::Unproven => Err(Problem::unproven(proofs)),
            standing => Ok(standing),
        }
    }

    /// The form and encoding of a body; refuses others with 415.
    pub(super) fn negotiate(self, headers: &HeaderMap) -> Result<(BodyForm, Encoding), Problem> {
        match self {
            Self::Events => media::negotiate(headers).map(|encoding| (BodyForm::Json, encoding)),
            Self::Hook(hook) => media::negotiate_hook(headers, hook),
        }
    }

    /// Checks the signature of a body as it was sent, if it decides.
    pub(super) fn admit(
        self,
        app: &App,
        standing: Standing,
        parts: &Parts,
        raw: Bytes,
    ) -> Result<Admission, Problem> {
        match self.proofs(app) {
            Some(proofs) if standing == Standing::NeedsSignature => {
                if let Self::Hook(hook) = self
                    && hook.answer_to_ping(&raw)
                {
                    return Ok(Admission::Ping);
                }
                let admitted = proofs.admit(parts, raw, app.clock.wall());
                admitted.map(Admission::Body).map_err(Problem::unsigned)
            }
            _ => Ok(Admission::Body(Admitted::by_head(raw))),
        }
    }

    /// Checks the signature that a body itself holds.
    pub(super) async fn admit_message(self, app: &App, raw: Bytes) -> Result<Admission, Problem> {
        let Some(proofs) = self.proofs(app) else {
            return Ok(Admission::Body(Admitted::by_head(raw)));
        };
        let admitted = proofs.admit_message(raw, &app.clock).await;
        Ok(Admission::Body(admitted?))
    }

    /// Checks what a body that was decompressed holds, if that decides.
    pub(super) fn check_secret(
        self,
        app: &App,
        standing: Standing,
        (parts, form): (&Parts, BodyForm),
        body: &[u8],
    ) -> Result<(), Problem> {
        let Some(proofs) = self
            .proofs(app)
            .filter(|_| standing == Standing::NeedsSecret)
        else {
            return Ok(());
        };
        let text = form.text_of(&parts.headers, body);
        let are_in = |text: &str| proofs.are_in(parts, text, app.clock.wall());
        text.is_ok_and(|text| are_in(&text))
            .then_some(())
            .ok_or_else(|| Problem::unproven(proofs))
    }

    /// Turns a body into rows. Takes time linear in its length.
    pub(super) fn judge(self, with: &Judging<'_>, body: &[u8]) -> Result<Judged, Refusal> {
        match self {
            Self::Events if with.contract.rules().beyond.is_open => {
                let key = with.headers.get("idempotency-key");
                let checked = with.contract.check_open(
                    body,
                    &OpenRequest {
                        origin: with.origin,
                        idempotency_key: key.and_then(|key| key.to_str().ok()),
                        fresh: &|| fresh_id(with.ids),
                    },
                )?;
                Ok(Judged::Events(HookRows {
                    checked: checked.checked,
                    event_ids: checked.event_ids,
                    ..HookRows::default()
                }))
            }
            Self::Events => {
                let checked = with.contract.check(body, with.origin)?;
                Ok(Judged::Events(HookRows {
                    checked,
                    ..HookRows::default()
                }))
            }
            Self::Hook(hook) => match hook.judge(with, body)? {
                Delivery::Events(rows) => Ok(Judged::Events(rows)),
                Delivery::Challenge(answer) => Ok(Judged::Answer(answer)),
            },
        }
    }

    /// Confirms a subscription to a topic of SNS.
    pub(super) async fn confirm(self, url: &str) -> Result<(), Problem> {
        match self {
            Self::Events => Ok(()),
            Self::Hook(hook) => hook.confirm(url).await,
        }
    }

    /// The headers that a replay of a hook's body needs.
    pub(super) fn evidence(self, headers: &HeaderMap) -> Option<String> {
        match self {
            Self::Events => None,
            Self::Hook(hook) => Some(hook.evidence(headers, false)),
        }
    }

    /// What rows of the quarantine say of the hook.
    pub(super) fn of_hook(self, evidence: Option<&'a str>) -> Option<OfHook<'a>> {
        match self {
            Self::Events => None,
            Self::Hook(hook) => evidence.map(|headers| hook.of_hook(headers)),
        }
    }

    /// Identifies a body that is kept because it was refused, so that it is kept once.
    pub(super) fn fingerprint(self, body: &[u8]) -> Option<u128> {
        match self {
            Self::Events => None,
            Self::Hook(hook) => Some(Repeated::fingerprint(&hook.name, body)),
        }
    }

    /// The metrics of what comes in here.
    pub(super) fn source(self, app: &App) -> Option<&SourceMetrics> {
        match self {
            Self::Events => Some(&app.metrics.events_source),
            Self::Hook(hook) => app.metrics.hook(&hook.name).map(|metrics| &metrics.source),
        }
    }

    /// Counts what became of a request. If a hook refused it because it does not prove where it comes from, that is
    /// also logged, at most once a minute.
    pub(super) fn count(self, app: &App, answered: &Result<(Response, HookOutcome), Problem>) {
        if let Some(source) = self.source(app) {
            let status = match answered {
                Ok((response, _)) => response.status(),
                Err(problem) => problem.status(),
            };
            source.answered(status.as_u16());
        }
        let Self::Hook(hook) = self else { return };
        let outcome = match answered {
            Ok((_, outcome)) => *outcome,
            Err(problem) => match problem.status().as_u16() {
                401 => HookOutcome::Unauthenticated,
                408 | 429 | 500.. => HookOutcome::Unavailable,
                _ => HookOutcome::Refused,
            },
        };
        if let Some(metrics) = app.metrics.hook(&hook.name) {
            metrics.count(outcome);
        }
        if let (HookOutcome::Unauthenticated, Err(problem)) = (outcome, answered) {
            hook.alarm
                .raise(&hook.name, problem.detail(), app.clock.now().mono);
        }
    }

    /// Counts events whose time could not be used.
    pub(super) fn count_unusable_times(self, app: &App, times: u64) {
        if let Self::Hook(hook) = self
            && times > 0
            && let Some(metrics) = app.metrics.hook(&hook.name)
        {
            metrics.unusable_times.increment(times);
        }
    }
}
