//! Signatures of senders: HMAC over the raw body, by the schemes of Standard Webhooks and of providers.
//!
//! Every secret is tried, and each comparison takes constant time. What passed is [`Admitted`], and nothing
//! else reaches a contract.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::HeaderMap;
use sha2::Sha256;

use crate::clock::Micros;

/// A header with signatures is looked at so far: a sender must not make us compute without end.
const MAX_SIGNATURES: usize = 8;

/// How a sender signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Standard Webhooks, `v1` (and Svix, which sends the same under other names).
    Standard,
    /// `X-Hub-Signature-256: sha256=<hex>`.
    GitHub,
    /// `Stripe-Signature: t=<seconds>,v1=<hex>`.
    Stripe,
    /// `X-Shopify-Hmac-SHA256: <base64>`.
    Shopify,
    /// `X-Slack-Signature: v0=<hex>` with `X-Slack-Request-Timestamp`.
    Slack,
    /// HMAC-SHA256 of the body in a header of one's own.
    Plain {
        /// The header, in lower case.
        header: String,
        /// What stands before the signature, such as `sha256=`.
        prefix: String,
        /// Base64, otherwise hexadecimal.
        is_base64: bool,
    },
}

/// Who may send: whoever has one of these secrets.
#[derive(Clone)]
pub struct Signing {
    scheme: Scheme,
    keys: Vec<Box<[u8]>>,
    tolerance: Duration,
}

/// Why a request is not admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsigned {
    /// A header is missing or is not of its form.
    #[error("the signature's headers are missing or malformed")]
    Missing,
    /// The time that was signed is too far from now.
    #[error("the signature's time is outside the tolerance; is a clock wrong?")]
    Stale,
    /// No signature is of one of the secrets.
    #[error("no signature of the body is valid")]
    Invalid,
}

/// A body that may be looked at: its sender was authenticated, or need not be.
#[derive(Clone, Debug)]
pub struct Admitted(Bytes);

impl Admitted {
    /// Where nobody signs: whoever got here may send.
    pub(super) fn unsigned(body: Bytes) -> Self {
        Self(body)
    }

    /// Decompressed, it is the same sender's.
    pub(super) fn inflated<E>(
        &self,
        inflate: impl FnOnce(Bytes) -> Result<Bytes, E>,
    ) -> Result<Self, E> {
        inflate(self.0.clone()).map(Self)
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Scheme {
    /// The header that holds the signature, or one of those that may.
    pub fn header(&self) -> &str {
        match self {
            Self::Standard => "webhook-signature",
            Self::GitHub => "x-hub-signature-256",
            Self::Stripe => "stripe-signature",
            Self::Shopify => "x-shopify-hmac-sha256",
            Self::Slack => "x-slack-signature",
            Self::Plain { header, .. } => header,
        }
    }
}

impl Signing {
    /// The header that holds the signature.
    pub fn header(&self) -> &str {
        self.scheme.header()
    }

    /// With these secrets. One that cannot be a key, which the configuration's checks refuse, opens nothing.
    pub fn new<'s>(
        scheme: Scheme,
        secrets: impl Iterator<Item = &'s str>,
        tolerance: Duration,
    ) -> Self {
        let keys = secrets.filter_map(|secret| key_of(&scheme, secret));
        let keys = keys.collect();
        Self {
            scheme,
            keys,
            tolerance,
        }
    }

    /// The body, if one of its signatures is valid now.
    pub fn admit(
        &self,
        headers: &HeaderMap,
        body: Bytes,
        now: Micros,
    ) -> Result<Admitted, Unsigned> {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let found = match &self.scheme {
            Scheme::Standard => {
                let either = |name: &str| {
                    header(&format!("webhook-{name}")).or_else(|| header(&format!("svix-{name}")))
                };
                let parts = either("id")
                    .zip(either("timestamp"))
                    .zip(either("signature"));
                let ((id, time), list) = parts.ok_or(Unsigned::Missing)?;
                // It separates what is signed: an id that holds one could end elsewhere.
                if id.contains('.') {
                    return Err(Unsigned::Missing);
                }
                self.check_time(time, now)?;
                let list = list.split(' ').filter_map(|one| one.strip_prefix("v1,"));
                self.matches(
                    &[id.as_bytes(), b".", time.as_bytes(), b".", &body],
                    list,
                    of_base64,
                )
            }
            Scheme::GitHub => {
                let list = header("x-hub-signature-256").ok_or(Unsigned::Missing)?;
                let list = list.strip_prefix("sha256=").into_iter();
                self.matches(&[&body], list, of_hex)
            }
            Scheme::Stripe => {
                let list = header("stripe-signature").ok_or(Unsigned::Missing)?;
                let pairs = || {
                    list.split(',')
                        .filter_map(|pair| pair.trim().split_once('='))
                };
                let time = pairs().find(|(name, _)| *name == "t");
                let (_, time) = time.ok_or(Unsigned::Missing)?;
                self.check_time(time, now)?;
                let list = pairs()
                    .filter(|(name, _)| *name == "v1")
                    .map(|(_, value)| value);
                self.matches(&[time.as_bytes(), b".", &body], list, of_hex)
            }
            Scheme::Shopify => {
                let list = header("x-shopify-hmac-sha256").into_iter();
                self.matches(&[&body], list, of_base64)
            }
            Scheme::Slack => {
                let time = header("x-slack-request-timestamp").ok_or(Unsigned::Missing)?;
                let list = header("x-slack-signature").ok_or(Unsigned::Missing)?;
                self.check_time(time, now)?;
                let list = list.strip_prefix("v0=").into_iter();
                self.matches(&[b"v0:", time.as_bytes(), b":", &body], list, of_hex)
            }
            Scheme::Plain {
                header: name,
                prefix,
                is_base64,
            } => {
                let list = header(name).and_then(|value| value.strip_prefix(prefix.as_str()));
                let decode = if *is_base64 { of_base64 } else { of_hex };
                self.matches(&[&body], list.into_iter(), decode)
            }
        };
        match found {
            None => Err(Unsigned::Missing),
            Some(false) => Err(Unsigned::Invalid),
            Some(true) => Ok(Admitted(body)),
        }
    }

    fn check_time(&self, seconds: &str, now: Micros) -> Result<(), Unsigned> {
        let is_number = !seconds.is_empty() && seconds.bytes().all(|byte| byte.is_ascii_digit());
        let signed: i64 = seconds.parse().map_err(|_| Unsigned::Missing)?;
        let apart = (now.0 / 1_000_000).abs_diff(signed);
        match (is_number, apart <= self.tolerance.as_secs()) {
            (false, _) => Err(Unsigned::Missing),
            (true, false) => Err(Unsigned::Stale),
            (true, true) => Ok(()),
        }
    }

    /// Whether one of the signatures is that of a secret; `None` if there is none to look at.
    fn matches<'h>(
        &self,
        signed: &[&[u8]],
        signatures: impl Iterator<Item = &'h str>,
        decode: fn(&str) -> Option<Vec<u8>>,
    ) -> Option<bool> {
        let given: Vec<Vec<u8>> = signatures.take(MAX_SIGNATURES).filter_map(decode).collect();
        if given.is_empty() {
            return None;
        }
        let mut found = false;
        for key in &self.keys {
            let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
                continue;
            };
            for part in signed {
                mac.update(part);
            }
            for signature in &given {
                found |= mac.clone().verify_slice(signature).is_ok();
            }
        }
        Some(found)
    }
}

/// The key that a secret stands for: those of Standard Webhooks are base64, all others as they are.
pub fn key_of(scheme: &Scheme, secret: &str) -> Option<Box<[u8]>> {
    let key = match scheme {
        Scheme::Standard => BASE64
            .decode(secret.strip_prefix("whsec_").unwrap_or(secret))
            .ok()?,
        _ => secret.as_bytes().to_vec(),
    };
    (!key.is_empty()).then(|| key.into())
}

fn of_base64(text: &str) -> Option<Vec<u8>> {
    BASE64.decode(text.trim()).ok()
}

fn of_hex(text: &str) -> Option<Vec<u8>> {
    let text = text.trim();
    let is_hex = text.len().is_multiple_of(2) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let pair = |at: usize| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
    is_hex.then(|| (0..text.len()).step_by(2).map(pair).collect::<Option<_>>())?
}

#[cfg(test)]
#[path = "signature_tests.rs"]
mod tests;
