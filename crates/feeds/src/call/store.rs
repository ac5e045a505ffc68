//! One entry of the log for a chunk: the rows of its answer, its failures, and a row for each of its groups,
//! whose identity says from then on that it was sent.

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::answer::{self, Told, group_of};
use super::chunk::{Chunk, member};
use super::group::Group;
use super::plan::Plan;
use super::report::Report;
use crate::added::Added;
use crate::errors::RunError;
use crate::guards::Tally;
use crate::storing;
use crate::wait::Waiter;
use lakehook_base::clock::Micros;
use lakehook_base::record::{NO_RUN, Origin, RowKind, Rows};
use lakehook_contract::entity::{Taken, Target};
use lakehook_contract::quarantine::{self, FieldError, Reason, Refused};
use lakehook_lake::keys;
use lakehook_log::log::Log;
use lakehook_log::request::Append;

/// Most bytes of refused rows that are kept.
const MAX_REFUSED: usize = 4 << 20;
/// Most bytes of an entry while it is made. A frame of the log has a third more, which the log needs for what it
/// writes beside the rows.
const MAX_ENTRY: usize = 24 << 20;
/// Most bytes that the log adds to a row, and what a row costs in memory.
const ROW_COST: usize = 64;
/// Bytes of an answer in one row, where the answer is kept as text.
const PART: usize = 1 << 20;

/// Gathers the rows of one entry.
pub(super) struct Entry<'a> {
    plan: &'a Plan,
    origin: Origin,
    partition: String,
    sent_partition: String,
    quarantine: String,
    /// When the chunk was decided on: its groups are known by that.
    decided: Micros,
    rows: Rows,
    /// The records of the answer.
    tally: Tally,
    /// Bytes that the rows of the groups will take.
    reserved: usize,
    /// What it adds to the report of the run, once it is durable.
    pub report: Report,
}

/// What became of a group.
#[derive(Clone, Copy, Debug, Default)]
struct Fate {
    answered: u64,
    failed: u64,
}

impl<'a> Entry<'a> {
    /// An entry for the answer to a chunk.
    pub(super) fn of(plan: &'a Plan, chunk: &Chunk, now: Micros) -> Self {
        Self {
            decided: Micros(chunk.decided),
            reserved: chunk.groups.iter().map(Group::told_bytes).sum(),
            ..Self::new(plan, &chunk.key, now)
        }
    }

    /// An entry for the call with this key.
    pub(super) fn new(plan: &'a Plan, call: &str, now: Micros) -> Self {
        Self {
            decided: now,
            reserved: 0,
            plan,
            origin: Origin {
                received_at: now,
                endpoint: plan.name.as_str().into(),
                request_id: call.into(),
                client: None,
            },
            partition: keys::day_partition(&plan.name, now),
            sent_partition: keys::day_partition(&plan.sent_stream, now),
            quarantine: quarantine::partition(&plan.name, now),
            rows: Rows {
                changed_is_duplicate: true,
                ..Rows::default()
            },
            tally: Tally::default(),
            report: Report::default(),
        }
    }

    /// The answer to a chunk. It fails if a guard is broken, unless it is accepted all the same.
    pub(super) fn answered(
        &mut self,
        chunk: &Chunk,
        status: u16,
        body: &str,
        accept: bool,
    ) -> Result<(), RunError> {
        let told = answer::read(body, self.plan.places());
        let Ok(Told { records, failures }) = told else {
            return Err(RunError::Failed(
                "an answer that was read cannot be read again".to_owned(),
            ));
        };
        let mut fates = vec![Fate::default(); chunk.groups.len()];
        if !self.take_records(&records, chunk, &mut fates) {
            self.too_large(chunk, status, body);
            return Ok(());
        }
        self.judge(accept)?;
        self.take_failures(&failures, chunk, &mut fates);
        for (group, fate) in chunk.groups.iter().zip(fates) {
            self.report.failed += u64::from(fate.failed > 0);
            self.report.unanswered += u64::from(fate.failed + fate.answered == 0);
            self.sent(group, Some(&chunk.key), fate, Some(status));
        }
        Ok(())
    }

    /// Fails if a guard is broken. Lookups have none: an answer is one record, and others must not wait for it.
    fn judge(&self, accept: bool) -> Result<(), RunError> {
        let definition = &self.plan.definition;
        if accept || definition.lookup.is_some() {
            return Ok(());
        }
        let Some(breach) = definition.limits.guards.judge_page(&self.tally) else {
            return Ok(());
        };
        let name = &self.plan.name;
        Err(RunError::Failed(format!(
            "{}; nothing of the answer is stored, and the next run sends the same request under the same key; mend the \
             schema or call.{name}.guards.{}, or store it as it is: lakehook call --accept {name}",
            breach.what, breach.key
        )))
    }

    /// Takes the records of an answer. `false` if one entry cannot hold them.
    fn take_records(&mut self, records: &[&str], chunk: &Chunk, fates: &mut [Fate]) -> bool {
        let added = self.added(chunk);
        for (index, record) in records.iter().enumerate() {
            self.take(&chunk.key, index, &added.to(record));
            if self.is_full() {
                return false;
            }
            let at = group_of(record, self.plan.group(), &chunk.groups);
            if let Some(fate) = at.and_then(|at| fates.get_mut(at)) {
                fate.answered += 1;
            }
        }
        true
    }

    /// Takes the failures of an answer, and the rows of a group with the first of its failures. Those that the
    /// entry has no room for are counted.
    fn take_failures(&mut self, failures: &[&str], chunk: &Chunk, fates: &mut [Fate]) {
        let (mut left_out, mut full) = (0_u64, false);
        for failure in failures {
            let at = group_of(failure, self.plan.group(), &chunk.groups);
            let mut is_first = false;
            if let Some(fate) = at.and_then(|at| fates.get_mut(at)) {
                is_first = fate.failed == 0;
                fate.failed += 1;
            }
            if !full {
                let before = (self.rows.bytes.len(), self.rows.rows.len());
                self.refuse_failure(failure, at.and_then(|at| chunk.groups.get(at)), is_first);
                full = self.is_full();
                if full {
                    self.rows.bytes.truncate(before.0);
                    self.rows.rows.truncate(before.1);
                    self.report.quarantined -= 1;
                }
            }
            left_out += u64::from(full);
        }
        if left_out > 0 {
            let detail = format!(
                "failures that one entry of the log holds ({} MiB); so many more are in the answer. Make `chunk` smaller",
                MAX_ENTRY >> 20
            );
            let raw = format!("{{\"failures\":{left_out}}}");
            self.refuse(&raw, &FieldError::of_body("call_failed", detail));
        }
    }

    /// Whether one entry holds no more.
    fn is_full(&self) -> bool {
        let rows = self.rows.bytes.len() + ROW_COST * self.rows.rows.len();
        rows + self.reserved > MAX_ENTRY
    }

    /// An answer whose rows one entry cannot hold: its text goes to the quarantine, in parts. It was given, and
    /// may have been paid for, so nothing is sent again.
    pub(super) fn too_large(&mut self, chunk: &Chunk, status: u16, body: &str) {
        self.rows.bytes.clear();
        self.rows.rows.clear();
        self.report = Report::default();
        let parts = parts(body);
        for (index, part) in parts.iter().enumerate() {
            if self.is_full() {
                break;
            }
            let what = if body.is_empty() {
                "the log has no room for its text now".to_owned()
            } else {
                format!("this is part {} of {} of its text", index + 1, parts.len())
            };
            let detail = format!(
                "an answer whose rows fit into one entry of the log ({} MiB); {what}. Make `chunk` smaller",
                MAX_ENTRY >> 20
            );
            self.refuse(part, &FieldError::of_body("answer_too_large", detail));
        }
        for group in &chunk.groups {
            self.report.failed += 1;
            let fate = Fate {
                answered: 0,
                failed: 1,
            };
            self.sent(group, Some(&chunk.key), fate, Some(status));
        }
    }

    /// The answer that there is nothing: the key alone is the record.
    pub(super) fn missing(&mut self, chunk: &Chunk, status: u16) {
        let added = self.added(chunk);
        self.take(&chunk.key, 0, &added.to("{}"));
        for group in &chunk.groups {
            self.report.missing += 1;
            self.sent(group, Some(&chunk.key), Fate::default(), Some(status));
        }
    }

    /// A group that is not sent, or was refused alone.
    pub(super) fn refused(
        &mut self,
        group: &Group,
        call: Option<&str>,
        code: &'static str,
        why: &str,
        status: Option<u16>,
    ) {
        let detail = format!("{why}; {}, line {}", group.file, group.line);
        let raw = rows_of(group).map_or_else(
            || group.rows.join("\n"),
            |rows| format!("{{\"group\":{},\"rows\":{rows}}}", group.key),
        );
        self.refuse(&raw, &FieldError::of_body(code, detail));
        self.report.failed += 1;
        let fate = Fate {
            answered: 0,
            failed: 1,
        };
        self.sent(group, call, fate, status);
    }

    fn refuse_failure(&mut self, failure: &str, group: Option<&Group>, with_rows: bool) {
        let detail = "success for the whole group; the answer names this failure";
        let key = group.map_or("null", |group| group.key.as_str());
        let rows = group.filter(|_| with_rows).and_then(rows_of);
        let rows = rows.as_deref().unwrap_or("null");
        let raw = format!("{{\"failure\":{failure},\"group\":{key},\"rows\":{rows}}}");
        self.refuse(&raw, &FieldError::of_body("call_failed", detail));
    }

    fn refuse(&mut self, raw: &str, error: &FieldError) {
        let refused = Refused {
            reason: Reason::InvalidRecord,
            stream: &self.plan.name,
            origin: &self.origin,
            hook: None,
            place: None,
            errors: std::slice::from_ref(error),
            errors_total: 1,
            raw: raw.as_bytes(),
            max_raw_bytes: MAX_REFUSED,
        };
        let lsn_at = refused.write(&mut self.rows.bytes);
        let partition = self.rows.partition(&self.quarantine);
        self.rows
            .finish_row(lsn_at, partition, RowKind::Quarantined);
        self.report.quarantined += 1;
        self.report
            .sample(format!("{}: {}", error.code, error.detail));
    }

    /// What is added to the records of a lookup: its key.
    fn added(&self, chunk: &Chunk) -> Added {
        let lookup = self.plan.definition.lookup.as_ref();
        let members = lookup.and_then(|lookup| {
            let row = chunk.groups.first()?.rows.first()?;
            let name = Value::from(lookup.key.as_str()).to_string();
            Some(vec![(name, member(row, &lookup.key)?)])
        });
        Added::new(members.unwrap_or_default())
    }

    fn take(&mut self, call: &str, index: usize, raw: &str) {
        let target = Target {
            partition: &self.partition,
            quarantine: &self.quarantine,
            is_snapshot: false,
            may_be_older: false,
        };
        match self
            .plan
            .entities
            .take(raw, &self.origin, target, &mut self.rows)
        {
            Taken::Row { .. } => {
                let identity = self.plan.identity(call, index);
                if let Some(row) = self.rows.rows.last_mut() {
                    row.kind = RowKind::Record(identity);
                }
                self.report.stored += 1;
                self.tally.add();
            }
            Taken::Invalid { error, .. } => {
                self.tally.refuse(&error);
                self.report.quarantined += 1;
                self.report.sample(format!(
                    "{} at {:?}: {}",
                    error.code, error.pointer, error.detail
                ));
            }
        }
    }

    /// Adds the row of a group that was sent, or never will be.
    fn sent(&mut self, group: &Group, call: Option<&str>, fate: Fate, status: Option<u16>) {
        let key = match value(&group.key) {
            Value::Null => None,
            Value::String(text) => Some(text),
            other => Some(other.to_string()),
        };
        let raw = json!({
            "group": key, "call": call, "file": group.file, "line": group.line, "rows": group.rows.len(),
            "answered": fate.answered, "failed": fate.failed, "status": status,
        });
        let target = Target {
            partition: &self.sent_partition,
            quarantine: &self.quarantine,
            is_snapshot: false,
            may_be_older: false,
        };
        let raw = raw.to_string();
        let taken = self
            .plan
            .sent
            .take(&raw, &self.origin, target, &mut self.rows);
        debug_assert!(
            matches!(taken, Taken::Row { .. }),
            "it has the form of its schema: {taken:?}"
        );
        let identity = self.plan.identities().now(group, self.decided);
        if let Some(row) = self.rows.rows.last_mut() {
            row.kind = RowKind::Record(identity);
        }
        self.report.groups += 1;
    }

    /// Stores the entry durably, all of it or nothing, and returns what it has counted.
    pub(super) fn store(self, log: &Log, waiter: &Waiter) -> Result<Report, RunError> {
        let append = Append {
            rows: self.rows,
            dropped: 0,
            origin: self.origin,
            run: NO_RUN,
            cursor: None,
        };
        storing::append(waiter, log, append)?;
        Ok(self.report)
    }
}

fn value(raw: &str) -> Value {
    serde_json::from_str(raw).unwrap_or_default()
}

/// A text in parts, of which there is at least one.
fn parts(text: &str) -> Vec<&str> {
    let (mut parts, mut rest) = (Vec::new(), text);
    while rest.len() > PART {
        let (part, behind) = rest.split_at(rest.floor_char_boundary(PART));
        parts.push(part);
        rest = behind;
    }
    parts.push(rest);
    parts
}

/// The rows of a group as a list, with all their digits; `None` if one of them is no JSON.
fn rows_of(group: &Group) -> Option<String> {
    let is_json = |row: &String| serde_json::from_str::<&RawValue>(row).is_ok();
    let all = group.rows.iter().all(is_json);
    all.then(|| format!("[{}]", group.rows.join(",")))
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
