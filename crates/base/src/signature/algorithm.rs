//! Algorithms, and keys for them. All comparisons take constant time.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey,
    RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, RSA_PKCS1_2048_8192_SHA256, RsaParameters,
    RsaPublicKeyComponents, UnparsedPublicKey,
};

/// An algorithm of signatures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// HMAC with SHA-1. As a MAC it is not broken, but nobody should choose it any more.
    HmacSha1,
    /// HMAC with SHA-256.
    HmacSha256,
    /// HMAC with SHA-384.
    HmacSha384,
    /// HMAC with SHA-512.
    HmacSha512,
    /// Ed25519; keys are public, so they verify and cannot sign.
    Ed25519,
    /// ECDSA on P-256 with SHA-256, signatures in DER; keys are public, so they verify and cannot sign.
    EcdsaP256,
    /// RSA, PKCS #1 v1.5 with SHA-256; keys are public, so they verify and cannot sign.
    RsaSha256,
    /// The same with SHA-1, which only Amazon SNS still uses.
    RsaSha1,
}

/// A key, ready for use. It is never printed.
#[derive(Clone)]
pub struct SigningKey(Inner);

#[derive(Clone)]
enum Inner {
    Hmac(Arc<hmac::Key>),
    Public(Algorithm, Box<[u8]>),
    Parsed(ParsedPublicKey),
}

/// The bytes before the key itself in a `SubjectPublicKeyInfo` (RFC 5280) of a P-256 key.
const P256_PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// The same of an Ed25519 key (RFC 8410).
const ED25519_PREFIX: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

impl Algorithm {
    /// Whether who verifies has the same secret as who signs.
    pub fn is_symmetric(self) -> bool {
        matches!(
            self,
            Self::HmacSha1 | Self::HmacSha256 | Self::HmacSha384 | Self::HmacSha512
        )
    }

    /// Whether signatures are longer than those of the other algorithms.
    pub(super) fn has_long_signatures(self) -> bool {
        matches!(self, Self::RsaSha256 | Self::RsaSha1)
    }

    /// Makes a key of these bytes. Public keys are raw (32 bytes; 65 bytes from `04`), or in DER
    /// (`SubjectPublicKeyInfo`; of RSA, `RSAPublicKey` too). `None` if they are no key.
    pub fn key(self, bytes: &[u8]) -> Option<SigningKey> {
        let hmac = |algorithm| {
            let key = || SigningKey(Inner::Hmac(Arc::new(hmac::Key::new(algorithm, bytes))));
            (!bytes.is_empty()).then(key)
        };
        let public = |prefix: &[u8], is_raw: fn(&[u8]) -> bool| {
            let raw = bytes.strip_prefix(prefix).unwrap_or(bytes);
            is_raw(raw).then(|| SigningKey(Inner::Public(self, raw.into())))
        };
        let rsa = |parameters: &'static RsaParameters| {
            let parsed = ParsedPublicKey::new(parameters, bytes).ok();
            parsed.map(|key| SigningKey(Inner::Parsed(key)))
        };
        match self {
            Self::HmacSha1 => hmac(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY),
            Self::HmacSha256 => hmac(hmac::HMAC_SHA256),
            Self::HmacSha384 => hmac(hmac::HMAC_SHA384),
            Self::HmacSha512 => hmac(hmac::HMAC_SHA512),
            Self::Ed25519 => public(&ED25519_PREFIX, |raw| raw.len() == 32),
            Self::EcdsaP256 => public(&P256_PREFIX, |raw| raw.len() == 65 && raw[0] == 4),
            Self::RsaSha256 => rsa(&RSA_PKCS1_2048_8192_SHA256),
            Self::RsaSha1 => rsa(&RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY),
        }
    }
}

impl SigningKey {
    /// The key of RSA with this modulus and exponent, for PKCS #1 v1.5 with SHA-256.
    pub(super) fn rsa(n: &[u8], e: &[u8]) -> Option<Self> {
        let components = RsaPublicKeyComponents { n, e };
        let parsed = components.to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256);
        parsed.ok().map(|key| Self(Inner::Parsed(key)))
    }

    /// The point of P-256 with these coordinates, for signatures that are two numbers of 32 bytes, as in tokens.
    pub(super) fn p256(x: &[u8], y: &[u8]) -> Option<Self> {
        let point = [&[4], x, y].concat();
        let parsed = ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
        parsed.ok().map(|key| Self(Inner::Parsed(key)))
    }

    /// Begins to sign or verify.
    pub(super) fn begin(&self) -> Work<'_> {
        match &self.0 {
            Inner::Hmac(key) => Work::Mac(hmac::Context::with_key(key)),
            Inner::Public(algorithm, key) => Work::Public {
                algorithm: *algorithm,
                key,
                message: Vec::new(),
            },
            Inner::Parsed(key) => Work::Parsed {
                key,
                message: Vec::new(),
            },
        }
    }

    /// Whether this is a signature of these bytes.
    pub fn verifies(&self, bytes: &[u8], signature: &[u8]) -> bool {
        let mut work = self.begin();
        work.update(bytes);
        work.verifies(std::iter::once(signature))
    }

    /// The HMAC of some bytes; `None` for a public key.
    pub fn digest(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut work = self.begin();
        work.update(bytes);
        work.sign()
    }

    /// Whether bytes can be passed piece by piece without being kept.
    pub(super) fn streams(&self) -> bool {
        matches!(self.0, Inner::Hmac(_))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[key]")
    }
}

/// A signature that is being made or verified.
#[allow(
    clippy::large_enum_variant,
    reason = "it lives on the stack for one request, and a box would be an allocation for each"
)]
pub(super) enum Work<'k> {
    /// HMAC, over bytes as they come.
    Mac(hmac::Context),
    /// A public key; these algorithms need the whole message.
    Public {
        algorithm: Algorithm,
        key: &'k [u8],
        message: Vec<u8>,
    },
    /// The same, with a key that was parsed before.
    Parsed {
        key: &'k ParsedPublicKey,
        message: Vec<u8>,
    },
}

impl Work<'_> {
    /// Adds signed bytes.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Mac(context) => context.update(bytes),
            Self::Public { message, .. } | Self::Parsed { message, .. } => {
                message.extend_from_slice(bytes);
            }
        }
    }

    /// Whether any of these signatures is one of all bytes added.
    pub(super) fn verifies<'s>(self, signatures: impl Iterator<Item = &'s [u8]>) -> bool {
        let mut found = false;
        match self {
            Self::Mac(context) => {
                let tag = context.sign();
                for signature in signatures {
                    found |=
                        aws_lc_rs::constant_time::verify_slices_are_equal(tag.as_ref(), signature)
                            .is_ok();
                }
            }
            Self::Public {
                algorithm,
                key,
                message,
            } => {
                for signature in signatures {
                    let verified = if algorithm == Algorithm::Ed25519 {
                        UnparsedPublicKey::new(&ED25519, key).verify(&message, signature)
                    } else {
                        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key)
                            .verify(&message, signature)
                    };
                    found |= verified.is_ok();
                }
            }
            Self::Parsed { key, message } => {
                for signature in signatures {
                    found |= key.verify_sig(&message, signature).is_ok();
                }
            }
        }
        found
    }

    /// The signature of all bytes added; `None` if the key cannot sign.
    pub(super) fn sign(self) -> Option<Vec<u8>> {
        match self {
            Self::Mac(context) => Some(context.sign().as_ref().to_vec()),
            Self::Public { .. } | Self::Parsed { .. } => None,
        }
    }
}
