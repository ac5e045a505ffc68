//! What guards see of a run: pages are judged before they are stored, complete copies before they are visible.

use std::io;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Collector;
use crate::errors::RunError;
use crate::guards::Breach;
use lakehook_base::record::NO_RUN;

impl<R: Clone + Serialize + DeserializeOwned> Collector<'_, R> {
    /// Fails if the guards refuse what was read of the page.
    pub(super) fn judge_page(&mut self) -> Result<(), RunError> {
        if self.plan.accept {
            return Ok(());
        }
        let mut tally = self.page.tally.clone();
        self.unflushed().for_each(|piece| tally.merge(&piece.tally));
        let number = self.page.number;
        self.plan
            .guards
            .judge_page(&tally)
            .map_or(Ok(()), |breach| {
                let what = format!("page {number}: {}", breach.what);
                let kept = "nothing of the page is stored, and the watermark stays where it was";
                Err(self.broken(&Breach { what, ..breach }, kept))
            })
    }

    /// Fails if the guards refuse the run, a complete copy whose pages are all flushed. `before` is the number
    /// of valid records of the copy that is visible.
    pub fn judge_copy(&mut self, before: Option<u64>) -> Result<(), RunError> {
        if self.plan.accept {
            return Ok(());
        }
        let breach = self.plan.guards.judge_copy(&self.judged.tally, before);
        breach.map_or(Ok(()), |breach| {
            let kept = "nothing of this run is visible, and what was visible before stays";
            Err(self.broken(&breach, kept))
        })
    }

    /// The error of a run that breaks a guard. Leaves its first refused records in the quarantine.
    fn broken(&mut self, breach: &Breach, kept: &str) -> RunError {
        self.leave_evidence();
        let (section, stream) = (self.plan.section, self.plan.stream);
        RunError::Guarded(format!(
            "{what}; {kept}. Mend the source, the schema or {section}.{stream}.guards.{key}, or take it as it is: \
             lakehook {section} --accept {stream}",
            what = breach.what,
            key = breach.key
        ))
    }

    fn leave_evidence(&mut self) {
        let evidence = std::mem::take(&mut self.judged.evidence);
        let (rows, hashes) = evidence.rows(&self.quarantine, &self.known.shown);
        let Some(log) = self.sink.log.filter(|_| !hashes.is_empty()) else {
            return;
        };
        let mut next = self.known.clone();
        next.add_shown(&hashes);
        let cursor = self.cursor(&mut next);
        // The rows of the run itself are discarded.
        match self.append(log, rows, NO_RUN, Some(cursor)) {
            Ok(_) => {
                self.known = next;
                self.stored = Some(self.known.clone());
            }
            Err(error) => {
                let stream = self.plan.stream;
                tracing::warn!(%error, stream, "failed to keep the first refused records in the quarantine");
            }
        }
    }

    /// Appends the rows that were collected, or holds them back until their page is judged.
    pub(super) fn end_piece(&mut self) -> Result<(), RunError> {
        if self.plan.is_snapshot || self.plan.accept {
            return self.flush(false);
        }
        let Some(dir) = self.sink.dir.filter(|_| self.sink.log.is_some()) else {
            // Nothing is stored, so that nothing has to be held back: the page is judged at its end.
            return self.flush(false);
        };
        let pending = std::mem::take(&mut self.pending);
        let held = self.held.push(pending, dir, self.plan.stream);
        held.map_err(|error| self.not_held(&error))
    }

    pub(super) fn not_held(&self, error: &io::Error) -> RunError {
        RunError::Failed(format!(
            "page {}: its rows cannot be held back in polls.dir until the page is judged as a whole: {error}; smaller \
             pages (pagination.limit) need no file, and --accept needs none either",
            self.page.number
        ))
    }
}
