//! The table, as the page that is kept.
//!
//! Every figure stands beside what it is compared with: the bare handler, the disk, or the goal.

#![allow(
    clippy::cast_precision_loss,
    reason = "figures are shown with three digits"
)]

use std::fmt::Write as _;
use std::time::Duration;

use lakehook::clock::Clock;

use super::Figures;
use super::device::Machine;
use super::durations::Sorted;

/// Of W100, from the request to the object.
const GOAL_EVENTS_PER_CPU_SECOND: f64 = 1_000_000.0;

const COLUMNS: [&str; 17] = [
    "work",
    "conn.",
    "lake",
    "format",
    "requests/s",
    "of bare",
    "of disk limit",
    "events/CPU-s",
    "of goal",
    "CPU × bare",
    "sync p50 ms",
    "sync p99 ms",
    "p50 ms",
    "p50 ÷ sync",
    "p99 ms",
    "p99.9 ms",
    "RSS MiB",
];

const LEGEND: &str = "\
* **of bare**: requests per second, divided by those of an axum handler that reads the same bodies and
  answers 200 (a process of its own, the same senders, just before).
* **of disk limit**: requests per second, divided by connections ÷ median sync. Each connection has one
  request on its way and each answer waits for a sync, so more than this needs a faster disk.
* **events/CPU-s**: events sent, divided by user and system time of the process from the first request
  until every row is in the lake, after a warm-up. **of goal**: of a million (for W100).
* **CPU × bare**: that time a request, divided by the bare handler's.
* **sync**: a 4 KiB write with fdatasync, two hundred times before the row and after it. **p50 ÷ sync**:
  the median answer, divided by the median of those. A shared disk may change in between: then the
  divisor, and the disk limit, say little.
* The senders share the machine with the service; every answer is compared with the expected one.
";

/// One row.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) work: String,
    pub(crate) events: u64,
    pub(crate) connections: usize,
    pub(crate) lake: &'static str,
    pub(crate) format: &'static str,
    pub(crate) service: Figures,
    pub(crate) bare: Figures,
    /// Of 4 KiB each, before and after.
    pub(crate) syncs: Sorted,
    pub(crate) peak_rss_bytes: u64,
}

/// Everything that was measured.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    machine: Machine,
    pub(crate) rows: Vec<Row>,
}

impl Report {
    /// Without rows.
    pub(crate) fn new(machine: Machine) -> Self {
        let rows = Vec::new();
        Self { machine, rows }
    }

    /// The whole page.
    pub(crate) fn to_markdown(&self) -> String {
        let mut page = self.heading();
        push_line(&mut page, &COLUMNS.map(str::to_owned));
        push_line(&mut page, &COLUMNS.map(|_| "---".to_owned()));
        for row in &self.rows {
            push_line(&mut page, &cells(row));
        }
        page.push('\n');
        page.push_str(LEGEND);
        page
    }

    fn heading(&self) -> String {
        let machine = &self.machine;
        let today = Clock::system().now().wall.to_string();
        let day = today.split('T').next().unwrap_or_default();
        format!(
            "# Performance\n\nPrinted by `cargo bench --bench throughput` (`make bench`) on {day}.\n\n\
             {}, {} cores, {}, Linux {}.\n\n",
            machine.processor, machine.cores, machine.file_system, machine.kernel,
        )
    }
}

fn cells(row: &Row) -> [String; COLUMNS.len()] {
    let (service, bare) = (&row.service, &row.bare);
    let rate = requests_per_second(service);
    let sync_p50 = row.syncs.quantile(500);
    let sync = sync_p50.as_secs_f64();
    let disk_limit = row.connections as f64 / sync;
    let per_cpu_second = row.events as f64 / service.cpu.as_secs_f64();
    let is_w100 = row.events > service.sent.latencies.len() as u64;
    let of_goal = if is_w100 {
        percent(per_cpu_second / GOAL_EVENTS_PER_CPU_SECOND)
    } else {
        "–".to_owned()
    };
    let p50 = service.sent.latencies.quantile(500);
    [
        row.work.clone(),
        row.connections.to_string(),
        row.lake.to_owned(),
        row.format.to_owned(),
        format!("{rate:.0}"),
        percent(rate / requests_per_second(bare)),
        percent(rate / disk_limit),
        format!("{per_cpu_second:.0}"),
        of_goal,
        format!("{:.1}", service.cpu.as_secs_f64() / bare.cpu.as_secs_f64()),
        millis(sync_p50),
        millis(row.syncs.quantile(990)),
        millis(p50),
        format!("{:.1}", p50.as_secs_f64() / sync),
        millis(service.sent.latencies.quantile(990)),
        millis(service.sent.latencies.quantile(999)),
        (row.peak_rss_bytes >> 20).to_string(),
    ]
}

fn requests_per_second(figures: &Figures) -> f64 {
    figures.sent.latencies.len() as f64 / figures.sent.wall.as_secs_f64()
}

fn percent(ratio: f64) -> String {
    format!("{:.0} %", ratio * 100.0)
}

fn millis(duration: Duration) -> String {
    format!("{:.1}", duration.as_secs_f64() * 1000.0)
}

fn push_line(page: &mut String, cells: &[String]) {
    for cell in cells {
        // Memory takes every write.
        let _ = write!(page, "| {cell} ");
    }
    page.push_str("|\n");
}
