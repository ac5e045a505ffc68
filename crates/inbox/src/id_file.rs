//! Ids in a file, sorted by their hashes: 80 bits of the hash of each id, and 48 of that of its record's content.
//!
//! Hashes are spread evenly, so that a guess finds the place of an id with two or three small reads. Two different
//! ids are taken for one with a probability of n² / 2^81 among n ids.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;

use super::id_buckets::{BUCKETS, IdBuckets, bucket_of};
use super::id_entry::{ID_BITS, IdEntry};
use lakehook_base::files::{Appender, Disk, File as _, Files as _, Reader, remove_if_there};

const ENTRY: u64 = 16;
/// Entries that are read at once.
const PAGE: u64 = 256;
/// Entries that are read at once where all of them are read.
const READ_PAGE: u64 = 4 << 10;
const BUFFER: usize = 256 << 10;
/// The checksum at the end.
const TAIL: u64 = 4;

/// A file of ids that is open.
#[derive(Clone, Debug)]
pub(crate) struct IdFile {
    file: Arc<File>,
    count: u64,
}

impl IdFile {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = Disk.open(path)?;
        let bytes = file.len()?;
        if bytes < TAIL || !(bytes - TAIL).is_multiple_of(ENTRY) {
            let message = format!("{} is damaged: it has {bytes} bytes", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        Ok(Self {
            file: Arc::new(file),
            count: (bytes - TAIL) / ENTRY,
        })
    }

    /// Number of ids.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// The entry of an id.
    pub(crate) fn find(&self, id: u128) -> io::Result<Option<IdEntry>> {
        let (mut low, mut high) = (0, self.count);
        let mut guess = self.scaled(id);
        while low < high {
            let start = guess.saturating_sub(PAGE / 2).clamp(low, high - 1);
            let count = PAGE.min(high - start);
            let entries = self.read(start, count)?;
            match entries.binary_search_by_key(&id, |entry| entry.id()) {
                Ok(at) => return Ok(Some(entries[at])),
                Err(0) => {
                    let first = entries.first().map_or(0, |entry| entry.id());
                    high = start;
                    guess = start.saturating_sub(self.scaled(first - id).max(1));
                }
                Err(at) if at == entries.len() => {
                    let last = entries.last().map_or(0, |entry| entry.id());
                    low = start + count;
                    guess = low + self.scaled(id - last);
                }
                Err(_) => return Ok(None),
            }
        }
        Ok(None)
    }

    /// Reads that many entries from one on.
    pub(crate) fn read(&self, start: u64, count: u64) -> io::Result<Vec<IdEntry>> {
        let mut bytes = vec![0; (count * ENTRY) as usize];
        self.file.read_exact_at(&mut bytes, start * ENTRY)?;
        Ok(bytes.chunks_exact(16).map(entry_of).collect())
    }

    /// How many of the entries are in a part of the range of hashes, if hashes are spread evenly.
    fn scaled(&self, part: u128) -> u64 {
        let part = u64::try_from(part >> (ID_BITS - 64)).unwrap_or(u64::MAX);
        let scaled = u128::from(part) * u128::from(self.count);
        u64::try_from(scaled >> 64).unwrap_or(u64::MAX)
    }

    /// Passes all entries to `see`, in order. Fails if the file is damaged.
    pub(crate) fn each(&self, see: &mut dyn FnMut(IdEntry)) -> io::Result<()> {
        let mut entries = Entries::new(self)?;
        while let Some(entry) = entries.next()? {
            see(entry);
        }
        entries.check()
    }
}

fn entry_of(bytes: &[u8]) -> IdEntry {
    let mut own = [0; 16];
    own.copy_from_slice(bytes);
    IdEntry::from_bytes(own)
}

/// Reads the entries of a file in order.
struct Entries {
    input: Reader<Arc<File>>,
    /// Entries that are read and not passed on yet.
    page: Vec<u8>,
    at: usize,
    left: u64,
    digest: crc_fast::Digest,
}

impl Entries {
    fn new(file: &IdFile) -> io::Result<Self> {
        Ok(Self {
            input: Reader::new(Arc::clone(&file.file))?,
            page: Vec::new(),
            at: 0,
            left: file.count,
            digest: digest(),
        })
    }

    fn next(&mut self) -> io::Result<Option<IdEntry>> {
        if self.at == self.page.len() && !self.read_page()? {
            return Ok(None);
        }
        let entry = entry_of(&self.page[self.at..self.at + 16]);
        self.at += 16;
        Ok(Some(entry))
    }

    /// Reads more entries; `false` at the end.
    fn read_page(&mut self) -> io::Result<bool> {
        let count = self.left.min(READ_PAGE);
        self.page.resize((count * ENTRY) as usize, 0);
        self.at = 0;
        self.input.read_exact(&mut self.page)?;
        self.digest.update(&self.page);
        self.left -= count;
        Ok(count > 0)
    }

    /// Takes the entries of a bucket, which come next if there are any.
    fn take_bucket(&mut self, bucket: usize, taken: &mut Vec<IdEntry>) -> io::Result<()> {
        loop {
            let rest = self.page[self.at..].chunks_exact(16).map(entry_of);
            let before = taken.len();
            taken.extend(rest.take_while(|entry| bucket_of(entry.id()) == bucket));
            self.at += (taken.len() - before) * 16;
            if self.at < self.page.len() || !self.read_page()? {
                return Ok(());
            }
        }
    }

    fn check(mut self) -> io::Result<()> {
        let damaged = |what: &str| {
            let message = format!("a file of ids is damaged: {what}");
            Err(io::Error::new(io::ErrorKind::InvalidData, message))
        };
        if self.left > 0 || self.at < self.page.len() {
            return damaged("its entries are in no order");
        }
        let mut tail = [0; 4];
        self.input.read_exact(&mut tail)?;
        if tail == sum_of(&self.digest) {
            return Ok(());
        }
        damaged("its checksum differs")
    }
}

fn digest() -> crc_fast::Digest {
    crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi)
}

fn sum_of(digest: &crc_fast::Digest) -> [u8; 4] {
    let sum = digest.finalize() & u64::from(u32::MAX);
    u32::try_from(sum).unwrap_or(0).to_le_bytes()
}

/// Writes sorted entries into a new file.
pub(crate) struct IdFileWriter {
    file: Arc<File>,
    out: Appender<File>,
    /// Entries that are not written yet.
    page: Vec<u8>,
    digest: crc_fast::Digest,
}

impl IdFileWriter {
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        remove_if_there(&Disk, path)?;
        let file = Arc::new(Disk.create_new(path)?);
        Ok(Self {
            out: Appender::new(Arc::clone(&file)),
            file,
            page: Vec::with_capacity(BUFFER),
            digest: digest(),
        })
    }

    pub(crate) fn push(&mut self, entry: IdEntry) -> io::Result<()> {
        self.page.extend_from_slice(&entry.to_bytes());
        if self.page.len() < BUFFER {
            return Ok(());
        }
        self.write_page()
    }

    fn write_page(&mut self) -> io::Result<()> {
        self.digest.update(&self.page);
        self.out.write_all(&self.page)?;
        self.page.clear();
        Ok(())
    }

    /// Writes the end; if `durably`, the file is on disk afterwards.
    pub(crate) fn finish(mut self, durably: bool) -> io::Result<()> {
        self.write_page()?;
        self.out.write_all(&sum_of(&self.digest))?;
        if durably { self.file.sync() } else { Ok(()) }
    }
}

/// Passes the entries of all files and those in memory to `see`, in order. In each file, they must be sorted by
/// bucket at least.
pub(crate) fn merge<'f>(
    files: impl Iterator<Item = &'f IdFile>,
    memory: &IdBuckets,
    see: &mut dyn FnMut(IdEntry) -> io::Result<()>,
) -> io::Result<()> {
    let readers: io::Result<Vec<Entries>> = files.map(Entries::new).collect();
    let mut readers = readers?;
    let mut entries = Vec::new();
    for bucket in 0..BUCKETS {
        entries.extend_from_slice(memory.bucket(bucket));
        for reader in &mut readers {
            reader.take_bucket(bucket, &mut entries)?;
        }
        entries.sort_unstable();
        entries.drain(..).try_for_each(&mut *see)?;
    }
    readers.into_iter().try_for_each(Entries::check)
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::disallowed_methods,
        reason = "a failed unwrap is a failed test, and tests make their own files"
    )]
    use super::*;
    use xxhash_rust::xxh3::xxh3_128;

    fn entry(number: u64) -> IdEntry {
        IdEntry::new(xxh3_128(&number.to_le_bytes()), u128::from(number))
    }

    fn file_of(path: &Path, numbers: std::ops::Range<u64>) -> IdFile {
        let mut entries: Vec<IdEntry> = numbers.map(entry).collect();
        entries.sort_unstable();
        let mut writer = IdFileWriter::create(path).unwrap();
        for entry in entries {
            writer.push(entry).unwrap();
        }
        writer.finish(true).unwrap();
        IdFile::open(path).unwrap()
    }

    #[test]
    fn every_id_is_found_and_no_other() {
        let dir = tempfile::tempdir().unwrap();
        for count in [0, 1, 2, 255, 257, 50_000] {
            let file = file_of(&dir.path().join("ids"), 0..count);
            assert_eq!(file.count(), count);
            for number in (0..count).step_by(7) {
                let found = file.find(entry(number).id()).unwrap();
                assert_eq!(found, Some(entry(number)));
            }
            for number in 100_000..100_500 {
                assert_eq!(file.find(entry(number).id()).unwrap(), None);
            }
            assert_eq!(file.find(0).unwrap(), None);
            assert_eq!(file.find((1 << ID_BITS) - 1).unwrap(), None);
        }
    }

    #[test]
    fn files_are_merged_in_order_and_damage_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (dir.path().join("1"), dir.path().join("2"));
        let files = [file_of(&one, 0..1000), file_of(&two, 1000..3000)];
        let mut memory = IdBuckets::default();
        (3000..3500).for_each(|number| memory.insert(entry(number)));
        let mut all = Vec::new();
        let mut see = |entry| {
            all.push(entry);
            Ok(())
        };
        merge(files.iter(), &memory, &mut see).unwrap();
        assert!(all.is_sorted() && all.len() == 3500);
        let mut writer = IdFileWriter::create(&two).unwrap();
        let unsorted = all.iter().rev();
        unsorted.for_each(|entry| writer.push(*entry).unwrap());
        writer.finish(true).unwrap();
        let unsorted = IdFile::open(&two).unwrap();
        assert!(merge([unsorted].iter(), &memory, &mut |_| Ok(())).is_err());
        let mut bytes = std::fs::read(&one).unwrap();
        bytes[100] ^= 1;
        std::fs::write(&one, bytes).unwrap();
        let damaged = IdFile::open(&one).unwrap();
        assert!(damaged.each(&mut |_| {}).is_err());
        std::fs::write(&one, "short").unwrap();
        assert!(IdFile::open(&one).is_err());
    }
}
