//! Three nodes with one log beside a single node, with the log in a bucket and in NATS: what an event costs the owner
//! of the log, and what it costs those who receive it and the owner together.
//!
//! The two nodes that do not own the log get the load, half of it each. Everything is shipped, as in the table of
//! throughput.

#![allow(
    clippy::cast_precision_loss,
    reason = "figures are shown with three digits"
)]

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::runtime::Runtime;

use super::children::{Helper, Service};
use super::engines::machine;
use super::work::Work;
use super::{SHIPPING_LIMIT, eprint_line, load_of};
use crate::support::nats::Nats;
use crate::support::s3::BUCKET;

/// The loads: how many events a request has, and how many requests are sent.
const LOADS: [(u32, usize); 2] = [(100, 1_200), (1, 2_000)];
/// Connections on which a load is sent.
const CONNECTIONS: usize = 256;
/// How often each is measured, in turn; the means are shown.
const RUNS: u32 = 4;
/// As large as the servers have room for.
const BOUND: &str = "max_bytes = \"2 GiB\"\n";
const HEAD: &str = "\
| work | log | single node, µs | owner, µs | ÷ single | receivers, µs | all nodes, µs | ÷ single |
|---|---|---:|---:|---:|---:|---:|---:|
";

/// Processor time of a single node, and of the owner and the receivers of a cluster.
#[derive(Clone, Copy)]
struct Spent {
    single: Duration,
    owner: Duration,
    receivers: Duration,
}

impl Spent {
    fn of_owner(&self) -> f64 {
        self.owner.as_secs_f64() / self.single.as_secs_f64()
    }

    fn of_all(&self) -> f64 {
        (self.owner + self.receivers).as_secs_f64() / self.single.as_secs_f64()
    }
}

/// The section of a page, with the figures of one run.
pub(crate) fn measure(runtime: &Runtime, scale: usize) -> Result<String> {
    let mut page = format!("## Cluster\n\n{}\n\n{HEAD}", machine()?);
    let s3 = Helper::start("s3")?;
    for (events_per_request, requests) in LOADS {
        let work = Arc::new(Work::prepare(events_per_request, requests * scale));
        let bucket = format!("{BOUND}replica = \"s3://{BUCKET}/PREFIX/_lakehook/log\"\n");
        let mut prefixes = 0;
        for (name, is_nats) in [("bucket", false), ("NATS", true)] {
            let mut all = Vec::new();
            for _ in 0..RUNS {
                let mut one = |in_cluster| {
                    prefixes += 1;
                    let prefix = format!("cluster-{events_per_request}-{prefixes}");
                    let nats = if is_nats { Nats::start() } else { None };
                    let wal = match &nats {
                        Some(nats) => format!("{BOUND}replica = \"{}\"\n", nats.url()),
                        None => bucket.clone(),
                    };
                    ensure!(nats.is_some() == is_nats, "nats-server is not installed");
                    let place = (s3.address(), prefix.as_str(), wal.as_str());
                    if in_cluster {
                        of_cluster(runtime, place, &work)
                    } else {
                        of_single(runtime, place, &work).map(|spent| (spent, Duration::ZERO))
                    }
                };
                let ((single, _), (owner, receivers)) = (one(false)?, one(true)?);
                all.push(Spent {
                    single,
                    owner,
                    receivers,
                });
            }
            let row = row(&work, name, &all);
            eprint_line(row.trim_end());
            page.push_str(&row);
        }
    }
    write!(
        page,
        "\nProcessor time per event until everything is in the lake, {CONNECTIONS} connections in a closed loop, the mean of\n\
         {RUNS} runs, single nodes and clusters in turn. The two nodes that do not own the log receive the events. The bucket is in\n\
         memory; the three servers of NATS share the disk and the processors of this machine. Goals: the owner at most 0.4 of a\n\
         single node, all nodes together at most 1.3.\n"
    )?;
    Ok(page)
}

fn row(work: &Work, log: &str, all: &[Spent]) -> String {
    let mean = |of: fn(&Spent) -> Duration| all.iter().map(of).sum::<Duration>() / RUNS;
    let spent = Spent {
        single: mean(|spent| spent.single),
        owner: mean(|spent| spent.owner),
        receivers: mean(|spent| spent.receivers),
    };
    let micros = |time: Duration| time.as_secs_f64() * 1e6 / work.events() as f64;
    format!(
        "| {} | {log} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} |\n",
        work.name(),
        micros(spent.single),
        micros(spent.owner),
        spent.of_owner(),
        micros(spent.receivers),
        micros(spent.owner + spent.receivers),
        spent.of_all(),
    )
}

/// Where the lake is, and the lines that say where the log is.
type Place<'a> = (SocketAddr, &'a str, &'a str);

fn of_single(
    runtime: &Runtime,
    (endpoint, prefix, wal): Place<'_>,
    work: &Arc<Work>,
) -> Result<Duration> {
    let node = Service::node(endpoint, prefix, wal, false)?;
    let load = load_of(&node, CONNECTIONS);
    runtime.block_on(load.send(work, work.warm_up()))?;
    node.wait_until_shipped(SHIPPING_LIMIT)?;
    let before = node.cpu_time();
    runtime.block_on(load.send(work, work.measured()))?;
    node.wait_until_shipped(SHIPPING_LIMIT)?;
    Ok(node.cpu_time().saturating_sub(before))
}

/// The time of the owner, and that of the others.
fn of_cluster(
    runtime: &Runtime,
    (endpoint, prefix, wal): Place<'_>,
    work: &Arc<Work>,
) -> Result<(Duration, Duration)> {
    let start = || Service::node(endpoint, prefix, wal, true);
    let (owner, one, other) = (start()?, start()?, start()?);
    ensure!(owner.role()? == "owning", "the first node owns the log");
    let send = |part: std::ops::Range<usize>| -> Result<()> {
        let middle = part.start + part.len() / 2;
        let first = load_of(&one, CONNECTIONS / 2).send(work, part.start..middle);
        let second = load_of(&other, CONNECTIONS / 2).send(work, middle..part.end);
        runtime.block_on(async {
            let (first, second) = tokio::join!(first, second);
            first.and(second)
        })?;
        owner.wait_until_shipped(SHIPPING_LIMIT).map(drop)
    };
    send(work.warm_up())?;
    let times = || (owner.cpu_time(), one.cpu_time() + other.cpu_time());
    let before = times();
    send(work.measured())?;
    let after = times();
    Ok((
        after.0.saturating_sub(before.0),
        after.1.saturating_sub(before.1),
    ))
}
