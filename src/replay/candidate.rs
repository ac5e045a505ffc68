//! Decides which rows of the quarantine may be replayed.

use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

use super::kept::{Kept, KeptPlace};
use crate::ids::NodeId;
use crate::quarantine::Reason;

/// A row of the quarantine that is to be judged again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Candidate {
    /// When the row was first received: RFC 3339, in UTC.
    pub received_at: String,
    /// The path that received it.
    pub endpoint: String,
    /// The id of that request.
    pub request_id: String,
    /// The row itself: its node and its LSN. Several rows may come from one request.
    pub row: String,
    /// The address of the sender, if it is known.
    pub client: Option<String>,
    /// `true` for a single event, `false` for the body of a request.
    pub is_event: bool,
    /// The hook that took it, if one did, and the headers that it looks at.
    pub hook: Option<CandidateHook>,
    /// What was refused, in base64, so that its encoded length does not depend on its content.
    pub raw: String,
    /// Where it was read, if it was read from a file.
    #[serde(default, skip_serializing_if = "is_nowhere")]
    pub place: KeptPlace,
}

fn is_nowhere(place: &KeptPlace) -> bool {
    *place == KeptPlace::default()
}

/// What a candidate needs of a hook's request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CandidateHook {
    /// The name of the hook.
    pub name: String,
    /// The headers, as the text of a JSON object.
    pub headers: String,
}

/// Why a row is not replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Skip {
    /// It was replayed before.
    Before,
    /// An id conflict: the same id with other content is stored, so it would conflict again.
    Conflict,
    /// It was meant for another stream, or is a record where events are meant.
    OfPoll,
    /// A record of a snapshot, which the next run reads again.
    OfSnapshot,
    /// Only a part of it was kept.
    Cut,
    /// Another node refused it, and this node does not know which ids that one has stored.
    OtherNode,
    /// It came from a hook that is not configured any more, or that kept no headers (an earlier version).
    OfHook,
}

impl Skip {
    /// Every reason, in the order of reports.
    pub const ALL: [Self; 7] = [
        Self::Before,
        Self::Conflict,
        Self::OfPoll,
        Self::OfSnapshot,
        Self::Cut,
        Self::OtherNode,
        Self::OfHook,
    ];

    /// The stable word for JSON reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Before => "replayed_before",
            Self::Conflict => "id_conflict",
            Self::OfPoll => "of_poll",
            Self::OfSnapshot => "of_snapshot",
            Self::Cut => "cut",
            Self::OtherNode => "other_node",
            Self::OfHook => "of_hook",
        }
    }

    /// The description in reports, which follows a number of rows.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Before => "replayed before",
            Self::Conflict => "id conflicts, which would conflict again",
            Self::OfPoll => "records of polls (--stream NAME replays those of one poll)",
            Self::OfSnapshot => {
                "records of a snapshot, whose published runs stay as they are; its next run reads them again \
                 (lakehook poll NAME)"
            }
            Self::Cut => "of which only a part was kept (quarantine.max_row)",
            Self::OtherNode => {
                "refused by another node, whose ids are not known here (--other-nodes takes them)"
            }
            Self::OfHook => {
                "of hooks that are not configured any more, or whose headers an earlier version did not keep"
            }
        }
    }
}

/// What rows of a stream are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowsOf {
    /// Events.
    Events,
    /// Records of a poll that appends.
    Appended,
    /// Records of a snapshot.
    Snapshot,
}

/// Which rows a replay may take.
#[derive(Clone, Debug)]
pub struct Scope {
    /// The stream.
    pub stream: String,
    /// What its rows are.
    pub rows: RowsOf,
    /// The node whose log is written, if it exists already.
    pub node: Option<NodeId>,
    /// Whether rows that other nodes refused are replayed too.
    pub other_nodes: bool,
    /// The names of hooks, …
    pub hooks: Vec<String>,
    /// … and their paths.
    pub hook_paths: Vec<String>,
}

impl Scope {
    /// Whether a row came from a hook that cannot judge it again.
    fn lacks_hook(&self, row: &Kept) -> bool {
        match row.of_hook() {
            Some((name, _)) => !self.hooks.contains(&name),
            None => self.hook_paths.contains(&row.endpoint),
        }
    }

    /// The candidate that a row makes, or why it is skipped. `of` is the node that refused the row.
    pub fn candidate(&self, row: &Kept, of: Option<NodeId>) -> io::Result<Result<Candidate, Skip>> {
        let is = |reason: Reason| row.reason == reason.as_str();
        // A row of an unknown node cannot be marked as replayed.
        let is_record = is(Reason::InvalidRecord);
        let skip = if row.stream != self.stream || is_record != (self.rows != RowsOf::Events) {
            Some(Skip::OfPoll)
        } else if self.rows == RowsOf::Snapshot {
            Some(Skip::OfSnapshot)
        } else if !is_record && !is(Reason::InvalidEvent) && !is(Reason::RefusedRequest) {
            Some(Skip::Conflict)
        } else if of.is_none() || !self.other_nodes && of != self.node {
            Some(Skip::OtherNode)
        } else if self.lacks_hook(row) {
            Some(Skip::OfHook)
        } else {
            None
        };
        if let Some(skip) = skip {
            return Ok(Err(skip));
        }
        let raw = row.bytes()?;
        if raw.len() as u64 != row.raw_bytes {
            return Ok(Err(Skip::Cut));
        }
        Ok(Ok(Candidate {
            received_at: row.received_at.clone(),
            endpoint: row.endpoint.clone(),
            request_id: row.request_id.clone(),
            row: of.map_or_else(String::new, |node| format!("{node}-{}", row.lsn)),
            client: row.client.clone(),
            is_event: is(Reason::InvalidEvent),
            hook: row
                .of_hook()
                .map(|(name, headers)| CandidateHook { name, headers }),
            raw: BASE64.encode(raw),
            place: row.place.clone(),
        }))
    }
}
