//! Requests that a browser sends for a page that must not send here.
//!
//! Some requests need no preflight, so a browser sends them for any page; and a page whose name suddenly resolves to this
//! machine even counts as our own. Both are recognised by headers that no page can change.

use axum::extract::Request;
use http::header::{HOST, ORIGIN};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use super::replies::Problem;

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// In a handshake of CloudEvents, the sender's name; it is no page.
const REQUEST_ORIGIN: HeaderName = HeaderName::from_static("webhook-request-origin");

/// Whether a request comes from a page of an origin that is not listed.
pub(super) fn is_foreign(allowed: &[HeaderValue], request: &Request) -> bool {
    let headers = request.headers();
    if let Some(origin) = headers.get(ORIGIN) {
        let is_handshake =
            request.method() == Method::OPTIONS && headers.contains_key(REQUEST_ORIGIN);
        let is_single = headers.get_all(ORIGIN).iter().nth(1).is_none();
        return !(is_handshake || is_single && allowed.contains(origin));
    }
    let site = headers.get(FETCH_SITE);
    site.is_some_and(|site| site.as_bytes() == b"cross-site")
}

/// The answer to such a request.
pub(super) fn foreign_origin() -> Problem {
    Problem::new(
        StatusCode::FORBIDDEN,
        "foreign-origin",
        "A page that must not send here",
        "a browser sends this for a page whose origin is not listed in server.cors_origins",
    )
}

/// Checks that a request names this machine, where anybody on it may send. The name of a page may resolve to this machine
/// too, and then a browser takes us for the page's own server.
pub(super) fn check_host(headers: &HeaderMap) -> Result<(), Problem> {
    // Only HTTP/1.0 has requests without a host, and no browser sends them.
    let host = headers.get(HOST).map(HeaderValue::as_bytes);
    if host.is_none_or(names_this_machine) {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::FORBIDDEN,
        "foreign-host",
        "Not for this machine",
        "nobody is authenticated here, so that only this machine is served, as localhost or by its address; set \
         server.tokens, or server.trusted_proxies if a proxy is in front",
    ))
}

/// Whether a host is an address, which no name server can change, or `localhost`.
pub fn names_this_machine(host: &[u8]) -> bool {
    let Ok(host) = std::str::from_utf8(host) else {
        return false;
    };
    if let Some(rest) = host.strip_prefix('[') {
        let address = rest.split_once(']').map(|(address, _port)| address);
        return address.is_some_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok());
    }
    let name = host.split(':').next().unwrap_or_default();
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    name == "localhost"
        || name.ends_with(".localhost")
        || name.parse::<std::net::Ipv4Addr>().is_ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use axum::body::Body;

    use super::*;

    #[test]
    fn addresses_and_localhost_are_this_machine() {
        for host in [
            "localhost",
            "LOCALHOST:4000",
            "a.localhost.",
            "127.0.0.1:4000",
            "10.0.0.9",
            "[::1]:4000",
        ] {
            assert!(names_this_machine(host.as_bytes()), "{host}");
        }
        for host in [
            "",
            "example.com",
            "localhost.example.com:80",
            "127.0.0.1.example.com",
            "[::1",
            "[a]",
            "\u{ff}",
        ] {
            assert!(!names_this_machine(host.as_bytes()), "{host}");
        }
    }

    #[test]
    fn only_listed_origins_are_no_strangers() {
        let allowed = [HeaderValue::from_static("https://app.example.com")];
        let is = |method: &str, headers: &[(&str, &str)]| {
            let mut request = Request::builder().method(method);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            is_foreign(&allowed, &request.body(Body::empty()).unwrap())
        };
        let (own, other) = (
            ("origin", "https://app.example.com"),
            ("origin", "https://evil.example.com"),
        );
        assert!(!is("POST", &[]) && !is("POST", &[own]));
        assert!(!is("POST", &[own, ("sec-fetch-site", "cross-site")]));
        assert!(!is("GET", &[("sec-fetch-site", "same-origin")]));
        assert!(is("POST", &[other]) && is("GET", &[other]) && is("OPTIONS", &[other]));
        assert!(is("POST", &[("origin", "null")]) && is("POST", &[own, other]));
        assert!(is("GET", &[("sec-fetch-site", "cross-site")]));
        let handshake = [
            other,
            ("webhook-request-origin", "eventemitter.example.com"),
        ];
        assert!(!is("OPTIONS", &handshake) && is("POST", &handshake));
    }
}
