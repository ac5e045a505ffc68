//! Who may send: how a request proves where it comes from.
//!
//! A body that passes becomes an [`Admitted`]; only such bodies reach a contract. Each comparison with a secret takes
//! constant time.

use std::sync::Arc;

use arc_swap::ArcSwap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderMap, HeaderName};
use subtle::ConstantTimeEq as _;

use super::client::Tokens;
use super::jwt::{Jwt, JwtPlace};
use super::signature::Signing;
use super::sns::{Topics, Unverified};
use crate::clock::{Clock, Micros};
use crate::json::{self, Members};
use crate::signature::{Unsigned, pairs};

/// A body that may be stored: its sender was authenticated, or need not be, or is before anything else is done with the
/// decompressed body (`Standing::NeedsSecret`).
#[derive(Clone, Debug)]
pub struct Admitted(Bytes);

/// The ways in which a request may prove where it comes from. Any of them does. Clones share what replaces them.
#[derive(Clone)]
pub struct Proofs(Arc<ArcSwap<Vec<Proof>>>);

/// One way.
#[derive(Clone)]
pub enum Proof {
    /// A signature over the body.
    Signature(Signing),
    /// A JSON Web Token.
    Jwt(Jwt),
    /// A signature in the body, over members of it.
    InBody(Signing),
    /// One of these secrets in a header.
    Header(HeaderName, Vec<Box<str>>),
    /// `Authorization: Bearer` with one of these tokens.
    Bearer(Tokens),
    /// `Authorization: Basic` with one of these, each `user:password`.
    Basic(Vec<Box<str>>),
    /// One of these secrets as this parameter of the URL.
    Query(Box<str>, Vec<Box<str>>),
    /// A message of Amazon SNS, which Amazon has signed.
    Topics(Arc<Topics>),
    /// One of these secrets in a member of the body, which is a JSON object.
    Member(Vec<Box<str>>, Vec<Box<str>>),
    /// None: whatever arrives is admitted.
    Open,
}

/// What is known of a request before its body has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is admitted.
    Proven,
    /// Its signature decides.
    NeedsSignature,
    /// A signature in its body decides, for which a certificate may have to be fetched.
    NeedsCertificate,
    /// What its body holds decides: a secret, or a signature of some members.
    NeedsSecret,
    /// It is refused.
    Unproven,
}

impl Admitted {
    /// Admits the body of a request that was admitted by its head.
    pub(super) fn by_head(body: Bytes) -> Self {
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

impl Proofs {
    /// Takes any of these.
    pub fn any(proofs: Vec<Proof>) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(proofs)))
    }

    /// Takes these from now on. They are of the same kinds, with other secrets.
    pub(super) fn replace(&self, proofs: Vec<Proof>) {
        self.0.store(Arc::new(proofs));
    }

    /// The ways, in their order.
    pub fn list(&self) -> Arc<Vec<Proof>> {
        self.0.load_full()
    }

    /// The digest of a text with the key of the provider, which some providers ask for.
    pub(super) fn digest_of(&self, text: &str) -> Option<String> {
        signings(&self.list()).find_map(|signing| signing.digest_of(text))
    }

    /// Whether senders are authenticated at all.
    pub fn authenticate(&self) -> bool {
        let proofs = self.0.load();
        !proofs.iter().any(|proof| matches!(proof, Proof::Open))
    }

    /// What the head of a request proves.
    pub(super) fn standing(&self, headers: &HeaderMap, query: Option<&str>) -> Standing {
        let proofs = self.0.load();
        let has = |is_it: fn(&Proof) -> bool| proofs.iter().any(is_it);
        if proofs.iter().any(|proof| proof.is_given(headers, query)) {
            Standing::Proven
        } else if has(|proof| matches!(proof, Proof::Signature(_) | Proof::Jwt(_))) {
            Standing::NeedsSignature
        } else if topics(&proofs).is_some() {
            Standing::NeedsCertificate
        } else if has(|proof| matches!(proof, Proof::Member(..) | Proof::InBody(_))) {
            Standing::NeedsSecret
        } else {
            Standing::Unproven
        }
    }

    /// Whether a body holds one of the secrets that a member may be, or a signature that is valid now. It is the text of
    /// JSON.
    pub(super) fn are_in(&self, parts: &Parts, text: &str, now: Micros) -> bool {
        let Ok(Members(members)) = serde_json::from_str(text) else {
            return false;
        };
        self.0.load().iter().any(|proof| {
            let (names, secrets) = match proof {
                Proof::Member(names, secrets) => (names, secrets),
                Proof::InBody(signing) => return signing.verify_members(parts, text, now).is_ok(),
                _ => return false,
            };
            members.iter().any(|(key, value)| {
                let is_named =
                    json::text(key).is_some_and(|key| names.iter().any(|name| **name == *key));
                is_named
                    && json::text(value).is_some_and(|text| is_one_of(text.as_bytes(), secrets))
            })
        })
    }

    /// Whether a body may be a token, which is verified before anything else.
    pub(super) fn take_tokens(&self) -> bool {
        let is_it = |proof: &Proof| matches!(proof, Proof::Jwt(jwt) if jwt.place == JwtPlace::Body);
        self.0.load().iter().any(is_it)
    }

    /// Whether the head has a token that is for any body.
    pub(super) fn prove_by_token(&self, parts: &Parts, now: Micros) -> bool {
        let is_proven = |proof: &Proof| match proof {
            Proof::Jwt(jwt) => jwt.is_of_head() && jwt.verify(parts, &[], now).is_ok(),
            _ => false,
        };
        self.0.load().iter().any(is_proven)
    }

    /// Admits a body, as it was sent, if one of its signatures is valid now. Of a body that is a token, what it says is
    /// admitted.
    pub fn admit(&self, parts: &Parts, body: Bytes, now: Micros) -> Result<Admitted, Unsigned> {
        let mut nearest = Unsigned::Missing;
        for proof in self.0.load().iter() {
            let verified = match proof {
                Proof::Signature(signing) => signing.verify(parts, &body, now).map(|()| None),
                Proof::Jwt(jwt) => jwt.verify(parts, &body, now),
                _ => continue,
            };
            match verified {
                Ok(said) => return Ok(Admitted(said.unwrap_or(body))),
                Err(Unsigned::Missing) => {}
                Err(error) => nearest = error,
            }
        }
        Err(nearest)
    }

    /// Admits a message of SNS, as it was sent.
    pub(super) async fn admit_message(
        &self,
        body: Bytes,
        clock: &Clock,
    ) -> Result<Admitted, Unverified> {
        let proofs = self.list();
        let topics = topics(&proofs).ok_or(Unsigned::Missing)?;
        topics.verify(&body, clock).await?;
        Ok(Admitted(body))
    }

    /// The topics of SNS whose messages are taken because they are signed.
    pub(super) fn topics(&self) -> Option<Arc<Topics>> {
        topics(&self.0.load()).cloned()
    }
}

impl Proof {
    /// What a sender must send.
    pub(super) fn wanted(&self) -> &'static str {
        match self {
            Self::Signature(_) => "a valid signature",
            Self::Jwt(_) => "a valid JSON Web Token",
            Self::InBody(_) => "a valid signature in the body",
            Self::Topics(_) => "a message that Amazon SNS has signed",
            Self::Header(..) => "the secret in the header that this path wants",
            Self::Bearer(_) => "a valid token as `Authorization: Bearer <token>`",
            Self::Basic(_) => "user and password as `Authorization: Basic`",
            Self::Query(..) => "the secret as the parameter of the URL that this path wants",
            Self::Member(..) => "the secret in the body, as the client of this protocol does",
            Self::Open => "anything",
        }
    }

    /// Whether the head of a request gives this proof.
    fn is_given(&self, headers: &HeaderMap, query: Option<&str>) -> bool {
        match self {
            Self::Signature(_)
            | Self::Jwt(_)
            | Self::InBody(_)
            | Self::Topics(_)
            | Self::Member(..) => false,
            Self::Open => true,
            Self::Bearer(tokens) => tokens.find(headers).is_some(),
            Self::Header(name, secrets) => {
                let value = headers.get(name);
                value.is_some_and(|value| is_one_of(value.as_bytes(), secrets))
            }
            Self::Query(name, secrets) => {
                let mut given = pairs(query.unwrap_or_default().as_bytes());
                given.any(|(known, value)| {
                    known.as_ref() == name.as_bytes() && is_one_of(&value, secrets)
                })
            }
            Self::Basic(pairs) => {
                let given = headers.get(AUTHORIZATION).map(http::HeaderValue::as_bytes);
                let encoded = given.and_then(|value| {
                    let (scheme, encoded) = value.split_at_checked(6)?;
                    scheme.eq_ignore_ascii_case(b"basic ").then_some(encoded)
                });
                let pair = encoded.and_then(|encoded| BASE64.decode(encoded.trim_ascii()).ok());
                pair.is_some_and(|pair| is_one_of(&pair, pairs))
            }
        }
    }
}

/// The signatures that would do.
pub(super) fn signings(proofs: &[Proof]) -> impl Iterator<Item = &Signing> {
    proofs.iter().filter_map(|proof| match proof {
        Proof::Signature(signing) => Some(signing),
        _ => None,
    })
}

fn topics(proofs: &[Proof]) -> Option<&Arc<Topics>> {
    proofs.iter().find_map(|proof| match proof {
        Proof::Topics(topics) => Some(topics),
        _ => None,
    })
}

/// Compares with each, so that the duration reveals nothing.
fn is_one_of(given: &[u8], secrets: &[Box<str>]) -> bool {
    let mut found = false;
    for secret in secrets {
        found |= bool::from(secret.as_bytes().ct_eq(given));
    }
    found
}

#[cfg(test)]
#[path = "admission_tests.rs"]
mod tests;
