//! The disk under a log: what a write that is made durable costs, in a file of zeros, in one whose space is only
//! set aside, and with O_DSYNC in place of a sync; what making and removing segments costs, and a sync meanwhile.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::fs::{FallocateFlags, OFlags, fallocate};

/// As large as a segment.
const FILE_BYTES: usize = 64 << 20;
/// Segments that are there at once.
const SEGMENTS: usize = 16;
/// Writes of each size, unless the file is full before.
const ROUNDS: usize = 64;
const SIZES: [(usize, &str); 3] = [
    (4 << 10, "4 KiB"),
    (256 << 10, "256 KiB"),
    (1 << 20, "1 MiB"),
];

/// How a file is made, and how a write to it is made durable.
#[derive(Clone, Copy)]
struct Way {
    name: &'static str,
    zeros: bool,
    sync: bool,
}

const WAYS: [Way; 3] = [
    Way {
        name: "zeros, fdatasync",
        zeros: true,
        sync: true,
    },
    Way {
        name: "fallocate, fdatasync",
        zeros: false,
        sync: true,
    },
    Way {
        name: "zeros, O_DSYNC",
        zeros: true,
        sync: false,
    },
];

struct Written {
    file: File,
    making: Duration,
    times: Vec<Duration>,
    cpu: Duration,
}

/// Prints a table: the ways take turns, so that they meet the same disk.
pub(crate) fn compare(dir: &Path) {
    println!("| write | way | p50 ms | p99 ms | CPU ms | CPU of making the file, ms |");
    println!("| --- | --- | --- | --- | --- | --- |");
    for (bytes, size) in SIZES {
        let mut files: Vec<Written> = WAYS.iter().map(|way| make(dir, *way)).collect();
        let buffer = vec![7; bytes];
        for round in 0..ROUNDS.min(FILE_BYTES / bytes) {
            for (way, written) in WAYS.iter().zip(&mut files) {
                let (start, before) = (Instant::now(), cpu());
                let at = (round * bytes) as u64;
                written.file.write_all_at(&buffer, at).unwrap();
                if way.sync {
                    written.file.sync_data().unwrap();
                }
                written.times.push(start.elapsed());
                written.cpu += cpu().saturating_sub(before);
            }
        }
        for (way, mut written) in WAYS.iter().zip(files) {
            written.times.sort();
            let count = written.times.len();
            let at = |part: usize| {
                written.times[(count * part / 100).min(count - 1)].as_secs_f64() * 1e3
            };
            println!(
                "| {size} | {} | {:.2} | {:.2} | {:.3} | {:.1} |",
                way.name,
                at(50),
                at(99),
                written.cpu.as_secs_f64() * 1e3 / count as f64,
                written.making.as_secs_f64() * 1e3
            );
        }
    }
}

fn make(dir: &Path, way: Way) -> Written {
    let flags = if way.sync {
        OFlags::empty()
    } else {
        OFlags::DSYNC
    };
    let path = dir.join("device");
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .custom_flags(flags.bits().cast_signed())
        .open(&path)
        .unwrap();
    let plain = OpenOptions::new().write(true).open(&path).unwrap();
    let before = cpu();
    if way.zeros {
        fill(&plain);
    } else {
        fallocate(&plain, FallocateFlags::empty(), 0, FILE_BYTES as u64).unwrap();
    }
    plain.sync_all().unwrap();
    // The next one makes another file; this one lives on without a name.
    std::fs::remove_file(path).unwrap();
    Written {
        file,
        making: cpu().saturating_sub(before),
        times: Vec::new(),
        cpu: Duration::ZERO,
    }
}

fn fill(file: &File) {
    let zeros = vec![0; 1 << 20];
    for at in (0..FILE_BYTES).step_by(zeros.len()) {
        file.write_all_at(&zeros, at as u64).unwrap();
    }
}

/// Prints what segments cost to make, in memory that mostly had no use before, and to remove; and the longest sync of
/// 4 KiB in another file meanwhile.
pub(crate) fn segments(dir: &Path) {
    let mut making = Vec::new();
    let paths: Vec<PathBuf> = (0..SEGMENTS)
        .map(|number| {
            let path = dir.join(format!("segment-{number}"));
            let (file, before) = (File::create(&path).unwrap(), cpu());
            fill(&file);
            file.sync_data().unwrap();
            making.push(cpu().saturating_sub(before));
            path
        })
        .collect();
    let other = File::create(dir.join("other")).unwrap();
    fill(&other);
    other.sync_all().unwrap();
    let is_done = AtomicBool::new(false);
    let (mut removing, longest) = std::thread::scope(|scope| {
        let syncing = scope.spawn(|| longest_sync(&other, &is_done));
        let removing: Vec<Duration> = paths
            .iter()
            .map(|path| {
                let start = Instant::now();
                std::fs::remove_file(path).unwrap();
                start.elapsed()
            })
            .collect();
        is_done.store(true, Ordering::Relaxed);
        (removing, syncing.join().unwrap())
    });
    making.sort();
    removing.sort();
    let millis = |time: Duration| time.as_secs_f64() * 1e3;
    println!(
        "{SEGMENTS} segments of 64 MiB: zeros took {:.0} to {:.0} ms of CPU each, removal {:.1} to {:.1} ms; \
         the longest sync of 4 KiB during removals {:.1} ms",
        millis(making[0]),
        millis(making[SEGMENTS - 1]),
        millis(removing[0]),
        millis(removing[SEGMENTS - 1]),
        millis(longest)
    );
}

fn longest_sync(file: &File, is_done: &AtomicBool) -> Duration {
    let mut longest = Duration::ZERO;
    while !is_done.load(Ordering::Relaxed) {
        let start = Instant::now();
        file.write_all_at(&[7; 4 << 10], 0).unwrap();
        file.sync_data().unwrap();
        longest = longest.max(start.elapsed());
    }
    longest
}

/// Time that this thread has had a processor.
fn cpu() -> Duration {
    let said = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(said.split(' ').next().unwrap().parse().unwrap())
}
