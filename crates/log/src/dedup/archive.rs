//! The archive: the identities of closed segments, in files, long after the segments themselves are
//! gone.
//!
//! A helper writes and merges the files. Identities that are in no file yet stay in memory here, so
//! that a failed write can be repeated; the ledger checks how many they are before it takes more.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::path::Path;
use std::time::Duration;

use super::id_files::{self, IdFile, IdFiles, SegmentIds};
use super::lookup::ArchivedIds;
use super::place::{Place, SecondPlace};
use crate::helper::{Background, Helper, is_out_of_space};
use crate::journal::seam::SPACE_RETRY;
use lakehook_base::clock::{Micros, Now};
use lakehook_base::files::{Files, remove_if_there};
use lakehook_base::record::Identity;

/// Most closed segments whose ids wait for the helper; beyond that, the writer writes them itself.
const MAX_UNWRITTEN: usize = 4;
/// Most id files that are merged at once.
const MAX_PARTS: usize = 64;

/// Bounds of an archive.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ArchiveLimits {
    /// Identities that files keep; the oldest files are removed first.
    pub(crate) max_ids: u64,
    /// Bytes that id files may take.
    pub(crate) max_bytes: u64,
    /// Bytes of memory for filters.
    pub(crate) filter_bytes: u64,
    /// Files with fewer identities are merged.
    pub(crate) ids_per_file: u64,
}

/// Work for the helper.
enum Task {
    /// Write the ids of a closed segment.
    Write(u64, SegmentIds),
    /// Make one id file of several.
    Merge(Vec<IdFile>),
    /// Remove these files, which a durable checkpoint has released.
    Remove(Vec<IdFile>),
}

/// Result of a task, whether it succeeded or failed.
enum Done {
    /// The ids of that segment, in the order of their file, and that file or the error.
    Written(u64, SegmentIds, io::Result<IdFile>),
    /// The merged files, and the file that replaces them or the error.
    Merged(Vec<IdFile>, io::Result<(IdFile, SegmentIds)>),
}

/// The identities of closed segments.
pub(crate) struct Archive<F: Files> {
    place: Place<F>,
    limits: ArchiveLimits,
    helper: Helper<Task, Done>,
    lookup: ArchivedIds<F>,
    id_files: IdFiles,
    /// Identities in the current segment.
    active: SegmentIds,
    /// Identities of closed segments that no file holds yet, and that the helper does not have.
    unwritten: VecDeque<(u64, SegmentIds)>,
    /// How many identities the helper is writing.
    in_flight: u64,
    /// Whether the helper merges id files.
    is_merging: bool,
    /// Last segments of id files whose merge has failed; these files are not merged again.
    unmergeable: BTreeSet<u64>,
    /// Monotonic time at which a failed write is tried again.
    retry_at: Duration,
    /// Whether the disk was too full for an id file.
    lacks_space: bool,
    /// Whether files that recovery writes belong into the lookup at once.
    is_loaded: bool,
    /// The oldest segment that is needed; ids of those before it are merged.
    oldest_segment: u64,
    /// The oldest id file in force.
    oldest_ids: u64,
}

impl<F: Files> Archive<F> {
    /// Lists the id files of a directory, and removes those that another one contains whole.
    pub(crate) fn open(
        files: F,
        dir: &Path,
        limits: ArchiveLimits,
        copies: SecondPlace,
        background: Background,
    ) -> io::Result<Self> {
        let (in_force, needless) = id_files::list(&files, dir)?;
        for file in &needless {
            remove_if_there(&files, &file.path(dir))?;
        }
        let lookup = ArchivedIds::new(files.clone(), dir, limits.max_ids, limits.filter_bytes);
        let place = Place {
            files,
            dir: dir.to_owned(),
            copies,
        };
        let of_helper = place.clone();
        let helper = Helper::new(background, "wal-ids", move |task| perform(&of_helper, task))?;
        Ok(Self {
            lookup,
            place,
            limits,
            helper,
            id_files: in_force,
            active: SegmentIds::default(),
            unwritten: VecDeque::new(),
            in_flight: 0,
            is_merging: false,
            unmergeable: BTreeSet::new(),
            retry_at: Duration::ZERO,
            lacks_space: false,
            is_loaded: false,
            oldest_segment: 1,
            oldest_ids: 1,
        })
    }

    /// The files in force.
    pub(crate) fn id_files(&self) -> &IdFiles {
        &self.id_files
    }

    /// The lookup over the files in force.
    pub(crate) fn lookup(&self) -> &ArchivedIds<F> {
        &self.lookup
    }

    /// Bytes of the id files.
    pub(crate) fn used(&self) -> u64 {
        self.id_files.values().map(|file| file.bytes).sum()
    }

    /// Identities in the current segment.
    pub(crate) fn active(&self) -> u64 {
        self.active.identities.len() as u64
    }

    /// Identities of closed segments that are in no file yet.
    pub(crate) fn waiting(&self) -> u64 {
        let unwritten = self.unwritten.iter();
        let unwritten: u64 = unwritten.map(|(_, ids)| ids.identities.len() as u64).sum();
        self.in_flight + unwritten
    }

    /// Adds an identity of the current segment, while recovery reads the log.
    pub(crate) fn see(&mut self, identity: Identity) {
        self.active.identities.push(identity);
    }

    /// Sets the newest time of receipt in the current segment, while recovery reads the log.
    pub(crate) fn see_newest(&mut self, received: Micros) {
        self.active.newest_received = received;
    }

    /// Adds the identities of a durable frame, and empties the list.
    pub(crate) fn add(&mut self, identities: &mut Vec<Identity>, newest_received: Micros) {
        self.active.identities.append(identities);
        self.active.newest_received = newest_received;
    }

    /// Ends a segment while recovery reads the log: writes its ids, unless a file has them.
    ///
    /// If there is a second place, a file here proves nothing about it, nor that it has all ids: an
    /// earlier start may have read the segment while another process appended to it.
    pub(crate) fn end_segment_that_was_read(&mut self, segment: u64) -> io::Result<()> {
        let mut ids = std::mem::take(&mut self.active);
        let file = match (&self.place.copies, self.id_files.contains_key(&segment)) {
            (Some(_), _) => self.place.write_anew(segment, &mut ids)?,
            (None, false) => self.place.write(segment, &mut ids)?,
            (None, true) => return Ok(()),
        };
        self.id_files.insert(segment, file);
        if self.is_loaded {
            self.lookup.add(file, &ids)?;
        }
        Ok(())
    }

    /// Loads the files from segment `oldest_ids` on into the lookup, the oldest first. Returns an
    /// error message for each file that cannot be read.
    pub(crate) fn load(&mut self, oldest_ids: u64) -> Vec<String> {
        let in_force = self.id_files.range(oldest_ids..);
        let in_force: Vec<IdFile> = in_force.map(|(_, file)| *file).collect();
        self.lookup.expect(in_force.iter().map(IdFile::count).sum());
        let mut lost = Vec::new();
        for file in in_force {
            let read = id_files::read(&self.place.files, &self.place.dir, &file);
            if let Err(error) = read.and_then(|ids| self.lookup.add(file, &ids)) {
                lost.push(error.to_string());
            }
        }
        if oldest_ids > 1 {
            self.lookup.begin_behind_forgotten();
        }
        self.is_loaded = true;
        lost
    }

    /// Removes the files whose segments are all older than `oldest_ids`; they are gone when this
    /// returns.
    pub(crate) fn remove_below(&mut self, oldest_ids: u64) -> io::Result<()> {
        let kept = self.id_files.split_off(&oldest_ids);
        let gone: Vec<IdFile> = std::mem::replace(&mut self.id_files, kept)
            .into_values()
            .collect();
        for file in &gone {
            remove_if_there(&self.place.files, &self.place.path(file))?;
        }
        self.place.release_copies(&gone);
        Ok(())
    }

    /// The first segment from `oldest_ids` on, and before `oldest_segment`, whose ids are in no
    /// file.
    pub(crate) fn first_gap(&self, oldest_ids: u64, oldest_segment: u64) -> Option<u64> {
        let mut next = oldest_ids;
        for file in self.id_files.range(oldest_ids..).map(|(_, file)| file) {
            if file.first > next {
                break;
            }
            next = file.last + 1;
        }
        (next < oldest_segment).then_some(next)
    }

    /// Closes a segment: the helper writes its ids into a file.
    pub(crate) fn close_segment(&mut self, segment: u64) {
        let ids = std::mem::take(&mut self.active);
        self.unwritten.push_back((segment, ids));
        self.write();
    }

    /// Takes the helper's results, and repeats failed writes once their pause is over.
    pub(crate) fn tend(&mut self, now: Now) {
        while let Some(done) = self.helper.poll() {
            self.take_result(done, now);
        }
        if self.retry_at <= now.mono {
            self.write();
        }
    }

    /// Whether the disk was too full for an id file since the last call.
    pub(crate) fn take_lack_of_space(&mut self) -> bool {
        std::mem::take(&mut self.lacks_space)
    }

    /// Waits for the helper until at most `most` identities of closed segments are in no file.
    /// Returns `false` if more remain because writing failed.
    pub(crate) fn keep_up(&mut self, most: u64, now: Now) -> bool {
        while self.in_flight > 0 && self.waiting() > most {
            match self.helper.wait() {
                Some(done) => self.take_result(done, now),
                None => break,
            }
        }
        self.waiting() <= most
    }

    fn take_result(&mut self, done: Done, now: Now) {
        match done {
            Done::Merged(parts, merged) => {
                self.is_merging = false;
                let taken = merged.and_then(|(file, ids)| self.take_file(file, &ids));
                if let Err(error) = taken {
                    tracing::warn!(%error, "failed to merge id files; they stay as they are until the next start");
                    self.unmergeable.extend(parts.iter().map(|part| part.last));
                }
                self.merge();
            }
            Done::Written(segment, ids, written) => {
                self.in_flight -= ids.identities.len() as u64;
                let taken = written.and_then(|file| self.take_file(file, &ids));
                let Err(error) = taken else {
                    self.merge();
                    return;
                };
                tracing::warn!(%error, segment, "failed to write the ids of a closed segment");
                self.unwritten.push_back((segment, ids));
                self.retry_at = now.mono + SPACE_RETRY;
                self.lacks_space |= is_out_of_space(&error);
            }
        }
    }

    /// Adds a file to the lookup, and removes the files that it replaces. If its segments are no
    /// longer needed, the file itself is removed.
    fn take_file(&mut self, file: IdFile, ids: &SegmentIds) -> io::Result<()> {
        if file.last < self.oldest_ids {
            self.place.release(&[file]);
            return Ok(());
        }
        self.lookup.add(file, ids)?;
        let needless = id_files::take(&mut self.id_files, file);
        self.place.remove(&needless);
        Ok(())
    }

    fn write(&mut self) {
        while let Some((segment, ids)) = self.unwritten.pop_front() {
            let count = ids.identities.len() as u64;
            match self.helper.start(Task::Write(segment, ids)) {
                Ok(()) => self.in_flight += count,
                Err(Task::Write(segment, mut ids)) => {
                    if self.unwritten.len() >= MAX_UNWRITTEN && self.write_here(segment, &mut ids) {
                        continue;
                    }
                    self.unwritten.push_front((segment, ids));
                    return;
                }
                Err(Task::Merge(_) | Task::Remove(_)) => return,
            }
        }
    }

    /// Writes ids in the writer's thread because the helper is far behind: memory stays bounded.
    fn write_here(&mut self, segment: u64, ids: &mut SegmentIds) -> bool {
        let written = self.place.write(segment, ids);
        let taken = written.and_then(|file| self.take_file(file, ids));
        if let Err(error) = &taken {
            tracing::warn!(%error, segment, "failed to write ids of a segment");
        }
        taken.is_ok()
    }

    /// Asks the helper to merge small files that follow each other, because a lookup searches file
    /// by file.
    fn merge(&mut self) {
        if self.is_merging {
            return;
        }
        let mut parts: Vec<IdFile> = Vec::new();
        let mut ids = 0;
        let closed = self.id_files.range(..self.oldest_segment);
        for file in closed.map(|(_, file)| *file) {
            let follows = parts.last().is_none_or(|last| last.last + 1 == file.first);
            let is_small =
                file.count() < self.limits.ids_per_file && !self.unmergeable.contains(&file.last);
            if !follows || !is_small {
                parts.clear();
                ids = 0;
            }
            if is_small {
                ids += file.count();
                parts.push(file);
            }
            if parts.len() > 1 && (ids >= self.limits.ids_per_file || parts.len() >= MAX_PARTS) {
                self.is_merging = self.helper.start(Task::Merge(parts)).is_ok();
                return;
            }
        }
    }

    /// The segment from which on id files are kept so that their bounds hold. Only files of
    /// segments before `oldest_segment` may be removed.
    pub(crate) fn oldest_within_bounds(&self, oldest_segment: u64, oldest_ids: u64) -> u64 {
        let mut kept_ids: u64 = self.id_files.values().map(IdFile::count).sum();
        let mut kept_bytes = self.used();
        let mut oldest = oldest_ids;
        for (segment, file) in self.id_files.range(..oldest_segment) {
            // Without this file the window would be too small, and the bytes are within bounds.
            let spare_ids = kept_ids - file.count();
            if spare_ids < self.limits.max_ids && kept_bytes <= self.limits.max_bytes {
                break;
            }
            kept_ids = spare_ids;
            kept_bytes -= file.bytes;
            oldest = segment + 1;
        }
        oldest
    }

    /// Asks the helper to remove the files that a durable checkpoint has released, and to merge
    /// small files of removed segments. Answers don't wait for it; the next start removes what a
    /// crash leaves.
    pub(crate) fn trim(&mut self, oldest_segment: u64, oldest_ids: u64) {
        (self.oldest_segment, self.oldest_ids) = (oldest_segment, oldest_ids);
        let kept = self.id_files.split_off(&oldest_ids);
        self.lookup.forget_below(oldest_ids);
        let gone = std::mem::replace(&mut self.id_files, kept);
        let gone: Vec<IdFile> = gone.into_values().collect();
        if !gone.is_empty()
            && let Err(Task::Remove(gone)) = self.helper.start(Task::Remove(gone))
        {
            // The helper is far behind.
            self.place.release(&gone);
        }
        self.merge();
    }
}

/// Performs a task; a removal has no result.
fn perform<F: Files>(place: &Place<F>, task: Task) -> Option<Done> {
    match task {
        Task::Write(segment, mut ids) => {
            let written = place.write(segment, &mut ids);
            Some(Done::Written(segment, ids, written))
        }
        Task::Merge(parts) => {
            let merged = id_files::merge(&place.files, &place.dir, &parts);
            Some(Done::Merged(parts, merged))
        }
        Task::Remove(released) => {
            place.release(&released);
            None
        }
    }
}
