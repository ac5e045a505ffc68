//! One run of a poll, from the first request to the row in the log that says it is complete.
//!
//! Blocks; runs on a thread of its own. A run that fails has published nothing: its rows are let go
//! (snapshot), or are durable with the position they were read up to (append).

use std::time::Duration;

use super::collect::{Collector, Counts, Sink};
use super::cursor::PollCursor;
use super::definition::Mode;
use super::fetch::{Fetched, Fetcher, RunError};
use super::pages::{PageFacts, Pages, Position};
use super::plan::Plan;
use super::wait::Waiter;
use super::watermark::Mark;
use super::{append, snapshot};
use crate::clock::Micros;
use crate::ids::{Ids, NodeId};
use crate::wal::log::Log;

/// A set that drifts is read again so often.
pub(super) const MAX_REREADS: u32 = 3;

/// What a run needs.
pub struct Job<'a> {
    /// The poll.
    pub plan: &'a Plan,
    /// For every wait.
    pub waiter: &'a Waiter,
    /// The log; none for a run that writes nothing.
    pub log: Option<&'a Log>,
    /// Whose log it is.
    pub node: NodeId,
    /// For dice.
    pub ids: &'a Ids,
    /// Whether an unchanged snapshot is written all the same.
    pub force: bool,
    /// Told of every page.
    pub progress: &'a (dyn Fn(Progress) + Sync),
}

/// How far a run has got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Pages read.
    pub pages: u64,
    /// Records read.
    pub records: u64,
    /// Records in all, once the API said so.
    pub total: Option<u64>,
}

/// What came of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Its rows are in the log, and go to the lake.
    Complete,
    /// The API holds what it held at that earlier run.
    Unchanged(String),
    /// It was read and checked, and nothing was written.
    Checked,
}

/// A run that did not fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Its name.
    pub run: String,
    /// What came of it.
    pub outcome: Outcome,
    /// What was read and stored.
    pub counts: Counts,
    /// How long it took.
    pub took: Duration,
}

/// Runs a poll. What it remembers is brought up to date, also where the run fails on its way.
pub fn run(job: &Job<'_>, cursor: &mut PollCursor) -> Result<Report, RunError> {
    let before = job.waiter.clock().now().mono;
    let mut report = match job.plan.mode {
        Mode::Snapshot => snapshot::run(job, cursor),
        Mode::Append => append::run(job, cursor),
    }?;
    report.took = job.waiter.clock().now().mono.saturating_sub(before);
    Ok(report)
}

/// When a run starts: now, and later than any run before it, however clocks are set.
pub(super) fn start_time(job: &Job<'_>, cursor: &PollCursor) -> Micros {
    let now = job.waiter.clock().now().wall;
    let after_last = cursor.last_started().map(|last| Micros(last.0 + 1));
    after_last.map_or(now, |after_last| now.max(after_last))
}

/// A page that was read, and where the run stands.
pub(super) struct PageRead<'p> {
    /// What it said.
    pub(super) facts: &'p PageFacts,
    /// Where it was.
    pub(super) position: &'p Position,
    /// Records before it.
    pub(super) read_before: u64,
    /// The way on.
    pub(super) pages: &'p Pages,
    /// Whether it is the last.
    pub(super) is_last: bool,
}

/// How reading the pages ended.
pub(super) enum Read {
    /// All were read; the API's validator, if there is one page.
    All(Option<String>),
    /// Nothing has changed.
    NotModified,
}

/// Reads all pages; `store` brings what was collected of each into the log.
pub(super) fn read_pages(
    job: &Job<'_>,
    collector: &mut Collector<'_>,
    pages: &mut Pages,
    since: Option<Mark>,
    etag: Option<&str>,
    store: &mut dyn FnMut(&mut Collector<'_>, &PageRead<'_>) -> Result<(), RunError>,
) -> Result<Read, RunError> {
    let mut fetcher = Fetcher::new(job.plan, job.waiter, job.ids);
    loop {
        let number = pages.number();
        let position = pages.position().clone();
        let url = job.plan.page_url(&position, since);
        let url = url.map_err(|why| RunError::Failed(format!("page {number}: {why}")))?;
        collector.next_page(number);
        let (mut facts, validator) = match fetcher.page(number, &url, etag, collector)? {
            Fetched::Page(facts, validator) => (facts, validator),
            Fetched::NotModified => return Ok(Read::NotModified),
        };
        collector.end_page(facts.records)?;
        facts.hash = collector.page_hash();
        if facts.next_is_absent && number == 1 && facts.records > 0 {
            tracing::warn!(
                poll = job.plan.name,
                "page 1 does not name a next page, not even as null; it is taken for the only one. If \
                 it is not, check pagination.next"
            );
        }
        let read_before = pages.read();
        let is_last = pages.finish(&facts)?;
        store(
            collector,
            &PageRead {
                facts: &facts,
                position: &position,
                read_before,
                pages,
                is_last,
            },
        )?;
        (job.progress)(Progress {
            pages: number,
            records: pages.read(),
            total: pages.total(),
        });
        if is_last {
            let is_only = number == 1;
            return Ok(Read::All(validator.filter(|_| is_only)));
        }
    }
}

/// A run as it begins.
pub(super) fn sink<'a>(job: &Job<'a>, started: Micros, name: &str, partition: String) -> Sink<'a> {
    Sink {
        log: job.log,
        run: crate::record::NO_RUN,
        name: name.to_owned(),
        partition,
        started,
    }
}
