//! From the settings of the lake to what reaches it.

use super::lake_url::LakeUrl;
use super::sections::Lake;
use crate::lake::destination::Destination;
use crate::lake::s3::{Encryption, Endpoint, Location, ObjectOptions};

impl Lake {
    /// The lake, with everything that is needed to reach it.
    pub fn destination(&self) -> Destination<'_> {
        match &self.url {
            LakeUrl::Directory(root) => Destination::Directory(root),
            LakeUrl::S3 { bucket, prefix } => {
                Destination::Bucket(Box::new(self.location(bucket, prefix)))
            }
        }
    }

    /// A place in a bucket, reached by the settings of the lake.
    pub fn location(&self, bucket: &str, prefix: &str) -> Location {
        Location {
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
            endpoint: self.endpoint.clone().map(|url| Endpoint {
                url,
                named_by: self.endpoint_named_by,
            }),
            region: self.region.clone().or_else(|| {
                let region = self.url.access_point_region()?;
                Some(region.to_owned())
            }),
            path_style: self.path_style,
            options: ObjectOptions {
                acl: self.acl.clone(),
                storage_class: self.storage_class.clone(),
                tags: self.tags.clone(),
                encryption: match &self.kms_key_id {
                    Some(key) => Encryption::Kms(key.clone()),
                    None if self.sse_s3 => Encryption::S3,
                    None => Encryption::OfBucket,
                },
                requester_pays: self.requester_pays,
            },
        }
    }
}
