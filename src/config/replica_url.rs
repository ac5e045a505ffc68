//! Where the replica of the logs is: a bucket and a prefix.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error};

use super::lake_url::{LakeUrl, LakeUrlError};

/// The JSON Schema format of such URLs.
pub(super) const REPLICA_URL_FORMAT: &str = "replica-url";

/// The location of the replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaUrl {
    /// The bucket.
    pub bucket: String,
    /// The prefix of all keys, without slashes at its ends.
    pub prefix: String,
}

/// Why text is not the location of a replica. Never repeats the text, which may contain credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplicaUrlError {
    /// It is no bucket.
    #[error("must be s3://bucket/prefix; a replica is kept in a bucket")]
    NoBucket,
    /// It is a stream of NATS.
    #[error("must be s3://bucket/prefix; JetStream is not known yet")]
    Nats,
    /// It has no prefix.
    #[error("must have a prefix, such as s3://bucket/log, where nothing else is")]
    NoPrefix,
    /// The name or the prefix is wrong.
    #[error(transparent)]
    Bucket(#[from] LakeUrlError),
}

impl ReplicaUrl {
    /// Reads a URL.
    pub fn parse(text: &str) -> Result<Self, ReplicaUrlError> {
        if text.to_ascii_lowercase().starts_with("nats:") {
            return Err(ReplicaUrlError::Nats);
        }
        match LakeUrl::parse(text)? {
            LakeUrl::Directory(_) => Err(ReplicaUrlError::NoBucket),
            LakeUrl::S3 { prefix, .. } if prefix.is_empty() => Err(ReplicaUrlError::NoPrefix),
            LakeUrl::S3 { bucket, prefix } => Ok(Self { bucket, prefix }),
        }
    }
}

impl fmt::Display for ReplicaUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.prefix)
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
    fn a_replica_is_a_bucket_with_a_prefix() {
        let url = ReplicaUrl::parse("s3://my-lake/_lakehook/log/");
        let url = url.map(|url| url.to_string());
        assert_eq!(url, Ok("s3://my-lake/_lakehook/log".to_owned()));
        for (text, error) in [
            ("nats://n1:4222", ReplicaUrlError::Nats),
            ("data/replica", ReplicaUrlError::NoBucket),
            ("s3://my-lake", ReplicaUrlError::NoPrefix),
            ("s3://ab/x", ReplicaUrlError::Bucket(LakeUrlError::Bucket)),
        ] {
            assert_eq!(ReplicaUrl::parse(text), Err(error), "{text}");
        }
    }
}
