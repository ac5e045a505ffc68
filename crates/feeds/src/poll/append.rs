//! Appending runs read what is new since the watermark, each record once.
//!
//! The rows of a page and the position after it are appended to the log together, so that the
//! position is never ahead of the rows. An interrupted run resumes there. If pages are counted, the
//! page before that position is read again and must be the same. Records that are read twice are
//! recognised as duplicates.

use super::job::{Job, MAX_REREADS, RunOutcome, RunReport};
use super::pages::{Pages, Position};
use super::plan::Plan;
use super::reading::{PageRead, ReadEnd, read_pages};
use super::resume::{PollCursor, Resume};
use crate::collect::Collector;
use crate::errors::RunError;
use crate::watermark::Mark;
use lakehook_base::clock::Micros;
use lakehook_base::record::Lsn;
use lakehook_lake::keys;

/// Runs an appending poll.
pub(super) fn run(job: &Job<'_>, cursor: &mut PollCursor) -> Result<RunReport, RunError> {
    let mut rereads = 0;
    loop {
        let resumed = cursor.resume.clone();
        let mut pages_read = 0;
        let error = match attempt(job, cursor, resumed.as_ref(), &mut pages_read) {
            Ok(report) => return Ok(report),
            Err(error) => error,
        };
        let may_go_on = match &error {
            // The resume position is no longer valid.
            RunError::Failed(_) | RunError::Drift(_) if resumed.is_some() && pages_read == 0 => {
                true
            }
            RunError::Drift(_) => {
                rereads += 1;
                rereads <= MAX_REREADS
            }
            _ => false,
        };
        if !may_go_on {
            return Err(error);
        }
        tracing::info!(
            poll = job.plan.name,
            %error,
            "reading from the watermark again"
        );
        cursor.resume = None;
    }
}

fn attempt(
    job: &Job<'_>,
    cursor: &mut PollCursor,
    resumed: Option<&Resume>,
    pages_read: &mut u64,
) -> Result<RunReport, RunError> {
    let started = job.start_time(cursor);
    let name = keys::run_name(started, job.node, Lsn(0));
    let partition = keys::day_partition(&job.plan.name, started);
    let sink = job.sink(started, &name, partition);
    let mut collector = Collector::new(job.plan.collect_plan(), job.waiter, sink, cursor.clone());
    let (mut pages, since) = beginning(job.plan, cursor, resumed);
    let mut began = started;
    if let Some(resume) = resumed {
        began = Micros(resume.began).min(started);
        let highest = resume.highest.as_deref();
        collector.go_on(began, highest.and_then(Mark::parse_text));
    }

    let mut expected = resumed.and_then(|resume| resume.page_hash);
    let mut store = |collector: &mut Collector<'_, Resume>, page: &PageRead<'_>| {
        if expected.take().is_some_and(|hash| hash != page.facts.hash) {
            let what = "page 1: the records where the previous run was interrupted have changed";
            return Err(RunError::Drift(what.to_owned()));
        }
        let highest = collector.highest();
        if page.is_last {
            collector.check_marks()?;
            let known = collector.known();
            known.resume = None;
            known.started = Some(started.0);
            known.watermark = Mark::latest(known.mark(), highest).map(|mark| mark.to_string());
        } else {
            collector.known().resume = Some(resume(page, since, highest, began));
        }
        collector.flush(job.log.is_some())?;
        *pages_read += 1;
        Ok(())
    };
    let values = job.plan.run_values(since, began);
    let read = read_pages(job, &mut collector, &mut pages, &values, None, &mut store);
    // The stored cursor, not the one that is being built: a cursor is never ahead of the rows.
    if let Some(stored) = collector.stored().filter(|_| job.log.is_some()) {
        cursor.clone_from(stored);
    }
    match read? {
        ReadEnd::All(_) | ReadEnd::NotModified => Ok(RunReport {
            run: name,
            outcome: job
                .log
                .map_or(RunOutcome::Checked, |_| RunOutcome::Complete),
            counts: collector.counts().clone(),
            took: std::time::Duration::ZERO,
        }),
    }
}

/// The first page of the run, and the watermark from which it asks for records.
fn beginning(plan: &Plan, cursor: &PollCursor, resumed: Option<&Resume>) -> (Pages, Option<Mark>) {
    if let Some(resume) = resumed {
        let since = resume.since.as_deref().and_then(Mark::parse_text);
        return (plan.pages_from(resume.position.clone(), resume.read), since);
    }
    let since = plan.watermark.as_ref().and_then(|from| {
        let mark = cursor.mark().map(|mark| mark.minus(from.lag));
        mark.or(from.start)
    });
    (plan.pages(), since)
}

/// What the next run needs to resume after this page.
fn resume(
    page: &PageRead<'_>,
    since: Option<Mark>,
    highest: Option<Mark>,
    began: Micros,
) -> Resume {
    let is_counted = matches!(page.position, Position::Offset(_) | Position::Page(_));
    let (position, page_hash, read) = if is_counted {
        (page.position, Some(page.facts.hash), page.read_before)
    } else {
        (page.pages.position(), None, page.pages.read())
    };
    Resume {
        since: since.map(|mark| mark.to_string()),
        position: position.clone(),
        page_hash,
        read,
        highest: highest.map(|mark| mark.to_string()),
        began: began.0,
    }
}
