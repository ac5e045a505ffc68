//! Where the replica of the logs may be, and how it is reached.

use std::time::Duration;

use super::load;
use super::rules::{refused, taken};

const BUCKET: &str = "lake.url = \"s3://my-lake/raw\"\n";

fn with(text: &str) -> String {
    format!("{BUCKET}{text}")
}

#[test]
fn what_is_no_replica_is_refused() {
    let cases = [
        (
            "wal.replica = \"data/replica\"",
            "wal.replica",
            "must be s3://bucket/prefix, or nats://",
        ),
        (
            "wal.replica = \"s3://my-log\"",
            "wal.replica",
            "must have a prefix",
        ),
        (
            "wal.replica = \"nats://me:secret@n1\"",
            "wal.replica",
            "must have no credentials",
        ),
        (
            "wal.replica = \"nats://n1/x\"",
            "wal.replica",
            "without a path",
        ),
        (
            "wal.replica = \"s3://my-lake/raw/x\"",
            "wal.replica",
            "must be in its folder _lakehook/log",
        ),
        (
            "wal.replica = \"s3://my-lake/raw\"",
            "wal.replica",
            "must be in its folder _lakehook/log",
        ),
        (
            "wal.replica_name = \"Main\"",
            "wal.replica_name",
            "lower-case letters",
        ),
        (
            "wal.replica_interval = \"11s\"",
            "wal.replica_interval",
            "at most \"10s\"",
        ),
        (
            "wal.replica = \"nats://n1\"\nwal.nats_monitor = [\"http://n1:8222\", \"n2:8222\"]",
            "wal.nats_monitor",
            "entry 2 must be an address",
        ),
        (
            "wal.nats_creds_file = \"nats.creds\"",
            "wal.nats_creds_file",
            "nothing uses it",
        ),
        (
            "wal.replica = \"nats://n1\"\nwal.nats_cert_file = \"c.pem\"",
            "wal.nats_cert_file",
            "set both, or neither",
        ),
        (
            "wal.replica = \"nats://n1\"\n[files.claims]\npath = \"inbox/*.csv\"\nformat = \"csv\"",
            "wal.replica",
            "lies beside the log",
        ),
    ];
    for (text, key, words) in cases {
        refused(&[(&with(text), key, words)]);
    }
    for replica in ["nats://n1,n2,n3", "s3://my-log/log"] {
        let text = format!("wal.replica = \"{replica}\"\nlake.url = \"data/lake\"");
        refused(&[(&text, "wal.replica", "a lake in a directory does not")]);
    }
}

#[test]
fn a_bucket_and_nats_are_taken() {
    let secret = "wal.replica = \"tls://n1,n2:4223,n3\"\nwal.nats_creds_file = \"a\"\nwal.nats_ca_file = \"b\"\n\
                  wal.nats_cert_file = \"c\"\nwal.nats_key_file = \"d\"\nwal.nats_monitor = [\"https://n1:8222/\"]";
    taken(&[
        &with("wal.replica = \"s3://my-lake/raw/_lakehook/log\""),
        &with("wal.replica = \"s3://my-lake/log\""),
        &with("wal.replica = \"s3://my-log/log\"\nwal.replica_interval = \"0s\""),
        &with("wal.replica = \"nats://n1:4222,n2:4222,n3:4222\""),
        &with(secret),
    ]);
    let interval = |text: &str| {
        let loaded = load(&with(text), &[]);
        loaded.map(|loaded| loaded.config.wal.replica_interval())
    };
    // Each write to a bucket costs.
    for (text, millis) in [
        ("wal.replica = \"s3://my-log/log\"", 250),
        ("wal.replica = \"nats://n1\"", 0),
        (
            "wal.replica = \"nats://n1\"\nwal.replica_interval = \"5ms\"",
            5,
        ),
    ] {
        assert_eq!(interval(text), Ok(Duration::from_millis(millis)), "{text}");
    }
}
