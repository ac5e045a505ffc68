//! Writes the rows of a run straight to objects of the lake, its pieces.
//!
//! A piece is written into a local file and put once it is whole. What a run that breaks off has put stays in the
//! lake, where no marker names it.

use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lakehook_base::files::{
    Appender, Disk, File as _, Files as _, create_dir_durably, remove_if_there,
};
use lakehook_base::ids::{Ids, NodeId};
use lakehook_base::record::{Lsn, row_hash};
use lakehook_base::tables::Table;
use lakehook_feeds::door::Writing;
use lakehook_feeds::errors::RunError;
use lakehook_feeds::wait::{Interrupted, Waiter};
use lakehook_lake::encode::PieceEncoder;
use lakehook_lake::stamp::{PieceStamp, Stamp};
use lakehook_lake::{LakeError, Object, keys};
use serde::Serialize;

const BUFFER: usize = 256 << 10;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A piece that is in the lake, as the marker names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Piece {
    pub(crate) key: String,
    pub(crate) records: u64,
}

/// What the pieces of a run have in common.
pub(crate) struct PiecesOf<'a> {
    pub(crate) writing: &'a Writing,
    pub(crate) waiter: &'a Waiter,
    pub(crate) ids: &'a Ids,
    pub(crate) table: &'a Arc<Table>,
    pub(crate) node: NodeId,
    pub(crate) run: Lsn,
    pub(crate) partition: String,
}

/// Writes the pieces of one run.
pub(crate) struct PieceWriter<'a> {
    of: PiecesOf<'a>,
    open: Option<OpenPiece>,
    done: Vec<Piece>,
}

type Out = BufWriter<Summed>;

struct OpenPiece {
    encoder: PieceEncoder<Out>,
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

impl<'a> PieceWriter<'a> {
    pub(crate) fn new(of: PiecesOf<'a>) -> Self {
        Self {
            of,
            open: None,
            done: Vec::new(),
        }
    }

    /// Writes a row; `lsn_at` is where an `lsn` would be.
    pub(crate) fn row(&mut self, lsn_at: usize, row: &[u8]) -> Result<(), RunError> {
        let open = match &mut self.open {
            Some(open) => open,
            none => {
                let number = self.done.len() as u64 + 1;
                let opened = OpenPiece::create(&self.of, number).map_err(|error| local(&error))?;
                none.insert(opened)
            }
        };
        open.encoder
            .row(lsn_at, row)
            .map_err(|error| local(&error))?;
        open.rows += 1;
        open.bytes += row.len() as u64 + 1;
        open.row_hash = open.row_hash.wrapping_add(row_hash(row));
        let writing = self.of.writing;
        if open.rows >= writing.max_rows || open.bytes >= writing.max_bytes {
            self.put()?;
        }
        Ok(())
    }

    /// Puts what is left, and returns all pieces.
    pub(crate) fn finish(&mut self) -> Result<Vec<Piece>, RunError> {
        self.put()?;
        Ok(std::mem::take(&mut self.done))
    }

    fn put(&mut self) -> Result<(), RunError> {
        let Some(open) = self.open.take() else {
            return Ok(());
        };
        let path = open.path.clone();
        let rows = open.rows;
        let object = open.close(&self.of).map_err(|error| local(&error));
        let put = object.and_then(|object| self.put_object(&object).map(|()| object.key));
        if put.is_err() {
            let _left_for_the_next_start = remove_if_there(&Disk, &path);
        }
        self.done.push(Piece {
            key: put?,
            records: rows,
        });
        Ok(())
    }

    /// Puts an object, however often the lake refuses for now.
    fn put_object(&self, object: &Object) -> Result<(), RunError> {
        let mut pause = FIRST_PAUSE;
        loop {
            let error = match self.of.writing.door.put(object) {
                Ok(_) => return Ok(()),
                Err(error @ LakeError::Retry { .. }) => error,
                Err(error) => return Err(RunError::Failed(error.to_string())),
            };
            tracing::warn!(%error, key = object.key, "failed to put an object of files; trying again");
            let paused = self.of.waiter.pause_after_fault("the lake", pause);
            paused.map_err(|why| match why {
                Interrupted::Cancelled => RunError::Cancelled,
                _ => RunError::OutOfTime(format!("the lake took no object in time: {error}")),
            })?;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

impl Drop for PieceWriter<'_> {
    fn drop(&mut self) {
        if let Some(open) = self.open.take() {
            let _left_for_the_next_start = remove_if_there(&Disk, &open.path);
        }
    }
}

impl OpenPiece {
    fn create(of: &PiecesOf<'_>, number: u64) -> io::Result<Self> {
        let nonce = of.ids.next_u128()?;
        let dir = of.writing.door.spool_dir();
        create_dir_durably(&Disk, dir, true)?;
        let path = dir.join(format!("{}-piece-{nonce:032x}.part", of.node));
        remove_if_there(&Disk, &path)?;
        let file = Arc::new(Disk.create_new(&path)?);
        let out = Summed {
            out: Appender::new(Arc::clone(&file)),
            file,
            digest: crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi),
        };
        let out = BufWriter::with_capacity(BUFFER, out);
        Ok(Self {
            encoder: PieceEncoder::new(of.writing.format, of.table, out)?,
            path,
            number,
            nonce,
            rows: 0,
            bytes: 0,
            row_hash: 0,
        })
    }

    fn close(self, of: &PiecesOf<'_>) -> io::Result<Object> {
        let out = self.encoder.finish()?;
        let out = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        out.file.sync()?;
        let sum = out.digest.finalize() & u64::from(u32::MAX);
        let crc = u32::try_from(sum).unwrap_or(0);
        let format = of.writing.format;
        let stamp = Stamp::from(PieceStamp {
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
