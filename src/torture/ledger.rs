//! The ledger: what was sent and what was answered, in a few bytes per request, and whether each answer was right. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::events::{PER_REQUEST, RequestKind, Source, is_dropped};

/// Most requests of a run, so that memory is bounded.
const MAX_REQUESTS: usize = 4_000_000;
/// Most violations that are shown; all are counted.
const MAX_SHOWN: usize = 20;

/// Something that must not happen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// The id of the event, or whatever else is concerned.
    pub what: String,
    /// The answer that the sender got.
    pub answered: String,
    /// What was found.
    pub found: String,
}

/// Violations: their number, and the first of them in full.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Violations {
    /// How many there are.
    pub total: u64,
    /// The first of them.
    pub shown: Vec<Violation>,
}

impl Violations {
    /// Adds one.
    pub fn add(
        &mut self,
        what: impl Into<String>,
        answered: impl Into<String>,
        found: impl Into<String>,
    ) {
        self.total += 1;
        if self.shown.len() < MAX_SHOWN {
            self.shown.push(Violation {
                what: what.into(),
                answered: answered.into(),
                found: found.into(),
            });
        }
    }

    /// Adds the violations that another part found.
    pub fn extend(&mut self, others: Self) {
        self.total += others.total;
        let room = MAX_SHOWN - self.shown.len();
        self.shown.extend(others.shown.into_iter().take(room));
    }
}

/// The final answer to a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Answer {
    /// The request was not sent.
    #[default]
    Unsent,
    /// It was sent, and there is no final answer.
    Open,
    /// 200: durable.
    Acknowledged,
    /// 400: nothing of it is stored as events.
    Refused,
    /// An answer that does not fit the request, and was counted as a violation.
    Wrong,
}

impl Answer {
    /// For people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unsent => "not sent",
            Self::Open => "no answer",
            Self::Acknowledged => "200",
            Self::Refused => "400",
            Self::Wrong => "a wrong answer",
        }
    }
}

/// What the ledger keeps of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SentRequest {
    /// Whether its events are large.
    pub heavy: bool,
    /// The answer to it.
    pub answer: Answer,
    /// The answer to the request that sends one of its ids again with other content.
    pub contest: Answer,
}

/// Why a request is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The request is new.
    First,
    /// It was answered before, so all of its events must be duplicates.
    Repeat,
    /// It holds one id of an earlier request with other content, which must go to the quarantine.
    Contest,
}

/// The counts that an answer with status 200 reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Said {
    /// Newly stored.
    pub accepted: u64,
    /// Dropped by rule.
    pub dropped: u64,
    /// Known already.
    pub duplicates: u64,
    /// Quarantined.
    pub quarantined: u64,
}

/// Counts of requests and answers on the wire.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wire {
    /// Requests, each counted once, however often it was sent.
    pub requests: u64,
    /// Attempts after the first of a request, because no answer came.
    pub retried: u64,
    /// Attempts by status.
    pub answered: BTreeMap<u16, u64>,
    /// Attempts without an answer.
    pub unanswered: u64,
    /// Answers 503 because the log was full.
    pub log_full: u64,
    /// Attempts to send an id with other content.
    pub contests: u64,
    /// Attempts to send what must be refused.
    pub refusable: u64,
    /// The sums of the counts in all 200s.
    pub said: Said,
}

/// What was sent and what was answered.
#[derive(Debug)]
pub struct Ledger {
    source: Source,
    entries: Vec<SentRequest>,
    /// The counts.
    pub wire: Wire,
    /// Answers that do not fit their requests.
    pub violations: Violations,
}

impl Ledger {
    /// An empty one.
    pub fn new(source: Source) -> Self {
        Self {
            source,
            entries: Vec::new(),
            wire: Wire::default(),
            violations: Violations::default(),
        }
    }

    /// Begins the next request, and returns its number; `None` once there are enough.
    pub fn begin(&mut self, heavy: bool) -> Option<u64> {
        if self.entries.len() >= MAX_REQUESTS {
            return None;
        }
        let number = self.entries.len() as u64;
        self.entries.push(SentRequest {
            heavy,
            ..SentRequest::default()
        });
        Some(number)
    }

    /// What is known of a request; `None` if it was never begun.
    pub fn entry(&self, request: u64) -> Option<SentRequest> {
        let index = usize::try_from(request).ok()?;
        self.entries.get(index).copied()
    }

    /// All requests.
    pub fn entries(&self) -> &[SentRequest] {
        &self.entries
    }

    /// Number of events in acknowledged requests, without those that a rule drops: all of them must be in the lake.
    pub fn acknowledged_events(&self) -> u64 {
        let requests = (0_u64..).zip(&self.entries);
        let acknowledged = requests.filter(|(_, entry)| entry.answer == Answer::Acknowledged);
        acknowledged
            .map(|(request, _)| PER_REQUEST - dropped_of(request))
            .sum()
    }

    /// Records that a request is about to be sent; the first attempt has number 0.
    pub fn sends(&mut self, request: u64, purpose: Purpose, attempt: u64) {
        if attempt == 0 {
            self.wire.requests += 1;
        } else {
            self.wire.retried += 1;
        }
        if purpose == Purpose::Contest {
            self.wire.contests += 1;
        } else if self.source.kind(request) != RequestKind::Sound {
            self.wire.refusable += 1;
        }
        let answer = self.answer_of(request, purpose);
        if let Some(answer) = answer.filter(|answer| **answer == Answer::Unsent) {
            *answer = Answer::Open;
        }
    }

    fn answer_of(&mut self, request: u64, purpose: Purpose) -> Option<&mut Answer> {
        let entry = self.entries.get_mut(usize::try_from(request).ok()?)?;
        match purpose {
            Purpose::First => Some(&mut entry.answer),
            Purpose::Contest => Some(&mut entry.contest),
            // Only the first answer counts.
            Purpose::Repeat => None,
        }
    }

    /// Records an attempt without an answer.
    pub fn lost(&mut self) {
        self.wire.unanswered += 1;
    }

    /// Records an attempt that is to be repeated: 503 and the like.
    pub fn put_off(&mut self, status: u16, log_is_full: bool) {
        *self.wire.answered.entry(status).or_default() += 1;
        self.wire.log_full += u64::from(log_is_full);
    }

    /// Records the final answer to a request; `unknown` attempts before it had no known result.
    pub fn answered(
        &mut self,
        request: u64,
        purpose: Purpose,
        status: u16,
        said: Option<Said>,
        unknown: u64,
    ) {
        *self.wire.answered.entry(status).or_default() += 1;
        if let Some(said) = said.filter(|_| status == 200) {
            let total = &mut self.wire.said;
            total.accepted = total.accepted.saturating_add(said.accepted);
            total.dropped = total.dropped.saturating_add(said.dropped);
            total.duplicates = total.duplicates.saturating_add(said.duplicates);
            total.quarantined = total.quarantined.saturating_add(said.quarantined);
        }
        let right = self.is_right(request, purpose, status, said, unknown);
        let answer = match (right.is_ok(), status) {
            // Whatever else is wrong with a 200, its events must be durable.
            (_, 200) => Answer::Acknowledged,
            (true, _) => Answer::Refused,
            (false, _) => Answer::Wrong,
        };
        if let Some(noted) = self.answer_of(request, purpose) {
            *noted = answer;
        }
        if let Err(expected) = right {
            let first = self.source.event(Source::numbers(request).start).id;
            let said = said.and_then(|said| serde_json::to_string(&said).ok());
            self.violations.add(
                format!("request {request}, whose first event is {first}"),
                format!("{status} {}", said.unwrap_or_default()),
                format!("expected was {expected}"),
            );
        }
    }

    /// Checks that an answer fits the request; the error says which one would have.
    fn is_right(
        &self,
        request: u64,
        purpose: Purpose,
        status: u16,
        said: Option<Said>,
        unknown: u64,
    ) -> Result<(), String> {
        if self.source.kind(request) != RequestKind::Sound {
            return (status == 400)
                .then_some(())
                .ok_or_else(|| "400".to_owned());
        }
        let dropped = dropped_of(request);
        let stored = PER_REQUEST - dropped;
        let all = Said {
            accepted: stored,
            dropped,
            ..Said::default()
        };
        let known = Said {
            accepted: 0,
            duplicates: stored,
            ..all
        };
        let (usual, other) = match purpose {
            // An attempt whose answer was lost has stored the whole request, or nothing of it.
            Purpose::First if unknown > 0 => (all, known),
            Purpose::First => (all, all),
            Purpose::Repeat => (known, known),
            Purpose::Contest => {
                let conflict = Said {
                    quarantined: 1,
                    ..Said::default()
                };
                (conflict, conflict)
            }
        };
        if status == 200 && said.is_some_and(|said| said == usual || said == other) {
            return Ok(());
        }
        let or = if usual == other {
            ""
        } else {
            ", or all known already"
        };
        let usual = serde_json::to_string(&usual).unwrap_or_default();
        Err(format!("200 {usual}{or}"))
    }
}

/// Number of events in a request that a rule drops.
fn dropped_of(request: u64) -> u64 {
    let numbers = Source::numbers(request);
    numbers.filter(|number| is_dropped(*number)).count() as u64
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
