//! Looking into a log from outside: reads everything, changes nothing.

use std::io;
use std::path::Path;
use std::time::Duration;

use crate::files::Files;
use crate::ids::NodeId;
use crate::record::Lsn;
use crate::wal::dedup::id_files::ids_path;
use crate::wal::dedup::id_files::{self as ids, IdFiles};
use crate::wal::journal::errors::OpenError;
use crate::wal::journal::inventory::Inventory;
use crate::wal::journal::layout::segment_path;
use crate::wal::journal::local::{LocalFrames, open_closed};
use crate::wal::journal::node;
use crate::wal::journal::read::SegmentReader;
use crate::wal::journal::seam::{Frame, TornTail};
use crate::wal::ledger::batch::Limits;
use crate::wal::ledger::entry::Entry;
use crate::wal::ledger::lateness::Calendar;
use crate::wal::ledger::projection::{Projection, contradiction};
use crate::wal::ledger::state::State;

/// What one segment holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SegmentInfo {
    /// Its number.
    pub number: u64,
    /// Size of the file.
    pub bytes: u64,
    /// Bytes up to the end of its last frame that counts.
    pub used_bytes: u64,
    /// Frames that count.
    pub frames: u64,
    /// Rows in them.
    pub rows: u64,
    /// First and next LSN.
    pub lsns: Option<(Lsn, Lsn)>,
    /// Seals.
    pub seals: u64,
    /// Commits.
    pub commits: u64,
}

/// What a log holds.
#[derive(Debug)]
pub struct Inspection {
    /// Whose log it is; `None` before the first start.
    pub node: Option<NodeId>,
    /// The segments that are needed, the oldest first.
    pub segments: Vec<SegmentInfo>,
    /// Segments that are no longer needed and not yet removed.
    pub leftover: Vec<u64>,
    /// Id files.
    pub id_files: IdFiles,
    /// The projection, as far as the log could be read.
    pub state: State,
    /// Bytes behind the last frame that never counted.
    pub torn: Option<TornTail>,
    /// What is wrong.
    pub problems: Vec<String>,
}

/// Nothing is sealed by looking at it.
const UNLIMITED: Limits = Limits {
    max_bytes: u64::MAX,
    max_records: u64::MAX,
    max_age: Duration::MAX,
    late_max_age: Duration::MAX,
    max_waiting_seals: usize::MAX,
};

fn unlimited() -> State {
    State::new(UNLIMITED, Calendar::empty())
}

/// Reads the log of a directory. Errors are listed in the result; only a directory that cannot be
/// listed is an error of the call.
pub fn inspect<F: Files>(files: &F, dir: &Path) -> io::Result<Inspection> {
    let mut inspection = Inspection {
        node: node::read(files, dir)?.map(|node| node.id),
        segments: Vec::new(),
        leftover: Vec::new(),
        id_files: IdFiles::new(),
        state: unlimited(),
        torn: None,
        problems: Vec::new(),
    };
    let Inventory { segments, .. } = Inventory::list(files, dir)?;
    (inspection.id_files, _) = ids::list(files, dir)?;
    let sizes: Vec<(u64, u64)> = segments.into_iter().collect();
    if let Err(error) = inspection.read_segments(files, dir, &sizes) {
        inspection.problems.push(error.to_string());
    }
    inspection.check_ids(files, dir);
    Ok(inspection)
}

impl Inspection {
    fn read_segments<F: Files>(
        &mut self,
        files: &F,
        dir: &Path,
        sizes: &[(u64, u64)],
    ) -> Result<(), OpenError> {
        let Some((last, _)) = sizes.last().copied() else {
            return Ok(());
        };
        let oldest = oldest_needed(files, dir, last)?;
        self.leftover = sizes
            .iter()
            .map(|(number, _)| *number)
            .filter(|n| *n < oldest)
            .collect();
        let mut projection = Projection::new(unlimited());
        let read = (oldest..=last).try_for_each(|number| {
            let Some((_, bytes)) = sizes.iter().find(|(n, _)| *n == number) else {
                return Err(OpenError::Missing {
                    path: segment_path(dir, number),
                });
            };
            self.segments.push(SegmentInfo {
                number,
                bytes: *bytes,
                ..SegmentInfo::default()
            });
            self.read_segment(files, dir, (number, last), &mut projection)
        });
        self.state = projection.state;
        read?;
        let checked = self.state.check_read();
        checked.map_err(|error| OpenError::Contradiction {
            frame: dir.display().to_string(),
            detail: error.to_string(),
        })
    }

    fn read_segment<F: Files>(
        &mut self,
        files: &F,
        dir: &Path,
        (number, last): (u64, u64),
        projection: &mut Projection,
    ) -> Result<(), OpenError> {
        let frames = LocalFrames::new(files.clone(), dir);
        let reader = if number == last {
            SegmentReader::open(files, &segment_path(dir, number), None)?
        } else {
            open_closed(files, dir, number)?
        };
        let mut reader = reader.expecting(projection.state.next_lsn);
        while let Some(frame) = reader.next_frame()? {
            self.see(number, &frame, reader.end().offset);
            let applied = projection.apply(&frame, &mut |_| {});
            applied.map_err(|error| contradiction(&frames, &frame, &error))?;
        }
        if number == last {
            self.torn = reader.torn_tail()?;
        }
        Ok(())
    }

    fn see(&mut self, number: u64, frame: &Frame, used_bytes: u64) {
        let Some(info) = self
            .segments
            .last_mut()
            .filter(|info| info.number == number)
        else {
            return;
        };
        info.frames += 1;
        info.used_bytes = used_bytes;
        info.rows += u64::from(frame.header.rows);
        let first = info.lsns.map_or(frame.header.first_lsn, |(first, _)| first);
        info.lsns = Some((first, frame.next_lsn()));
        for entry in Entry::all(frame.body()).flatten() {
            info.seals += u64::from(matches!(entry, Entry::Seal(_)));
            info.commits += u64::from(matches!(entry, Entry::Commit(_)));
        }
    }

    fn check_ids<F: Files>(&mut self, files: &F, dir: &Path) {
        for file in self.id_files.values() {
            if let Err(error) = ids::read(files, dir, file) {
                self.problems.push(error.to_string());
            }
        }
        let missing = (self.state.oldest_ids..self.state.oldest_segment).filter(|number| {
            let file = self.id_files.range(number..).next();
            file.is_none_or(|(_, file)| file.first > *number)
        });
        for number in missing {
            let path = ids_path(dir, (number, number));
            self.problems.push(format!("{} is missing", path.display()));
        }
    }
}

fn oldest_needed<F: Files>(files: &F, dir: &Path, last: u64) -> Result<u64, OpenError> {
    let mut reader = SegmentReader::open(files, &segment_path(dir, last), None)?;
    let mut oldest = 1;
    while let Some(frame) = reader.next_frame()? {
        for entry in Entry::all(frame.body()).flatten() {
            if let Entry::Checkpoint(checkpoint) = entry {
                oldest = oldest.max(checkpoint.oldest_segment);
            }
        }
    }
    Ok(oldest)
}
