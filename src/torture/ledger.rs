//! What was sent and what was answered: a few bytes for each request, and whether each answer was right. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::events::{Kind, PER_REQUEST, Source, is_dropped};

/// More requests are not sent: memory is bounded.
const MAX_REQUESTS: usize = 4_000_000;
/// So many violations are shown; the others are counted.
const MAX_SHOWN: usize = 20;

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// The event's id, or what else it concerns.
    pub what: String,
    /// What the sender was answered.
    pub answered: String,
    /// What was found.
    pub found: String,
}

/// All violations in number, the first of them in full.
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

    /// Adds those of another part.
    pub fn extend(&mut self, others: Self) {
        self.total += others.total;
        let room = MAX_SHOWN - self.shown.len();
        self.shown.extend(others.shown.into_iter().take(room));
    }
}

/// What a request was answered in the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Answer {
    /// It was not sent.
    #[default]
    Unsent,
    /// It was sent, and nobody knows what became of it.
    Open,
    /// 200: durable.
    Acknowledged,
    /// 400: nothing of it is stored as events.
    Refused,
    /// Something that is no answer to it; told as a violation already.
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

/// What is remembered of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Whether its events are large.
    pub heavy: bool,
    /// What it was answered.
    pub answer: Answer,
    /// What the request was answered that sends one of its ids with other content.
    pub contest: Answer,
}

/// What a request is sent for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// It is new.
    First,
    /// It was answered before: all of it must be known.
    Repeat,
    /// One id of it, with other content: it must go to the quarantine.
    Contest,
}

/// What an answer of success says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Said {
    /// Newly stored.
    pub accepted: u64,
    /// Dropped by rule.
    pub dropped: u64,
    /// Known already.
    pub duplicates: u64,
    /// Put into the quarantine.
    pub quarantined: u64,
}

/// Counts of what went over the wire.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wire {
    /// Requests, each once however often it was sent.
    pub requests: u64,
    /// Requests that were sent again for want of an answer, each time.
    pub retried: u64,
    /// Attempts by status.
    pub answered: BTreeMap<u16, u64>,
    /// Attempts without an answer.
    pub unanswered: u64,
    /// Answers 503 that the log is full.
    pub log_full: u64,
    /// Attempts to send an id with other content.
    pub contests: u64,
    /// Attempts to send what must be refused.
    pub refusable: u64,
    /// What answers of success said, together.
    pub said: Said,
}

/// What was sent and what was answered.
#[derive(Debug)]
pub struct Ledger {
    source: Source,
    entries: Vec<Entry>,
    /// Counts.
    pub wire: Wire,
    /// Answers that must not be.
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

    /// The number of the next request; `None` once there were enough.
    pub fn begin(&mut self, heavy: bool) -> Option<u64> {
        if self.entries.len() >= MAX_REQUESTS {
            return None;
        }
        let number = self.entries.len() as u64;
        self.entries.push(Entry {
            heavy,
            ..Entry::default()
        });
        Some(number)
    }

    /// What is known of a request; nothing of one that was never begun.
    pub fn entry(&self, request: u64) -> Option<Entry> {
        let index = usize::try_from(request).ok()?;
        self.entries.get(index).copied()
    }

    /// All requests.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Events in requests that were acknowledged, without those that a rule drops: what must be in the lake.
    pub fn acknowledged_events(&self) -> u64 {
        let requests = (0_u64..).zip(&self.entries);
        let acknowledged = requests.filter(|(_, entry)| entry.answer == Answer::Acknowledged);
        acknowledged
            .map(|(request, _)| PER_REQUEST - dropped_of(request))
            .sum()
    }

    /// A request is about to be sent, for the nth time from 0.
    pub fn sends(&mut self, request: u64, purpose: Purpose, attempt: u64) {
        if attempt == 0 {
            self.wire.requests += 1;
        } else {
            self.wire.retried += 1;
        }
        if purpose == Purpose::Contest {
            self.wire.contests += 1;
        } else if self.source.kind(request) != Kind::Sound {
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
            // The first answer is what counts.
            Purpose::Repeat => None,
        }
    }

    /// An attempt came to nothing.
    pub fn lost(&mut self) {
        self.wire.unanswered += 1;
    }

    /// An attempt was put off: 503 and the like.
    pub fn put_off(&mut self, status: u16, log_is_full: bool) {
        *self.wire.answered.entry(status).or_default() += 1;
        self.wire.log_full += u64::from(log_is_full);
    }

    /// A request got its final answer, after so many attempts whose outcome is unknown.
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
            // What is answered 200 must be durable, whatever else is wrong with the answer.
            (_, 200) => Answer::Acknowledged,
            (true, _) => Answer::Refused,
            (false, _) => Answer::Wrong,
        };
        if let Some(place) = self.answer_of(request, purpose) {
            *place = answer;
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

    /// Whether an answer fits the request; what would have, if not.
    fn is_right(
        &self,
        request: u64,
        purpose: Purpose,
        status: u16,
        said: Option<Said>,
        unknown: u64,
    ) -> Result<(), String> {
        if self.source.kind(request) != Kind::Sound {
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
            // An attempt whose answer was lost may have stored it: the whole request, or nothing.
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

/// Events of a request that a rule drops.
fn dropped_of(request: u64) -> u64 {
    let numbers = Source::numbers(request);
    numbers.filter(|number| is_dropped(*number)).count() as u64
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
