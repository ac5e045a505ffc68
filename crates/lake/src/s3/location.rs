//! The location of a bucket, and how to reach it.

use std::collections::BTreeMap;

/// The location of a bucket, and the options of its objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// Name of the bucket.
    pub bucket: String,
    /// Prefix of all keys, without slashes at its ends; may be empty.
    pub prefix: String,
    /// Address of a compatible store; `None` for AWS.
    pub endpoint: Option<Endpoint>,
    /// Overrides the region of the environment.
    pub region: Option<String>,
    /// Whether the bucket is in the path instead of the host name; by default only if an endpoint
    /// is set.
    pub path_style: Option<bool>,
    /// Options that are sent with each object.
    pub options: ObjectOptions,
}

/// Options that are sent with each object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectOptions {
    /// Name of a canned ACL.
    pub acl: Option<String>,
    /// Name of a storage class.
    pub storage_class: Option<String>,
    /// Tags, by name.
    pub tags: BTreeMap<String, String>,
    /// How it is encrypted.
    pub encryption: Encryption,
    /// Whether the owner of the credentials pays for requests, instead of the bucket's owner.
    pub requester_pays: bool,
}

/// How a store encrypts objects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Encryption {
    /// With the default of the bucket.
    #[default]
    OfBucket,
    /// With the store's own key.
    S3,
    /// With this key of KMS.
    Kms(String),
}

/// The address of a store that is not AWS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The address: `http://` or `https://`, host and port.
    pub url: String,
    /// The setting that gives it: a key of the configuration or a variable of the environment.
    pub named_by: &'static str,
}
