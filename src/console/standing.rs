//! How this node stands in its cluster, in words.

use super::state::Console;
use crate::receive::{ClusterHealth, ClusterRole};

/// Whether other nodes own the log, or all logs, as far as this one knows.
pub(super) fn is_elsewhere(console: &Console) -> bool {
    let standing = console.app.cluster();
    standing.is_some_and(|standing| standing.owns_nothing())
}

/// In a few words, for the head of each page.
pub(super) fn brief(standing: &ClusterHealth) -> String {
    let logs = &standing.logs;
    if !logs.is_empty() {
        let owned = logs.iter().filter(|log| log.role == ClusterRole::Owning);
        return format!("Owns {} of {} logs", owned.count(), logs.len());
    }
    match (standing.role, &standing.owner) {
        (ClusterRole::Owning, _) => "Owns the log".to_owned(),
        (ClusterRole::Following, Some(owner)) => format!("Follows {owner}"),
        (ClusterRole::TakingOver, _) => "Takes the log over".to_owned(),
        (ClusterRole::Left, _) => "Stops".to_owned(),
        (ClusterRole::Looking | ClusterRole::Following, _) => "Knows no owner".to_owned(),
    }
}
