//! Looks into a log wherever it lives, for commands that change nothing.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;

use super::home::place_of;
use super::settings::LogRole;
use crate::config::Config;
use crate::files::{Disk, Files as _};
use crate::ids::Ids;
use crate::lake::s3::S3;
use crate::replica::bucket::BucketEngine;
use crate::replica::{LogEngine, ReplicaAccess, ReplicaPlace, monitor};
use crate::wal::inspect::{Inspection, inspect, inspect_replica};
use crate::wal::journal::mark;
use crate::wal::journal::replica::engine::KeepTrying;

/// Requests without an answer are repeated this often.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(200);

/// Looks into one of the logs of a configuration; `None` if there is nothing yet.
pub fn inspect_log(config: &Config, role: LogRole) -> io::Result<Option<Inspection>> {
    if let Some(place) = place_of(config, role) {
        return inspect_in(&place).map(Some);
    }
    let dir = role.section(config).dir;
    if Disk.exists(&dir) {
        inspect(&Disk, &dir).map(Some)
    } else {
        Ok(None)
    }
}

/// Looks into the log of a directory, or into all logs of a cluster if it is `wal.dir`.
pub fn inspect_dirs(config: &Config, dir: &Path) -> io::Result<Vec<Inspection>> {
    let configs = config.of_logs();
    if configs.len() < 2 {
        return inspect_dir(config, dir).map(|one| vec![one]);
    }
    let looked = |own: &Config| inspect_dir(own, &own.wal.dir);
    if real(&config.wal.dir) == real(dir) {
        return configs.iter().map(looked).collect();
    }
    let mut of_one = configs.iter().filter(|own| real(&own.wal.dir) == real(dir));
    let one = match of_one.next() {
        Some(own) => looked(own),
        None => inspect_dir(config, dir),
    };
    one.map(|one| vec![one])
}

/// A directory by the name that it has without links.
fn real(dir: &Path) -> PathBuf {
    // It need not exist: what counts may be in the replica.
    let real = dir.canonicalize().or_else(|_| std::path::absolute(dir));
    real.unwrap_or_else(|_| dir.to_owned())
}

/// Looks into the log of a directory. If that is a copy of one in a replica, the configuration must say how to reach
/// that.
fn inspect_dir(config: &Config, dir: &Path) -> io::Result<Inspection> {
    let marked = mark::read(&Disk, dir)?;
    let roles = [LogRole::Events, LogRole::Feeds].into_iter();
    let mut roles = roles.filter(|role| real(&role.section(config).dir) == real(dir));
    let replica = roles.find_map(|role| place_of(config, role));
    match (marked, replica) {
        (None, None) => inspect(&Disk, dir),
        (Some(place), Some(replica)) if replica.name() == place => inspect_in(&replica),
        (Some(place), _) => Err(io::Error::other(format!(
            "{} holds copies of a log in {place}; use the configuration with which the service runs",
            dir.display()
        ))),
        (None, Some(replica)) => {
            // Either no service has used the directory, or its log is still on this disk.
            let here = Disk.exists(dir).then(|| inspect(&Disk, dir)).transpose()?;
            match here {
                Some(here) if !here.segments.is_empty() => Ok(here),
                _ => inspect_in(&replica),
            }
        }
    }
}

/// Looks into a log in a replica, whose owner may write to it meanwhile.
fn inspect_in(place: &ReplicaPlace) -> io::Result<Inspection> {
    in_replica(place, |engine, keep_trying| {
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

/// Lets a command act on a log in a replica. Blocks, also on a runtime.
pub fn in_replica<T: Send + 'static>(
    place: &ReplicaPlace,
    act: impl FnOnce(&LogEngine, &KeepTrying) -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let place = place.clone();
    // A runtime cannot be waited for from within another one.
    let acting = std::thread::Builder::new().spawn(move || act_on(place, act))?;
    let acted = acting.join();
    acted.unwrap_or_else(|_| Err(io::Error::other("the thread that looked into it has ended")))
}

/// What probes of a replica have found.
#[derive(Debug, Default)]
pub struct Probed {
    /// Why it cannot keep a log.
    pub problems: Vec<String>,
    /// What may be meant.
    pub warnings: Vec<String>,
}

/// Probes, by harmless writes, whether a replica can keep a log. `monitors` are addresses at which servers of NATS
/// say how they are. Blocks, also on a runtime.
pub fn probe_replica(place: &ReplicaPlace, monitors: &[String]) -> io::Result<Probed> {
    let (place, monitors) = (place.clone(), monitors.to_vec());
    let probing = std::thread::Builder::new().spawn(move || {
        let runtime = runtime()?;
        let access = runtime.block_on(place.reach(runtime.handle().clone()));
        let mut probed = Probed::default();
        if let ReplicaAccess::Bucket(store, _) = &access {
            runtime.block_on(look_at_rules(store, &mut probed));
        }
        match access.open(Ids::System.next()?) {
            Ok(LogEngine::Bucket(engine)) => probed.warnings.extend(warning_of(&engine)),
            Ok(LogEngine::Stream(engine)) => {
                let servers = engine.servers().unwrap_or_default();
                let warnings = runtime.block_on(monitor::warnings(&monitors, &servers));
                probed.warnings.extend(warnings);
            }
            Err(error) => probed.problems.push(error.to_string()),
        }
        runtime.shutdown_background();
        Ok(probed)
    })?;
    let probed = probing.join();
    probed.unwrap_or_else(|_| Err(io::Error::other("the thread that probed it has ended")))
}

/// Looks for rules of a bucket that would take objects of the log away, or keep them.
async fn look_at_rules(store: &S3, probed: &mut Probed) {
    match store.rules_that_take_objects_away().await {
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
    if let Ok(true) = store.keeps_versions().await {
        probed.warnings.push(
            "the bucket keeps old versions, so what is trimmed from the log stays until a rule for noncurrent \
             versions removes it"
                .to_owned(),
        );
    }
}

fn warning_of(engine: &BucketEngine) -> Option<String> {
    let warning = "this store takes bodies that do not match their checksum, so each write to the log is read back \
                   before it is answered";
    engine.reads_back().then(|| warning.to_owned())
}

fn runtime() -> io::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
}

fn act_on<T>(
    place: ReplicaPlace,
    act: impl FnOnce(&LogEngine, &KeepTrying) -> io::Result<T>,
) -> io::Result<T> {
    let runtime = runtime()?;
    let access = runtime.block_on(place.reach(runtime.handle().clone()));
    let keep_trying: KeepTrying = Arc::new(|failed, _| {
        std::thread::sleep(PAUSE);
        failed < TRIES
    });
    let engine = access.open_for_reading().map_err(io::Error::other);
    let acted = engine.and_then(|engine| act(&engine, &keep_trying));
    runtime.shutdown_background();
    acted
}
