//! Decides when a frame goes into the next segment of the journal, and which segments the journal
//! may remove.

use super::entry::Entry;
use super::facts::Checkpoint;
use super::frame::FrameBuilder;
use super::projection::{self, Projection};
use super::request::WriteError;
use super::state::State;
use super::writer::{Room, SLACK, Writer};
use crate::journal::layout::MAX_FRAME;
use crate::journal::seam::{Journal, Purpose};
use lakehook_base::clock::Now;
use lakehook_base::files::Files;

/// A frame takes no further request once it has this many bytes.
pub(crate) const GROUP_BYTES: usize = 4 << 20;

/// Puts all cursors into the first frame of a segment, so that older segments can be removed.
pub(crate) fn put_cursors(state: &State, frame: &mut FrameBuilder) {
    for (poll, cursor) in state.runs.cursors() {
        frame.put(&Entry::Cursor { poll, cursor });
    }
}

impl<J: Journal, F: Files> Writer<J, F> {
    /// Finds room for `cost` bytes, in a new segment if necessary.
    pub(crate) fn room_for(
        &mut self,
        cost: usize,
        purpose: Purpose,
        now: Now,
    ) -> Result<Room, WriteError> {
        let is_shipping = purpose == Purpose::Shipping;
        // A segment that was begun for shipping may leave more ids unwritten than one begun for
        // requests.
        if !is_shipping && !self.dedup.keep_up(2, now) {
            return Ok(Room::Never);
        }
        // What a frame holds is bounded before packing, what a segment holds after it.
        let need = self.building.pending_bytes + SLACK + cost;
        let raw = self.building.frame.raw_len() + need;
        let stored = self.building.frame.len() + need;
        let fits = (is_shipping || !self.dedup.has_enough())
            && raw <= MAX_FRAME
            && stored as u64 <= self.room(purpose);
        let empty = self.is_idle();
        if fits && (empty || is_shipping || raw <= GROUP_BYTES) {
            self.pay_void_debt()?;
            return Ok(Room::Yes);
        }
        if !empty {
            return Ok(Room::NextFrame);
        }
        if self.roll(cost, purpose, now)? {
            self.pay_void_debt()?;
            return Ok(Room::Yes);
        }
        Ok(if is_shipping {
            Room::NextFrame
        } else {
            Room::Never
        })
    }

    /// Whether the next frame is the first one of its segment.
    pub(crate) fn is_first(&self) -> bool {
        self.journal.next().segment() != self.segment
    }

    /// Bytes that the frame may have in the current segment.
    ///
    /// If the first frame of a segment failed for lack of space, the next one is the first, and needs
    /// what [`Writer::roll`] puts into it, whatever the journal still takes there.
    fn room(&self, purpose: Purpose) -> u64 {
        if self.is_first() && !self.building.begins {
            return 0;
        }
        self.journal.room(purpose)
    }

    /// Begins the next segment; `false` if there is no room for it.
    fn roll(&mut self, cost: usize, purpose: Purpose, now: Now) -> Result<bool, WriteError> {
        if purpose == Purpose::Requests && !self.dedup.keep_up(1, now) {
            return Ok(false);
        }
        let cursors = self.state.runs.cursor_bytes() as u64;
        let need = cost as u64 + 4 * SLACK as u64 + cursors;
        let beside = self.dedup.archive().used();
        let before = self.journal.next().segment();
        if !self.journal.begin_segment(need, purpose, beside, now)? {
            return Ok(false);
        }
        let current = self.journal.next().segment();
        debug_assert!(
            current == before || current == before + 1,
            "segments have no gaps"
        );
        if current > before {
            self.dedup.archive_mut().close_segment(before);
        }
        let frame = &mut self.building.frame;
        frame.put(&Entry::Checkpoint(self.state.checkpoint()));
        put_cursors(&self.state, frame);
        self.building.begins = true;
        self.journal.tend(now);
        Ok(true)
    }

    /// Takes the results of both helpers, and starts their next tasks.
    pub(crate) fn tend(&mut self, now: Now) {
        // The ids come first: on a full disk, a spare would take the space that was freed for them.
        self.dedup.archive_mut().tend(now);
        if self.dedup.archive_mut().take_lack_of_space() {
            // A trim frees more space than a spare takes, but it needs the ids on disk first.
            self.journal.give_up_space();
        }
        self.journal.tend(now);
    }

    /// Puts the LSNs of a failed frame into this one as void.
    pub(crate) fn pay_void_debt(&mut self) -> Result<(), WriteError> {
        if let Some((first, count)) = self.void_debt.take() {
            self.state.add_void(first, count)?;
            self.building.frame.put(&Entry::Void { first, count });
            self.building.frame.first_lsn = self.state.next_lsn;
        }
        Ok(())
    }

    /// Notes in the frame which segments and id files are no longer needed. They are removed once
    /// the note is durable.
    pub(crate) fn note_trim(&mut self) {
        let current = self.journal.next().segment();
        let needed = self
            .state
            .oldest_uncommitted()
            .unwrap_or(current)
            .min(current);
        let archive = self.dedup.archive();
        let mut oldest_segment = self.state.oldest_segment;
        while oldest_segment < needed && archive.id_files().contains_key(&oldest_segment) {
            oldest_segment += 1;
        }
        let oldest_ids = archive.oldest_within_bounds(oldest_segment, self.state.oldest_ids);
        let unchanged =
            oldest_segment == self.state.oldest_segment && oldest_ids == self.state.oldest_ids;
        if unchanged || !self.may_note() {
            return;
        }
        let checkpoint = Checkpoint {
            oldest_segment,
            oldest_ids,
            ..self.state.checkpoint()
        };
        self.state.oldest_segment = oldest_segment;
        self.state.oldest_ids = oldest_ids;
        self.building.frame.put(&Entry::Checkpoint(checkpoint));
        self.building.trimmed = true;
        self.closed = false;
    }

    /// Whether the current segment has room for a note about a trim; void LSNs must be noted first.
    fn may_note(&self) -> bool {
        let taken = self.building.frame.len() + SLACK;
        self.void_debt.is_none() && taken as u64 <= self.room(Purpose::Shipping)
    }

    /// Removes the segments and id files that a durable checkpoint has released.
    pub(crate) fn trim(&mut self) {
        let (oldest_segment, oldest_ids) = (self.state.oldest_segment, self.state.oldest_ids);
        debug_assert!(
            self.state
                .oldest_uncommitted()
                .is_none_or(|needed| oldest_segment <= needed),
            "rows that are not in the lake are kept"
        );
        self.journal.trim(oldest_segment);
        self.dedup.archive_mut().trim(oldest_segment, oldest_ids);
    }

    /// Projects the durable part of the log again, after a frame that failed.
    pub(crate) fn reload(&mut self) -> Result<(), WriteError> {
        let calendar = self.settings.calendar.clone();
        let state = State::new(self.settings.limits, calendar);
        let mut projection = Projection::new(state);
        let frames = self.journal.frames();
        self.journal.read(&mut |frame| {
            let applied = projection.apply(&frame, &mut |_| {});
            applied.map_err(|error| projection::contradiction(&frames, &frame, &error))
        })?;
        self.state = projection.state;
        self.state.count_ages(self.clock.now());
        Ok(())
    }
}
