//! Answers requests to the console: lets in who may come in, and leads to the views.

use std::sync::Arc;

use axum::extract::Request;
use axum::response::Response;
use http::header::{AUTHORIZATION, COOKIE as COOKIES};
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode};
use maud::html;
use metrics::Gauge;

use super::asked::Fields;
use super::guard::{is_for_us, is_from_us};
use super::layout::{Page, View, Visit, bare};
use super::sessions::Visitor;
use super::state::Console;
use super::views::{
    contract, find, lake, lake_object, live, node, overview, polls, quarantine, quarantine_replay,
    quarantine_row, query, sources,
};
use super::{login, reply, stream};
use crate::receive::answering::Answering;

const STYLE: &str = include_str!("assets/console.css");
const SCRIPT: &str = include_str!("assets/console.js");
const ICON: &str = include_str!("assets/icon.svg");

/// Answers the requests to the console's address.
#[derive(Clone)]
pub struct ConsoleFront {
    console: Arc<Console>,
    /// Connections of people are not among those of the metrics.
    connections: Gauge,
}

impl ConsoleFront {
    /// Answers for this console.
    pub fn new(console: Arc<Console>) -> Self {
        Self {
            console,
            connections: Gauge::noop(),
        }
    }
}

impl Answering for ConsoleFront {
    fn connections(&self) -> &Gauge {
        &self.connections
    }

    async fn answer(self, request: Request) -> Response {
        let console = &self.console;
        if !is_for_us(request.headers(), &console.settings.hosts) {
            let text = "This console is reached as localhost, by an address, or by a name of server.console_hosts.\n";
            return reply::text(StatusCode::MISDIRECTED_REQUEST, text);
        }
        match *request.method() {
            Method::GET | Method::HEAD | Method::POST => {}
            _ => return reply::text(StatusCode::METHOD_NOT_ALLOWED, "GET, HEAD and POST alone\n"),
        }
        if let Some(answer) = asset(request.uri().path()) {
            return answer;
        }
        enter(console, request).await
    }
}

fn asset(path: &str) -> Option<Response> {
    match path {
        "/console.css" => Some(reply::asset("text/css; charset=utf-8", STYLE)),
        "/console.js" => Some(reply::asset("text/javascript; charset=utf-8", SCRIPT)),
        "/icon.svg" => Some(reply::asset("image/svg+xml", ICON)),
        _ => None,
    }
}

/// Finds out who asks.
async fn enter(console: &Arc<Console>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let known = visitor(&parts.headers);
    let needs_token = console.settings.tokens.are_required();
    let has_session = needs_token
        && known
            .as_ref()
            .is_some_and(|visitor| console.sessions.has(visitor, console.mono()));
    let is_new = known.is_none();
    let Some(visitor) = known.or_else(|| Visitor::new(&console.ids)) else {
        return reply::text(
            StatusCode::SERVICE_UNAVAILABLE,
            "the system has no randomness\n",
        );
    };
    let visit = Visit {
        proof: console.sessions.proof(&visitor),
        has_session,
    };
    let may_look = !needs_token || has_session || bears_token(console, &parts.headers);
    let mut response = if parts.method == Method::POST {
        let form = if is_from_us(&parts.headers) {
            Fields::of_form(body).await
        } else {
            None
        };
        match form {
            Some(form) if console.sessions.is_proof(&visitor, form.get("proof")) => {
                act(console, &parts, &visit, &visitor, &form, may_look).await
            }
            _ => refused_form(),
        }
    } else if may_look {
        show(console, &parts, &visit).await
    } else if parts.uri.path() == "/login" {
        login::page(StatusCode::OK, &visit, false)
    } else {
        reply::go_to("/login")
    };
    let has_cookie = response.headers().contains_key(http::header::SET_COOKIE);
    if is_new && !has_cookie {
        reply::remember(&mut response, &visitor, console.settings.has_tls);
    }
    response
}

fn visitor(headers: &HeaderMap) -> Option<Visitor> {
    let lists = headers.get_all(COOKIES).iter();
    let pairs = lists
        .filter_map(|list| list.to_str().ok())
        .flat_map(|list| list.split(';'));
    let mut named = pairs.filter_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        (name == reply::COOKIE).then_some(value)
    });
    named.find_map(Visitor::named)
}

/// Whether a program shows a token, for which a login would be a detour.
fn bears_token(console: &Console, headers: &HeaderMap) -> bool {
    headers.contains_key(AUTHORIZATION) && console.settings.tokens.find(headers).is_some()
}

fn refused_form() -> Response {
    let content = html! {
        h1 { "Not done" }
        p { "That form was not made by a page of this console, or the service was started again since. Go back, load the page again, and repeat it." }
        p { a href="/" { "Overview" } }
    };
    reply::page(StatusCode::FORBIDDEN, bare("Not done", &content))
}

/// Does what a form asks for.
async fn act(
    console: &Arc<Console>,
    parts: &Parts,
    visit: &Visit,
    visitor: &Visitor,
    form: &Fields,
    may_look: bool,
) -> Response {
    let path = parts.uri.path();
    if path == "/login" && console.settings.tokens.are_required() {
        return login::enter(console, visit, form).await;
    }
    if !may_look {
        return reply::go_to("/login");
    }
    match path {
        "/logout" => login::leave(console, visitor),
        "/quarantine/replay" => quarantine_replay::begin(console, form).await,
        "/polls/run" => polls::run(console, form),
        "/lake/audit" => lake::begin_audit(console),
        "/contract" => {
            let page = contract::page(console, Some(form), visit);
            reply::page(StatusCode::OK, page.render(console, visit))
        }
        "/quarantine/try" => {
            let verdict = quarantine_row::try_again(console, form).await;
            let page = quarantine_row::page(console, form, visit, verdict).await;
            reply::page(StatusCode::OK, page.render(console, visit))
        }
        _ => not_found(),
    }
}

/// Shows a page.
async fn show(console: &Arc<Console>, parts: &Parts, visit: &Visit) -> Response {
    let path = parts.uri.path();
    let fields = Fields::of_query(parts.uri.query());
    if path == "/live/overview" {
        return stream::open(console, overview::LIVE_EVERY, overview::live);
    }
    if path == "/live/events" {
        return live::events(console, &fields);
    }
    let page: Page<'_> = match (View::at(path), path) {
        (Some(View::Overview), _) => overview::page(console),
        (Some(View::Find), _) => find::page(console, &fields).await,
        (Some(View::Live), _) => live::page(console, &fields),
        (Some(View::Sources), _) => sources::page(console),
        (Some(View::Polls), _) => polls::page(console, &fields, visit),
        (Some(View::Lake), _) => lake::page(console, visit).await,
        (Some(View::Query), _) => query::page(console).await,
        (Some(View::Contract), _) => contract::page(console, None, visit),
        (Some(View::Node), _) => node::page(console).await,
        (_, "/lake/object") => lake_object::page(console, &fields).await,
        (Some(View::Quarantine), _) => quarantine::page(console, &fields, visit).await,
        (_, "/quarantine/row") => {
            let unasked = quarantine_row::Verdict::Unasked;
            quarantine_row::page(console, &fields, visit, unasked).await
        }
        (_, "/quarantine/rows.ndjson") => {
            return quarantine::download(console, &fields, false, visit).await;
        }
        (_, "/quarantine/rows.csv") => {
            return quarantine::download(console, &fields, true, visit).await;
        }
        _ => return not_found(),
    };
    reply::page(StatusCode::OK, page.render(console, visit))
}

fn not_found() -> Response {
    let content = html! {
        h1 { "There is no such page" }
        p { a href="/" { "Overview" } }
    };
    reply::page(StatusCode::NOT_FOUND, bare("Not found", &content))
}
