//! Appending runs read what is new since the watermark, each record once.
//!
//! A run makes one pass over the pages, or one for each window. The rows of a page and the position
//! after it are appended to the log together, so that the position is never ahead of the rows. An
//! interrupted run resumes there. If pages are counted, the page before that position is read again
//! and must be the same. Records that are read twice are recognised as duplicates.

use super::job::{Job, MAX_REREADS, RunOutcome, RunReport};
use super::pages::{Pages, Position};
use super::passes::{Pass, Passes};
use super::reading::{PageRead, ReadEnd, read_pages};
use super::resume::{PollCursor, Resume};
use super::tokens::MAX_TOKEN;
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
        let resumed = cursor.resume.clone().filter(|_| job.backfill.is_none());
        let mut pages_read = 0;
        let error = match attempt(job, cursor, resumed.as_ref(), &mut pages_read) {
            Ok(report) => return Ok(report),
            Err(error) => error,
        };
        if matches!(error, RunError::Expired(_)) && cursor.token.is_some() {
            let poll = job.plan.name.as_str();
            tracing::warn!(poll, %error, "the API does not take the token of the last run any more: everything is read anew");
            cursor.token = None;
            cursor.resume = None;
            continue;
        }
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
            "the run reads from its mark again"
        );
        if job.backfill.is_none() {
            cursor.resume = None;
        }
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
    let plan = job.plan.collect_plan(job.accept);
    let mut collector = Collector::new(plan, job.waiter, sink, cursor.clone());
    let mut began = started;
    if let Some(resume) = resumed {
        began = Micros(resume.began).min(started);
        collector.go_on(began, job.plan.remembered(resume.highest.as_deref()));
    }
    let mut run = Attempt {
        job,
        started,
        began,
        expected: resumed.and_then(|resume| resume.page_hash),
        token: resumed.and_then(|resume| resume.next_token.clone()),
        pages_read,
    };
    let read = run.read(cursor, resumed, &mut collector);
    // The stored cursor, not the one that is being built: a cursor is never ahead of the rows.
    if let Some(stored) = collector.stored().filter(|_| job.log.is_some()) {
        cursor.clone_from(stored);
    }
    read?;
    collector.check_columns();
    Ok(RunReport {
        run: name,
        outcome: job
            .log
            .map_or(RunOutcome::Checked, |_| RunOutcome::Complete),
        counts: collector.counts().clone(),
        took: std::time::Duration::ZERO,
    })
}

/// One attempt to read all passes.
struct Attempt<'a, 'j> {
    job: &'a Job<'j>,
    started: Micros,
    /// Start of the first run, if several were interrupted.
    began: Micros,
    /// Hash of the records of the page that is read again.
    expected: Option<u64>,
    pages_read: &'a mut u64,
    /// The newest token that the pages have named.
    token: Option<String>,
}

impl Attempt<'_, '_> {
    fn read(
        &mut self,
        cursor: &PollCursor,
        resumed: Option<&Resume>,
        collector: &mut Collector<'_, Resume>,
    ) -> Result<(), RunError> {
        let plan = self.job.plan;
        let mut passes = Passes::new(self.job, cursor, resumed, self.started)?;
        let mut start = resumed.map(|resume| (resume.position.clone(), resume.read));
        let mut is_complete = false;
        while let Some(pass) = passes.next() {
            let mut pages = match start.take() {
                Some((position, read)) => plan.pages_from(position, read),
                None => pass.pages(plan),
            };
            self.read_pass(&pass, &mut pages, collector)
                .map_err(|error| pass.located(plan, error))?;
            is_complete = pass.is_last;
        }
        if is_complete {
            return Ok(());
        }
        // There is nothing to ask for yet.
        let nothing = Pass {
            is_last: true,
            ..Pass::default()
        };
        self.end_pass(&nothing, collector);
        self.flush(collector)
    }

    fn read_pass(
        &mut self,
        pass: &Pass,
        pages: &mut Pages,
        collector: &mut Collector<'_, Resume>,
    ) -> Result<(), RunError> {
        let values = pass.values(self.job.plan, self.began)?;
        collector.add_to_records(pass.added(self.job.plan));
        let job = self.job;
        let mut store = |collector: &mut Collector<'_, Resume>, page: &PageRead<'_>| {
            self.store(pass, page, collector)
        };
        match read_pages(job, collector, pages, &values, None, &mut store)? {
            ReadEnd::All(_) => Ok(()),
            ReadEnd::NotModified => {
                self.end_pass(pass, collector);
                self.flush(collector)
            }
        }
    }

    /// Appends what was collected of a page, with the position after it.
    fn store(
        &mut self,
        pass: &Pass,
        page: &PageRead<'_>,
        collector: &mut Collector<'_, Resume>,
    ) -> Result<(), RunError> {
        let expected = self.expected.take();
        if expected.is_some_and(|hash| hash != page.facts.hash) {
            let what = "page 1: the records where the previous run was interrupted have changed";
            return Err(RunError::Drift(what.to_owned()));
        }
        if let Some(token) = &page.facts.token {
            check_token(token)?;
            self.token = Some(token.clone());
        }
        if page.is_last {
            if pass.is_last {
                collector.check_marks()?;
                self.check_resumption(page)?;
            }
            self.end_pass(pass, collector);
        } else if self.job.backfill.is_none() {
            let highest = collector.highest();
            let mut place = resume(page, pass, highest, self.began);
            place.next_token.clone_from(&self.token);
            collector.known().resume = Some(place);
        }
        self.flush(collector)?;
        *self.pages_read += 1;
        Ok(())
    }

    /// Notes that a pass was read to its end. A back-fill leaves no trace.
    fn end_pass(&self, pass: &Pass, collector: &mut Collector<'_, Resume>) {
        if self.job.backfill.is_some() {
            return;
        }
        let highest = collector.highest();
        let known = collector.known();
        known.resume = None;
        if let Some(after) = pass.after.filter(|_| !pass.is_last) {
            known.resume = Some(Resume {
                since: None,
                window: None,
                token: None,
                next_token: None,
                parents: Some(after),
                position: self.job.plan.pages().position().clone(),
                page_hash: None,
                read: 0,
                highest: None,
                began: self.began.0,
            });
        }
        if let Some(window) = pass.window {
            known.window = Some(window.until.0);
        }
        if pass.is_last {
            known.started = Some(self.started.0);
            if self.token.is_some() {
                known.token.clone_from(&self.token);
            }
            let before = self.job.plan.remembered(known.watermark.as_deref());
            known.watermark = Mark::latest(before, highest).map(|mark| mark.to_string());
        }
    }

    /// Fails if no page has named the token that the next run is to begin with.
    fn check_resumption(&self, page: &PageRead<'_>) -> Result<(), RunError> {
        if self.job.plan.division.resumption.is_none() || self.token.is_some() {
            return Ok(());
        }
        let poll = &self.job.plan.name;
        let pages = page.pages.number();
        Err(RunError::Failed(format!(
            "no page up to the last one, page {pages}, names a token where poll.{poll}.resume_from says; expected \
             one for the next run"
        )))
    }

    fn flush(&self, collector: &mut Collector<'_, Resume>) -> Result<(), RunError> {
        collector.flush(self.job.log.is_some() && self.job.backfill.is_none())
    }
}

/// Fails if a token is too long to be remembered.
fn check_token(token: &str) -> Result<(), RunError> {
    let bytes = token.len();
    if bytes <= MAX_TOKEN {
        return Ok(());
    }
    Err(RunError::Failed(format!(
        "the token for the next run has {bytes} bytes; expected at most {MAX_TOKEN}"
    )))
}

/// What the next run needs to resume after this page.
fn resume(page: &PageRead<'_>, pass: &Pass, highest: Option<Mark>, began: Micros) -> Resume {
    let is_counted = matches!(page.position, Position::Offset(_) | Position::Page(_));
    let (position, page_hash, read) = if is_counted {
        (page.position, Some(page.facts.hash), page.read_before)
    } else {
        (page.pages.position(), None, page.pages.read())
    };
    Resume {
        since: pass.since.as_ref().map(Mark::to_string),
        token: pass.token.clone(),
        next_token: None,
        parents: pass.before,
        window: pass.window.map(|window| (window.from.0, window.until.0)),
        position: position.clone(),
        page_hash,
        read,
        highest: highest.map(|mark| mark.to_string()),
        began: began.0,
    }
}
