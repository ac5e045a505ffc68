//! The statements by which engines read the lake, ready to copy.

use std::sync::Arc;
use std::time::Duration;

use maud::{Markup, html};

use crate::console::layout::{Page, View, notice};
use crate::console::readings::Looked;
use crate::console::state::{Console, Statements};

/// The lake's layout changes rarely.
const MAX_AGE: Duration = Duration::from_secs(30);

/// The page.
pub(in crate::console) async fn page(console: &Arc<Console>) -> Page<'static> {
    let looked = look(console).await;
    let content = html! {
        h1 { "Query" }
        p .lead {
            "Views over " code { (console.settings.lake) } ", as " code { "lakehook sql" } " prints them. Run them once in a session, then ask for "
            code { "SELECT event_type, count(*) FROM events GROUP BY ALL" } "."
        }
        @if let Some(error) = looked.error() {
            (notice("bad", &html! { strong { "The lake cannot be looked into: " } (error) }))
        }
        @match looked.value() {
            None if looked.is_under_way => p { "The lake is being looked into …" },
            None => {},
            Some(statements) => @for (engine, text) in statements { (card(engine, text)) },
        }
    };
    Page {
        is_unfinished: looked.is_under_way && looked.value().is_none(),
        ..Page::of(View::Query, content)
    }
}

async fn look(console: &Arc<Console>) -> Looked<Statements> {
    let own = Arc::clone(console);
    let read = async move |_| (own.statements)().await;
    let ages = (console.mono(), MAX_AGE);
    console
        .known
        .queries
        .look(&console.beside, (), ages, read)
        .await
}

fn card(engine: &str, text: &str) -> Markup {
    html! {
        section .card {
            div .head {
                h2 { (engine) }
                button .quiet .copy type="button" hidden data-copy=(engine) { "Copy" }
            }
            pre tabindex="0" data-copied=(engine) { code { (text) } }
        }
    }
}
