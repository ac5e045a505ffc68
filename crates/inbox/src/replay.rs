//! Replays: records of files that were refused, judged again by the plan of today. What is valid now becomes a run of
//! its own, with the file and the line that it was read from.
//!
//! A record that was replayed is known by its place and its bytes from then on, so that it is stored once even if it is
//! replayed again.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use super::csv::row_as_json;
use super::definition::FileFormat;
use super::id_entry::IdEntry;
use super::known_ids::{KnownIds, Sighting};
use super::pass::Remembered;
use super::plan::FilesPlan;
use super::record::{Part, ReadRecord, ReadStop};
use super::report::PassReport;
use super::run::{Run, RunJob, remembering};
use super::taker::{IdsOf, RunOrigin, Taker};
use lakehook_base::record::Rows;
use lakehook_contract::quarantine::FieldError;
use lakehook_feeds::errors::RunError;

/// A record as the quarantine has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefusedRecord {
    /// The file that it was read from.
    pub file: String,
    /// The line on which it begins there.
    pub line: u64,
    /// The line that names the columns, if there is one.
    pub header: Option<String>,
    /// The record as it was written there.
    pub raw: String,
}

/// What became of a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplayedRecord {
    /// It is stored.
    Stored,
    /// It is stored already.
    Known,
    /// It is still invalid; this is the first error.
    Invalid {
        /// JSON Pointer into the record.
        pointer: String,
        /// The rule that is broken.
        code: String,
        /// What the rule expects.
        detail: String,
    },
}

/// Replays records; they are durable afterwards, and become visible together.
pub(crate) fn replay(
    job: RunJob<'_>,
    known: &mut Remembered,
    records: &[RefusedRecord],
) -> Result<Vec<ReplayedRecord>, RunError> {
    let mut run = Run::begin(job, &known.cursor)?;
    let mut outcomes = Vec::with_capacity(records.len());
    for record in records {
        let of = run.of.clone();
        let mut rows = Rows::default();
        let outcome = judge(job.plan, &of, &mut known.ids, record, &mut rows);
        outcomes.push(outcome.map_err(|stop| failed(&stop))?);
        run.fetch(&mut rows)?;
    }
    let stored = outcomes
        .iter()
        .filter(|own| **own == ReplayedRecord::Stored);
    let stored = stored.count() as u64;
    if stored == 0 {
        run.abandon(&mut known.ids, &known.ledger)?;
        return Ok(outcomes);
    }
    run.note_replayed(stored);
    let mut report = PassReport::default();
    run.end(
        &mut known.cursor,
        &mut known.ids,
        &mut known.ledger,
        &mut report,
    )?;
    Ok(outcomes)
}

fn failed(stop: &ReadStop) -> RunError {
    match stop {
        ReadStop::Io(error) => remembering(error),
        other => RunError::Failed(format!("the replay broke off: {other:?}")),
    }
}

/// Judges one record. Its row is appended if it is valid and new.
pub(crate) fn judge(
    plan: &FilesPlan,
    of: &RunOrigin,
    ids: &mut KnownIds,
    record: &RefusedRecord,
    rows: &mut Rows,
) -> Result<ReplayedRecord, ReadStop> {
    let place = format!("{}\n{}\n{}", record.file, record.line, record.raw);
    let own = IdEntry::new(xxh3_128(place.as_bytes()), 0);
    if ids.look(own)? != Sighting::New {
        return Ok(ReplayedRecord::Known);
    }
    let is_table = matches!(plan.form.format, FileFormat::Csv | FileFormat::Tsv);
    let table = is_table.then(|| {
        let header = record.header.as_deref();
        row_as_json(
            record.raw.as_bytes(),
            header,
            &plan.form.table,
            &plan.columns,
        )
    });
    let (json, content) = match table {
        None => (record.raw.clone(), None),
        Some(Ok((json, content))) => (json, Some(content)),
        Some(Err(what)) => return Ok(invalid(&FieldError::of_body("csv", what))),
    };
    let mut taker = Taker::new(plan, of, IdsOf::InRun(ids), &record.file, None);
    taker.take(Part::Record(ReadRecord {
        line: record.line,
        json: &json,
        sent: Some(record.raw.as_bytes()),
        content,
        header: record.header.as_deref(),
    }))?;
    let mut got = taker.got;
    if got.counts.rows == 0 {
        return Ok(match &got.last_error {
            Some(error) => invalid(error),
            None => ReplayedRecord::Known,
        });
    }
    std::mem::swap(rows, &mut got.rows);
    ids.add(own)?;
    Ok(ReplayedRecord::Stored)
}

fn invalid(error: &FieldError) -> ReplayedRecord {
    ReplayedRecord::Invalid {
        pointer: error.pointer.clone(),
        code: error.code.to_owned(),
        detail: error.detail.clone(),
    }
}
