//! What all parts of a process share.

use std::sync::Arc;
use std::time::Duration;

use super::errors::ServeError;
use crate::clock::{Clock, Micros};
use crate::config::{ByteSize, Config, Span};
use crate::ids::Ids;
use crate::metrics::Metrics;
use crate::poll::schedule::Schedule;

/// For how long providers try again: the longest of their schedules takes three days.
const PROVIDERS_RETRY: Duration = Duration::from_secs(4 * 24 * 60 * 60);
/// For how long applications try again that send events of their own.
const OWN_SENDERS_RETRY: Duration = Duration::from_secs(60 * 60);

/// What all parts of a process share. Cheap to clone.
#[derive(Clone)]
pub struct Process {
    /// Counters and histograms.
    pub metrics: Arc<Metrics>,
    /// The clock.
    pub clock: Clock,
    /// The source of randomness.
    pub ids: Ids,
}

impl Process {
    /// Creates them, with the metrics that a configuration needs.
    pub fn new(config: &Config, clock: Clock, ids: Ids) -> Result<Self, ServeError> {
        let types = config.rules().map(|rules| rules.types);
        let types = types.unwrap_or_default();
        let metrics = Metrics::of_service(
            &types,
            (config.cluster.name.as_deref(), config.cluster.logs),
            config.hook.keys(),
            config
                .poll
                .keys()
                .chain(config.call.keys())
                .chain(config.files.keys()),
        )?;
        let now = clock.now().wall;
        metrics.started(now);
        set_bounds(&metrics, config, now);
        Ok(Self {
            metrics,
            clock,
            ids,
        })
    }
}

/// Sets what the configuration decides, so that alerts and dashboards need not repeat it.
#[allow(
    clippy::cast_precision_loss,
    reason = "gauges are floats; a byte in 2^53 does not matter"
)]
fn set_bounds(metrics: &Metrics, config: &Config, now: Micros) {
    let bytes = |size: ByteSize| size.bytes() as f64;
    metrics.wal_max_bytes.set(bytes(config.wal.max_bytes));
    let connections = config.server.max_connections as f64;
    metrics.http_max_connections.set(connections);
    let retried = if config.hook.is_empty() {
        OWN_SENDERS_RETRY
    } else {
        PROVIDERS_RETRY
    };
    let retried = retried.as_secs_f64();
    metrics.dedup_window_needed_seconds.set(retried);
    if !(config.poll.is_empty() && config.call.is_empty() && config.files.is_empty()) {
        let most = bytes(config.feeds_log().max_bytes);
        metrics.polls_wal_max_bytes.set(most);
    }
    let polls = config
        .poll
        .iter()
        .map(|(name, poll)| (name, poll.every, &poll.cron, &poll.time_zone));
    let files = config
        .files
        .iter()
        .map(|(name, own)| (name, own.every, &own.cron, &own.time_zone));
    for (name, every, cron, time_zone) in polls.chain(files) {
        let every = every.map(Span::duration);
        let schedule = Schedule::of(every, cron.as_deref(), time_zone);
        let pause = schedule.and_then(|schedule| schedule.longest_pause(now));
        if let (Some(metrics), Some(pause)) = (metrics.poll(name), pause) {
            metrics.interval.set(pause.as_secs_f64());
        }
    }
}
