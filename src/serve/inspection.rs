//! Looks into a log wherever it lives, for commands that change nothing.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;

use super::home::{location_of, name_of};
use super::settings::LogRole;
use crate::config::Config;
use crate::files::{Disk, Files as _};
use crate::ids::Ids;
use crate::lake::s3::{Location, S3};
use crate::replica::BucketEngine;
use crate::wal::inspect::{Inspection, inspect, inspect_replica};
use crate::wal::journal::mark;
use crate::wal::journal::replica::engine::KeepTrying;

/// Requests without an answer are repeated this often.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(200);

/// Looks into one of the logs of a configuration; `None` if there is nothing yet.
pub fn inspect_log(config: &Config, role: LogRole) -> io::Result<Option<Inspection>> {
    if let Some(location) = location_of(config, role) {
        return inspect_bucket(&location).map(Some);
    }
    let dir = role.section(config).dir;
    if Disk.exists(&dir) {
        inspect(&Disk, &dir).map(Some)
    } else {
        Ok(None)
    }
}

/// Looks into the log of a directory. If that is a copy of one in a bucket, the configuration must say how to reach
/// the bucket.
pub fn inspect_dir(config: &Config, dir: &Path) -> io::Result<Inspection> {
    let marked = mark::read(&Disk, dir)?;
    let real = |dir: &Path| {
        // It need not exist: what counts is in the bucket.
        let real = dir.canonicalize().or_else(|_| std::path::absolute(dir));
        real.unwrap_or_else(|_| dir.to_owned())
    };
    let roles = [LogRole::Events, LogRole::Feeds].into_iter();
    let mut roles = roles.filter(|role| real(&role.section(config).dir) == real(dir));
    let location = roles.find_map(|role| location_of(config, role));
    match (marked, location) {
        (None, None) => inspect(&Disk, dir),
        (Some(place), Some(location)) if name_of(&location) == place => inspect_bucket(&location),
        (Some(place), _) => Err(io::Error::other(format!(
            "{} holds copies of a log in {place}; use the configuration with which the service runs",
            dir.display()
        ))),
        (None, Some(location)) => {
            // Either no service has used the directory, or its log is still on this disk.
            let here = Disk.exists(dir).then(|| inspect(&Disk, dir)).transpose()?;
            match here {
                Some(here) if !here.segments.is_empty() => Ok(here),
                _ => inspect_bucket(&location),
            }
        }
    }
}

/// Looks into a log in a bucket, whose owner may write to it meanwhile.
fn inspect_bucket(location: &Location) -> io::Result<Inspection> {
    in_bucket(location, |engine, keep_trying| {
        let mut inspection = inspect_replica(engine.clone(), keep_trying)?;
        for _ in 1..TRIES {
            if inspection.problems.is_empty() {
                break;
            }
            // What was listed may have been trimmed before it was read.
            inspection = inspect_replica(engine.clone(), keep_trying)?;
        }
        Ok(inspection)
    })
}

/// Lets a command act on a log in a bucket. Blocks, also on a runtime.
pub fn in_bucket<T: Send + 'static>(
    location: &Location,
    act: impl FnOnce(&BucketEngine, &KeepTrying) -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let location = location.clone();
    // A runtime cannot be waited for from within another one.
    let acting = std::thread::Builder::new().spawn(move || act_on(location, act))?;
    let acted = acting.join();
    acted.unwrap_or_else(|_| Err(io::Error::other("the thread that looked into it has ended")))
}

/// What probes of a bucket have found.
#[derive(Debug, Default)]
pub struct Probed {
    /// Why it cannot keep a log.
    pub problems: Vec<String>,
    /// What may be meant.
    pub warnings: Vec<String>,
}

/// Probes, by harmless puts, whether a bucket can keep a log. Blocks, also on a runtime.
pub fn probe_bucket(location: &Location) -> io::Result<Probed> {
    let location = location.clone();
    let probing = std::thread::Builder::new().spawn(move || probe(location))?;
    let probed = probing.join();
    probed.unwrap_or_else(|_| Err(io::Error::other("the thread that probed it has ended")))
}

fn probe(location: Location) -> io::Result<Probed> {
    let runtime = runtime()?;
    let name = name_of(&location);
    let store = runtime.block_on(S3::new(location, runtime.handle().clone()));
    let mut probed = Probed::default();
    match runtime.block_on(store.rules_that_take_objects_away()) {
        Ok(rules) => probed.problems.extend(rules.iter().map(|rule| {
            format!(
                "the bucket's lifecycle rule {rule:?} takes objects away that the log still needs; leave this prefix out \
                 of it"
            )
        })),
        Err(error) => probed.warnings.push(format!(
            "the bucket's lifecycle rules cannot be read ({error}); none of them may be for this prefix"
        )),
    }
    if let Ok(true) = runtime.block_on(store.keeps_versions()) {
        probed.warnings.push(
            "the bucket keeps old versions, so what is trimmed from the log stays until a rule for noncurrent \
             versions removes it"
                .to_owned(),
        );
    }
    let unique = Ids::System.next()?;
    match BucketEngine::open(Box::new(store), name, unique) {
        Ok(engine) if engine.reads_back() => probed.warnings.push(
            "this store takes bodies that do not match their checksum, so each write to the log is read back before \
             it is answered"
                .to_owned(),
        ),
        Ok(_) => {}
        Err(error) => probed.problems.push(error.to_string()),
    }
    runtime.shutdown_background();
    Ok(probed)
}

fn runtime() -> io::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
}

fn act_on<T>(
    location: Location,
    act: impl FnOnce(&BucketEngine, &KeepTrying) -> io::Result<T>,
) -> io::Result<T> {
    let runtime = runtime()?;
    let name = name_of(&location);
    let store = runtime.block_on(S3::new(location, runtime.handle().clone()));
    let engine = BucketEngine::for_reading(Box::new(store), name);
    let keep_trying: KeepTrying = Arc::new(|failed, _| {
        std::thread::sleep(PAUSE);
        failed < TRIES
    });
    let acted = act(&engine, &keep_trying);
    runtime.shutdown_background();
    acted
}
