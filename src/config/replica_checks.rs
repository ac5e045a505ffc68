//! The replica and the lake: how the replica is reached, and where it may be.

use super::findings::Findings;
use super::lake_url::LakeUrl;
use super::replica_url::ReplicaUrl;
use super::sections::Config;
use crate::lake::destination::Destination;
use crate::lake::keys::INTERNAL;
use crate::lake::s3::{Location, ObjectOptions};

impl Config {
    /// The bucket of the replica and how to reach it, with what is said of the lake's; `None` without one.
    /// Objects of the replica live for minutes, so they have neither tags nor a storage class.
    pub fn replica_location(&self) -> Option<Location> {
        let ReplicaUrl::Bucket { bucket, prefix } = self.wal.replica.as_ref()? else {
            return None;
        };
        let Destination::Bucket(of_lake) = self.lake.destination() else {
            return None;
        };
        Some(Location {
            bucket: bucket.clone(),
            prefix: prefix.clone(),
            options: ObjectOptions {
                encryption: of_lake.options.encryption,
                requester_pays: of_lake.options.requester_pays,
                ..ObjectOptions::default()
            },
            endpoint: of_lake.endpoint,
            region: of_lake.region,
            path_style: of_lake.path_style,
        })
    }
}

impl Config {
    /// The configuration of each log of events, as if it were the only one: with a directory of its own.
    pub fn of_logs(&self) -> Vec<Self> {
        let of_log = |number: u16| {
            let mut own = self.clone();
            own.wal.number = number;
            if number > 0 {
                own.wal.dir = self.wal.dir.join(format!("log-{number}"));
            }
            own
        };
        (0..self.cluster.logs).map(of_log).collect()
    }
}

/// The folder of the lake's internal one that a replica may be in.
const OWN_FOLDER: &str = "log";

/// Checks where the replica is.
pub(super) fn check(config: &Config, findings: &mut Findings<'_>) {
    check_nats(config, findings);
    let Some(replica) = &config.wal.replica else {
        return;
    };
    let keys = ["wal.replica", "lake.url"];
    let LakeUrl::S3 { bucket, prefix } = &config.lake.url else {
        findings.problem(
            &keys,
            "a replica outlives this machine, and a lake in a directory does not: set lake.url = \
             \"s3://bucket/prefix\" too, or leave wal.replica out",
        );
        return;
    };
    if !config.files.is_empty() {
        findings.problem(
            &["wal.replica", "files"],
            "what is known of files that were read lies beside the log, where a replica does not keep it yet: let a \
             service without wal.replica read files",
        );
    }
    if let ReplicaUrl::Bucket {
        bucket: own,
        prefix: replica,
    } = replica
        && own == bucket
    {
        check_prefixes(bucket, (prefix, replica), findings);
    }
}

/// Checks that a replica and a lake in one bucket keep out of each other's way.
fn check_prefixes(bucket: &str, (prefix, replica): (&str, &str), findings: &mut Findings<'_>) {
    let keys = ["wal.replica", "lake.url"];
    let own = folder(prefix, &format!("{INTERNAL}/{OWN_FOLDER}"));
    if is_within(replica, &own) {
        return;
    }
    if is_within(replica, prefix) {
        let rule = format!(
            "a replica within the lake must be in its folder {INTERNAL}/{OWN_FOLDER}, where no engine looks for \
             rows: s3://{bucket}/{own}"
        );
        findings.problem(&keys, rule);
    } else if is_within(prefix, replica) {
        findings.problem(
            &keys,
            "the lake must not be within the replica, whose objects are deleted all the time; give each its own prefix",
        );
    }
}

/// Checks how NATS is reached.
fn check_nats(config: &Config, findings: &mut Findings<'_>) {
    let wal = &config.wal;
    if wal.nats_cert_file.is_some() != wal.nats_key_file.is_some() {
        findings.problem(
            &["wal.nats_cert_file", "wal.nats_key_file"],
            "a client's certificate needs its key: set both, or neither",
        );
    }
    if matches!(wal.replica, Some(ReplicaUrl::Nats(_))) {
        return;
    }
    let set = [
        ("wal.nats_creds_file", wal.nats_creds_file.is_some()),
        ("wal.nats_ca_file", wal.nats_ca_file.is_some()),
        ("wal.nats_cert_file", wal.nats_cert_file.is_some()),
        ("wal.nats_key_file", wal.nats_key_file.is_some()),
        ("wal.nats_monitor", !wal.nats_monitor.is_empty()),
    ];
    for (key, _) in set.iter().filter(|(_, is_set)| *is_set) {
        findings.problem(
            &[key],
            "nothing uses it: wal.replica does not name servers of NATS",
        );
    }
}

fn folder(prefix: &str, name: &str) -> String {
    if prefix.is_empty() {
        name.to_owned()
    } else {
        format!("{prefix}/{name}")
    }
}

/// Whether a prefix is another one, or below it.
fn is_within(prefix: &str, outer: &str) -> bool {
    outer.is_empty()
        || prefix
            .strip_prefix(outer)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
