//! What the nodes of a cluster share: a lake in a bucket, and a log in the same bucket or in a stream of NATS. Both are in
//! a place of this run's own, so that nothing of anybody else is touched.

use std::ffi::OsString;

use super::errors::TortureError;
use crate::config::{LakeUrl, ReplicaUrl};
use crate::ids::Ids;

/// Fewest nodes of a cluster.
const LEAST: usize = 2;
/// Most nodes on one machine.
const MOST: usize = 9;
/// What a program finds in its environment that it may need to reach a bucket or NATS.
const NEEDED: [&str; 5] = ["HOME", "PATH", "SSL_CERT_FILE", "SSL_CERT_DIR", "TMPDIR"];
const NEEDED_PREFIXES: [&str; 3] = ["AWS_", "LAKEHOOK_LAKE__", "LAKEHOOK_WAL__NATS_"];
/// What is ours to say.
const OWN: [&str; 2] = ["LAKEHOOK_LAKE__URL", "LAKEHOOK_LAKE__ENDPOINT"];

/// What the nodes of a cluster share.
#[derive(Clone, Debug)]
pub struct Sharing {
    /// How many nodes there are.
    pub nodes: usize,
    /// The name of this run, which nothing else has.
    pub name: String,
    /// The lake.
    pub lake: LakeUrl,
    /// The log.
    pub replica: ReplicaUrl,
    /// The address of the store, if it is not AWS.
    pub endpoint: Option<String>,
    /// The environment of the nodes.
    pub environment: Vec<(OsString, OsString)>,
}

impl Sharing {
    /// So many nodes with a log at `replica`, and a lake in `lake`, unless that is in the bucket of the log anyway.
    pub fn new(
        nodes: usize,
        replica: ReplicaUrl,
        lake: Option<LakeUrl>,
        endpoint: Option<String>,
    ) -> Result<Self, TortureError> {
        let refuse = |rule: String| Err(TortureError::Usage(rule));
        if !(LEAST..=MOST).contains(&nodes) {
            return refuse(format!(
                "--nodes must be between {LEAST} and {MOST}; leave it and --replica out to try a service by itself"
            ));
        }
        let name = format!("torture-{:016x}", Ids::System.next()?);
        let (bucket, prefix) = match (&replica, lake) {
            (ReplicaUrl::Bucket { bucket, prefix }, None) => (bucket.clone(), prefix.clone()),
            (ReplicaUrl::Bucket { .. }, Some(_)) => {
                return refuse(
                    "--lake is only for a log in NATS: with --replica s3://…, the lake is in the same place"
                        .to_owned(),
                );
            }
            (ReplicaUrl::Nats(_), Some(LakeUrl::S3 { bucket, prefix })) => (bucket, prefix),
            (ReplicaUrl::Nats(_), Some(LakeUrl::Directory(_))) => {
                return refuse(
                    "--lake must be s3://bucket/prefix: a log in a replica needs a lake in a bucket; an S3 server of \
                     your own is named by --endpoint"
                        .to_owned(),
                );
            }
            (ReplicaUrl::Nats(_), None) => {
                return refuse(
                    "a log in NATS needs a lake in a bucket: name it with --lake s3://bucket/prefix, and an S3 server \
                     of your own with --endpoint"
                        .to_owned(),
                );
            }
        };
        let prefix = if prefix.is_empty() {
            name.clone()
        } else {
            format!("{prefix}/{name}")
        };
        let replica = match replica {
            ReplicaUrl::Bucket { bucket, .. } => ReplicaUrl::Bucket {
                bucket,
                prefix: format!("{prefix}/_lakehook/log"),
            },
            servers @ ReplicaUrl::Nats(_) => servers,
        };
        Ok(Self {
            nodes,
            name,
            lake: LakeUrl::S3 { bucket, prefix },
            replica,
            endpoint,
            environment: std::env::vars_os()
                .filter(|(name, _)| is_needed(name))
                .collect(),
        })
    }
}

fn is_needed(name: &std::ffi::OsStr) -> bool {
    let Some(name) = name.to_str() else {
        return false;
    };
    let is_needed = NEEDED.contains(&name)
        || NEEDED_PREFIXES
            .iter()
            .any(|prefix| name.starts_with(prefix));
    is_needed && !OWN.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sharing(replica: &str, lake: Option<&str>) -> Result<Sharing, String> {
        let lake = lake.map(|lake| LakeUrl::parse(lake).unwrap());
        let replica = ReplicaUrl::parse(replica).unwrap();
        Sharing::new(3, replica, lake, None).map_err(|error| error.to_string())
    }

    #[test]
    fn a_run_has_a_folder_of_its_own() {
        let sharing = sharing("s3://bucket/some/prefix", None).unwrap();
        let lake = sharing.lake.to_string();
        assert_eq!(lake, format!("s3://bucket/some/prefix/{}", sharing.name));
        assert_eq!(sharing.replica.to_string(), format!("{lake}/_lakehook/log"));
    }

    #[test]
    fn a_log_in_nats_needs_a_lake_in_a_bucket() {
        let nats = "nats://n1,n2,n3";
        let own = sharing(nats, Some("s3://bucket")).unwrap();
        assert_eq!(own.lake.to_string(), format!("s3://bucket/{}", own.name));
        for (replica, lake, words) in [
            (nats, None, "--lake s3://bucket/prefix"),
            (nats, Some("data/lake"), "must be s3://bucket/prefix"),
            (
                "s3://bucket/log",
                Some("s3://other"),
                "only for a log in NATS",
            ),
        ] {
            let error = sharing(replica, lake).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
        let replica = ReplicaUrl::parse(nats).unwrap();
        let error = Sharing::new(1, replica, None, None).unwrap_err();
        assert!(error.to_string().contains("between 2 and 9"), "{error}");
    }

    #[test]
    fn nodes_are_told_how_a_bucket_is_reached_and_nothing_else() {
        for name in ["AWS_REGION", "LAKEHOOK_LAKE__REGION", "HOME"] {
            assert!(is_needed(name.as_ref()), "{name}");
        }
        for name in ["LAKEHOOK_LAKE__URL", "LAKEHOOK_WAL__DIR", "USER"] {
            assert!(!is_needed(name.as_ref()), "{name}");
        }
    }
}
