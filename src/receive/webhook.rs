//! The kinds of webhooks and how they differ: who may send, how a body is signed, and how it becomes rows.
//!
//! Everything else that happens to a request is the same for all of them; see `intake`.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use http::request::Parts;
use serde_json::Value;

use super::admission::{Admitted, Proofs, Standing};
use super::app::App;
use super::client::Client;
use super::hooks::{Delivery, Hook};
use super::replies::Problem;
use crate::contract::{Checked, Contract, Refusal};
use crate::ids::Ids;
use crate::record::Origin;

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
    Events(Checked),
    /// A question to answer with 200 and this JSON; nothing is stored.
    Answer(Value),
}

impl<'a> Endpoint<'a> {
    /// The configured path, which the rows of the quarantine name.
    pub(super) fn path(self, app: &'a App) -> &'a Arc<str> {
        match self {
            Self::Events => &app.settings.endpoint,
            Self::Hook(hook) => &hook.path,
        }
    }

    /// Checks the token, if one is needed, and the rate of the client. Providers have no tokens; their
    /// signatures are checked once the body has been read.
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
    pub(super) fn standing(self, app: &App, headers: &HeaderMap) -> Result<Standing, Problem> {
        let Some(proofs) = self.proofs(app) else {
            return Ok(Standing::Proven);
        };
        match proofs.standing(headers) {
            Standing::Unproven => Err(Problem::unproven(proofs)),
            standing => Ok(standing),
        }
    }

    /// Checks the signature of a body as it was sent, if it decides.
    pub(super) fn admit(
        self,
        app: &App,
        standing: Standing,
        parts: &Parts,
        raw: Bytes,
    ) -> Result<Admitted, Problem> {
        match self.proofs(app) {
            Some(proofs) if standing == Standing::NeedsSignature => {
                let admitted = proofs.admit(parts, raw, app.clock.wall());
                admitted.map_err(Problem::unsigned)
            }
            _ => Ok(Admitted::by_head(raw)),
        }
    }

    /// Turns a body into rows. Takes time linear in its length.
    pub(super) fn judge(
        self,
        contract: &Contract,
        headers: &HeaderMap,
        body: &[u8],
        origin: &Origin,
        ids: &Ids,
    ) -> Result<Judged, Refusal> {
        match self {
            Self::Events => contract.check(body, origin).map(Judged::Events),
            Self::Hook(hook) => match hook.judge(contract, headers, body, origin, ids)? {
                Delivery::Event(checked) => Ok(Judged::Events(checked)),
                Delivery::Challenge(answer) => Ok(Judged::Answer(answer)),
            },
        }
    }
}
