//! Tokens of OAuth2 servers (RFC 6749): requested when they are needed, and kept until shortly
//! before they expire, or until they are refused.
//!
//! All polls of an API share its tokens, and only one request for a token is under way at a time.
//!
//! **Refresh tokens.** A server may answer with a new refresh token and refuse the old one from
//! then on. So the new one is stored durably before the access token is used for anything:
//!
//! ```text
//!  store what is known ─▶ ask ─▶ store the new refresh token ─▶ use the access token
//!        (1)             (2)              (3)
//! ```
//!
//! A crash before (2) changes nothing. Between (2) and (3), only the server knows the new token: the
//! next start asks with the old one, which servers take for a while for exactly this reason; nobody
//! else can do better, because the answer may also be lost on its way. (1) makes sure that the file
//! can be written before anything is used up. If (3) fails, the new token stays in memory, and
//! nothing goes on until it is stored.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::StatusCode;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Response, Url};
use serde::Deserialize;
use serde_json::Value;

use super::definition::{ClientAuth, Credentials, GrantKind};
use super::jwt::{Claims, PrivateKey, assertion};
use super::kept::Kept;
use super::limits::{asked_pause, seconds};
use super::outgoing::{basic, sensitive};
use super::refresh::RefreshToken;
use super::request::form;
use super::trouble::{Trouble, describe, sent};
use crate::wait::{Interrupted, Waiter};
use lakehook_base::secret::Secret;

/// Most bytes of a token server's answer.
const MAX_ANSWER: usize = 64 << 10;
/// A token is renewed this long before it expires.
const EARLY: Duration = Duration::from_secs(30);
/// Lifetime of a token in seconds, if the answer does not give one.
const DEFAULT_LIFE: Duration = Duration::from_secs(300);

/// How a token server is reached.
pub(super) struct TokenServer<'w> {
    /// Opens connections.
    pub(super) http: &'w reqwest::Client,
    /// How long an answer may take.
    pub(super) timeout: Duration,
    /// Waits for the run.
    pub(super) waiter: &'w Waiter,
}

/// A client of an OAuth2 server.
#[derive(Debug)]
pub(super) struct OAuth {
    token_url: Url,
    client: String,
    secret: Option<Secret>,
    client_auth: ClientAuth,
    scope: Option<String>,
    extra: BTreeMap<String, Secret>,
    grant: Grant,
    token: Mutex<Option<Token>>,
    /// Held while a token is requested.
    renewing: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
enum Grant {
    ClientCredentials,
    Refresh(RefreshToken),
    Assertion {
        key: PrivateKey,
        key_id: Option<String>,
        claims: Claims,
    },
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
    expires_in: Option<Value>,
    #[serde(default)]
    refresh_token: Option<Secret>,
}

impl OAuth {
    /// Reads the settings of a client. The error says what cannot be used.
    pub(super) fn new(auth: &Credentials, api: &str, kept: Option<Kept>) -> Result<Self, String> {
        let oauth = &auth.oauth;
        let token_url = oauth.token_url.as_deref().map(Url::parse);
        let Some(Ok(token_url)) = token_url else {
            return Err("auth.token_url cannot be used".to_owned());
        };
        let client = auth.user.clone().unwrap_or_default();
        let grant = match oauth.grant {
            GrantKind::ClientCredentials => Grant::ClientCredentials,
            GrantKind::RefreshToken => {
                let given = oauth.refresh_token.clone();
                let given = given.ok_or("auth.refresh_token cannot be used")?;
                Grant::Refresh(RefreshToken::new(given, api, kept))
            }
            GrantKind::JwtBearer => {
                let pem = oauth.private_key.as_ref();
                let pem = pem.ok_or("auth.private_key_file cannot be used")?;
                let audience = oauth.audience.clone();
                Grant::Assertion {
                    key: PrivateKey::read(pem)?,
                    key_id: oauth.key_id.clone(),
                    claims: Claims {
                        issuer: client.clone(),
                        subject: oauth.subject.clone(),
                        audience: audience.unwrap_or_else(|| token_url.to_string()),
                        more: oauth.claims.clone(),
                    },
                }
            }
        };
        Ok(Self {
            token_url,
            client,
            secret: auth.password.clone(),
            client_auth: oauth.client_auth,
            scope: oauth.scope.clone(),
            extra: oauth.extra.clone(),
            grant,
            token: Mutex::default(),
            renewing: tokio::sync::Mutex::new(()),
        })
    }

    /// Discards a token that was refused; returns `true` if there was one.
    pub(super) fn forget(&self) -> bool {
        self.lock().take().is_some()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Token>> {
        self.token.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn valid(&self, now: Duration) -> Option<HeaderValue> {
        let token = self.lock();
        let token = token.as_ref().filter(|token| token.until > now)?;
        Some(token.value.clone())
    }

    /// The value of `Authorization`; requests a token if there is none.
    pub(super) fn token(&self, server: &TokenServer<'_>) -> Result<HeaderValue, Trouble> {
        let now = || server.waiter.clock().now().mono;
        if let Some(value) = self.valid(now()) {
            return Ok(value);
        }
        let waited = server
            .waiter
            .wait_for("a token", Duration::MAX, self.renewing.lock());
        let _renewing = waited.map_err(Trouble::Stopped)?;
        if let Some(value) = self.valid(now()) {
            return Ok(value);
        }
        let asked_at = now();
        let mut form = self.form(server)?;
        if let Grant::Refresh(refresh) = &self.grant {
            form.push(("refresh_token", refresh.ready()?));
        }
        let answer = self.ask(&form, server)?;
        if let (Grant::Refresh(refresh), Some(new)) = (&self.grant, answer.refresh_token) {
            refresh.replace(new)?;
        }
        let kind = answer.token_type.as_deref();
        if !kind.is_none_or(|kind| kind.eq_ignore_ascii_case("bearer")) {
            return Err(self.refused("issues tokens of another type; expected bearer tokens"));
        }
        let bearer = format!("Bearer {}", answer.access_token.expose());
        let Some(value) = sensitive(&bearer) else {
            return Err(self.refused("issued a token that no header can hold"));
        };
        let life = answer.expires_in.as_ref().and_then(life);
        let life = life.unwrap_or(DEFAULT_LIFE);
        // A token that lives shorter than that is used for half its life.
        let early = EARLY.min(life / 2);
        *self.lock() = Some(Token {
            value: value.clone(),
            until: asked_at.saturating_add(life.saturating_sub(early)),
        });
        Ok(value)
    }

    /// The fields of a request for a token, but for a refresh token.
    fn form(&self, server: &TokenServer<'_>) -> Result<Vec<(&str, Secret)>, Trouble> {
        let text = |text: &str| Secret::new(text);
        let mut form = Vec::new();
        match &self.grant {
            Grant::ClientCredentials => form.push(("grant_type", text("client_credentials"))),
            Grant::Refresh(_) => form.push(("grant_type", text("refresh_token"))),
            Grant::Assertion {
                key,
                key_id,
                claims,
            } => {
                let now = server.waiter.clock().now().wall;
                let signed = assertion(key, key_id.as_deref(), claims, now);
                let signed = signed.ok_or_else(|| self.refused("wants a signature that failed"))?;
                form.push((
                    "grant_type",
                    text("urn:ietf:params:oauth:grant-type:jwt-bearer"),
                ));
                form.push(("assertion", signed));
            }
        }
        form.extend(self.scope.iter().map(|scope| ("scope", text(scope))));
        let is_assertion = matches!(self.grant, Grant::Assertion { .. });
        let names_client = match &self.secret {
            Some(_) => self.client_auth == ClientAuth::Body,
            None => !is_assertion,
        };
        if names_client {
            form.push(("client_id", text(&self.client)));
            form.extend(
                self.secret
                    .iter()
                    .map(|secret| ("client_secret", secret.clone())),
            );
        }
        let extra = self.extra.iter();
        form.extend(extra.map(|(name, value)| (name.as_str(), value.clone())));
        Ok(form)
    }

    /// `Authorization` of the client, if it is sent like this. Client and secret are encoded as in a
    /// form (RFC 6749, section 2.3.1).
    fn basic(&self) -> Option<HeaderValue> {
        let secret = self.secret.as_ref();
        let secret = secret.filter(|_| self.client_auth == ClientAuth::Basic)?;
        let secret = Secret::new(form_encoded(secret.expose()));
        sensitive(&basic(&form_encoded(&self.client), Some(&secret)))
    }

    fn ask(
        &self,
        fields: &[(&str, Secret)],
        server: &TokenServer<'_>,
    ) -> Result<TokenAnswer, Trouble> {
        let fields = fields.iter();
        let body = form(fields.map(|(name, value)| (name, value.expose())));
        let mut request = server
            .http
            .post(self.token_url.clone())
            .header(ACCEPT, "application/json")
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(body);
        if let Some(basic) = self.basic() {
            request = request.header(AUTHORIZATION, basic);
        }
        let waited = server
            .waiter
            .wait_for("a token", server.timeout, request.send());
        let response =
            sent(waited, server.timeout).map_err(|trouble| trouble.of("the token server"));
        let response = response?;
        let status = response.status();
        if status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429) {
            let now = server.waiter.clock().now().wall;
            return Err(Trouble::Again {
                what: format!("the token server answered {status}"),
                after: asked_pause(response.headers(), now),
            });
        }
        let body = self.body(response, server)?;
        if !status.is_success() {
            return Err(self.refused(&refusal(status, &body, &self.grant)));
        }
        // The parser's message is left out because it may quote the token.
        serde_json::from_slice(&body)
            .map_err(|_| self.refused("sent no token; expected {\"access_token\": …}"))
    }

    fn body(&self, mut response: Response, server: &TokenServer<'_>) -> Result<Vec<u8>, Trouble> {
        let mut body = Vec::new();
        loop {
            let waited = server
                .waiter
                .wait_for("a token", server.timeout, response.chunk());
            match waited {
                Ok(Ok(Some(chunk))) if body.len() + chunk.len() <= MAX_ANSWER => {
                    body.extend_from_slice(&chunk);
                }
                Ok(Ok(Some(_))) => return Err(self.refused("answered more than a token")),
                Ok(Ok(None)) => return Ok(body),
                Ok(Err(error)) => return Err(Trouble::again(describe(&error))),
                Err(Interrupted::Timeout) => {
                    return Err(Trouble::again("the token server stopped answering"));
                }
                Err(stopped) => return Err(Trouble::Stopped(stopped)),
            }
        }
    }

    fn refused(&self, what: &str) -> Trouble {
        let host = self.token_url.host_str().unwrap_or_default();
        Trouble::Locked(format!("the token server {host} {what}"))
    }
}

/// What a refusal says. Of the answer, only the code of the error is shown (RFC 6749, section 5.2).
fn refusal(status: StatusCode, body: &[u8], grant: &Grant) -> String {
    let answer: Option<Value> = serde_json::from_slice(body).ok();
    let code = answer.as_ref().and_then(|answer| answer["error"].as_str());
    let is_code =
        |code: &&str| code.len() <= 64 && code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    let code = code.filter(is_code);
    let shown = code.map_or_else(String::new, |code| format!(" ({code})"));
    let hint = match (grant, code) {
        (Grant::Refresh(_), Some("invalid_grant")) => {
            "the refresh token is no longer valid: authorise again, and set auth.refresh_token to the new \
             one"
        }
        (Grant::Assertion { .. }, _) => "check auth.private_key_file, auth.user and the claims",
        _ => "check auth.user and auth.password",
    };
    format!("answered {status}{shown}; {hint}")
}

fn life(value: &Value) -> Option<Duration> {
    match value.as_str() {
        Some(text) => seconds(text.trim(), 1.0),
        None => seconds(&value.to_string(), 1.0),
    }
}

/// Encodes text as in a form.
fn form_encoded(text: &str) -> String {
    let pair = form(std::iter::once((text, "")));
    pair.strip_suffix('=').unwrap_or(&pair).to_owned()
}
