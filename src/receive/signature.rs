//! Signatures of senders, over the body as it was sent.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use http::header::CONTENT_TYPE;
use http::request::Parts;
use serde_json::Value;

use crate::clock::Micros;
use crate::signature::{Claim, Encoding, Message, Scheme, SigningKey, Streamed, Unsigned};

/// Schemes with their keys; a request is admitted if it is signed in any of them, with any of its keys.
#[derive(Clone, Debug)]
pub struct Signing {
    schemes: Vec<(Scheme, Vec<SigningKey>)>,
    tolerance: Duration,
    /// The URL that senders know, without a query; empty if no scheme signs it.
    public_url: Arc<str>,
}

/// What a request claims about its signature in one scheme, before its body is known.
pub(super) struct Claimed<'c> {
    scheme: &'c Scheme,
    keys: &'c [SigningKey],
    claim: Claim<'c>,
    message: Message<'c>,
}

impl Claimed<'_> {
    /// Begins to check it. `None` if that needs the whole body at once.
    pub(super) fn stream(&self) -> Option<Streamed<'_>> {
        Streamed::begin(self.scheme, self.keys, &self.claim, self.message)
    }
}

impl Signing {
    /// Uses each secret in each scheme in which it can be a key. A secret that cannot be a key admits nothing; the
    /// checks of the configuration refuse it.
    pub fn new<'s>(
        schemes: impl IntoIterator<Item = Scheme>,
        secrets: impl Iterator<Item = &'s str>,
        tolerance: Duration,
        public_url: &str,
    ) -> Self {
        let secrets: Vec<&str> = secrets.collect();
        let with_keys = |scheme: Scheme| {
            let keys = secrets.iter().filter_map(|secret| scheme.key_of(secret));
            let keys = keys.collect();
            (scheme, keys)
        };
        Self {
            schemes: schemes.into_iter().map(with_keys).collect(),
            tolerance,
            public_url: public_url.into(),
        }
    }

    /// The header that holds the signature, or one of several that may.
    pub fn header(&self) -> &str {
        let mut schemes = self.schemes.iter();
        let first = schemes.find_map(|(scheme, _)| scheme.signature.headers.first());
        first.map_or("", String::as_str)
    }

    /// The digest of a text with the first key, in hexadecimal digits, which some providers ask for.
    pub(super) fn digest_of(&self, text: &str) -> Option<String> {
        let mut keys = self.schemes.iter().flat_map(|(_, keys)| keys);
        let digest = keys.next()?.digest(text.as_bytes())?;
        Some(Encoding::Hex.encode(&digest))
    }

    /// Checks that one of the signatures is valid now.
    pub(super) fn verify(&self, parts: &Parts, body: &[u8], now: Micros) -> Result<(), Unsigned> {
        let message = self.message(parts, body);
        let mut worst = Unsigned::Missing;
        for (scheme, keys) in &self.schemes {
            match self.verify_in(scheme, keys, |name| header(parts, name), &message, now) {
                Ok(()) => return Ok(()),
                // What came nearest to being valid is the most useful to know.
                Err(Unsigned::Missing) => {}
                Err(error) => worst = error,
            }
        }
        Err(worst)
    }

    /// What a request claims in each of the schemes, as far as it can be valid now.
    pub(super) fn claims<'c>(&'c self, parts: &'c Parts, now: Micros) -> Vec<Claimed<'c>> {
        let schemes = self.schemes.iter();
        let claims = schemes.filter_map(|(scheme, keys)| {
            let claim = scheme.read(|name| header(parts, name)).ok()?;
            scheme.check_time(&claim, now, self.tolerance).ok()?;
            Some(Claimed {
                scheme,
                keys,
                claim,
                message: self.message(parts, &[]),
            })
        });
        claims.collect()
    }

    /// Checks that one of the signatures that stand in the body is valid now. The body is JSON, or a form that was made
    /// JSON.
    pub(super) fn verify_members(
        &self,
        parts: &Parts,
        text: &str,
        now: Micros,
    ) -> Result<(), Unsigned> {
        let body: Value = serde_json::from_str(text).map_err(|_| Unsigned::Missing)?;
        let message = self.message(parts, &[]);
        let mut worst = Unsigned::Missing;
        for (scheme, keys) in &self.schemes {
            let members = scheme.members().map(|name| (name, text_at(&body, name)));
            let members: Vec<(&str, Option<Cow<'_, str>>)> = members.collect();
            let find = |name: &str| {
                let found = members.iter().find(|(known, _)| *known == name);
                found.map_or_else(|| header(parts, name), |(_, text)| text.as_deref())
            };
            match self.verify_in(scheme, keys, find, &message, now) {
                Ok(()) => return Ok(()),
                Err(Unsigned::Missing) => {}
                Err(error) => worst = error,
            }
        }
        Err(worst)
    }

    fn verify_in<'h>(
        &self,
        scheme: &Scheme,
        keys: &[SigningKey],
        header: impl Fn(&str) -> Option<&'h str>,
        message: &Message<'_>,
        now: Micros,
    ) -> Result<(), Unsigned> {
        let claim = scheme.read(header)?;
        scheme.check_time(&claim, now, self.tolerance)?;
        scheme.verify(keys, &claim, message)
    }

    /// What of a request may be signed. The URL is the configured one, never one that the request names.
    pub(super) fn message<'m>(&'m self, parts: &'m Parts, body: &'m [u8]) -> Message<'m> {
        Message {
            method: parts.method.as_str(),
            url: &self.public_url,
            path: parts.uri.path(),
            query: parts.uri.query(),
            body,
            is_form: is_form(parts),
        }
    }
}

/// The value of a header, by its name in lower case.
fn header<'p>(parts: &'p Parts, name: &str) -> Option<&'p str> {
    let value = parts.headers.get(name);
    value.and_then(|value| value.to_str().ok())
}

/// The text or number at a JSON Pointer.
pub(super) fn text_at<'v>(value: &'v Value, pointer: &str) -> Option<Cow<'v, str>> {
    match value.pointer(pointer)? {
        Value::String(text) => Some(Cow::Borrowed(text.as_str())),
        Value::Number(number) => Some(Cow::Owned(number.to_string())),
        _ => None,
    }
}

/// Whether the body of a request is a form.
pub(super) fn is_form(parts: &Parts) -> bool {
    const FORM: &str = "application/x-www-form-urlencoded";
    let declared = parts.headers.get(CONTENT_TYPE);
    let text = declared.and_then(|value| value.to_str().ok());
    let media_type = text.and_then(|text| text.split(';').next());
    media_type.is_some_and(|media_type| media_type.trim().eq_ignore_ascii_case(FORM))
}
