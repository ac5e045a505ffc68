//! The same requests with the log on this disk, in a bucket, and in three servers of NATS that sync before they
//! answer: what an event costs the program, how long an answer takes, and how many bytes the engine gets.
//!
//! Nothing is shipped meanwhile, so that everything that an engine got is still there. The bucket is the S3 server of
//! the tests, in memory: its answers are faster than those of any store, so what remains is `wal.replica_interval`.

#![allow(
    clippy::cast_precision_loss,
    reason = "figures are shown with three digits"
)]

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use lakehook::files::Disk;
use lakehook::wal::inspect::inspect;
use tokio::runtime::Runtime;

use super::children::Service;
use super::device;
use super::load_of;
use super::sender::Sent;
use super::work::Work;
use crate::support::nats::Nats;
use crate::support::s3::{BUCKET, S3Server};

/// The loads: how many events a request has, and how many requests are sent.
const LOADS: [(u32, usize); 2] = [(1, 4_000), (100, 300)];
/// Connections on which a load is sent.
const CONNECTIONS: usize = 256;
/// As large as the servers have room for.
const BOUND: &str = "max_bytes = \"2 GiB\"\n";
/// The stream of the log of events.
const STREAM: &str = "lakehook-main-events";
const HEAD: &str = "\
| work | log | requests/s | CPU µs per event | ÷ disk | p50 ms | ÷ disk | p99 ms | ÷ disk | bytes per event | ÷ disk |
|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|
";

/// What one load came to with one log.
struct LogFigures {
    sent: Sent,
    cpu: Duration,
    bytes: u64,
}

/// The section of a page, with the figures of one run.
pub(crate) fn measure(runtime: &Runtime, scale: usize) -> Result<String> {
    let mut page = format!("## Engines\n\n{}\n\n{HEAD}", machine()?);
    for (events_per_request, requests) in LOADS {
        let work = Arc::new(Work::prepare(events_per_request, requests * scale));
        let server = S3Server::start(1);
        let disk = on_disk(runtime, &server, &work)?;
        push(&mut page, &work, "disk", &disk, &disk);
        let bucket = in_bucket(runtime, &server, &work)?;
        push(&mut page, &work, "bucket", &bucket, &disk);
        match in_nats(runtime, &server, &work)? {
            Some(nats) => push(&mut page, &work, "NATS", &nats, &disk),
            None => page.push_str("| | NATS: nats-server is not installed | | | | | | | | | |\n"),
        }
    }
    write!(
        page,
        "\n{CONNECTIONS} connections in a closed loop. The bucket is in memory on this machine, and gets an append\n\
         every 250 ms at most, by default; the three servers of NATS share the disk and the processors of this\n\
         machine. CPU is that of the program alone.\n"
    )?;
    Ok(page)
}

/// What this machine is.
pub(crate) fn machine() -> Result<String> {
    let machine = device::describe()?;
    Ok(format!(
        "{}, {} cores, {}, Linux {}.",
        machine.processor, machine.cores, machine.file_system, machine.kernel
    ))
}

fn push(page: &mut String, work: &Work, log: &str, own: &LogFigures, disk: &LogFigures) {
    let events = work.events() as f64;
    let rate = |one: &LogFigures| {
        let requests = work.measured().len() as f64;
        requests / one.sent.wall.as_secs_f64()
    };
    let millis =
        |one: &LogFigures, part: usize| one.sent.latencies.quantile(part).as_secs_f64() * 1e3;
    let micros = |one: &LogFigures| one.cpu.as_secs_f64() * 1e6 / events;
    let bytes = |one: &LogFigures| one.bytes as f64 / events;
    let _infallible = write!(page, "| {} | {log} | {:.0} |", work.name(), rate(own));
    let pairs = [
        (micros(own), micros(disk)),
        (millis(own, 500), millis(disk, 500)),
        (millis(own, 990), millis(disk, 990)),
        (bytes(own), bytes(disk)),
    ];
    for (own, disk) in pairs {
        let _infallible = write!(page, " {own:.2} | {:.2} |", own / disk);
    }
    page.push('\n');
}

/// The load, after a warm-up; and the processor time that it took.
fn load(runtime: &Runtime, service: &Service, work: &Arc<Work>) -> Result<(Sent, Duration)> {
    let load = load_of(service, CONNECTIONS);
    runtime.block_on(load.send(work, work.warm_up()))?;
    let before = service.cpu_time();
    let sent = runtime.block_on(load.send(work, work.measured()))?;
    Ok((sent, service.cpu_time().saturating_sub(before)))
}

/// How much of the bytes belongs to the measured part of the load.
fn share(work: &Work, bytes: u64) -> u64 {
    let (measured, warm_up) = (work.measured().len() as u64, work.warm_up().len() as u64);
    bytes * measured / (measured + warm_up).max(1)
}

fn on_disk(runtime: &Runtime, server: &S3Server, work: &Arc<Work>) -> Result<LogFigures> {
    let service = Service::unshipped(server.address(), BOUND)?;
    let (sent, cpu) = load(runtime, &service, work)?;
    let directory = service.stop();
    let log = inspect(&Disk, &directory.path().join("wal"))?;
    let bytes = log.segments.iter().map(|segment| segment.used_bytes).sum();
    Ok(LogFigures {
        sent,
        cpu,
        bytes: share(work, bytes),
    })
}

fn in_bucket(runtime: &Runtime, server: &S3Server, work: &Arc<Work>) -> Result<LogFigures> {
    let wal = format!("{BOUND}replica = \"s3://{BUCKET}/PREFIX/_lakehook/log\"\n");
    let service = Service::unshipped(server.address(), &wal)?;
    let (sent, cpu) = load(runtime, &service, work)?;
    let prefix = service.directory().file_name().unwrap_or_default();
    let prefix = format!("{}/_lakehook/log/events/frames/", prefix.display());
    let frames = server.keys(&prefix);
    let sizes = frames.iter().filter_map(|key| server.object(key));
    let bytes = sizes.map(|object| object.bytes.len() as u64).sum();
    Ok(LogFigures {
        sent,
        cpu,
        bytes: share(work, bytes),
    })
}

fn in_nats(runtime: &Runtime, server: &S3Server, work: &Arc<Work>) -> Result<Option<LogFigures>> {
    let Some(nats) = Nats::start() else {
        return Ok(None);
    };
    let wal = format!("{BOUND}replica = \"{}\"\n", nats.url());
    let service = Service::unshipped(server.address(), &wal)?;
    // What the stream keeps in reserve.
    let before = nats.bytes_of(STREAM).unwrap_or(0);
    let (sent, cpu) = load(runtime, &service, work)?;
    let after = nats.bytes_of(STREAM).context("no stream of the log")?;
    Ok(Some(LogFigures {
        sent,
        cpu,
        bytes: share(work, after.saturating_sub(before)),
    }))
}
