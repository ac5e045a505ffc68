//! Where a bucket is, and how to reach it.

use std::collections::BTreeMap;

/// Where a bucket is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// The bucket.
    pub bucket: String,
    /// Prefix of all keys, without slashes at its ends; may be empty.
    pub prefix: String,
    /// A compatible store; `None` for AWS.
    pub endpoint: Option<Endpoint>,
    /// Overrides the region of the environment.
    pub region: Option<String>,
    /// Bucket in the path instead of the host name; by default where an endpoint is set.
    pub path_style: Option<bool>,
    /// What the store is told of each object.
    pub options: ObjectOptions,
}

/// What a store is told of each object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectOptions {
    /// A canned ACL.
    pub acl: Option<String>,
    /// A storage class.
    pub storage_class: Option<String>,
    /// Tags, by name.
    pub tags: BTreeMap<String, String>,
    /// How it is encrypted.
    pub encryption: Encryption,
    /// Whether the owner of the credentials pays for requests, and not that of the bucket.
    pub requester_pays: bool,
}

/// How a store encrypts objects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Encryption {
    /// As the bucket is configured.
    #[default]
    OfBucket,
    /// By the store's own key.
    S3,
    /// By that key of KMS.
    Kms(String),
}

/// The address of a store that is not AWS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The address: `http://` or `https://`, host and port.
    pub url: String,
    /// The setting that names it: a key of the configuration or a variable of the environment.
    pub named_by: &'static str,
}
