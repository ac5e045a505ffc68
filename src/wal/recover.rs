//! Recovery: from the files of a log to a writer that goes on where it ended.
//!
//! The log is read in order, one frame at a time. The last frame that counts may not be durable, since
//! nobody knows whether its sync was answered; and syncing it again proves nothing. So it is copied
//! into a fresh segment, whose header ends the old one before it, and that segment is synced, before
//! anything is acknowledged. All earlier frames are durable: a frame is written only after the sync of
//! the one before.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::clock::Clock;
use crate::files::{Files, create_dir_durably, remove_if_there};
use crate::ids::Ids;
use crate::wal::dedup::archived::Older;
use crate::wal::dedup::id_files::{self as ids, IdFile, SegmentIds};
use crate::wal::dedup::recent::RecentIds;
use crate::wal::helper::Helper;
pub use crate::wal::journal::errors::OpenError;
use crate::wal::journal::inventory::Inventory;
use crate::wal::journal::layout::{
    BLOCK, FIRST_FRAME, FrameHeader, SegmentEnd, SegmentHeader, next_block, segment_path,
};
use crate::wal::journal::node::{Node, read_or_create};
use crate::wal::journal::read::{Frame, SegmentReader, TornTail};
use crate::wal::journal::segment::{Segment, Spare};
use crate::wal::journal::torn;
use crate::wal::ledger::copy::Move;
use crate::wal::ledger::entry::Entry;
use crate::wal::ledger::frame::FrameBuilder;
use crate::wal::ledger::projection::{apply, contradiction, ends_with_close, open_segment};
use crate::wal::ledger::request::Settings;
use crate::wal::ledger::space::put_cursors;
use crate::wal::ledger::state::{SealAt, State};
use crate::wal::ledger::writer::{Building, NextSpare, SLACK, Writer};
use crate::wal::rescue;

/// What recovery found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Segments read.
    pub segments: u64,
    /// Frames that count.
    pub frames: u64,
    /// Rows without commit.
    pub uncommitted_rows: u64,
    /// Bytes behind the last frame that never counted.
    pub torn: Option<TornTail>,
    /// The log ended with a note that nothing was in flight.
    pub clean: bool,
    /// Id files that could not be read: duplicates of their time may get through.
    pub lost_ids: Vec<String>,
}

/// Opens the log of a directory that the caller has locked, creating it if it is new.
pub fn open<F: Files>(
    files: F,
    dir: &Path,
    settings: Settings,
    clock: Clock,
    ids: Ids,
    helper: impl FnOnce(F, &Path) -> io::Result<Helper<F>>,
) -> Result<(Writer<F>, Recovered), OpenError> {
    open_or_found(files, dir, settings, (clock, ids), helper, false)
}

/// Begins a log behind the id files of another one, which lie in its directory already.
pub(crate) fn found<F: Files>(
    files: F,
    dir: &Path,
    settings: Settings,
    (clock, ids): (Clock, Ids),
) -> Result<Writer<F>, OpenError> {
    let inline = |files, dir: &Path| Ok(Helper::inline(files, dir));
    let (writer, _) = open_or_found(files, dir, settings, (clock, ids), inline, true)?;
    Ok(writer)
}

fn open_or_found<F: Files>(
    files: F,
    dir: &Path,
    settings: Settings,
    (clock, ids): (Clock, Ids),
    helper: impl FnOnce(F, &Path) -> io::Result<Helper<F>>,
    behind_ids: bool,
) -> Result<(Writer<F>, Recovered), OpenError> {
    let io = |error| OpenError::Io {
        dir: dir.to_owned(),
        error,
    };
    create_dir_durably(&files, dir, true).map_err(io)?;
    if rescue::is_unfinished(&files, dir) {
        return Err(OpenError::Unfinished {
            dir: dir.to_owned(),
        });
    }
    let node = read_or_create(&files, dir, &ids).map_err(io)?;
    let inventory = Inventory::take(&files, dir).map_err(io)?;
    let mut opening = Opening {
        dedup: RecentIds::new(settings.dedup_window),
        older: Older::new(files.clone(), dir, settings.max_ids, settings.filter_bytes),
        state: State::new(settings.limits),
        recovered: Recovered::default(),
        files,
        dir: dir.to_owned(),
        settings,
        clock,
        ids,
        node,
        inventory,
        active_ids: SegmentIds::default(),
    };
    let tail = opening.read(behind_ids)?;
    let segment = opening.start_segment(&tail)?;
    opening.remove_below(opening.state.oldest_segment, opening.state.oldest_ids)?;
    opening.recovered.uncommitted_rows = opening.state.uncommitted_rows();
    let helper = helper(opening.files.clone(), dir).map_err(io)?;
    let (mut writer, recovered) = opening.into_writer(segment, helper);
    writer.request_spare();
    Ok((writer, recovered))
}

/// Where the log ended, and its last frame, which is to be copied.
struct Tail {
    number: u64,
    /// Before the last frame.
    end: SegmentEnd,
    last: Option<Frame>,
}

struct Opening<F: Files> {
    files: F,
    dir: PathBuf,
    settings: Settings,
    clock: Clock,
    ids: Ids,
    node: Node,
    inventory: Inventory,
    state: State,
    dedup: RecentIds,
    older: Older<F>,
    recovered: Recovered,
    active_ids: SegmentIds,
}

impl<F: Files> Opening<F> {
    fn io(&self, error: io::Error) -> OpenError {
        OpenError::Io {
            dir: self.dir.clone(),
            error,
        }
    }

    /// Reads all segments that are needed, but for the last frame.
    fn read(&mut self, behind_ids: bool) -> Result<Tail, OpenError> {
        let Some(newest) = self.inventory.segments.keys().next_back().copied() else {
            return self.begin(behind_ids);
        };
        let (oldest, oldest_ids) = self.needed_from(newest)?;
        if let Some(missing) = (oldest..=newest).find(|n| !self.inventory.segments.contains_key(n))
        {
            return Err(OpenError::Missing {
                path: segment_path(&self.dir, missing),
            });
        }
        let tail = self.replay_all(oldest, newest)?;
        self.load_ids(oldest_ids);
        // What the last frame lets go may be gone only once its copy is durable.
        self.remove_below(self.state.oldest_segment, self.state.oldest_ids)?;
        self.state.oldest_segment = self.state.oldest_segment.max(oldest);
        self.state.oldest_ids = self.state.oldest_ids.max(oldest_ids);
        Ok(tail)
    }

    /// A log without segments. One that has id files has lost them, unless it is made from another one, and
    /// goes on behind the ids of that.
    fn begin(&mut self, behind_ids: bool) -> Result<Tail, OpenError> {
        let oldest_ids = self.inventory.id_files.values().next();
        let number = self.inventory.id_files.keys().next_back();
        let number = number.copied().unwrap_or(0);
        if number > 0 && !behind_ids {
            return Err(OpenError::Missing {
                path: segment_path(&self.dir, number + 1),
            });
        }
        self.state.oldest_segment = number + 1;
        self.state.oldest_ids = oldest_ids.map_or(1, |file| file.first);
        Ok(Tail {
            number,
            end: SegmentEnd::default(),
            last: None,
        })
    }

    /// The oldest segment and id file in force, as the newest segment says.
    fn needed_from(&mut self, newest: u64) -> Result<(u64, u64), OpenError> {
        let path = segment_path(&self.dir, newest);
        let mut reader = SegmentReader::open(&self.files, &path, None)?;
        reader.forget_cache();
        let mut needed = (1, 1);
        while let Some(frame) = reader.next_frame()? {
            for entry in Entry::all(frame.body()) {
                let entry = entry.map_err(|error| contradiction(&path, &frame, &error))?;
                if let Entry::Checkpoint(checkpoint) = entry {
                    needed.0 = needed.0.max(checkpoint.oldest_segment);
                    needed.1 = needed.1.max(checkpoint.oldest_ids);
                }
            }
        }
        if let Some(torn) = reader.torn_tail()? {
            torn::keep_aside(&self.files, &self.dir, newest, &reader, &torn);
            self.recovered.torn = Some(torn);
        }
        Ok(needed)
    }

    fn remove_below(&mut self, segment: u64, ids: u64) -> Result<(), OpenError> {
        let segments = self.inventory.segments.split_off(&segment);
        for number in std::mem::replace(&mut self.inventory.segments, segments).into_keys() {
            let path = segment_path(&self.dir, number);
            remove_if_there(&self.files, &path).map_err(|error| self.io(error))?;
        }
        let id_files = self.inventory.id_files.split_off(&ids);
        for file in std::mem::replace(&mut self.inventory.id_files, id_files).into_values() {
            let path = file.path(&self.dir);
            remove_if_there(&self.files, &path).map_err(|error| self.io(error))?;
        }
        Ok(())
    }

    /// Takes up the ids of closed segments, the oldest first.
    fn load_ids(&mut self, oldest_ids: u64) {
        let files: Vec<IdFile> = {
            let in_force = self.inventory.id_files.range(oldest_ids..);
            in_force.map(|(_, file)| *file).collect()
        };
        for file in files {
            let read = ids::read(&self.files, &self.dir, &file);
            let taken = read.and_then(|ids| self.older.add(file, &ids));
            if let Err(error) = taken {
                self.recovered.lost_ids.push(error.to_string());
            }
        }
        if oldest_ids > 1 {
            self.older.begin_behind_forgotten();
        }
    }

    /// Projects every frame but the last, and writes the ids of closed segments that have no file.
    fn replay_all(&mut self, first: u64, last: u64) -> Result<Tail, OpenError> {
        let now = self.clock.now().mono;
        let mut loaded = false;
        let mut held: Option<(u64, SegmentEnd, Frame)> = None;
        let mut ids_of = first;
        for number in first..=last {
            let next_lsn = held
                .as_ref()
                .map_or(self.state.next_lsn, |(.., frame)| frame.next_lsn());
            let reader = open_segment(&self.files, &self.dir, number, last, None)?;
            let mut reader = reader.expecting(next_lsn);
            reader.forget_cache();
            self.recovered.segments += 1;
            loop {
                let before = reader.end();
                let Some(frame) = reader.next_frame()? else {
                    break;
                };
                self.recovered.frames += 1;
                let next = (number, before, frame);
                if let Some((segment, _, frame)) = held.replace(next) {
                    self.finish_ids(&mut ids_of, segment)?;
                    self.project(segment, &frame, &mut loaded, now)?;
                }
            }
        }
        // A segment gets its name only when its first frame is durable.
        let Some((_, end, frame)) = held.filter(|(number, ..)| *number == last) else {
            let path = segment_path(&self.dir, last);
            let detail = "the newest segment has no frame".to_owned();
            return Err(OpenError::Contradiction {
                path,
                offset: FIRST_FRAME,
                detail,
            });
        };
        // What was seen of the newest segment's ids is complete too: the last frame moves on.
        self.finish_ids(&mut ids_of, last + 1)?;
        if !loaded {
            self.load_from_last(last, &frame)?;
        }
        self.recovered.clean = ends_with_close(&frame);
        Ok(Tail {
            number: last,
            end,
            last: Some(frame),
        })
    }

    /// The whole log is one frame, which begins with a checkpoint.
    fn load_from_last(&mut self, segment: u64, frame: &Frame) -> Result<(), OpenError> {
        match Entry::all(frame.body()).next() {
            Some(Ok(Entry::Checkpoint(checkpoint))) => {
                self.state.load(&checkpoint, segment);
                Ok(())
            }
            _ => {
                let path = segment_path(&self.dir, segment);
                Err(contradiction(
                    &path,
                    frame,
                    &"it should begin with a checkpoint",
                ))
            }
        }
    }

    fn project(
        &mut self,
        segment: u64,
        frame: &Frame,
        loaded: &mut bool,
        now: Duration,
    ) -> Result<(), OpenError> {
        let (dedup, active_ids) = (&mut self.dedup, &mut self.active_ids);
        let mut see = |identity| {
            dedup.insert(identity);
            active_ids.identities.push(identity);
        };
        apply(&mut self.state, segment, frame, loaded, now, &mut see)
            .map_err(|error| contradiction(&segment_path(&self.dir, segment), frame, &error))?;
        self.active_ids.newest_received = self.state.newest_received;
        Ok(())
    }

    /// Once frames of a later segment come, the ids of the segments before are complete.
    fn finish_ids(&mut self, ids_of: &mut u64, now_in: u64) -> Result<(), OpenError> {
        while *ids_of < now_in {
            let mut ids = std::mem::take(&mut self.active_ids);
            if !self.inventory.id_files.contains_key(ids_of) {
                let range = (*ids_of, *ids_of);
                let file = ids::write(&self.files, &self.dir, range, &mut ids)
                    .map_err(|error| self.io(error))?;
                self.inventory.id_files.insert(*ids_of, file);
            }
            *ids_of += 1;
        }
        Ok(())
    }

    /// Makes the segment that goes on, with a checkpoint and the copy of the last frame, durable.
    fn start_segment(&mut self, tail: &Tail) -> Result<Segment<F>, OpenError> {
        let now = self.clock.now();
        let number = tail.number + 1;
        let last_lsn = tail.last.as_ref().map(|last| last.header.first_lsn);
        let mut frame = FrameBuilder::new(last_lsn.unwrap_or(self.state.next_lsn));
        frame.put(&Entry::Checkpoint(self.state.checkpoint()));
        put_cursors(&self.state, &mut frame);
        if let Some(last) = &tail.last {
            self.copy_last(tail, last, &mut frame, now.mono)?;
        }
        let bytes = next_block(FIRST_FRAME + frame.len() as u64 + SLACK as u64)
            .max(self.settings.first_segment_bytes);
        let spare = Spare::prepare(&self.files, &self.dir.join("spare-0.tmp"), bytes)
            .map_err(|error| self.io(error))?;
        let header = SegmentHeader {
            number,
            id: self.ids.next().map_err(|error| self.io(error))?,
            bytes: spare.bytes,
            node: self.node.id,
            previous: tail.end,
            created_at: now.wall,
        };
        self.inventory.segments.insert(number, spare.bytes);
        let mut segment = Segment::new(spare, &self.dir, header);
        let frame_header = FrameHeader {
            crc: 0,
            segment_id: header.id,
            number: 0,
            body_bytes: 0,
            previous_crc: 0,
            first_lsn: frame.first_lsn,
            rows: frame.rows,
            written_at: now.wall,
        };
        segment
            .append(&self.files, frame_header, frame.bytes_mut())
            .map_err(|error| self.io(error))?;
        Ok(segment)
    }

    /// Puts the copy of the last frame behind the checkpoint, and projects it as it will be read.
    fn copy_last(
        &mut self,
        tail: &Tail,
        last: &Frame,
        frame: &mut FrameBuilder,
        now: Duration,
    ) -> Result<(), OpenError> {
        let path = segment_path(&self.dir, tail.number);
        let block = |offset: u64| offset / BLOCK;
        let moved = Move {
            from: SealAt {
                segment: tail.number,
                block: block(last.offset),
            },
            to: SealAt {
                segment: tail.number + 1,
                block: block(FIRST_FRAME),
            },
        };
        moved
            .copy(last.body(), frame)
            .map_err(|error| contradiction(&path, last, &error))?;
        let copy = Frame {
            header: last.header,
            offset: FIRST_FRAME,
            bytes: frame.bytes_mut().to_vec(),
        };
        self.project(tail.number + 1, &copy, &mut true, now)?;
        // Nothing was changed so far, so that a log that cannot be used stays as it is.
        let read = self.state.check_read();
        read.map_err(|error| contradiction(&path, last, &error))
    }

    fn into_writer(self, segment: Segment<F>, helper: Helper<F>) -> (Writer<F>, Recovered) {
        let building = Building::new(self.state.next_lsn);
        // Which watermarks seals have published, segments that are gone may have known.
        let watermark = self.state.settled();
        let writer = Writer {
            files: self.files,
            dir: self.dir,
            settings: self.settings,
            clock: self.clock,
            ids: self.ids,
            node: self.node.id,
            state: self.state,
            dedup: self.dedup,
            older: self.older,
            segment,
            helper,
            spare: NextSpare::None,
            kept_spare: None,
            spares_made: 0,
            segments: self.inventory.segments,
            id_files: self.inventory.id_files,
            active_ids: self.active_ids,
            unwritten_ids: VecDeque::new(),
            ids_in_flight: 0,
            merging: false,
            unmergeable: BTreeSet::new(),
            ids_retry_at: Duration::ZERO,
            segment_failed: false,
            void_debt: None,
            watermark,
            closed: false,
            broken: None,
            building,
        };
        (writer, self.recovered)
    }
}
