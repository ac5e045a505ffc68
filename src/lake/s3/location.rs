//! Where a bucket is, and how to reach it.

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
    /// Key for server-side encryption by KMS.
    pub kms_key_id: Option<String>,
}

/// The address of a store that is not AWS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The address: `http://` or `https://`, host and port.
    pub url: String,
    /// The setting that names it: a key of the configuration or a variable of the environment.
    pub named_by: &'static str,
}
