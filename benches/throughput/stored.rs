//! What rows take: in the log, while the lake is away, and in the objects, beside the same rows in one piece.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use lakehook::codec::{Codec, Compressor};
use lakehook::files::Disk;
use lakehook::wal::inspect::inspect;
use tokio::runtime::Runtime;

use super::children::{Helper, Service};
use super::work::Work;
use super::{SHIPPING_LIMIT, load_of};

const EVENTS: u32 = 400_000;
/// Events in a request, and connections.
const LOADS: [(u32, usize); 3] = [(1, 32), (100, 32), (100, 256)];

/// What the rows of one load take.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) work: String,
    pub(crate) connections: usize,
    pub(crate) log: LogBytes,
    pub(crate) lake: LakeBytes,
}

/// A log of which nothing was shipped.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogBytes {
    pub(crate) rows: u64,
    pub(crate) frames: u64,
    pub(crate) bytes: u64,
}

/// All objects of a lake.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LakeBytes {
    pub(crate) rows: u64,
    pub(crate) row_bytes: u64,
    pub(crate) object_bytes: u64,
    /// Each object's rows, compressed anew in one piece.
    pub(crate) in_one_piece: u64,
}

/// Each load twice: once without its lake, and once with it.
pub(crate) fn measure(runtime: &Runtime) -> Result<Vec<Stored>> {
    let one = |(events_per_request, connections)| {
        let requests = usize::try_from(EVENTS / events_per_request)?;
        let work = Arc::new(Work::prepare(events_per_request, requests));
        Ok(Stored {
            work: work.name(),
            connections,
            log: log_bytes(runtime, &work, connections)?,
            lake: lake_bytes(runtime, &work, connections)?,
        })
    };
    LOADS.into_iter().map(one).collect()
}

fn log_bytes(runtime: &Runtime, work: &Arc<Work>, connections: usize) -> Result<LogBytes> {
    let s3 = Helper::start("s3")?;
    let service = Service::start("ndjson.zst", Some(s3.address()))?;
    drop(s3);
    runtime.block_on(load_of(&service, connections).send(work, work.measured()))?;
    let directory = service.stop();
    let log = inspect(&Disk, &directory.path().join("wal"))?;
    let mut all = LogBytes {
        rows: 0,
        frames: 0,
        bytes: 0,
    };
    for segment in &log.segments {
        all.rows += segment.rows;
        all.frames += segment.frames;
        all.bytes += segment.used_bytes;
    }
    Ok(all)
}

fn lake_bytes(runtime: &Runtime, work: &Arc<Work>, connections: usize) -> Result<LakeBytes> {
    let service = Service::start("ndjson.zst", None)?;
    runtime.block_on(load_of(&service, connections).send(work, work.measured()))?;
    service.wait_until_shipped(SHIPPING_LIMIT)?;
    let directory = service.stop();
    let mut all = LakeBytes::default();
    for path in objects(&directory.path().join("lake"))? {
        let rows = zstd::stream::decode_all(File::open(&path)?)?;
        all.rows += memchr::memchr_iter(b'\n', &rows).count() as u64;
        all.row_bytes += rows.len() as u64;
        all.object_bytes += path.metadata()?.len();
        all.in_one_piece += in_one_piece(&rows)?;
    }
    Ok(all)
}

/// The size of these rows if the program compresses them at once.
fn in_one_piece(rows: &[u8]) -> Result<u64> {
    let mut compressor = Compressor::new(Codec::Zst, Vec::new())?;
    compressor.write_all(rows)?;
    Ok(compressor.finish()?.len() as u64)
}

/// The objects below a directory, without those that begin with an underscore.
fn objects(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in dir
            .read_dir()
            .with_context(|| format!("no {}", dir.display()))?
        {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if path.is_dir() && !name.starts_with('_') {
                open.push(path);
            } else if name.ends_with(".zst") {
                found.push(path);
            }
        }
    }
    Ok(found)
}
