//! Where the lake is: a directory, or a bucket and a prefix.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::path::PathBuf;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error};

use crate::tables::{PROPERTY_PREFIX, Table};

/// The JSON Schema format of such URLs.
pub(super) const LAKE_URL_FORMAT: &str = "lake-url";

/// Partition keys that polled streams and the quarantine always have, whatever the configuration says.
const PARTITIONS: [&str; 2] = ["dt", "run"];

/// The location of the lake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LakeUrl {
    /// A directory. Its path is absolute once the configuration is loaded.
    Directory(PathBuf),
    /// A bucket and a prefix: `s3://bucket/prefix`.
    S3 {
        /// The bucket.
        bucket: String,
        /// The prefix of all keys, without slashes at its ends; may be empty.
        prefix: String,
    },
}

/// Why text is not the location of a lake. Never repeats the text, which may contain credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LakeUrlError {
    /// The text is empty.
    #[error("must not be empty; name a directory, or a bucket as s3://bucket/prefix")]
    Empty,
    /// The URL of a store over HTTP.
    #[error(
        "must be a directory or s3://bucket/prefix; for a compatible store, put its http(s) address \
         into lake.endpoint"
    )]
    Http,
    /// A `file:` URL.
    #[error("must be a directory or s3://bucket/prefix; write a directory as a plain path")]
    File,
    /// A URL of Google Cloud Storage.
    #[error(
        "must be a directory or s3://bucket/prefix; Google Cloud Storage is reached as s3:// with \
         lake.endpoint = \"https://storage.googleapis.com\""
    )]
    Google,
    /// A variant such as `s3:`, `S3://` or `s3a://`.
    #[error("must be written s3://bucket/prefix")]
    AlmostS3,
    /// A URL of any other scheme.
    #[error("must be a directory or s3://bucket/prefix; other schemes are not known")]
    Scheme,
    /// The name of the bucket is not valid.
    #[error(
        "must name a bucket after s3://: 3 to 63 lower-case letters, digits, dots and hyphens (older buckets: up \
         to 255, also upper case and underscores), the first and last of them a letter or digit"
    )]
    Bucket,
    /// An ARN that is none of an access point.
    #[error(
        "must name an access point as s3://arn:aws:s3:REGION:ACCOUNT:accesspoint/NAME/prefix; those of several \
         regions, of Outposts and of Object Lambda are not known"
    )]
    AccessPoint,
    /// The URL has a query or a fragment.
    #[error(
        "must be s3://bucket/prefix without ? and #; settings have keys of their own in [lake]"
    )]
    Query,
    /// The prefix is not a valid path.
    #[error("must have a prefix of names joined by single slashes, none of them \".\" or \"..\"")]
    Prefix,
}

impl LakeUrl {
    /// Reads a path or a URL.
    pub fn parse(text: &str) -> Result<Self, LakeUrlError> {
        if text.trim().is_empty() {
            return Err(LakeUrlError::Empty);
        }
        if let Some(rest) = text.strip_prefix("s3://") {
            return Self::parse_bucket(rest);
        }
        let lower = text.to_ascii_lowercase();
        let Some((scheme, _)) = lower.split_once("://") else {
            return if lower.starts_with("s3:") || lower.starts_with(ARN) {
                Err(LakeUrlError::AlmostS3)
            } else {
                Ok(Self::Directory(PathBuf::from(text)))
            };
        };
        Err(match scheme {
            "s3" | "s3a" | "s3n" => LakeUrlError::AlmostS3,
            "http" | "https" => LakeUrlError::Http,
            "file" => LakeUrlError::File,
            "gs" | "gcs" => LakeUrlError::Google,
            _ => LakeUrlError::Scheme,
        })
    }

    /// The first `name=value` part of the path whose name is one of our columns or one of the partition keys
    /// of `events.partition`. Engines read such parts as columns: they would show the value from the path for
    /// every row, or find no rows at all.
    pub(super) fn column_in_path(&self, partition: &str) -> Option<String> {
        let path = match self {
            Self::Directory(path) => path.to_string_lossy(),
            Self::S3 { prefix, .. } => Cow::Borrowed(prefix.as_str()),
        };
        let events = Table::events(std::iter::empty::<&str>()).map_or(Vec::new(), |t| t.columns);
        let columns = events.into_iter().chain(Table::quarantine().columns);
        let partitions = partition.split('/').filter_map(|part| part.split_once('='));
        let names: HashSet<String> = PARTITIONS
            .into_iter()
            .map(str::to_owned)
            .chain(columns.map(|column| column.name))
            .chain(partitions.map(|(name, _)| name.to_lowercase()))
            .collect();
        let is_column = |name: &str| names.contains(name) || name.starts_with(PROPERTY_PREFIX);
        let parts = path.split('/').filter_map(|part| part.split_once('='));
        let mut parts = parts.map(|(name, _)| name.to_lowercase());
        parts.find(|name| is_column(name))
    }

    /// The region of the access point that it names; `None` for a bucket or a directory.
    pub(super) fn access_point_region(&self) -> Option<&str> {
        match self {
            Self::S3 { bucket, .. } => region_of_access_point(bucket),
            Self::Directory(_) => None,
        }
    }

    fn parse_bucket(text: &str) -> Result<Self, LakeUrlError> {
        if text.contains(['?', '#']) {
            return Err(LakeUrlError::Query);
        }
        let (bucket, prefix) = split_bucket(text)?;
        let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
        let is_name = |name: &str| {
            let is_plain = !name.chars().any(char::is_control);
            !matches!(name, "" | "." | "..") && is_plain
        };
        if !prefix.is_empty() && !prefix.split('/').all(is_name) {
            return Err(LakeUrlError::Prefix);
        }
        Ok(Self::S3 {
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
        })
    }
}

/// What an access point's ARN begins with, before region, account and name.
const ARN: &str = "arn:";

/// The bucket and the rest. The ARN of an access point has a slash of its own.
fn split_bucket(text: &str) -> Result<(&str, &str), LakeUrlError> {
    let Some(slash) = text.find('/') else {
        return if is_bucket(text) {
            Ok((text, ""))
        } else {
            Err(LakeUrlError::Bucket)
        };
    };
    let end = if text.starts_with(ARN) {
        let name = &text[slash + 1..];
        slash + 1 + name.find('/').unwrap_or(name.len())
    } else {
        slash
    };
    let (bucket, rest) = text.split_at(end);
    match text.starts_with(ARN) {
        true if region_of_access_point(bucket).is_none() => Err(LakeUrlError::AccessPoint),
        false if !is_bucket(bucket) => Err(LakeUrlError::Bucket),
        _ => Ok((bucket, rest.strip_prefix('/').unwrap_or(rest))),
    }
}

/// The region of `arn:aws:s3:REGION:ACCOUNT:accesspoint/NAME`.
fn region_of_access_point(arn: &str) -> Option<&str> {
    let mut parts = arn.splitn(6, ':');
    let is_of_s3 =
        parts.next()? == "arn" && parts.next()?.starts_with("aws") && parts.next()? == "s3";
    let (region, account, resource) = (parts.next()?, parts.next()?, parts.next()?);
    let name = resource.strip_prefix("accesspoint/")?;
    let is_named = is_of_s3 && !region.is_empty() && !name.is_empty() && !name.contains([':', '/']);
    let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    (is_named && is_account).then_some(region)
}

/// Buckets that were made in us-east-1 before March 2018 may have upper case, underscores and longer names.
fn is_bucket(name: &str) -> bool {
    let is_alphanumeric = |c: char| c.is_ascii_alphanumeric();
    (3..=255).contains(&name.len())
        && name.starts_with(is_alphanumeric)
        && name.ends_with(is_alphanumeric)
        && name
            .chars()
            .all(|c| is_alphanumeric(c) || ".-_".contains(c))
}

impl JsonSchema for LakeUrl {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "LakeUrl".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": LAKE_URL_FORMAT })
    }
}

impl<'de> Deserialize<'de> for LakeUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(D::Error::custom)
    }
}

impl fmt::Display for LakeUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(path) => write!(f, "{}", path.display()),
            Self::S3 { bucket, prefix } if prefix.is_empty() => write!(f, "s3://{bucket}"),
            Self::S3 { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_and_buckets_are_read() {
        let directory = |path: &str| Ok(LakeUrl::Directory(PathBuf::from(path)));
        assert_eq!(LakeUrl::parse("data/lake"), directory("data/lake"));
        assert_eq!(LakeUrl::parse("/lake"), directory("/lake"));
        let bucket = |prefix: &str| {
            Ok(LakeUrl::S3 {
                bucket: "my-lake".to_owned(),
                prefix: prefix.to_owned(),
            })
        };
        assert_eq!(LakeUrl::parse("s3://my-lake"), bucket(""));
        assert_eq!(LakeUrl::parse("s3://my-lake/"), bucket(""));
        assert_eq!(LakeUrl::parse("s3://my-lake/a/b=c/"), bucket("a/b=c"));
    }

    #[test]
    fn access_points_and_older_buckets_are_read() {
        let arn = "arn:aws:s3:eu-west-1:123456789012:accesspoint/lake";
        for (url, bucket, prefix, region) in [
            (format!("s3://{arn}"), arn, "", Some("eu-west-1")),
            (
                format!("s3://{arn}/raw/web"),
                arn,
                "raw/web",
                Some("eu-west-1"),
            ),
            (
                "s3://Old_Bucket.EU/x".to_owned(),
                "Old_Bucket.EU",
                "x",
                None,
            ),
        ] {
            let parsed = LakeUrl::parse(&url).unwrap();
            assert_eq!(parsed.access_point_region(), region);
            assert_eq!(parsed.to_string(), url);
            let (bucket, prefix) = (bucket.to_owned(), prefix.to_owned());
            assert_eq!(parsed, LakeUrl::S3 { bucket, prefix });
        }
    }

    #[test]
    fn columns_in_the_path_are_found() {
        for (url, column) in [
            ("s3://my-lake/raw/source=web", Some("source")),
            ("s3://my-lake/Event_Id=1/x", Some("event_id")),
            ("s3://my-lake/raw_xxh3=1", Some("raw_xxh3")),
            ("s3://my-lake/p_any=1", Some("p_any")),
            ("s3://my-lake/dt=2026/a", Some("dt")),
            ("s3://my-lake/run=1", Some("run")),
            ("s3://my-lake/HOUR=1", Some("hour")),
            ("/data/lsn=5/lake", Some("lsn")),
            ("s3://my-lake/env=prod/source", None),
            ("/data/lake", None),
            ("s3://my-lake", None),
        ] {
            let found = LakeUrl::parse(url).map(|url| url.column_in_path("day=%Y-%m-%d/hour=%H"));
            assert_eq!(found, Ok(column.map(str::to_owned)), "{url}");
        }
    }

    #[test]
    fn anything_else_is_refused_with_a_hint() {
        for (text, error) in [
            (" ", LakeUrlError::Empty),
            ("https://my-lake.s3.amazonaws.com", LakeUrlError::Http),
            ("file:///data/lake", LakeUrlError::File),
            ("gs://my-lake", LakeUrlError::Google),
            ("S3://my-lake", LakeUrlError::AlmostS3),
            ("s3a://my-lake", LakeUrlError::AlmostS3),
            ("s3:my-lake", LakeUrlError::AlmostS3),
            ("abfs://my-lake", LakeUrlError::Scheme),
            ("s3://", LakeUrlError::Bucket),
            ("s3:///prefix", LakeUrlError::Bucket),
            ("s3://ab", LakeUrlError::Bucket),
            ("s3://my lake", LakeUrlError::Bucket),
            (
                "s3://arn:aws:s3::123456789012:accesspoint/x.mrap",
                LakeUrlError::AccessPoint,
            ),
            (
                "s3://arn:aws:s3:eu-west-1:1:accesspoint/x",
                LakeUrlError::AccessPoint,
            ),
            (
                "s3://arn:aws:sqs:eu-west-1:123456789012:x/y",
                LakeUrlError::AccessPoint,
            ),
            ("s3://key:secret@my-lake", LakeUrlError::Bucket),
            ("s3://my-lake-", LakeUrlError::Bucket),
            ("s3://my-lake?region=eu", LakeUrlError::Query),
            ("s3://my-lake//a", LakeUrlError::Prefix),
            ("s3://my-lake/a/../b", LakeUrlError::Prefix),
            ("s3://my-lake/a\nb", LakeUrlError::Prefix),
        ] {
            assert_eq!(LakeUrl::parse(text), Err(error), "{text}");
        }
        let longest = format!("s3://{}", "a".repeat(255));
        assert!(LakeUrl::parse(&longest).is_ok());
        assert_eq!(
            LakeUrl::parse(&format!("{longest}a")),
            Err(LakeUrlError::Bucket)
        );
    }
}
