//! Schemes: everything about how a sender signs, and the reading, checking and making of such signatures.

use std::borrow::Cow;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};

use super::algorithm::{Algorithm, SigningKey, Work};
use super::encoding::Encoding;
use super::form::pairs;
use super::template::{Message, Named, Part, Template};
use crate::clock::{MICROS_PER_SECOND, Micros};
use crate::rfc3339;

/// Headers may hold several signatures; only the first ones are checked, to bound the work for one request.
pub const MAX_SIGNATURES: usize = 8;
/// The longest signature, except those of RSA: ECDSA on P-256 in DER. The rest is room that base64 decoders want.
const MAX_SIGNATURE_BYTES: usize = 75;
/// How a key in PEM begins, which is base64 between two lines.
const PEM: &str = "-----BEGIN ";
/// The longest text of a signature of RSA: 8192 bits in hexadecimal digits.
const MAX_LONG_TEXT: usize = 2048;

/// How a sender signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scheme {
    /// The algorithm.
    pub algorithm: Algorithm,
    /// How a signature is written.
    pub encoding: Encoding,
    /// How a key is written.
    pub key: KeyForm,
    /// What is signed.
    pub template: Template,
    /// Where the signatures stand.
    pub signature: Place,
    /// Where the time of the signature stands, if there is one.
    pub timestamp: Option<Place>,
    /// How the sender writes that time. Reading takes every form.
    pub time_form: TimeForm,
    /// Where the id of the message stands, if it is signed.
    pub id: Option<Place>,
}

/// Where a value stands in a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The headers that may hold it, in lower case; or members of the body, as JSON Pointers, which begin with a slash.
    /// A time or id stands in the first of them that is there; signatures may stand in all of them.
    pub headers: Vec<String>,
    /// What separates the elements of a header that is a list.
    pub separator: Option<char>,
    /// What precedes the value: `sha256=`, `v1,`, or the `t=` of a pair.
    pub prefix: String,
}

/// How a key is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyForm {
    /// The encoding of the key; `None` if the text itself is the key.
    pub encoding: Option<Encoding>,
    /// What may precede the key, and is no part of it.
    pub prefixes: Vec<String>,
    /// Whether one of the prefixes must be there: keys with other prefixes belong to another scheme.
    pub needs_prefix: bool,
}

/// How times are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeForm {
    /// Seconds since 1970.
    Seconds,
    /// Milliseconds since 1970.
    Millis,
    /// RFC 3339.
    Rfc3339,
}

/// Why a request is not admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsigned {
    /// A header is missing or malformed.
    #[error("the signature's headers are missing or malformed")]
    Missing,
    /// The signed time is too far from now.
    #[error("the signature's time is outside the tolerance; is a clock wrong?")]
    Stale,
    /// No signature was made with one of the secrets.
    #[error("no signature of the body is valid")]
    Invalid,
    /// A token is signed, and not for this.
    #[error("the token has not the claims that this path wants")]
    Claim,
}

/// What the headers of a request say about its signature.
pub struct Claim<'h> {
    /// The time of the signature, as the sender wrote it.
    pub timestamp: &'h str,
    /// The id of the message, as the sender wrote it.
    pub id: &'h str,
    signatures: [([u8; MAX_SIGNATURE_BYTES], usize); MAX_SIGNATURES],
    count: usize,
    /// Signatures of RSA.
    long: Vec<Vec<u8>>,
    /// The headers, or members of the body, that are signed, as they were sent.
    headers: Vec<&'h str>,
}

impl Place {
    /// A member of the body that holds the value alone.
    pub fn member(pointer: &str) -> Self {
        Self {
            headers: vec![pointer.to_owned()],
            separator: None,
            prefix: String::new(),
        }
    }

    /// A header that holds the value alone.
    pub fn header(name: &str) -> Self {
        Self {
            headers: vec![name.to_ascii_lowercase()],
            separator: None,
            prefix: String::new(),
        }
    }

    /// The values in one header.
    fn values<'h>(&self, text: &'h str) -> impl Iterator<Item = &'h str> {
        let elements = match self.separator {
            Some(separator) => Elements::Many(text.split(separator)),
            None => Elements::One(Some(text)),
        };
        elements.filter_map(|element| element.trim().strip_prefix(self.prefix.as_str()))
    }

    fn first<'h>(&self, header: impl Fn(&str) -> Option<&'h str>) -> Option<&'h str> {
        let text = self.headers.iter().find_map(|name| header(name))?;
        self.values(text).next()
    }
}

enum Elements<'h> {
    One(Option<&'h str>),
    Many(std::str::Split<'h, char>),
}

impl<'h> Iterator for Elements<'h> {
    type Item = &'h str;

    fn next(&mut self) -> Option<&'h str> {
        match self {
            Self::One(one) => one.take(),
            Self::Many(many) => many.next(),
        }
    }
}

impl KeyForm {
    /// The text itself is the key.
    pub fn text() -> Self {
        Self {
            encoding: None,
            prefixes: Vec::new(),
            needs_prefix: false,
        }
    }

    /// The bytes of the key that a secret encodes.
    fn bytes<'s>(&self, secret: &'s str) -> Option<Cow<'s, [u8]>> {
        let mut found = self.prefixes.iter();
        let without = found.find_map(|prefix| secret.strip_prefix(prefix.as_str()));
        let text = match without {
            Some(text) => text,
            None if self.needs_prefix => return None,
            None => secret,
        };
        match self.encoding {
            None => Some(Cow::Borrowed(text.as_bytes())),
            Some(Encoding::Base64) if text.starts_with(PEM) => {
                let lines = text.lines().filter(|line| !line.starts_with("-----"));
                let inner: String = lines.map(str::trim).collect();
                Encoding::Base64.decode(&inner).map(Cow::Owned)
            }
            Some(encoding) => encoding.decode(text).map(Cow::Owned),
        }
    }
}

impl TimeForm {
    /// Writes a time.
    pub fn write(self, time: Micros) -> String {
        match self {
            Self::Seconds => time.0.div_euclid(MICROS_PER_SECOND).to_string(),
            Self::Millis => time.0.div_euclid(1000).to_string(),
            Self::Rfc3339 => time.to_string(),
        }
    }

    /// Reads a time in any of the forms. Numbers say by their size what they count.
    pub fn read(text: &str) -> Option<Micros> {
        let is_number = (1..=16).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        if !is_number {
            return rfc3339::parse(text);
        }
        let number: i64 = text.parse().ok()?;
        Some(Micros(match number {
            0..100_000_000_000 => number * MICROS_PER_SECOND,
            100_000_000_000..100_000_000_000_000 => number * 1000,
            _ => number,
        }))
    }
}

impl Claim<'_> {
    fn signatures(&self) -> impl Iterator<Item = &[u8]> {
        let known = self.signatures.iter().take(self.count);
        let known = known.filter_map(|(bytes, length)| bytes.get(..*length));
        known.chain(self.long.iter().map(Vec::as_slice))
    }

    /// What of the headers is signed.
    pub(super) fn named(&self) -> Named<'_> {
        Named {
            timestamp: self.timestamp,
            id: self.id,
            headers: &self.headers,
        }
    }

    /// Whether `work` verifies one of the signatures.
    pub(super) fn holds(&self, work: Work<'_>) -> bool {
        work.verifies(self.signatures())
    }
}

impl Scheme {
    /// The key that a secret encodes; `None` if it is no key.
    pub fn key_of(&self, secret: &str) -> Option<SigningKey> {
        self.algorithm.key(&self.key.bytes(secret)?)
    }

    /// Whether the signature stands in the body, of which it covers some members.
    pub fn is_in_body(&self) -> bool {
        self.signature.headers.iter().any(|name| is_member(name))
    }

    /// The members of the body that hold the signature, or are signed, as JSON Pointers.
    pub fn members(&self) -> impl Iterator<Item = &str> {
        let places = [
            Some(&self.signature),
            self.timestamp.as_ref(),
            self.id.as_ref(),
        ];
        let names = places
            .into_iter()
            .flatten()
            .flat_map(|place| &place.headers);
        let names = names.map(String::as_str).chain(self.template.headers());
        names.filter(|name| is_member(name))
    }

    /// Reads what the headers say about the signature. `header` returns the value of a header by its name in lower
    /// case, or that of a member of the body by its JSON Pointer.
    pub fn read<'h>(
        &self,
        header: impl Fn(&str) -> Option<&'h str>,
    ) -> Result<Claim<'h>, Unsigned> {
        let value = |place: &Option<Place>| match place {
            Some(place) => place.first(&header).ok_or(Unsigned::Missing),
            None => Ok(""),
        };
        let mut claim = Claim {
            timestamp: value(&self.timestamp)?,
            id: value(&self.id)?,
            signatures: [([0; MAX_SIGNATURE_BYTES], 0); MAX_SIGNATURES],
            count: 0,
            long: Vec::new(),
            headers: Vec::new(),
        };
        for name in self.template.headers() {
            claim.headers.push(header(name).ok_or(Unsigned::Missing)?);
        }
        if !self.template.allows(&claim.named()) {
            return Err(Unsigned::Missing);
        }
        let headers = self.signature.headers.iter();
        let texts = headers.filter_map(|name| header(name));
        let values = texts.flat_map(|text| self.signature.values(text));
        if self.algorithm.has_long_signatures() {
            let texts = values
                .map(str::trim)
                .filter(|text| text.len() <= MAX_LONG_TEXT);
            let decoded = texts.filter_map(|text| self.encoding.decode(text));
            claim.long = decoded.take(MAX_SIGNATURES).collect();
            let is_readable = claim.long.iter().any(|bytes| !bytes.is_empty());
            return is_readable.then_some(claim).ok_or(Unsigned::Missing);
        }
        for (text, slot) in values.zip(&mut claim.signatures) {
            // A signature that cannot be decoded keeps its slot, and equals nothing.
            let length = self.encoding.decode_into(text.trim(), &mut slot.0);
            slot.1 = length.unwrap_or(0);
            claim.count += 1;
        }
        let is_readable = claim.signatures().any(|bytes| !bytes.is_empty());
        is_readable.then_some(claim).ok_or(Unsigned::Missing)
    }

    /// Checks the time of a claim, if the sender signs one.
    pub fn check_time(
        &self,
        claim: &Claim<'_>,
        now: Micros,
        tolerance: Duration,
    ) -> Result<(), Unsigned> {
        if self.timestamp.is_none() {
            return Ok(());
        }
        let signed = TimeForm::read(claim.timestamp).ok_or(Unsigned::Missing)?;
        // Both in whole seconds, as most senders write them.
        let seconds = |time: Micros| time.0.div_euclid(MICROS_PER_SECOND);
        let apart = seconds(now).abs_diff(seconds(signed));
        if apart <= tolerance.as_secs() {
            Ok(())
        } else {
            Err(Unsigned::Stale)
        }
    }

    /// Checks that one of the claimed signatures is one of this message, with one of these keys.
    pub fn verify<'k>(
        &self,
        keys: impl IntoIterator<Item = &'k SigningKey>,
        claim: &Claim<'_>,
        message: &Message<'_>,
    ) -> Result<(), Unsigned> {
        let mut found = false;
        for key in keys {
            let mut work = key.begin();
            let mut take = |bytes: &[u8]| work.update(bytes);
            self.template.feed(message, &claim.named(), &mut take);
            found |= claim.holds(work);
        }
        let is_signed = found && self.covers(message);
        is_signed.then_some(()).ok_or(Unsigned::Invalid)
    }

    /// Whether the signed bytes include the body. Twilio signs the parameters of forms; of any other body it signs the
    /// SHA-256, as a parameter of the URL.
    fn covers(&self, message: &Message<'_>) -> bool {
        if !self.template.has(&Part::Params) || message.is_form || message.body.is_empty() {
            return true;
        }
        let query = message.query.unwrap_or_default().as_bytes();
        let mut named = pairs(query).filter(|(name, _)| &**name == b"bodySHA256");
        let expected = Encoding::Hex.encode(digest(&SHA256, message.body).as_ref());
        let first = named.next();
        first.is_some_and(|(_, value)| value.eq_ignore_ascii_case(expected.as_bytes()))
    }

    /// Signs a message, and returns the headers to send with it; `None` if the key is a public one, or the signature
    /// stands in the body. The time and the id are used where the scheme has them.
    pub fn sign(
        &self,
        key: &SigningKey,
        message: &Message<'_>,
        now: Micros,
        id: &str,
    ) -> Option<Vec<(String, String)>> {
        if self.is_in_body() {
            return None;
        }
        let timestamp = match &self.timestamp {
            Some(_) => self.time_form.write(now),
            None => String::new(),
        };
        let mut work = key.begin();
        let mut take = |bytes: &[u8]| work.update(bytes);
        let named = Named {
            timestamp: &timestamp,
            id,
            headers: &[],
        };
        self.template.feed(message, &named, &mut take);
        let signature = self.encoding.encode(&work.sign()?);

        let mut headers: Vec<(String, String)> = Vec::new();
        let mut put = |place: &Place, value: &str| {
            let value = format!("{}{value}", place.prefix);
            let Some(name) = place.headers.first() else {
                return;
            };
            match headers.iter_mut().find(|(known, _)| known == name) {
                Some((_, list)) => {
                    list.push(place.separator.unwrap_or(','));
                    list.push_str(&value);
                }
                None => headers.push((name.clone(), value)),
            }
        };
        if let Some(place) = &self.id {
            put(place, id);
        }
        if let Some(place) = &self.timestamp {
            put(place, &timestamp);
        }
        put(&self.signature, &signature);
        Some(headers)
    }
}

/// Whether a place is a member of the body: no header begins with a slash.
fn is_member(name: &str) -> bool {
    name.starts_with('/')
}
