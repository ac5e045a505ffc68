//! Group commit: what an answer that waits for the disk takes beside the disk's own sync, by the number of
//! requests that wait together.

use std::sync::Arc;

use anyhow::Result;
use tokio::runtime::Runtime;

use super::children::Service;
use super::measure_service;
use super::report::Row;
use super::work::Work;

/// How many connections send how many requests, one event each.
const LOADS: [(usize, usize); 4] = [(1, 4_000), (32, 40_000), (256, 100_000), (1024, 100_000)];

/// A closed loop for each.
pub(crate) fn measure(runtime: &Runtime) -> Result<Vec<Row>> {
    let one = |(connections, requests)| {
        let work = Arc::new(Work::prepare(1, requests));
        let service = Service::start("ndjson.zst", None)?;
        measure_service(runtime, &service, &work, connections)
    };
    LOADS.into_iter().map(one).collect()
}
