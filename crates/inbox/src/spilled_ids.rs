//! Ids of the run under way that no longer fit into memory: a file of them, bucket by bucket.

use std::io;
use std::path::Path;

use super::id_buckets::{BUCKETS, IdBuckets, bucket_of, find_in};
use super::id_entry::IdEntry;
use super::id_file::{IdFile, IdFileWriter};

/// A file of ids that are sorted by bucket, but not within one.
#[derive(Debug)]
pub(crate) struct SpilledIds {
    pub(crate) file: IdFile,
    /// The number of the first entry of each bucket, and that of all entries.
    starts: Vec<u32>,
}

impl SpilledIds {
    /// Writes ids into a new file.
    pub(crate) fn write(ids: &IdBuckets, path: &Path) -> io::Result<Self> {
        let mut writer = IdFileWriter::create(path)?;
        let mut starts = Vec::with_capacity(BUCKETS + 1);
        let mut count = 0;
        for bucket in 0..BUCKETS {
            let own = ids.bucket(bucket);
            starts.push(count);
            count += u32::try_from(own.len()).map_err(io::Error::other)?;
            own.iter().try_for_each(|entry| writer.push(*entry))?;
        }
        starts.push(count);
        writer.finish(false)?;
        let file = IdFile::open(path)?;
        Ok(Self { file, starts })
    }

    /// The entry of an id.
    pub(crate) fn find(&self, id: u128) -> io::Result<Option<IdEntry>> {
        let bucket = bucket_of(id);
        let (start, end) = (self.starts[bucket], self.starts[bucket + 1]);
        let entries = self.file.read(start.into(), u64::from(end - start))?;
        Ok(find_in(&entries, id))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;
    use xxhash_rust::xxh3::xxh3_128;

    #[test]
    fn every_id_is_found_and_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let entry = |number: u64| IdEntry::new(xxh3_128(&number.to_le_bytes()), number.into());
        for count in [0, 1, 20_000] {
            let mut ids = IdBuckets::default();
            (0..count).for_each(|number| ids.insert(entry(number)));
            let spilled = SpilledIds::write(&ids, &dir.path().join("ids")).unwrap();
            for number in 0..count.min(500) {
                let found = spilled.find(entry(number).id()).unwrap();
                assert_eq!(found, Some(entry(number)));
            }
            for number in 30_000..30_500 {
                assert_eq!(spilled.find(entry(number).id()).unwrap(), None);
            }
        }
    }
}
