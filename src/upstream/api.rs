//! The HTTP interface: users in pages, all content, events with faults, and the switch of the generator. Every answer
//! is JSON.

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::{StatusCode, header};
use serde::Serialize;
use serde_json::json;

use super::activity::Body;
use super::chance::Chance;
use super::options::Options;
use super::population::{ContentItem, User};
use super::state::Upstream;

const DEFAULT_LIMIT: u32 = 100;
/// Most users of a page; a larger limit is not refused, but treated as this one.
const MAX_LIMIT: u32 = 200;

/// One page of users.
#[derive(Serialize)]
struct UsersPage {
    users: Vec<User>,
    total_users: u32,
    has_more: bool,
    /// Offset of the next page; -1 after the last one.
    next_offset: i64,
}

/// All content.
#[derive(Serialize)]
struct AllContent {
    content: Vec<ContentItem>,
    total_content: u32,
}

/// What goes wrong with one request for events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    Unavailable,
    Late,
}

impl Fault {
    /// Draws a fault by the shares in the options.
    pub(super) fn draw(options: &Options, chance: &Chance) -> Self {
        let drawn = chance.fraction();
        if drawn < options.unavailable {
            Self::Unavailable
        } else if drawn < options.unavailable + options.late {
            Self::Late
        } else {
            Self::None
        }
    }
}

/// The part of a list that is requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Window {
    offset: u32,
    limit: u32,
}

impl Window {
    /// Parses `offset=…&limit=…`, both optional; other parameters are ignored.
    fn parse(query: Option<&str>) -> Result<Self, &'static str> {
        let mut window = Self {
            offset: 0,
            limit: DEFAULT_LIMIT,
        };
        for parameter in query.unwrap_or_default().split('&') {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            match name {
                "offset" => window.offset = number(value).ok_or("offset must be 0 or more")?,
                "limit" => {
                    let limit = number(value).filter(|&limit| limit > 0);
                    window.limit = limit.ok_or("limit must be 1 or more")?.min(MAX_LIMIT);
                }
                _ => {}
            }
        }
        Ok(window)
    }
}

/// Parses a whole number of digits only; one that is too large becomes the largest possible.
fn number(text: &str) -> Option<u32> {
    let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u32::MAX))
}

/// All routes.
pub(super) fn router(upstream: Upstream) -> Router {
    Router::new()
        .route("/api/users", get(users))
        .route("/api/content", get(content))
        .route("/api/events", get(events))
        .route("/start-generator", post(start_generator))
        .route("/stop-generator", post(stop_generator))
        .route("/health", get(health))
        .fallback(async || error(StatusCode::NOT_FOUND, "there is nothing here"))
        .method_not_allowed_fallback(async || {
            error(
                StatusCode::METHOD_NOT_ALLOWED,
                "the method is not allowed here",
            )
        })
        .with_state(upstream)
}

async fn users(State(upstream): State<Upstream>, RawQuery(query): RawQuery) -> Response {
    let window = match Window::parse(query.as_deref()) {
        Ok(window) => window,
        Err(detail) => return error(StatusCode::BAD_REQUEST, detail),
    };
    let population = upstream.0.activity.population;
    let end = window
        .offset
        .saturating_add(window.limit)
        .min(population.users);
    let has_more = end < population.users;
    let page = UsersPage {
        users: (window.offset..end).map(|n| population.user(n)).collect(),
        total_users: population.users,
        has_more,
        next_offset: if has_more { i64::from(end) } else { -1 },
    };
    answer(StatusCode::OK, &page)
}

async fn content(State(upstream): State<Upstream>) -> Response {
    let population = upstream.0.activity.population;
    let all = AllContent {
        content: (0..population.content)
            .map(|n| population.item(n))
            .collect(),
        total_content: population.content,
    };
    answer(StatusCode::OK, &all)
}

async fn events(State(upstream): State<Upstream>, RawQuery(query): RawQuery) -> Response {
    let window = match Window::parse(query.as_deref()) {
        Ok(window) => window,
        Err(detail) => return error(StatusCode::BAD_REQUEST, detail),
    };
    let shared = &upstream.0;
    match Fault::draw(&shared.options, &shared.faults) {
        Fault::None => {}
        Fault::Unavailable => {
            let refusal = error(StatusCode::SERVICE_UNAVAILABLE, "try again later");
            return ([(header::RETRY_AFTER, "1")], refusal).into_response();
        }
        Fault::Late => {
            tokio::select! {
                () = tokio::time::sleep(shared.options.late_by) => {}
                () = shared.closing.cancelled() => {}
            }
        }
    }
    let events = shared.activity.batch(window.limit);
    answer(StatusCode::OK, &Body { events: &events })
}

async fn start_generator(State(upstream): State<Upstream>) -> Response {
    match upstream.start_generator().await {
        Ok(()) => answer(StatusCode::OK, &json!({"status": "running"})),
        Err(refusal) => error(StatusCode::CONFLICT, &refusal.to_string()),
    }
}

async fn stop_generator(State(upstream): State<Upstream>) -> Response {
    upstream.stop().await;
    answer(StatusCode::OK, &json!({"status": "stopped"}))
}

async fn health(State(upstream): State<Upstream>) -> Response {
    let health = json!({"status": "healthy", "sent": upstream.sent()});
    answer(StatusCode::OK, &health)
}

fn error(status: StatusCode, detail: &str) -> Response {
    answer(status, &json!({"error": detail}))
}

fn answer<T: Serialize>(status: StatusCode, body: &T) -> Response {
    match serde_json::to_vec(body) {
        Ok(body) => {
            let headers = [(header::CONTENT_TYPE, "application/json")];
            (status, headers, body).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_have_defaults_and_bounds() {
        let parse = |query| Window::parse(Some(query)).map(|w| (w.offset, w.limit));
        assert_eq!(parse(""), Ok((0, 100)));
        assert_eq!(parse("offset=20&limit=5&x"), Ok((20, 5)));
        assert_eq!(parse("limit=100000"), Ok((0, 200)));
        assert_eq!(parse("offset=99999999999999999999"), Ok((u32::MAX, 100)));
        for bad in [
            "offset",
            "offset=",
            "offset=-1",
            "offset=+1",
            "limit=0",
            "limit=ten",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
