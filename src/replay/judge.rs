//! Decides whether a row of the quarantine is valid now. Pure.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::candidate::{Candidate, CandidateHook};
use super::kept::KeptError;
use crate::contract::{Checked, Contract, OpenRequest, Refusal};
use crate::quarantine::FieldError;
use crate::record::Origin;
use crate::rfc3339;

/// At most this many errors are reported for a row that is still invalid.
const MAX_TOLD: usize = 3;
/// Longer pointers and details are cut, because senders choose how long they are.
const MAX_TOLD_CHARS: usize = 300;

/// What a replay did with a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplayOutcome {
    /// Every event of the row was accepted.
    Replayed(EventCounts),
    /// The row is still invalid, and nothing of it was stored.
    Invalid {
        /// The first errors.
        errors: Vec<KeptError>,
        /// How many errors there are in all.
        errors_total: u64,
    },
}

/// How many events of replayed rows were stored, and what happened to the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventCounts {
    /// Stored as new records.
    pub stored: u64,
    /// Duplicates of stored events.
    pub duplicates: u64,
    /// Valid, and dropped by a rule.
    pub dropped: u64,
    /// Events whose ids are stored with other content; they are in the quarantine again, as `id_conflict`.
    pub conflicts: u64,
}

impl EventCounts {
    /// Adds the counts of two replays.
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

/// A candidate that is valid now.
#[derive(Debug)]
pub struct Valid {
    /// The rows for the log.
    pub checked: Checked,
    /// The request that brought the row, with the time of its first receipt.
    pub origin: Origin,
}

/// A row of a hook that is to be judged again.
#[derive(Clone, Copy, Debug)]
pub struct HookCandidate<'a> {
    /// The name of the hook, and the headers that were kept, as the text of a JSON object.
    pub hook: &'a CandidateHook,
    /// A body, or one event of it.
    pub raw: &'a [u8],
    /// Whether it is one event.
    pub is_event: bool,
    /// The request, as of then.
    pub origin: &'a Origin,
}

/// Judges rows of hooks; `None` if there is no such hook.
pub type HookJudge =
    Arc<dyn Fn(&Contract, &HookCandidate<'_>) -> Option<Result<Checked, Refusal>> + Send + Sync>;

/// Judges a candidate as of the time when it was first received. The error says what is still wrong.
pub fn judge(
    contract: &Contract,
    hooks: &HookJudge,
    candidate: &Candidate,
) -> Result<Valid, ReplayOutcome> {
    let unreadable = |what: &str| invalid(&[FieldError::of_body("unreadable", what)], 1);
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
    let checked = match &candidate.hook {
        Some(hook) => {
            let kept = HookCandidate {
                hook,
                raw: &raw,
                is_event: candidate.is_event,
                origin: &origin,
            };
            hooks(contract, &kept).ok_or_else(|| unreadable("there is no such hook"))?
        }
        None => of_events(contract, candidate, raw, &origin),
    };
    match checked {
        // With `on_invalid = "quarantine"` the contract accepts the valid events of a body. A replay stores a
        // row whole or not at all.
        Ok(checked) if checked.errors_total > 0 => {
            Err(invalid(&checked.errors, checked.errors_total))
        }
        Ok(checked) => Ok(Valid { checked, origin }),
        Err(refusal) => Err(refused(&refusal)),
    }
}

/// Judges a row of the webhook for events, by the contract that holds there.
fn of_events(
    contract: &Contract,
    candidate: &Candidate,
    raw: Vec<u8>,
    origin: &Origin,
) -> Result<Checked, Refusal> {
    let is_open = contract.rules().beyond.is_open;
    let body = match (candidate.is_event, is_open) {
        (true, false) => [b"{\"events\":[".as_slice(), &raw, b"]}"].concat(),
        (true, true) => [b"[".as_slice(), &raw, b"]"].concat(),
        (false, _) => raw,
    };
    if !is_open {
        return contract.check(&body, origin);
    }
    // An event without an id gets the same one whenever its row is replayed, and each row another one.
    let key = format!("replay {}", candidate.row);
    let request = OpenRequest {
        origin,
        idempotency_key: Some(&key),
        fresh: &Uuid::nil,
    };
    let checked = contract.check_open(&body, &request)?;
    Ok(checked.checked)
}

fn refused(refusal: &Refusal) -> ReplayOutcome {
    let error = match refusal {
        Refusal::Syntax { .. } | Refusal::Invalid { .. } => {
            let (errors, errors_total) = refusal.field_errors().unwrap_or_default();
            return invalid(&errors, errors_total);
        }
        Refusal::TooManyEvents { max_events } => {
            let detail = format!("at most {max_events} events (server.max_events)");
            FieldError::of_body("too_many_events", detail)
        }
        Refusal::EventTooLarge {
            max_event_bytes, ..
        } => {
            let detail = format!("at most {max_event_bytes} bytes an event (server.max_event)");
            FieldError::of_body("event_too_large", detail)
        }
    };
    invalid(&[error], 1)
}

/// Reports the first of these errors.
pub(super) fn invalid(errors: &[FieldError], errors_total: usize) -> ReplayOutcome {
    let cut = |text: &str| text.chars().take(MAX_TOLD_CHARS).collect();
    let told = errors.iter().take(MAX_TOLD).map(|error| KeptError {
        pointer: cut(&error.pointer),
        code: error.code.to_owned(),
        detail: cut(&error.detail),
    });
    ReplayOutcome::Invalid {
        errors: told.collect(),
        errors_total: errors_total as u64,
    }
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
