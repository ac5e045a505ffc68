//! The metrics of polls.

use metrics::{Counter, Gauge, Label, describe_counter, describe_gauge};

/// The metrics of one poll.
#[derive(Clone)]
pub struct PollMetrics {
    /// Runs that wrote their rows.
    pub complete: Counter,
    /// Runs that found nothing changed.
    pub unchanged: Counter,
    /// Runs that failed.
    pub failed: Counter,
    /// How many runs in a row have failed, up to now.
    pub failed_in_a_row: Gauge,
    /// Records read by runs that did not fail.
    pub records: Counter,
    /// Of these, records in the quarantine.
    pub quarantined: Counter,
    /// Unix time of the last run that did not fail.
    pub last_success: Gauge,
    /// Seconds between two runs by the schedule; 0 if there is none.
    pub interval: Gauge,
    /// Whether the run under way, or the next one, waits: 1 or 0.
    pub waiting: Gauge,
}

impl PollMetrics {
    pub(super) fn register(poll: &str) -> Self {
        let runs = |outcome: &'static str| {
            let labels = vec![
                Label::new("poll", poll.to_owned()),
                Label::new("outcome", outcome),
            ];
            metrics::counter!("lakehook_poll_runs_total", labels)
        };
        let labels = || vec![Label::new("poll", poll.to_owned())];
        Self {
            complete: runs("complete"),
            unchanged: runs("unchanged"),
            failed: runs("failed"),
            failed_in_a_row: metrics::gauge!("lakehook_poll_failed_in_a_row", labels()),
            records: metrics::counter!("lakehook_poll_records_total", labels()),
            quarantined: metrics::counter!("lakehook_poll_quarantined_total", labels()),
            last_success: metrics::gauge!("lakehook_poll_last_success_seconds", labels()),
            interval: metrics::gauge!("lakehook_poll_interval_seconds", labels()),
            waiting: metrics::gauge!("lakehook_poll_waiting", labels()),
        }
    }

    /// Another process runs the poll now: what this one has seen last says nothing about it any more.
    pub fn rest(&self) {
        for gauge in [&self.failed_in_a_row, &self.last_success, &self.waiting] {
            gauge.set(0.0);
        }
    }
}

pub(super) fn describe() {
    describe_gauge!("lakehook_polls_wal_bytes", "Bytes of the log of polls");
    describe_gauge!(
        "lakehook_polls_wal_max_bytes",
        "The most bytes that the log of polls takes; 0 without polls"
    );
    describe_counter!("lakehook_poll_runs_total", "Runs of a poll that ended");
    describe_gauge!(
        "lakehook_poll_failed_in_a_row",
        "How many runs in a row have failed, up to now"
    );
    describe_counter!(
        "lakehook_poll_records_total",
        "Records read by runs that did not fail"
    );
    describe_counter!(
        "lakehook_poll_quarantined_total",
        "Records of polls in the quarantine"
    );
    describe_gauge!(
        "lakehook_poll_last_success_seconds",
        "Unix time of the last run that did not fail"
    );
    describe_gauge!(
        "lakehook_poll_interval_seconds",
        "Seconds between two runs by the schedule; 0 if there is none"
    );
    describe_gauge!(
        "lakehook_poll_waiting",
        "1 if a run waits: for an answer, a place, or the end of a pause; /health says for what"
    );
}
