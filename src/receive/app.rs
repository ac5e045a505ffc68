//! The state that all handlers share, and the settings it is built from.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::HeaderValue;

use super::admission::{Proof, Proofs};
use super::body::BodyLimits;
use super::budget::Budget;
use super::client::{RateLimit, Tokens};
use super::figures::{ClusterHealth, PollHealth};
use super::hooks::Hook;
use super::processors::Processors;
use super::proxies::Proxies;
use super::refused::Allowance;
use super::repeated::Repeated;
use super::replies::Problem;
use super::tls::Tls;
use super::watch::Watch;
use crate::clock::Clock;
use crate::contract::Contract;
use crate::ids::{Ids, NodeId};
use crate::metrics::Metrics;
use crate::status::{Status, Unavailable};
use crate::wal::log::Log;
use crate::wal::logs::Logs;

/// Settings of the HTTP interface, as [`App::new`] needs them.
#[derive(Clone)]
pub struct ReceiveSettings {
    /// Path of the webhook for events.
    pub endpoint: Arc<str>,
    /// Limits of a body.
    pub body: BodyLimits,
    /// Memory for requests in flight, in bytes.
    pub memory: usize,
    /// Accepted bearer tokens; if there are none, no token is needed.
    pub tokens: Tokens,
    /// How requests to the webhook for events must be signed, if they must.
    pub signing: Option<Proofs>,
    /// Webhooks of providers.
    pub hooks: Vec<Arc<Hook>>,
    /// Requests per second of one client and its burst, if limited.
    pub rate: Option<(NonZeroU32, NonZeroU32)>,
    /// Bytes of refused requests to keep per minute.
    pub refused_bytes_per_minute: u64,
    /// The most bytes of one refused request that are kept.
    pub max_refused_bytes: usize,
    /// Proxies whose word about a client's address counts.
    pub proxies: Proxies,
    /// Whether requests with events must be for this machine by name, because nobody is authenticated.
    pub checks_host: bool,
    /// Origins that browsers may send from.
    pub cors_origins: Vec<HeaderValue>,
    /// Records in a full batch; shown by `/health`.
    pub batch_size: u64,
    /// Whether `/metrics` is served on an address of its own.
    pub metrics_elsewhere: bool,
    /// The OpenAPI description of the interface; see [`openapi`](super::openapi).
    pub openapi: Bytes,
}

/// The secrets of senders.
pub struct Credentials {
    /// The bearer tokens of the webhook for events.
    pub tokens: Vec<String>,
    /// How requests to it must be signed; empty if they need not be.
    pub signing: Vec<Proof>,
    /// The proofs of each hook, by its name.
    pub hooks: BTreeMap<String, Vec<Proof>>,
}

/// What handlers need of the log, and the contract; both exist once the log has been read.
pub struct Core {
    /// The contract.
    pub contract: Arc<Contract>,
    /// The log, or several that share the rows.
    pub logs: Logs,
    /// The id of the log, or of the first one.
    pub node: NodeId,
    /// What those see who watch.
    pub watch: Watch,
    /// How this node stands in its cluster, if it is in one.
    pub cluster: Option<ClusterView>,
}

/// Tells how a node stands in its cluster.
pub type ClusterView = Box<dyn Fn() -> ClusterHealth + Send + Sync>;

/// What `/health` and `/metrics` show of the polls.
pub struct PollFigures {
    /// Returns the figures of each poll, by the name of its stream.
    pub streams: Box<dyn Fn() -> BTreeMap<String, PollHealth> + Send + Sync>,
    /// The log of the polls.
    pub log: Log,
    /// Whether polled rows can be stored now.
    pub status: Arc<Status>,
}

/// The state that handlers share.
pub struct App {
    /// The settings.
    pub settings: ReceiveSettings,
    /// Contract and log; empty until the log has been read.
    pub core: OnceLock<Core>,
    /// Figures of the polls; empty if none are configured.
    pub polls: OnceLock<PollFigures>,
    /// The certificate; empty without one.
    pub tls: OnceLock<Arc<Tls>>,
    /// Whether requests are accepted.
    pub status: Arc<Status>,
    /// Counters and histograms.
    pub metrics: Arc<Metrics>,
    /// Memory for requests in flight.
    pub budget: Budget,
    /// Permits to inflate and check large bodies.
    pub processors: Processors,
    /// Accepted tokens.
    pub tokens: Tokens,
    /// Rate limit per client.
    pub rate_limit: Option<RateLimit>,
    /// Unreadable bodies of hooks that are kept already.
    pub repeated: Repeated,
    /// Bound on copies of refused requests.
    pub refused_allowance: Allowance,
    /// The clock.
    pub clock: Clock,
    /// Source of request ids.
    pub ids: Ids,
    /// Source of ids of events that have none.
    pub event_ids: Ids,
}

impl App {
    /// How this node stands in its cluster, if it is in one and has started.
    pub fn cluster(&self) -> Option<ClusterHealth> {
        Some(self.core.get()?.cluster.as_ref()?())
    }

    /// Builds the state without a core, which is added once the log has been read.
    pub fn new(
        settings: ReceiveSettings,
        status: Arc<Status>,
        metrics: Arc<Metrics>,
        clock: Clock,
        ids: &Ids,
    ) -> Arc<Self> {
        Arc::new(Self {
            core: OnceLock::new(),
            polls: OnceLock::new(),
            tls: OnceLock::new(),
            status,
            metrics,
            budget: Budget::new(settings.memory),
            processors: Processors::default(),
            tokens: settings.tokens.clone(),
            rate_limit: settings
                .rate
                .map(|(rate, burst)| RateLimit::new(rate, burst)),
            repeated: Repeated::default(),
            refused_allowance: Allowance::new(settings.refused_bytes_per_minute, &clock),
            settings,
            clock,
            // Request ids must differ but need not be secret, so they do not need a system call each.
            ids: Ids::seeded(ids.dice()),
            event_ids: ids.clone(),
        })
    }

    /// Takes other secrets from now on. Which kinds of proofs there are does not change.
    pub fn renew(&self, credentials: Credentials) {
        let Credentials {
            tokens,
            signing,
            hooks,
        } = credentials;
        self.tokens.replace(tokens);
        if let Some(proofs) = &self.settings.signing {
            proofs.replace(signing);
        }
        for hook in &self.settings.hooks {
            if let Some(proofs) = hooks.get(&*hook.name) {
                hook.proofs.replace(proofs.clone());
            }
        }
    }

    /// The contract and the log, if requests are accepted now.
    pub(super) fn ready_core(&self) -> Result<&Core, Problem> {
        if let Some(unavailable) = self.status.refusal(self.clock.now()) {
            return Err(unavailable.into());
        }
        let starting = || Problem::from(Unavailable::Recovering);
        self.core.get().ok_or_else(starting)
    }
}
