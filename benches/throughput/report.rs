//! The tables, as the page that is kept.
//!
//! Every figure stands beside what it is compared with: the bare handler, the ceiling, or the disk.

#![allow(
    clippy::cast_precision_loss,
    reason = "figures are shown with three digits"
)]

use std::fmt::Write as _;
use std::time::Duration;

use lakehook::clock::Clock;

use super::Figures;
use super::children::MAX_AGE;
use super::device::Machine;
use super::durations::Sorted;
use super::scaling::Point;
use super::sender::Sent;
use super::slow_disk::Pair;
use super::stored::Stored;

const COLUMNS: [&str; 18] = [
    "work",
    "conn.",
    "lake",
    "format",
    "requests/s",
    "of bare",
    "of disk limit",
    "CPU µs per request",
    "CPU µs per event",
    "× ceiling",
    "× bare",
    "sync p50 ms",
    "sync p99 ms",
    "p50 ms",
    "p50 ÷ sync",
    "p99 ms",
    "p99.9 ms",
    "RSS MiB",
];
const HALF_COLUMNS: [&str; 9] = [
    "work",
    "conn.",
    "requests/s",
    "p50 ms",
    "p99 ms",
    "sync p99 ms",
    "p99 ÷ sync p99",
    "in the lake after, s",
    "sustained",
];
const GROUP_COLUMNS: [&str; 8] = [
    "conn.",
    "requests/s",
    "sync p50 ms",
    "sync p99 ms",
    "p50 ms",
    "p50 ÷ sync p50",
    "p99 ms",
    "p99 ÷ sync p99",
];
const SLOW_COLUMNS: [&str; 7] = [
    "work",
    "conn.",
    "requests/s",
    "with slow syncs",
    "ratio",
    "p50 ms",
    "with slow syncs",
];
const STORED_COLUMNS: [&str; 7] = [
    "work",
    "conn.",
    "bytes per row",
    "log, bytes per byte of rows",
    "rows per frame",
    "rows in 1 GiB of log",
    "objects, to one piece each",
];
const POINT_COLUMNS: [&str; 3] = ["events per request", "open partitions", "CPU µs per event"];

const LEGEND: &str = "\
* **of bare**: requests per second, divided by those of an axum handler that reads the same bodies
  and answers 200. It runs in a process of its own, with the same senders, just before.
* **of disk limit**: requests per second, divided by connections ÷ median sync. Each connection has
  one request under way and each answer waits for a sync, so only a faster disk allows more.
* **CPU**: user and system time of the process from the first request until every row is in the
  lake, after a warm-up. Goals: W100 at 1.0 µs per event and 1.3 × the ceiling; W1 at 16 µs per
  request, 1.4 × bare, and 80 % of bare's requests with 256 connections; Parquet at 3 µs per event.
* **× ceiling**: that time, divided by the bare handler's for the same bodies plus the time of one
  thread that parses them into typed events (serde_json) and compresses them (zstd, level 1).
  **× bare**: divided by the bare handler's alone.
* **sync**: a 4 KiB write with fdatasync, measured two hundred times before the row and after it.
  **p50 ÷ sync**: the median answer, divided by the median sync. If a shared disk changes in
  between, this ratio and the disk limit mean little.
* The senders share the machine with the service, and compare every answer with the expected one.
* Each row is the median of three runs, by requests per second. All its figures are of that one run.
";

const GIB: f64 = 1024.0 * 1024.0 * 1024.0;
/// A batch is sealed at this age; then it is encoded and put.
const SHIPPING_TIME: Duration = Duration::from_secs(1);

const HALF_LEGEND: &str = "\
An open loop at half the rate of the closed one (directory, ndjson.zst): requests are sent when they
are due (to the timer's millisecond), and times count from then. **sustained**: within the age of a
batch (2 s) and one more second after the last answer, everything was in the lake.
";

const GROUPS_LEGEND: &str = "\
W1 in a closed loop (directory, ndjson.zst): each connection sends when it has its answer, and each
answer waits for a sync. Requests that arrive during a sync share the next one. Where a sync is
short, the processors are the limit, and the senders share them.
";

const POINTS_LEGEND: &str = "\
What an event costs, by the size of requests and by the number of partitions that are open at once
(each is an object of its own, with its own syncs): 32 connections, directory, ndjson.zst, 400 000
events.
";

const SLOW_LEGEND: &str = "\
A closed loop (directory, ndjson.zst), and the same where each fsync and fdatasync takes 3 ms longer;
both in turn, the medians of three. While a frame is being synced, requests are read and checked, but
the next frame is not prepared. Preparing it ahead could raise the ratio to 100 % at most.
";

const STORED_LEGEND: &str = "\
What rows take (ndjson.zst, 400 000 events): in a log whose bucket is away, with everything that
stands in its frames, for each byte of the rows; and in the objects of a directory, for each byte of
the same rows if every object is compressed anew as one zstd frame.
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

/// An open loop.
#[derive(Clone, Debug)]
pub(crate) struct HalfLoad {
    pub(crate) work: String,
    pub(crate) connections: usize,
    /// Requests a second.
    pub(crate) rate: f64,
    pub(crate) sent: Sent,
    pub(crate) shipped_after: Duration,
    pub(crate) syncs: Sorted,
}

/// Everything that was measured.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    machine: Machine,
    pub(crate) rows: Vec<Row>,
    /// Of so many events of W100 on one thread.
    pub(crate) parse_and_compress: Option<(Duration, u64)>,
    pub(crate) half_loads: Vec<HalfLoad>,
    pub(crate) groups: Vec<Row>,
    pub(crate) points: Vec<Point>,
    pub(crate) slow_disk: Vec<Pair>,
    pub(crate) stored: Vec<Stored>,
}

impl Report {
    /// Without rows.
    pub(crate) fn new(machine: Machine) -> Self {
        Self {
            machine,
            rows: Vec::new(),
            parse_and_compress: None,
            half_loads: Vec::new(),
            groups: Vec::new(),
            points: Vec::new(),
            slow_disk: Vec::new(),
            stored: Vec::new(),
        }
    }

    /// The whole page.
    pub(crate) fn to_markdown(&self) -> String {
        let mut page = self.heading();
        let rows = self.rows.iter().map(|row| self.cells(row));
        push_table(&mut page, COLUMNS, rows);
        page.push_str(LEGEND);
        page.push_str(&self.ceiling());
        let half_loads = self.half_loads.iter().map(half_cells);
        push_section(
            &mut page,
            "At half load",
            HALF_COLUMNS,
            half_loads,
            HALF_LEGEND,
        );
        let groups = self.groups.iter().map(group_cells);
        push_section(
            &mut page,
            "Group commit",
            GROUP_COLUMNS,
            groups,
            GROUPS_LEGEND,
        );
        let points = self.points.iter().map(point_cells);
        push_section(
            &mut page,
            "In proportion",
            POINT_COLUMNS,
            points,
            POINTS_LEGEND,
        );
        let pairs = self.slow_disk.iter().map(slow_cells);
        push_section(
            &mut page,
            "On a slow disk",
            SLOW_COLUMNS,
            pairs,
            SLOW_LEGEND,
        );
        let stored = self.stored.iter().map(stored_cells);
        push_section(
            &mut page,
            "What rows take",
            STORED_COLUMNS,
            stored,
            STORED_LEGEND,
        );
        page
    }

    fn ceiling(&self) -> String {
        let Some((alone, events)) = self.parse_and_compress else {
            return String::new();
        };
        let rows = self.rows.iter().filter(|row| row.events == events);
        let bare = rows.map(|row| row.bare.cpu.as_secs_f64() / events as f64);
        format!(
            "* The ceiling of W100 is the sum of {:.2} µs per event, the best of the bare handler, and {:.2} µs for \
             parsing and compressing.\n",
            bare.fold(f64::INFINITY, f64::min) * 1e6,
            alone.as_secs_f64() / events as f64 * 1e6
        )
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

    fn cells(&self, row: &Row) -> [String; COLUMNS.len()] {
        let (service, bare) = (&row.service, &row.bare);
        let rate = requests_per_second(service);
        let sync_p50 = row.syncs.quantile(500);
        let sync = sync_p50.as_secs_f64();
        let disk_limit = row.connections as f64 / sync;
        let requests = service.sent.latencies.len() as f64;
        let cpu = service.cpu.as_secs_f64();
        let is_w100 = row.events > service.sent.latencies.len() as u64;
        let alone = self.parse_and_compress.filter(|_| is_w100);
        let of_ceiling = alone.map_or("–".to_owned(), |(alone, events)| {
            let ceiling =
                bare.cpu.as_secs_f64() / row.events as f64 + alone.as_secs_f64() / events as f64;
            format!("{:.2}", cpu / row.events as f64 / ceiling)
        });
        let p50 = service.sent.latencies.quantile(500);
        [
            row.work.clone(),
            row.connections.to_string(),
            row.lake.to_owned(),
            row.format.to_owned(),
            format!("{rate:.0}"),
            percent(rate / requests_per_second(bare)),
            percent(rate / disk_limit),
            format!("{:.1}", cpu * 1e6 / requests),
            format!("{:.2}", cpu * 1e6 / row.events as f64),
            of_ceiling,
            times(service.cpu, bare.cpu),
            millis(sync_p50),
            millis(row.syncs.quantile(990)),
            millis(p50),
            times(p50, sync_p50),
            millis(service.sent.latencies.quantile(990)),
            millis(service.sent.latencies.quantile(999)),
            (row.peak_rss_bytes >> 20).to_string(),
        ]
    }
}

fn half_cells(half: &HalfLoad) -> [String; HALF_COLUMNS.len()] {
    let (p99, sync_p99) = (half.sent.latencies.quantile(990), half.syncs.quantile(990));
    let is_sustained = half.shipped_after <= MAX_AGE + SHIPPING_TIME;
    [
        half.work.clone(),
        half.connections.to_string(),
        format!("{:.0}", half.rate),
        millis(half.sent.latencies.quantile(500)),
        millis(p99),
        millis(sync_p99),
        times(p99, sync_p99),
        format!("{:.1}", half.shipped_after.as_secs_f64()),
        if is_sustained { "yes" } else { "no" }.to_owned(),
    ]
}

fn group_cells(row: &Row) -> [String; GROUP_COLUMNS.len()] {
    let latencies = &row.service.sent.latencies;
    let (p50, p99) = (latencies.quantile(500), latencies.quantile(990));
    let (sync_p50, sync_p99) = (row.syncs.quantile(500), row.syncs.quantile(990));
    [
        row.connections.to_string(),
        format!("{:.0}", requests_per_second(&row.service)),
        millis(sync_p50),
        millis(sync_p99),
        millis(p50),
        times(p50, sync_p50),
        millis(p99),
        times(p99, sync_p99),
    ]
}

fn point_cells(point: &Point) -> [String; POINT_COLUMNS.len()] {
    [
        point.events_per_request.to_string(),
        point.partitions.clone(),
        format!("{:.2}", point.cpu.as_secs_f64() * 1e6),
    ]
}

fn slow_cells(pair: &Pair) -> [String; SLOW_COLUMNS.len()] {
    let (fast, slow) = (&pair.fast.service, &pair.slow.service);
    let rate = requests_per_second;
    [
        pair.fast.work.clone(),
        pair.fast.connections.to_string(),
        format!("{:.0}", rate(fast)),
        format!("{:.0}", rate(slow)),
        percent(rate(slow) / rate(fast)),
        millis(fast.sent.latencies.quantile(500)),
        millis(slow.sent.latencies.quantile(500)),
    ]
}

fn stored_cells(stored: &Stored) -> [String; STORED_COLUMNS.len()] {
    let (log, lake) = (stored.log, stored.lake);
    let row_bytes = lake.row_bytes as f64 / lake.rows as f64;
    let log_bytes = log.bytes as f64 / log.rows as f64;
    let one_piece = lake.object_bytes as f64 / lake.in_one_piece as f64;
    [
        stored.work.clone(),
        stored.connections.to_string(),
        format!("{row_bytes:.0}"),
        format!("{:.3}", log_bytes / row_bytes),
        format!("{:.0}", log.rows as f64 / log.frames as f64),
        format!("{:.1} million", GIB / log_bytes / 1e6),
        format!("{:+.1} %", (one_piece - 1.0) * 100.0),
    ]
}

/// A table below a heading of its own; nothing where nothing was measured.
fn push_section<const N: usize>(
    page: &mut String,
    title: &str,
    columns: [&str; N],
    rows: impl ExactSizeIterator<Item = [String; N]>,
    legend: &str,
) {
    if rows.len() == 0 {
        return;
    }
    // Memory takes every write.
    let _ = write!(page, "\n## {title}\n\n");
    push_table(page, columns, rows);
    page.push_str(legend);
}

fn push_table<const N: usize>(
    page: &mut String,
    columns: [&str; N],
    rows: impl Iterator<Item = [String; N]>,
) {
    push_line(page, &columns.map(str::to_owned));
    push_line(page, &columns.map(|_| "---".to_owned()));
    for row in rows {
        push_line(page, &row);
    }
    page.push('\n');
}

/// Of a closed loop.
pub(crate) fn requests_per_second(figures: &Figures) -> f64 {
    figures.sent.latencies.len() as f64 / figures.sent.wall.as_secs_f64()
}

fn percent(ratio: f64) -> String {
    format!("{:.0} %", ratio * 100.0)
}

/// How many times as long.
fn times(duration: Duration, other: Duration) -> String {
    format!("{:.1}", duration.as_secs_f64() / other.as_secs_f64())
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
