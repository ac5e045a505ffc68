//! One look into an inbox: which files are new and complete, and what becomes of each.
//!
//! Small files share a run; a file that is read in portions has one of its own, because what it has put cannot be
//! taken back from others.

use std::time::Duration;

use super::definition::SameContent;
use super::folder::FoundFile;
use super::harvest::Harvest;
use super::judging::{Ended, Judging, unreadable};
use super::known_ids::KnownIds;
use super::ledger::{Ledger, Outcome};
use super::picking::{Decision, decide};
use super::plan::FilesPlan;
use super::record::ReadStop;
use super::report::{MAX_SAMPLES, PassReport};
use super::run::{FilesCursor, Run, RunJob, remembering};
use super::settling::Settling;
use super::side_by_side::{self, MAX_ROUND_ROWS, MAX_SMALL, ReadFile, Round};
use super::taker::{IdsOf, Taker};
use lakehook_base::record::Rows;
use lakehook_feeds::errors::RunError;
use lakehook_feeds::figures::Progress;
use lakehook_lake::encode::TypedRows;

/// A file whose rows have more bytes than this is read in portions, in a run of its own, as one that is larger than
/// [`MAX_SMALL`] is.
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
        let mut done = 0;
        while let Some(file) = chosen.get(done) {
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
                done += 1;
            } else {
                done += self.take_next(&chosen[done..], known, run, report)?;
            }
            if run.as_ref().is_some_and(Run::is_full)
                && let Some(full) = run.take()
            {
                end(full, known, report)?;
            }
            (self.progress)(Progress {
                pages: done as u64,
                records: report.counts.lines + run.as_ref().map_or(0, Run::lines),
                total: Some(chosen.len() as u64),
            });
        }
        Ok(())
    }

    /// Takes the next file, or several that are read side by side; returns how many it has dealt with.
    fn take_next(
        &self,
        next: &[&FoundFile],
        known: &mut Remembered,
        run: &mut Option<Run<'a>>,
        report: &mut PassReport,
    ) -> Result<usize, RunError> {
        let room = run.as_ref().map_or(Run::MAX_FILES, Run::room);
        let files = &next[..side_by_side::length(self.job.plan, next, room)];
        if let [file] = files {
            self.take_one(file, known, run, report)?;
            return Ok(1);
        }
        let current = self.current(run, &known.cursor)?;
        let table = current.table()?;
        let of = current.of.clone();
        let round = Round {
            judging: self.judging(known),
            of: &of,
            table,
            ids: &known.ids,
            ledger: &known.ledger,
            max_rows: MAX_ROUND_ROWS,
        };
        for (done, read) in round.read(files)?.into_iter().enumerate() {
            let is_over = run.as_ref().is_none_or(|run| run.is_full() || run.of != of);
            match read {
                Some(read) if !is_over => self.take_read(files[done], read, known, run, report)?,
                // What was read is part of a run that has ended.
                _ => return Ok(done),
            }
        }
        Ok(files.len())
    }

    /// Takes a file that was read beside others.
    fn take_read(
        &self,
        file: &FoundFile,
        read: ReadFile,
        known: &mut Remembered,
        run: &mut Option<Run<'a>>,
        report: &mut PassReport,
    ) -> Result<(), RunError> {
        let ReadFile {
            decided,
            ended,
            mut got,
        } = read;
        let Some(ended) = ended else {
            return self.take_decided(file, decided, known, run, report);
        };
        let is_repeated = match ended {
            Ended::Taken(hash) if self.job.plan.picking.same_content == SameContent::Skip => {
                run.as_ref().is_some_and(|run| run.has_content(hash))
            }
            _ => false,
        };
        // An id of this file may be one of a file before it, which was not known when it was read.
        let is_new = known.ids.has_none_of(&got.own_ids);
        if matches!(ended, Ended::Large)
            || is_repeated
            || !is_new.map_err(|error| remembering(&error))?
        {
            return self.take_one(file, known, run, report);
        }
        let current = self.current(run, &known.cursor)?;
        settle(current, file, ended, &mut got, known, report)
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
        self.take_decided(file, decided, known, run, report)
    }

    fn take_decided(
        &self,
        file: &FoundFile,
        decided: std::io::Result<Decision>,
        known: &mut Remembered,
        run: &mut Option<Run<'a>>,
        report: &mut PassReport,
    ) -> Result<(), RunError> {
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
        let current = self.current(run, &known.cursor)?;
        let of = current.of.clone();
        let typed = current.table()?.as_ref().map(TypedRows::new);
        let ids = IdsOf::Aside(&known.ids);
        let mut taker = Taker::new(self.job.plan, &of, ids, &file.name, typed);
        let judging = self.judging(known);
        let ended = judging.read(file, &mut taker, &mut |taker| {
            if taker.got.bytes() > MAX_SMALL_ROWS {
                return Err(ReadStop::Large);
            }
            Ok(())
        })?;
        if matches!(ended, Ended::Large) {
            return Ok(false);
        }
        let mut got = taker.got;
        settle(current, file, ended, &mut got, known, report)?;
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
        let judging = self.judging(known);
        let current = self.current(run, &known.cursor)?;
        let of = current.of.clone();
        let typed = current.table()?.as_ref().map(TypedRows::new);
        if self.job.plan.entities.has_ids() {
            known.ids.expect(file.bytes / BYTES_PER_RECORD);
        }
        let ids = IdsOf::InRun(&mut known.ids);
        let mut taker = Taker::new(self.job.plan, &of, ids, &file.name, typed);
        let ended = judging.read(file, &mut taker, &mut |taker| {
            if taker.got.bytes() >= PORTION {
                current.fetch_all(&mut taker.got).map_err(ReadStop::Run)?;
                (self.progress)(Progress {
                    pages: 0,
                    records: taker.got.counts.lines,
                    total: None,
                });
                if self.job.waiter.is_cancelled() {
                    return Err(ReadStop::Run(RunError::Cancelled));
                }
            }
            Ok(())
        })?;
        let mut got = taker.got;
        add_samples(report, self.job.plan, &file.name, &got);
        if let Ended::Taken(hash) = ended {
            current.fetch_all(&mut got)?;
            current.note_taken(file, hash, &got, known.ledger.get(&file.name));
            if let Some(own) = run.take() {
                end(own, known, report)?;
            }
            return Ok(());
        }
        if let Some(void) = run.take() {
            void.abandon(&mut known.ids, &known.ledger)?;
        }
        match ended {
            Ended::Wrong(why) => {
                report.fail(&file.name, &why);
                let evidence = &mut got.evidence;
                self.note(run, known, file, 0, Outcome::Failed, &why, evidence)
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

    fn judging(&self, known: &Remembered) -> Judging<'a> {
        Judging {
            plan: self.job.plan,
            accept: self.accept,
            before: known.cursor.rows,
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

/// Notes what became of a small file, whose rows go into the run if it is taken.
fn settle(
    run: &mut Run<'_>,
    file: &FoundFile,
    ended: Ended,
    got: &mut Harvest,
    known: &mut Remembered,
    report: &mut PassReport,
) -> Result<(), RunError> {
    let plan = run.plan();
    match ended {
        Ended::Large | Ended::Unsettled => report.waiting += 1,
        Ended::Unreadable(why) => report.fail(&file.name, &why),
        Ended::Taken(hash) => {
            if plan.keeps_ids() {
                let kept = known.ids.add_all(&mut got.own_ids);
                kept.map_err(|error| remembering(&error))?;
            }
            run.fetch_all(got)?;
            run.note_taken(file, hash, got, known.ledger.get(&file.name));
            add_samples(report, plan, &file.name, got);
        }
        Ended::Wrong(why) => {
            report.fail(&file.name, &why);
            add_samples(report, plan, &file.name, got);
            run.note_other(file, 0, Outcome::Failed, &why, &mut got.evidence)?;
        }
    }
    Ok(())
}

fn add_samples(report: &mut PassReport, plan: &FilesPlan, file: &str, got: &Harvest) {
    let room = MAX_SAMPLES.saturating_sub(report.samples.len());
    report
        .samples
        .extend(got.samples.iter().take(room).cloned());
    let room = MAX_SAMPLES.saturating_sub(report.warnings.len());
    report
        .warnings
        .extend(got.unfit_values(plan, file).take(room));
}
