//! The writer's part in runs of polls: it begins, cuts and ends them.

use super::batch::SealReason;
use super::entry::{Entry, NO_RUN};
use super::facts::{RunEnd, RunObject};
use super::request::{Appended, EndRun, WriteError};
use super::writer::{Room, SLACK, Writer};
use crate::journal::seam::{Journal, Purpose};
use lakehook_base::clock::Now;
use lakehook_base::files::Files;
use lakehook_base::record::Lsn;

impl<J: Journal, F: Files> Writer<J, F> {
    /// Begins a run, whose name is the next LSN.
    pub(crate) fn begin_run(&mut self, poll: &str, now: Now) -> Result<Appended, WriteError> {
        self.flush_sections(now);
        let run = self.state.next_lsn;
        self.state.begin_run(run)?;
        self.building.frame.put(&Entry::RunBegin { run, poll });
        Ok(Appended {
            run,
            ..Appended::default()
        })
    }

    /// Ends a run: fixes its objects, and what its marker will say.
    pub(crate) fn end_run(&mut self, request: &EndRun, now: Now) -> Result<(), WriteError> {
        self.flush_sections(now);
        let run = request.run;
        for slot in 0..self.state.batches.slots() {
            if self.state.batches.get(slot).run == run {
                self.cut(slot);
            }
        }
        let format = &self.settings.format;
        let pieces = self.state.batches.pieces_of(run).map(|batch| RunObject {
            key: (self.settings.object_key)(&batch.partition, self.node, batch.first_lsn, format),
            first_lsn: batch.first_lsn,
            count: batch.sums.count,
        });
        let end = RunEnd {
            run,
            poll: request.poll.clone(),
            cursor: request.cursor.clone(),
            nonce: self.ids.next_u128()?,
            format: format.clone(),
            lake: self.settings.lake.clone(),
            marker: request.marker.clone(),
            about: request.about.clone(),
            pieces: pieces.collect(),
        };
        let at = self.journal.next();
        self.state.end_run(&end, at);
        self.building.frame.put(&Entry::RunEnd(Box::new(end)));
        Ok(())
    }

    /// Abandons a run, so that its rows become void; does nothing if it is not open.
    pub(crate) fn abandon_run(&mut self, run: Lsn, now: Now) {
        self.flush_sections(now);
        if self.state.runs.is_open(run) {
            let abandoned = self.state.abandonment_of(run);
            self.state.abandon_run(&abandoned);
            self.building.frame.put(&Entry::RunAbandoned(abandoned));
        }
    }

    /// Notes that a marker is in the lake.
    pub(crate) fn published(&mut self, run: Lsn) {
        self.state.runs.published(run);
        self.building.frame.put(&Entry::Published { run });
    }

    /// Notes the cursor of a poll.
    pub(crate) fn put_cursor(&mut self, poll: &str, cursor: &[u8]) {
        self.state.runs.set_cursor(poll, cursor);
        self.building.frame.put(&Entry::Cursor { poll, cursor });
    }

    /// Makes the rows that a run has in a slot an object of their own.
    pub(crate) fn cut(&mut self, slot: usize) {
        let batch = self.state.batches.get(slot);
        debug_assert!(batch.run != NO_RUN, "other batches are sealed");
        if batch.sums.count == 0 {
            return;
        }
        let (run, partition) = (batch.run, &*batch.partition);
        self.building.frame.put(&Entry::Cut { run, partition });
        self.state.batches.cut(slot);
    }

    /// Seals the pieces of ended runs, as far as there is room.
    pub(crate) fn seal_ready(&mut self, now: Now) -> Result<(), WriteError> {
        while let Some(piece) = self.state.batches.ready() {
            let cost = self.seal_cost_of(piece);
            if self.room_for(cost, Purpose::Shipping, now)? != Room::Yes {
                break;
            }
            self.flush_sections(now);
            let Some(piece) = self.state.batches.ready() else {
                break;
            };
            let mut seal = self.state.seal_of(piece, self.building.appending);
            if let Some((key, format)) = self.state.runs.object_at(seal.first_lsn) {
                key.clone_into(&mut seal.key);
                format.clone_into(&mut seal.format);
            }
            self.put_seal(seal, SealReason::Run)?;
        }
        Ok(())
    }

    /// An upper bound of the bytes that the end of a run adds to a frame.
    pub(crate) fn cost_of_end(&self, end: &EndRun) -> usize {
        const MAX_KEY: usize = 320;
        let batches = self.state.batches.open();
        let pieces = batches.filter(|batch| batch.run == end.run).count();
        let texts = end.poll.len() + end.cursor.len() + end.marker.len() + end.about.len();
        2 * SLACK + texts + self.settings.lake.len() + pieces * 2 * MAX_KEY
    }
}
