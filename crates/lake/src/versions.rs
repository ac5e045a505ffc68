//! Old versions of objects, in a bucket that keeps them. Only erasures ask.

use aws_sdk_s3::types::BucketVersioningStatus;

use super::s3::S3;
use super::s3::client::{ANSWER_LIMIT, within};
use super::store::StoreError;

impl S3 {
    /// Whether the bucket keeps old versions, or has done so.
    pub async fn keeps_versions(&self) -> Result<bool, StoreError> {
        let request = self
            .client
            .get_bucket_versioning()
            .bucket(&self.location.bucket);
        let answer = within(ANSWER_LIMIT, request.send()).await?;
        let answer = answer.map_err(|error| self.failed(&error))?;
        let status = answer.status();
        Ok(matches!(
            status,
            Some(BucketVersioningStatus::Enabled | BucketVersioningStatus::Suspended)
        ))
    }

    /// The ids of the versions of an object that are not the newest one.
    pub async fn old_versions(&self, key: &str) -> Result<Vec<String>, StoreError> {
        let full_key = self.full_key(key);
        let mut found = Vec::new();
        let (mut next_key, mut next_version) = (None, None);
        loop {
            let request = self
                .client
                .list_object_versions()
                .bucket(&self.location.bucket)
                .prefix(&full_key)
                .set_key_marker(next_key.take())
                .set_version_id_marker(next_version.take());
            let answer = within(ANSWER_LIMIT, request.send()).await?;
            let answer = answer.map_err(|error| self.failed(&error))?;
            let versions = answer.versions().iter();
            let old = versions.filter(|version| {
                version.key() == Some(&full_key) && version.is_latest() == Some(false)
            });
            found.extend(old.filter_map(|version| version.version_id().map(str::to_owned)));
            if answer.is_truncated() != Some(true) {
                return Ok(found);
            }
            next_key = answer.next_key_marker().map(str::to_owned);
            next_version = answer.next_version_id_marker().map(str::to_owned);
        }
    }

    /// Deletes one version of an object for good. A lock on it is an error.
    pub async fn delete_version(&self, key: &str, version: &str) -> Result<(), StoreError> {
        let request = self
            .client
            .delete_object()
            .bucket(&self.location.bucket)
            .key(self.full_key(key))
            .version_id(version);
        let answer = within(ANSWER_LIMIT, request.send()).await?;
        answer.map(drop).map_err(|error| self.failed(&error))
    }
}
