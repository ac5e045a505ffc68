//! Whether cost stays in proportion: processor time of an event by the size of requests, and by the number of
//! partitions that are open at once.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use tokio::runtime::Runtime;

use super::children::{MAX_AGE, Service};
use super::work::Work;
use super::{SHIPPING_LIMIT, load_of};

const CONNECTIONS: usize = 32;
const EVENTS: usize = 400_000;
const EVENTS_PER_REQUEST: [u32; 4] = [1, 10, 100, 1000];
/// How many, by which pattern, over how many days.
const PARTITIONS: [(u32, &str, u32); 3] = [
    (1, "year=%Y", 1),
    (24, "dt=%Y-%m-%d/hour=%H", 1),
    (1000, "dt=%Y-%m-%d/hour=%H", 42),
];
/// So that all partitions are open at once, and none is sealed many times.
const AGE_OF_MANY: Duration = Duration::from_secs(8);

/// One measurement.
#[derive(Clone, Debug)]
pub(crate) struct Point {
    pub(crate) events_per_request: u32,
    pub(crate) partitions: String,
    /// Processor time of an event.
    pub(crate) cpu: Duration,
}

/// Measures both.
pub(crate) fn measure(runtime: &Runtime) -> Result<Vec<Point>> {
    let mut points = Vec::new();
    for events_per_request in EVENTS_PER_REQUEST {
        let work = Work::spread(events_per_request, requests(events_per_request), 1);
        let cpu = cost(runtime, work, "dt=%Y-%m-%d", MAX_AGE)?;
        points.push(Point {
            events_per_request,
            partitions: "2".to_owned(),
            cpu,
        });
    }
    for (partitions, pattern, days) in PARTITIONS {
        let work = Work::spread(100, requests(100), days);
        points.push(Point {
            events_per_request: 100,
            partitions: partitions.to_string(),
            cpu: cost(runtime, work, pattern, AGE_OF_MANY)?,
        });
    }
    Ok(points)
}

fn requests(events_per_request: u32) -> usize {
    EVENTS / usize::try_from(events_per_request).unwrap_or(1)
}

fn cost(runtime: &Runtime, work: Work, pattern: &str, max_age: Duration) -> Result<Duration> {
    let work = Arc::new(work);
    let service = Service::partitioned("ndjson.zst", None, pattern, max_age)?;
    let load = load_of(&service, CONNECTIONS);
    runtime.block_on(load.send(&work, work.warm_up()))?;
    service.wait_until_shipped(SHIPPING_LIMIT)?;
    let before = service.cpu_time();
    runtime.block_on(load.send(&work, work.measured()))?;
    service.wait_until_shipped(SHIPPING_LIMIT)?;
    let cpu = service.cpu_time().saturating_sub(before);
    Ok(cpu / u32::try_from(work.events()).unwrap_or(1))
}
