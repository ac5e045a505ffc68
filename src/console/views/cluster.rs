//! How this node stands in its cluster, for the views that show it. There is none if it is in no cluster.

use maud::{Markup, html};

use crate::console::layout::notice;
use crate::console::shown;
use crate::console::standing::brief;
use crate::console::state::{Console, total_of_all};
use crate::receive::ClusterRole;

/// Says that what is missing here is at the owner of the log.
pub(super) fn hint(console: &Console, what: &str) -> Markup {
    let standing = console.app.cluster();
    let owner = standing.filter(|standing| standing.role == ClusterRole::Following);
    let owner =
        owner.and_then(|standing| Some((standing.owner?, standing.epoch.unwrap_or_default())));
    html! {
        @if let Some((owner, epoch)) = owner {
            (notice("good", &html! {
                "This node follows " code { (owner) } ", which owns the log (epoch " (epoch) "), and forwards to it what it takes. "
                (what) " is in the console of that node."
            }))
        }
    }
}

/// What is known of the cluster.
pub(super) fn card(console: &Console) -> Markup {
    let Some(standing) = console.app.cluster() else {
        return html! {};
    };
    let reading = console.app.metrics.read();
    let count = |name: &str| {
        let name = format!("lakehook_cluster_{name}_total");
        shown::count(total_of_all(&reading, &name))
    };
    html! {
        section .card {
            h2 { "Cluster" }
            dl .facts {
                div { dt { "This node" } dd { code { (standing.address) } } }
                div { dt { "What it does" } dd { (brief(&standing)) } }
                @if standing.logs.is_empty() {
                    div { dt { "Owner" } dd { @match &standing.owner { Some(owner) => code { (owner) }, None => "unknown" } } }
                }
                @for log in &standing.logs {
                    div { dt { "Owner of log " (log.log) } dd { @match &log.owner { Some(owner) => code { (owner) }, None => "unknown" } } }
                }
                @if let Some(epoch) = standing.epoch { div { dt { "Epoch" } dd { (epoch) } } }
                div { dt { "Requests forwarded" } dd { (count("forwarded")) } }
                div { dt { "Requests not stored there" } dd { (count("forward_errors")) } }
                div { dt { "Has taken the log over" } dd { (count("takeovers")) } }
                div { dt { "Has lost it to another node" } dd { (count("fenced")) } }
            }
            @if let Some(why) = &standing.why { p .bad-text { (why) } }
            p .beneath { "since the start of this process" }
        }
    }
}
