//! The client: one request and its answer, redirects and credentials included.
//!
//! Credentials and configured headers are sent to the origin of the configured URL and nowhere
//! else. Redirects and links are followed within that origin, and to hosts that the configuration
//! allows; never from https to http.

use std::sync::Arc;
use std::time::Duration;

use http::header::{
    ACCEPT, ACCEPT_ENCODING, ETAG, HeaderMap, HeaderName, HeaderValue, IF_MODIFIED_SINCE,
    IF_NONE_MATCH, LINK, LOCATION,
};
use http::{Method, StatusCode};
use reqwest::{Response, Url};

use super::complaint::{self, Hidden};
use super::limits::{asked_pause, is_passing};
use super::link::Link;
use super::oauth::TokenServer;
use super::outgoing::Outgoing;
use super::request::PageRequest;
use super::trouble::{Trouble, sent};
use super::wanted::Wanted;
use crate::wait::Waiter;
use lakehook_base::clock::Micros;

const MAX_REDIRECTS: usize = 5;
/// A longer ETag is not remembered.
const MAX_ETAG_BYTES: usize = 512;

/// An answer with a body to read.
#[derive(Debug)]
pub struct Answer {
    /// The response; nothing of its body has been read.
    pub response: Response,
    /// The ETag of this content, if there is one.
    pub etag: Option<String>,
    /// The next page according to the `Link` header.
    pub next_link: Option<String>,
    /// What no message about it may show.
    pub hidden: Hidden,
}

/// Result of a request.
#[derive(Debug)]
pub enum Got {
    /// A page whose body can be read.
    Page(Box<Answer>),
    /// The content has not changed since the validator was issued.
    NotModified,
    /// A status that stands for the end of the pages; what else it would mean.
    PastEnd(Trouble),
}

/// Settings for the requests of one poll.
#[derive(Debug)]
pub struct ClientSettings {
    /// A URL of the origin that gets the credentials.
    pub home: Url,
    /// Other hosts, with or without a port, that links and redirects may lead to.
    pub allow_hosts: Vec<String>,
    /// How long an answer may take to begin.
    pub timeout: Duration,
    /// Statuses that stand for the end of the pages.
    pub past_end: Vec<u16>,
    /// Where answers tell errors.
    pub wanted: Wanted,
    /// What no message may show.
    pub hidden: Hidden,
}

/// Makes requests of one poll.
#[derive(Debug)]
pub struct Client {
    link: Arc<Link>,
    settings: ClientSettings,
}

impl Client {
    /// Makes a client.
    pub fn new(link: Arc<Link>, settings: ClientSettings) -> Self {
        Self { link, settings }
    }

    /// Until when the API asked to be left alone.
    pub fn held_until(&self, now: Micros) -> Option<Micros> {
        self.link.held_until(now)
    }

    /// Resolves a link of a page against the page's URL, if it may be followed.
    pub fn follow(&self, from: &Url, link: &str) -> Result<Url, String> {
        let to = from.join(link);
        let mut to = to.map_err(|_| "it is not a URL; expected one".to_owned())?;
        if let Some(reason) = self.refusal(from, &to) {
            return Err(format!("it leads to {}, {reason}", place(&to)));
        }
        if self.is_home(&to) {
            self.link.auth.strip(&mut to);
        }
        Ok(to)
    }

    /// Why a URL is not followed; `None` if it is.
    fn refusal(&self, from: &Url, to: &Url) -> Option<&'static str> {
        if !matches!(to.scheme(), "http" | "https") {
            return Some("which is neither http nor https; it is not followed");
        }
        if from.scheme() == "https" && to.scheme() == "http" {
            return Some("from https to http; it is not followed");
        }
        let is_allowed = self.settings.allow_hosts.iter().any(|allowed| {
            let host = to.host_str().unwrap_or_default();
            let with_port = format!("{host}:{}", to.port_or_known_default().unwrap_or(0));
            allowed.eq_ignore_ascii_case(host) || allowed.eq_ignore_ascii_case(&with_port)
        });
        if self.is_home(to) || is_allowed {
            return None;
        }
        Some("another host; it is followed only if allow_hosts names it")
    }

    /// Whether credentials may be sent to a URL: it has the same origin, or the same host with TLS
    /// added.
    pub(super) fn is_home(&self, url: &Url) -> bool {
        let home = &self.settings.home;
        let is_upgrade = home.scheme() == "http"
            && url.scheme() == "https"
            && home.host_str() == url.host_str()
            && home.port().is_none()
            && url.port().is_none();
        home.origin() == url.origin() || is_upgrade
    }

    /// Makes one request, following redirects.
    pub fn send(
        &self,
        request: &PageRequest,
        etag: Option<&str>,
        waiter: &Waiter,
    ) -> Result<Got, Trouble> {
        let mut url = request.url.clone();
        let mut may_renew = true;
        for _ in 0..=MAX_REDIRECTS {
            self.link.keep_pace(waiter)?;
            let (response, hidden) = self.send_once(request, &url, etag, waiter)?;
            let status = response.status();
            let is_conditional = etag.is_some() || request.headers.contains_key(IF_MODIFIED_SINCE);
            if status == StatusCode::NOT_MODIFIED && is_conditional {
                return Ok(Got::NotModified);
            }
            if is_page(status) {
                return answer(response, hidden).map(|answer| Got::Page(Box::new(answer)));
            }
            if status.is_redirection() && response.headers().contains_key(LOCATION) {
                let location = response.headers()[LOCATION].to_str().unwrap_or_default();
                let to = self.redirect(request, &url, location, status);
                url = to.map_err(|why| Trouble::Final(format!("a redirect: {why}")))?;
                continue;
            }
            if status == StatusCode::UNAUTHORIZED && may_renew && self.link.auth.forget() {
                may_renew = false;
                continue;
            }
            let may_end = self.settings.past_end.contains(&status.as_u16());
            let trouble = self.trouble(response, &hidden, waiter);
            return if may_end {
                Ok(Got::PastEnd(trouble))
            } else {
                Err(trouble)
            };
        }
        Err(Trouble::Final(format!(
            "more than {MAX_REDIRECTS} redirects; expected a page"
        )))
    }

    /// Where a redirect leads, if it may be followed: a request with a body must arrive as it is, and
    /// at home.
    fn redirect(
        &self,
        request: &PageRequest,
        from: &Url,
        location: &str,
        status: StatusCode,
    ) -> Result<Url, String> {
        let to = self.follow(from, location)?;
        if request.method != Method::GET && !matches!(status.as_u16(), 307 | 308) {
            return Err(format!(
                "{status} turns {} into GET, without the body; expected 307 or 308",
                request.method
            ));
        }
        if request.body.is_some() && !self.is_home(&to) {
            return Err(format!(
                "it leads to {}, another host, which does not get the body",
                place(&to)
            ));
        }
        Ok(to)
    }

    fn send_once(
        &self,
        page: &PageRequest,
        url: &Url,
        etag: Option<&str>,
        waiter: &Waiter,
    ) -> Result<(Response, Hidden), Trouble> {
        let mut headers = HeaderMap::new();
        let accept = self.settings.wanted.format.accept();
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        let mut request = Outgoing {
            method: page.method.clone(),
            url: url.clone(),
            headers,
            body: None,
        };
        if self.is_home(url) {
            request.headers.extend(page.headers.clone());
            request.body.clone_from(&page.body);
            let server = TokenServer {
                http: &self.link.http,
                timeout: self.settings.timeout,
                waiter,
            };
            self.link.auth.apply(&mut request, &server)?;
        }
        if let Some(value) = etag.and_then(|etag| HeaderValue::from_str(etag).ok()) {
            request.headers.insert(IF_NONE_MATCH, value);
        }
        let mut sending = self.link.http.request(request.method, request.url);
        if let Some(body) = request.body {
            sending = sending.body(body);
        }
        let hidden = self.settings.hidden.with_headers(&request.headers);
        let sending = sending.headers(request.headers).send();
        let timeout = self.settings.timeout;
        let response = sent(waiter.wait(timeout, sending), timeout)?;
        Ok((response, hidden))
    }

    /// Classifies an answer that is not a page.
    fn trouble(&self, response: Response, hidden: &Hidden, waiter: &Waiter) -> Trouble {
        let status = response.status();
        let now = waiter.clock().now().wall;
        let is_passing = is_passing(status, response.headers());
        let after = asked_pause(response.headers(), now);
        let settings = &self.settings;
        let told = complaint::of(response, &settings.wanted, settings.timeout, waiter);
        let told = told.map_or_else(String::new, |text| hidden.told(&text));
        let what = format!("answered {status}{told}; expected 200 OK");
        if is_passing {
            if let Some(pause) = after {
                self.link.hold(pause, now);
            }
            return Trouble::Again { what, after };
        }
        let hint = match status.as_u16() {
            401 | 403 if self.link.auth.is_none() => "; perhaps it wants credentials (auth.type)",
            401 | 403 => "; check the credentials (auth)",
            404 | 410 => "; check the url",
            _ => "",
        };
        match status.as_u16() {
            401 | 403 => Trouble::Locked(what + hint),
            _ => Trouble::Final(what + hint),
        }
    }
}

/// Whether an answer with this status is a page, perhaps one without a body.
fn is_page(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200 | 201 | 203 | 204 | 206)
}

fn answer(response: Response, hidden: Hidden) -> Result<Answer, Trouble> {
    let text = |name: HeaderName| response.headers().get(name)?.to_str().ok();
    let etag = text(ETAG).filter(|etag| etag.len() <= MAX_ETAG_BYTES);
    let etag = etag.map(str::to_owned);
    let links = response.headers().get_all(LINK);
    let mut next_link = None;
    for value in links {
        let Ok(text) = std::str::from_utf8(value.as_bytes()) else {
            let what = "its Link header is not UTF-8; expected text";
            return Err(Trouble::Final(what.to_owned()));
        };
        next_link = next_link.or_else(|| next_of(text));
    }
    Ok(Answer {
        response,
        etag,
        next_link,
        hidden,
    })
}

/// The target of `rel="next"` in a `Link` header (RFC 8288, section 3). One with `results="false"`
/// leads to a page without records.
fn next_of(header: &str) -> Option<String> {
    let mut rest = header;
    while let Some(start) = rest.find('<') {
        let (target, after) = rest[start + 1..].split_once('>')?;
        let end = after.find('<').unwrap_or(after.len());
        let parameters = || {
            let all = after[..end].split([';', ',']);
            let pairs = all.filter_map(|parameter| parameter.trim().split_once('='));
            pairs.map(|(name, value)| (name.trim(), value.trim().trim_matches('"')))
        };
        let is_next = parameters().any(|(name, value)| {
            let mut relations = value.split(' ');
            name.eq_ignore_ascii_case("rel") && relations.any(|r| r.eq_ignore_ascii_case("next"))
        });
        let is_empty = parameters().any(|(name, value)| name == "results" && value == "false");
        if is_next {
            return (!is_empty).then(|| target.to_owned());
        }
        rest = &after[end..];
    }
    None
}

/// Shows a URL without its parameters, which may be secret.
fn place(url: &Url) -> String {
    let port = url
        .port()
        .map_or_else(String::new, |port| format!(":{port}"));
    let host = url.host_str().unwrap_or_default();
    shortened(&format!("{}://{host}{port}{}", url.scheme(), url.path()))
}

fn shortened(text: &str) -> String {
    text.chars().take(100).collect()
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
