//! The commit protocol: turns a sealed batch into one object of the lake, and appends the commit to the log.
//!
//! seal → read the rows back → encode → put → commit. Objects of lines are mostly copied from the log
//! ([`super::assembly`]); objects of columns are encoded into a spool file. Every step can be repeated after a
//! crash or a lost answer: the seal fixes members and key, and a put that took effect is recognised as ours.
//! Only then is the commit appended, after which the log may trim. This module makes one attempt; the threads
//! that ship repeat it.

use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::assembly::{Assembling, Underway, damage_of, is_damage};
use super::lake_check::LakeCheck;
use super::noted::{Noted, Numbered};
use crate::encode::{Codec, Encoder, Format, Layout, Memory, ObjectSpec};
use crate::files::{Appender, File, Files, create_dir_durably, remove_if_there};
use crate::ids::NodeId;
use crate::lake::stamp::{CountedLsns, LogState, RunningTotals, Stamp, hex};
use crate::lake::{Assembled, Found, Lake, LakeError, Object};
use crate::tables::{Settled, Table, Tables};
use crate::wal::batch::Sums;
use crate::wal::entry::{Commit, Seal};
use crate::wal::facts::{AsOf, LsnSet, Totals};
use crate::wal::journal::local::LocalFrames;
use crate::wal::journal::seam::Frames;
use crate::wal::rows::{BatchReader, Part, RowsError};
use crate::wal::state::SealAt;

/// Why a batch is not in the lake yet.
#[derive(Debug, thiserror::Error)]
pub enum ShipError {
    /// The lake refuses for now or cannot be reached; this is retried for ever.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// The object cannot be written locally.
    #[error("failed to spool an object: {0}")]
    Spool(#[from] io::Error),
    /// The log can no longer give the rows, and the lake does not have the object. This batch is held, and
    /// the others go on.
    #[error("{0}; this batch is held back, and its records are not in the lake")]
    Held(String),
    /// Another process may own the log now, and ships what is in it.
    #[error("this process no longer owns the log, so it puts nothing into the lake")]
    NotOurs,
}

/// Makes one attempt to ship a sealed batch or to carry out a publication.
pub struct Shipper<F: Files, R: Frames = LocalFrames<F>> {
    pub(super) files: F,
    pub(super) node: NodeId,
    pub(super) reader: BatchReader<R>,
    pub(super) lake: Arc<Lake<F>>,
    pub(super) tables: Arc<Tables>,
    pub(super) noted: Noted,
    pub(super) numbered: Numbered,
    check: Option<Arc<LakeCheck<F>>>,
    may_put: Option<MayPut>,
    /// Held while an object of columns is encoded. Encoders take more memory than anything else that ships, so
    /// one object is encoded while the other is uploaded, in the memory of the one before.
    encoding: Mutex<Memory>,
}

/// Whether this process still owns the log, and so may put what is in it into the lake.
pub type MayPut = Arc<dyn Fn() -> bool + Send + Sync>;

/// A batch on its way to the lake, and the results of earlier attempts.
#[derive(Debug)]
pub struct Shipment {
    number: u64,
    at: SealAt,
    object: Option<Object>,
    /// The commit for the log. If it is set, the object is in the lake and its local file may be gone.
    done: Option<Commit>,
    /// Key and number of rows, once the seal was read.
    what: Option<(String, u64)>,
    /// How many times reading the log failed.
    failed_reads: u32,
}

/// A batch is held after this many failed reads. Fewer may have a cause that passes, such as a lack of file
/// descriptors.
const MAX_FAILED_READS: u32 = 5;

impl Shipment {
    /// The batch of a seal, given the place of the seal in the log.
    pub fn new(number: u64, at: SealAt) -> Self {
        Self {
            number,
            at,
            object: None,
            done: None,
            what: None,
            failed_reads: 0,
        }
    }

    /// Decides what it means for the attempt that the batch could not be read back.
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

    /// Whether its object cannot be made for now though its seal was read: it waits for something of its stream.
    pub(super) fn waits_for_its_stream(&self) -> bool {
        self.what.is_some() && self.object.is_none() && self.done.is_none()
    }

    /// The number of the seal.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The object's key and the number of its rows, once the seal was read.
    pub(super) fn what(&self) -> Option<(&str, u64)> {
        self.what.as_ref().map(|(key, rows)| (&**key, *rows))
    }
}

/// What an object adds up to, its size and checksum, and its bytes if they are not in the file.
type Made = (Sums, Found, Option<Arc<dyn Assembled>>);

impl<F: Files> Shipper<F> {
    /// Ships from the log in `wal_dir` to the lake.
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
    /// Ships from the log with these frames to the lake.
    pub fn of(files: F, frames: R, node: NodeId, lake: Arc<Lake<F>>, tables: Arc<Tables>) -> Self {
        let reader = BatchReader::of(frames);
        Self {
            files,
            node,
            reader,
            lake,
            tables,
            noted: Noted::default(),
            numbered: Numbered::default(),
            check: None,
            may_put: None,
            encoding: Mutex::default(),
        }
    }

    /// Puts nothing unless this says that it may, which is asked before each put: for logs that another
    /// process may take over.
    #[must_use]
    pub fn with_leave(mut self, may_put: MayPut) -> Self {
        self.may_put = Some(may_put);
        self
    }

    /// Fails if this process may no longer own the log.
    pub(super) fn ask_leave(&self) -> Result<(), ShipError> {
        match &self.may_put {
            Some(may_put) if !may_put() => Err(ShipError::NotOurs),
            _ => Ok(()),
        }
    }

    /// Puts nothing before that check has gone well.
    #[must_use]
    pub fn with_check(mut self, check: Arc<LakeCheck<F>>) -> Self {
        self.check = Some(check);
        self
    }

    /// The lake can be used, and it is the right one.
    pub(super) fn probe(&self) -> Result<(), LakeError> {
        if let Some(check) = &self.check {
            check.run(&self.lake)?;
        }
        self.lake.probe()
    }

    /// Makes one attempt: [`Shipper::prepare`] and [`Shipper::put`].
    pub fn attempt(&self, shipment: &mut Shipment) -> Result<Commit, ShipError> {
        self.prepare(shipment)?;
        self.put(shipment)
    }

    /// Writes the object into a local file, unless an earlier attempt did so.
    pub fn prepare(&self, shipment: &mut Shipment) -> Result<(), ShipError> {
        // If the local file was removed in the meantime, it is written again.
        let is_written =
            |object: &Object| object.assembled.is_some() || self.files.exists(&object.spool);
        if shipment.done.is_some() || shipment.object.as_ref().is_some_and(is_written) {
            return Ok(());
        }
        self.probe()?;
        // Before notes, too, which say what columns an object has.
        self.ask_leave()?;
        let read = self.reader.seal(shipment.number, shipment.at);
        let seal = read.map_err(|error| shipment.failed(error))?;
        shipment.what = Some((seal.key.clone(), seal.sums.count));
        let is_typed = Format::parse(&seal.format).is_some_and(|format| format.layout().is_typed());
        let table = self.table_for(&seal.partition, is_typed)?;
        match self.make(&seal, &table) {
            Ok(object) => shipment.object = Some(object),
            Err(error @ RowsError::Unreadable { .. }) => {
                shipment.done = Some(self.ask_the_lake(&seal, error.to_string())?);
            }
            Err(error) => return Err(shipment.failed(error)),
        }
        Ok(())
    }

    /// The table of an object of a partition that is about to be written, with all that readers must know of its
    /// columns in the lake.
    pub fn table_for(&self, partition: &str, is_typed: bool) -> Result<Arc<Table>, ShipError> {
        self.probe()?;
        if !is_typed {
            return self.table_of(partition, Settled::Yes);
        }
        let table = self.table_of(partition, Settled::Typed)?;
        Ok(self.with_field_ids(partition, &table)?)
    }

    /// Puts what was prepared. The caller appends the commit to the log. Further calls return the same
    /// commit, in case appending fails.
    pub fn put(&self, shipment: &mut Shipment) -> Result<Commit, ShipError> {
        let commit = match (&shipment.done, &shipment.object) {
            (Some(commit), _) => *commit,
            (None, Some(object)) => {
                self.ask_leave()?;
                let put = self.lake.put(object);
                let damage = if put.is_err() {
                    damage_of(object)
                } else {
                    None
                };
                if let Some(damage) = damage {
                    let read = self.reader.seal(shipment.number, shipment.at);
                    let seal = read.map_err(|error| shipment.failed(error))?;
                    self.ask_the_lake(&seal, damage)?
                } else {
                    let Found { bytes, crc } = put?;
                    Commit {
                        seal: shipment.number,
                        bytes,
                        crc,
                    }
                }
            }
            (None, None) => return Err(io::Error::other("nothing was prepared").into()),
        };
        shipment.done = Some(commit);
        Ok(commit)
    }

    /// Asks the lake for the object, which may have been put before the log lost the rows.
    fn ask_the_lake(&self, seal: &Seal, detail: String) -> Result<Commit, ShipError> {
        match self
            .lake
            .find(&seal.key, &hex(seal.nonce), &hex(seal.sums.row_hash))?
        {
            Some(found) => Ok(Commit {
                seal: seal.number,
                bytes: found.bytes,
                crc: found.crc,
            }),
            None => Err(ShipError::Held(detail)),
        }
    }

    /// Makes the object, and compares what it is made of with the sums of the seal.
    fn make(&self, seal: &Seal, table: &Arc<Table>) -> Result<Object, RowsError> {
        let Some(format) = Format::parse(&seal.format) else {
            let detail = format!("this program has no format {}", seal.format);
            return Err(self.unreadable(seal, detail));
        };
        let path = self.lake.spool_path(self.node, seal.number, seal.nonce);
        let (sums, found, assembled) = match format.layout() {
            Layout::Lines(codec) => self.assemble(seal, codec, &path)?,
            Layout::Columns => self.encode(seal, (format, table), &path)?,
        };
        if sums != seal.sums {
            let detail = "the rows that were read are not those of the seal".to_owned();
            return Err(self.unreadable(seal, detail));
        }
        let metadata = stamp_of(seal, self.node, found.crc).to_metadata();
        Ok(Object {
            key: seal.key.clone(),
            spool: path,
            assembled,
            bytes: found.bytes,
            crc: found.crc,
            format,
            content_type: format.content_type(),
            metadata,
        })
    }

    /// Assembles an object of lines: of pieces that the log has packed with its codec, and of what is
    /// between them. A directory gets a file; for a store one is written only if much was not packed.
    fn assemble(&self, seal: &Seal, codec: Codec, path: &Path) -> Result<Made, RowsError> {
        let copied = Some(codec).filter(|codec| *codec != Codec::Plain);
        let frames = self.reader.frames().clone();
        let mut object = Underway::Pieces(Assembling::new(self.files.clone(), frames, path));
        let read = self.reader.for_each_part(seal, copied, &mut |part| {
            let building = std::mem::replace(&mut object, Underway::Nothing);
            object = match part {
                Part::Row(lsn, row) => {
                    let mut lines = building.lines(codec)?;
                    lines.row(lsn, row.lsn_at, row.bytes)?;
                    Underway::Lines(lines)
                }
                Part::Piece(piece) => {
                    let mut pieces = building.pieces()?;
                    pieces.piece(piece)?;
                    Underway::Pieces(pieces)
                }
            };
            Ok(())
        });
        let made = read.and_then(|sums| {
            let into_file = matches!(&*self.lake, Lake::Directory(_));
            let (found, assembled) = object.pieces()?.finish(into_file)?;
            Ok((sums, found, assembled))
        });
        made.map_err(|error| match error {
            // The log has other bytes than it had: that does not pass.
            RowsError::Sink(error) if is_damage(&error) => self.unreadable(seal, error.to_string()),
            error => error,
        })
    }

    /// Encodes an object of columns into a local file.
    fn encode(
        &self,
        seal: &Seal,
        (format, table): (Format, &Arc<Table>),
        path: &Path,
    ) -> Result<Made, RowsError> {
        let mut memory = self.encoding.lock().unwrap_or_else(PoisonError::into_inner);
        create_dir_durably(&self.files, self.lake.spool_dir(), true)?;
        remove_if_there(&self.files, path)?;
        let file = Arc::new(self.files.create_new(path)?);
        let out =
            BufWriter::with_capacity(256 << 10, Checksummed::new(Appender::new(file.clone())));
        let spec = ObjectSpec {
            format,
            table,
            rows: seal.sums.count,
            path,
        };
        let kept = std::mem::take(&mut *memory);
        let mut encoder = Encoder::with_memory(&spec, out, self.files.clone(), kept)?;
        let sums = self
            .reader
            .for_each_row(seal, |lsn, row| encoder.row(lsn, row.lsn_at, row.bytes))?;
        let whole = encoder.finish()?;
        *memory = whole.memory;
        let out = whole.out;
        let out = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        let (bytes, crc) = (out.inner.written(), out.crc());
        file.sync()?;
        Ok((sums, Found { bytes, crc }, None))
    }

    fn unreadable(&self, seal: &Seal, detail: String) -> RowsError {
        RowsError::Unreadable {
            seal: seal.number,
            source_name: self.reader.name(),
            detail,
        }
    }
}

/// The stamp of a seal's object: what it holds, and the state of its node's log as of the seal.
fn stamp_of(seal: &Seal, node: NodeId, crc: u32) -> Stamp {
    Stamp {
        node,
        seal: seal.number,
        nonce: seal.nonce,
        partition: seal.partition.clone(),
        first_lsn: seal.first_lsn,
        last_lsn: seal.last_lsn,
        count: seal.sums.count,
        row_hash: seal.sums.row_hash,
        lsn_hash: seal.sums.lsn_hash,
        crc,
        as_of: log_state_of(&seal.as_of),
        erased: None,
        parcel_of: None,
    }
}

fn log_state_of(as_of: &AsOf) -> LogState {
    let counted = |LsnSet { count, hash }: LsnSet| CountedLsns { count, hash };
    let Totals {
        received,
        stored,
        dropped,
        duplicate,
        quarantined,
        refused,
    } = as_of.totals;
    LogState {
        lsn: as_of.lsn,
        lsn_hash: as_of.lsn_hash,
        open: counted(as_of.open),
        void: counted(as_of.void),
        watermark: as_of.watermark.to_string(),
        totals: RunningTotals {
            received,
            stored,
            dropped,
            duplicate,
            quarantined,
            refused,
        },
    }
}

/// A writer that computes the checksum of everything written through it.
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
        // The digest has a 32-bit checksum in its low half.
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
