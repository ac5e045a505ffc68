//! Writes the rows of a run straight to objects of the lake, its parcels.
//!
//! A parcel is written into a local file and put once it is whole. What a run that breaks off has put stays in the
//! lake, where no marker names it.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::row_spool::RowSpool;
use lakehook_base::files::{
    Appender, Disk, File as _, Files as _, create_dir_durably, remove_if_there,
};
use lakehook_base::ids::{Ids, NodeId};
use lakehook_base::record::{Lsn, row_hash};
use lakehook_base::tables::Table;
use lakehook_feeds::door::Writing;
use lakehook_feeds::errors::RunError;
use lakehook_feeds::wait::{Interrupted, Waiter};
use lakehook_lake::encode::{ParcelEncoder, TypedRows};
use lakehook_lake::stamp::{ParcelStamp, Stamp};
use lakehook_lake::{LakeError, Object, keys};
use serde::Serialize;

const BUFFER: usize = 256 << 10;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A parcel that is in the lake, as the marker names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Parcel {
    pub(crate) key: String,
    pub(crate) records: u64,
}

/// What the parcels of a run have in common.
pub(crate) struct ParcelsOf<'a> {
    pub(crate) writing: &'a Writing,
    pub(crate) waiter: &'a Waiter,
    pub(crate) ids: &'a Ids,
    /// Whether columns are found in the rows, so that those of an object are known with its last row.
    pub(crate) is_growing: bool,
    pub(crate) node: NodeId,
    pub(crate) run: Lsn,
    pub(crate) partition: String,
}

/// Writes the parcels of one run.
pub(crate) struct ParcelWriter<'a> {
    of: ParcelsOf<'a>,
    open: Option<OpenParcel>,
    done: Vec<Parcel>,
    /// The columns of objects, once they were asked for.
    table: Option<Arc<Table>>,
}

type Out = BufWriter<Summed>;

/// Where the rows of a parcel go.
enum Sink {
    Object(ParcelEncoder<Out>),
    /// They wait until its columns are known.
    Rows(RowSpool),
}

struct OpenParcel {
    sink: Sink,
    path: PathBuf,
    number: u64,
    nonce: u128,
    rows: u64,
    bytes: u64,
    row_hash: u128,
}

/// Writes to a file, and computes the checksum of what it writes.
struct Summed {
    file: Arc<std::fs::File>,
    out: Appender<std::fs::File>,
    digest: crc_fast::Digest,
}

impl Write for Summed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.digest.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn local(error: &io::Error) -> RunError {
    RunError::Failed(format!("an object cannot be written locally: {error}"))
}

impl<'a> ParcelWriter<'a> {
    pub(crate) fn new(of: ParcelsOf<'a>) -> Self {
        Self {
            of,
            open: None,
            done: Vec::new(),
            table: None,
        }
    }

    /// The columns of objects, if rows go by column: their format has columns, which are known before any row.
    pub(crate) fn table(&mut self) -> Result<Option<Arc<Table>>, RunError> {
        if self.of.is_growing || !self.of.is_typed() {
            return Ok(None);
        }
        if self.table.is_none() {
            self.table = Some(self.of.table()?);
        }
        Ok(self.table.clone())
    }

    /// Writes rows of that table, which are empty afterwards.
    pub(crate) fn rows(&mut self, rows: &mut TypedRows) -> Result<(), RunError> {
        if rows.rows() == 0 {
            return Ok(());
        }
        let open = self.open()?;
        open.rows += rows.rows() as u64;
        open.bytes += rows.bytes() as u64;
        let written = match &mut open.sink {
            Sink::Object(encoder) => encoder.rows(rows),
            Sink::Rows(_) => Err(io::Error::other(
                "rows by column whose columns are not known",
            )),
        };
        written.map_err(|error| local(&error))?;
        self.put_full()
    }

    fn open(&mut self) -> Result<&mut OpenParcel, RunError> {
        match &mut self.open {
            Some(open) => Ok(open),
            none => {
                let number = self.done.len() as u64 + 1;
                Ok(none.insert(OpenParcel::create(&self.of, number)?))
            }
        }
    }

    /// Writes a row; `lsn_at` is where an `lsn` would be.
    pub(crate) fn row(&mut self, lsn_at: usize, row: &[u8]) -> Result<(), RunError> {
        let open = self.open()?;
        let written = match &mut open.sink {
            Sink::Object(encoder) => encoder.row(lsn_at, row),
            Sink::Rows(rows) => rows.add(lsn_at, row),
        };
        written.map_err(|error| local(&error))?;
        open.rows += 1;
        open.bytes += row.len() as u64 + 1;
        open.row_hash = open.row_hash.wrapping_add(row_hash(row));
        self.put_full()
    }

    /// Puts the parcel that is being written if it is large enough.
    fn put_full(&mut self) -> Result<(), RunError> {
        let (writing, Some(open)) = (self.of.writing, &self.open) else {
            return Ok(());
        };
        if open.rows >= writing.max_rows || open.bytes >= writing.max_bytes {
            self.put()?;
        }
        Ok(())
    }

    /// Puts what is left, and returns all parcels.
    pub(crate) fn finish(&mut self) -> Result<Vec<Parcel>, RunError> {
        self.put()?;
        Ok(std::mem::take(&mut self.done))
    }

    fn put(&mut self) -> Result<(), RunError> {
        let Some(open) = self.open.take() else {
            return Ok(());
        };
        let path = open.path.clone();
        let rows = open.rows;
        let put = open.close(&self.of).and_then(|object| {
            let put = || self.of.writing.door.put(&object).map(drop);
            self.of
                .retried(&object.key, &put)
                .map(|()| object.key.clone())
        });
        if put.is_err() {
            let _left_for_the_next_start = remove_if_there(&Disk, &path);
        }
        self.done.push(Parcel {
            key: put?,
            records: rows,
        });
        Ok(())
    }
}

impl ParcelsOf<'_> {
    /// Asks the lake for something, however often it refuses for now.
    fn retried<T>(
        &self,
        what: &str,
        ask: &dyn Fn() -> Result<T, LakeError>,
    ) -> Result<T, RunError> {
        let mut pause = FIRST_PAUSE;
        loop {
            let error = match ask() {
                Ok(answer) => return Ok(answer),
                Err(error @ LakeError::Retry { .. }) => error,
                Err(error) => return Err(RunError::Failed(error.to_string())),
            };
            tracing::warn!(%error, what, "the lake refuses what belongs to files; trying again");
            let paused = self.waiter.pause_after_fault("the lake", pause);
            paused.map_err(|why| match why {
                Interrupted::Cancelled => RunError::Cancelled,
                _ => RunError::OutOfTime(format!("the lake took no object in time: {error}")),
            })?;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn is_typed(&self) -> bool {
        self.writing.format.layout().is_typed()
    }

    /// The table of the next object.
    fn table(&self) -> Result<Arc<Table>, RunError> {
        let ask = || self.writing.door.table(&self.partition, self.is_typed());
        self.retried(&self.partition, &ask)
    }

    /// The encoder of an object in that local file.
    fn encoder(&self, path: &Path) -> Result<ParcelEncoder<Out>, RunError> {
        let format = self.writing.format;
        let table = self.table()?;
        let open = || {
            remove_if_there(&Disk, path)?;
            let file = Arc::new(Disk.create_new(path)?);
            let out = Summed {
                out: Appender::new(Arc::clone(&file)),
                file,
                digest: crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi),
            };
            let out = BufWriter::with_capacity(BUFFER, out);
            ParcelEncoder::new(format, &table, out)
        };
        open().map_err(|error| local(&error))
    }
}

impl Drop for ParcelWriter<'_> {
    fn drop(&mut self) {
        if let Some(open) = self.open.take() {
            let _left_for_the_next_start = remove_if_there(&Disk, &open.path);
        }
    }
}

impl OpenParcel {
    fn create(of: &ParcelsOf<'_>, number: u64) -> Result<Self, RunError> {
        let dir = of.writing.door.spool_dir();
        let nonce = of.ids.next_u128().and_then(|nonce| {
            create_dir_durably(&Disk, dir, true)?;
            Ok(nonce)
        });
        let nonce = nonce.map_err(|error| local(&error))?;
        let name = format!("{}-parcel-{nonce:032x}", of.node);
        let path = dir.join(format!("{name}.part"));
        let sink = if of.is_growing && of.is_typed() {
            let rows = RowSpool::create(dir.join(format!("{name}-rows.part")));
            Sink::Rows(rows.map_err(|error| local(&error))?)
        } else {
            Sink::Object(of.encoder(&path)?)
        };
        Ok(Self {
            sink,
            path,
            number,
            nonce,
            rows: 0,
            bytes: 0,
            row_hash: 0,
        })
    }

    fn close(self, of: &ParcelsOf<'_>) -> Result<Object, RunError> {
        let encoder = match self.sink {
            Sink::Object(encoder) => encoder,
            Sink::Rows(mut rows) => {
                let mut encoder = of.encoder(&self.path)?;
                let mut take = |lsn_at, row: &[u8]| encoder.row(lsn_at, row);
                rows.each(&mut take).map_err(|error| local(&error))?;
                encoder
            }
        };
        let finish = || {
            let out = encoder.finish()?;
            let out = out.into_inner().map_err(io::IntoInnerError::into_error)?;
            out.file.sync()?;
            Ok(out)
        };
        let out = finish().map_err(|error: io::Error| local(&error))?;
        let sum = out.digest.finalize() & u64::from(u32::MAX);
        let crc = u32::try_from(sum).unwrap_or(0);
        let format = of.writing.format;
        let stamp = Stamp::from(ParcelStamp {
            node: of.node,
            run: of.run,
            number: self.number,
            nonce: self.nonce,
            partition: of.partition.clone(),
            count: self.rows,
            row_hash: self.row_hash,
            crc,
        });
        Ok(Object {
            key: keys::object_key(&of.partition, of.node, Lsn(self.number), format.as_str()),
            spool: self.path,
            assembled: None,
            bytes: out.out.written(),
            crc,
            format,
            content_type: format.content_type(),
            metadata: stamp.to_metadata(),
        })
    }
}
