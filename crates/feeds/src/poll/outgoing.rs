//! A request that is about to be sent, and the headers of credentials.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http::Method;
use http::header::{HeaderMap, HeaderValue};
use reqwest::Url;

use lakehook_base::secret::Secret;

/// A request that is about to be sent to the origin that gets credentials.
pub(super) struct Outgoing {
    /// The method.
    pub(super) method: Method,
    /// The URL.
    pub(super) url: Url,
    /// All headers.
    pub(super) headers: HeaderMap,
    /// The body.
    pub(super) body: Option<Bytes>,
}

/// The value of `Authorization` for a user and a password (RFC 7617).
pub(super) fn basic(user: &str, password: Option<&Secret>) -> String {
    let password = password.map_or("", Secret::expose);
    format!("Basic {}", BASE64.encode(format!("{user}:{password}")))
}

/// A header value that is never printed.
pub(super) fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}
