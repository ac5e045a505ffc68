//! Builds a new log beside the old one, with the rows that are not in the lake.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use super::errors::RescueError;
use super::scan::{Damaged, See};
use super::survey::{Survey, Unshipped};
use crate::dedup::id_files::ids_path;
use crate::dedup::id_files::{self as ids, SegmentIds};
use crate::journal::exchange::{NEW, aside_of, begin, clear};
use crate::journal::node::{self, Node};
use crate::journal::seam::Frame;
use crate::ledger::batch::Limits;
use crate::ledger::entry::{Entry, NO_RUN};
use crate::ledger::packed::kinds_of;
use crate::ledger::request::{Append, Cursor, Request, Settings};
use crate::recover::{self, LocalWriter};
use lakehook_base::clock::{Clock, Micros};
use lakehook_base::files::{Files, create_dir_durably};
use lakehook_base::ids::{Ids, NodeId};
use lakehook_base::record::{Origin, RowKind, Rows};

/// Most bytes of rows that are appended at once: far below a frame.
const PIECE_BYTES: usize = 2 << 20;

/// Result of a rescue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rebuilt {
    /// The node that owned the old log.
    pub old: NodeId,
    /// The node that owns the new log.
    pub new: NodeId,
    /// Number of rows in the new log.
    pub rows: u64,
    /// Number of rows that the lake had already.
    pub in_lake: u64,
    /// Number of ids that the new log knows.
    pub ids: u64,
    /// Error messages of id files that could not be read: events whose ids they held may be stored
    /// again.
    pub lost_ids: Vec<String>,
    /// Name of the directory with the old files, inside the log's directory.
    pub aside: String,
}

/// Makes the new log, and the durable note that it replaces the old one; [`super::finish`] then
/// exchanges them.
///
/// `is_in_lake` is called for each row without a readable commit; `before` is called last, while
/// nothing has changed yet.
pub fn rebuild<F: Files>(
    files: &F,
    dir: &Path,
    survey: &Survey,
    settings: &Settings,
    (clock, ids): (&Clock, &Ids),
    is_in_lake: &mut dyn FnMut(&Unshipped<'_>) -> bool,
    before: &mut dyn FnMut(&Rebuilt) -> io::Result<()>,
) -> Result<Rebuilt, RescueError> {
    let old = node::read(files, dir)?;
    let old = old.ok_or_else(|| io::Error::other("it has no node file"))?;
    let new_dir = dir.join(NEW);
    clear(files, &new_dir)?;
    create_dir_durably(files, &new_dir, true)?;
    let node = Node {
        id: NodeId(ids.next()?),
        key: old.key,
        ordinal: old.ordinal,
    };
    node::write(files, &new_dir, &node)?;
    let (known, lost_ids) = bring_ids(files, dir, &new_dir, survey)?;
    let kept = settings.clone();
    let settings = unbounded(settings);
    let effects = (clock.clone(), ids.clone());
    let writer = recover::begin_behind_ids(files.clone(), &new_dir, settings, effects)?;
    let mut appending = Appending {
        writer,
        rows: Rows::default(),
        received: survey.oldest_received,
        piece_bytes: piece_bytes(&kept),
        written: 0,
    };
    let mut in_lake = 0;
    survey.each_unshipped(files, dir, &mut |unshipped| {
        if is_in_lake(&unshipped) {
            in_lake += 1;
            return Ok(());
        }
        appending.take(&unshipped).map_err(io::Error::other)
    })?;
    appending.flush()?;
    for (poll, bytes) in &survey.cursors {
        appending.cursor(poll, bytes)?;
    }
    appending.writer.close()?;
    let rebuilt = Rebuilt {
        old: old.id,
        new: node.id,
        rows: appending.written,
        in_lake,
        ids: known,
        lost_ids,
        aside: aside_of(node.id),
    };
    before(&rebuilt)?;
    begin(files, dir, &rebuilt.aside)?;
    Ok(rebuilt)
}

/// Settings under which the new log takes everything: it is no larger than the old one. Batches
/// keep their limits of size, and none is sealed for its age.
fn unbounded(settings: &Settings) -> Settings {
    Settings {
        max_bytes: u64::MAX,
        limits: Limits {
            max_age: Duration::MAX,
            late_max_age: Duration::MAX,
            max_waiting_seals: usize::MAX,
            ..settings.limits
        },
        max_ids: u64::MAX,
        // A merge would add its file to the lookup, and the copied id files have the ids of these
        // very rows.
        ids_per_file: 0,
        ..settings.clone()
    }
}

/// Most bytes of a piece: small segments take small pieces.
fn piece_bytes(settings: &Settings) -> usize {
    let quarter = usize::try_from(settings.segment_bytes / 4).unwrap_or(PIECE_BYTES);
    quarter.min(PIECE_BYTES)
}

struct Appending<F: Files> {
    writer: LocalWriter<F>,
    rows: Rows,
    /// Every row gets the time of receipt of the oldest one: no piece may be older than a watermark
    /// that a seal has published.
    received: Micros,
    piece_bytes: usize,
    written: u64,
}

impl<F: Files> Appending<F> {
    fn take(&mut self, row: &Unshipped<'_>) -> Result<(), RescueError> {
        if self.rows.bytes.len() + row.row.bytes.len() > self.piece_bytes {
            self.flush()?;
        }
        let partition = self.rows.partition(row.partition);
        self.rows.bytes.extend_from_slice(row.row.bytes);
        let lsn_at = u32::try_from(row.row.lsn_at).unwrap_or(u32::MAX);
        self.rows.finish_row(lsn_at, partition, row.row.kind);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), RescueError> {
        let rows = std::mem::take(&mut self.rows);
        if rows.rows.is_empty() {
            return Ok(());
        }
        self.written += rows.rows.len() as u64;
        self.append(rows, None)
    }

    fn cursor(&mut self, poll: &str, bytes: &[u8]) -> Result<(), RescueError> {
        let cursor = Cursor {
            poll: poll.into(),
            bytes: bytes.to_vec(),
        };
        self.append(Rows::default(), Some(cursor))
    }

    fn append(&mut self, rows: Rows, cursor: Option<Cursor>) -> Result<(), RescueError> {
        let append = Append {
            rows,
            dropped: 0,
            origin: Origin {
                received_at: self.received,
                endpoint: "rescue".into(),
                request_id: "rescue".into(),
                client: None,
            },
            run: NO_RUN,
            cursor,
        };
        let mut jobs = VecDeque::from([(Request::Append(Box::new(append)), ())]);
        while !jobs.is_empty() {
            let turn = self.writer.turn(&mut jobs);
            if let Some(fatal) = turn.fatal {
                return Err(fatal.into());
            }
            for ((), reply) in turn.replies {
                let appended = reply?;
                let left_out = appended.duplicates + appended.conflicts;
                if left_out > 0 {
                    return Err(RescueError::LeftOut(left_out));
                }
            }
        }
        Ok(())
    }
}

/// Copies the ids of every segment, so that stored events are still known. Ids of rows that are
/// missing must not be copied: their senders may send them again.
fn bring_ids<F: Files>(
    files: &F,
    dir: &Path,
    new_dir: &Path,
    survey: &Survey,
) -> Result<(u64, Vec<String>), RescueError> {
    let newest = survey.segments.all.keys().next_back().copied().unwrap_or(0);
    let oldest = survey.segments.all.keys().next().copied().unwrap_or(1);
    let mut read_back = IdsOf {
        files,
        new_dir,
        segment: None,
        ids: SegmentIds::default(),
        known: 0,
    };
    let mut lost = Vec::new();
    let mut next = survey.oldest_ids;
    let (in_force, _) = ids::list(files, dir)?;
    for file in in_force
        .range(survey.oldest_ids..oldest)
        .map(|(_, file)| file)
    {
        read_back.write_missing(dir, next..file.first, &mut lost)?;
        next = file.last + 1;
        match ids::read(files, dir, file) {
            Ok(mut ids) => read_back.write((file.first, file.last), &mut ids)?,
            Err(error) => {
                lost.push(error.to_string());
                read_back.write((file.first, file.last), &mut SegmentIds::default())?;
            }
        }
    }
    read_back.write_missing(dir, next..oldest, &mut lost)?;
    survey.segments.scan(files, dir, &mut read_back)?;
    read_back.end_segment()?;
    for number in oldest..=newest {
        if !files.exists(&ids_path(new_dir, (number, number))) {
            read_back.write((number, number), &mut SegmentIds::default())?;
        }
    }
    Ok((read_back.known, lost))
}

struct IdsOf<'a, F: Files> {
    files: &'a F,
    new_dir: &'a Path,
    segment: Option<u64>,
    ids: SegmentIds,
    known: u64,
}

impl<F: Files> See for IdsOf<'_, F> {
    fn frame(&mut self, segment: u64, frame: &Frame) -> io::Result<()> {
        if self.segment != Some(segment) {
            self.end_segment()?;
            self.segment = Some(segment);
        }
        for entry in Entry::all(frame.body()).flatten() {
            let Entry::Rows(rows) = entry else {
                continue;
            };
            let received = rows.received.newest;
            self.ids.newest_received = self.ids.newest_received.max(received);
            for kind in kinds_of(rows.payload) {
                if let RowKind::Record(identity) = kind {
                    self.ids.identities.push(identity);
                }
            }
        }
        Ok(())
    }

    fn damage(&mut self, _: Damaged) {}
}

impl<F: Files> IdsOf<'_, F> {
    fn end_segment(&mut self) -> io::Result<()> {
        let Some(segment) = self.segment.take() else {
            return Ok(());
        };
        let mut ids = std::mem::take(&mut self.ids);
        self.write((segment, segment), &mut ids)
    }

    fn write(&mut self, segments: (u64, u64), ids: &mut SegmentIds) -> io::Result<()> {
        self.known += ids.identities.len() as u64;
        ids::write(self.files, self.new_dir, segments, ids)?;
        Ok(())
    }

    /// Writes empty id files for segments whose ids are gone, because a log needs the ids of every
    /// segment.
    fn write_missing(
        &mut self,
        dir: &Path,
        numbers: Range<u64>,
        lost: &mut Vec<String>,
    ) -> io::Result<()> {
        for number in numbers {
            let path = ids_path(dir, (number, number));
            lost.push(format!("{} is missing", path.display()));
            self.write((number, number), &mut SegmentIds::default())?;
        }
        Ok(())
    }
}
