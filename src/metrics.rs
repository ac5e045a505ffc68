//! Metrics: one table has all names. Handles are created once, so that the hot path looks up nothing.

mod cluster;
mod described;
mod hooks;
mod polls;
mod process;
mod reading;
mod sources;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, Label};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

pub use cluster::ClusterMetrics;
pub use hooks::{HookMetrics, HookOutcome};
pub use polls::PollMetrics;
pub use reading::Reading;
pub use sources::{EVENTS_SOURCE, SourceCounts, SourceMetrics};

use self::process::ProcessMetrics;
use crate::clock::Micros;
use crate::lake::Trouble;
use crate::quarantine::Reason;
use crate::wal::batch::SealReason;

const SECONDS: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0,
];
const ROWS: [f64; 9] = [
    1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 10_000.0, 100_000.0,
];

/// The service's metrics.
pub struct Metrics {
    handle: PrometheusHandle,
    /// Events in requests that were accepted.
    pub events_received: Counter,
    /// Events that were stored as new records.
    pub events_accepted: Counter,
    /// Valid events that a rule dropped, by index of the event type.
    pub events_dropped: Vec<Counter>,
    /// Events that were duplicates.
    pub events_duplicate: Counter,
    quarantined: [(Reason, Counter); 4],
    /// Refused requests of which no copy was kept.
    pub refused_not_kept: Counter,
    http: [(u16, Histogram); 4],
    /// Whether `/ready` answers 200: 1 or 0.
    pub ready: Gauge,
    /// Open connections.
    pub http_connections: Gauge,
    /// The most connections at a time.
    pub http_max_connections: Gauge,
    /// Unix time at which the certificate ends.
    pub tls_certificate_expiry_seconds: Gauge,
    /// Bytes of segments, spares and id files.
    pub wal_bytes: Gauge,
    /// The most bytes of the log.
    pub wal_max_bytes: Gauge,
    /// Rows in the log that are not in the lake.
    pub wal_unshipped_rows: Gauge,
    /// Seconds of a frame's write and sync.
    pub wal_sync_seconds: Histogram,
    /// How many rows one frame holds.
    pub wal_group_records: Histogram,
    /// Seconds for which duplicates are recognised.
    pub dedup_window_seconds: Gauge,
    /// Seconds for which senders try again.
    pub dedup_window_needed_seconds: Gauge,
    /// How many batches are open.
    pub batch_open: Gauge,
    /// How many batches are closed and not in the lake.
    pub batch_waiting: Gauge,
    /// Rows of late partitions that are not in the lake.
    pub batch_late_rows: Gauge,
    seals: [(SealReason, Counter); 6],
    lake_objects: Counter,
    lake_rows: Counter,
    lake_bytes: Counter,
    /// Seconds of a put, successful or not.
    pub lake_put_seconds: Histogram,
    put_errors: [(Trouble, Counter); 10],
    /// Age of the oldest record that is not in the lake, in seconds.
    pub lake_lag_seconds: Gauge,
    /// The same without the rows of late partitions.
    pub lake_current_lag_seconds: Gauge,
    /// Unix time; everything acknowledged before it is in the lake.
    pub lake_watermark_seconds: Gauge,
    /// The same but for the rows of late partitions.
    pub lake_current_watermark_seconds: Gauge,
    /// Batches that cannot be read back from the log.
    pub batches_held: Gauge,
    /// Bytes of the log of polls.
    pub polls_wal_bytes: Gauge,
    /// The most bytes of that log.
    pub polls_wal_max_bytes: Gauge,
    /// What comes in at the webhook for events.
    pub events_source: SourceMetrics,
    cluster: Vec<ClusterMetrics>,
    polls: BTreeMap<String, PollMetrics>,
    hooks: BTreeMap<String, HookMetrics>,
    process: ProcessMetrics,
}

/// What became of the events of one request.
#[derive(Clone, Copy, Debug, Default)]
pub struct EventsCounted<'a> {
    /// All events of the request.
    pub received: u32,
    /// Events that were stored as new records.
    pub accepted: u64,
    /// Events whose ids were known.
    pub duplicates: u64,
    /// Valid events that a rule dropped: their number, by index of the event type.
    pub dropped: &'a [(usize, u32)],
    /// Events that went to the quarantine because they broke the contract.
    pub invalid: u64,
    /// Events that went to the quarantine because their id is known with other content.
    pub conflicts: u64,
}

impl Metrics {
    /// Counts the events of a request that was accepted.
    pub fn count_events(&self, events: EventsCounted<'_>) {
        self.events_received.increment(u64::from(events.received));
        self.events_accepted.increment(events.accepted);
        self.events_duplicate.increment(events.duplicates);
        for (event_type, count) in events.dropped {
            if let Some(counter) = self.events_dropped.get(*event_type) {
                counter.increment(u64::from(*count));
            }
        }
        if events.invalid + events.conflicts > 0 {
            self.quarantined(Reason::InvalidEvent)
                .increment(events.invalid);
            self.quarantined(Reason::IdConflict)
                .increment(events.conflicts);
        }
    }

    /// Metrics of a service without polls, with a counter of dropped events for each type.
    pub fn new(event_types: &[String]) -> Result<Arc<Self>, BuildError> {
        Self::with_polls(event_types, std::iter::empty())
    }

    /// Metrics of a service without hooks.
    pub fn with_polls<'p>(
        event_types: &[String],
        polls: impl Iterator<Item = &'p String>,
    ) -> Result<Arc<Self>, BuildError> {
        Self::of_service(event_types, (None, 1), std::iter::empty(), polls)
    }

    /// Metrics of one service, with a counter of dropped events for each type, with the name of its cluster if it is in
    /// one and the number of its logs, and with the metrics of its hooks and polls.
    pub fn of_service<'p>(
        event_types: &[String],
        (cluster, logs): (Option<&str>, u16),
        hooks: impl Iterator<Item = &'p String>,
        polls: impl Iterator<Item = &'p String>,
    ) -> Result<Arc<Self>, BuildError> {
        let recorder = PrometheusBuilder::new()
            .set_buckets(&SECONDS)?
            .set_buckets_for_metric(Matcher::Full("lakehook_wal_group_records".into()), &ROWS)?
            .build_recorder();
        let handle = recorder.handle();
        let metrics = metrics::with_local_recorder(&recorder, || {
            described::describe();
            polls::describe();
            hooks::describe();
            sources::describe();
            cluster::describe();
            process::describe();
            let hooks = hooks.map(|hook| (hook.clone(), HookMetrics::register(hook)));
            let hooks = hooks.collect();
            let polls = polls.map(|poll| (poll.clone(), PollMetrics::register(poll)));
            let (cluster, logs) = (cluster.unwrap_or_default(), 0..logs.max(1));
            let cluster = logs.map(|log| ClusterMetrics::register(cluster, log));
            let cluster = cluster.collect();
            Self::register(handle, event_types, cluster, (hooks, polls.collect()))
        });
        Ok(Arc::new(metrics))
    }

    fn register(
        handle: PrometheusHandle,
        event_types: &[String],
        cluster: Vec<ClusterMetrics>,
        (hooks, polls): (BTreeMap<String, HookMetrics>, BTreeMap<String, PollMetrics>),
    ) -> Self {
        Self {
            handle,
            events_received: metrics::counter!("lakehook_events_received_total"),
            events_accepted: metrics::counter!("lakehook_events_accepted_total"),
            events_dropped: event_types.iter().map(|name| dropped_of(name)).collect(),
            events_duplicate: metrics::counter!("lakehook_events_duplicate_total"),
            quarantined: [
                Reason::InvalidEvent,
                Reason::IdConflict,
                Reason::RefusedRequest,
                Reason::InvalidRecord,
            ]
            .map(quarantined_of),
            refused_not_kept: metrics::counter!("lakehook_refused_requests_not_kept_total"),
            http: [2, 3, 4, 5].map(answers_of),
            ready: metrics::gauge!("lakehook_ready"),
            http_connections: metrics::gauge!("lakehook_http_connections"),
            http_max_connections: metrics::gauge!("lakehook_http_max_connections"),
            tls_certificate_expiry_seconds: infinite("lakehook_tls_certificate_expiry_seconds"),
            wal_bytes: metrics::gauge!("lakehook_wal_bytes"),
            wal_max_bytes: metrics::gauge!("lakehook_wal_max_bytes"),
            wal_unshipped_rows: metrics::gauge!("lakehook_wal_unshipped_rows"),
            wal_sync_seconds: metrics::histogram!("lakehook_wal_sync_duration_seconds"),
            wal_group_records: metrics::histogram!("lakehook_wal_group_records"),
            dedup_window_seconds: infinite("lakehook_dedup_window_seconds"),
            dedup_window_needed_seconds: metrics::gauge!("lakehook_dedup_window_needed_seconds"),
            batch_open: metrics::gauge!("lakehook_batch_open"),
            batch_waiting: metrics::gauge!("lakehook_batch_waiting"),
            batch_late_rows: metrics::gauge!("lakehook_batch_late_rows"),
            seals: SealReason::ALL.map(seals_of),
            lake_objects: metrics::counter!("lakehook_lake_objects_total"),
            lake_rows: metrics::counter!("lakehook_lake_rows_total"),
            lake_bytes: metrics::counter!("lakehook_lake_bytes_total"),
            lake_put_seconds: metrics::histogram!("lakehook_lake_put_duration_seconds"),
            put_errors: Trouble::ALL.map(put_errors_of),
            lake_lag_seconds: metrics::gauge!("lakehook_lake_lag_seconds"),
            lake_current_lag_seconds: metrics::gauge!("lakehook_lake_current_lag_seconds"),
            lake_watermark_seconds: metrics::gauge!("lakehook_lake_watermark_seconds"),
            lake_current_watermark_seconds: metrics::gauge!(
                "lakehook_lake_current_watermark_seconds"
            ),
            batches_held: metrics::gauge!("lakehook_batches_held"),
            polls_wal_bytes: metrics::gauge!("lakehook_polls_wal_bytes"),
            polls_wal_max_bytes: metrics::gauge!("lakehook_polls_wal_max_bytes"),
            events_source: SourceMetrics::register(EVENTS_SOURCE),
            cluster,
            polls,
            hooks,
            process: ProcessMetrics::register(),
        }
    }

    /// What concerns a node of a cluster, for the log of that number.
    pub fn cluster(&self, log: u16) -> &ClusterMetrics {
        let of_log = self.cluster.get(usize::from(log));
        of_log.unwrap_or(&self.cluster[0])
    }

    /// The metrics of a hook, if `of_service` was given its name.
    pub fn hook(&self, name: &str) -> Option<&HookMetrics> {
        self.hooks.get(name)
    }

    /// The metrics of a poll, if `with_polls` was given its name.
    pub fn poll(&self, name: &str) -> Option<&PollMetrics> {
        self.polls.get(name)
    }

    /// Another process runs the polls now.
    pub fn rest_polls(&self) {
        for poll in self.polls.values() {
            poll.rest();
        }
    }

    /// The counter of events that went to the quarantine for this reason.
    pub fn quarantined(&self, reason: Reason) -> &Counter {
        let [(_, first), ..] = &self.quarantined;
        self.quarantined
            .iter()
            .find(|(r, _)| *r == reason)
            .map_or(first, |(_, counter)| counter)
    }

    /// Says when the process was started.
    pub fn started(&self, at: Micros) {
        self.process.started(at);
    }

    /// Counts an object that is in the lake and committed.
    pub fn landed(&self, rows: u64, bytes: u64) {
        self.lake_objects.increment(1);
        self.lake_rows.increment(rows);
        self.lake_bytes.increment(bytes);
    }

    /// Counts a sealed batch.
    pub fn sealed(&self, reason: SealReason) {
        if let Some((_, counter)) = self.seals.iter().find(|(r, _)| *r == reason) {
            counter.increment(1);
        }
    }

    /// Counts a failed put.
    pub fn put_failed(&self, kind: Trouble) {
        if let Some((_, counter)) = self.put_errors.iter().find(|(k, _)| *k == kind) {
            counter.increment(1);
        }
    }

    /// Records an answered request.
    pub fn answered(&self, status: u16, after: Duration) {
        if let Some((_, histogram)) = self.http.iter().find(|(class, _)| *class == status / 100) {
            histogram.record(after.as_secs_f64());
        }
    }

    /// All metrics in Prometheus' text format.
    pub fn render(&self) -> String {
        self.process.refresh();
        self.handle.render()
    }

    /// What counters and gauges say now. Those gauges that are set for a scrape are as of the last one.
    pub fn read(&self) -> Reading {
        self.process.refresh();
        Reading::of(&self.handle.render())
    }

    /// Aggregates the samples of histograms. Without this, memory would grow with load.
    pub fn fold(&self) {
        self.handle.run_upkeep();
    }
}

fn dropped_of(event_type: &str) -> Counter {
    let label = event_type.to_owned();
    counter_with("lakehook_events_dropped_total", "event_type", label)
}

fn quarantined_of(reason: Reason) -> (Reason, Counter) {
    let label = reason.as_str().to_owned();
    let counter = counter_with("lakehook_events_quarantined_total", "reason", label);
    (reason, counter)
}

fn answers_of(class: u16) -> (u16, Histogram) {
    let labels = vec![Label::new("status", format!("{class}xx"))];
    let histogram = metrics::histogram!("lakehook_http_request_duration_seconds", labels);
    (class, histogram)
}

fn seals_of(reason: SealReason) -> (SealReason, Counter) {
    let label = reason.as_str().to_owned();
    let counter = counter_with("lakehook_batch_seal_total", "reason", label);
    (reason, counter)
}

fn put_errors_of(kind: Trouble) -> (Trouble, Counter) {
    let label = kind.as_str().to_owned();
    let counter = counter_with("lakehook_lake_put_errors_total", "kind", label);
    (kind, counter)
}

/// A gauge that stays infinite until something is known.
fn infinite(name: &'static str) -> Gauge {
    let gauge = metrics::gauge!(name);
    gauge.set(f64::INFINITY);
    gauge
}

fn counter_with(name: &'static str, key: &'static str, value: String) -> Counter {
    metrics::counter!(name, vec![Label::new(key, value)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_is_rendered_from_the_start() -> Result<(), BuildError> {
        let metrics = Metrics::new(&["click".to_owned()])?;
        metrics.answered(200, Duration::from_millis(3));
        metrics.events_dropped[0].increment(2);
        metrics.quarantined(Reason::IdConflict).increment(1);
        metrics.fold();
        let text = metrics.render();
        for line in [
            "lakehook_events_dropped_total{event_type=\"click\"} 2",
            "lakehook_events_quarantined_total{reason=\"id_conflict\"} 1",
            "lakehook_batch_seal_total{reason=\"age\"} 0",
            "lakehook_http_request_duration_seconds_bucket{status=\"2xx\",le=\"0.005\"} 1",
            "lakehook_wal_bytes 0",
            "lakehook_tls_certificate_expiry_seconds inf",
            "lakehook_source_events_total{source=\"events\",outcome=\"accepted\"} 0",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
        for begin in ["lakehook_build_info{version=\"0.", "process_open_fds "] {
            assert!(text.contains(begin), "{begin} is missing in\n{text}");
        }
        Ok(())
    }
}
