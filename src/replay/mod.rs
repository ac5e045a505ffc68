//! Replay: what is in the quarantine is judged again, by the contract of today, and stored if it is valid now.
//!
//! A row goes in whole or not at all, as a request does that is refused. Its events keep the `received_at` of their
//! row; the log counts them as received now, so that no watermark that was published becomes wrong. An id that is
//! known is a duplicate, as ever. What was replayed is noted in the lake ([`marks`]), by quarantine row.
//!
//! [`owner`] stores, in the process that holds the log; [`talk`] is the way there.

pub mod marks;
pub mod owner;
pub mod talk;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

use crate::contract::{Checked, Contract, Refusal};
use crate::ids::NodeId;
use crate::quarantine::Reason;
use crate::quarantine::read::{Kept, KeptError};
use crate::receive::refused::{errors_of, of_the_body};
use crate::record::Origin;
use crate::rfc3339;

/// Of the errors of a row that is still invalid, so many are told.
const MAX_TOLD: usize = 3;
/// Senders choose how long a pointer is.
const MAX_TOLD_CHARS: usize = 300;

/// A row of the quarantine on its way to the contract.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Candidate {
    /// When it was received.
    pub received_at: String,
    /// The path that took it.
    pub endpoint: String,
    /// The request's id.
    pub request_id: String,
    /// The sender's address.
    pub client: Option<String>,
    /// Whether it is one event, and not the body of a request.
    pub is_event: bool,
    /// What was refused, in base64: whatever it holds, its length on the way is known.
    pub raw: String,
}

/// What became of a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// All of it was taken.
    Replayed(Counts),
    /// It is as invalid as it was; nothing of it was stored.
    Invalid {
        /// The first errors.
        errors: Vec<KeptError>,
        /// How many there are in all.
        errors_total: u64,
    },
}

/// What became of events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Stored.
    pub stored: u64,
    /// Known already.
    pub duplicates: u64,
    /// Taken by a drop rule.
    pub dropped: u64,
    /// Known with other content; they are in the quarantine once more, as `id_conflict`.
    pub conflicts: u64,
}

impl Counts {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            stored: self.stored + other.stored,
            duplicates: self.duplicates + other.duplicates,
            dropped: self.dropped + other.dropped,
            conflicts: self.conflicts + other.conflicts,
        }
    }
}

/// Why a row is not replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Skip {
    /// It was replayed before.
    Before,
    /// The id is known with other content, and would be again.
    Conflict,
    /// A poll reads its records again.
    OfPoll,
    /// Only a part of it was kept.
    Cut,
    /// Another node refused it: the ids that it knows are not known here.
    OtherNode,
    /// A provider's webhook: id and type were in headers, which are not kept.
    OfHook,
}

impl Skip {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Before,
        Self::Conflict,
        Self::OfPoll,
        Self::Cut,
        Self::OtherNode,
        Self::OfHook,
    ];

    /// A stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Before => "replayed_before",
            Self::Conflict => "id_conflict",
            Self::OfPoll => "of_poll",
            Self::Cut => "cut",
            Self::OtherNode => "other_node",
            Self::OfHook => "of_hook",
        }
    }

    /// For people.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Before => "replayed before",
            Self::Conflict => "id conflicts, which would conflict again",
            Self::OfPoll => "records of polls, which the polls read again",
            Self::Cut => "of which only a part was kept (quarantine.max_row)",
            Self::OtherNode => {
                "refused by another node, whose ids are not known here (--other-nodes takes them)"
            }
            Self::OfHook => "of providers' webhooks, whose headers are not kept",
        }
    }
}

/// What decides about candidates.
#[derive(Clone, Debug)]
pub struct Scope {
    /// The stream of events.
    pub stream: String,
    /// The node whose log is written, if there is one yet.
    pub node: Option<NodeId>,
    /// Whether what other nodes refused is replayed too.
    pub other_nodes: bool,
    /// Paths of providers' webhooks.
    pub hooks: Vec<String>,
}

impl Scope {
    /// A row that may be replayed, or why it may not. `of` is the node that refused it.
    pub fn candidate(
        &self,
        row: &Kept,
        of: Option<NodeId>,
    ) -> std::io::Result<Result<Candidate, Skip>> {
        let is = |reason: Reason| row.reason == reason.as_str();
        // Without a node there would be no way to mark it.
        let skip = if row.stream != self.stream || is(Reason::InvalidRecord) {
            Some(Skip::OfPoll)
        } else if !is(Reason::InvalidEvent) && !is(Reason::RefusedRequest) {
            Some(Skip::Conflict)
        } else if of.is_none() || !self.other_nodes && of != self.node {
            Some(Skip::OtherNode)
        } else if self.hooks.contains(&row.endpoint) {
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
            client: row.client.clone(),
            is_event: is(Reason::InvalidEvent),
            raw: BASE64.encode(raw),
        }))
    }
}

/// The node that an object of rows is of, as its key says.
pub fn node_of(key: &str) -> Option<NodeId> {
    let (_, name) = key.rsplit_once('/')?;
    let (node, _) = name.split_once('-')?;
    (node.len() == 16)
        .then(|| u64::from_str_radix(node, 16).ok())
        .flatten()
        .map(NodeId)
}

/// A candidate that is valid now.
#[derive(Debug)]
pub struct Valid {
    /// What goes into the log.
    pub checked: Checked,
    /// Where it came from, when it was received first.
    pub origin: Origin,
}

/// Judges a candidate as if it came when it came. An outcome is what is still wrong.
pub fn judge(contract: &Contract, candidate: &Candidate) -> Result<Valid, Outcome> {
    let unreadable = |what: &str| invalid(&[of_the_body("unreadable", what.to_owned())], 1);
    let received_at = rfc3339::parse(&candidate.received_at);
    let received_at = received_at.ok_or_else(|| unreadable("received_at is no time"))?;
    let raw = BASE64.decode(&candidate.raw);
    let raw = raw.map_err(|_| unreadable("raw is no base64"))?;
    let origin = Origin {
        received_at,
        endpoint: candidate.endpoint.as_str().into(),
        request_id: candidate.request_id.as_str().into(),
        client: candidate.client.as_ref().and_then(|ip| ip.parse().ok()),
    };
    let body = if candidate.is_event {
        [b"{\"events\":[".as_slice(), &raw, b"]}"].concat()
    } else {
        raw
    };
    match contract.check(&body, &origin) {
        // With `on_invalid = "quarantine"`; its rows are in the quarantine already.
        Ok(checked) if checked.errors_total > 0 => {
            Err(invalid(&checked.errors, checked.errors_total))
        }
        Ok(checked) => Ok(Valid { checked, origin }),
        Err(refusal) => Err(refused(&refusal)),
    }
}

fn refused(refusal: &Refusal) -> Outcome {
    if let Some((errors, total)) = errors_of(refusal) {
        return invalid(&errors, total);
    }
    let error = match refusal {
        Refusal::TooManyEvents { max_events } => {
            let detail = format!("at most {max_events} events (server.max_events)");
            of_the_body("too_many_events", detail)
        }
        Refusal::EventTooLarge {
            max_event_bytes, ..
        } => {
            let detail = format!("at most {max_event_bytes} bytes an event (server.max_event)");
            of_the_body("event_too_large", detail)
        }
        Refusal::Syntax { detail, .. } => of_the_body("not_json", detail.clone()),
        Refusal::Invalid { errors, .. } => match errors.first() {
            Some(error) => error.clone(),
            None => of_the_body("invalid", "an event breaks the contract".to_owned()),
        },
    };
    invalid(&[error], 1)
}

/// The outcome of these errors.
pub(crate) fn invalid(errors: &[crate::quarantine::FieldError], errors_total: usize) -> Outcome {
    let cut = |text: &str| text.chars().take(MAX_TOLD_CHARS).collect();
    let told = errors.iter().take(MAX_TOLD).map(|error| KeptError {
        pointer: cut(&error.pointer),
        code: error.code.to_owned(),
        detail: cut(&error.detail),
    });
    Outcome::Invalid {
        errors: told.collect(),
        errors_total: errors_total as u64,
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
