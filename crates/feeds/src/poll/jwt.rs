//! Signed assertions: JSON Web Tokens (RFC 7519) by RS256 or ES256, as the key says.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use lakehook_base::clock::{MICROS_PER_SECOND, Micros};
use lakehook_base::secret::Secret;

/// How long an assertion holds. Servers refuse long ones.
const LIFE: Duration = Duration::from_secs(300);

/// A private key.
pub(super) enum PrivateKey {
    /// Signs with RS256.
    Rsa(Box<RsaKeyPair>),
    /// Signs with ES256.
    Ec(EcdsaKeyPair),
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[key]")
    }
}

impl PrivateKey {
    /// Reads a key in PEM: PKCS#8, or the older forms for RSA and EC keys.
    pub(super) fn read(pem: &Secret) -> Result<Self, String> {
        let wrong = || {
            "auth.private_key_file must hold one private key in PEM, RSA of at least 2048 bits or EC on \
             P-256, without a passphrase"
                .to_owned()
        };
        let (label, der) = decode(pem.expose()).ok_or_else(wrong)?;
        let ec = |der: &[u8]| match label.as_str() {
            "EC PRIVATE KEY" => {
                EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_FIXED_SIGNING, der).ok()
            }
            _ => EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der).ok(),
        };
        let rsa = |der: &[u8]| match label.as_str() {
            "RSA PRIVATE KEY" => RsaKeyPair::from_der(der).ok(),
            _ => RsaKeyPair::from_pkcs8(der).ok(),
        };
        let rsa = rsa(&der).map(|key| Self::Rsa(Box::new(key)));
        rsa.or_else(|| ec(&der).map(Self::Ec)).ok_or_else(wrong)
    }

    fn algorithm(&self) -> &'static str {
        match self {
            Self::Rsa(_) => "RS256",
            Self::Ec(_) => "ES256",
        }
    }

    fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .ok()?;
                Some(signature)
            }
            Self::Ec(key) => {
                let signature = key.sign(&random, message).ok()?;
                Some(signature.as_ref().to_vec())
            }
        }
    }
}

/// The label and the bytes of the only PEM block of a text.
fn decode(pem: &str) -> Option<(String, Vec<u8>)> {
    let (_, rest) = pem.split_once("-----BEGIN ")?;
    let (label, rest) = rest.split_once("-----")?;
    let (body, _) = rest.split_once("-----END ")?;
    let digits: String = body.split_whitespace().collect();
    Some((label.to_owned(), STANDARD.decode(digits).ok()?))
}

/// What an assertion says.
#[derive(Clone, Debug)]
pub(super) struct Claims {
    /// Who asserts.
    pub(super) issuer: String,
    /// For whom; the issuer if nothing is said.
    pub(super) subject: Option<String>,
    /// Who is to believe it.
    pub(super) audience: String,
    /// Further claims.
    pub(super) more: BTreeMap<String, Secret>,
}

/// Makes a signed assertion that is valid from `now` on, for `LIFE`. `None` if the key cannot sign it.
pub(super) fn assertion(
    key: &PrivateKey,
    key_id: Option<&str>,
    claims: &Claims,
    now: Micros,
) -> Option<Secret> {
    let mut header = json!({"alg": key.algorithm(), "typ": "JWT"});
    if let Some(key_id) = key_id {
        header["kid"] = key_id.into();
    }
    let seconds = now.0.div_euclid(MICROS_PER_SECOND);
    let mut body = json!({
        "iss": claims.issuer,
        "sub": claims.subject.as_ref().unwrap_or(&claims.issuer),
        "aud": claims.audience,
        "iat": seconds,
        "exp": seconds.saturating_add_unsigned(LIFE.as_secs()),
        // One client makes no two assertions in a microsecond.
        "jti": format!("{:x}", now.0),
    });
    for (name, value) in &claims.more {
        body[name] = value.expose().into();
    }
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(&header), part(&body));
    let signature = URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes())?);
    Some(Secret::new(format!("{signed}.{signature}")))
}

#[cfg(test)]
#[path = "jwt_tests.rs"]
mod tests;
