//! Where the replica of the logs is: a bucket and a prefix, or servers of NATS.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error};

use super::lake_url::{LakeUrl, LakeUrlError};

/// The JSON Schema format of such URLs.
pub(super) const REPLICA_URL_FORMAT: &str = "replica-url";
/// The port of a server that names none.
const NATS_PORT: u16 = 4222;

/// The location of the replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplicaUrl {
    /// A bucket.
    Bucket {
        /// The bucket.
        bucket: String,
        /// The prefix of all keys, without slashes at its ends.
        prefix: String,
    },
    /// Servers of NATS, each as `nats://host:port` or `tls://host:port`.
    Nats(Vec<String>),
}

/// Why text is not the location of a replica. Never repeats the text, which may contain credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplicaUrlError {
    /// It is neither.
    #[error("must be s3://bucket/prefix, or nats://host:port,host:port,host:port")]
    Neither,
    /// It has no prefix.
    #[error("must have a prefix, such as s3://bucket/log, where nothing else is")]
    NoPrefix,
    /// The name or the prefix is wrong.
    #[error(transparent)]
    Bucket(#[from] LakeUrlError),
    /// It has a user, a password or a token.
    #[error("must have no credentials; wal.nats_creds_file names a file with them")]
    Credentials,
    /// A server is no host with a port.
    #[error(
        "must name the servers as nats://host:port,host:port,host:port, without a path; the port may be left out"
    )]
    Server,
}

impl ReplicaUrl {
    /// Reads a URL.
    pub fn parse(text: &str) -> Result<Self, ReplicaUrlError> {
        for scheme in ["nats://", "tls://"] {
            if let Some(servers) = text.strip_prefix(scheme) {
                let servers = servers
                    .split(',')
                    .map(|server| parse_server(scheme, server));
                return Ok(Self::Nats(servers.collect::<Result<_, _>>()?));
            }
        }
        if !text.starts_with("s3:") {
            return Err(ReplicaUrlError::Neither);
        }
        match LakeUrl::parse(text)? {
            LakeUrl::Directory(_) => Err(ReplicaUrlError::Neither),
            LakeUrl::S3 { prefix, .. } if prefix.is_empty() => Err(ReplicaUrlError::NoPrefix),
            LakeUrl::S3 { bucket, prefix } => Ok(Self::Bucket { bucket, prefix }),
        }
    }
}

fn parse_server(scheme: &str, text: &str) -> Result<String, ReplicaUrlError> {
    let text = text.trim();
    let text = text.strip_prefix(scheme).unwrap_or(text);
    if text.contains('@') {
        return Err(ReplicaUrlError::Credentials);
    }
    let (host, port) = match text.rsplit_once(':') {
        // An address of IPv6 has colons of its own, and stands in brackets.
        Some((host, port)) if !port.ends_with(']') => {
            (host, port.parse().map_err(|_| ReplicaUrlError::Server)?)
        }
        _ => (text, NATS_PORT),
    };
    let is_host =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '[' | ']' | ':');
    if host.is_empty() || port == 0 || !host.chars().all(is_host) {
        return Err(ReplicaUrlError::Server);
    }
    Ok(format!("{scheme}{host}:{port}"))
}

impl fmt::Display for ReplicaUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bucket { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
            Self::Nats(servers) => f.write_str(&servers.join(",")),
        }
    }
}

impl JsonSchema for ReplicaUrl {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "ReplicaUrl".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": REPLICA_URL_FORMAT })
    }
}

impl<'de> Deserialize<'de> for ReplicaUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_is_a_bucket_with_a_prefix_or_servers_of_nats() {
        for (text, shown) in [
            ("s3://my-lake/_lakehook/log/", "s3://my-lake/_lakehook/log"),
            (
                "nats://n1:4222,n2,nats://n3:5",
                "nats://n1:4222,nats://n2:4222,nats://n3:5",
            ),
            (
                "tls://[::1]:4222,[::2]",
                "tls://[::1]:4222,tls://[::2]:4222",
            ),
        ] {
            let url = ReplicaUrl::parse(text).map(|url| url.to_string());
            assert_eq!(url.as_deref(), Ok(shown), "{text}");
        }
        for (text, error) in [
            ("data/replica", ReplicaUrlError::Neither),
            ("nats:n1", ReplicaUrlError::Neither),
            ("s3://my-lake", ReplicaUrlError::NoPrefix),
            ("s3://ab/x", ReplicaUrlError::Bucket(LakeUrlError::Bucket)),
            ("nats://me:secret@n1:4222", ReplicaUrlError::Credentials),
            ("nats://n1:4222,token@n2", ReplicaUrlError::Credentials),
            ("nats://n1:4222/stream", ReplicaUrlError::Server),
            ("nats://n1:70000", ReplicaUrlError::Server),
            ("nats://", ReplicaUrlError::Server),
            ("nats://n1,", ReplicaUrlError::Server),
        ] {
            assert_eq!(ReplicaUrl::parse(text), Err(error), "{text}");
        }
    }
}
