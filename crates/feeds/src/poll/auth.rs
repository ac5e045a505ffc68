//! Credentials: a header for each request.
//!
//! A token of the OAuth2 client credentials grant (RFC 6749, section 4.4) is requested when it is
//! needed, and kept until shortly before it expires, or until it is refused.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::StatusCode;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use reqwest::Url;
use serde::Deserialize;

use super::trouble::{Trouble, describe, sent};
use crate::wait::{Interrupted, Waiter};
use lakehook_base::secret::Secret;

/// Most bytes of a token server's answer.
const MAX_TOKEN_ANSWER: usize = 64 << 10;
/// A token is renewed this long before it expires.
const EARLY: Duration = Duration::from_secs(30);
/// Lifetime of a token in seconds, if the answer does not give one.
const DEFAULT_LIFE: u64 = 300;

/// The credentials of one poll.
#[derive(Debug)]
pub struct Auth(Method);

#[derive(Debug)]
enum Method {
    None,
    Fixed(HeaderName, HeaderValue),
    OAuth2(Box<Grant>),
}

/// A client of an OAuth2 server.
#[derive(Debug)]
struct Grant {
    token_url: Url,
    basic: HeaderValue,
    scope: Option<String>,
    token: Mutex<Option<Token>>,
}

#[derive(Debug)]
struct Token {
    value: HeaderValue,
    /// Monotonic time at which it is renewed.
    until: Duration,
}

/// The answer of a token server.
#[derive(Deserialize)]
struct TokenAnswer {
    access_token: Secret,
    #[serde(default)]
    token_type: Option<String>,
    /// Seconds; some servers send them as text.
    #[serde(default)]
    expires_in: Option<serde_json::Value>,
}

impl Auth {
    /// No credentials.
    pub fn none() -> Self {
        Self(Method::None)
    }

    /// `Authorization: Bearer …`. `None` if no header can hold it.
    pub fn bearer(token: &Secret) -> Option<Self> {
        Self::fixed(AUTHORIZATION, &format!("Bearer {}", token.expose()))
    }

    /// `Authorization: Basic …` (RFC 7617).
    pub fn basic(user: &str, password: Option<&Secret>) -> Option<Self> {
        Self::fixed(AUTHORIZATION, &basic(user, password))
    }

    /// A header that the configuration names.
    pub fn header_of(name: &str, value: &Secret) -> Option<Self> {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        Self::fixed(name, value.expose())
    }

    /// The OAuth2 client credentials grant.
    pub fn client_credentials(
        token_url: Url,
        client: &str,
        secret: Option<&Secret>,
        scope: Option<String>,
    ) -> Option<Self> {
        let grant = Grant {
            token_url,
            basic: {
                let secret = secret.map(|secret| Secret::new(form_encoded(secret.expose())));
                sensitive(&basic(&form_encoded(client), secret.as_ref()))?
            },
            scope,
            token: Mutex::default(),
        };
        Some(Self(Method::OAuth2(Box::new(grant))))
    }

    fn fixed(name: HeaderName, value: &str) -> Option<Self> {
        Some(Self(Method::Fixed(name, sensitive(value)?)))
    }

    /// Whether requests are sent without credentials.
    pub fn is_none(&self) -> bool {
        matches!(self.0, Method::None)
    }

    /// The header of a request; requests a token if there is none.
    pub(super) fn header(
        &self,
        http: &reqwest::Client,
        timeout: Duration,
        waiter: &Waiter,
    ) -> Result<Option<(HeaderName, HeaderValue)>, Trouble> {
        match &self.0 {
            Method::None => Ok(None),
            Method::Fixed(name, value) => Ok(Some((name.clone(), value.clone()))),
            Method::OAuth2(grant) => {
                let value = grant.token(http, timeout, waiter)?;
                Ok(Some((AUTHORIZATION, value)))
            }
        }
    }

    /// What no message may show: the value of the header that was sent last, without its scheme.
    pub(super) fn secret(&self) -> Option<String> {
        let value = match &self.0 {
            Method::None => None,
            Method::Fixed(_, value) => Some(value.clone()),
            Method::OAuth2(grant) => grant.lock().as_ref().map(|token| token.value.clone()),
        };
        let text = value?.to_str().ok()?.to_owned();
        let bare = text.split_once(' ').map(|(_, bare)| bare.to_owned());
        Some(bare.unwrap_or(text))
    }

    /// Discards credentials that were refused; returns `true` if new ones can be requested.
    pub(super) fn forget(&self) -> bool {
        match &self.0 {
            Method::OAuth2(grant) => grant.lock().take().is_some(),
            _ => false,
        }
    }
}

impl Grant {
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Token>> {
        self.token.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn token(
        &self,
        http: &reqwest::Client,
        timeout: Duration,
        waiter: &Waiter,
    ) -> Result<HeaderValue, Trouble> {
        let now = waiter.clock().now().mono;
        if let Some(token) = self.lock().as_ref().filter(|token| token.until > now) {
            return Ok(token.value.clone());
        }
        let answer = self.ask(http, timeout, waiter)?;
        let is_bearer = answer.token_type.as_deref();
        if !is_bearer.is_none_or(|kind| kind.eq_ignore_ascii_case("bearer")) {
            return Err(self.refused("issues tokens of another type; expected bearer tokens"));
        }
        let bearer = format!("Bearer {}", answer.access_token.expose());
        let Some(value) = sensitive(&bearer) else {
            return Err(self.refused("issued a token that no header can hold"));
        };
        let seconds = answer.expires_in.as_ref().and_then(seconds);
        let life = Duration::from_secs(seconds.unwrap_or(DEFAULT_LIFE));
        *self.lock() = Some(Token {
            value: value.clone(),
            until: now.saturating_add(life.saturating_sub(EARLY)),
        });
        Ok(value)
    }

    fn ask(
        &self,
        http: &reqwest::Client,
        timeout: Duration,
        waiter: &Waiter,
    ) -> Result<TokenAnswer, Trouble> {
        let mut form = self.token_url.clone();
        form.query_pairs_mut()
            .clear()
            .append_pair("grant_type", "client_credentials")
            .extend_pairs(self.scope.iter().map(|scope| ("scope", scope)));
        let request = http
            .post(self.token_url.clone())
            .header(AUTHORIZATION, self.basic.clone())
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form.query().unwrap_or_default().to_owned())
            .send();
        let mut response = match sent(waiter.wait(timeout, request), timeout) {
            Err(Trouble::Again { what, after }) => {
                let what = format!("the token server: {what}");
                return Err(Trouble::Again { what, after });
            }
            sent => sent?,
        };
        let status = response.status();
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            return Err(Trouble::again(format!(
                "the token server answered {status}"
            )));
        }
        if status != StatusCode::OK {
            let what = format!("answered {status}; check auth.user and auth.password");
            return Err(self.refused(&what));
        }
        let mut body = Vec::new();
        loop {
            match waiter.wait(timeout, response.chunk()) {
                Ok(Ok(Some(chunk))) if body.len() + chunk.len() <= MAX_TOKEN_ANSWER => {
                    body.extend_from_slice(&chunk);
                }
                Ok(Ok(Some(_))) => return Err(self.refused("answered more than a token")),
                Ok(Ok(None)) => break,
                Ok(Err(error)) => return Err(Trouble::again(describe(&error))),
                Err(Interrupted::Timeout) => {
                    return Err(Trouble::again("the token server stopped answering"));
                }
                Err(stopped) => return Err(Trouble::Stopped(stopped)),
            }
        }
        // The parser's message is left out because it may quote the token.
        serde_json::from_slice(&body)
            .map_err(|_| self.refused("sent no token; expected {\"access_token\": …}"))
    }

    fn refused(&self, what: &str) -> Trouble {
        let host = self.token_url.host_str().unwrap_or_default();
        Trouble::Locked(format!("the token server {host} {what}"))
    }
}

fn seconds(value: &serde_json::Value) -> Option<u64> {
    let text = value.as_str().map(str::to_owned);
    let text = text.unwrap_or_else(|| value.to_string());
    text.split('.').next()?.parse().ok()
}

/// Encodes text as in a form, which RFC 6749 (section 2.3.1) requires for clients and secrets.
fn form_encoded(text: &str) -> String {
    let base = Url::parse("http://localhost/");
    let encoded = base.map(|mut url| {
        url.query_pairs_mut().append_key_only(text);
        url.query().unwrap_or_default().to_owned()
    });
    encoded.unwrap_or_else(|_| text.to_owned())
}

fn basic(user: &str, password: Option<&Secret>) -> String {
    let password = password.map_or("", Secret::expose);
    format!("Basic {}", BASE64.encode(format!("{user}:{password}")))
}

fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}
