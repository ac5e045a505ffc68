//! The machine: what it is, and how long its disk takes to sync.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::children::DIRECTORY;

const BLOCK: usize = 4096;
/// How often the disk is asked each time; about a second on a slow one.
const ROUNDS: usize = 200;

/// The machine in words.
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
}

/// Looks at the machine.
pub(crate) fn describe() -> Result<Machine> {
    Ok(Machine {
        processor: processor(),
        cores: std::thread::available_parallelism()?.get(),
        file_system: file_system(Path::new(DIRECTORY)),
        kernel: read("/proc/sys/kernel/osrelease"),
    })
}

/// How long a 4 KiB write with fdatasync takes, again and again, into a file that is there already.
pub(crate) fn sync_times() -> Result<Vec<Duration>> {
    let directory = tempfile::TempDir::new_in(DIRECTORY)?;
    let file = File::create(directory.path().join("sync"))?;
    file.write_all_at(&vec![1; BLOCK * ROUNDS], 0)?;
    file.sync_all()?;
    let mut times = Vec::with_capacity(ROUNDS);
    for round in 0..ROUNDS {
        let start = Instant::now();
        file.write_all_at(&[2; BLOCK], (round * BLOCK) as u64)?;
        file.sync_data()?;
        times.push(start.elapsed());
    }
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
