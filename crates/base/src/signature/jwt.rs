//! JSON Web Tokens (RFC 7519) as senders sign them, in the compact form of RFC 7515: three parts with points between.
//!
//! A key verifies one algorithm, and a token cannot choose another: `none` is none, and a public key is never taken for a
//! shared secret.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::algorithm::{Algorithm, SigningKey};
use super::encoding::Encoding;
use super::scheme::Unsigned;
use crate::clock::Micros;

/// More keys than any issuer has at a time; this bounds the work for one request.
const MAX_KEYS: usize = 32;
/// Shared secrets.
const HS256: &str = "HS256";
/// RSA, PKCS #1 v1.5.
const RS256: &str = "RS256";
/// ECDSA on P-256.
const ES256: &str = "ES256";

/// Keys that verify tokens.
#[derive(Clone, Debug)]
pub struct JwtKeys(Vec<JwtKey>);

#[derive(Clone, Debug)]
struct JwtKey {
    id: Option<String>,
    algorithm: &'static str,
    key: SigningKey,
}

/// Why a text holds no keys.
#[derive(Debug, thiserror::Error)]
pub enum JwtKeysError {
    /// It is not of that form.
    #[error("it is no set of JSON Web Keys, {{\"keys\": [{{\"kty\": …}}]}}: {0}")]
    Form(#[from] serde_json::Error),
    /// None of its keys can be used.
    #[error("it has no key for RS256 (RSA of 2048 bits or more), ES256 (P-256) or HS256")]
    None,
    /// It has more than is sensible.
    #[error("it has more than {MAX_KEYS} keys")]
    Many,
}

/// What a token says, once its signature was verified.
#[derive(Clone, Debug)]
pub struct Claims {
    text: Vec<u8>,
    members: Map<String, Value>,
}

/// RFC 7517 and 7518, as far as keys are of use here.
#[derive(Deserialize)]
struct KeySet {
    keys: Vec<Map<String, Value>>,
}

impl JwtKeys {
    /// Shared secrets, for HS256.
    pub fn of_secrets<'s>(secrets: impl IntoIterator<Item = &'s str>) -> Self {
        let keys = secrets.into_iter().filter_map(|secret| {
            Some(JwtKey {
                id: None,
                algorithm: HS256,
                key: Algorithm::HmacSha256.key(secret.as_bytes())?,
            })
        });
        Self(keys.collect())
    }

    /// Reads a set of JSON Web Keys. Keys for other purposes or of other kinds are left out.
    pub fn of_set(text: &str) -> Result<Self, JwtKeysError> {
        let set: KeySet = serde_json::from_str(text)?;
        if set.keys.len() > MAX_KEYS {
            return Err(JwtKeysError::Many);
        }
        let keys: Vec<JwtKey> = set.keys.iter().filter_map(JwtKey::read).collect();
        if keys.is_empty() {
            return Err(JwtKeysError::None);
        }
        Ok(Self(keys))
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// What a token says, if one of the keys has signed it.
    pub fn verify(&self, token: &str) -> Result<Claims, Unsigned> {
        let (signed, signature) = token.rsplit_once('.').ok_or(Unsigned::Missing)?;
        let (head, payload) = signed.split_once('.').ok_or(Unsigned::Missing)?;
        let part = |text: &str| Encoding::Base64Url.decode(text).ok_or(Unsigned::Missing);
        let object = |bytes: &[u8]| serde_json::from_slice(bytes).map_err(|_| Unsigned::Missing);
        let head: Map<String, Value> = object(&part(head)?)?;
        // RFC 7515, 4.1.11: whoever does not know what is critical must refuse.
        if head.contains_key("crit") {
            return Err(Unsigned::Missing);
        }
        let text = |name: &str| head.get(name).and_then(Value::as_str);
        let (algorithm, id) = (text("alg").ok_or(Unsigned::Missing)?, text("kid"));
        let signature = part(signature)?;
        let mut found = false;
        for key in self.0.iter().filter(|key| key.is_meant(algorithm, id)) {
            found |= key.key.verifies(signed.as_bytes(), &signature);
        }
        if !found {
            return Err(Unsigned::Invalid);
        }
        let text = part(payload)?;
        let members = object(&text)?;
        Ok(Claims { text, members })
    }
}

impl JwtKey {
    fn read(key: &Map<String, Value>) -> Option<Self> {
        let text = |name: &str| key.get(name).and_then(Value::as_str);
        let bytes = |name: &str| Encoding::Base64Url.decode(text(name)?);
        if text("use").is_some_and(|purpose| purpose != "sig") {
            return None;
        }
        let (algorithm, own) = match (text("kty")?, text("crv")) {
            ("RSA", _) => (RS256, SigningKey::rsa(&bytes("n")?, &bytes("e")?)?),
            ("EC", Some("P-256")) => (ES256, SigningKey::p256(&bytes("x")?, &bytes("y")?)?),
            ("oct", _) => (HS256, Algorithm::HmacSha256.key(&bytes("k")?)?),
            _ => return None,
        };
        let is_for_it = text("alg").is_none_or(|named| named == algorithm);
        is_for_it.then(|| Self {
            id: text("kid").map(str::to_owned),
            algorithm,
            key: own,
        })
    }

    /// Whether a token with this head may be signed with this key.
    fn is_meant(&self, algorithm: &str, id: Option<&str>) -> bool {
        let is_other = self
            .id
            .as_deref()
            .zip(id)
            .is_some_and(|(own, id)| own != id);
        self.algorithm == algorithm && !is_other
    }
}

impl Claims {
    /// The JSON object, as it was sent.
    pub fn into_text(self) -> Vec<u8> {
        self.text
    }

    /// Checks the time: neither after `exp` nor before `nbf`. One that `is_used_once` must have an end, or was made just
    /// now (`iat`).
    pub fn check_time(
        &self,
        now: Micros,
        tolerance: Duration,
        is_used_once: bool,
    ) -> Result<(), Unsigned> {
        let tolerance = i64::try_from(tolerance.as_micros()).unwrap_or(i64::MAX);
        let at = |name: &str| match self.members.get(name) {
            None => Ok(None),
            // Seconds, which may have a fraction.
            Some(time) => {
                let seconds = time.as_f64().ok_or(Unsigned::Missing)?;
                Ok(Some((seconds * 1e6) as i64))
            }
        };
        let is_in_time = match (at("exp")?, at("iat")?) {
            (Some(end), _) => now.0 < end.saturating_add(tolerance),
            (None, _) if !is_used_once => true,
            (None, Some(made)) => now.0.abs_diff(made) <= tolerance.unsigned_abs(),
            (None, None) => return Err(Unsigned::Missing),
        };
        let begin = at("nbf")?;
        let has_begun = begin.is_none_or(|begin| now.0 >= begin.saturating_sub(tolerance));
        (is_in_time && has_begun)
            .then_some(())
            .ok_or(Unsigned::Stale)
    }

    /// Whether a claim has this value, or is a list with it.
    pub fn has(&self, name: &str, wanted: &str) -> bool {
        let is_it = |value: &Value| match value {
            Value::String(text) => text == wanted,
            Value::Bool(is_so) => wanted == if *is_so { "true" } else { "false" },
            Value::Number(number) => number.to_string().as_str() == wanted,
            _ => false,
        };
        match self.members.get(name) {
            Some(Value::Array(values)) => values.iter().any(is_it),
            Some(value) => is_it(value),
            None => false,
        }
    }

    /// The text of a claim.
    pub fn text_of(&self, name: &str) -> Option<&str> {
        self.members.get(name).and_then(Value::as_str)
    }
}

#[cfg(test)]
#[path = "jwt_tests.rs"]
mod tests;
