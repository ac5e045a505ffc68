//! Recovery: makes a writer that goes on where a journal ended.
//!
//! The journal is read in order, one frame at a time. If its last frame is not known to be durable,
//! the ledger puts a copy of it behind a checkpoint into the frame with which the journal goes on,
//! before anything is acknowledged.

use std::io;
use std::path::Path;

use super::dedup::archive::{Archive, ArchiveLimits};
use super::dedup::place::SecondPlace;
use super::dedup::recent::RecentIds;
use super::dedup::tiers::Dedup;
use super::helper::Background;
pub use super::journal::errors::OpenError;
use super::journal::exchange;
use super::journal::local::{FoundFiles, LocalJournal, LocalSettings};
use super::journal::node::{Node, read_or_create};
use super::journal::replica::engine::{Engine, KeepTrying};
use super::journal::replica::found::FoundReplica;
use super::journal::replica::identity;
use super::journal::replica::owner::ReplicaSettings;
use super::journal::seam::{Found, Frame, Frames, Heading, Journal, TornTail};
use super::ledger::copy::Move;
use super::ledger::entry::Entry;
use super::ledger::frame::FrameBuilder;
use super::ledger::projection::{Projection, contradiction, ends_with_close};
use super::ledger::request::Settings;
use super::ledger::rolling::put_cursors;
use super::ledger::state::State;
use super::ledger::writer::Writer;
use lakehook_base::clock::Clock;
use lakehook_base::files::{Files, create_dir_durably};
use lakehook_base::ids::Ids;

/// Id files take at most the log's space divided by this number, because most of it is for rows.
/// After a restart the dedup window is what these files hold.
const SHARE_OF_IDS: u64 = 4;

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

/// Writer of a log in files of one directory.
pub type LocalWriter<F> = Writer<LocalJournal<F>, F>;

/// Opens the log of a directory that the caller has locked, creating it if it is new.
pub fn open<F: Files>(
    files: F,
    dir: &Path,
    settings: Settings,
    clock: Clock,
    ids: Ids,
    background: Background,
) -> Result<(LocalWriter<F>, Recovered), OpenError> {
    let (found, node) = find(&files, dir, &settings, &ids, background)?;
    open_journal(found, files, dir, node, settings, (clock, ids), background)
}

/// Begins a log in a directory that already has the id files of another log; its segments are
/// numbered after theirs.
pub(crate) fn begin_behind_ids<F: Files>(
    files: F,
    dir: &Path,
    settings: Settings,
    (clock, ids): (Clock, Ids),
) -> Result<LocalWriter<F>, OpenError> {
    let (found, node) = find(&files, dir, &settings, &ids, Background::Inline)?;
    let archive = archive((files, dir), &settings, None, Background::Inline)?;
    let mut opening = Opening::new(archive, settings, node, (clock, ids));
    let after = opening.archive_numbers();
    let writer = opening.go_on(found, after, None)?;
    Ok(writer.0)
}

/// Opens any journal. Its id files are in `dir`, which exists and is locked by the caller.
pub fn open_journal<J: Found, F: Files>(
    mut found: J,
    files: F,
    dir: &Path,
    node: Node,
    settings: Settings,
    (clock, ids): (Clock, Ids),
    background: Background,
) -> Result<(Writer<J::Journal, F>, Recovered), OpenError> {
    let archive = archive((files, dir), &settings, found.copies(), background)?;
    let mut opening = Opening::new(archive, settings, node, (clock, ids));
    let Some(newest) = found.newest() else {
        let after = opening.archive_numbers();
        if after > 0 {
            // There are id files but no segment: the segments have been lost.
            return Err(OpenError::Missing {
                path: found.frames().name_of_segment(after + 1).into(),
            });
        }
        return opening.go_on(found, after, None);
    };
    let last = opening.read(&mut found, newest)?;
    opening.go_on(found, newest, last.as_ref())
}

/// Finds the journal in files of a directory, creating the directory if it is new.
pub fn find<F: Files>(
    files: &F,
    dir: &Path,
    settings: &Settings,
    ids: &Ids,
    background: Background,
) -> Result<(FoundFiles<F>, Node), OpenError> {
    let io = |error| io_error(dir, error);
    create_dir_durably(files, dir, true).map_err(io)?;
    if exchange::is_unfinished(files, dir) {
        return Err(OpenError::Unfinished {
            dir: dir.to_owned(),
        });
    }
    let node = read_or_create(files, dir, ids).map_err(io)?;
    let local = LocalSettings {
        segment_bytes: settings.segment_bytes,
        first_segment_bytes: settings.first_segment_bytes,
        max_bytes: settings.max_bytes,
        node: node.id,
        ids: ids.clone(),
        background,
    };
    let found = FoundFiles::open(files.clone(), dir, local).map_err(io)?;
    Ok((found, node))
}

/// How a start in an engine goes about it.
pub struct ReplicaStart {
    /// How long requests are repeated that have no answer.
    pub keep_trying: KeepTrying,
    /// Where helpers run.
    pub background: Background,
    /// Who this is, for the messages of others.
    pub owner: String,
}

/// Finds the journal in an engine, with the id files that a directory lacks, and founds it if the
/// engine is new. The caller has locked the directory.
pub fn find_replica<E: Engine, F: Files>(
    engine: E,
    (files, dir): (&F, &Path),
    settings: &Settings,
    ids: &Ids,
    start: ReplicaStart,
) -> Result<(FoundReplica<E, F>, Node), OpenError> {
    create_dir_durably(files, dir, true).map_err(|error| io_error(dir, error))?;
    let ReplicaStart {
        keep_trying,
        background,
        owner,
    } = start;
    let node = identity::read_or_found(&engine, (files, dir), ids, &keep_trying)?;
    let replica = ReplicaSettings {
        segment_bytes: settings.segment_bytes,
        max_bytes: settings.max_bytes,
        log: node.id,
        ids: ids.clone(),
        background,
        keep_trying,
        owner,
    };
    let found = FoundReplica::open(engine, files.clone(), dir, replica)?;
    Ok((found, node))
}

fn archive<F: Files>(
    (files, dir): (F, &Path),
    settings: &Settings,
    copies: SecondPlace,
    background: Background,
) -> Result<Archive<F>, OpenError> {
    let limits = ArchiveLimits {
        max_ids: settings.max_ids,
        max_bytes: settings.max_bytes / SHARE_OF_IDS,
        filter_bytes: settings.filter_bytes,
        ids_per_file: settings.ids_per_file,
    };
    Archive::open(files, dir, limits, copies, background).map_err(|error| io_error(dir, error))
}

fn io_error(dir: &Path, error: io::Error) -> OpenError {
    OpenError::Io {
        dir: dir.to_owned(),
        error,
    }
}

struct Opening<F: Files> {
    settings: Settings,
    clock: Clock,
    ids: Ids,
    node: Node,
    dedup: Dedup<F>,
    projection: Projection,
    recovered: Recovered,
}

impl<F: Files> Opening<F> {
    fn new(
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
        }
    }

    /// Prepares a log without segments: it begins after the segments that id files cover. Returns
    /// the last of them, or 0.
    fn archive_numbers(&mut self) -> u64 {
        let id_files = self.dedup.archive().id_files();
        let last = id_files.keys().next_back().copied().unwrap_or(0);
        let first = id_files.values().next().map_or(1, |file| file.first);
        let state = &mut self.projection.state;
        state.oldest_segment = last + 1;
        state.oldest_ids = first;
        last
    }

    /// Reads all segments that are needed. Returns the last frame.
    fn read<J: Found>(&mut self, found: &mut J, newest: u64) -> Result<Option<Frame>, OpenError> {
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
        let mut ids_of = first;
        found.read(first, &mut |frame| {
            self.recovered.frames += 1;
            let Some(before) = held.replace(frame) else {
                return Ok(());
            };
            self.end_ids(&frames, &mut ids_of, before.at.segment())?;
            self.project(&frames, &before)
        })?;
        let Some(last) = held else {
            return Ok(None);
        };
        let newest = last.at.segment();
        self.recovered.segments = newest + 1 - first;
        if found.last_is_durable() {
            self.end_ids(&frames, &mut ids_of, newest)?;
            self.project(&frames, &last)?;
        }
        // The newest segment's ids are complete too, because the journal goes on in another one.
        self.end_ids(&frames, &mut ids_of, newest + 1)?;
        if !self.projection.is_loaded() {
            // The whole log is one frame, which begins with a checkpoint.
            let loaded = self.projection.load(&last);
            loaded.map_err(|error| contradiction(&frames, &last, &error))?;
        }
        self.recovered.clean = ends_with_close(&last);
        Ok(Some(last))
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
    fn end_ids<R: Frames>(
        &mut self,
        frames: &R,
        ids_of: &mut u64,
        now_in: u64,
    ) -> Result<(), OpenError> {
        while *ids_of < now_in {
            let ended = self.dedup.archive_mut().end_segment_that_was_read(*ids_of);
            ended.map_err(|error| io_error(Path::new(&frames.name()), error))?;
            *ids_of += 1;
        }
        Ok(())
    }

    /// Goes on with a segment that begins with a checkpoint and, if the last frame may not be
    /// durable, with its copy.
    fn go_on<J: Found>(
        mut self,
        found: J,
        after: u64,
        last: Option<&Frame>,
    ) -> Result<(Writer<J::Journal, F>, Recovered), OpenError> {
        let now = self.clock.now();
        let copied = last.filter(|_| !found.last_is_durable());
        let state = &self.projection.state;
        let first_lsn = copied.map_or(state.next_lsn, |last| last.header.first_lsn);
        let mut frame = FrameBuilder::new(first_lsn);
        frame.put(&Entry::Checkpoint(state.checkpoint()));
        put_cursors(state, &mut frame);
        if let Some(last) = copied {
            self.copy_last(&found, after, last, &mut frame)?;
        }
        if let Some(last) = last {
            // The check comes before the journal goes on, so that a log that cannot be used stays
            // as it is.
            let read = self.projection.state.check_read();
            read.map_err(|error| contradiction(&found.frames(), last, &error))?;
        }
        let heading = Heading {
            first_lsn,
            rows: frame.rows,
            written_at: now.wall,
        };
        let name = found.frames().name();
        let mut journal = found.go_on(after, heading, frame.bytes_mut(), now)?;
        let copied = self.dedup.archive_mut().copy_newest();
        copied.map_err(|error| io_error(Path::new(&name), error))?;
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
