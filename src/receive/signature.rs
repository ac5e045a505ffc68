//! Signatures of senders: HMAC-SHA256 over the body as it was sent.
//!
//! Every secret is tried, and each comparison takes constant time. A body that passes becomes an
//! [`Admitted`]; only such bodies reach a contract.

use std::time::Duration;

use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::HeaderMap;
use sha2::Sha256;

use super::scheme::{Claim, Scheme, Unsigned};
use crate::clock::Micros;

/// A scheme with its secrets; it admits requests that are signed with any of them.
#[derive(Clone)]
pub struct Signing {
    scheme: Scheme,
    keys: Vec<Box<[u8]>>,
    tolerance: Duration,
}

/// A body that may be stored: its sender was authenticated, or no signature is needed.
#[derive(Clone, Debug)]
pub struct Admitted(Bytes);

impl Admitted {
    /// Admits a body where no signature is needed.
    pub(super) fn unsigned(body: Bytes) -> Self {
        Self(body)
    }

    /// Decompresses the body. The result is admitted too, because it has the same sender.
    pub(super) fn inflated<E>(
        &self,
        inflate: impl FnOnce(Bytes) -> Result<Bytes, E>,
    ) -> Result<Self, E> {
        inflate(self.0.clone()).map(Self)
    }

    /// The bytes of the body.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Signing {
    /// Uses these secrets. A secret that cannot be a key admits nothing; the checks of the configuration
    /// refuse it.
    pub fn new<'s>(
        scheme: Scheme,
        secrets: impl Iterator<Item = &'s str>,
        tolerance: Duration,
    ) -> Self {
        let keys = secrets.filter_map(|secret| scheme.key_of(secret)).collect();
        Self {
            scheme,
            keys,
            tolerance,
        }
    }

    /// The header that holds the signature, or one of several that may.
    pub fn header(&self) -> &str {
        self.scheme.header()
    }

    /// Admits the body if one of its signatures is valid now.
    pub fn admit(
        &self,
        headers: &HeaderMap,
        body: Bytes,
        now: Micros,
    ) -> Result<Admitted, Unsigned> {
        let claim = self.scheme.claim(headers)?;
        if let Some(time) = claim.time {
            self.check_time(time, now)?;
        }
        if claim.signatures.is_empty() {
            return Err(Unsigned::Missing);
        }
        if self.is_valid(&claim, &body) {
            Ok(Admitted(body))
        } else {
            Err(Unsigned::Invalid)
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

    /// Whether one of the signatures was made with one of the secrets.
    fn is_valid(&self, claim: &Claim<'_>, body: &[u8]) -> bool {
        let mut found = false;
        for key in &self.keys {
            let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
                continue;
            };
            for part in claim.before {
                mac.update(part);
            }
            mac.update(body);
            for signature in &claim.signatures {
                found |= mac.clone().verify_slice(signature).is_ok();
            }
        }
        found
    }
}

#[cfg(test)]
#[path = "signature_tests.rs"]
mod tests;
