//! One look into an inbox: which files are new and complete, and what becomes of each.
//!
//! Small files share a run; a file that is read in portions has one of its own, because what it has put cannot be
//! taken back from others.

use std::time::Duration;

use super::definition::{Changed, FilesMode};
use super::folder::{FoundFile, Listing};
use super::known_ids::KnownIds;
use super::ledger::{Ledger, Outcome};
use super::picking::{Decision, decide, is_known, is_ready};
use super::reading::read_file;
use super::record::ReadStop;
use super::report::{MAX_SAMPLES, PassReport};
use super::run::{FilesCursor, Run, RunJob, remembering};
use super::settling::{Settling, horizon};
use super::taker::Taker;
use lakehook_base::record::Rows;
use lakehook_feeds::errors::RunError;
use lakehook_feeds::figures::Progress;

/// A larger file is read in portions, in a run of its own.
const MAX_SMALL: u64 = 4 << 20;
/// So is one whose rows have more bytes than this.
const MAX_SMALL_ROWS: usize = 16 << 20;
/// Rows of a large file are written in portions of this size.
const PORTION: usize = 1 << 20;
/// A guess of the bytes of a record, to prepare for the ids of a large file.
const BYTES_PER_RECORD: u64 = 40;

/// What is remembered of a stream from look to look.
pub(crate) struct Remembered {
    pub(crate) cursor: FilesCursor,
    pub(crate) ledger: Ledger,
    pub(crate) ids: KnownIds,
    pub(crate) settling: Settling,
}

/// One look.
pub(crate) struct Pass<'a> {
    pub(crate) job: RunJob<'a>,
    /// Whether a person has said that files are taken whatever the guards say.
    pub(crate) accept: bool,
    pub(crate) progress: &'a (dyn Fn(Progress) + Sync),
}

/// What a look has come to.
#[derive(Debug, Default)]
pub(crate) struct Looked {
    pub(crate) report: PassReport,
    /// How long it takes until the next file is complete, if there are files that are not.
    pub(crate) settles_in: Option<Duration>,
}

/// What became of reading a file.
enum Ended {
    /// Its records are taken; this is the hash of its bytes.
    Taken(u128),
    /// It is wrong.
    Wrong(String),
    /// It has changed while it was read, or is gone.
    Unsettled,
    /// It cannot be read now.
    Unreadable(String),
    /// It is too large to be taken together with others.
    Large,
}

impl<'a> Pass<'a> {
    /// Looks into the inbox, and takes what is there.
    pub(crate) fn look(&self, known: &mut Remembered) -> Result<Looked, RunError> {
        let plan = self.job.plan;
        let listed = plan.inbox.list();
        let listing = listed.map_err(|error| RunError::Failed(format!("the inbox: {error}")))?;
        let mut looked = Looked::default();
        let chosen = self.choose(&listing, known, &mut looked)?;
        let mut run = None;
        let taken = self.take_all(&chosen, known, &mut run, &mut looked.report);
        match taken {
            Ok(()) => {
                if let Some(run) = run {
                    end(run, known, &mut looked.report)?;
                }
                Ok(looked)
            }
            Err(error) => {
                if let Some(run) = run {
                    run.abandon(&mut known.ids, &known.ledger)?;
                }
                Err(error)
            }
        }
    }

    /// The files that are new and complete.
    fn choose<'l>(
        &self,
        listing: &'l Listing,
        known: &mut Remembered,
        looked: &mut Looked,
    ) -> Result<Vec<&'l FoundFile>, RunError> {
        let (plan, now) = (self.job.plan, self.job.waiter.clock().now());
        let picking = &plan.picking;
        let names = listing.files.iter().map(|file| file.name.as_str());
        let horizon = horizon(now.wall, picking.remember);
        let keeps = picking.changed == Changed::Replace;
        known.ledger.see(names, now.wall, horizon, keeps);
        if listing.odd > 0 {
            looked.report.warnings.push(format!(
                "{} names in the inbox fit and are passed over: they are links, no regular files, or not UTF-8",
                listing.odd
            ));
        }
        let mut chosen = Vec::new();
        known.settling.begin();
        for file in &listing.files {
            if is_known(plan, self.accept, file, &known.ledger) {
                looked.report.known += 1;
                continue;
            }
            let left = known.settling.left(file, picking.settle, now);
            let is_ready = match &picking.ready {
                Some(_) => is_ready(plan, file)?,
                None => left.is_none(),
            };
            if is_ready {
                chosen.push(file);
            } else {
                looked.report.waiting += 1;
                if picking.ready.is_none() {
                    let sooner = looked
                        .settles_in
                        .map_or(left, |other| left.map(|own| own.min(other)));
                    looked.settles_in = sooner;
                }
            }
        }
        known.settling.end();
        Ok(chosen)
    }

    fn take_all(
        &self,
        chosen: &[&FoundFile],
        known: &mut Remembered,
        run: &mut Option<Run<'a>>,
        report: &mut PassReport,
    ) -> Result<(), RunError> {
        let newest = self.newest(chosen);
        let is_older = |file: &FoundFile, known: &Remembered| {
            newest.is_some_and(|newest| {
                newest.name != file.name || newest.modified.0 < known.cursor.newest
            })
        };
        for (number, file) in chosen.iter().enumerate() {
            if self.job.waiter.is_cancelled() {
                return Err(RunError::Cancelled);
            }
            if is_older(file, known) {
                let why = "a newer file is the table";
                self.note(
                    run,
                    known,
                    file,
                    0,
                    Outcome::Passed,
                    why,
                    &mut Rows::default(),
                )?;
                report.known += 1;
            } else {
                self.take_one(file, known, run, report)?;
            }
            if run.as_ref().is_some_and(Run::is_full)
                && let Some(full) = run.take()
            {
                end(full, known, report)?;
            }
            (self.progress)(Progress {
                pages: number as u64 + 1,
                records: report.counts.lines + run.as_ref().map_or(0, Run::lines),
                total: Some(chosen.len() as u64),
            });
        }
        Ok(())
    }

    /// The newest file, if only that counts.
    fn newest<'f>(&self, chosen: &[&'f FoundFile]) -> Option<&'f FoundFile> {
        if self.job.plan.mode == FilesMode::Append {
            return None;
        }
        let files = chosen.iter().copied();
        files.max_by(|a, b| (a.modified, &a.name).cmp(&(b.modified, &b.name)))
    }

    fn take_one(
        &self,
        file: &FoundFile,
        known: &mut Remembered,
        run: &mut Option<Run<'a>>,
        report: &mut PassReport,
    ) -> Result<(), RunError> {
        let decided = decide(
            self.job.plan,
            self.accept,
            file,
            &known.ledger,
            run.as_ref(),
        );
        match decided {
            Ok(Decision::Read) => {}
            Ok(Decision::Leave) => {
                known.ledger.is_as_it_was(&file.name, file.version);
                report.known += 1;
                return Ok(());
            }
            Ok(Decision::Pass(hash, why)) => {
                report.known += 1;
                return self.note(
                    run,
                    known,
                    file,
                    hash,
                    Outcome::Passed,
                    why,
                    &mut Rows::default(),
                );
            }
            Ok(Decision::Refuse(hash, why)) => {
                report.fail(&file.name, why);
                return self.note(
                    run,
                    known,
                    file,
                    hash,
                    Outcome::Changed,
                    why,
                    &mut Rows::default(),
                );
            }
            Ok(Decision::Gone) => {
                report.waiting += 1;
                return Ok(());
            }
            Err(error) => {
                report.fail(&file.name, &unreadable(&error));
                return Ok(());
            }
        }
        if file.bytes <= MAX_SMALL && self.take_small(file, known, run, report)? {
            return Ok(());
        }
        self.take_large(file, known, run, report)
    }

    /// Takes a file together with others; `false` if it is too large for that.
    fn take_small(
        &self,
        file: &FoundFile,
        known: &mut Remembered,
        run: &mut Option<Run<'a>>,
        report: &mut PassReport,
    ) -> Result<bool, RunError> {
        let before = known.cursor.rows;
        let current = self.current(run, &known.cursor)?;
        let of = current.of.clone();
        let mut taker = Taker::new(self.job.plan, &of, &mut known.ids, &file.name, false);
        let ended = self.read(file, &mut taker, &mut |taker| {
            if taker.rows.bytes.len() > MAX_SMALL_ROWS {
                return Err(ReadStop::Large);
            }
            Ok(())
        })?;
        match self.judged(ended, &taker, before) {
            Ended::Large => return Ok(false),
            Ended::Unsettled => report.waiting += 1,
            Ended::Unreadable(why) => report.fail(&file.name, &why),
            Ended::Taken(hash) => {
                if self.job.plan.keeps_ids() {
                    taker.keep_ids().map_err(|error| remembering(&error))?;
                }
                current.fetch(&mut taker.rows)?;
                current.note_taken(file, hash, &taker, known.ledger.get(&file.name));
                add_samples(report, &taker);
            }
            Ended::Wrong(why) => {
                report.fail(&file.name, &why);
                add_samples(report, &taker);
                let outcome = Outcome::Failed;
                current.note_other(file, 0, outcome, &why, &mut taker.evidence)?;
            }
        }
        Ok(true)
    }

    /// Takes a file in a run of its own.
    fn take_large(
        &self,
        file: &FoundFile,
        known: &mut Remembered,
        run: &mut Option<Run<'a>>,
        report: &mut PassReport,
    ) -> Result<(), RunError> {
        if let Some(before) = run.take() {
            if before.is_empty() {
                *run = Some(before);
            } else {
                end(before, known, report)?;
            }
        }
        let before = known.cursor.rows;
        let current = self.current(run, &known.cursor)?;
        let of = current.of.clone();
        if self.job.plan.entities.has_ids() {
            known.ids.expect(file.bytes / BYTES_PER_RECORD);
        }
        let mut taker = Taker::new(self.job.plan, &of, &mut known.ids, &file.name, true);
        let ended = self.read(file, &mut taker, &mut |taker| {
            if taker.rows.bytes.len() >= PORTION {
                current.fetch(&mut taker.rows).map_err(ReadStop::Run)?;
                (self.progress)(Progress {
                    pages: 0,
                    records: taker.counts.lines,
                    total: None,
                });
                if self.job.waiter.is_cancelled() {
                    return Err(ReadStop::Run(RunError::Cancelled));
                }
            }
            Ok(())
        })?;
        let ended = self.judged(ended, &taker, before);
        if let Ended::Taken(hash) = ended {
            current.fetch(&mut taker.rows)?;
            current.note_taken(file, hash, &taker, known.ledger.get(&file.name));
            add_samples(report, &taker);
            if let Some(own) = run.take() {
                end(own, known, report)?;
            }
            return Ok(());
        }
        add_samples(report, &taker);
        let mut evidence = std::mem::take(&mut taker.evidence);
        drop(taker);
        if let Some(void) = run.take() {
            void.abandon(&mut known.ids, &known.ledger)?;
        }
        match ended {
            Ended::Wrong(why) => {
                report.fail(&file.name, &why);
                self.note(run, known, file, 0, Outcome::Failed, &why, &mut evidence)
            }
            Ended::Unreadable(why) => {
                report.fail(&file.name, &why);
                Ok(())
            }
            _ => {
                report.waiting += 1;
                Ok(())
            }
        }
    }

    /// Reads a file; `after` is called after each part of it.
    fn read(
        &self,
        file: &FoundFile,
        taker: &mut Taker<'_>,
        after: &mut dyn FnMut(&mut Taker<'_>) -> Result<(), ReadStop>,
    ) -> Result<Ended, RunError> {
        let plan = self.job.plan;
        let cannot = |error: std::io::Error| Ended::Unreadable(unreadable(&error));
        let open = match plan.inbox.open(file) {
            Ok(Some(open)) if open.found.version == file.version => open,
            Ok(_) => return Ok(Ended::Unsettled),
            Err(error) => return Ok(cannot(error)),
        };
        let read = read_file(&open.file, plan, &mut |part| {
            taker.take(part)?;
            after(taker)
        });
        let is_still = open.is_still();
        Ok(match read {
            Err(ReadStop::Run(error)) => return Err(error),
            Err(ReadStop::Large) => Ended::Large,
            _ if !is_still => Ended::Unsettled,
            Ok((bytes, _)) if bytes != open.found.bytes => Ended::Unsettled,
            Ok((_, hash)) => Ended::Taken(hash),
            Err(ReadStop::Wrong(why)) => Ended::Wrong(why),
            Err(ReadStop::Io(error)) => cannot(error),
        })
    }

    /// What became of a file once its guards have judged it; `before` is the number of rows of the last snapshot.
    fn judged(&self, ended: Ended, taker: &Taker<'_>, before: Option<u64>) -> Ended {
        let plan = self.job.plan;
        let is_judged = !self.accept && !plan.is_one_record();
        if !matches!(ended, Ended::Taken(_)) || !is_judged {
            return ended;
        }
        match plan.guards.judge_copy(&taker.tally, before) {
            None => ended,
            Some(breach) => Ended::Wrong(format!(
                "{}; mend the file, the schema or files.{}.guards.{}, or take it as it is: lakehook files --accept {}",
                breach.what, plan.name, breach.key, plan.name
            )),
        }
    }

    /// The run that files are noted in now; a new one if there is none.
    fn current<'r>(
        &self,
        run: &'r mut Option<Run<'a>>,
        cursor: &FilesCursor,
    ) -> Result<&'r mut Run<'a>, RunError> {
        match run {
            Some(run) => Ok(run),
            none => Ok(none.insert(Run::begin(self.job, cursor)?)),
        }
    }

    #[allow(clippy::too_many_arguments, reason = "a note has this many parts")]
    fn note(
        &self,
        run: &mut Option<Run<'a>>,
        known: &Remembered,
        file: &FoundFile,
        hash: u128,
        outcome: Outcome,
        why: &str,
        evidence: &mut Rows,
    ) -> Result<(), RunError> {
        let current = self.current(run, &known.cursor)?;
        current.note_other(file, hash, outcome, why, evidence)
    }
}

/// Ends a run, unless it has nothing.
fn end(run: Run<'_>, known: &mut Remembered, report: &mut PassReport) -> Result<(), RunError> {
    if run.is_empty() {
        return run.abandon(&mut known.ids, &known.ledger);
    }
    run.end(&mut known.cursor, &mut known.ids, &mut known.ledger, report)
}

fn unreadable(error: &std::io::Error) -> String {
    format!("it cannot be read: {error}; it is tried again")
}

fn add_samples(report: &mut PassReport, taker: &Taker<'_>) {
    let room = MAX_SAMPLES.saturating_sub(report.samples.len());
    report
        .samples
        .extend(taker.samples.iter().take(room).cloned());
    let room = MAX_SAMPLES.saturating_sub(report.warnings.len());
    report.warnings.extend(taker.unfit_values().take(room));
}
