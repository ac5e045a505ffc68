//! The metrics of what sends: the webhook for events, and each hook.

use metrics::{Counter, Gauge, Label, describe_counter, describe_gauge};

use crate::clock::Micros;

/// The name of the webhook for events among the sources.
pub const EVENTS_SOURCE: &str = "events";

/// The metrics of one source.
#[derive(Clone)]
pub struct SourceMetrics {
    requests: [(u16, Counter); 4],
    /// Bytes of bodies, as they were sent.
    pub received_bytes: Counter,
    accepted: Counter,
    dropped: Counter,
    duplicate: Counter,
    quarantined: Counter,
    last_event: Gauge,
}

/// What became of the events of one request.
#[derive(Clone, Copy, Debug, Default)]
pub struct SourceCounts {
    /// New events.
    pub accepted: u64,
    /// Events that a rule dropped.
    pub dropped: u64,
    /// Events whose ids were known.
    pub duplicates: u64,
    /// Events in the quarantine.
    pub quarantined: u64,
}

impl SourceMetrics {
    pub(super) fn register(source: &str) -> Self {
        let of = |key: &'static str, value: &str| {
            vec![
                Label::new("source", source.to_owned()),
                Label::new(key, value.to_owned()),
            ]
        };
        let requests = |class: u16| {
            let labels = of("status", &format!("{class}xx"));
            (
                class,
                metrics::counter!("lakehook_source_requests_total", labels),
            )
        };
        let events = |outcome: &str| {
            metrics::counter!("lakehook_source_events_total", of("outcome", outcome))
        };
        let labels = || vec![Label::new("source", source.to_owned())];
        Self {
            requests: [2, 3, 4, 5].map(requests),
            received_bytes: metrics::counter!("lakehook_source_received_bytes_total", labels()),
            accepted: events("accepted"),
            dropped: events("dropped"),
            duplicate: events("duplicate"),
            quarantined: events("quarantined"),
            last_event: metrics::gauge!("lakehook_source_last_event_seconds", labels()),
        }
    }

    /// Counts a request by the class of its status.
    pub fn answered(&self, status: u16) {
        if let Some((_, counter)) = self
            .requests
            .iter()
            .find(|(class, _)| *class == status / 100)
        {
            counter.increment(1);
        }
    }

    /// Counts the events of a request that was accepted at this time.
    pub fn count(&self, counts: SourceCounts, at: Micros) {
        // Most requests have only one kind, and a counter that does not change is not touched.
        for (counter, count) in [
            (&self.accepted, counts.accepted),
            (&self.dropped, counts.dropped),
            (&self.duplicate, counts.duplicates),
            (&self.quarantined, counts.quarantined),
        ] {
            if count > 0 {
                counter.increment(count);
            }
        }
        self.last_event.set(at.since(Micros(0)).as_secs_f64());
    }
}

pub(super) fn describe() {
    describe_counter!(
        "lakehook_source_requests_total",
        "Requests to a webhook, by class of status"
    );
    describe_counter!(
        "lakehook_source_received_bytes_total",
        "Bytes of bodies, as they were sent"
    );
    describe_counter!(
        "lakehook_source_events_total",
        "Events of accepted requests, by what became of them"
    );
    describe_gauge!(
        "lakehook_source_last_event_seconds",
        "Unix time of the last request that was accepted"
    );
}
