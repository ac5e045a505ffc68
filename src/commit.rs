//! The commit protocol: a sealed batch becomes one object in the lake, and the log is told.
//!
//! seal → read the rows back → encode into a spool file → put → commit. Every step can be taken again
//! after a crash or a lost answer: the seal fixes members and key, a put that was applied is recognised
//! as ours, and only then is the commit appended, which lets the log trim.

use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use crate::batch::Sums;
use crate::encode::{Encoder, Format, Making};
use crate::files::{Appender, File, Files, create_dir_durably, remove_if_there};
use crate::ids::NodeId;
use crate::lake::{CRC, Found, Lake, LakeError, Metadata, NONCE, Object, ROW_HASH};
use crate::record::row_hash;
use crate::tables::Tables;
use crate::wal::entry::{Commit, Seal};
use crate::wal::journal::local::LocalFrames;
use crate::wal::journal::seam::Frames;
use crate::wal::rows::{BatchReader, RowsError};
use crate::wal::state::SealAt;

/// Why a batch is not in the lake yet.
#[derive(Debug, thiserror::Error)]
pub enum ShipError {
    /// The lake, or local storage, says no for now: to be tried again, for ever.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// The object cannot be written locally.
    #[error("failed to spool an object: {0}")]
    Spool(#[from] io::Error),
    /// The log no longer holds the rows, and the lake does not have the object: this batch is held,
    /// and the others go on.
    #[error("{0}; this batch is held back, and its records are not in the lake")]
    Held(String),
}

/// Ships sealed batches.
pub struct Shipper<F: Files, R: Frames = LocalFrames<F>> {
    pub(crate) files: F,
    pub(crate) node: NodeId,
    pub(crate) reader: BatchReader<R>,
    pub(crate) lake: Arc<Lake<F>>,
    pub(crate) tables: Arc<Tables>,
}

/// A batch on its way: what was done need not be done again.
#[derive(Debug)]
pub struct Shipment {
    number: u64,
    at: SealAt,
    object: Option<Object>,
    /// The object is in the lake; its local file may be gone.
    done: Option<Commit>,
    /// Reads of the log that the operating system refused.
    failed_reads: u32,
}

/// So often a batch is read again before it is held: out of file descriptors is no damage.
const MAX_FAILED_READS: u32 = 5;

impl Shipment {
    /// Of a seal that is durable at that place.
    pub fn new(number: u64, at: SealAt) -> Self {
        Self {
            number,
            at,
            object: None,
            done: None,
            failed_reads: 0,
        }
    }

    /// What follows from a batch that could not be read back.
    fn failed(&mut self, error: RowsError) -> ShipError {
        match error {
            RowsError::Sink(error) => error.into(),
            RowsError::Read { .. } if self.failed_reads < MAX_FAILED_READS => {
                self.failed_reads += 1;
                io::Error::other(error).into()
            }
            error => ShipError::Held(error.to_string()),
        }
    }

    /// Number of the seal.
    pub fn number(&self) -> u64 {
        self.number
    }
}

impl<F: Files> Shipper<F> {
    /// From the log in `wal_dir` to the lake.
    pub fn new(
        files: F,
        wal_dir: &Path,
        node: NodeId,
        lake: Arc<Lake<F>>,
        tables: Arc<Tables>,
    ) -> Self {
        let frames = LocalFrames::new(files.clone(), wal_dir);
        Self::of(files, frames, node, lake, tables)
    }
}

impl<F: Files, R: Frames> Shipper<F, R> {
    /// From the log with these frames to the lake.
    pub fn of(files: F, frames: R, node: NodeId, lake: Arc<Lake<F>>, tables: Arc<Tables>) -> Self {
        let reader = BatchReader::of(frames);
        Self {
            files,
            node,
            reader,
            lake,
            tables,
        }
    }

    /// One attempt: [`Shipper::prepare`] and [`Shipper::put`].
    pub fn attempt(&self, shipment: &mut Shipment) -> Result<Commit, ShipError> {
        self.prepare(shipment)?;
        self.put(shipment)
    }

    /// Writes the object into a local file, unless that was done before.
    pub fn prepare(&self, shipment: &mut Shipment) -> Result<(), ShipError> {
        // The local file may have been cleaned away; then it is written again.
        let is_written = |object: &Object| self.files.exists(&object.spool);
        if shipment.done.is_some() || shipment.object.as_ref().is_some_and(is_written) {
            return Ok(());
        }
        self.lake.probe()?;
        let read = self.reader.seal(shipment.number, shipment.at);
        let seal = read.map_err(|error| shipment.failed(error))?;
        match self.spool(&seal) {
            Ok(object) => shipment.object = Some(object),
            Err(error @ RowsError::Unreadable { .. }) => {
                shipment.done = Some(self.ask_the_lake(&seal, error.to_string())?);
            }
            Err(error) => return Err(shipment.failed(error)),
        }
        Ok(())
    }

    /// Puts what was prepared. The commit is to be appended to the log; until it is durable, further
    /// puts end with the same.
    pub fn put(&self, shipment: &mut Shipment) -> Result<Commit, ShipError> {
        let commit = match (&shipment.done, &shipment.object) {
            (Some(commit), _) => *commit,
            (None, Some(object)) => {
                let Found { bytes, crc } = self.lake.put(object)?;
                Commit {
                    seal: shipment.number,
                    bytes,
                    crc,
                }
            }
            (None, None) => return Err(io::Error::other("nothing was prepared").into()),
        };
        shipment.done = Some(commit);
        Ok(commit)
    }

    /// The rows are gone; but perhaps the object had been put before.
    fn ask_the_lake(&self, seal: &Seal, detail: String) -> Result<Commit, ShipError> {
        match self.lake.find(&seal.key, &nonce_of(seal), &hash_of(seal))? {
            Some(found) => Ok(Commit {
                seal: seal.number,
                bytes: found.bytes,
                crc: found.crc,
            }),
            None => Err(ShipError::Held(detail)),
        }
    }

    /// Writes the object into a local file, and holds what was read against the seal.
    fn spool(&self, seal: &Seal) -> Result<Object, RowsError> {
        let Some(format) = Format::parse(&seal.format) else {
            let detail = format!("this program has no format {}", seal.format);
            return Err(self.unreadable(seal, detail));
        };
        let path = self.lake.spool_path(self.node, seal.number, seal.nonce);
        create_dir_durably(&self.files, self.lake.spool_dir(), true)?;
        remove_if_there(&self.files, &path)?;
        let file = Arc::new(self.files.create_new(&path)?);
        let out =
            BufWriter::with_capacity(256 << 10, Checksummed::new(Appender::new(file.clone())));
        let making = Making {
            format,
            table: self.tables.of(&seal.partition),
            rows: seal.sums.count,
            path: &path,
        };
        let mut encoder = Encoder::new(&making, out, self.files.clone())?;
        let mut sums = Sums::default();
        let read = self.reader.for_each_row(seal, |lsn, row| {
            sums.add(&Sums {
                count: 1,
                bytes: row.bytes.len() as u64 + 1,
                row_hash: row_hash(row.bytes),
                lsn_hash: lsn.hash(),
            });
            encoder.row(lsn, row.lsn_at, row.bytes)
        });
        read?;
        if sums != seal.sums {
            let detail = "they are not those that it covers".to_owned();
            return Err(self.unreadable(seal, detail));
        }
        let out = encoder
            .finish()?
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?;
        let (bytes, crc) = (out.inner.written(), out.crc());
        file.sync()?;
        let metadata = metadata_of(seal, self.node, crc);
        Ok(Object {
            key: seal.key.clone(),
            spool: path,
            bytes,
            crc,
            format,
            content_type: format.content_type(),
            metadata,
        })
    }

    fn unreadable(&self, seal: &Seal, detail: String) -> RowsError {
        RowsError::Unreadable {
            seal: seal.number,
            source_name: self.reader.name(),
            detail,
        }
    }
}

fn nonce_of(seal: &Seal) -> String {
    format!("{:032x}", seal.nonce)
}

fn hash_of(seal: &Seal) -> String {
    format!("{:032x}", seal.sums.row_hash)
}

/// What every object says of itself and of its node's log as of its seal: enough to audit the lake
/// from listings alone. Sums are modulo 2^128, in hex; counts are decimal.
fn metadata_of(seal: &Seal, node: NodeId, crc: u32) -> Metadata {
    let as_of = &seal.as_of;
    let totals = &as_of.totals;
    let hex = |value: u128| format!("{value:032x}");
    let pairs = [
        ("lakehook-node", node.to_string()),
        ("lakehook-seal", seal.number.to_string()),
        (NONCE, nonce_of(seal)),
        ("lakehook-partition", seal.partition.clone()),
        ("lakehook-first-lsn", seal.first_lsn.to_string()),
        ("lakehook-last-lsn", seal.last_lsn.to_string()),
        ("lakehook-count", seal.sums.count.to_string()),
        (ROW_HASH, hash_of(seal)),
        ("lakehook-lsn-hash", hex(seal.sums.lsn_hash)),
        (CRC, format!("{crc:08x}")),
        ("lakehook-as-of-lsn", as_of.lsn.to_string()),
        ("lakehook-as-of-lsn-hash", hex(as_of.lsn_hash)),
        (
            "lakehook-as-of-open",
            format!("{} {}", as_of.open.count, hex(as_of.open.hash)),
        ),
        (
            "lakehook-as-of-void",
            format!("{} {}", as_of.void.count, hex(as_of.void.hash)),
        ),
        ("lakehook-as-of-watermark", as_of.watermark.to_string()),
        ("lakehook-total-received", totals.received.to_string()),
        ("lakehook-total-stored", totals.stored.to_string()),
        ("lakehook-total-dropped", totals.dropped.to_string()),
        ("lakehook-total-duplicate", totals.duplicate.to_string()),
        ("lakehook-total-quarantined", totals.quarantined.to_string()),
        ("lakehook-total-refused", totals.refused.to_string()),
    ];
    pairs
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// Computes the checksum of what passes through.
struct Checksummed<W> {
    inner: W,
    digest: crc_fast::Digest,
}

impl<W> Checksummed<W> {
    fn new(inner: W) -> Self {
        Self {
            inner,
            digest: crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi),
        }
    }

    fn crc(&self) -> u32 {
        // A 32-bit checksum comes in the low half.
        (self.digest.finalize() & u64::from(u32::MAX)) as u32
    }
}

impl<W: Write> Write for Checksummed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.digest.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
