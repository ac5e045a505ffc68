//! The client of a bucket, with the requests that the lake needs.

use std::io::Write;
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumMode, Object};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use tokio::runtime::Handle;

use super::super::errors::Trouble;
use super::super::store::{
    Body, BodyCheck, Condition, Evidence, Head, ObjectStore, Put, PutAnswer, StoreError,
};
use super::answers::{Answers, blames_credentials, status_of};
use super::aside::read_aside;
use super::credentials::Reloading;
use super::location::Location;
use super::settings::Settings;
use super::upload::{Progress, STANDSTILL};

/// Longest time for an answer, once everything was sent.
pub(crate) const ANSWER_LIMIT: Duration = STANDSTILL;

/// Client of a bucket.
pub struct S3 {
    pub(crate) client: Client,
    credentials: Reloading,
    answers: Answers,
    pub(crate) location: Location,
    pub(super) runtime: Handle,
}

impl S3 {
    /// Makes a client without connecting; reads configuration and credentials as AWS tools do.
    /// Calls of the store block, so they must come from threads outside the runtime.
    pub async fn new(location: Location, runtime: Handle) -> Self {
        let settings = Settings::of(&location).await;
        Self {
            client: settings.client,
            credentials: settings.credentials,
            answers: Answers::new(&location, settings.region),
            location,
            runtime,
        }
    }

    /// Turns an error into one of the lake. Credentials that were refused are read again for the
    /// next request.
    pub(crate) fn failed<E>(&self, error: &SdkError<E>) -> StoreError
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        if blames_credentials(error) {
            self.credentials.refused();
        }
        self.answers.store_error(error)
    }

    pub(crate) fn full_key(&self, key: &str) -> String {
        match self.location.prefix.as_str() {
            "" => key.to_owned(),
            prefix => format!("{prefix}/{key}"),
        }
    }

    async fn put_async(&self, put: &Put<'_>) -> Result<PutAnswer, StoreError> {
        let body = match put.body {
            Body::Bytes(bytes) => ByteStream::from(bytes.to_vec()),
            Body::Assembled(assembled, bytes) => read_aside(assembled, bytes),
            Body::File(path, bytes) => ByteStream::read_from()
                .path(path)
                .length(aws_sdk_s3::primitives::Length::Exact(bytes))
                .build()
                .await
                .map_err(|error| StoreError {
                    kind: Trouble::Other,
                    message: format!("failed to read {}: {error}", path.display()),
                })?,
        };
        let progress = Progress::default();
        let mut request = self
            .client
            .put_object()
            .bucket(&self.location.bucket)
            .key(self.full_key(put.key))
            .content_type(put.content_type)
            .set_metadata(Some(put.metadata.clone().into_iter().collect()))
            .body(progress.of(body));
        request = match put.condition {
            Condition::Always => request,
            Condition::IfAbsent => request.if_none_match("*"),
            Condition::IfMatch(etag) => request.if_match(format!("\"{etag}\"")),
        };
        request = match put.check {
            BodyCheck::Crc32c(crc) => {
                request.checksum_crc32_c(BASE64_STANDARD.encode(crc.to_be_bytes()))
            }
            BodyCheck::Md5(md5) => request.content_md5(BASE64_STANDARD.encode(md5)),
            BodyCheck::Absent => request,
        };
        request = self.location.options.apply(request);
        let request = request.customize().interceptor(progress.clone());
        let answer = progress.guard(Box::pin(request.send())).await;
        match answer.map_err(|error| late(error.to_string()))? {
            Ok(answer) => Ok(PutAnswer::Stored(evidence(
                answer.e_tag(),
                answer.checksum_crc32_c(),
            ))),
            Err(error) => match self.answers.put_answer(&error) {
                Some(answer) => Ok(answer),
                None => Err(self.failed(&error)),
            },
        }
    }

    /// What the store says of an object; `None` if there is none. For callers on a runtime.
    pub async fn head_async(&self, key: &str) -> Result<Option<Head>, StoreError> {
        match self.head_once(key, true).await {
            // With KMS the checksum needs the right to decrypt, which the rest does not need.
            Err(error) if error.kind == Trouble::Denied => self.head_once(key, false).await,
            answer => answer,
        }
    }

    async fn head_once(&self, key: &str, checksum: bool) -> Result<Option<Head>, StoreError> {
        let request = self
            .client
            .head_object()
            .bucket(&self.location.bucket)
            .key(self.full_key(key))
            .set_request_payer(self.location.options.payer())
            .set_checksum_mode(checksum.then_some(ChecksumMode::Enabled));
        match within(ANSWER_LIMIT, request.send()).await? {
            Ok(answer) => Ok(Some(Head {
                bytes: u64::try_from(answer.content_length().unwrap_or(0)).unwrap_or(0),
                evidence: evidence(answer.e_tag(), answer.checksum_crc32_c()),
                metadata: answer.metadata.unwrap_or_default().into_iter().collect(),
            })),
            Err(error) => match status_of(&error) {
                // A HEAD has no body that could distinguish a missing key from a missing bucket;
                // the put that follows does.
                Some(404) => Ok(None),
                // The request is repeated without the checksum, and that answer counts.
                _ if checksum => Err(self.answers.store_error(&error)),
                _ => Err(self.failed(&error)),
            },
        }
    }

    /// Keys below a prefix, relative to the lake, in order; at most about `max`.
    pub async fn list(&self, prefix: &str, max: usize) -> Result<Vec<String>, StoreError> {
        let listed = self.list_sizes(prefix, max).await?;
        Ok(listed.into_iter().map(|(key, _)| key).collect())
    }

    /// The same, with the size of each object in bytes.
    pub async fn list_sizes(
        &self,
        prefix: &str,
        max: usize,
    ) -> Result<Vec<(String, u64)>, StoreError> {
        self.list_after(prefix, None, max).await
    }

    async fn list_after(
        &self,
        prefix: &str,
        after: Option<&str>,
        max: usize,
    ) -> Result<Vec<(String, u64)>, StoreError> {
        let take = |object: &Object, key: String| {
            Some((key, object.size().unwrap_or(0).max(0).unsigned_abs()))
        };
        self.listed(prefix, after, max, take).await
    }

    /// What `take` makes of each object below a prefix and its key, in the order of keys; at most about `max`.
    pub(super) async fn listed<T>(
        &self,
        prefix: &str,
        after: Option<&str>,
        max: usize,
        take: impl Fn(&Object, String) -> Option<T>,
    ) -> Result<Vec<T>, StoreError> {
        let own = self.full_key("");
        let mut found = Vec::new();
        let mut token = None;
        loop {
            let request = self
                .client
                .list_objects_v2()
                .bucket(&self.location.bucket)
                .prefix(self.full_key(prefix))
                .set_start_after(after.map(|key| self.full_key(key)))
                .set_request_payer(self.location.options.payer())
                .set_continuation_token(token.take());
            let answer = within(ANSWER_LIMIT, request.send()).await?;
            let answer = answer.map_err(|error| self.failed(&error))?;
            found.extend(answer.contents().iter().filter_map(|object| {
                let key = object.key()?.strip_prefix(&own)?.to_owned();
                take(object, key)
            }));
            token = answer.next_continuation_token().map(str::to_owned);
            if token.is_none() || found.len() >= max {
                return Ok(found);
            }
        }
    }

    pub(crate) async fn get_async(
        &self,
        key: &str,
        out: &mut (impl Write + ?Sized),
    ) -> Result<bool, StoreError> {
        let request = self
            .client
            .get_object()
            .bucket(&self.location.bucket)
            .set_request_payer(self.location.options.payer())
            .key(self.full_key(key));
        let mut body = match within(ANSWER_LIMIT, request.send()).await? {
            Ok(answer) => answer.body,
            Err(error) if status_of(&error) == Some(404) => return Ok(false),
            Err(error) => return Err(self.failed(&error)),
        };
        let broken = |message: String| StoreError {
            kind: Trouble::Network,
            message,
        };
        while let Some(chunk) = within(ANSWER_LIMIT, body.try_next())
            .await?
            .map_err(|error| broken(error.to_string()))?
        {
            out.write_all(&chunk).map_err(|e| broken(e.to_string()))?;
        }
        Ok(true)
    }
}

impl S3 {
    pub(super) async fn delete_async(&self, key: &str) -> Result<(), StoreError> {
        let request = self
            .client
            .delete_object()
            .bucket(&self.location.bucket)
            .set_request_payer(self.location.options.payer())
            .key(self.full_key(key));
        match within(ANSWER_LIMIT, request.send()).await? {
            Ok(_) => Ok(()),
            // Some stores answer like this if there is no such object.
            Err(error) if error.code() == Some("NoSuchKey") => Ok(()),
            Err(error) => Err(self.failed(&error)),
        }
    }
}

impl ObjectStore for S3 {
    fn put(&self, put: &Put<'_>) -> Result<PutAnswer, StoreError> {
        self.runtime.block_on(self.put_async(put))
    }

    fn head(&self, key: &str) -> Result<Option<Head>, StoreError> {
        self.runtime.block_on(self.head_async(key))
    }

    fn get(&self, key: &str, out: &mut dyn Write) -> Result<bool, StoreError> {
        self.runtime.block_on(self.get_async(key, out))
    }

    fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.runtime.block_on(self.delete_async(key))
    }

    fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<String>, StoreError> {
        let listed = self.list_after(prefix, after, usize::MAX);
        let listed = self.runtime.block_on(listed)?;
        Ok(listed.into_iter().map(|(key, _)| key).collect())
    }
}

/// What an answer says of the stored bytes. A checksum of parts ("…-2") is not one of the object.
fn evidence(etag: Option<&str>, crc: Option<&str>) -> Evidence {
    let crc = crc.and_then(|crc| BASE64_STANDARD.decode(crc).ok());
    let etag = etag.map(|etag| etag.trim_start_matches("W/").trim_matches('"').to_owned());
    Evidence {
        etag: etag.filter(|etag| !etag.is_empty()),
        crc: crc
            .and_then(|crc| crc.try_into().ok())
            .map(u32::from_be_bytes),
    }
}

/// Awaits a request for at most `limit`.
pub(crate) async fn within<T>(
    limit: Duration,
    request: impl Future<Output = T>,
) -> Result<T, StoreError> {
    tokio::time::timeout(limit, request)
        .await
        .map_err(|_elapsed| late(format!("no answer within {} s", limit.as_secs())))
}

fn late(message: String) -> StoreError {
    StoreError {
        kind: Trouble::Timeout,
        message,
    }
}
