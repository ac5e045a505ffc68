//! Objects that others put into a bucket: which there are, by key and ETag, and the bytes of exactly one version.

use std::io::Write;

use aws_sdk_s3::types::Object;

use super::super::store::StoreError;
use super::answers::status_of;
use super::client::{ANSWER_LIMIT, S3, within};
use crate::errors::Trouble;
use lakehook_base::clock::{MICROS_PER_SECOND, Micros};

/// An object as a listing has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedObject {
    /// Its key, relative to the location.
    pub key: String,
    /// Its size.
    pub bytes: u64,
    /// Its ETag, which another version of it does not have.
    pub etag: String,
}

impl S3 {
    /// The objects below a prefix, in the order of their keys; at most about `max`.
    pub async fn objects(&self, prefix: &str, max: usize) -> Result<Vec<ListedObject>, StoreError> {
        let take = |object: &Object, key: String| {
            Some(ListedObject {
                key,
                bytes: u64::try_from(object.size().unwrap_or(0)).unwrap_or(0),
                etag: object.e_tag()?.to_owned(),
            })
        };
        self.listed(prefix, None, max, take).await
    }

    /// When an object was put last; `None` if there is no such object.
    pub async fn modified(&self, key: &str) -> Result<Option<Micros>, StoreError> {
        let request = self
            .client
            .head_object()
            .bucket(&self.location.bucket)
            .set_request_payer(self.location.options.payer())
            .key(self.full_key(key));
        match within(ANSWER_LIMIT, request.send()).await? {
            Ok(answer) => Ok(answer.last_modified().map(|time| {
                // Stores know only seconds.
                Micros((time.secs() + 1).saturating_mul(MICROS_PER_SECOND))
            })),
            Err(error) if status_of(&error) == Some(404) => Ok(None),
            Err(error) => Err(self.failed(&error)),
        }
    }

    /// A part of an object; empty if there is no such object.
    pub fn part(&self, key: &str, start: u64, length: u64) -> Result<Vec<u8>, StoreError> {
        self.runtime.block_on(self.part_async(key, start, length))
    }

    async fn part_async(&self, key: &str, start: u64, length: u64) -> Result<Vec<u8>, StoreError> {
        let last = start + length.saturating_sub(1);
        let request = self
            .client
            .get_object()
            .bucket(&self.location.bucket)
            .set_request_payer(self.location.options.payer())
            .range(format!("bytes={start}-{last}"))
            .key(self.full_key(key));
        let answer = match within(ANSWER_LIMIT, request.send()).await? {
            Ok(answer) => answer,
            Err(error) if status_of(&error) == Some(404) => return Ok(Vec::new()),
            Err(error) => return Err(self.failed(&error)),
        };
        let collected = within(ANSWER_LIMIT, answer.body.collect()).await?;
        let bytes = collected.map_err(|error| StoreError {
            kind: Trouble::Network,
            message: error.to_string(),
        })?;
        Ok(bytes.into_bytes().to_vec())
    }

    /// Writes the bytes of an object to `out`, if it still is this version; `false` if it is gone or another one.
    pub async fn version(
        &self,
        key: &str,
        etag: &str,
        out: &mut (dyn Write + Send),
    ) -> Result<bool, StoreError> {
        let request = self
            .client
            .get_object()
            .bucket(&self.location.bucket)
            .set_request_payer(self.location.options.payer())
            .if_match(etag)
            .key(self.full_key(key));
        let answer = match within(ANSWER_LIMIT, request.send()).await? {
            Ok(answer) => answer,
            Err(error) if matches!(status_of(&error), Some(404 | 412)) => return Ok(false),
            Err(error) => return Err(self.failed(&error)),
        };
        // A store that does not know the condition tells which version it has sent.
        if answer.e_tag().is_some_and(|sent| sent != etag) {
            return Ok(false);
        }
        let broken = |message: String| StoreError {
            kind: Trouble::Network,
            message,
        };
        let expected = answer
            .content_length()
            .and_then(|length| u64::try_from(length).ok());
        let mut body = answer.body;
        let mut bytes = 0;
        while let Some(chunk) = within(ANSWER_LIMIT, body.try_next())
            .await?
            .map_err(|error| broken(error.to_string()))?
        {
            bytes += chunk.len() as u64;
            out.write_all(&chunk)
                .map_err(|error| broken(error.to_string()))?;
        }
        match expected {
            Some(expected) if expected != bytes => {
                Err(broken(format!("{key}: {bytes} bytes came of {expected}")))
            }
            _ => Ok(true),
        }
    }

    /// Removes an object. An object that is not there is no error.
    pub async fn remove_object(&self, key: &str) -> Result<(), StoreError> {
        self.delete_async(key).await
    }
}
