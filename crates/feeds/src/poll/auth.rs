//! Credentials: what proves to an API who asks. They are added to each request just before it is
//! sent, so that they are in no URL or header that is kept, compared or shown.

use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use reqwest::Url;

use super::definition::{AuthKind, Credentials};
use super::kept::Kept;
use super::oauth::{OAuth, TokenServer};
use super::outgoing::{Outgoing, basic, sensitive};
use super::signing::Signer;
use super::trouble::Trouble;
use lakehook_base::secret::Secret;

/// The credentials of one API.
#[derive(Debug)]
pub struct Auth(Kind);

#[derive(Debug)]
enum Kind {
    None,
    Header(HeaderName, HeaderValue),
    Query(String, Secret),
    OAuth(Box<OAuth>),
    Signature(Box<Signer>),
}

impl Auth {
    /// Reads credentials; `kept` keeps the refresh tokens of the API of this name. The error says
    /// what cannot be used.
    pub fn new(auth: &Credentials, api: &str, kept: Option<Kept>) -> Result<Self, String> {
        let unusable = |key: &str| format!("auth.{key} cannot be used");
        let token = || auth.token.as_ref().ok_or_else(|| unusable("token"));
        let header = |name: HeaderName, value: &str, key: &str| {
            let value = sensitive(value).ok_or_else(|| unusable(key))?;
            Ok::<_, String>(Kind::Header(name, value))
        };
        let user = auth.user.as_deref().unwrap_or_default();
        let kind = match auth.kind {
            AuthKind::None => Kind::None,
            AuthKind::Bearer => {
                let value = format!("Bearer {}", token()?.expose());
                header(AUTHORIZATION, &value, "token")?
            }
            AuthKind::Basic => {
                let value = basic(user, auth.password.as_ref());
                header(AUTHORIZATION, &value, "user")?
            }
            AuthKind::Header => {
                let name = auth.header.as_deref().unwrap_or_default();
                let name = HeaderName::from_bytes(name.as_bytes());
                let name = name.map_err(|_| unusable("header"))?;
                header(name, token()?.expose(), "token")?
            }
            AuthKind::Query => {
                let name = auth.param.clone().ok_or_else(|| unusable("param"))?;
                Kind::Query(name, token()?.clone())
            }
            AuthKind::OAuth2 => Kind::OAuth(Box::new(OAuth::new(auth, api, kept)?)),
            AuthKind::Signature => Kind::Signature(Box::new(Signer::new(auth)?)),
        };
        Ok(Self(kind))
    }

    /// Whether requests are sent without credentials.
    pub fn is_none(&self) -> bool {
        matches!(self.0, Kind::None)
    }

    /// Adds the credentials to a request; gets a token first if there is none.
    pub(super) fn apply(
        &self,
        request: &mut Outgoing,
        server: &TokenServer<'_>,
    ) -> Result<(), Trouble> {
        match &self.0 {
            Kind::None => {}
            Kind::Header(name, value) => {
                request.headers.insert(name.clone(), value.clone());
            }
            Kind::Query(name, value) => {
                let mut pairs = request.url.query_pairs_mut();
                pairs.append_pair(name, value.expose());
            }
            Kind::OAuth(oauth) => {
                let value = oauth.token(server)?;
                request.headers.insert(AUTHORIZATION, value);
            }
            Kind::Signature(signer) => {
                let kind = request.headers.get(CONTENT_TYPE);
                let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
                let is_form = kind.starts_with("application/x-www-form-urlencoded");
                let now = server.waiter.clock().now().wall;
                signer.sign(request, is_form, now).ok_or_else(|| {
                    Trouble::Final("the request cannot be signed; check auth".to_owned())
                })?;
            }
        }
        Ok(())
    }

    /// Removes credentials from a URL that the API sent: some repeat them in their links.
    pub(super) fn strip(&self, url: &mut Url) {
        let names: Vec<&str> = match &self.0 {
            Kind::Query(name, _) => vec![name],
            Kind::Signature(signer) => signer.params().collect(),
            _ => return,
        };
        if !url.query_pairs().any(|(own, _)| names.contains(&&*own)) {
            return;
        }
        let others: Vec<(String, String)> = url
            .query_pairs()
            .filter(|(own, _)| !names.contains(&&**own))
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect();
        if others.is_empty() {
            url.set_query(None);
        } else {
            url.query_pairs_mut().clear().extend_pairs(others);
        }
    }

    /// Discards credentials that were refused; returns `true` if new ones can be requested.
    pub(super) fn forget(&self) -> bool {
        match &self.0 {
            Kind::OAuth(oauth) => oauth.forget(),
            _ => false,
        }
    }
}

#[cfg(test)]
#[path = "auth_tests.rs"]
mod tests;
