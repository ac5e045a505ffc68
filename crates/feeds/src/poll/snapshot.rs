//! Snapshots: each run is a complete copy, visible as a whole or not at all.
//!
//! ```text
//!  begin run ── pages: rows, held ── end run ── objects ── marker: visible
//!       └──────── failed ──────────▶ abandon run: nothing is visible
//! ```
//!
//! An unchanged snapshot is not written again: its rows are discarded, and the marker of a run without
//! rows names the earlier run.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use serde::Serialize;

use super::definition::PaginationKind;
use super::job::{Job, MAX_REREADS, RunOutcome, RunReport};
use super::passes::Passes;
use super::reading::{PageRead, ReadEnd, read_pages};
use super::resume::{PollCursor, Resume};
use super::retry;
use crate::collect::{Collector, RunCounts};
use crate::cursor::Snapshot;
use crate::errors::RunError;
use crate::storing;
use crate::wait::Interrupted;
use lakehook_base::clock::Micros;
use lakehook_base::json::push_json;
use lakehook_base::record::{Lsn, NO_RUN};
use lakehook_lake::keys;
use lakehook_log::log::Log;
use lakehook_log::request::EndRun;

/// Content of a marker, apart from the run's objects.
#[derive(Serialize)]
struct About<'a> {
    version: u32,
    stream: &'a str,
    run: &'a str,
    started_at: String,
    ended_at: String,
    records: u64,
    quarantined: u64,
    content: &'a str,
    /// Hash of the column rules, in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    rules: Option<String>,
    /// How many values the rules have made null, by column.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    nulls: BTreeMap<String, u64>,
    /// The earlier run that holds the records, if they have not changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    same_as: Option<&'a String>,
}

fn interrupted(why: Interrupted, what: &str) -> RunError {
    match why {
        Interrupted::Cancelled => RunError::Cancelled,
        _ => RunError::OutOfTime(format!("{what}; there is no time left of the run's budget")),
    }
}

/// A run that was begun.
struct Begun<'a, 'j> {
    job: &'a Job<'j>,
    lsn: Lsn,
    name: String,
    started: Micros,
    /// Whether the run is neither ended nor abandoned yet. If it is dropped while open, it is
    /// abandoned.
    is_open: Cell<bool>,
}

impl Begun<'_, '_> {
    /// Discards the run's rows.
    fn abandon(&self) {
        let job = self.job;
        if let Some(log) = job.log.filter(|_| self.is_open.replace(false)) {
            storing::abandon(job.waiter, log, self.lsn);
        }
    }
}

impl Drop for Begun<'_, '_> {
    /// Abandons the run, even if it panicked.
    fn drop(&mut self) {
        self.abandon();
    }
}

/// Runs a snapshot poll.
pub(super) fn run(job: &Job<'_>, cursor: &mut PollCursor) -> Result<RunReport, RunError> {
    let mut rereads = 0;
    loop {
        match attempt(job, cursor) {
            Err(RunError::Drift(what)) if rereads < MAX_REREADS => {
                rereads += 1;
                let pause = retry::pause(rereads + 1, job.ids.dice());
                let paused = job.waiter.pause(pause);
                paused.map_err(|why| interrupted(why, &what))?;
                tracing::info!(
                    poll = job.plan.name,
                    what,
                    rereads,
                    "the run reads everything again"
                );
            }
            Err(RunError::Drift(what)) => {
                let tries = MAX_REREADS + 1;
                let what = format!("{what}; all {tries} attempts ended like this");
                return Err(RunError::Failed(what));
            }
            other => return other,
        }
    }
}

fn attempt(job: &Job<'_>, cursor: &mut PollCursor) -> Result<RunReport, RunError> {
    let begun = begin(job, cursor)?;
    let partition = keys::run_partition(&job.plan.name, begun.started, &begun.name);
    let mut sink = job.sink(begun.started, &begun.name, partition);
    sink.run = begun.lsn;
    let mut collector = Collector::new(
        job.plan.collect_plan(job.accept),
        job.waiter,
        sink,
        cursor.clone(),
    );
    let etag = validator(job, cursor);
    let read = read_all(job, cursor, &begun, &mut collector, etag.as_deref());
    let read = read?;
    collector.check_repeats();
    collector.check_columns();
    if !is_unchanged(cursor, &collector, &read) {
        let judged = collector.judge_copy(cursor.rows);
        if let Some(stored) = collector.stored() {
            cursor.clone_from(stored);
        }
        judged?;
    }
    conclude(job, cursor, &begun, &collector, read)
}

/// Whether the run has found what the last snapshot holds, which was judged or accepted then.
fn is_unchanged(cursor: &PollCursor, collector: &Collector<'_, Resume>, read: &ReadEnd) -> bool {
    let is_same = |before: &Snapshot| {
        before.records == collector.counts().records && before.content == hex(collector.content())
    };
    matches!(read, ReadEnd::NotModified) || cursor.snapshot.as_ref().is_some_and(is_same)
}

/// The hash of a snapshot's contents, as the cursor and the marker have it.
fn hex(content: u128) -> String {
    format!("{content:032x}")
}

/// Reads all pages: once, or for each parent.
fn read_all(
    job: &Job<'_>,
    cursor: &PollCursor,
    begun: &Begun<'_, '_>,
    collector: &mut Collector<'_, Resume>,
    etag: Option<&str>,
) -> Result<ReadEnd, RunError> {
    let mut store =
        |collector: &mut Collector<'_, Resume>, _: &PageRead<'_>| collector.flush(false);
    let mut passes = Passes::new(job, cursor, None, begun.started)?;
    let mut end = ReadEnd::All(None);
    while let Some(pass) = passes.next() {
        let values = pass.values(job.plan, begun.started)?;
        collector.add_to_records(pass.added(job.plan));
        let mut pages = job.plan.pages();
        let read = read_pages(job, collector, &mut pages, &values, etag, &mut store);
        end = read.map_err(|error| pass.located(job.plan, error))?;
    }
    Ok(end)
}

/// The ETag for a conditional request, if a run has only one page.
fn validator(job: &Job<'_>, cursor: &PollCursor) -> Option<String> {
    if job.plan.paging() != PaginationKind::None || job.plan.division.each.is_some() {
        return None;
    }
    earlier(job, cursor)?.etag.clone()
}

/// The earlier snapshot that can be named instead of writing it again: only one that is known to be
/// visible.
fn earlier<'c>(job: &Job<'_>, cursor: &'c PollCursor) -> Option<&'c Snapshot> {
    let log = job.log.filter(|_| !job.force)?;
    let unpublished = log.gauges().unpublished_runs.load(Ordering::Acquire);
    cursor.snapshot.as_ref().filter(|_| unpublished == 0)
}

fn begin<'a, 'j>(job: &'a Job<'j>, cursor: &PollCursor) -> Result<Begun<'a, 'j>, RunError> {
    let started = job.start_time(cursor);
    let lsn = match job.log {
        None => NO_RUN,
        Some(log) => storing::begin(job.waiter, log, &job.plan.name)?,
    };
    let name = keys::run_name(started, job.node, lsn);
    Ok(Begun {
        job,
        lsn,
        name,
        started,
        is_open: Cell::new(true),
    })
}

/// Ends the run after all pages were read: with its rows or, if nothing has changed, without.
fn conclude(
    job: &Job<'_>,
    cursor: &mut PollCursor,
    begun: &Begun<'_, '_>,
    collector: &Collector<'_, Resume>,
    read: ReadEnd,
) -> Result<RunReport, RunError> {
    let counts = collector.counts();
    let report = |begun: &Begun<'_, '_>, outcome: RunOutcome| RunReport {
        run: begun.name.clone(),
        outcome,
        counts: counts.clone(),
        took: std::time::Duration::ZERO,
    };
    let Some(log) = job.log else {
        return Ok(report(begun, RunOutcome::Checked));
    };
    let content = hex(collector.content());
    match (read, earlier(job, cursor).cloned()) {
        (ReadEnd::NotModified, Some(before)) => {
            end(job, log, cursor, begun, &before, None)?;
            Ok(report(begun, RunOutcome::Unchanged(before.run)))
        }
        (ReadEnd::NotModified, None) => Err(RunError::Failed(
            "page 1: answered 304 Not Modified, but no earlier snapshot is known; expected 200 OK"
                .to_owned(),
        )),
        (ReadEnd::All(etag), Some(before))
            if before.records == counts.records && before.content == content =>
        {
            begun.abandon();
            let again = begin(job, cursor)?;
            let before = Snapshot { etag, ..before };
            end(job, log, cursor, &again, &before, None)?;
            Ok(report(&again, RunOutcome::Unchanged(before.run)))
        }
        (ReadEnd::All(etag), _) => {
            let snapshot = Snapshot {
                run: begun.name.clone(),
                records: counts.records,
                content,
                etag,
            };
            end(job, log, cursor, begun, &snapshot, Some(counts))?;
            Ok(report(begun, RunOutcome::Complete))
        }
    }
}

/// Ends the run durably, together with a cursor that remembers its snapshot. Without counts, the run has
/// no rows of its own, and names the snapshot that holds them.
fn end(
    job: &Job<'_>,
    log: &Log,
    cursor: &mut PollCursor,
    begun: &Begun<'_, '_>,
    snapshot: &Snapshot,
    own: Option<&RunCounts>,
) -> Result<(), RunError> {
    let about = About {
        version: 1,
        stream: &job.plan.name,
        run: &begun.name,
        started_at: begun.started.to_string(),
        ended_at: job.waiter.clock().now().wall.to_string(),
        records: own.map_or(0, |counts| counts.stored),
        quarantined: own.map_or(0, |counts| counts.quarantined),
        content: &snapshot.content,
        rules: match job.plan.entities.rules().hash() {
            0 => None,
            hash => Some(format!("{hash:016x}")),
        },
        nulls: own.map_or_else(BTreeMap::new, |counts| counts.nulls.clone()),
        same_as: own.map_or(Some(&snapshot.run), |_| None),
    };
    let mut text = Vec::new();
    push_json(&mut text, &about);
    text.pop();
    let next = PollCursor {
        started: Some(begun.started.0),
        snapshot: Some(snapshot.clone()),
        rows: own.map_or(cursor.rows, |counts| Some(counts.stored)),
        ..cursor.clone()
    };
    let end = EndRun {
        run: begun.lsn,
        poll: job.plan.name.clone(),
        cursor: next.write(),
        marker: keys::marker_key(&job.plan.name, &begun.name),
        about: text,
    };
    storing::end(job.waiter, log, &end)?;
    begun.is_open.set(false);
    *cursor = next;
    Ok(())
}
