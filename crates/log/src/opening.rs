//! A log that is being opened: its frames are projected in order, and then it goes on.
//!
//! If the last frame is not known to be durable, a copy of it is put behind a checkpoint into the
//! frame with which the journal goes on, before anything is acknowledged.

use std::io;
use std::path::Path;

use super::dedup::archive::Archive;
use super::dedup::recent::RecentIds;
use super::dedup::tiers::Dedup;
use super::journal::errors::OpenError;
use super::journal::node::Node;
use super::journal::seam::{Found, Frame, Frames, Heading, Journal, TornTail};
use super::ledger::copy::Move;
use super::ledger::entry::Entry;
use super::ledger::frame::FrameBuilder;
use super::ledger::projection::{Projection, contradiction, ends_with_close};
use super::ledger::request::Settings;
use super::ledger::rolling::put_cursors;
use super::ledger::state::State;
use super::ledger::writer::Writer;
use lakehook_base::clock::{Clock, Now};
use lakehook_base::files::Files;
use lakehook_base::ids::Ids;

/// What recovery found in a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Number of segments that were read.
    pub segments: u64,
    /// Number of frames that count.
    pub frames: u64,
    /// Number of rows without a commit.
    pub uncommitted_rows: u64,
    /// Bytes after the last frame, left by a write that was not completed.
    pub torn: Option<TornTail>,
    /// Whether the log ended with a note that nothing was in flight.
    pub clean: bool,
    /// Error messages of id files that could not be read: events whose ids they held may be stored
    /// again.
    pub lost_ids: Vec<String>,
}

/// The error of a directory, or of an engine by its name.
pub(crate) fn io_error(dir: &Path, error: io::Error) -> OpenError {
    OpenError::Io {
        dir: dir.to_owned(),
        error,
    }
}

/// A start gives up after so many frames that an owner appended while it wanted to take the log over.
const MAX_CLAIMS: u32 = 100;

/// A log that is being opened.
pub(crate) struct Opening<F: Files> {
    settings: Settings,
    clock: Clock,
    ids: Ids,
    node: Node,
    dedup: Dedup<F>,
    projection: Projection,
    recovered: Recovered,
    /// The segment whose ids are being collected.
    ids_of: u64,
}

impl<F: Files> Opening<F> {
    pub(crate) fn new(
        archive: Archive<F>,
        settings: Settings,
        node: Node,
        (clock, ids): (Clock, Ids),
    ) -> Self {
        let recent = RecentIds::new(settings.dedup_window);
        let state = State::new(settings.limits, settings.calendar.clone());
        Self {
            dedup: Dedup::new(recent, archive),
            projection: Projection::new(state),
            recovered: Recovered::default(),
            settings,
            clock,
            ids,
            node,
            ids_of: 0,
        }
    }

    /// A log that goes on elsewhere, with that state.
    pub(crate) fn with_state(
        archive: Archive<F>,
        settings: Settings,
        node: Node,
        effects: (Clock, Ids),
        state: State,
    ) -> Self {
        let mut opening = Self::new(archive, settings, node, effects);
        opening.projection = Projection::new(state);
        opening
    }

    /// Prepares a log without segments: it begins after the segments that id files cover. Returns
    /// the last of them, or 0.
    pub(crate) fn archive_numbers(&mut self) -> u64 {
        let id_files = self.dedup.archive().id_files();
        let last = id_files.keys().next_back().copied().unwrap_or(0);
        let first = id_files.values().next().map_or(1, |file| file.first);
        let state = &mut self.projection.state;
        state.oldest_segment = last + 1;
        state.oldest_ids = first;
        last
    }

    /// Reads all segments that are needed. Returns the last frame.
    pub(crate) fn read<J: Found>(
        &mut self,
        found: &mut J,
        newest: u64,
    ) -> Result<Option<Frame>, OpenError> {
        let (oldest, oldest_ids) = needed_from(found, newest)?;
        self.recovered.torn = found.torn_tail();
        let last = self.read_all(found, oldest)?;
        self.recovered.lost_ids = self.dedup.archive_mut().load(oldest_ids);
        // A last frame that is not known to be durable is not projected yet: the files that it
        // releases stay until its copy is durable.
        self.remove_below(found)?;
        if found.copies().is_some() {
            self.check_ids(found, (oldest_ids, oldest))?;
        }
        let state = &mut self.projection.state;
        state.oldest_segment = state.oldest_segment.max(oldest);
        state.oldest_ids = state.oldest_ids.max(oldest_ids);
        Ok(last)
    }

    /// Refuses a log whose directory has vanished, and with it ids that are nowhere else.
    fn check_ids<J: Found>(
        &self,
        found: &J,
        (oldest_ids, oldest): (u64, u64),
    ) -> Result<(), OpenError> {
        let state = &self.projection.state;
        let oldest_ids = oldest_ids.max(state.oldest_ids);
        let oldest = oldest.max(state.oldest_segment);
        match self.dedup.archive().first_gap(oldest_ids, oldest) {
            None => Ok(()),
            Some(segment) => Err(OpenError::Unreadable {
                journal: found.frames().name(),
                detail: format!(
                    "the ids of segment {segment} are gone; without them, events that are sent again \
                     would be stored again"
                ),
            }),
        }
    }

    fn remove_below<J: Found>(&mut self, found: &mut J) -> Result<(), OpenError> {
        let state = &self.projection.state;
        found.trim(state.oldest_segment)?;
        let removed = self.dedup.archive_mut().remove_below(state.oldest_ids);
        removed.map_err(|error| io_error(Path::new(&found.frames().name()), error))
    }

    /// Projects every frame but the last, which is returned, and writes the ids of closed segments that
    /// have no file.
    fn read_all<J: Found>(
        &mut self,
        found: &mut J,
        first: u64,
    ) -> Result<Option<Frame>, OpenError> {
        let frames = found.frames();
        let mut held: Option<Frame> = None;
        self.ids_of = first;
        found.read(first, &mut |frame| {
            self.recovered.frames += 1;
            let Some(before) = held.replace(frame) else {
                return Ok(());
            };
            self.end_ids(&frames, before.at.segment())?;
            self.project(&frames, &before)
        })?;
        let Some(last) = held else {
            return Ok(None);
        };
        let newest = last.at.segment();
        self.recovered.segments = newest + 1 - first;
        if found.last_is_durable() {
            self.end_ids(&frames, newest)?;
            self.project(&frames, &last)?;
        }
        if !found.may_grow() {
            // The newest segment's ids are complete too, because the journal goes on in another one.
            self.end_ids(&frames, newest + 1)?;
        }
        if !self.projection.is_loaded() {
            // The whole log is one frame, which begins with a checkpoint.
            let loaded = self.projection.load(&last);
            loaded.map_err(|error| contradiction(&frames, &last, &error))?;
        }
        self.recovered.clean = ends_with_close(&last);
        Ok(Some(last))
    }

    /// Projects what another process has appended since; returns the last frame.
    fn read_on<J: Found>(
        &mut self,
        found: &mut J,
        mut last: Option<Frame>,
    ) -> Result<Option<Frame>, OpenError> {
        let frames = found.frames();
        found.read_on(&mut |frame| {
            self.recovered.frames += 1;
            self.end_ids(&frames, frame.at.segment())?;
            self.project(&frames, &frame)?;
            last = Some(frame);
            Ok(())
        })?;
        self.recovered.clean = last.as_ref().is_some_and(ends_with_close);
        Ok(last)
    }

    fn project<R: Frames>(&mut self, frames: &R, frame: &Frame) -> Result<(), OpenError> {
        let dedup = &mut self.dedup;
        let applied = self
            .projection
            .apply(frame, &mut |identity| dedup.see(identity));
        applied.map_err(|error| contradiction(frames, frame, &error))?;
        let newest = self.projection.state.newest_received;
        self.dedup.archive_mut().see_newest(newest);
        Ok(())
    }

    /// Completes the ids of the segments before `now_in`, the segment whose frames come now.
    fn end_ids<R: Frames>(&mut self, frames: &R, now_in: u64) -> Result<(), OpenError> {
        while self.ids_of < now_in {
            let archive = self.dedup.archive_mut();
            let ended = archive.end_segment_that_was_read(self.ids_of);
            ended.map_err(|error| io_error(Path::new(&frames.name()), error))?;
            self.ids_of += 1;
        }
        Ok(())
    }

    /// Goes on with a segment that begins with a checkpoint and, if the last frame may not be
    /// durable, with its copy. Where others could append, what they have appended is read first.
    pub(crate) fn go_on<J: Found>(
        mut self,
        mut found: J,
        mut after: u64,
        mut last: Option<Frame>,
    ) -> Result<(Writer<J::Journal, F>, Recovered), OpenError> {
        for _ in 0..MAX_CLAIMS {
            let now = self.clock.now();
            let mut frame = self.first_frame(&found, after, last.as_ref())?;
            let heading = Heading {
                first_lsn: frame.first_lsn,
                rows: frame.rows,
                written_at: now.wall,
            };
            if found.claim(after, heading, frame.bytes_mut())? {
                return self.begin(found, after, (heading, frame), now);
            }
            last = self.read_on(&mut found, last)?;
            after = last.as_ref().map_or(after, |last| last.at.segment());
        }
        Err(OpenError::Contended {
            journal: found.frames().name(),
            detail: "its owner appends faster than it can be read".to_owned(),
        })
    }

    /// The frame with which the journal goes on.
    fn first_frame<J: Found>(
        &mut self,
        found: &J,
        after: u64,
        last: Option<&Frame>,
    ) -> Result<FrameBuilder, OpenError> {
        let copied = last.filter(|_| !found.last_is_durable());
        let state = &self.projection.state;
        let first_lsn = copied.map_or(state.next_lsn, |last| last.header.first_lsn);
        let mut frame = FrameBuilder::new(first_lsn);
        frame.put(&Entry::Checkpoint(state.checkpoint()));
        put_cursors(state, &mut frame);
        if let Some(last) = copied {
            self.copy_last(found, after, last, &mut frame)?;
        }
        if let Some(last) = last {
            // The check comes before the journal goes on, so that a log that cannot be used stays
            // as it is.
            let read = self.projection.state.check_read();
            read.map_err(|error| contradiction(&found.frames(), last, &error))?;
        }
        Ok(frame)
    }

    /// Makes the writer of a journal that goes on.
    fn begin<J: Found>(
        mut self,
        found: J,
        after: u64,
        (heading, mut frame): (Heading, FrameBuilder),
        now: Now,
    ) -> Result<(Writer<J::Journal, F>, Recovered), OpenError> {
        let (frames, may_grow) = (found.frames(), found.may_grow());
        let mut journal = found.go_on(after, heading, frame.bytes_mut(), now)?;
        if may_grow && self.ids_of > 0 {
            // Only now nobody else can append to the newest segment.
            self.end_ids(&frames, after + 1)?;
        }
        let mut state = self.projection.state;
        state.count_ages(now);
        let (oldest_segment, oldest_ids) = (state.oldest_segment, state.oldest_ids);
        debug_assert!(state.totals.add_up(), "{:?}", state.totals);
        journal.trim(oldest_segment);
        self.dedup.archive_mut().trim(oldest_segment, oldest_ids);
        journal.tend(now);
        self.recovered.uncommitted_rows = state.uncommitted_rows();
        let effects = (self.clock, self.ids);
        let writer = Writer::new(
            journal,
            self.dedup,
            state,
            self.settings,
            self.node.id,
            effects,
        );
        Ok((writer, self.recovered))
    }

    /// Puts the copy of the last frame behind the checkpoint, and projects it as it will be read.
    fn copy_last<J: Found>(
        &mut self,
        found: &J,
        after: u64,
        last: &Frame,
        frame: &mut FrameBuilder,
    ) -> Result<(), OpenError> {
        let frames = found.frames();
        let moved = Move {
            from: last.at,
            to: found.next(after),
        };
        let copied = moved.copy(last.body(), frame);
        copied.map_err(|error| contradiction(&frames, last, &error))?;
        let copy = Frame {
            header: last.header,
            at: moved.to,
            bytes: frame.bytes_mut().to_vec(),
        };
        self.project(&frames, &copy)
    }
}

/// The oldest segment and id file in force, as the newest segment says.
fn needed_from<J: Found>(found: &mut J, newest: u64) -> Result<(u64, u64), OpenError> {
    let frames = found.frames();
    let mut needed = (1, 1);
    found.read(newest, &mut |frame| {
        for entry in Entry::all(frame.body()) {
            let entry = entry.map_err(|error| contradiction(&frames, &frame, &error))?;
            if let Entry::Checkpoint(checkpoint) = entry {
                needed.0 = needed.0.max(checkpoint.oldest_segment);
                needed.1 = needed.1.max(checkpoint.oldest_ids);
            }
        }
        Ok(())
    })?;
    Ok(needed)
}
