//! The machine: what it is, and how long its disk takes to sync.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::children::DIRECTORY;

const BLOCK: usize = 4096;
/// The file that is written to, over and over.
const BLOCKS: usize = 1024;

/// The machine in words and figures.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    /// Model of the processor.
    pub(crate) processor: String,
    /// How many threads it runs.
    pub(crate) cores: usize,
    /// Type of the file system of log and lake.
    pub(crate) file_system: String,
    /// Its release.
    pub(crate) kernel: String,
    /// Median of a 4 KiB write with fdatasync into a file that is there already.
    pub(crate) sync_p50: Duration,
    /// 99 of 100 take no longer.
    pub(crate) sync_p99: Duration,
}

/// Looks at the machine, and syncs so many times.
pub(crate) fn describe(sync_rounds: usize) -> Result<Machine> {
    let syncs = sync_times(sync_rounds)?;
    let at = |percent: usize| syncs[(syncs.len() - 1) * percent / 100];
    Ok(Machine {
        processor: processor(),
        cores: std::thread::available_parallelism()?.get(),
        file_system: file_system(Path::new(DIRECTORY)),
        kernel: read("/proc/sys/kernel/osrelease"),
        sync_p50: at(50),
        sync_p99: at(99),
    })
}

/// Ascending; at least one.
fn sync_times(rounds: usize) -> Result<Vec<Duration>> {
    let directory = tempfile::TempDir::new_in(DIRECTORY)?;
    let file = File::create(directory.path().join("sync"))?;
    file.write_all_at(&vec![1; BLOCK * BLOCKS], 0)?;
    file.sync_all()?;
    let mut times = Vec::with_capacity(rounds);
    for round in 0..rounds.max(1) {
        let start = Instant::now();
        file.write_all_at(&[2; BLOCK], (round % BLOCKS * BLOCK) as u64)?;
        file.sync_data()?;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    Ok(times)
}

fn processor() -> String {
    let info = read("/proc/cpuinfo");
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    let model = model.and_then(|rest| rest.split_once(':'));
    model.map_or_else(
        || std::env::consts::ARCH.to_owned(),
        |(_, name)| name.trim().to_owned(),
    )
}

/// Type of the file system mounted nearest above.
fn file_system(path: &Path) -> String {
    let mounts = read("/proc/self/mounts");
    let above = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (point, kind) = (fields.next()?, fields.next()?);
        path.starts_with(point).then_some((point.len(), kind))
    });
    let nearest = above.max_by_key(|(length, _)| *length);
    nearest.map_or_else(|| "unknown".to_owned(), |(_, kind)| kind.to_owned())
}

/// Empty where there is no such file.
fn read(path: &str) -> String {
    fs::read_to_string(path)
        .unwrap_or_default()
        .trim()
        .to_owned()
}
