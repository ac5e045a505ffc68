//! One request for one page. Redirects lead to no other host, and no secret is printed.

use std::time::Duration;

use anyhow::{Context as _, bail};
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, Url};
use serde_json::Value;

use crate::secret::Secret;

/// Most bytes of the page: it is held in memory as a whole.
const MAX_BYTES: usize = 16 << 20;
const TIMEOUT: Duration = Duration::from_secs(30);
const MAX_REDIRECTS: usize = 5;

/// A page that was read.
#[derive(Debug)]
pub(super) struct Page {
    /// Its URL.
    pub(super) url: Url,
    /// Headers of the answer, with names in small letters.
    pub(super) headers: Vec<(String, String)>,
    /// Its content.
    pub(super) body: Value,
}

/// What a request carries besides its URL.
#[derive(Debug, Default)]
pub(super) struct Sent {
    /// Headers, by name.
    pub(super) headers: Vec<(String, Secret)>,
    /// A bearer token.
    pub(super) token: Option<Secret>,
}

impl Page {
    /// The value of a header of the answer.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(own, _)| own == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// Reads the page at a URL.
pub(super) async fn page(url: &Url, sent: &Sent) -> anyhow::Result<Page> {
    let home = url.origin();
    let policy = Policy::custom(move |attempt| {
        if attempt.url().origin() != home {
            return attempt
                .error("a redirect leads to another host; give the URL there if you mean it");
        }
        if attempt.previous().len() > MAX_REDIRECTS {
            return attempt.error("there are too many redirects");
        }
        attempt.follow()
    });
    let client = Client::builder()
        .redirect(policy)
        .timeout(TIMEOUT)
        .user_agent(concat!("lakehook/", env!("CARGO_PKG_VERSION")))
        .build()?;
    let request = client.get(url.clone()).headers(headers(sent)?);
    let response = request.send().await.map_err(reqwest::Error::without_url);
    let response = response.context("the page cannot be read")?;
    let status = response.status();
    if !status.is_success() {
        let hint = match status.as_u16() {
            401 | 403 => "; credentials go into --token-file or --header",
            404 | 410 => "; check the URL",
            429 => "; wait, and try again",
            _ => "",
        };
        bail!("the page cannot be read: it answers {status}{hint}");
    }
    let headers = response.headers().iter().filter_map(|(name, value)| {
        let value = value.to_str().ok()?;
        Some((name.as_str().to_owned(), value.to_owned()))
    });
    let headers: Vec<_> = headers.collect();
    let bytes = body(response).await?;
    let body = serde_json::from_slice(&bytes).map_err(|error| not_json(&error, &headers))?;
    Ok(Page {
        url: url.clone(),
        headers,
        body,
    })
}

fn headers(sent: &Sent) -> anyhow::Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    for (name, value) in &sent.headers {
        let name: HeaderName = name
            .parse()
            .with_context(|| format!("--header: {name:?} is no name of a header"))?;
        headers.insert(name, sensitive(value.expose()).context("--header")?);
    }
    if let Some(token) = &sent.token {
        let value = format!("Bearer {}", token.expose());
        headers.insert(AUTHORIZATION, sensitive(&value).context("--token-file")?);
    }
    Ok(headers)
}

fn sensitive(value: &str) -> anyhow::Result<HeaderValue> {
    let value = HeaderValue::from_str(value);
    let mut value = value
        .ok()
        .context("its value may hold only visible characters")?;
    value.set_sensitive(true);
    Ok(value)
}

async fn body(mut response: Response) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(reqwest::Error::without_url)?
    {
        if bytes.len() + chunk.len() > MAX_BYTES {
            bail!(
                "the page has more than {} MiB; ask for a smaller one",
                MAX_BYTES >> 20
            );
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn not_json(error: &serde_json::Error, headers: &[(String, String)]) -> anyhow::Error {
    let kind = headers.iter().find(|(name, _)| name == "content-type");
    let kind = kind.map_or("missing", |(_, value)| value.as_str());
    anyhow::anyhow!(
        "the page is not one JSON value (line {}, column {}; its Content-Type is {kind:?}); init poll reads nothing \
         else, so write the section as docs/polls.md shows",
        error.line(),
        error.column()
    )
}
