//! The paths, and the order of the layers around them.

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodRouter, get, post};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use metrics::Gauge;
use tower::ServiceExt as _;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::CorsLayer;

use super::answering::Answering;
use super::app::App;
use super::budget::Budget;
use super::gate;
use super::hooks::Hook;
use super::intake;
use super::pages::{PAGES, Page};
use super::replies::Problem;
use super::unread::before_body;
use super::unreadable;
use super::webhook::Endpoint;

/// How long a browser may remember what a page may send.
const PREFLIGHT_HOLDS: Duration = Duration::from_secs(600);

/// Answers the requests to one address: the gate and the paths behind it.
#[derive(Clone)]
pub struct Front {
    app: Arc<App>,
    router: Router,
    /// Path of the webhook for events, unless a layer must run before it.
    direct: Option<Arc<str>>,
}

impl Front {
    /// Serves all paths of the service.
    pub fn new(app: &Arc<App>) -> Self {
        let endpoint = app.settings.endpoint.trim_end_matches('/');
        let has_cors = !app.settings.cors_origins.is_empty();
        Self {
            app: Arc::clone(app),
            router: router(app),
            direct: (!has_cors).then(|| endpoint.into()),
        }
    }

    /// Serves only `/metrics`, for an address of its own.
    pub fn of_metrics(app: &Arc<App>) -> Self {
        let pages = PAGES.iter().filter(|page| page.is_metrics);
        Self {
            app: Arc::clone(app),
            router: layered(with_pages(Router::new(), pages), app),
            direct: None,
        }
    }
}

impl Answering for Front {
    fn connections(&self) -> &Gauge {
        &self.app.metrics.http_connections
    }

    fn memory(&self) -> Option<&Budget> {
        Some(&self.app.budget)
    }

    fn count(&self, status: StatusCode) {
        self.app.metrics.answered(status.as_u16(), Duration::ZERO);
    }

    fn refuse_head(&self, status: u16, date: &str, max_head: usize) -> Vec<u8> {
        let problem = unreadable::problem(status, max_head);
        self.count(problem.status());
        let (_, id) = gate::fresh_id(&self.app);
        unreadable::bytes(&problem, Some(&id), date)
    }

    async fn answer(self, request: Request) -> Response {
        let Self {
            app,
            router,
            direct,
        } = self;
        gate::pass(&app, request, async |request| {
            // Nearly all requests are for this path, and routing them would cost more than answering them.
            let is_direct = request.method() == Method::POST
                && direct.is_some_and(|endpoint| is_path(&endpoint, request.uri().path()));
            if is_direct {
                return unless_it_panics(pin!(intake::receive(&app, Endpoint::Events, request)))
                    .await;
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

/// Returns the answer, or on a panic what [`CatchPanicLayer`] would return. The caller pins the future: passed by value,
/// it would be stored twice in the caller's own future, which is moved for each request.
async fn unless_it_panics(mut answer: Pin<&mut impl Future<Output = Response>>) -> Response {
    poll_fn(|context| {
        let polled = catch_unwind(AssertUnwindSafe(|| answer.as_mut().poll(context)));
        polled.unwrap_or_else(|payload| Poll::Ready(answer_panic(payload)))
    })
    .await
}

fn router(app: &Arc<App>) -> Router {
    let receive_events = async |State(app): State<Arc<App>>, request: Request| {
        intake::receive(&app, Endpoint::Events, request).await
    };
    let events = post(receive_events);
    let mut router = with_webhook(Router::new(), &app.settings.endpoint, events, "POST");
    for hook in &app.settings.hooks {
        let own = Arc::clone(hook);
        let receive = post(async move |State(app): State<Arc<App>>, request: Request| {
            intake::receive(&app, Endpoint::Hook(&own), request).await
        });
        let allow = hook.allowed_methods();
        router = with_webhook(router, &hook.path, with_questions(hook, receive), allow);
    }
    let is_here = |page: &&Page| !(page.is_metrics && app.settings.metrics_elsewhere);
    layered(with_pages(router, PAGES.iter().filter(is_here)), app)
}

/// Adds the answers to questions by which a provider verifies the URL.
fn with_questions(hook: &Arc<Hook>, mut routes: MethodRouter<Arc<App>>) -> MethodRouter<Arc<App>> {
    if hook.answers_get() {
        let own = Arc::clone(hook);
        routes = routes.get(async move |request: Request| {
            own.answer_get(request.headers(), request.uri().query())
        });
    }
    if hook.answers_options() {
        routes = routes.options(async |request: Request| Hook::answer_options(request.headers()));
    }
    routes
}

/// Adds a webhook's path, with and without a slash at its end.
fn with_webhook(
    router: Router<Arc<App>>,
    path: &str,
    receive: MethodRouter<Arc<App>>,
    allow: &'static str,
) -> Router<Arc<App>> {
    let path = path.trim_end_matches('/');
    let receive = receive.fallback(async move |request: Request| {
        let (parts, body) = request.into_parts();
        let problem = Problem::method_not_allowed(allow);
        before_body(problem, &parts.headers, body)
            .await
            .into_response()
    });
    router
        .route(path, receive.clone())
        .route(&format!("{path}/"), receive)
}

fn with_pages<'p>(
    mut router: Router<Arc<App>>,
    pages: impl Iterator<Item = &'p Page>,
) -> Router<Arc<App>> {
    for page in pages {
        let answer = page.answer;
        let answer = get(async move |State(app): State<Arc<App>>| answer(&app));
        let only_get = async || refuse_method("GET, HEAD");
        router = router.route(page.path, answer.fallback(only_get));
    }
    router
}

fn layered(router: Router<Arc<App>>, app: &Arc<App>) -> Router {
    let mut router = router
        .fallback(async |request: Request| {
            let (parts, body) = request.into_parts();
            let problem = Problem::not_found();
            before_body(problem, &parts.headers, body)
                .await
                .into_response()
        })
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
        "idempotency-key",
        "x-request-id",
    ];
    CorsLayer::new()
        .allow_origin(origins.to_vec())
        // `navigator.sendBeacon` always asks with credentials, though there are none that count here.
        .allow_credentials(true)
        .max_age(PREFLIGHT_HOLDS)
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
    tracing::error!(panic = message, "a request panicked");
    Problem::internal().into_response()
}
