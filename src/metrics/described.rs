//! What `/metrics` says of each metric of the service as a whole.

use metrics::{describe_counter, describe_gauge, describe_histogram};

pub(super) fn describe() {
    describe_events();
    describe_log();
    describe_lake();
    describe_gauge!("lakehook_ready", "1 if /ready answers 200");
    describe_histogram!(
        "lakehook_http_request_duration_seconds",
        "From request to answer"
    );
    describe_gauge!("lakehook_http_connections", "Open connections");
    describe_gauge!(
        "lakehook_http_max_connections",
        "The most connections at a time, of one address"
    );
    describe_gauge!(
        "lakehook_tls_certificate_expiry_seconds",
        "Unix time at which the certificate ends; +Inf without one"
    );
}

fn describe_events() {
    describe_counter!(
        "lakehook_events_received_total",
        "Events in accepted requests"
    );
    describe_counter!("lakehook_events_accepted_total", "New records");
    describe_counter!(
        "lakehook_events_dropped_total",
        "Valid events that a rule dropped"
    );
    describe_counter!(
        "lakehook_events_duplicate_total",
        "Events that were known already"
    );
    describe_counter!(
        "lakehook_events_quarantined_total",
        "Rows in the quarantine"
    );
    describe_counter!(
        "lakehook_refused_requests_not_kept_total",
        "Refused requests of which no copy was kept"
    );
}

fn describe_log() {
    describe_gauge!(
        "lakehook_wal_bytes",
        "Bytes of segments, spares and id files"
    );
    describe_gauge!(
        "lakehook_wal_max_bytes",
        "The most bytes that the log takes"
    );
    describe_gauge!(
        "lakehook_wal_unshipped_rows",
        "Rows in the log that are not yet in the lake"
    );
    describe_histogram!(
        "lakehook_wal_sync_duration_seconds",
        "Write and sync of one frame"
    );
    describe_histogram!("lakehook_wal_group_records", "Rows in one frame");
    describe_gauge!(
        "lakehook_dedup_window_seconds",
        "For how long duplicates are recognised"
    );
    describe_gauge!(
        "lakehook_dedup_window_needed_seconds",
        "For how long senders try again: days with hooks, an hour without"
    );
    describe_gauge!("lakehook_batch_open", "Open batches");
    describe_gauge!(
        "lakehook_batch_waiting",
        "Batches that are closed and not yet in the lake"
    );
    describe_gauge!(
        "lakehook_batch_late_rows",
        "Rows of late partitions that are not yet in the lake"
    );
    describe_counter!("lakehook_batch_seal_total", "Sealed batches");
    describe_gauge!(
        "lakehook_batches_held",
        "Batches whose rows cannot be read back"
    );
}

fn describe_lake() {
    describe_counter!(
        "lakehook_lake_objects_total",
        "Objects that were put and committed, of events and of polls"
    );
    describe_counter!("lakehook_lake_rows_total", "Rows in these objects");
    describe_counter!("lakehook_lake_bytes_total", "Bytes of these objects");
    describe_histogram!(
        "lakehook_lake_put_duration_seconds",
        "One attempt to put an object"
    );
    describe_counter!(
        "lakehook_lake_put_errors_total",
        "Failed attempts to put an object"
    );
    describe_gauge!(
        "lakehook_lake_lag_seconds",
        "Age of the oldest record not yet in the lake"
    );
    describe_gauge!(
        "lakehook_lake_current_lag_seconds",
        "Age of the oldest record not yet in the lake, but for those of late partitions"
    );
    describe_gauge!(
        "lakehook_lake_watermark_seconds",
        "Unix time before which everything acknowledged is in the lake"
    );
    describe_gauge!(
        "lakehook_lake_current_watermark_seconds",
        "Unix time before which everything acknowledged but for late partitions is in the lake"
    );
}
