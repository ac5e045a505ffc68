//! Schemes of signatures: everything that is known about how a provider signs, and where its requests have an
//! event's id, type and time.
//!
//! A new scheme is a variant here and a word in the configuration (`config/hooks.rs`, `config/words.rs`).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::HeaderMap;

/// A header may hold several signatures; only the first ones are checked, to bound the work for one request.
const MAX_SIGNATURES: usize = 8;

/// How a sender signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Standard Webhooks, `v1` (and Svix, which uses the same scheme with other header names).
    Standard,
    /// `X-Hub-Signature-256: sha256=<hex>`.
    GitHub,
    /// `Stripe-Signature: t=<seconds>,v1=<hex>`.
    Stripe,
    /// `X-Shopify-Hmac-SHA256: <base64>`.
    Shopify,
    /// `X-Slack-Signature: v0=<hex>` with `X-Slack-Request-Timestamp`.
    Slack,
    /// HMAC-SHA256 of the body in a configured header.
    Plain {
        /// The header, in lower case.
        header: String,
        /// The text before the signature, such as `sha256=`.
        prefix: String,
        /// Base64, otherwise hexadecimal.
        is_base64: bool,
    },
}

/// Where a provider puts an event's id, type or time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum FieldSource {
    /// The provider does not say.
    #[default]
    Nowhere,
    /// In the first of these headers that is present; names are in lower case.
    Headers(Vec<String>),
    /// In the body, at a JSON Pointer.
    Body(String),
}

impl FieldSource {
    /// Parses `header:X-Name` or a JSON Pointer.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(name) = text.strip_prefix("header:") {
            let name = http::HeaderName::from_bytes(name.trim().as_bytes()).ok()?;
            return Some(Self::Headers(vec![name.as_str().to_owned()]));
        }
        text.starts_with('/').then(|| Self::Body(text.to_owned()))
    }
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
}

/// What the headers of a request say about its signature.
pub(super) struct Claim<'h> {
    /// When the request was signed, in seconds since 1970, as the sender wrote it.
    pub(super) time: Option<&'h str>,
    /// The signed bytes that precede the body.
    pub(super) before: [&'h [u8]; 4],
    /// The signatures that could be decoded.
    pub(super) signatures: Vec<Vec<u8>>,
}

impl Scheme {
    /// The header that holds the signature, or one of several that may.
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

    /// Where the provider puts an event's id, type and time.
    pub fn fields(&self) -> [FieldSource; 3] {
        let headers =
            |names: &[&str]| FieldSource::Headers(names.iter().map(|&n| n.to_owned()).collect());
        let body = |pointer: &str| FieldSource::Body(pointer.to_owned());
        match self {
            Self::Standard => [
                headers(&["webhook-id", "svix-id"]),
                body("/type"),
                body("/timestamp"),
            ],
            Self::GitHub => [
                headers(&["x-github-delivery"]),
                headers(&["x-github-event"]),
                FieldSource::Nowhere,
            ],
            Self::Stripe => [body("/id"), body("/type"), body("/created")],
            Self::Shopify => [
                headers(&["x-shopify-webhook-id"]),
                headers(&["x-shopify-topic"]),
                headers(&["x-shopify-triggered-at"]),
            ],
            Self::Slack => [body("/event_id"), body("/event/type"), body("/event_time")],
            Self::Plain { .. } => [body("/id"), body("/type"), FieldSource::Nowhere],
        }
    }

    /// Whether the provider verifies a URL by a challenge in the body.
    pub fn has_challenges(&self) -> bool {
        matches!(self, Self::Slack)
    }

    /// The key that a secret encodes: base64 for Standard Webhooks, the bytes themselves for all others. `None` if it
    /// cannot be a key.
    pub fn key_of(&self, secret: &str) -> Option<Box<[u8]>> {
        let key = match self {
            Self::Standard => BASE64
                .decode(secret.strip_prefix("whsec_").unwrap_or(secret))
                .ok()?,
            _ => secret.as_bytes().to_vec(),
        };
        (!key.is_empty()).then(|| key.into())
    }

    /// Reads what the headers say about the signature.
    pub(super) fn claim<'h>(&self, headers: &'h HeaderMap) -> Result<Claim<'h>, Unsigned> {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let needed = |name: &str| header(name).ok_or(Unsigned::Missing);
        match self {
            Self::Standard => {
                let either = |name: &str, svix: &str| header(name).map_or_else(|| needed(svix), Ok);
                let id = either("webhook-id", "svix-id")?;
                let time = either("webhook-timestamp", "svix-timestamp")?;
                let list = either("webhook-signature", "svix-signature")?;
                // Dots separate the parts that are signed, so an id with a dot could be read in two ways.
                if id.contains('.') {
                    return Err(Unsigned::Missing);
                }
                let list = list.split(' ').filter_map(|one| one.strip_prefix("v1,"));
                Ok(Claim {
                    time: Some(time),
                    before: [id.as_bytes(), b".", time.as_bytes(), b"."],
                    signatures: decoded(list, of_base64),
                })
            }
            Self::GitHub => {
                let signature = needed("x-hub-signature-256")?.strip_prefix("sha256=");
                Ok(Claim::of_body(decoded(signature, of_hex)))
            }
            Self::Stripe => {
                let list = needed("stripe-signature")?.split(',');
                let pairs = list.filter_map(|pair| pair.trim().split_once('='));
                let time = pairs.clone().find(|(name, _)| *name == "t");
                let (_, time) = time.ok_or(Unsigned::Missing)?;
                let list = pairs.filter(|(name, _)| *name == "v1");
                Ok(Claim {
                    time: Some(time),
                    before: [time.as_bytes(), b".", b"", b""],
                    signatures: decoded(list.map(|(_, value)| value), of_hex),
                })
            }
            Self::Shopify => {
                let signature = header("x-shopify-hmac-sha256");
                Ok(Claim::of_body(decoded(signature, of_base64)))
            }
            Self::Slack => {
                let time = needed("x-slack-request-timestamp")?;
                let signature = needed("x-slack-signature")?.strip_prefix("v0=");
                Ok(Claim {
                    time: Some(time),
                    before: [b"v0:", time.as_bytes(), b":", b""],
                    signatures: decoded(signature, of_hex),
                })
            }
            Self::Plain {
                header: name,
                prefix,
                is_base64,
            } => {
                let signature = header(name).and_then(|value| value.strip_prefix(prefix.as_str()));
                let decode = if *is_base64 { of_base64 } else { of_hex };
                Ok(Claim::of_body(decoded(signature, decode)))
            }
        }
    }
}

impl Claim<'_> {
    /// A claim about the body alone.
    fn of_body(signatures: Vec<Vec<u8>>) -> Self {
        Self {
            time: None,
            before: [b""; 4],
            signatures,
        }
    }
}

fn decoded<'h>(
    signatures: impl IntoIterator<Item = &'h str>,
    decode: fn(&str) -> Option<Vec<u8>>,
) -> Vec<Vec<u8>> {
    let signatures = signatures.into_iter().take(MAX_SIGNATURES);
    signatures.filter_map(decode).collect()
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
