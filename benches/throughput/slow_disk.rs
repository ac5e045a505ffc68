//! The same load on a disk whose sync takes longer. The throughput that is lost there is the most that could be
//! won if a frame were prepared while the one before is being synced.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use tokio::runtime::Runtime;

use super::children::Service;
use super::report::Row;
use super::work::Work;
use super::{measure_service, median};

/// How much longer each sync takes.
pub(crate) const DELAY: Duration = Duration::from_millis(3);
/// Events in a request, connections, requests.
const LOADS: [(u32, usize, usize); 4] = [
    (1, 32, 20_000),
    (1, 256, 100_000),
    (100, 32, 12_000),
    (100, 256, 24_000),
];
const RUNS: usize = 3;

/// One load on both disks.
#[derive(Clone, Debug)]
pub(crate) struct Pair {
    pub(crate) fast: Row,
    pub(crate) slow: Row,
}

/// Each load on both disks in turn; the medians.
pub(crate) fn measure(runtime: &Runtime) -> Result<Vec<Pair>> {
    let mut pairs = Vec::new();
    for (events_per_request, connections, requests) in LOADS {
        let work = Arc::new(Work::prepare(events_per_request, requests));
        let (mut fast, mut slow) = (Vec::new(), Vec::new());
        for _ in 0..RUNS {
            let service = Service::start("ndjson.zst", None)?;
            fast.push(measure_service(runtime, &service, &work, connections)?);
            drop(service);
            let service = Service::on_slow_disk("ndjson.zst", DELAY)?;
            slow.push(measure_service(runtime, &service, &work, connections)?);
        }
        pairs.push(Pair {
            fast: median(fast)?,
            slow: median(slow)?,
        });
    }
    Ok(pairs)
}
