//! The replica and the lake: how the replica is reached, and where it may be.

use super::findings::Findings;
use super::lake_url::LakeUrl;
use super::sections::Config;
use crate::lake::destination::Destination;
use crate::lake::keys::INTERNAL;
use crate::lake::s3::{Location, ObjectOptions};

impl Config {
    /// The bucket of the replica and how to reach it, with what is said of the lake's: `None` without a replica.
    /// Objects of the replica live for minutes, so they have neither tags nor a storage class.
    pub fn replica_location(&self) -> Option<Location> {
        let replica = self.wal.replica.as_ref()?;
        let Destination::Bucket(of_lake) = self.lake.destination() else {
            return None;
        };
        Some(Location {
            bucket: replica.bucket.clone(),
            prefix: replica.prefix.clone(),
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

/// The folder of the lake's internal one that a replica may be in.
const OWN_FOLDER: &str = "log";

/// Checks where the replica is.
pub(super) fn check(config: &Config, findings: &mut Findings<'_>) {
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
    if *bucket != replica.bucket {
        return;
    }
    let own = folder(prefix, &format!("{INTERNAL}/{OWN_FOLDER}"));
    if is_within(&replica.prefix, &own) {
        return;
    }
    if is_within(&replica.prefix, prefix) {
        let rule = format!(
            "a replica within the lake must be in its folder {INTERNAL}/{OWN_FOLDER}, where no engine looks for \
             rows: s3://{bucket}/{own}"
        );
        findings.problem(&keys, rule);
    } else if is_within(prefix, &replica.prefix) {
        findings.problem(
            &keys,
            "the lake must not be within the replica, whose objects are deleted all the time; give each its own prefix",
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
