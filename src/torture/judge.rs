//! The judge: compares the rows of a lake with the answers that its senders got. Pure; [`super::lake`] reads the lake.

use serde_json::{Map, Value};

use super::events::{PER_REQUEST, RequestKind, Source, row_of};
use super::ledger::{Answer, Ledger, Violations};
use crate::quarantine::Reason;
use crate::replay::kept::Kept;

/// The members of a row that depend only on what was sent.
const MEMBERS: [&str; 8] = [
    "event_id",
    "user_id",
    "user",
    "event_type",
    "source",
    "timestamp",
    "properties",
    "extra",
];

/// Compares the rows of a lake with a ledger.
#[derive(Debug)]
pub struct Judge<'a> {
    source: Source,
    ledger: &'a Ledger,
    seen: Bits,
    contested: Bits,
    verdict: Verdict,
}

/// The result of the comparison.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Rows of events.
    pub events: u64,
    /// Of these, rows of requests that never got an answer.
    pub unanswered_events: u64,
    /// Rows of the quarantine that keep a refused request.
    pub refused_copies: u64,
    /// Rows of the quarantine for ids that were sent again with other content.
    pub conflicts: u64,
    /// What should not be there, or should be and is not.
    pub violations: Violations,
}

impl<'a> Judge<'a> {
    /// A judge of the events of this source, with the answers in this ledger.
    pub fn new(source: Source, ledger: &'a Ledger) -> Self {
        let requests = ledger.entries().len();
        Self {
            source,
            ledger,
            seen: Bits::new(requests * PER_REQUEST as usize),
            contested: Bits::new(requests),
            verdict: Verdict::default(),
        }
    }

    fn wrong(&mut self, id: &str, answered: &str, found: String) {
        self.verdict.violations.add(id, answered, found);
    }

    /// Judges an event row of the object with that key.
    pub fn event(&mut self, key: &str, row: &Map<String, Value>) {
        self.verdict.events += 1;
        let id = row.get("event_id").and_then(Value::as_str).unwrap_or("");
        let number = self.source.number_of(id);
        let entry = number.and_then(|number| self.ledger.entry(number / PER_REQUEST));
        let (Some(number), Some(entry)) = (number, entry) else {
            let found = format!("an event in {key} that nobody sent");
            self.wrong(id, Answer::Unsent.as_str(), found);
            return;
        };
        let answered = entry.answer.as_str();
        let event = self.source.event(number);
        self.verdict.unanswered_events += u64::from(entry.answer == Answer::Open);
        if self.seen.set(number) {
            self.wrong(id, answered, format!("it is there twice, again in {key}"));
        }
        if entry.answer == Answer::Unsent {
            self.wrong(id, answered, format!("it is in {key}"));
        } else if self.source.kind(number / PER_REQUEST) != RequestKind::Sound {
            let found = format!("it is in {key}, though its request was to be refused");
            self.wrong(id, answered, found);
        } else if event.is_dropped() {
            let found = format!("it is in {key}, though its type is dropped");
            self.wrong(id, answered, found);
        } else if let Some(member) = difference(&event.row(entry.heavy), row) {
            let found = format!("it is in {key} with another {member} than was sent");
            self.wrong(id, answered, found);
        }
    }

    /// Judges a row of the quarantine.
    pub fn kept(&mut self, key: &str, kept: &Kept) {
        let place = format!("LSN {} of {key}", kept.lsn);
        let Ok(raw) = kept.bytes() else {
            self.wrong(&place, "", "its bytes cannot be read".to_owned());
            return;
        };
        if kept.reason == Reason::RefusedRequest.as_str() {
            self.verdict.refused_copies += 1;
            let heavy = |request| Some(self.ledger.entry(request)?.heavy);
            if self.source.refused_request(&raw, heavy).is_none() {
                let found = "a refused request that was not sent so, or not to be refused";
                self.wrong(&place, "", found.to_owned());
            }
        } else if kept.reason == Reason::IdConflict.as_str() {
            self.verdict.conflicts += 1;
            self.conflict(&place, &raw);
        } else {
            let found = format!("a row for the reason {}", kept.reason);
            self.wrong(&place, "", found);
        }
    }

    /// Judges a row for an id that was sent again with other content.
    fn conflict(&mut self, place: &str, raw: &[u8]) {
        let row: Map<String, Value> = serde_json::from_slice(raw).unwrap_or_default();
        let id = row.get("event_id").and_then(Value::as_str).unwrap_or("");
        let request = self.source.number_of(id).map(|number| number / PER_REQUEST);
        let sent = request.filter(|request| {
            let entry = self.ledger.entry(*request).unwrap_or_default();
            entry.contest != Answer::Unsent
        });
        let Some(request) = sent else {
            let found = format!("a conflict in {place} that nobody caused");
            self.wrong(id, Answer::Unsent.as_str(), found);
            return;
        };
        self.contested.set(request);
        if let Some(member) = difference(&row_of(self.source.contest(request)), &row) {
            let found = format!("its conflict in {place} has another {member} than was sent");
            self.wrong(id, Answer::Acknowledged.as_str(), found);
        }
    }

    /// Finds what is missing, once every row has been judged.
    pub fn finish(mut self) -> Verdict {
        for (request, entry) in (0_u64..).zip(self.ledger.entries()) {
            let is_sound = self.source.kind(request) == RequestKind::Sound;
            if entry.answer == Answer::Acknowledged && is_sound {
                self.missing(request);
            }
            if entry.contest == Answer::Acknowledged && !self.contested.get(request) {
                let id = self.source.event(Source::contested(request)).id;
                let found = "its conflict is not in the quarantine".to_owned();
                self.wrong(&id.to_string(), "200", found);
            }
            if entry.answer == Answer::Open || entry.contest == Answer::Open {
                let id = self.source.event(Source::numbers(request).start).id;
                let found = format!("request {request} was never answered");
                self.wrong(&id.to_string(), Answer::Open.as_str(), found);
            }
        }
        self.totals();
        self.verdict
    }

    fn missing(&mut self, request: u64) {
        for number in Source::numbers(request) {
            if self.seen.get(number) {
                continue;
            }
            let event = self.source.event(number);
            if !event.is_dropped() {
                let found = "it is lost: it is nowhere in the lake".to_owned();
                self.wrong(&event.id.to_string(), "200", found);
            }
        }
    }

    /// Compares the sums of all answers with the numbers of rows. There may be more rows, because lost answers are not
    /// part of the sums.
    fn totals(&mut self) {
        let wire = &self.ledger.wire;
        let (accepted, quarantined) = (wire.said.accepted, wire.said.quarantined);
        let bounds = [
            ("events", accepted, self.verdict.events, u64::MAX),
            (
                "conflicts",
                quarantined,
                self.verdict.conflicts,
                wire.contests,
            ),
            (
                "refused requests",
                0,
                self.verdict.refused_copies,
                wire.refusable,
            ),
        ];
        for (what, least, found, most) in bounds {
            if !(least..=most).contains(&found) {
                let told = format!("at least {least} and at most {most}");
                let found = format!("{found} rows");
                self.verdict.violations.add(what, told, found);
            }
        }
    }
}

/// The first member in which a row differs from what was sent. Formats with columns hold objects as JSON in a string.
fn difference(sent: &Value, row: &Map<String, Value>) -> Option<&'static str> {
    MEMBERS.into_iter().find(|member| {
        let found = row.get(*member).unwrap_or(&Value::Null);
        let sent = &sent[*member];
        let is_text_of = |text: &str| serde_json::from_str::<Value>(text).is_ok_and(|v| v == *sent);
        let equal = match found {
            Value::String(text) if sent.is_object() => is_text_of(text),
            found => found == sent,
        };
        !equal
    })
}

/// A set of small numbers.
#[derive(Debug)]
struct Bits(Vec<u64>);

impl Bits {
    fn new(len: usize) -> Self {
        Self(vec![0; len.div_ceil(64)])
    }

    /// Adds a number, and returns whether it was there before.
    fn set(&mut self, number: u64) -> bool {
        let was = self.get(number);
        if let Some(word) = self.0.get_mut((number / 64) as usize) {
            *word |= 1 << (number % 64);
        }
        was
    }

    fn get(&self, number: u64) -> bool {
        let word = self.0.get((number / 64) as usize).copied().unwrap_or(0);
        word >> (number % 64) & 1 == 1
    }
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
