//! Figures of the polls, as `/health` shows them. The service fills them in; this room knows nothing else of polls.
#![allow(
    missing_docs,
    reason = "a doc line on a field would become part of the published description"
)]

use schemars::JsonSchema;
use serde::Serialize;

/// The state of a poll.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PollHealth {
    pub last_error: Option<LastError>,
    pub last_success: Option<LastSuccess>,
    pub next_run: Option<String>,
    pub running: Option<RunningPoll>,
    pub waiting: Option<WaitingPoll>,
}

/// When and why the last run failed.
#[derive(Debug, Serialize, JsonSchema)]
pub struct LastError {
    pub at: String,
    pub error: String,
}

/// The last run that did not fail.
#[derive(Debug, Serialize, JsonSchema)]
pub struct LastSuccess {
    pub at: String,
    pub records: u64,
    pub run: String,
}

/// The progress of a run.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RunningPoll {
    pub pages: u64,
    pub records: u64,
    /// The number of all records, if the API has reported it.
    pub total: Option<u64>,
}

/// What a run waits for.
#[derive(Debug, Serialize, JsonSchema)]
pub struct WaitingPoll {
    pub r#for: String,
    /// When it goes on, if that is known.
    pub until: Option<String>,
}

/// What a node of a cluster does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ClusterRole {
    /// It knows no living owner of the log.
    Looking,
    /// It forwards to the owner.
    Following,
    /// It is about to become the owner.
    TakingOver,
    /// It owns the log.
    Owning,
    /// It stops, and owns nothing any more.
    Left,
}

/// How a node stands in its cluster.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ClusterHealth {
    /// Where other nodes reach this one.
    pub address: String,
    /// The epoch of the owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
    /// The address of the owner, if a living one is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Each of several logs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub logs: Vec<LogHealth>,
    /// What the node does; of several logs, with the one that keeps it from being ready, if there is one.
    pub role: ClusterRole,
    /// Why no owner is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// How a node stands to one of the logs of its cluster.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct LogHealth {
    /// The epoch of the owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
    /// The number of the log.
    pub log: u16,
    /// The address of the owner, if a living one is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// What the node does.
    pub role: ClusterRole,
    /// Why no owner is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

impl ClusterRole {
    /// Whether rows for the log can be stored.
    pub fn is_ready(self) -> bool {
        matches!(self, Self::Owning | Self::Following)
    }
}

impl ClusterHealth {
    /// Why nothing can be stored now that this node receives, because no node owns the log that it reaches.
    pub fn without_owner(&self) -> Option<String> {
        let why = match self.role {
            ClusterRole::Owning | ClusterRole::Following => return None,
            ClusterRole::TakingOver => "this node is about to take it over",
            ClusterRole::Looking | ClusterRole::Left => self.why.as_deref().unwrap_or_default(),
        };
        let unready = self.logs.iter().find(|log| !log.role.is_ready());
        let what = unready.map_or_else(|| "the log".to_owned(), |log| format!("log {}", log.log));
        Some(format!("no node can be reached that owns {what}: {why}"))
    }

    /// Whether the node owns no log.
    pub fn owns_nothing(&self) -> bool {
        let owns = |role| role == ClusterRole::Owning;
        !owns(self.role) && !self.logs.iter().any(|log| owns(log.role))
    }

    /// Why what only the owner of the log does, or of the first of several, cannot be done here, and where it can; `None` at
    /// the owner.
    pub fn elsewhere(&self) -> Option<String> {
        let only = (self.role, &self.owner, self.epoch);
        let first = self.logs.first();
        let (role, owner, epoch) = first.map_or(only, |log| (log.role, &log.owner, log.epoch));
        match (role, owner) {
            (ClusterRole::Owning, _) => None,
            (ClusterRole::Following, Some(owner)) => {
                let epoch = epoch.unwrap_or_default();
                Some(format!(
                    "this node follows {owner}, which owns the log (epoch {epoch}): do this on that machine"
                ))
            }
            (ClusterRole::Left, _) => Some("this node stops".to_owned()),
            _ => self
                .without_owner()
                .map(|why| format!("{why}; try again once there is one")),
        }
    }
}
