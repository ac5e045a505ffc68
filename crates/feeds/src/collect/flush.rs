//! How rows get from a collector into the log, and the cursor with them.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::parts::Pending;
use super::{Collector, MAX_SAMPLES};
use crate::cursor::FeedCursor;
use crate::errors::RunError;
use crate::storing;
use crate::watermark::Mark;
use lakehook_base::record::{Lsn, Rows};
use lakehook_log::log::Log;
use lakehook_log::request::{Append, Appended, Cursor, MAX_CURSOR};

impl<R: Clone + Serialize + DeserializeOwned> Collector<'_, R> {
    /// Appends the collected rows to the log, together with the cursor if `with_cursor`.
    pub fn flush(&mut self, with_cursor: bool) -> Result<(), RunError> {
        self.see_ids()?;
        // The next page is probably as long, and its rows need not be moved as they grow.
        let next = Pending::with_room_for(&self.pending);
        let last = std::mem::replace(&mut self.pending, next);
        for piece in self.held.take() {
            let piece = piece.map_err(|error| self.not_held(&error))?;
            self.flush_piece(piece, false)?;
        }
        self.flush_piece(last, with_cursor)
    }

    fn flush_piece(&mut self, pending: Pending, with_cursor: bool) -> Result<(), RunError> {
        let mut next = self.known.clone();
        next.add_invalid(&pending.invalid);
        let quarantined = pending.invalid.len() as u64;
        let stored = pending.rows.rows.len() as u64 - quarantined;
        if self.sink.log.is_some() {
            self.keep_columns()?;
        }
        let appended = match self.sink.log {
            Some(log) if with_cursor || !pending.rows.rows.is_empty() => {
                let cursor = with_cursor.then(|| self.cursor(&mut next));
                self.append(log, pending.rows, self.sink.run, cursor)?
            }
            // Without a log, all rows count as new.
            _ => Appended {
                accepted: stored,
                ..Appended::default()
            },
        };
        // The cursor advances only when the rows are durable.
        self.known = next;
        if with_cursor {
            self.stored = Some(self.known.clone());
        }
        let counts = &mut self.counts;
        counts.records += pending.records;
        counts.quarantined += quarantined;
        counts.stored += stored.saturating_sub(appended.duplicates);
        counts.duplicates += appended.duplicates;
        let room = MAX_SAMPLES - counts.samples.len();
        counts
            .samples
            .extend(pending.samples.into_iter().take(room));
        self.seen.repeated += pending.repeated;
        self.seen.content = self.seen.content.wrapping_add(pending.content);
        for (index, count) in pending.nulls {
            let column = self.plan.entities.rules().column(index);
            *self.counts.nulls.entry(column.to_owned()).or_default() += count;
        }
        for (index, count) in pending.unfit {
            *self.seen.unfit.entry(index).or_default() += count;
        }
        self.marks.highest = Mark::latest(self.marks.highest.take(), pending.highest);
        self.judged.tally.merge(&pending.tally);
        self.page.tally.merge(&pending.tally);
        self.page.flushed = (self.page.flushed.0 + pending.records, self.page.hash);
        Ok(())
    }

    /// The cursor as it is stored; without the resume position if it would be too long, which the run tells.
    pub(super) fn cursor(&mut self, known: &mut FeedCursor<R>) -> Cursor {
        let mut bytes = known.write();
        if bytes.len() > MAX_CURSOR && known.resume.is_some() {
            if !self.seen.is_too_long {
                self.seen.is_too_long = true;
                self.warn(format!(
                    "page {}: what is to be remembered of the next page has {} bytes, and at most {MAX_CURSOR} can be: \
                     if this run is interrupted, the next one begins where this one began; records that are stored \
                     already are recognised",
                    self.page.number,
                    bytes.len()
                ));
            }
            known.resume = None;
            bytes = known.write();
        }
        Cursor {
            poll: self.plan.stream.into(),
            bytes,
        }
    }

    pub(super) fn append(
        &self,
        log: &Log,
        rows: Rows,
        run: Lsn,
        cursor: Option<Cursor>,
    ) -> Result<Appended, RunError> {
        let append = Append {
            rows,
            dropped: 0,
            origin: self.origin.clone(),
            run,
            cursor,
        };
        let appended = storing::append(self.waiter, log, append);
        appended.map_err(|error| error.within(&format!("page {}", self.page.number)))
    }
}
