//! `cargo bench --bench throughput`: what the real program does under load, on this machine.
//!
//! Promises: the program is a child process with its default limits; requests are made before the
//! clock starts; every answer is compared with the one expected; processor time covers everything from
//! the first request until the last row is in the lake. Next to it, in the same run: a bare axum
//! handler that takes the same requests, and the disk's own fdatasync, so that ratios mean something
//! on any machine. Wall times on a shared machine are noise; processor time and ratios are less so, and each
//! row is the median of three runs.
//!
//! Then an open loop at half load, what an answer takes beside a sync by the number of connections, and what an
//! event costs by the size of requests and by the number of open partitions.
//!
//! Doesn't measure: recovery, polls.

#![allow(clippy::print_stdout, reason = "a bench prints its result")]
#![allow(
    clippy::disallowed_methods,
    reason = "a bench lives in real time and on a real disk"
)]

mod arguments;
mod ceiling;
mod children;
mod device;
mod durations;
mod engines;
mod cluster;
mod groups;
mod report;
mod roles;
mod scaling;
mod sender;
mod slow_disk;
mod stored;
mod work;
#[path = "../../tests/support/mod.rs"]
mod support;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};

use arguments::Arguments;
use children::{Helper, Lake, Service};
use durations::Sorted;
use report::{HalfLoad, Report, Row};
use sender::Load;
use tokio::runtime::Runtime;
use work::Work;

/// Where the full run's table is kept.
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/PERFORMANCE.md");

/// The heading with which the figures of other benches begin on that page. They stay.
const OTHER_BENCHES: &str = "\n## Erasures";

/// For what is left to be shipped when the load ends.
const SHIPPING_LIMIT: Duration = Duration::from_mins(2);

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let arguments = Arguments::read(&words)?;
    if let Some(role) = arguments.role {
        return roles::play(role);
    }
    if !arguments.is_bench {
        return Ok(());
    }
    let runtime = Runtime::new()?;
    if let Some(scale) = arguments.wants_engines() {
        println!("{}", engines::measure(&runtime, scale)?);
        return Ok(());
    }
    if let Some(scale) = arguments.wants_cluster() {
        println!("{}", cluster::measure(&runtime, scale)?);
        return Ok(());
    }
    let report = measure(&runtime, &arguments)?;
    let page = report.to_markdown();
    println!("{page}");
    if arguments.is_complete() {
        let before = std::fs::read_to_string(PAGE).unwrap_or_default();
        let kept = before.find(OTHER_BENCHES).map_or("", |at| &before[at..]);
        std::fs::write(PAGE, page + kept).with_context(|| format!("failed to write {PAGE}"))?;
    }
    Ok(())
}

fn measure(runtime: &Runtime, arguments: &Arguments) -> Result<Report> {
    let mut report = Report::new(device::describe()?);
    let s3 = Helper::start("s3")?;
    for events_per_request in [1, 100] {
        if !arguments.wants(events_per_request) {
            continue;
        }
        let requests = arguments.requests(events_per_request);
        let work = Arc::new(Work::prepare(events_per_request, requests));
        if events_per_request > 1 {
            let cpu = ceiling::parse_and_compress(&work)?;
            report.parse_and_compress = Some((cpu, work.events()));
        }
        for connections in arguments.connections() {
            for (lake, format) in arguments.lakes(events_per_request) {
                let mut rows = Vec::new();
                for _ in 0..arguments.runs() {
                    let endpoint = (lake == Lake::Bucket).then(|| s3.address());
                    let service = Service::start(format, endpoint)?;
                    let bare = measure_bare(runtime, &work, connections)?;
                    let row = measure_service(runtime, &service, &work, connections)?;
                    eprint_progress(&work, connections, lake, format);
                    rows.push(Row {
                        lake: lake.as_str(),
                        format,
                        bare,
                        ..row
                    });
                }
                report.rows.push(median(rows)?);
            }
        }
        let (lake, format) = arguments.lakes(events_per_request)[0];
        let is_first = |row: &&Row| (row.lake, row.format) == (lake.as_str(), format);
        if let Some(row) = report.rows.iter().rfind(is_first) {
            report.half_loads.push(measure_half(runtime, &work, row)?);
        }
    }
    if arguments.wants_groups() {
        report.groups = groups::measure(runtime)?;
    }
    if arguments.wants_scaling() {
        report.points = scaling::measure(runtime)?;
    }
    if arguments.wants_slow_disk() {
        report.slow_disk = slow_disk::measure(runtime)?;
    }
    if arguments.wants_stored() {
        report.stored = stored::measure(runtime)?;
    }
    Ok(report)
}

/// That with the median number of requests a second, whole: its ratios are of one run.
fn median(mut rows: Vec<Row>) -> Result<Row> {
    let rate = |row: &Row| report::requests_per_second(&row.service);
    rows.sort_by(|a, b| rate(a).total_cmp(&rate(b)));
    let middle = rows.len() / 2;
    rows.into_iter().nth(middle).context("no run at all")
}

fn eprint_progress(work: &Work, connections: usize, lake: Lake, format: &str) {
    let (work, lake) = (work.name(), lake.as_str());
    eprint_line(&format!("{work} {connections} {lake} {format}"));
}

#[allow(clippy::print_stderr, reason = "a few minutes without a word are long")]
fn eprint_line(line: &str) {
    eprintln!("{line}");
}

/// The same requests, read and answered, and nothing else.
fn measure_bare(runtime: &Runtime, work: &Arc<Work>, connections: usize) -> Result<Figures> {
    let helper = Helper::start("bare")?;
    let load = Load::new(helper.address(), connections, |_| roles::BARE_ANSWER);
    runtime.block_on(load.send(work, work.warm_up()))?;
    let before = helper.cpu_time();
    let sent = runtime.block_on(load.send(work, work.measured()))?;
    Ok(Figures {
        sent,
        cpu: helper.cpu_time().saturating_sub(before),
    })
}

fn load_of(service: &Service, connections: usize) -> Load {
    Load::new(service.address(), connections, |request| &request.answer)
}

fn measure_service(
    runtime: &Runtime,
    service: &Service,
    work: &Arc<Work>,
    connections: usize,
) -> Result<Row> {
    let load = load_of(service, connections);
    runtime.block_on(load.send(work, work.warm_up()))?;
    service.wait_until_shipped(SHIPPING_LIMIT)?;
    let mut syncs = device::sync_times()?;
    let before = service.cpu_time();
    let sent = runtime.block_on(load.send(work, work.measured()))?;
    service.wait_until_shipped(SHIPPING_LIMIT)?;
    let cpu = service.cpu_time().saturating_sub(before);
    // Before and after: a shared disk is not the same for long.
    syncs.extend(device::sync_times()?);
    Ok(Row {
        work: work.name(),
        events: work.events(),
        connections,
        lake: "",
        format: "",
        service: Figures { sent, cpu },
        syncs: Sorted::new(syncs),
        bare: Figures::default(),
        peak_rss_bytes: service.peak_rss_bytes(),
    })
}

/// An open loop at half of what that row's closed loop came to.
fn measure_half(runtime: &Runtime, work: &Arc<Work>, row: &Row) -> Result<HalfLoad> {
    let rate = report::requests_per_second(&row.service) / 2.0;
    let service = Service::start(row.format, None)?;
    let load = load_of(&service, row.connections).at_rate(rate);
    runtime.block_on(load.send(work, work.warm_up()))?;
    service.wait_until_shipped(SHIPPING_LIMIT)?;
    let mut syncs = device::sync_times()?;
    let sent = runtime.block_on(load.send(work, work.measured()))?;
    let shipped_after = service.wait_until_shipped(SHIPPING_LIMIT)?;
    syncs.extend(device::sync_times()?);
    Ok(HalfLoad {
        work: work.name(),
        connections: row.connections,
        rate,
        sent,
        shipped_after,
        syncs: Sorted::new(syncs),
    })
}

/// What one load came to.
#[derive(Clone, Debug, Default)]
struct Figures {
    sent: sender::Sent,
    /// User and system time of the process under load.
    cpu: Duration,
}
