//! Interprets the answers of a store: what they mean for a put, who has to act, and one sentence
//! for messages.
//!
//! The SDK's own description of an error is pages long; it is logged at the level `debug`.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};

use super::super::errors::Trouble;
use super::super::store::{PutAnswer, StoreError};
use super::location::Location;

/// Interprets answers of one store.
pub(super) struct Answers {
    /// Name of the store in messages.
    store: String,
    bucket: String,
    /// The region that requests are signed for.
    region: Option<String>,
}

/// Codes of a 400 which say that the body does not match its checksum.
const DAMAGED: [&str; 4] = [
    "BadDigest",
    "XAmzContentChecksumMismatch",
    "XAmzContentSHA256Mismatch",
    "InvalidDigest",
];

/// Codes of a 400 which say that the store does not support such a request.
const REFUSED: [&str; 4] = [
    "InvalidArgument",
    "InvalidRequest",
    "NotImplemented",
    // moto answers this under Object Lock, because it wants Content-MD5.
    "MissingUploadObjectWithObjectLockHeaders",
];

/// Codes which say that the credentials have expired.
const EXPIRED: [&str; 4] = [
    "ExpiredToken",
    "ExpiredTokenException",
    "TokenRefreshRequired",
    "RequestExpired",
];

/// Codes which say that the store does not know the credentials.
const UNKNOWN: [&str; 6] = [
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "InvalidToken",
    "InvalidClientTokenId",
    "UnrecognizedClientException",
    "InvalidSecurity",
];

/// Codes which say that the bucket is in another region.
const ELSEWHERE: [&str; 5] = [
    "PermanentRedirect",
    "TemporaryRedirect",
    "Redirect",
    "AuthorizationHeaderMalformed",
    "IllegalLocationConstraintException",
];

/// Codes which say that an option of the configuration does not suit this bucket.
const OPTIONS: [&str; 4] = [
    "AccessControlListNotSupported",
    "InvalidStorageClass",
    "InvalidTag",
    "InvalidEncryptionAlgorithmError",
];

impl Answers {
    pub(super) fn new(location: &Location, region: Option<String>) -> Self {
        let store = match &location.endpoint {
            Some(endpoint) => format!("{} (from {})", endpoint.url, endpoint.named_by),
            None => "S3".to_owned(),
        };
        Self {
            store,
            bucket: location.bucket.clone(),
            region,
        }
    }

    /// The answer to a put that an error means; `None` if it is unknown whether the put was
    /// applied.
    pub(super) fn put_answer<E>(&self, error: &SdkError<E>) -> Option<PutAnswer>
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let code = error.code().unwrap_or_default();
        match status_of(error)? {
            // Older MinIO answers 304 to a condition that does not hold.
            412 | 304 => Some(PutAnswer::ConditionFailed),
            400 if DAMAGED.contains(&code) => Some(PutAnswer::Damaged(self.words_of(error))),
            501 => Some(PutAnswer::Refused(self.words_of(error))),
            // 400 is also how stores say that a token has expired or a request has timed out.
            400 if REFUSED.contains(&code) => Some(PutAnswer::Refused(self.words_of(error))),
            _ => None,
        }
    }

    /// Turns an error into one of the lake. It is unknown whether the request was applied.
    pub(super) fn store_error<E>(&self, error: &SdkError<E>) -> StoreError
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        tracing::debug!(error = %DisplayErrorContext(error), "the store answered with an error");
        StoreError {
            kind: self.kind_of(error),
            message: self.words_of(error),
        }
    }

    #[allow(clippy::match_same_arms, reason = "the first arm that fits decides")]
    fn kind_of<E>(&self, error: &SdkError<E>) -> Trouble
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let code = error.code().unwrap_or_default();
        let status = status_of(error);
        match (error, status) {
            _ if is_timeout(error) => Trouble::Timeout,
            _ if lacks_credentials(error) => Trouble::Denied,
            (SdkError::DispatchFailure(failure), _) if failure.is_user() => Trouble::Other,
            // The connection was refused, reset, or closed without an answer.
            (SdkError::DispatchFailure(_), _) => Trouble::Network,
            _ if self.other_region(error).is_some() || ELSEWHERE.contains(&code) => Trouble::Region,
            (_, Some(301 | 307 | 308)) => Trouble::Region,
            _ if EXPIRED.contains(&code) || UNKNOWN.contains(&code) => Trouble::Denied,
            _ if OPTIONS.contains(&code) => Trouble::Refused,
            _ if code.starts_with("KMS.") => Trouble::Denied,
            (_, Some(429 | 503)) if is_throttling(status, code) => Trouble::Throttled,
            (_, Some(401 | 403)) => Trouble::Denied,
            (_, Some(400)) if code.is_empty() => Trouble::Denied,
            (_, Some(404)) => Trouble::Missing,
            (_, Some(500..=599)) => Trouble::Server,
            (SdkError::ResponseError(_), _) => Trouble::Network,
            _ => Trouble::Other,
        }
    }

    /// What the store says and what the operator can do, in one sentence.
    fn words_of<E>(&self, error: &SdkError<E>) -> String
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        if lacks_credentials(error) {
            let cause = innermost(error);
            return format!(
                "no credentials for {}: {cause}; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a \
                 profile in ~/.aws, or a role",
                self.store
            );
        }
        let code = error.code();
        let words = match (code, error.message(), status_of(error)) {
            (Some(code), Some(message), _) => format!("{code}: {message}"),
            (Some(code), None, _) => code.to_owned(),
            (None, _, Some(_)) if !matches!(error, SdkError::ResponseError(_)) => {
                format!("{} gives no reason", self.store)
            }
            (None, ..) => format!("no answer from {}: {}", self.store, innermost(error)),
        };
        let status = status_of(error);
        let number = status.map_or_else(String::new, |status| format!(" (status {status})"));
        let advice = self.advice(error, code.unwrap_or_default(), status);
        format!("{words}{number}{advice}")
    }

    /// What an operator can do about an error; empty if nothing is known.
    fn advice<E>(&self, error: &SdkError<E>, code: &str, status: Option<u16>) -> String
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let is_redirect = matches!(status, Some(301 | 307 | 308));
        let advice = match code {
            _ if self.other_region(error).is_some() => {
                let region = self.other_region(error).unwrap_or_default();
                let ours = self.region.as_deref().unwrap_or("no region");
                return format!(
                    "; the bucket {} is in {region}, and requests are signed for {ours}: set \
                     lake.region = \"{region}\"",
                    self.bucket
                );
            }
            _ if ELSEWHERE.contains(&code) || is_redirect => {
                "set lake.region to the region of the bucket"
            }
            _ if EXPIRED.contains(&code) => {
                "the credentials have expired: renew them, and they are read again without a restart"
            }
            _ if UNKNOWN.contains(&code) => {
                "check the access key, its secret and the endpoint; a changed file of credentials is read \
                 again without a restart"
            }
            "RequestTimeTooSkewed" => "set the clock of this machine",
            _ if OPTIONS.contains(&code) => {
                "change lake.acl, lake.storage_class, lake.tags or the encryption in [lake]"
            }
            "NoSuchBucket" => "create the bucket, or correct lake.url",
            _ if code.starts_with("KMS.") => {
                "grant the use of the key (kms:GenerateDataKey and kms:Decrypt), or correct lake.kms_key_id"
            }
            _ if matches!(status, Some(401 | 403)) => {
                "grant what deploy/iam-policy.json lists, and check the credentials"
            }
            "" if status == Some(400) => {
                "expired credentials and a wrong region are answered like this: check both"
            }
            _ => return String::new(),
        };
        format!("; {advice}")
    }

    /// The region that the bucket is in, if requests are signed for another one.
    fn other_region<'a, E>(&self, error: &'a SdkError<E>) -> Option<&'a str> {
        let answer = error.raw_response()?;
        // Stores send the header with other answers too, which have other causes.
        if !matches!(status_of(error)?, 301 | 307 | 308 | 400) {
            return None;
        }
        let region = answer.headers().get("x-amz-bucket-region")?;
        (Some(region) != self.region.as_deref()).then_some(region)
    }
}

/// Whether wrong credentials may be the cause of an error.
pub(super) fn blames_credentials<E>(error: &SdkError<E>) -> bool
where
    E: ProvideErrorMetadata + Error + 'static,
{
    match error.code() {
        Some(code) => EXPIRED.contains(&code) || UNKNOWN.contains(&code),
        // The answer to a HEAD has no body that could name a code.
        None => matches!(status_of(error), Some(400 | 401 | 403)),
    }
}

/// The status of an answer, if there was one.
pub(super) fn status_of<E>(error: &SdkError<E>) -> Option<u16> {
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

/// Whether the store asks for fewer requests. A status of 503 alone does not say so, because stores
/// also send it when they are down.
fn is_throttling(status: Option<u16>, code: &str) -> bool {
    status == Some(429) || code.contains("SlowDown") || code.contains("Throttl")
}

/// Whether nothing was sent because there were no credentials.
fn lacks_credentials<E: Error + 'static>(error: &SdkError<E>) -> bool {
    causes(error).any(<dyn Error>::is::<CredentialsError>)
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// The innermost cause of an error; the outer ones only say that something failed.
fn innermost<E: Error + 'static>(error: &SdkError<E>) -> String {
    let cause = causes(error).last().map(ToString::to_string);
    let cause = cause.unwrap_or_default();
    // The SDK lists its attempts in the lines that follow.
    let first = cause.lines().next().unwrap_or_default();
    first
        .trim_end_matches(" Attempted:")
        .trim_end_matches('.')
        .to_owned()
}
