//! Senders that prove who they are by a JSON Web Token: in a header, or as the whole body.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderName;
use http::request::Parts;
use sha2::{Digest as _, Sha256};

use crate::clock::Micros;
use crate::signature::jwt::JwtKeys;
use crate::signature::{Encoding, Unsigned};

/// Which tokens are taken.
#[derive(Clone, Debug)]
pub struct Jwt {
    /// The keys that verify them.
    pub keys: JwtKeys,
    /// Where they stand.
    pub place: JwtPlace,
    /// The claims that they must have, each with its value.
    pub claims: Vec<(String, String)>,
    /// The claim with the SHA-256 of the body, where tokens are signed for one body each.
    pub body_hash: Option<String>,
    /// How far clocks may be apart.
    pub tolerance: Duration,
}

/// Where a token stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JwtPlace {
    /// In this header, with or without `Bearer` before it.
    Header(HeaderName),
    /// It is the body; its claims are the event.
    Body,
}

impl Jwt {
    /// Whether the body says nothing about the token, nor the token about the body.
    pub(super) fn is_of_head(&self) -> bool {
        self.body_hash.is_none() && self.place != JwtPlace::Body
    }

    /// Checks a request. Where its body is the token, returns the claims, which are the body from now on.
    pub(super) fn verify(
        &self,
        parts: &Parts,
        body: &[u8],
        now: Micros,
    ) -> Result<Option<Bytes>, Unsigned> {
        let token = match &self.place {
            JwtPlace::Header(name) => {
                let value = parts.headers.get(name).ok_or(Unsigned::Missing)?;
                without_scheme(value.to_str().map_err(|_| Unsigned::Missing)?)
            }
            JwtPlace::Body => std::str::from_utf8(body)
                .map_err(|_| Unsigned::Missing)?
                .trim_ascii(),
        };
        let is_body = self.place == JwtPlace::Body;
        let claims = self.keys.verify(token)?;
        claims.check_time(now, self.tolerance, !is_body)?;
        let mut wanted = self.claims.iter();
        if !wanted.all(|(name, value)| claims.has(name, value)) {
            return Err(Unsigned::Claim);
        }
        if let Some(name) = &self.body_hash {
            let hash = Encoding::Hex.encode(&Sha256::digest(body));
            let is_of_body = claims
                .text_of(name)
                .is_some_and(|text| text.eq_ignore_ascii_case(&hash));
            return is_of_body.then_some(None).ok_or(Unsigned::Invalid);
        }
        Ok(is_body.then(|| claims.into_text().into()))
    }
}

/// A credential without `Bearer` before it.
fn without_scheme(value: &str) -> &str {
    match value.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
        _ => value.trim(),
    }
}
