//! Logging in with a token, and out again.

use std::time::Duration;

use axum::response::Response;
use http::StatusCode;
use maud::html;

use super::asked::Fields;
use super::layout::{Visit, bare, notice};
use super::reply;
use super::sessions::Visitor;
use super::state::Console;

/// How long somebody waits who guessed wrong.
const PAUSE: Duration = Duration::from_millis(500);

/// The page that asks for a token.
pub(super) fn page(status: StatusCode, visit: &Visit, has_failed: bool) -> Response {
    let content = html! {
        h1 { "Log in" }
        @if has_failed {
            (notice("bad", &html! { "That is no token of this console." }))
        }
        form .card .login method="post" action="/login" {
            (visit.field())
            label for="token" { "Token" }
            input #token type="password" name="token" autocomplete="current-password" required autofocus;
            p .hint { "A line of the file that " code { "server.console_token_file" } " names." }
            button type="submit" { "Log in" }
        }
    };
    reply::page(status, bare("Log in", &content))
}

/// Checks a token. Whoever has it gets a number that nobody else knows.
pub(super) async fn enter(console: &Console, visit: &Visit, form: &Fields) -> Response {
    if console
        .settings
        .tokens
        .index_of(form.get("token").trim().as_bytes())
        .is_none()
    {
        tracing::warn!("somebody tried to log in to the console with a wrong token");
        tokio::time::sleep(PAUSE).await;
        return page(StatusCode::UNAUTHORIZED, visit, true);
    }
    // Another number than before, which somebody might have planted.
    let Some(visitor) = Visitor::new(&console.ids) else {
        return reply::text(
            StatusCode::SERVICE_UNAVAILABLE,
            "the system has no randomness",
        );
    };
    console.sessions.open(visitor.clone(), console.mono());
    let mut response = reply::go_to("/");
    reply::remember(&mut response, &visitor, console.settings.has_tls);
    response
}

/// Ends a session.
pub(super) fn leave(console: &Console, visitor: &Visitor) -> Response {
    console.sessions.close(visitor);
    reply::go_to("/login")
}
