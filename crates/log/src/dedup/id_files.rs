//! Id files: the identities of closed segments, sorted by tag, immutable.
//!
//! They hold most of the dedup window, long after the segments themselves are gone. Each closed
//! segment gets a file of its own; small files of removed segments are merged, so that a lookup has
//! few to search.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use lakehook_base::checksum::crc32c;
use lakehook_base::clock::Micros;
use lakehook_base::files::{Files, read_whole, write_durably};
use lakehook_base::record::Identity;

const MAGIC: &[u8; 8] = b"LHIDS\0\0\x01";
/// Bytes before the first entry.
pub(crate) const HEADER: usize = 40;
/// Bytes of an entry: tag and content.
pub(crate) const ENTRY: usize = 12;
/// Most bytes of a file that is read; the ids of one segment never take more.
const MAX_BYTES: u64 = 1 << 30;

/// Path of the id file of a range of segments, given as first and last.
pub fn ids_path(dir: &Path, segments: (u64, u64)) -> PathBuf {
    let (first, last) = segments;
    dir.join(if first == last {
        name_of(last)
    } else {
        format!("{first:020}-{last:020}.ids")
    })
}

/// Name of the id file of one segment.
pub(crate) fn name_of(segment: u64) -> String {
    format!("{segment:020}.ids")
}

/// The first and the last segment in the name of an id file.
pub fn ids_range_of(name: &str) -> Option<(u64, u64)> {
    let numbers = name.strip_suffix(".ids")?;
    let number = |digits: &str| digits.parse().ok().filter(|_| digits.len() == 20);
    match numbers.split_once('-') {
        None => number(numbers).map(|number| (number, number)),
        Some((first, last)) => {
            let range = (number(first)?, number(last)?);
            (range.0 < range.1).then_some(range)
        }
    }
}

/// An id file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdFile {
    /// The first segment whose ids it has.
    pub first: u64,
    /// The last segment whose ids it has.
    pub last: u64,
    /// Size of the file.
    pub bytes: u64,
}

impl IdFile {
    /// Number of identities in the file.
    pub fn count(&self) -> u64 {
        self.bytes.saturating_sub(HEADER as u64) / ENTRY as u64
    }

    /// Path of the file in the log's directory.
    pub fn path(&self, dir: &Path) -> PathBuf {
        ids_path(dir, (self.first, self.last))
    }
}

/// Id files by their last segment.
pub type IdFiles = BTreeMap<u64, IdFile>;

/// Adds a file to the others. Returns those that are needless because another one contains them
/// whole; `file` itself may be among them.
pub fn take(files: &mut IdFiles, file: IdFile) -> Vec<IdFile> {
    let outer = files.range(file.last..).next().map(|(_, outer)| *outer);
    if let Some(outer) = outer.filter(|outer| outer.first <= file.first) {
        return if outer == file {
            Vec::new()
        } else {
            vec![file]
        };
    }
    let inner: Vec<IdFile> = files
        .range(file.first..=file.last)
        .map(|(_, inner)| *inner)
        .filter(|inner| inner.first >= file.first)
        .collect();
    for inner in &inner {
        files.remove(&inner.last);
    }
    files.insert(file.last, file);
    inner
}

/// Lists the id files of a directory: those in force, and those that another one contains whole
/// because a merge was interrupted.
pub fn list<F: Files>(files: &F, dir: &Path) -> io::Result<(IdFiles, Vec<IdFile>)> {
    let (mut in_force, mut needless) = (IdFiles::new(), Vec::new());
    for entry in files.list(dir)? {
        if let Some((first, last)) = ids_range_of(&entry.name) {
            let bytes = entry.bytes;
            let file = IdFile { first, last, bytes };
            needless.append(&mut take(&mut in_force, file));
        }
    }
    Ok((in_force, needless))
}

/// The identities of segments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SegmentIds {
    /// The newest `received_at` among them.
    pub newest_received: Micros,
    /// The identities; in an id file they are sorted by tag.
    pub identities: Vec<Identity>,
}

/// Writes the ids of segments durably. An existing file is kept as it is: a closed segment never
/// changes.
pub fn write<F: Files>(
    files: &F,
    dir: &Path,
    (first, last): (u64, u64),
    ids: &mut SegmentIds,
) -> io::Result<IdFile> {
    ids.identities
        .sort_unstable_by_key(|identity| (identity.tag, identity.content));
    let bytes = encode(last, ids);
    match write_durably(files, &ids_path(dir, (first, last)), &bytes) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => files.sync_dir(dir)?,
        written => written?,
    }
    Ok(IdFile {
        first,
        last,
        bytes: bytes.len() as u64,
    })
}

/// Reads an id file, whole.
pub fn read<F: Files>(files: &F, dir: &Path, file: &IdFile) -> io::Result<SegmentIds> {
    let mut ids = SegmentIds::default();
    read_into(&mut ids, files, dir, file)?;
    Ok(ids)
}

/// Adds what is in an id file, in its order. If the file is damaged, nothing is added.
fn read_into<F: Files>(
    all: &mut SegmentIds,
    files: &F,
    dir: &Path,
    file: &IdFile,
) -> io::Result<()> {
    let path = file.path(dir);
    let bytes = read_whole(files, &path, MAX_BYTES)?;
    decode(file.last, &bytes, all).ok_or_else(|| {
        let message = format!("{} is damaged", path.display());
        io::Error::new(io::ErrorKind::InvalidData, message)
    })
}

/// Merges files that follow each other into one. The parts stay in place.
pub fn merge<F: Files>(
    files: &F,
    dir: &Path,
    parts: &[IdFile],
) -> io::Result<(IdFile, SegmentIds)> {
    let mut all = SegmentIds::default();
    let count: u64 = parts.iter().map(IdFile::count).sum();
    all.identities
        .reserve_exact(usize::try_from(count).unwrap_or(0));
    for part in parts {
        read_into(&mut all, files, dir, part)?;
    }
    let first = parts.first().map_or(0, |part| part.first);
    let last = parts.last().map_or(0, |part| part.last);
    let file = write(files, dir, (first, last), &mut all)?;
    Ok((file, all))
}

/// The bytes of the id file of the segments up to `last`.
pub(crate) fn encode(last: u64, ids: &SegmentIds) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER + ids.identities.len() * ENTRY);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&[0; 8]);
    bytes.extend_from_slice(&last.to_le_bytes());
    bytes.extend_from_slice(&(ids.identities.len() as u64).to_le_bytes());
    bytes.extend_from_slice(&ids.newest_received.0.to_le_bytes());
    for identity in &ids.identities {
        bytes.extend_from_slice(&identity.tag.to_le_bytes());
        bytes.extend_from_slice(&identity.content.to_le_bytes());
    }
    let crc = crc32c(&bytes[16..]);
    bytes[8..12].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// Adds the ids of a file of the segments up to `last`; `None`, and none of them, if it is damaged.
fn decode(last: u64, bytes: &[u8], all: &mut SegmentIds) -> Option<()> {
    let word = |at: usize| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
    let crc = u32::from_le_bytes(bytes.get(8..12)?.try_into().ok()?);
    let entries = bytes.get(HEADER..)?;
    let whole = bytes.starts_with(MAGIC)
        && crc == crc32c(&bytes[16..])
        && word(16)? == last
        && entries.len() as u64 == word(24)?.checked_mul(ENTRY as u64)?;
    let (entries, []) = entries.as_chunks::<ENTRY>() else {
        return None;
    };
    let identity = |entry: &[u8; ENTRY]| {
        let (tag, content) = entry.split_first_chunk::<8>()?;
        let content = content.first_chunk::<4>()?;
        Some(Identity {
            tag: u64::from_le_bytes(*tag),
            content: u32::from_le_bytes(*content),
        })
    };
    if !whole {
        return None;
    }
    let newest = Micros(word(32)?.cast_signed());
    all.newest_received = if all.identities.is_empty() {
        newest
    } else {
        all.newest_received.max(newest)
    };
    all.identities.reserve_exact(entries.len());
    all.identities.extend(entries.iter().filter_map(identity));
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use lakehook_base::files::Disk;

    fn ids(newest: i64, tags: &[u64]) -> SegmentIds {
        let identity = |tag: &u64| Identity {
            tag: *tag,
            content: 7,
        };
        SegmentIds {
            newest_received: Micros(newest),
            identities: tags.iter().map(identity).collect(),
        }
    }

    #[test]
    fn ids_round_trip_and_damage_is_found() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let mut ids = ids(-5, &[9, 2]);
        let file = write(&Disk, dir.path(), (3, 3), &mut ids)?;
        assert_eq!(write(&Disk, dir.path(), (3, 3), &mut ids)?, file);
        let read_back = read(&Disk, dir.path(), &file)?;
        assert_eq!((file.count(), read_back), (2, ids.clone()));

        let whole = encode(3, &ids);
        let mut none = SegmentIds::default();
        for at in [0, 9, 16, 30, whole.len() - 1] {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            assert_eq!(decode(3, &damaged, &mut none), None, "byte {at}");
        }
        assert_eq!(decode(4, &whole, &mut none), None);
        assert_eq!(decode(3, &whole[..whole.len() - 1], &mut none), None);
        assert_eq!(none, SegmentIds::default());
        Ok(())
    }

    #[test]
    fn merged_files_take_the_place_of_their_parts() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let first = write(&Disk, dir.path(), (3, 3), &mut ids(5, &[9, 2]))?;
        let second = write(&Disk, dir.path(), (4, 6), &mut ids(4, &[5]))?;
        let (merged, all) = merge(&Disk, dir.path(), &[first, second])?;
        assert_eq!((merged.first, merged.last), (3, 6));
        assert_eq!(all, ids(5, &[2, 5, 9]));
        assert_eq!(read(&Disk, dir.path(), &merged)?, all);
        // In whatever order they are met.
        for order in [
            [first, second, merged],
            [merged, first, second],
            [first, merged, second],
        ] {
            let mut files = IdFiles::new();
            let needless: Vec<IdFile> = order
                .iter()
                .flat_map(|file| take(&mut files, *file))
                .collect();
            assert_eq!(needless.len(), 2);
            assert_eq!(files.into_values().collect::<Vec<_>>(), [merged]);
        }
        Ok(())
    }
}
