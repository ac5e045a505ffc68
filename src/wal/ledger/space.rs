//! Space: the writer's segments ahead and behind. Rolling to the next one, making spares, writing the
//! ids of closed segments, and trimming what is in the lake.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::clock::Now;
use crate::files::{Files, remove_if_there};
use crate::wal::dedup::id_files::{self as ids, IdFile, SegmentIds};
use crate::wal::helper::{self, Done, Task};
use crate::wal::journal::layout::{FIRST_FRAME, SegmentHeader, next_block, segment_path};
use crate::wal::journal::segment::{Segment, Spare};
use crate::wal::ledger::entry::{Checkpoint, Entry};
use crate::wal::ledger::frame::FrameBuilder;
use crate::wal::ledger::projection::{ReplayRange, replay};
use crate::wal::ledger::request::WriteError;
use crate::wal::ledger::state::State;
use crate::wal::ledger::writer::{NextSpare, SLACK, Writer};

/// How long to wait before a spare is tried again.
const SPARE_RETRY: Duration = Duration::from_secs(1);
/// Segments whose ids may wait to be written before the writer writes them itself.
const MAX_UNWRITTEN_IDS: usize = 4;
/// Most id files that are merged at once.
const MAX_PARTS: usize = 64;
/// Most that requests leave of a segment while there is no spare behind it.
const MAX_RESERVE: u64 = 4 << 20;

/// Id files take at most this part of the log's space: after a restart the dedup window is then what
/// they hold.
const MAX_SHARE_OF_IDS: u64 = 4;

/// Whether an error says that there is no space left.
pub fn is_out_of_space(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// A segment says how far each poll has got, so that older ones can go.
pub(crate) fn put_cursors(state: &State, frame: &mut FrameBuilder) {
    for (poll, cursor) in state.runs.cursors() {
        frame.put(&Entry::Cursor { poll, cursor });
    }
}

fn reserve_of(segment_bytes: u64) -> u64 {
    (segment_bytes / 4).min(MAX_RESERVE)
}

impl<F: Files> Writer<F> {
    /// Moves on to the next segment; `false` if there is no room for it.
    ///
    /// Requests may use a spare only while another one is kept for seals, commits and trims: once the
    /// disk is full, only shipping frees space, and shipping needs these.
    pub(crate) fn roll(
        &mut self,
        need: usize,
        internal: bool,
        now: Now,
    ) -> Result<bool, WriteError> {
        let reserve = if internal {
            0
        } else {
            reserve_of(self.settings.segment_bytes)
        };
        let cursors = self.state.runs.cursor_bytes() as u64;
        let need = next_block(FIRST_FRAME + need as u64 + 4 * SLACK as u64 + cursors + reserve);
        let bytes = self.settings.segment_bytes.max(need);
        let segments: u64 = self.segments.values().sum();
        let ids = self.bytes_of_ids();
        // The next spare, and the one that is kept.
        let with_spares = segments + ids + bytes + 2 * self.settings.segment_bytes;
        if !internal && with_spares > self.settings.max_bytes {
            return Ok(false);
        }
        if !internal && !self.ids_keep_up(1, now) {
            return Ok(false);
        }
        let Some(spare) = self.take_spare(bytes, internal, now) else {
            return Ok(false);
        };
        let previous_number = self.settle_segment();
        let header = SegmentHeader {
            number: previous_number + 1,
            id: self.ids.next()?,
            bytes: spare.bytes,
            node: self.node,
            previous: self.durable_end(),
            created_at: now.wall,
        };
        self.segments.insert(header.number, spare.bytes);
        self.segment = Segment::new(spare, &self.dir, header);
        self.segment_failed = false;
        self.building
            .frame
            .put(&Entry::Checkpoint(self.state.checkpoint()));
        put_cursors(&self.state, &mut self.building.frame);
        self.request_spare();
        Ok(true)
    }

    /// Bytes of the id files.
    pub(crate) fn bytes_of_ids(&self) -> u64 {
        self.id_files.values().map(|file| file.bytes).sum()
    }

    /// A part of what memory never forgets. The current segment may have one, that which was just closed, and
    /// those before it that no file holds yet; the fourth is for the frames that go over it.
    fn share_of_window(&self) -> u64 {
        u64::from(self.dedup.window()) / 4
    }

    /// Whether the current segment has so many identities that another one must begin.
    pub(crate) fn has_many_ids(&self) -> bool {
        self.active_ids.identities.len() as u64 >= self.share_of_window()
    }

    /// Before memory forgets an identity it must be in a file: whether closed segments have no more than so many
    /// shares in none. Waits for the helper where it is behind; `false` if it cannot write.
    pub(crate) fn ids_keep_up(&mut self, shares: u64, now: Now) -> bool {
        let unwritten = |writer: &Self| -> u64 {
            let waiting = writer.unwritten_ids.iter();
            waiting.map(|(_, ids)| ids.identities.len() as u64).sum()
        };
        let most = shares * self.share_of_window();
        while self.ids_in_flight > 0 && self.ids_in_flight + unwritten(self) > most {
            match self.helper.wait() {
                Some(done) => self.take_result(done, now),
                None => break,
            }
        }
        self.ids_in_flight + unwritten(self) <= most
    }

    /// What requests must leave of the current segment, for seals, commits and trims: while no spare
    /// is there, the disk may be too full for one, and then only shipping frees space.
    pub(crate) fn reserve(&self) -> u64 {
        if self.kept_spare.is_some() {
            0
        } else {
            reserve_of(self.segment.header().bytes)
        }
    }

    /// Whether what is left must be kept for shipping.
    pub(crate) fn is_short_of_space(&self) -> bool {
        self.kept_spare.is_none() && matches!(self.spare, NextSpare::Failed(_))
    }

    /// Notes the LSNs of a frame that failed.
    pub(crate) fn pay_void_debt(&mut self) -> Result<(), WriteError> {
        if let Some((first, count)) = self.void_debt.take() {
            self.state.add_void(first, count)?;
            self.building.frame.put(&Entry::Void { first, count });
            self.building.frame.first_lsn = self.state.next_lsn;
        }
        Ok(())
    }

    /// Ends the current segment; returns the number of the last one that is durable.
    fn settle_segment(&mut self) -> u64 {
        let number = self.segment.header().number;
        if self.segment.is_named() {
            let ids = std::mem::take(&mut self.active_ids);
            self.unwritten_ids.push_back((number, ids));
            self.write_ids();
            return number;
        }
        // It never had a frame, so it never was: its number goes to the next one.
        if let Some(temporary) = self.segment.temporary()
            && let Err(error) = remove_if_there(&self.files, temporary)
        {
            tracing::warn!(%error, "failed to remove a segment without frames");
        }
        self.segments.remove(&number);
        number - 1
    }

    fn durable_end(&self) -> crate::wal::journal::layout::SegmentEnd {
        if self.segment.is_named() {
            self.segment.end()
        } else {
            self.segment.header().previous
        }
    }

    fn take_spare(&mut self, bytes: u64, internal: bool, now: Now) -> Option<Spare<F>> {
        match self.next_spare(bytes, now) {
            // What was just made becomes the one that is kept.
            Some(spare) if self.kept_spare.is_none() && !internal => {
                self.kept_spare = Some(spare);
                self.next_spare(bytes, now)
            }
            None if internal && self.kept_spare.as_ref().is_some_and(|s| s.bytes >= bytes) => {
                self.kept_spare.take()
            }
            spare => spare,
        }
    }

    fn next_spare(&mut self, bytes: u64, now: Now) -> Option<Spare<F>> {
        while matches!(self.spare, NextSpare::Preparing) {
            match self.helper.wait() {
                Some(done) => self.take_result(done, now),
                None => self.spare = NextSpare::None,
            }
        }
        match std::mem::replace(&mut self.spare, NextSpare::None) {
            NextSpare::Ready(spare) if spare.bytes >= bytes => return Some(spare),
            // Too small for this request; it serves later.
            NextSpare::Ready(spare) => self.spare = NextSpare::Ready(spare),
            NextSpare::Failed(at) if now.mono.saturating_sub(at) < SPARE_RETRY => {
                self.spare = NextSpare::Failed(at);
                return None;
            }
            NextSpare::None | NextSpare::Preparing | NextSpare::Failed(_) => {}
        }
        let path = self.spare_path();
        match Spare::prepare(&self.files, &path, bytes) {
            Ok(spare) => Some(spare),
            Err(error) => {
                tracing::warn!(%error, "failed to make the next segment; trying again in a second");
                if !matches!(self.spare, NextSpare::Ready(_)) {
                    self.spare = NextSpare::Failed(now.mono);
                }
                None
            }
        }
    }

    fn spare_path(&mut self) -> PathBuf {
        self.spares_made += 1;
        self.dir.join(format!("spare-{}.tmp", self.spares_made))
    }

    pub(crate) fn request_spare(&mut self) {
        if !matches!(self.spare, NextSpare::None | NextSpare::Failed(_)) {
            return;
        }
        let path = self.spare_path();
        let task = Task::Spare(path, self.settings.segment_bytes);
        if self.helper.start(task).is_ok() {
            self.spare = NextSpare::Preparing;
        }
    }

    /// Takes what the helper has done, and asks again for what failed.
    pub(crate) fn take_results(&mut self, now: Now) {
        while let Some(done) = self.helper.poll() {
            self.take_result(done, now);
        }
        // The ids first: on a full disk a spare would take the space that was given up for them.
        if self.ids_retry_at <= now.mono {
            self.write_ids();
        }
        if let NextSpare::Failed(at) = self.spare
            && now.mono.saturating_sub(at) >= SPARE_RETRY
        {
            self.request_spare();
        }
    }

    fn take_result(&mut self, done: Done<F>, now: Now) {
        match done {
            Done::Spare(Ok(spare)) if self.kept_spare.is_none() => {
                self.kept_spare = Some(spare);
                self.spare = NextSpare::None;
                self.request_spare();
            }
            Done::Spare(Ok(spare)) => self.spare = NextSpare::Ready(spare),
            Done::Spare(Err(error)) => {
                tracing::warn!(%error, "failed to make the next segment; trying again in a second");
                self.spare = NextSpare::Failed(now.mono);
            }
            Done::Merged(parts, merged) => {
                self.merging = false;
                let taken = merged.and_then(|(file, ids)| self.take_id_file(file, &ids));
                if let Err(error) = taken {
                    tracing::warn!(%error, "failed to merge id files; they stay as they are until the next start");
                    self.unmergeable.extend(parts.iter().map(|part| part.last));
                }
                self.merge_ids();
            }
            Done::Ids(segment, ids, written) => {
                self.ids_in_flight -= ids.identities.len() as u64;
                let taken = written.and_then(|file| self.take_id_file(file, &ids));
                let Err(error) = taken else {
                    self.merge_ids();
                    return;
                };
                tracing::warn!(%error, segment, "failed to write the ids of a closed segment");
                self.unwritten_ids.push_back((segment, ids));
                self.ids_retry_at = now.mono + SPARE_RETRY;
                if is_out_of_space(&error) {
                    self.give_up_spare();
                }
            }
        }
    }

    /// From here on its ids are looked up in it. Files that it replaces are needless.
    fn take_id_file(&mut self, file: IdFile, ids: &SegmentIds) -> io::Result<()> {
        if file.last < self.state.oldest_ids {
            helper::remove(&self.files, &[file.path(&self.dir)]);
            return Ok(());
        }
        self.older.add(file, ids)?;
        for needless in ids::take(&mut self.id_files, file) {
            helper::remove(&self.files, &[needless.path(&self.dir)]);
        }
        Ok(())
    }

    /// Many small files would have to be looked into one by one.
    fn merge_ids(&mut self) {
        if self.merging {
            return;
        }
        let mut parts: Vec<IdFile> = Vec::new();
        let mut ids = 0;
        for file in self
            .id_files
            .range(..self.state.oldest_segment)
            .map(|(_, file)| *file)
        {
            let follows = parts.last().is_none_or(|last| last.last + 1 == file.first);
            let is_small =
                file.count() < self.settings.ids_per_file && !self.unmergeable.contains(&file.last);
            if !follows || !is_small {
                parts.clear();
                ids = 0;
            }
            if is_small {
                ids += file.count();
                parts.push(file);
            }
            if parts.len() > 1 && (ids >= self.settings.ids_per_file || parts.len() >= MAX_PARTS) {
                self.merging = self.helper.start(Task::Merge(parts)).is_ok();
                return;
            }
        }
    }

    /// A trim frees more than a spare takes, but it needs the ids on disk first.
    fn give_up_spare(&mut self) {
        let spare = match std::mem::replace(&mut self.spare, NextSpare::None) {
            NextSpare::Ready(spare) => Some(spare),
            other => {
                self.spare = other;
                self.kept_spare.take()
            }
        };
        if let Some(spare) = spare
            && let Err(error) = remove_if_there(&self.files, &spare.path)
        {
            tracing::warn!(%error, "failed to remove a spare segment");
        }
    }

    pub(crate) fn write_ids(&mut self) {
        while let Some((segment, ids)) = self.unwritten_ids.pop_front() {
            let count = ids.identities.len() as u64;
            match self.helper.start(Task::Ids(segment, ids)) {
                Ok(()) => self.ids_in_flight += count,
                Err(Task::Ids(segment, mut ids))
                    if self.unwritten_ids.len() >= MAX_UNWRITTEN_IDS =>
                {
                    // The helper is far behind; waiting for the disk here keeps memory bounded.
                    let written = ids::write(&self.files, &self.dir, (segment, segment), &mut ids);
                    match written.and_then(|file| self.take_id_file(file, &ids)) {
                        Ok(()) => {}
                        Err(error) => {
                            tracing::warn!(%error, segment, "failed to write ids of a segment");
                            self.unwritten_ids.push_front((segment, ids));
                            return;
                        }
                    }
                }
                Err(Task::Ids(segment, ids)) => {
                    self.unwritten_ids.push_front((segment, ids));
                    return;
                }
                Err(Task::Spare(..) | Task::Merge(_) | Task::Remove(_)) => return,
            }
        }
    }

    /// Notes in the frame which segments and id files are no longer needed. They are removed once the
    /// note is durable.
    pub(crate) fn note_trim(&mut self) {
        let current = self.segment.header().number;
        let needed = self
            .state
            .oldest_uncommitted()
            .unwrap_or(current)
            .min(current);
        let mut oldest_segment = self.state.oldest_segment;
        while oldest_segment < needed && self.id_files.contains_key(&oldest_segment) {
            oldest_segment += 1;
        }
        let oldest_ids = self.oldest_ids_within_bound(oldest_segment);
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

    /// A frame that is under way takes the note along; otherwise the current segment must have room.
    fn may_note(&self) -> bool {
        let taken = self.building.frame.len() + SLACK;
        !self.segment_failed && self.void_debt.is_none() && taken as u64 <= self.segment.room()
    }

    fn oldest_ids_within_bound(&self, oldest_segment: u64) -> u64 {
        // Most of the log's space is for rows.
        let max_ids = self.settings.max_ids;
        let max_bytes = self.settings.max_bytes / MAX_SHARE_OF_IDS;
        let mut kept_ids: u64 = self.id_files.values().map(IdFile::count).sum();
        let mut kept_bytes = self.bytes_of_ids();
        let mut oldest = self.state.oldest_ids;
        for (segment, file) in self.id_files.range(..oldest_segment) {
            // Without the oldest file the window would be too small.
            let spare_ids = kept_ids - file.count();
            if spare_ids < max_ids && kept_bytes <= max_bytes {
                break;
            }
            kept_ids = spare_ids;
            kept_bytes -= file.bytes;
            oldest = segment + 1;
        }
        oldest
    }

    /// Has files removed that a durable checkpoint has let go: answers don't wait for it, since a large file takes
    /// milliseconds. What stays behind after a crash is removed by recovery.
    pub(crate) fn remove_trimmed(&mut self) {
        let segments = self.segments.split_off(&self.state.oldest_segment);
        let segments = std::mem::replace(&mut self.segments, segments).into_keys();
        let id_files = self.id_files.split_off(&self.state.oldest_ids);
        self.older.forget_below(self.state.oldest_ids);
        let id_files = std::mem::replace(&mut self.id_files, id_files).into_values();
        let paths = segments.map(|number| segment_path(&self.dir, number));
        let paths: Vec<PathBuf> = paths
            .chain(id_files.map(|file| file.path(&self.dir)))
            .collect();
        if let Err(Task::Remove(paths)) = self.helper.start(Task::Remove(paths)) {
            // The helper is far behind.
            helper::remove(&self.files, &paths);
        }
        self.merge_ids();
    }

    /// Projects the durable part of the log anew, after a frame that failed.
    pub(crate) fn reload(&mut self) -> Result<(), WriteError> {
        let mut state = State::new(*self.state.batches.limits());
        let end = self.durable_end();
        let number = self.segment.header().number;
        let last = if self.segment.is_named() {
            number
        } else {
            number - 1
        };
        let first = self.segments.keys().next().copied().unwrap_or(last);
        let range = ReplayRange {
            first,
            last,
            end,
            now: self.clock.now().mono,
        };
        replay(&self.files, &self.dir, range, &mut state)?;
        self.state = state;
        Ok(())
    }
}
