//! Rows of a page that is not judged yet: those of a few mebibytes in memory, those of a larger page in a file.
//!
//! The file has no name while it is in use, so that it goes with the process, however that ends.

use std::io;
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_64;

use super::parts::Pending;
use lakehook_base::files::{Disk, File as _, Files, remove_if_there, temporary_name};
use lakehook_base::record::{Identity, Row, RowKind, Rows};

/// Most bytes of rows that are held in memory.
const MAX_MEMORY: usize = 8 << 20;

/// What is held back of a page, in order.
#[derive(Default)]
pub(super) struct Held {
    pieces: Vec<Piece>,
    /// Records of all pieces.
    records: u64,
    /// Bytes of the rows that are in memory.
    in_memory: usize,
    file: Option<Spool>,
}

/// A part of a page. If its rows are in the file, `pending` has none.
struct Piece {
    pending: Pending,
    spooled: Option<Spooled>,
}

/// Where rows are in the file, and their hash.
#[derive(Clone, Copy)]
struct Spooled {
    at: u64,
    bytes: usize,
    hash: u64,
}

struct Spool {
    file: <Disk as Files>::File,
    end: u64,
}

impl Held {
    /// The parts, some of them without their rows.
    pub(super) fn parts(&self) -> impl Iterator<Item = &Pending> {
        self.pieces.iter().map(|piece| &piece.pending)
    }

    /// Records of all parts.
    pub(super) fn records(&self) -> u64 {
        self.records
    }

    /// Holds a further part. If memory does not suffice, rows are written into a file in this directory.
    pub(super) fn push(&mut self, pending: Pending, dir: &Path, name: &str) -> io::Result<()> {
        self.in_memory += pending.rows.bytes.len();
        self.records += pending.records;
        self.pieces.push(Piece {
            pending,
            spooled: None,
        });
        if self.in_memory < MAX_MEMORY {
            return Ok(());
        }
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(Spool::create(dir, name)?),
        };
        for piece in self
            .pieces
            .iter_mut()
            .filter(|piece| piece.spooled.is_none())
        {
            piece.spooled = Some(file.write(&piece.pending.rows)?);
            piece.pending.rows = Rows::default();
        }
        self.in_memory = 0;
        Ok(())
    }

    /// Takes all parts out, each with its rows.
    pub(super) fn take(&mut self) -> impl Iterator<Item = io::Result<Pending>> + use<> {
        let Self { pieces, file, .. } = std::mem::take(self);
        pieces.into_iter().map(move |piece| {
            let Piece {
                mut pending,
                spooled,
            } = piece;
            if let (Some(spooled), Some(file)) = (spooled, &file) {
                pending.rows = file.read(spooled)?;
            }
            Ok(pending)
        })
    }
}

impl Spool {
    fn create(dir: &Path, name: &str) -> io::Result<Self> {
        let path: PathBuf = temporary_name(&dir.join(format!("held-{name}")));
        remove_if_there(&Disk, &path)?;
        let file = Disk.create_new(&path)?;
        Disk.remove(&path)?;
        Ok(Self { file, end: 0 })
    }

    fn write(&mut self, rows: &Rows) -> io::Result<Spooled> {
        let bytes = encode(rows);
        self.file.write_all_at(&bytes, self.end)?;
        let spooled = Spooled {
            at: self.end,
            bytes: bytes.len(),
            hash: xxh3_64(&bytes),
        };
        self.end += bytes.len() as u64;
        Ok(spooled)
    }

    fn read(&self, spooled: Spooled) -> io::Result<Rows> {
        let mut bytes = vec![0; spooled.bytes];
        self.file.read_exact_at(&mut bytes, spooled.at)?;
        let rows = decode(&bytes).filter(|_| xxh3_64(&bytes) == spooled.hash);
        rows.ok_or_else(|| {
            io::Error::other("the rows that were read are not those that were written")
        })
    }
}

fn encode(rows: &Rows) -> Vec<u8> {
    let mut out = Vec::with_capacity(rows.bytes.len() + 32 * rows.rows.len() + 1024);
    put_count(&mut out, rows.partitions.len());
    for partition in &rows.partitions {
        put_bytes(&mut out, partition.as_bytes());
    }
    put_count(&mut out, rows.rows.len());
    for row in &rows.rows {
        put_count(&mut out, row.end);
        out.extend_from_slice(&row.lsn_at.to_le_bytes());
        out.extend_from_slice(&row.partition.to_le_bytes());
        match row.kind {
            RowKind::Record(identity) => {
                out.push(0);
                put_identity(&mut out, identity);
            }
            RowKind::Snapshot => out.push(1),
            RowKind::Quarantined => out.push(2),
            RowKind::Refused => out.push(3),
        }
    }
    put_count(&mut out, rows.former.len());
    for identity in &rows.former {
        put_identity(&mut out, *identity);
    }
    out.push(u8::from(rows.changed_is_duplicate));
    put_bytes(&mut out, &rows.bytes);
    out
}

fn put_count(out: &mut Vec<u8>, count: usize) {
    out.extend_from_slice(&(count as u64).to_le_bytes());
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_count(out, bytes.len());
    out.extend_from_slice(bytes);
}

fn put_identity(out: &mut Vec<u8>, identity: Identity) {
    out.extend_from_slice(&identity.tag.to_le_bytes());
    out.extend_from_slice(&identity.content.to_le_bytes());
}

fn decode(bytes: &[u8]) -> Option<Rows> {
    let mut left = Left(bytes);
    let mut rows = Rows::default();
    for _ in 0..left.count()? {
        let partition = left.bytes()?.to_vec();
        rows.partitions.push(String::from_utf8(partition).ok()?);
    }
    for _ in 0..left.count()? {
        rows.rows.push(Row {
            end: left.count()?,
            lsn_at: u32::from_le_bytes(left.array()?),
            partition: u32::from_le_bytes(left.array()?),
            kind: match left.array::<1>()? {
                [0] => RowKind::Record(left.identity()?),
                [1] => RowKind::Snapshot,
                [2] => RowKind::Quarantined,
                _ => RowKind::Refused,
            },
        });
    }
    for _ in 0..left.count()? {
        rows.former.push(left.identity()?);
    }
    rows.changed_is_duplicate = left.array::<1>()? == [1];
    rows.bytes = left.bytes()?.to_vec();
    left.0.is_empty().then_some(rows)
}

/// Bytes that are not decoded yet.
struct Left<'b>(&'b [u8]);

impl<'b> Left<'b> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*first)
    }

    fn count(&mut self) -> Option<usize> {
        usize::try_from(u64::from_le_bytes(self.array()?)).ok()
    }

    fn bytes(&mut self) -> Option<&'b [u8]> {
        let count = self.count()?;
        let (first, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(first)
    }

    fn identity(&mut self) -> Option<Identity> {
        Some(Identity {
            tag: u64::from_le_bytes(self.array()?),
            content: u32::from_le_bytes(self.array()?),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;

    fn rows(seed: u64) -> Rows {
        let identity = Identity {
            tag: seed,
            content: 7,
        };
        let mut rows = Rows::default();
        for (partition, kind) in [
            ("orders/dt=2026-11-20", RowKind::Record(identity)),
            ("quarantine/orders/dt=2026-11-20", RowKind::Quarantined),
            ("orders/dt=2026-11-20", RowKind::Snapshot),
        ] {
            let byte = u8::try_from(seed).unwrap();
            rows.bytes.resize(rows.bytes.len() + (1 << 20), byte);
            let partition = rows.partition(partition);
            rows.finish_row(3, partition, kind);
        }
        rows.former.push(identity);
        rows
    }

    #[test]
    fn rows_come_back_as_they_were_from_memory_and_from_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let mut held = Held::default();
        for seed in 0..8 {
            let pending = Pending {
                rows: rows(seed),
                records: seed,
                ..Pending::default()
            };
            held.push(pending, dir.path(), "orders").unwrap();
            let in_memory = held
                .parts()
                .map(|part| part.rows.bytes.len())
                .sum::<usize>();
            assert!(in_memory < MAX_MEMORY, "{in_memory}");
        }
        assert!(Disk.list(dir.path()).unwrap().is_empty());
        let records: Vec<u64> = held.parts().map(|part| part.records).collect();
        assert_eq!(records, [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(held.records(), 28);
        for (seed, pending) in (0..).zip(held.take()) {
            assert_eq!(pending.unwrap().rows, rows(seed));
        }
        assert_eq!((held.parts().count(), held.records()), (0, 0));
    }

    #[test]
    fn what_is_cut_is_not_taken_for_rows() {
        let bytes = encode(&rows(1));
        assert_eq!(decode(&bytes), Some(rows(1)));
        for end in [0, 1, 100, bytes.len() - 1] {
            assert_eq!(decode(&bytes[..end]), None, "{end}");
        }
    }
}
