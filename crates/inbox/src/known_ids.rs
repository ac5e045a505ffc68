//! Which ids a stream knows: those of its published runs, and those of the run that is under way.
//!
//! An id of the run under way counts for others only with the run's publication. Memory is bounded: a filter
//! answers for most new ids, and what it cannot answer is looked up in sorted files.

use std::io;
use std::path::Path;

use super::fresh_ids::FreshIds;
use super::id_buckets::{IdBuckets, find_in};
use super::id_entry::IdEntry;
use super::id_file::{IdFile, IdFileWriter, merge};
use super::id_filter::IdFilter;
use super::parts::{Cover, Parts};
use super::spilled_ids::SpilledIds;
use lakehook_base::files::{Disk, remove_if_there};

const KIND: &str = "ids";
/// Ids of the run under way that are kept in memory; more are spilled into files.
const MAX_FRESH: usize = 800_000;
/// The newest ids, which are added to the others together: the processor then waits for memory once for several.
const MAX_NEWEST: usize = 256;

/// What is known of an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sighting {
    /// Nothing.
    New,
    /// It had the same content.
    Same,
    /// It had other content.
    Other,
}

/// The ids that a stream knows.
#[derive(Debug)]
pub(crate) struct KnownIds {
    parts: Parts,
    /// The ids of published runs, in the order of their parts.
    published: Vec<IdFile>,
    filter: IdFilter,
    fresh: IdBuckets,
    /// Those that are not among the fresh ones yet.
    newest: Vec<IdEntry>,
    spilled: Vec<SpilledIds>,
}

impl Sighting {
    /// What is known of an id that is known with this entry.
    pub(crate) fn of(known: IdEntry, entry: IdEntry) -> Self {
        if known == entry {
            Self::Same
        } else {
            Self::Other
        }
    }
}

impl KnownIds {
    /// Opens the ids of a stream; `last_run` is its last run that has ended. Ids of published runs are only
    /// known if `remembers`.
    pub(crate) fn open(dir: &Path, last_run: u64, remembers: bool) -> io::Result<Self> {
        let parts = Parts::open(dir, KIND, last_run)?;
        let mut own = Self {
            published: Vec::new(),
            filter: IdFilter::default(),
            fresh: IdBuckets::default(),
            newest: Vec::new(),
            spilled: Vec::new(),
            parts,
        };
        if remembers {
            let covers = own.parts.covers().iter();
            let files = covers.map(|cover| IdFile::open(&own.parts.path(*cover)));
            own.published = files.collect::<io::Result<_>>()?;
            own.filter
                .expect(own.published.iter().map(IdFile::count).sum());
            for file in &own.published {
                file.each(&mut |entry| {
                    own.filter.add(entry.id());
                })?;
            }
        }
        Ok(own)
    }

    /// Prepares for about this many new ids.
    pub(crate) fn expect(&mut self, ids: u64) {
        self.filter.expect(ids);
    }

    /// Begins to read what the next question about this id will read.
    pub(crate) fn prefetch(&self, entry: IdEntry) {
        self.filter.prefetch(entry.id());
    }

    /// What is known of an id.
    pub(crate) fn look(&self, entry: IdEntry) -> io::Result<Sighting> {
        if !self.filter.may_have(entry.id()) {
            return Ok(Sighting::New);
        }
        self.look_closely(entry)
    }

    /// What is known of an id, which is known from now on.
    pub(crate) fn look_and_add(&mut self, entry: IdEntry) -> io::Result<Sighting> {
        if self.filter.add(entry.id()) {
            let sighting = self.look_closely(entry)?;
            if sighting != Sighting::New {
                return Ok(sighting);
            }
        }
        self.insert(entry)?;
        Ok(Sighting::New)
    }

    /// Whether none of these ids is known.
    pub(crate) fn has_none_of(&self, ids: &FreshIds) -> io::Result<bool> {
        for entry in ids.iter() {
            if self.look(entry)? != Sighting::New {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Adds ids that are new.
    pub(crate) fn add_all(&mut self, ids: &mut FreshIds) -> io::Result<()> {
        ids.drain().try_for_each(|entry| self.add(entry))
    }

    /// What is known of an id that the filter may have.
    fn look_closely(&self, entry: IdEntry) -> io::Result<Sighting> {
        let newest = find_in(&self.newest, entry.id());
        let known = match newest.or_else(|| self.fresh.get(entry.id())) {
            Some(known) => Some(known),
            None => self.look_up(entry)?,
        };
        Ok(known.map_or(Sighting::New, |known| Sighting::of(known, entry)))
    }

    fn look_up(&self, entry: IdEntry) -> io::Result<Option<IdEntry>> {
        for ids in &self.spilled {
            if let Some(known) = ids.find(entry.id())? {
                return Ok(Some(known));
            }
        }
        for file in &self.published {
            if let Some(known) = file.find(entry.id())? {
                return Ok(Some(known));
            }
        }
        Ok(None)
    }

    /// Adds an id that is new.
    pub(crate) fn add(&mut self, entry: IdEntry) -> io::Result<()> {
        self.filter.add(entry.id());
        self.insert(entry)
    }

    /// Adds an id that is new, and that the filter has.
    fn insert(&mut self, entry: IdEntry) -> io::Result<()> {
        self.newest.push(entry);
        if self.newest.len() >= MAX_NEWEST {
            self.settle();
            if self.fresh.len() >= MAX_FRESH {
                self.spill()?;
            }
        }
        Ok(())
    }

    fn settle(&mut self) {
        for entry in self.newest.drain(..) {
            self.fresh.insert(entry);
        }
    }

    fn spill(&mut self) -> io::Result<()> {
        self.settle();
        let path = self.parts.scratch(self.spilled.len());
        self.spilled.push(SpilledIds::write(&self.fresh, &path)?);
        self.fresh.clear();
        Ok(())
    }

    /// Writes the ids of the run durably, under a name that does not count yet. Returns whether there are any.
    pub(crate) fn write(&mut self, run: u64) -> io::Result<bool> {
        self.settle();
        if self.fresh.is_empty() && self.spilled.is_empty() {
            return Ok(false);
        }
        let mut writer = IdFileWriter::create(&self.parts.pending(run))?;
        let spilled = self.spilled.iter().map(|ids| &ids.file);
        merge(spilled, &self.fresh, &mut |entry| writer.push(entry))?;
        writer.finish(true)?;
        Ok(true)
    }

    /// The run has ended: its ids count from now on.
    pub(crate) fn publish(&mut self, run: u64) -> io::Result<()> {
        self.forget_run()?;
        let cover = self.parts.publish(run)?;
        self.published.push(IdFile::open(&self.parts.path(cover))?);
        self.merge_alike()
    }

    /// The run has no result: its ids are forgotten.
    pub(crate) fn discard(&mut self, run: u64) -> io::Result<()> {
        self.forget_run()?;
        if self.published.is_empty() {
            self.filter = IdFilter::default();
        }
        remove_if_there(&Disk, &self.parts.pending(run))
    }

    /// Forgets the ids of the run under way, in memory and in files.
    fn forget_run(&mut self) -> io::Result<()> {
        self.newest.clear();
        self.fresh = IdBuckets::default();
        for number in 0..self.spilled.len() {
            remove_if_there(&Disk, &self.parts.scratch(number))?;
        }
        self.spilled.clear();
        Ok(())
    }

    /// Merges the last files as long as the one before is not much larger, so that there are few of them.
    fn merge_alike(&mut self) -> io::Result<()> {
        let mut from = self.published.len();
        let mut total = 0;
        while let Some(file) = from.checked_sub(1).and_then(|at| self.published.get(at)) {
            if from < self.published.len() && file.count() > total * 2 {
                break;
            }
            total += file.count();
            from -= 1;
        }
        if self.published.len() - from < 2 {
            return Ok(());
        }
        let covers: Vec<Cover> = self.parts.covers()[from..].to_vec();
        let scratch = self.parts.scratch(0);
        let mut writer = IdFileWriter::create(&scratch)?;
        let files = self.published[from..].iter();
        merge(files, &IdBuckets::default(), &mut |entry| {
            writer.push(entry)
        })?;
        writer.finish(true)?;
        let merged = self.parts.merge(&covers, &scratch)?;
        self.published.truncate(from);
        self.published.push(IdFile::open(&self.parts.path(merged))?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;
    use xxhash_rust::xxh3::xxh3_128;

    fn entry(id: u64, content: u128) -> IdEntry {
        IdEntry::new(xxh3_128(&id.to_le_bytes()), content)
    }

    #[test]
    fn ids_count_for_others_only_once_their_run_is_published() {
        let dir = tempfile::tempdir().unwrap();
        let mut ids = KnownIds::open(dir.path(), 0, true).unwrap();
        for id in 0..10 {
            assert_eq!(ids.look(entry(id, 1)).unwrap(), Sighting::New);
            ids.add(entry(id, 1)).unwrap();
        }
        assert_eq!(ids.look(entry(3, 1)).unwrap(), Sighting::Same);
        assert_eq!(ids.look(entry(3, 2)).unwrap(), Sighting::Other);
        assert!(ids.write(5).unwrap());
        ids.discard(5).unwrap();
        assert_eq!(ids.look(entry(3, 1)).unwrap(), Sighting::New);
        ids.add(entry(3, 1)).unwrap();
        ids.write(7).unwrap();
        // The process ends here, and the log has no end of run 7.
        let mut ids = KnownIds::open(dir.path(), 0, true).unwrap();
        assert_eq!(ids.look(entry(3, 1)).unwrap(), Sighting::New);
        ids.add(entry(3, 1)).unwrap();
        ids.write(9).unwrap();
        // This time it has.
        let ids = KnownIds::open(dir.path(), 9, true).unwrap();
        assert_eq!(ids.look(entry(3, 1)).unwrap(), Sighting::Same);
        assert_eq!(ids.look(entry(4, 1)).unwrap(), Sighting::New);
    }

    #[test]
    fn files_stay_few_and_nothing_is_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let mut ids = KnownIds::open(dir.path(), 0, true).unwrap();
        for run in 1..=100 {
            ids.add(entry(run, u128::from(run))).unwrap();
            ids.spill().unwrap();
            ids.add(entry(1000 + run, 0)).unwrap();
            assert!(ids.write(run).unwrap());
            ids.publish(run).unwrap();
        }
        assert!(ids.published.len() < 8, "{}", ids.published.len());
        let ids = KnownIds::open(dir.path(), 100, true).unwrap();
        for run in 1..=100 {
            let own = entry(run, u128::from(run));
            assert_eq!(ids.look(own).unwrap(), Sighting::Same);
            assert_eq!(ids.look(entry(run, 1 << 40)).unwrap(), Sighting::Other);
        }
        assert_eq!(ids.look(entry(5000, 0)).unwrap(), Sighting::New);
    }
}
