//! S3 and compatible stores, through the AWS SDK: region and credentials come from the same places
//! as in every AWS tool.
//!
//! It sends single requests, never multipart uploads. It does not retry: the commit protocol asks
//! again, for ever, and looks at what is there in between. Each put carries the checksum that the
//! protocol asks for in a plain header; the SDK's own, a trailer in chunks, is refused by many
//! compatible stores.

use std::io::Write;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{RequestChecksumCalculation, ResponseChecksumValidation};
use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::put_object::PutObjectError;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::ChecksumMode;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use tokio::runtime::Handle;

use super::errors::Trouble;
use super::store::{
    Body, BodyCheck, Condition, Evidence, Head, ObjectStore, Put, PutAnswer, StoreError,
};

/// Where a bucket is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// Name of the bucket.
    pub bucket: String,
    /// Prefix of all keys, without slashes at its ends; may be empty.
    pub prefix: String,
    /// URL of a compatible store; `None` for AWS.
    pub endpoint: Option<String>,
    /// Overrides the region of the environment.
    pub region: Option<String>,
    /// Whether the bucket is in the path instead of the host name; by default only if an endpoint
    /// is set.
    pub path_style: Option<bool>,
    /// Key for server-side encryption by KMS.
    pub kms_key_id: Option<String>,
}

/// Longest time for an answer, once everything was sent.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
/// An upload that is slower than this, in bytes per second, is given up.
const SLOWEST_UPLOAD: u64 = 32 << 10;

/// Client of a bucket.
pub struct S3 {
    client: Client,
    location: Location,
    runtime: Handle,
}

impl S3 {
    /// Makes a client without connecting; reads configuration and credentials as AWS tools do.
    /// Calls of the store block, so they must come from threads outside the runtime.
    pub async fn new(location: Location, runtime: Handle) -> Self {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(5))
            .build();
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts);
        if let Some(region) = &location.region {
            loader = loader.region(Region::new(region.clone()));
        } else if location.endpoint.is_some() && std::env::var_os("AWS_REGION").is_none() {
            // Most compatible stores ignore the region, but the SDK requires one.
            loader = loader.region(
                aws_config::meta::region::RegionProviderChain::default_provider()
                    .or_else(Region::new("us-east-1")),
            );
        }
        let shared = loader.load().await;
        let mut config = aws_sdk_s3::config::Builder::from(&shared)
            .force_path_style(location.path_style.unwrap_or(location.endpoint.is_some()));
        if let Some(endpoint) = &location.endpoint {
            config = config.endpoint_url(endpoint);
            // The SDK's default is a trailing checksum in chunks, which many stores refuse.
            if std::env::var_os("AWS_REQUEST_CHECKSUM_CALCULATION").is_none() {
                config = config
                    .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
                    .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
            }
        }
        Self {
            client: Client::from_conf(config.build()),
            location,
            runtime,
        }
    }

    fn full_key(&self, key: &str) -> String {
        match self.location.prefix.as_str() {
            "" => key.to_owned(),
            prefix => format!("{prefix}/{key}"),
        }
    }

    async fn put_async(&self, put: &Put<'_>) -> Result<PutAnswer, StoreError> {
        let body = match put.body {
            Body::Bytes(bytes) => ByteStream::from_static(bytes),
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
        let mut request = self
            .client
            .put_object()
            .bucket(&self.location.bucket)
            .key(self.full_key(put.key))
            .content_type(put.content_type)
            .set_metadata(Some(put.metadata.clone().into_iter().collect()))
            .body(body);
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
        if let Some(key) = &self.location.kms_key_id {
            request = request
                .server_side_encryption(aws_sdk_s3::types::ServerSideEncryption::AwsKms)
                .ssekms_key_id(key);
        }
        // The SDK's own read timeout would count from the beginning of the upload.
        let upload = Duration::from_secs(put.body.bytes() / SLOWEST_UPLOAD);
        match within(upload + ANSWER_LIMIT, Box::pin(request.send())).await? {
            Ok(answer) => Ok(PutAnswer::Stored(evidence(
                answer.e_tag(),
                answer.checksum_crc32_c(),
            ))),
            Err(error) => judge_put(&error),
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
                _ => Err(store_error(&error)),
            },
        }
    }

    /// Keys below a prefix, relative to the lake, in order; at most about `max`.
    pub async fn list(&self, prefix: &str, max: usize) -> Result<Vec<String>, StoreError> {
        let own = self.full_key("");
        let mut keys = Vec::new();
        let mut token = None;
        loop {
            let request = self
                .client
                .list_objects_v2()
                .bucket(&self.location.bucket)
                .prefix(self.full_key(prefix))
                .set_continuation_token(token.take());
            let answer = within(ANSWER_LIMIT, request.send()).await?;
            let answer = answer.map_err(|error| store_error(&error))?;
            let listed = answer.contents().iter().filter_map(|object| object.key());
            keys.extend(listed.filter_map(|key| Some(key.strip_prefix(&own)?.to_owned())));
            token = answer.next_continuation_token().map(str::to_owned);
            if token.is_none() || keys.len() >= max {
                return Ok(keys);
            }
        }
    }

    pub(crate) async fn get_async(
        &self,
        key: &str,
        out: &mut dyn Write,
    ) -> Result<bool, StoreError> {
        let request = self
            .client
            .get_object()
            .bucket(&self.location.bucket)
            .key(self.full_key(key));
        let mut body = match within(ANSWER_LIMIT, request.send()).await? {
            Ok(answer) => answer.body,
            Err(error) if status_of(&error) == Some(404) => return Ok(false),
            Err(error) => return Err(store_error(&error)),
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
}

fn judge_put(error: &SdkError<PutObjectError>) -> Result<PutAnswer, StoreError> {
    let code = error.code().unwrap_or_default();
    match status_of(error) {
        // Older MinIO answers 304 to a condition that does not hold.
        Some(412 | 304) => Ok(PutAnswer::ConditionFailed),
        Some(400) if DAMAGED.contains(&code) => Ok(PutAnswer::Damaged(words_of(error))),
        Some(501) => Ok(PutAnswer::Refused(words_of(error))),
        // 400 is also how stores say that a token has expired or a request has timed out.
        Some(400) if REFUSED.contains(&code) => Ok(PutAnswer::Refused(words_of(error))),
        _ => Err(store_error(error)),
    }
}

/// Codes of a 400 which say that the body does not match its checksum.
const DAMAGED: [&str; 4] = [
    "BadDigest",
    "XAmzContentChecksumMismatch",
    "XAmzContentSHA256Mismatch",
    "InvalidDigest",
];

/// Codes of a 400 which say that the store does not support such a request.
const REFUSED: [&str; 3] = ["InvalidArgument", "InvalidRequest", "NotImplemented"];

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

fn status_of<E>(error: &SdkError<E>) -> Option<u16> {
    error
        .raw_response()
        .map(|response| response.status().as_u16())
}

fn is_timeout<E>(error: &SdkError<E>) -> bool {
    match error {
        SdkError::TimeoutError(_) => true,
        SdkError::DispatchFailure(failure) => failure.is_timeout(),
        _ => false,
    }
}

/// Awaits a request for at most `limit`.
async fn within<T>(limit: Duration, request: impl Future<Output = T>) -> Result<T, StoreError> {
    tokio::time::timeout(limit, request)
        .await
        .map_err(|_elapsed| StoreError {
            kind: Trouble::Timeout,
            message: format!("no answer within {} s", limit.as_secs()),
        })
}

/// Whether the store asks for fewer requests. The code is needed too, because stores also send 503
/// when they are down.
fn is_throttling(status: Option<u16>, code: &str) -> bool {
    status == Some(429) || code.contains("SlowDown") || code.contains("Throttl")
}

#[allow(clippy::match_same_arms, reason = "the first arm that fits decides")]
fn store_error<E>(error: &SdkError<E>) -> StoreError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let code = error.code().unwrap_or_default();
    let kind = match (error, status_of(error)) {
        _ if is_timeout(error) => Trouble::Timeout,
        // Without credentials the SDK sends nothing.
        (SdkError::DispatchFailure(failure), _) if failure.is_io() => Trouble::Network,
        (SdkError::DispatchFailure(_), _) => Trouble::Denied,
        (_, Some(429 | 503)) if is_throttling(status_of(error), code) => Trouble::Throttled,
        (_, Some(401 | 403)) => Trouble::Denied,
        (_, Some(404)) => Trouble::Missing,
        (_, Some(500..=599)) => Trouble::Server,
        (SdkError::ResponseError(_), _) => Trouble::Network,
        _ => Trouble::Other,
    };
    StoreError {
        kind,
        message: words_of(error),
    }
}

/// The code and message of the store, if it sent any; the whole error would be pages long.
fn words_of<E>(error: &SdkError<E>) -> String
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let words = match (error.code(), error.message()) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => code.to_owned(),
        (None, _) => DisplayErrorContext(error).to_string(),
    };
    let status = status_of(error).map_or_else(String::new, |status| format!(" (status {status})"));
    words + &status
}
