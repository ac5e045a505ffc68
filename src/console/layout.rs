//! What all pages have in common: head, navigation, state of the service.

use std::borrow::Cow;

use maud::{DOCTYPE, Markup, html};

use super::standing::brief;
use super::state::Console;

/// The views, in the order of the navigation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum View {
    /// What the service does now.
    Overview,
    /// One event.
    Find,
    /// What is accepted now.
    Live,
    /// What sends.
    Sources,
    /// What is pulled, and sent.
    Polls,
    /// What was refused.
    Quarantine,
    /// What is there.
    Lake,
    /// How to read it.
    Query,
    /// What is accepted.
    Contract,
    /// The process and its settings.
    Node,
}

impl View {
    /// All views.
    pub(super) const ALL: [Self; 10] = [
        Self::Overview,
        Self::Find,
        Self::Live,
        Self::Sources,
        Self::Polls,
        Self::Quarantine,
        Self::Lake,
        Self::Query,
        Self::Contract,
        Self::Node,
    ];

    /// Its path.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Overview => "/",
            Self::Find => "/find",
            Self::Live => "/live",
            Self::Sources => "/sources",
            Self::Polls => "/polls",
            Self::Quarantine => "/quarantine",
            Self::Lake => "/lake",
            Self::Query => "/query",
            Self::Contract => "/contract",
            Self::Node => "/node",
        }
    }

    /// Its name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Find => "Find",
            Self::Live => "Live",
            Self::Sources => "Sources",
            Self::Polls => "Polls",
            Self::Quarantine => "Quarantine",
            Self::Lake => "Lake",
            Self::Query => "Query",
            Self::Contract => "Contract",
            Self::Node => "Node",
        }
    }

    /// The view at a path.
    pub(super) fn at(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|view| view.path() == path)
    }
}

/// Who looks: what forms of the page must hold.
#[derive(Clone, Debug)]
pub(super) struct Visit {
    /// The proof that a page of this console made a form.
    pub(super) proof: String,
    /// Whether this visitor has logged in, and may log out.
    pub(super) has_session: bool,
}

impl Visit {
    /// The field of a form that holds the proof.
    pub(super) fn field(&self) -> Markup {
        html! { input type="hidden" name="proof" value=(self.proof); }
    }
}

/// A page of a view.
pub(super) struct Page<'a> {
    /// The view.
    pub(super) view: View,
    /// What follows the name of the view in the title, if anything does.
    pub(super) of: &'a str,
    /// Where figures of this page come from while it is open, if any are live.
    pub(super) live: Option<Cow<'static, str>>,
    /// Whether the page is not complete yet, and should be loaded again soon.
    pub(super) is_unfinished: bool,
    /// What is special about it.
    pub(super) content: Markup,
}

impl<'a> Page<'a> {
    /// A page that is still.
    pub(super) fn of(view: View, content: Markup) -> Self {
        Self {
            view,
            of: "",
            live: None,
            is_unfinished: false,
            content,
        }
    }

    /// The same with a title of its own.
    pub(super) fn titled(self, of: &'a str) -> Self {
        Self { of, ..self }
    }

    /// The whole page.
    pub(super) fn render(self, console: &Console, visit: &Visit) -> Markup {
        let title = match self.of {
            "" => self.view.name().to_owned(),
            of => format!("{of} · {}", self.view.name()),
        };
        let inner = html! {
            header .top {
                a .brand href="/" { (logo()) span { "lakehook" } }
                (state(console))
                @if visit.has_session {
                    form .logout method="post" action="/logout" {
                        (visit.field())
                        button .quiet type="submit" { "Log out" }
                    }
                }
            }
            nav aria-label="Views" {
                ul {
                    @for view in View::ALL {
                        li {
                            a href=(view.path()) aria-current=[(view == self.view).then_some("page")] { (view.name()) }
                        }
                    }
                }
            }
            main #main tabindex="-1" data-live-source=[self.live] { (self.content) }
        };
        document(&title, self.is_unfinished, &inner)
    }
}

/// A page without navigation: for those who are not in yet, and for errors.
pub(super) fn bare(title: &str, content: &Markup) -> Markup {
    let inner = html! {
        header .top { a .brand href="/" { (logo()) span { "lakehook" } } }
        main #main .narrow tabindex="-1" { (content) }
    };
    document(title, false, &inner)
}

fn document(title: &str, is_unfinished: bool, inner: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                @if is_unfinished { meta http-equiv="refresh" content="1"; }
                title { (title) " – lakehook" }
                link rel="icon" href="/icon.svg" type="image/svg+xml";
                link rel="stylesheet" href="/console.css";
                script src="/console.js" defer {}
            }
            body {
                a .skip href="#main" { "Skip to content" }
                (inner)
            }
        }
    }
}

/// A hook over water.
fn logo() -> Markup {
    html! {
        svg .logo viewBox="0 0 24 24" aria-hidden="true" {
            path d="M15 3v8.5a3.5 3.5 0 1 1-7 0" {}
            path d="M3 19c2-1.6 4-1.6 6 0s4 1.6 6 0 4-1.6 6 0" {}
        }
    }
}

/// Whether the service takes requests, in a word, and the node.
fn state(console: &Console) -> Markup {
    let problem = problem(console);
    html! {
        p .state {
            @match problem {
                None => span .pill .good { "Ready" },
                Some(_) => span .pill .bad { "Not ready" },
            }
            @if let Some(standing) = console.app.cluster() {
                span .pill { (brief(&standing)) }
            }
            @if let Some(core) = console.app.core.get() {
                span .node title="The id of the log, which each of its objects has" { "node " code { (core.node) } }
            }
        }
    }
}

/// Why requests are refused, or soon will be, if that is so.
pub(super) fn problem(console: &Console) -> Option<String> {
    let app = &console.app;
    let now = app.clock.now();
    if let Some(reason) = app.status.unready(now) {
        return Some(reason.to_string());
    }
    if let Some(why) = app.cluster().and_then(|standing| standing.without_owner()) {
        return Some(why);
    }
    if app.status.is_log_full(now) {
        let full =
            "the write-ahead log is full: requests are refused until batches are in the lake";
        return Some(full.to_owned());
    }
    let held = app.status.held();
    (!held.is_empty()).then(|| held.join("; "))
}

/// A message above what a page shows.
pub(super) fn notice(kind: &'static str, content: &Markup) -> Markup {
    html! { div .notice .(kind) role="status" { (content) } }
}
