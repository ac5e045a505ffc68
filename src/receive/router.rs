//! Paths, and the order of layers.

use std::any::Any;
use std::future::poll_fn;
use std::num::NonZeroU32;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::{Arc, OnceLock};
use std::task::Poll;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method};
use tower::ServiceExt as _;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::CorsLayer;

use super::body::BodyLimits;
use super::budget::Budget;
use super::client::{RateLimit, Tokens};
use super::gate;
use super::hooks::Hook;
use super::refused::Allowance;
use super::replies::Problem;
use super::signature::Signing;
use super::turns::Turns;
use super::{health, hooks, webhook};
use crate::clock::Clock;
use crate::contract::Contract;
use crate::feeds::figures::Figures;
use crate::ids::{Ids, NodeId};
use crate::metrics::Metrics;
use crate::status::Status;
use crate::wal::log::Log;

/// What receiving needs to know.
#[derive(Clone)]
pub struct Settings {
    /// The webhook's path.
    pub endpoint: Arc<str>,
    /// Limits of a body.
    pub body: BodyLimits,
    /// Memory for requests in flight, in bytes.
    pub memory: usize,
    /// Accepted bearer tokens; none means that anybody may send.
    pub tokens: Tokens,
    /// Signatures that requests for the webhook must have, if they must.
    pub signing: Option<Signing>,
    /// Webhooks of providers.
    pub hooks: Vec<Arc<Hook>>,
    /// Requests a second of one client and the burst, if limited.
    pub rate: Option<(NonZeroU32, NonZeroU32)>,
    /// Bytes of refused requests that are kept in a minute.
    pub refused_bytes_per_minute: u64,
    /// Bytes of one refused request that are kept.
    pub max_refused_bytes: usize,
    /// Origins that browsers may send from.
    pub cors_origins: Vec<HeaderValue>,
    /// Records that make a full batch; shown by `/health`.
    pub batch_size: u64,
    /// `/metrics` is served on another address.
    pub metrics_elsewhere: bool,
    /// The description of all this; see [`openapi`](super::openapi).
    pub openapi: Bytes,
}

/// What is there once the log is read.
pub struct Core {
    /// The contract.
    pub contract: Arc<Contract>,
    /// The log.
    pub log: Log,
    /// Whose log it is.
    pub node: NodeId,
}

/// What is there where polls are configured.
pub struct PollsView {
    /// State of every stream.
    pub figures: Box<dyn Fn() -> Figures + Send + Sync>,
    /// Their log.
    pub log: Log,
    /// What keeps them from storing.
    pub status: Arc<Status>,
}

/// What handlers share.
pub struct App {
    /// Settings.
    pub settings: Settings,
    /// Contract and log; empty while the log is read.
    pub core: OnceLock<Core>,
    /// The polls; empty where there are none.
    pub polls: OnceLock<PollsView>,
    /// May requests be accepted?
    pub status: Arc<Status>,
    /// Counts and times.
    pub metrics: Arc<Metrics>,
    /// Memory for requests in flight.
    pub budget: Budget,
    /// Turns at the processors.
    pub turns: Turns,
    /// Accepted tokens.
    pub tokens: Tokens,
    /// Limit of one client.
    pub rate_limit: Option<RateLimit>,
    /// Bound on copies of refused requests.
    pub refused_allowance: Allowance,
    /// The clock.
    pub clock: Clock,
    /// For request ids.
    pub ids: Ids,
}

impl App {
    /// With nothing but settings; the core comes when the log is read.
    pub fn new(
        settings: Settings,
        status: Arc<Status>,
        metrics: Arc<Metrics>,
        clock: Clock,
        ids: &Ids,
    ) -> Arc<Self> {
        Arc::new(Self {
            core: OnceLock::new(),
            polls: OnceLock::new(),
            status,
            metrics,
            budget: Budget::new(settings.memory),
            turns: Turns::default(),
            tokens: settings.tokens.clone(),
            rate_limit: settings
                .rate
                .map(|(rate, burst)| RateLimit::new(rate, burst)),
            refused_allowance: Allowance::new(settings.refused_bytes_per_minute, &clock),
            settings,
            clock,
            // Not secret, only distinct: a call of the system for each request would be a waste.
            ids: Ids::seeded(ids.next().unwrap_or(0)),
        })
    }
}

/// What answers the requests of one address: the gate, and the paths behind it.
#[derive(Clone)]
pub struct Front {
    app: Arc<App>,
    router: Router,
    /// The webhook, if nothing but the gate is before it.
    direct: Option<Arc<str>>,
}

impl Front {
    /// The service's paths.
    pub fn new(app: &Arc<App>) -> Self {
        let endpoint = app.settings.endpoint.trim_end_matches('/');
        let has_cors = !app.settings.cors_origins.is_empty();
        Self {
            app: Arc::clone(app),
            router: router(app),
            direct: (!has_cors).then(|| endpoint.into()),
        }
    }

    /// Only `/metrics`, for an address of its own.
    pub fn of_metrics(app: &Arc<App>) -> Self {
        Self {
            app: Arc::clone(app),
            router: layered(metrics_route(), app),
            direct: None,
        }
    }

    /// Answers a request.
    pub async fn answer(self, request: Request) -> Response {
        let Self {
            app,
            router,
            direct,
        } = self;
        gate::pass(&app, request, async |request| {
            // Where nearly all requests go: the router would cost more than what is behind it.
            let is_direct = request.method() == Method::POST
                && direct.is_some_and(|endpoint| is_path(&endpoint, request.uri().path()));
            if is_direct {
                return unless_it_panics(pin!(webhook::receive(&app, request))).await;
            }
            match router.oneshot(request).await {
                Ok(response) => response,
                Err(never) => match never {},
            }
        })
        .await
    }
}

fn is_path(endpoint: &str, path: &str) -> bool {
    path.strip_prefix(endpoint)
        .is_some_and(|rest| matches!(rest, "" | "/"))
}

/// The answer; or that to a panic, as [`CatchPanicLayer`] gives it. Pinned by the caller: taken by value, the future
/// would have two places in the caller's, which moves with each request.
async fn unless_it_panics(mut answer: Pin<&mut impl Future<Output = Response>>) -> Response {
    poll_fn(|context| {
        let polled = catch_unwind(AssertUnwindSafe(|| answer.as_mut().poll(context)));
        polled.unwrap_or_else(|payload| Poll::Ready(answer_panic(payload)))
    })
    .await
}

fn router(app: &Arc<App>) -> Router {
    let endpoint = app.settings.endpoint.trim_end_matches('/');
    let webhook = || {
        let receive = async |State(app): State<Arc<App>>, request: Request| {
            webhook::receive(&app, request).await
        };
        post(receive).fallback(async || refuse_method("POST"))
    };
    let mut router = Router::new()
        .route(endpoint, webhook())
        .route(&format!("{endpoint}/"), webhook())
        .merge(health_routes());
    for hook in &app.settings.hooks {
        let own = Arc::clone(hook);
        let receive = post(move |State(app): State<Arc<App>>, request: Request| {
            hooks::receive(app, Arc::clone(&own), request)
        });
        router = router.route(&hook.path, receive.fallback(async || refuse_method("POST")));
    }
    if !app.settings.metrics_elsewhere {
        router = router.merge(metrics_route());
    }
    layered(router, app)
}

fn health_routes() -> Router<Arc<App>> {
    let only_get = async || refuse_method("GET, HEAD");
    Router::new()
        .route("/health", get(health::health).fallback(only_get))
        .route("/ready", get(health::ready).fallback(only_get))
        .route("/openapi.json", get(health::openapi).fallback(only_get))
}

fn metrics_route() -> Router<Arc<App>> {
    let only_get = async || refuse_method("GET, HEAD");
    Router::new().route("/metrics", get(health::metrics).fallback(only_get))
}

fn layered(router: Router<Arc<App>>, app: &Arc<App>) -> Router {
    let mut router = router
        .fallback(async || Problem::not_found().into_response())
        .layer(CatchPanicLayer::custom(answer_panic));
    if !app.settings.cors_origins.is_empty() {
        router = router.layer(cors(&app.settings.cors_origins));
    }
    router.with_state(Arc::clone(app))
}

fn cors(origins: &[HeaderValue]) -> CorsLayer {
    let allowed = [
        "content-type",
        "content-encoding",
        "authorization",
        "x-request-id",
    ];
    CorsLayer::new()
        .allow_origin(origins.to_vec())
        .allow_methods([Method::POST, Method::GET, Method::HEAD])
        .allow_headers(allowed.map(HeaderName::from_static))
}

fn refuse_method(allow: &'static str) -> Response {
    Problem::method_not_allowed(allow).into_response()
}

#[allow(
    clippy::needless_pass_by_value,
    reason = "the layer hands the payload over"
)]
fn answer_panic(payload: Box<dyn Any + Send>) -> Response {
    let message = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_default();
    tracing::error!(message, "a request panicked");
    Problem::internal().into_response()
}
