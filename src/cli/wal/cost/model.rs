//! The model: how often a log appends, how large an append is, how many logs are needed, and what that costs.
//!
//! A log has one append under way. The next one begins when that one is done, when `wal.replica_interval` has passed
//! since it began, and when a request is there; everything that came in meanwhile goes with it. So under load there
//! is one append in each *cycle*, the longer of interval and append. With few requests there is one for each of them,
//! and another one that notes that nothing is under way, if nothing came for a second.
//!
//! Requests are taken to come at random times. Seals and commits, a few for each object, go with other appends and
//! are left out. So is everything that costs the same wherever the log is: the nodes, and the lake.

use serde::Serialize;

use super::assumptions::Assumptions;

/// Bytes that the program adds to an event: its LSN, its time of receipt, its request.
const ROW_EXTRA: f64 = 80.0;
/// Rows of a frame are compressed from so many bytes on.
const PACKED_FROM: f64 = 16384.0;
/// Bytes of a frame beside its rows: header, envelope, names, counts.
const FRAME_EXTRA: f64 = 300.0;
/// A write to a disk takes whole blocks.
const BLOCK: f64 = 4096.0;
/// Bytes that a stream has beside a message.
const MESSAGE_EXTRA: f64 = 512.0;
/// After so many seconds without a request, the log notes that.
const IDLE: f64 = 1.0;
/// Copies of a message that go from zone to zone: two of the leader's, and two thirds of the requests'.
const ZONE_COPIES: f64 = 8.0 / 3.0;
/// Servers of a cluster.
const CLUSTER: f64 = 3.0;
/// How much of what it could take a log is given, and a cluster, and a processor.
pub(super) const FILL: f64 = 0.8;
/// Bytes of a segment: the ids of each are an item of their own.
const SEGMENT: f64 = MIB * 64.0;
/// Bytes of an id.
const ID: f64 = 12.0;
pub(super) const MONTH: f64 = 30.0 * 86400.0;
const MIB: f64 = 1_048_576.0;
const GB: f64 = 1e9;

/// Where a log is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineKind {
    /// On the disk of its node.
    Disk,
    /// In a bucket.
    S3,
    /// In NATS.
    Nats,
}

impl EngineKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Disk, Self::S3, Self::Nats];
}

/// What comes of it.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Estimate {
    /// Where the logs are.
    pub engine: EngineKind,
    /// Of all nodes.
    pub events_per_second: f64,
    /// Nodes that were asked for.
    pub nodes: f64,
    /// Logs: at least one for each node, and more if their appends could not take everything.
    pub logs: f64,
    /// How busy the processors of the nodes are; above 1, they cannot do it.
    pub busy: f64,
    /// Of all logs.
    pub appends_per_second: f64,
    /// Bytes of an append as it is stored.
    pub append_bytes: f64,
    /// Milliseconds that an answer waits for its append, on average.
    pub answer_millis: f64,
    /// Requests that are paid for.
    pub requests_per_month: f64,
    /// Bytes that are written to the engine.
    pub bytes_per_month: f64,
    /// What the engine costs.
    pub dollars_per_month: f64,
}

/// How an engine appends.
#[derive(Clone, Copy, Debug)]
struct Appending {
    interval: f64,
    fixed: f64,
    bytes_per_second: f64,
}

impl Appending {
    fn of(engine: EngineKind, assumed: &Assumptions) -> Self {
        let (interval, millis, mib) = match engine {
            EngineKind::Disk => (0.0, assumed.disk.disk_millis, assumed.disk.disk_mib),
            EngineKind::S3 => {
                let s3 = &assumed.s3;
                (s3.s3_interval_millis, s3.s3_millis, s3.s3_mib)
            }
            EngineKind::Nats => (0.0, assumed.nats.nats_millis, assumed.nats.nats_mib),
        };
        Self {
            interval: interval / 1000.0,
            fixed: millis / 1000.0,
            bytes_per_second: mib * MIB,
        }
    }

    /// Seconds of an append.
    fn seconds(self, bytes: f64) -> f64 {
        self.fixed + bytes / self.bytes_per_second
    }

    /// Seconds from the begin of an append to that of the next one, under load.
    fn cycle(self, bytes: f64) -> f64 {
        self.interval.max(self.seconds(bytes))
    }
}

/// Bytes that an append of so many rows takes in an engine.
fn append_bytes(engine: EngineKind, assumed: &Assumptions, rows: f64) -> f64 {
    let raw = rows * (assumed.incoming.event_bytes + ROW_EXTRA);
    let ratio = if raw >= PACKED_FROM {
        assumed.incoming.ratio
    } else {
        1.0
    };
    let bytes = raw / ratio + FRAME_EXTRA;
    match engine {
        EngineKind::Disk => (bytes / BLOCK).ceil() * BLOCK,
        EngineKind::S3 => bytes,
        EngineKind::Nats => bytes + MESSAGE_EXTRA,
    }
}

/// Appends a second of one log that gets so many requests a second at random times. An append takes `seconds`, and
/// begins no sooner than `cycle` seconds after the one before.
pub fn appends_per_second(requests_per_second: f64, seconds: f64, cycle: f64) -> f64 {
    let requests = requests_per_second;
    // No request came during the cycle with the probability e^-(requests × cycle), and then the next one takes
    // 1 / requests on average.
    let nobody = (-requests * cycle).exp();
    let notes = (-requests * (seconds + IDLE)).exp();
    // Whoever comes during the cycle of a note waits for the rest of it.
    let waits = cycle - (1.0 - nobody) / requests;
    (1.0 + notes) / (cycle + nobody / requests + notes * waits)
}

/// Events that one log takes in a second, if each of its frames is full.
fn most_per_log(engine: EngineKind, assumed: &Assumptions) -> f64 {
    let row = assumed.incoming.event_bytes + ROW_EXTRA;
    // A single request is taken whole.
    let rows = (assumed.node.frame_mib * MIB / row).max(assumed.incoming.events_per_request);
    let bytes = append_bytes(engine, assumed, rows);
    FILL * rows / Appending::of(engine, assumed).cycle(bytes)
}

/// Estimates one engine at one rate, with so many nodes.
pub fn estimate(engine: EngineKind, assumed: &Assumptions, rate: f64, nodes: f64) -> Estimate {
    let needed = (rate / most_per_log(engine, assumed)).ceil();
    let logs = nodes.max(needed);
    let appending = Appending::of(engine, assumed);
    let of_log = rate / logs;
    let requests = of_log / assumed.incoming.events_per_request;
    // How large an append is follows from how many there are, and the other way round.
    let (mut appends, mut bytes) = (requests, 0.0);
    for _ in 0..100 {
        bytes = append_bytes(engine, assumed, of_log / appends);
        let (seconds, cycle) = (appending.seconds(bytes), appending.cycle(bytes));
        let now = appends_per_second(requests, seconds, cycle);
        appends = f64::midpoint(appends, now);
    }
    let (seconds, cycle) = (appending.seconds(bytes), appending.cycle(bytes));
    // Whoever comes during a cycle waits for the rest of it, half of it on average.
    let waits = (appends * cycle).min(1.0) * cycle / 2.0;
    let total = appends * logs;
    let money = Money {
        assumed,
        nodes,
        rate,
        appends: total,
        bytes: total * bytes,
    };
    Estimate {
        engine,
        events_per_second: rate,
        nodes,
        logs,
        busy: rate * assumed.node.event_micros / 1e6 / (nodes * assumed.node.cores),
        appends_per_second: total,
        append_bytes: bytes,
        answer_millis: (waits + seconds) * 1000.0,
        requests_per_month: money.requests(engine) * MONTH,
        bytes_per_month: (total * bytes + rate * ID) * MONTH,
        dollars_per_month: money.dollars(engine),
    }
}

/// All engines, rates and numbers of nodes.
pub fn estimates(assumed: &Assumptions) -> Vec<Estimate> {
    let mut all = Vec::new();
    for engine in EngineKind::ALL {
        for rate in assumed.incoming.rates() {
            for nodes in assumed.incoming.nodes() {
                all.push(estimate(engine, assumed, rate, nodes));
            }
        }
    }
    all
}

/// What is paid for, all of it a second.
struct Money<'a> {
    assumed: &'a Assumptions,
    nodes: f64,
    rate: f64,
    appends: f64,
    bytes: f64,
}

impl Money<'_> {
    /// Requests that are paid for. Deletes are free.
    fn requests(&self, engine: EngineKind) -> f64 {
        match engine {
            EngineKind::S3 => self.appends + self.bytes / SEGMENT,
            EngineKind::Disk | EngineKind::Nats => 0.0,
        }
    }

    fn dollars(&self, engine: EngineKind) -> f64 {
        let Assumptions { disk, s3, nats, .. } = self.assumed;
        match engine {
            EngineKind::Disk => self.nodes * disk.disk_price,
            EngineKind::S3 => {
                let puts = self.requests(engine) * MONTH / 1000.0 * s3.s3_put_price;
                let stays = self.assumed.node.ship_seconds * self.bytes / GB * s3.s3_gb_price;
                puts + stays
            }
            EngineKind::Nats => {
                let written = self.bytes + self.rate * ID;
                let clusters = (written / (FILL * nats.nats_cluster_mib * MIB)).ceil();
                let moved = written * MONTH / GB * ZONE_COPIES;
                clusters * CLUSTER * nats.nats_price + moved * nats.zone_gb_price
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        assumed: Assumptions,
    }

    fn assumed(arguments: &[&str]) -> Assumptions {
        Line::parse_from(std::iter::once(&"cost").chain(arguments)).assumed
    }

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() <= 0.02 * b.abs()
    }

    #[test]
    fn a_busy_log_appends_once_a_cycle_and_an_idle_one_twice_a_request() {
        assert!(near(appends_per_second(1000.0, 0.15, 0.25), 4.0));
        assert!(near(appends_per_second(0.001, 0.15, 0.25), 0.002));
        // Each request by itself, and so close to the next that nothing is noted.
        assert!(near(appends_per_second(20.0, 0.0001, 0.0001), 20.0));
    }

    #[test]
    fn a_bucket_costs_what_its_page_says() {
        // Four PUTs a second, at 0.005 dollars for a thousand.
        let one = estimate(EngineKind::S3, &assumed(&[]), 20_000.0, 1.0);
        assert!(near(one.requests_per_month, 4.0 * MONTH), "{one:?}");
        assert!((52.0..55.0).contains(&one.dollars_per_month), "{one:?}");
        let none = estimate(EngineKind::S3, &assumed(&[]), 0.001, 1.0);
        assert!(none.dollars_per_month < 0.01, "{none:?}");
    }

    #[test]
    fn more_logs_are_needed_than_there_are_nodes_once_frames_are_full() {
        let assumed = assumed(&[]);
        let few = estimate(EngineKind::S3, &assumed, 1e3, 10.0);
        assert!(near(few.logs, 10.0), "{few:?}");
        let many = estimate(EngineKind::S3, &assumed, 1e7, 10.0);
        // 4 MiB in a quarter of a second, filled to four fifths.
        let most = 0.8 * 4.0 * MIB / 580.0 / 0.25;
        assert!(near(many.logs, (1e7 / most).ceil()), "{many:?}");
        assert!(near(many.appends_per_second, 4.0 * many.logs), "{many:?}");
        let half = assumed_interval();
        let slower = estimate(EngineKind::S3, &half, 1e7, 10.0);
        assert!(near(slower.logs, 2.0 * many.logs), "{slower:?}");
    }

    fn assumed_interval() -> Assumptions {
        assumed(&["--s3-interval-millis", "500"])
    }

    #[test]
    fn rows_are_compressed_once_there_are_enough_of_them() {
        let assumed = assumed(&["--event-bytes", "920"]);
        let (few, many) = (
            append_bytes(EngineKind::S3, &assumed, 16.0),
            append_bytes(EngineKind::S3, &assumed, 24.0),
        );
        assert!(near(few, 16_300.0) && near(many, 4300.0), "{few} {many}");
        assert!(near(append_bytes(EngineKind::Disk, &assumed, 1.0), 4096.0));
    }

    #[test]
    fn nodes_that_cannot_do_it_are_more_than_busy() {
        let one = estimate(EngineKind::Disk, &assumed(&[]), 1e7, 1.0);
        assert!(near(one.busy, 2.5), "{one:?}");
        let hundred = estimate(EngineKind::Nats, &assumed(&[]), 1e7, 100.0);
        assert!(near(hundred.busy, 0.025), "{hundred:?}");
    }
}
