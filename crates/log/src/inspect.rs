//! Inspects a log from outside, in a directory or in an engine: reads everything, changes nothing.

use std::io;
use std::path::Path;
use std::time::Duration;

use crate::dedup::id_files::ids_path;
use crate::dedup::id_files::{self as ids, IdFiles};
use crate::helper::Background;
use crate::journal::errors::OpenError;
use crate::journal::inventory::Inventory;
use crate::journal::layout::segment_path;
use crate::journal::local::{LocalFrames, open_closed};
use crate::journal::node;
use crate::journal::read::SegmentReader;
use crate::journal::replica::engine::{Engine, KeepTrying};
use crate::journal::replica::identity;
use crate::journal::replica::lookout::Lookout;
use crate::journal::replica::walk::Walk;
use crate::journal::seam::{Frame, TornTail};
use crate::ledger::batch::Limits;
use crate::ledger::entry::Entry;
use crate::ledger::lateness::Calendar;
use crate::ledger::projection::{Projection, contradiction};
use crate::ledger::state::State;
use lakehook_base::files::Files;
use lakehook_base::ids::NodeId;
use lakehook_base::record::Lsn;

/// What one segment holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SegmentInfo {
    /// Number of the segment, from 1.
    pub number: u64,
    /// Size of the file.
    pub bytes: u64,
    /// Bytes up to the end of its last frame that counts.
    pub used_bytes: u64,
    /// Number of frames that count.
    pub frames: u64,
    /// Number of rows in these frames.
    pub rows: u64,
    /// First LSN, and the LSN after the last row; `None` without a frame.
    pub lsns: Option<(Lsn, Lsn)>,
    /// Number of seals in these frames.
    pub seals: u64,
    /// Number of commits in these frames.
    pub commits: u64,
}

/// What a log holds.
#[derive(Debug)]
pub struct Inspection {
    /// Id of the node that owns the log; `None` before the first start.
    pub node: Option<NodeId>,
    /// Who has taken a log in a replica over last, and the epoch that began with it.
    pub owner: Option<(String, u64)>,
    /// The segments that are needed, the oldest first.
    pub segments: Vec<SegmentInfo>,
    /// Segments that are no longer needed and not yet removed.
    pub leftover: Vec<u64>,
    /// Id files in force, by their last segment.
    pub id_files: IdFiles,
    /// The projection, as far as the log could be read.
    pub state: State,
    /// Bytes after the last frame, left by a write that was not completed.
    pub torn: Option<TornTail>,
    /// Errors that were found, as messages.
    pub problems: Vec<String>,
}

/// No batch exceeds these limits, because an inspection seals nothing.
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

/// Reads the log of a directory. Errors are listed in the result; the call itself fails only if the
/// directory cannot be listed or its node file cannot be read.
pub fn inspect<F: Files>(files: &F, dir: &Path) -> io::Result<Inspection> {
    let mut inspection = Inspection::empty(node::read(files, dir)?.map(|node| node.id));
    let Inventory { segments, .. } = Inventory::list(files, dir)?;
    (inspection.id_files, _) = ids::list(files, dir)?;
    let sizes: Vec<(u64, u64)> = segments.into_iter().collect();
    if let Err(error) = inspection.read_segments(files, dir, &sizes) {
        inspection.problems.push(error.to_string());
    }
    inspection.check_ids(files, dir);
    Ok(inspection)
}

/// Reads the log in an engine, whose id files are listed but not read. Errors are listed in the result;
/// the call itself fails only if the log's identity cannot be read.
pub fn inspect_replica<E: Engine>(engine: E, keep_trying: &KeepTrying) -> io::Result<Inspection> {
    let node = identity::read(&engine, keep_trying).map_err(io::Error::other)?;
    let mut inspection = Inspection::empty(node.map(|node| node.id));
    let Some(node) = node else {
        return Ok(inspection);
    };
    let seen = Lookout::new(engine.clone(), node.id).look();
    inspection.owner = seen.ok().flatten().map(|seen| (seen.owner, seen.epoch));
    if let Err(error) = inspection.read_replica(engine, node.id, keep_trying) {
        inspection.problems.push(error.to_string());
    }
    Ok(inspection)
}

impl Inspection {
    fn empty(node: Option<NodeId>) -> Self {
        Self {
            node,
            owner: None,
            segments: Vec::new(),
            leftover: Vec::new(),
            id_files: IdFiles::new(),
            state: unlimited(),
            torn: None,
            problems: Vec::new(),
        }
    }

    fn read_replica<E: Engine>(
        &mut self,
        engine: E,
        log: NodeId,
        keep_trying: &KeepTrying,
    ) -> Result<(), OpenError> {
        let keep_trying = keep_trying.clone();
        let mut walk = Walk::begin(engine, log, keep_trying, Background::Threads)?;
        let Some(newest) = walk.newest_segment() else {
            return Ok(());
        };
        let name = walk.engine.name();
        let mut oldest = 1;
        walk.read_segment(newest, &mut None, &|_| None, &mut |frame, _| {
            oldest = oldest_said_by(&frame).max(oldest);
            Ok(())
        })?;
        walk.go_back_to(oldest)?;
        let (mut projection, mut previous) = (Projection::new(unlimited()), None);
        let read = (oldest..=newest).try_for_each(|number| {
            self.segments.push(SegmentInfo {
                number,
                ..SegmentInfo::default()
            });
            walk.read_segment(number, &mut previous, &|_| None, &mut |frame, _| {
                let end = frame.at.within() + frame.bytes.len() as u64;
                self.see(number, &frame, end);
                let applied = projection.apply(&frame, &mut |_| {});
                applied.map_err(|error| OpenError::Contradiction {
                    frame: format!("{name}, frame {}", frame.header.number),
                    detail: error.to_string(),
                })
            })
            .map(drop)
        });
        for info in &mut self.segments {
            info.bytes = info.used_bytes;
        }
        self.state = projection.state;
        read?;
        let checked = self.state.check_read();
        checked.map_err(|error| OpenError::Contradiction {
            frame: name,
            detail: error.to_string(),
        })
    }

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
        oldest = oldest_said_by(&frame).max(oldest);
    }
    Ok(oldest)
}

/// The oldest segment that is needed, as far as a frame says; otherwise 0.
fn oldest_said_by(frame: &Frame) -> u64 {
    let entries = Entry::all(frame.body()).flatten();
    let said = entries.filter_map(|entry| match entry {
        Entry::Checkpoint(checkpoint) => Some(checkpoint.oldest_segment),
        _ => None,
    });
    said.max().unwrap_or(0)
}
