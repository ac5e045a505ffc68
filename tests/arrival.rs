//! Every acknowledged event arrives once: in a directory, in the S3 server of the tests and in a foreign one, in every
//! format. DuckDB counts the rows by day and by type.

use std::time::Duration;

use crate::support::duckdb::{Lake, LakeCount, Reading};
use crate::support::load::{Load, Plan, Report};
use crate::support::moto::Moto;
use crate::support::process::Setup;
use crate::support::s3::S3Server;

/// Event types that the default rules drop.
pub(crate) const DROPPED: [&str; 1] = ["signup"];
pub(crate) const STOP_LIMIT: Duration = Duration::from_secs(60);

/// Checks that DuckDB counts what the client was told.
pub(crate) fn check(report: &Report, lake: &Lake) -> LakeCount {
    let count = check_logs(report, lake);
    assert_eq!(count.rows, count.distinct_lsns);
    count
}

/// The same where several logs number their rows.
pub(crate) fn check_logs(report: &Report, lake: &Lake) -> LakeCount {
    assert!(report.violations.is_empty(), "{:?}", report.violations);
    let count = lake.count(Reading::Typed);
    let difference = report.compare(&lake.ids(), &DROPPED);
    assert!(
        difference.lost.is_empty(),
        "lost {}, such as {:?}",
        difference.lost.len(),
        difference.lost.first()
    );
    assert!(difference.twice.is_empty(), "twice: {:?}", difference.twice);
    assert!(
        difference.unexplained.is_empty(),
        "not sent: {:?}",
        difference.unexplained
    );
    assert_eq!(count.rows, count.distinct_event_ids);
    assert_eq!(count.misplaced, 0);
    count
}

/// Sends 5 000 events on four connections, stops, and compares with what DuckDB reads.
fn arrives(setup: &Setup, lake: &Lake) {
    let program = setup.start();
    let mut plan = Plan::new(setup.address(), 1);
    plan.connections = 4;
    plan.events_per_request = 50;
    plan.max_requests = Some(100);
    let report = Load::start(plan).complete(Duration::from_secs(60));
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
    let count = check(&report, lake);
    assert_eq!(count.by_dt_and_event_type, report.expected(&DROPPED));
    assert_eq!(report.unacknowledged().count(), 0);
    let auto = lake.count(Reading::Auto);
    assert_eq!(
        (auto.rows, &auto.by_event_type),
        (count.rows, &count.by_event_type)
    );
}

fn config(lake: &str, format: &str) -> String {
    format!(
        "[lake]\n{lake}\n[batch]\nformat = \"{format}\"\nmax_records = 700\nmax_age = \"1s\"\nlate_max_age = \"1s\"\n\
         [wal]\nmax_bytes = \"64 MiB\"\n"
    )
}

#[test]
fn a_directory_holds_each_event_once() {
    for format in ["ndjson.zst", "ndjson.gz", "ndjson", "parquet"] {
        let setup = Setup::new(&config("url = \"lake\"", format));
        arrives(&setup, &Lake::directory(&setup.directory().join("lake")));
    }
}

#[test]
fn the_s3_server_of_the_tests_holds_each_event_once() {
    for format in ["ndjson.zst", "ndjson.gz", "ndjson", "parquet"] {
        let server = S3Server::start(1);
        let lake = format!(
            "url = \"s3://lake/some/prefix\"\nendpoint = \"{}\"",
            server.endpoint()
        );
        let setup = Setup::new(&config(&lake, format));
        arrives(
            &setup,
            &Lake::s3("s3://lake/some/prefix", &server.endpoint()),
        );
        assert_eq!(server.faults().counts().replaced, 0);
    }
}

#[test]
fn moto_holds_each_event_once() {
    let moto = Moto::start();
    let endpoint = moto.endpoint();
    let lake = format!("url = \"s3://lake\"\nendpoint = \"{endpoint}\"");
    let setup = Setup::new(&config(&lake, "ndjson.zst"));
    arrives(&setup, &Lake::s3("s3://lake", &endpoint));
}

/// Readers decompress a .gz object with a Content-Encoding twice, or not at all.
#[test]
fn objects_say_what_they_are_and_carry_the_audit() {
    let server = S3Server::start(2);
    let lake = format!("url = \"s3://lake\"\nendpoint = \"{}\"", server.endpoint());
    let setup = Setup::new(&config(&lake, "ndjson.gz"));
    let program = setup.start();
    let mut plan = Plan::new(setup.address(), 3);
    plan.max_requests = Some(3);
    Load::start(plan).complete(Duration::from_secs(30));
    assert!(program.stop(STOP_LIMIT).success());
    let keys = server.keys("events/");
    assert!(!keys.is_empty());
    for key in keys {
        let object = server.object(&key).unwrap();
        let total: usize = object
            .metadata
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .sum();
        assert!(total < 2048, "{total} bytes of metadata");
        for name in [
            "node",
            "seal",
            "nonce",
            "count",
            "row-hash",
            "as-of-lsn",
            "total-received",
        ] {
            let name = format!("lakehook-{name}");
            assert!(
                object.metadata.contains_key(&name),
                "{name} is missing at {key}"
            );
        }
        assert_eq!(object.content_encoding, None);
        assert_eq!(object.content_type.as_deref(), Some("application/gzip"));
    }
}
