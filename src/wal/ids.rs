//! Id files: the identities of one closed segment, sorted by tag, immutable.
//!
//! They bring the dedup window back after a restart, when the segments themselves are gone.

use std::io;
use std::path::Path;

use super::layout::{crc32c, ids_path};
use crate::clock::Micros;
use crate::files::{Files, read_whole, write_durably};
use crate::record::Identity;

const MAGIC: &[u8; 8] = b"LHIDS\0\0\x01";
const HEADER: usize = 40;
const ENTRY: usize = 12;
/// No segment holds so many records that its ids take more.
const MAX_BYTES: u64 = 1 << 30;

/// The identities of one segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SegmentIds {
    /// The newest `received_at` among them.
    pub newest_received: Micros,
    /// The identities.
    pub identities: Vec<Identity>,
}

/// Writes the ids of a segment durably; returns the file's size. That it is there already is fine:
/// a segment that is closed never changes.
pub fn write<F: Files>(
    files: &F,
    dir: &Path,
    segment: u64,
    ids: &mut SegmentIds,
) -> io::Result<u64> {
    ids.identities
        .sort_unstable_by_key(|identity| (identity.tag, identity.content));
    let bytes = encode(segment, ids);
    match write_durably(files, &ids_path(dir, segment), &bytes) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => files.sync_dir(dir)?,
        written => written?,
    }
    Ok(bytes.len() as u64)
}

/// Reads the ids of a segment.
pub fn read<F: Files>(files: &F, dir: &Path, segment: u64) -> io::Result<SegmentIds> {
    let path = ids_path(dir, segment);
    let bytes = read_whole(files, &path, MAX_BYTES)?;
    decode(segment, &bytes).ok_or_else(|| {
        let message = format!("{} is damaged", path.display());
        io::Error::new(io::ErrorKind::InvalidData, message)
    })
}

/// How many identities a file of that size holds.
pub fn count_of(bytes: u64) -> u64 {
    bytes.saturating_sub(HEADER as u64) / ENTRY as u64
}

fn encode(segment: u64, ids: &SegmentIds) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER + ids.identities.len() * ENTRY);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&[0; 8]);
    bytes.extend_from_slice(&segment.to_le_bytes());
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

fn decode(segment: u64, bytes: &[u8]) -> Option<SegmentIds> {
    let word = |at: usize| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
    let crc = u32::from_le_bytes(bytes.get(8..12)?.try_into().ok()?);
    let entries = bytes.get(HEADER..)?;
    let whole = bytes.starts_with(MAGIC)
        && crc == crc32c(&bytes[16..])
        && word(16)? == segment
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
    whole.then(|| SegmentIds {
        newest_received: Micros(word(32).unwrap_or(0).cast_signed()),
        identities: entries.iter().filter_map(identity).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Disk;

    #[test]
    fn ids_round_trip_and_damage_is_found() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let identities = vec![
            Identity { tag: 9, content: 1 },
            Identity { tag: 2, content: 7 },
        ];
        let mut ids = SegmentIds {
            newest_received: Micros(-5),
            identities,
        };
        let bytes = write(&Disk, dir.path(), 3, &mut ids)?;
        assert_eq!(write(&Disk, dir.path(), 3, &mut ids)?, bytes);
        assert_eq!(
            (count_of(bytes), read(&Disk, dir.path(), 3)?),
            (2, ids.clone())
        );

        let whole = encode(3, &ids);
        for at in [0, 9, 16, 30, whole.len() - 1] {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            assert_eq!(decode(3, &damaged), None, "byte {at}");
        }
        assert_eq!(decode(4, &whole), None);
        assert_eq!(decode(3, &whole[..whole.len() - 1]), None);
        Ok(())
    }
}
