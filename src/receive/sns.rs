//! Amazon SNS: messages that are signed in their bodies, with a certificate that the message names.
//!
//! Amazon signs the messages of everybody's topics, so a valid signature says nothing unless the topic is one of those
//! that the configuration lists. A message is read with [`SnsMessage`], which refuses a body that has a member twice: what
//! is verified is what is stored.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use serde::Deserialize;

use super::sns_client::SnsClient;
use crate::clock::{Clock, Micros};
use crate::contract::foreign::without_mark;
use crate::rfc3339;
use crate::signature::{Algorithm, Encoding, Unsigned};

/// SNS tries for an hour, and no policy can make it longer.
const LONGEST_DELIVERY: Duration = Duration::from_secs(3600);

/// The topics whose messages a hook takes.
pub struct Topics {
    names: BTreeSet<Box<str>>,
    /// Whether subscriptions to them are confirmed without a person.
    confirm: bool,
    /// How far the time of a message may be from now, beyond the time that a delivery may take.
    tolerance: Duration,
    client: SnsClient,
}

/// A message in the form that SNS sends unless raw delivery is on.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SnsMessage<'m> {
    #[serde(borrow)]
    r#type: Cow<'m, str>,
    #[serde(borrow)]
    message_id: Cow<'m, str>,
    #[serde(borrow)]
    topic_arn: Cow<'m, str>,
    #[serde(borrow, default)]
    subject: Option<Cow<'m, str>>,
    #[serde(borrow)]
    message: Cow<'m, str>,
    #[serde(borrow)]
    timestamp: Cow<'m, str>,
    #[serde(borrow, default)]
    token: Option<Cow<'m, str>>,
    #[serde(rename = "SubscribeURL", borrow, default)]
    subscribe_url: Option<Cow<'m, str>>,
    #[serde(borrow)]
    signature_version: Cow<'m, str>,
    #[serde(borrow)]
    signature: Cow<'m, str>,
    #[serde(rename = "SigningCertURL", borrow)]
    signing_cert_url: Cow<'m, str>,
}

/// Why a message is not admitted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unverified {
    /// It is no message, or is not signed, or not by Amazon.
    #[error(transparent)]
    Unsigned(#[from] Unsigned),
    /// Its topic is none of those that are listed.
    #[error("the message is of a topic that `topics` of this hook does not list")]
    Topic,
    /// Its certificate is not known, and cannot be fetched.
    #[error("the certificate that signs the message cannot be fetched: {0}")]
    NoCertificate(String),
}

impl Topics {
    /// Takes messages of these topics, by their ARNs.
    pub fn new<'n>(
        names: impl Iterator<Item = &'n str>,
        confirm: bool,
        tolerance: Duration,
    ) -> Self {
        Self {
            names: names.map(Box::from).collect(),
            confirm,
            tolerance,
            client: SnsClient::default(),
        }
    }

    /// How many topics there are.
    pub fn count(&self) -> usize {
        self.names.len()
    }

    /// Whether subscriptions are confirmed without a person.
    pub fn confirms(&self) -> bool {
        self.confirm
    }

    /// Checks that Amazon has signed a message of one of the topics, lately. Fetches the certificate if it is not known.
    pub(super) async fn verify(&self, body: &[u8], clock: &Clock) -> Result<(), Unverified> {
        let message = SnsMessage::read(body)?;
        if !self.names.contains(&*message.topic_arn) {
            return Err(Unverified::Topic);
        }
        message.check_time(clock.wall(), self.tolerance)?;
        let (algorithm, signature) = message.claim()?;
        let fetched = self.client.certificate(&message.signing_cert_url, clock);
        let certificate = fetched.await.map_err(Unverified::NoCertificate)?;
        let key = certificate.key(algorithm).ok_or(Unsigned::Invalid)?;
        let is_signed = key.verifies(message.signed()?.as_bytes(), &signature);
        is_signed.then_some(()).ok_or(Unsigned::Invalid.into())
    }

    /// Opens the URL that confirms a subscription. The caller has verified the message that names it.
    pub(super) async fn confirm(&self, url: &str) -> Result<(), String> {
        self.client.open(url).await
    }
}

impl<'m> SnsMessage<'m> {
    fn read(body: &'m [u8]) -> Result<Self, Unsigned> {
        serde_json::from_slice(without_mark(body)).map_err(|_no_message| Unsigned::Missing)
    }

    /// What it claims about its signature.
    fn claim(&self) -> Result<(Algorithm, Vec<u8>), Unsigned> {
        let algorithm = match &*self.signature_version {
            "1" => Algorithm::RsaSha1,
            "2" => Algorithm::RsaSha256,
            _ => return Err(Unsigned::Missing),
        };
        let signature = Encoding::Base64.decode(&self.signature);
        let is_of_sns = is_certificate(&self.signing_cert_url);
        let signature = signature.filter(|bytes| !bytes.is_empty() && is_of_sns);
        Ok((algorithm, signature.ok_or(Unsigned::Missing)?))
    }

    fn check_time(&self, now: Micros, tolerance: Duration) -> Result<(), Unsigned> {
        let sent = rfc3339::parse(&self.timestamp).ok_or(Unsigned::Missing)?;
        let is_near =
            now.minus(tolerance + LONGEST_DELIVERY) <= sent && sent <= now.plus(tolerance);
        is_near.then_some(()).ok_or(Unsigned::Stale)
    }

    /// What is signed: names and values, in the order of the names, each on a line. Which ones depends on the type.
    fn signed(&self) -> Result<String, Unsigned> {
        let absent = None;
        let (subject, url, token) = match &*self.r#type {
            "Notification" => (&self.subject, &absent, &absent),
            "SubscriptionConfirmation" | "UnsubscribeConfirmation" => {
                (&absent, &self.subscribe_url, &self.token)
            }
            _ => return Err(Unsigned::Missing),
        };
        let pairs = [
            ("Message", Some(&self.message)),
            ("MessageId", Some(&self.message_id)),
            ("Subject", subject.as_ref()),
            ("SubscribeURL", url.as_ref()),
            ("Timestamp", Some(&self.timestamp)),
            ("Token", token.as_ref()),
            ("TopicArn", Some(&self.topic_arn)),
            ("Type", Some(&self.r#type)),
        ];
        let mut text = String::new();
        for (name, value) in pairs {
            if let Some(value) = value {
                // Writing to a string cannot fail.
                let _written = writeln!(text, "{name}\n{value}");
            }
        }
        Ok(text)
    }
}

/// Whether a URL is one of SNS itself: everybody's bucket has a host under the same domain.
pub(super) fn is_of_sns(url: &str) -> bool {
    path_at_sns(url).is_some()
}

/// Whether a URL is that of a certificate of SNS: a file of its root directory.
fn is_certificate(url: &str) -> bool {
    let name = path_at_sns(url).and_then(|path| path.strip_suffix(".pem"));
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    name.is_some_and(|name| (1..=128).contains(&name.len()) && name.bytes().all(is_plain))
}

/// What stands behind the host of a URL of SNS.
fn path_at_sns(url: &str) -> Option<&str> {
    let (host, path) = url.strip_prefix("https://sns.")?.split_once('/')?;
    let chinese = host.strip_suffix(".amazonaws.com.cn");
    let region = chinese.or_else(|| host.strip_suffix(".amazonaws.com"))?;
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (!region.is_empty() && region.chars().all(is_plain)).then_some(path)
}

#[cfg(test)]
#[path = "sns_tests.rs"]
mod tests;
