//! One exchange with an API: a request, and its whole answer. It follows no redirect and judges no page;
//! what it has from polls is the link to the API: credentials, the rate of requests, and holds.

use std::fmt;
use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use http::header::{ACCEPT, ACCEPT_ENCODING, HeaderMap, HeaderValue};

use super::body;
use super::complaint::Hidden;
use super::definition::Request;
use super::limits::{asked_pause, is_passing};
use super::link::Link;
use super::oauth::TokenServer;
use super::outgoing::Outgoing;
use super::request::PageRequest;
use super::trouble::{Trouble, sent};
use crate::wait::Waiter;

/// Makes exchanges with one API.
pub struct Exchange {
    link: Arc<Link>,
    timeout: Duration,
    max_answer: u64,
    hidden: Hidden,
}

/// A whole answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchanged {
    /// Its status.
    pub status: StatusCode,
    /// Its body, decoded; text that is not UTF-8 has replacement characters.
    pub body: String,
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange").finish_non_exhaustive()
    }
}

impl Exchange {
    /// For the API of a request.
    pub fn new(link: Arc<Link>, request: &Request, timeout: Duration, max_answer: u64) -> Self {
        Self {
            link,
            timeout,
            max_answer,
            hidden: Hidden::of(request),
        }
    }

    /// Text of an answer as it may be shown: bounded, without secrets.
    pub fn shown(&self, text: &str) -> String {
        self.hidden.shown(text)
    }

    /// Sends a request, whose URL is the API's own. Every answer is one, but for those that ask to wait.
    pub fn send(&self, request: &PageRequest, waiter: &Waiter) -> Result<Exchanged, Trouble> {
        let mut may_renew = true;
        loop {
            self.link.keep_pace(waiter)?;
            let answer = self.send_once(request, waiter)?;
            let is_refused = answer.status == StatusCode::UNAUTHORIZED;
            if is_refused && may_renew && self.link.auth.forget() {
                may_renew = false;
                continue;
            }
            return Ok(answer);
        }
    }

    fn send_once(&self, request: &PageRequest, waiter: &Waiter) -> Result<Exchanged, Trouble> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        headers.extend(request.headers.clone());
        let mut outgoing = Outgoing {
            method: request.method.clone(),
            url: request.url.clone(),
            headers,
            body: request.body.clone(),
        };
        let server = TokenServer {
            http: &self.link.http,
            timeout: self.timeout,
            waiter,
        };
        self.link.auth.apply(&mut outgoing, &server)?;
        let mut sending = self.link.http.request(outgoing.method, outgoing.url);
        if let Some(body) = outgoing.body {
            sending = sending.body(body);
        }
        let hidden = self.hidden.with_headers(&outgoing.headers);
        let sending = sending.headers(outgoing.headers).send();
        let response = sent(waiter.wait(self.timeout, sending), self.timeout)?;
        let status = response.status();
        let is_passing = is_passing(status, response.headers());
        let now = waiter.clock().now().wall;
        let after = asked_pause(response.headers(), now);
        let mut left = self.max_answer;
        let mut body = Vec::new();
        let read = body::open(response, self.timeout, waiter, &mut left)
            .and_then(|mut stream| stream.read_to_end(&mut body).map_err(body::trouble_of));
        let body = String::from_utf8_lossy(&body).into_owned();
        if is_passing {
            if let Some(pause) = after {
                self.link.hold(pause, now);
            }
            let told = hidden.told(&body);
            let what = format!("answered {status}{told}");
            return Err(Trouble::Again { what, after });
        }
        read?;
        Ok(Exchanged { status, body })
    }
}
