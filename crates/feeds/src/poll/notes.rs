//! Notes what a page says besides its records, and judges it once all of it is known.

use serde_json::Value;

use super::facts::{self, Absent, PageFacts};
use super::form::{flag, is_nothing};
use super::read_error::ReadError;
use super::wanted::{RECORDS, Set, Wanted, What, bits};

/// What a page has said so far.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// Which values were found.
    pub(super) found: Set,
    /// Which values are null, or have null on the way.
    pub(super) nothing: Set,
    /// Why the records are not as declared.
    pub(super) mismatch: Option<String>,
    facts: PageFacts,
    /// Whether the total may be lower than the number of records.
    is_capped: bool,
    /// What the page says that reports a failure, by the configuration.
    failure: Option<String>,
    /// Whether something in a usual place reports a failure.
    is_failing: bool,
    /// The text of an error, and the rank of its place.
    told: Option<(u32, String)>,
}

impl Notes {
    /// Notes that a value was found, which may be there only once.
    pub(super) fn note_once<E>(&mut self, wanted: &Wanted, index: u32) -> Result<(), ReadError<E>> {
        if self.found & (1 << index) != 0 {
            let place = &wanted.target(index).place;
            return Err(ReadError::form(format!("{place} is there twice")));
        }
        self.found |= 1 << index;
        Ok(())
    }

    /// Notes that an object or a list in these places is not empty.
    pub(super) fn is_not_empty(&mut self, wanted: &Wanted, here: Set) {
        let is_error = |index| wanted.target(index).what == What::UsualError { is_remark: false };
        self.is_failing |= bits(here).any(is_error);
    }

    /// Notes all that is wanted of a value, to which `depth` steps lead.
    pub(super) fn all_in<E>(
        &mut self,
        wanted: &Wanted,
        value: &Value,
        live: Set,
        depth: usize,
    ) -> Result<(), ReadError<E>> {
        for index in bits(live) {
            let target = wanted.target(index);
            let mut inner = Some(value);
            for step in &target.place.steps()[depth..] {
                let Some(outer) = inner else { break };
                if is_nothing(outer) || *outer == Value::Bool(false) {
                    self.nothing |= 1 << index;
                    inner = None;
                    break;
                }
                inner = match outer {
                    Value::Object(members) => members.iter().find(|(key, _)| step.takes_key(key)),
                    Value::Array(_) if !step.may_be_index() => None,
                    Value::Array(list) => {
                        let mut numbered = (0..).zip(list);
                        let found = numbered.find(|(index, _)| step.takes_index(*index));
                        inner = found.map(|(_, value)| value);
                        continue;
                    }
                    _ if wanted.hard(1 << index) != 0 => return Err(off_the_way(wanted, index)),
                    _ => None,
                }
                .map(|(_, value)| value);
            }
            if let Some(value) = inner {
                self.note(wanted, index, value)?;
            }
        }
        Ok(())
    }

    /// Notes one value.
    fn note<E>(&mut self, wanted: &Wanted, index: u32, value: &Value) -> Result<(), ReadError<E>> {
        let target = wanted.target(index);
        if target.what == What::Records {
            self.nothing |= RECORDS;
            return Ok(());
        }
        if wanted.hard(1 << index) != 0 {
            self.note_once(wanted, index)?;
        }
        let is_sound = match target.what {
            What::Relation => {
                self.is_capped |= value.as_str().is_some_and(|how| how != "eq");
                true
            }
            What::Last => {
                let told = wanted.stop.as_ref().map(|stop| stop.holds(value));
                self.facts.is_last = told.filter(|_| !value.is_null());
                true
            }
            What::Failure => {
                let has_failed = wanted
                    .fail_if
                    .as_ref()
                    .is_some_and(|rule| rule.holds(value));
                self.failure = has_failed.then(|| target.place.to_string());
                true
            }
            What::Error | What::UsualError { .. } | What::Verdict | What::Hint => {
                self.note_softly(wanted, index, value);
                true
            }
            what => {
                self.facts.next_as = wanted.next_as;
                self.facts.take(what, value)
            }
        };
        if is_sound {
            return Ok(());
        }
        let (place, expected) = (&target.place, target.what.expected());
        Err(ReadError::form(format!("{place} is not {expected}")))
    }

    fn note_softly(&mut self, wanted: &Wanted, index: u32, value: &Value) {
        let target = wanted.target(index);
        let text = match value {
            Value::String(text) if !text.trim().is_empty() => Some(text.clone()),
            Value::Number(number) if number.as_f64() != Some(0.0) => Some(number.to_string()),
            _ => None,
        };
        match target.what {
            What::Verdict => self.is_failing |= flag(value) == Some(Some(false)),
            What::Hint => {
                let has_more = facts::next(value).is_some_and(|next| next.is_some())
                    && flag(value) != Some(Some(false))
                    || *value == Value::Bool(true);
                if has_more && self.facts.hint.is_none() {
                    self.facts.hint = Some(target.place.to_string());
                }
            }
            what => {
                let is_error = what != What::UsualError { is_remark: true };
                self.is_failing |= is_error && (text.is_some() || *value == Value::Bool(true));
                let is_better = |(rank, _): &(u32, String)| index < *rank;
                if let Some(text) = text
                    && self.told.as_ref().is_none_or(is_better)
                {
                    self.told = Some((index, text));
                }
            }
        }
    }

    /// The text of an error in a body that is no page.
    pub(super) fn told_in(wanted: &Wanted, body: &Value) -> Option<String> {
        let mut notes = Self::default();
        let soft = wanted.all() & !wanted.hard(wanted.all());
        let read: Result<(), ReadError<()>> = notes.all_in(wanted, body, soft, 0);
        read.ok()?;
        notes.told.map(|(_, text)| text)
    }

    /// Judges the page, of which `facts` are known by its records.
    pub(super) fn conclude<E>(
        self,
        wanted: &Wanted,
        of_records: PageFacts,
    ) -> Result<PageFacts, ReadError<E>> {
        if let Some(rule) = self.fault(wanted) {
            let told = self.told.map(|(_, text)| text);
            return Err(ReadError::Form { rule, told });
        }
        let mut facts = self.facts;
        if self.is_capped {
            facts.total = None;
        }
        facts.records = of_records.records;
        facts.next = of_records.next.or(facts.next);
        let missing = wanted.hard(wanted.all()) & !(self.found | self.nothing);
        for index in bits(missing) {
            let target = wanted.target(index);
            if !matches!(target.what, What::Records | What::Relation | What::Failure) {
                facts.absent.push(Absent {
                    what: target.what,
                    place: target.place.to_string(),
                });
            }
        }
        Ok(facts)
    }

    /// What is wrong with the page.
    fn fault(&self, wanted: &Wanted) -> Option<String> {
        if let Some(place) = &self.failure {
            return Some(format!("the body reports a failure at {place} (fail_if)"));
        }
        if let Some(mismatch) = &self.mismatch {
            return Some(mismatch.clone());
        }
        if self.found & RECORDS != 0 {
            return None;
        }
        let place = wanted.records();
        let expected = What::Records.expected();
        let (is_taken, what) = if self.nothing & RECORDS != 0 {
            (wanted.empty.null, "null at")
        } else {
            (wanted.empty.absent, "nothing at")
        };
        if !is_taken {
            return Some(format!(
                "there is {what} {place}; expected {expected} there (`empty` says what else is taken)"
            ));
        }
        self.is_failing.then(|| {
            format!(
                "there is {what} {place}, and the body reports an error; expected {expected} there"
            )
        })
    }
}

/// The error of a value on the way to a place that has nothing within it.
pub(super) fn off_the_way<E>(wanted: &Wanted, index: u32) -> ReadError<E> {
    let place = &wanted.target(index).place;
    ReadError::form(format!("expected an object on the way to {place}"))
}
