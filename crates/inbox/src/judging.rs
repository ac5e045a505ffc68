//! Reads one file to its end, and says what became of it.

use super::folder::FoundFile;
use super::plan::FilesPlan;
use super::reading::read_file;
use super::record::ReadStop;
use super::taker::Taker;
use lakehook_feeds::errors::RunError;

/// What became of reading a file.
pub(crate) enum Ended {
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

/// What files are judged by.
#[derive(Clone, Copy)]
pub(crate) struct Judging<'a> {
    pub(crate) plan: &'a FilesPlan,
    /// Whether a person has said that files are taken whatever the guards say.
    pub(crate) accept: bool,
    /// The number of rows of the last snapshot.
    pub(crate) before: Option<u64>,
}

impl Judging<'_> {
    /// Reads a file; `after` is called after each part of it.
    pub(crate) fn read(
        &self,
        file: &FoundFile,
        taker: &mut Taker<'_>,
        after: &mut dyn FnMut(&mut Taker<'_>) -> Result<(), ReadStop>,
    ) -> Result<Ended, RunError> {
        let plan = self.plan;
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
            Ok((_, hash)) => self.judged(hash, taker),
            Err(ReadStop::Wrong(why)) => Ended::Wrong(why),
            Err(ReadStop::Io(error)) => cannot(error),
        })
    }

    /// What becomes of a file that was read, once its guards have judged it.
    fn judged(&self, hash: u128, taker: &Taker<'_>) -> Ended {
        let plan = self.plan;
        let is_judged = !self.accept && !plan.is_one_record();
        let breach = is_judged
            .then(|| plan.guards.judge_copy(&taker.got.tally, self.before))
            .flatten();
        match breach {
            None => Ended::Taken(hash),
            Some(breach) => Ended::Wrong(format!(
                "{}; mend the file, the schema or files.{}.guards.{}, or take it as it is: lakehook files --accept {}",
                breach.what, plan.name, breach.key, plan.name
            )),
        }
    }
}

/// Why a file that cannot be read now is passed over.
pub(crate) fn unreadable(error: &std::io::Error) -> String {
    format!("it cannot be read: {error}; it is tried again")
}
