//! Who may ask: requests for this console by name, and forms of its own pages.

use http::header::{HOST, ORIGIN};
use http::{HeaderMap, HeaderName};

use crate::receive::names_this_machine;

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whether a request is for this console: by an address, `localhost`, or a name that is configured. The name of a foreign
/// page may resolve to this machine too, and a browser would take us for that page's own server.
pub(super) fn is_for_us(headers: &HeaderMap, hosts: &[String]) -> bool {
    let Some(host) = single(headers, &HOST) else {
        return false;
    };
    let name = host.split(':').next().unwrap_or_default();
    let is_known =
        |known: &String| known.eq_ignore_ascii_case(host) || known.eq_ignore_ascii_case(name);
    names_this_machine(host.as_bytes()) || hosts.iter().any(is_known)
}

/// Whether a form comes from a page of this console: browsers say where each form comes from.
pub(super) fn is_from_us(headers: &HeaderMap) -> bool {
    let (Some(host), Some(origin)) = (single(headers, &HOST), single(headers, &ORIGIN)) else {
        return false;
    };
    let of_origin = origin
        .strip_prefix("http://")
        .or_else(|| origin.strip_prefix("https://"));
    let site = single(headers, &FETCH_SITE);
    of_origin.is_some_and(|of| of.eq_ignore_ascii_case(host))
        && site.is_none_or(|site| site == "same-origin")
}

/// The value of a header that is there once.
fn single<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    values.next().is_none().then(|| value.to_str().ok())?
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            let name: HeaderName = name.parse().unwrap();
            headers.append(name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn only_known_names_are_ours() {
        let hosts = ["console.example.com".to_owned()];
        for host in [
            "localhost:4002",
            "127.0.0.1",
            "[::1]:4002",
            "console.example.com:443",
            "Console.example.com",
        ] {
            assert!(is_for_us(&headers(&[("host", host)]), &hosts), "{host}");
        }
        for host in ["example.com", "rebound.example.com:4002", ""] {
            assert!(!is_for_us(&headers(&[("host", host)]), &hosts), "{host}");
        }
        let twice = headers(&[("host", "localhost"), ("host", "localhost")]);
        assert!(!is_for_us(&twice, &hosts) && !is_for_us(&headers(&[]), &hosts));
    }

    #[test]
    fn forms_come_from_our_own_pages() {
        let host = ("host", "localhost:4002");
        let own = ("origin", "http://localhost:4002");
        assert!(is_from_us(&headers(&[host, own])));
        assert!(is_from_us(&headers(&[
            host,
            own,
            ("sec-fetch-site", "same-origin")
        ])));
        for other in [
            "http://evil.example",
            "null",
            "http://localhost:4003",
            "file://localhost:4002",
        ] {
            assert!(!is_from_us(&headers(&[host, ("origin", other)])), "{other}");
        }
        assert!(!is_from_us(&headers(&[host])));
        assert!(!is_from_us(&headers(&[host, own, own])));
        assert!(!is_from_us(&headers(&[
            host,
            own,
            ("sec-fetch-site", "cross-site")
        ])));
    }
}
