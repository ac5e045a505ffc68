//! Proxies in front of this service, whose word about a client's address counts.

use std::net::IpAddr;

use http::HeaderMap;

use super::networks::Networks;

/// The most addresses of a chain that are looked at.
const MAX_HOPS: usize = 16;

/// Networks of trusted proxies.
#[derive(Clone, Debug, Default)]
pub struct Proxies(Networks);

impl Proxies {
    /// Parses networks; the error is the first text that is none.
    pub fn parse(texts: &[String]) -> Result<Self, &str> {
        Networks::parse(texts).map(Self)
    }

    fn trust(&self, address: IpAddr) -> bool {
        self.0.have(address)
    }

    /// The client of a request: the peer, or if that is a proxy, the right-most address of `Forwarded` or
    /// `X-Forwarded-For` that is none. Whatever stands to the left of it is only what the client says.
    pub(super) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        if self.0.is_empty() || !self.trust(peer) {
            return peer;
        }
        let mut client = peer;
        for address in chain(headers).into_iter().rev().take(MAX_HOPS) {
            // An address that cannot be read hides what is to the left of it.
            let Some(address) = address else { break };
            client = address;
            if !self.trust(address) {
                break;
            }
        }
        client
    }
}

/// The addresses of the chain, from the left.
fn chain(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    let texts = |name: &str| -> Vec<&str> {
        let values = headers.get_all(name).iter();
        let texts = values.filter_map(|value| value.to_str().ok());
        texts.flat_map(|text| text.split(',')).collect()
    };
    let forwarded = texts("forwarded");
    if forwarded.is_empty() {
        let addresses = texts("x-forwarded-for").into_iter();
        return addresses.map(|text| address_of(text.trim())).collect();
    }
    let of = |element: &str| {
        let pairs = element.split(';').filter_map(|pair| pair.split_once('='));
        let mut named = pairs.filter(|(name, _)| name.trim().eq_ignore_ascii_case("for"));
        let (_, value) = named.next()?;
        address_of(value.trim().trim_matches('"'))
    };
    forwarded.into_iter().map(of).collect()
}

/// An address, perhaps with a port: `192.0.2.1:80`, `[2001:db8::1]:80`.
fn address_of(text: &str) -> Option<IpAddr> {
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    if let Ok(address) = text.parse::<std::net::SocketAddr>() {
        return Some(address.ip());
    }
    text.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;

    #[test]
    fn the_client_is_the_right_most_address_that_is_no_proxy() {
        let list = ["10.0.0.0/8".to_owned(), "fd00::/8".to_owned()];
        let proxies = Proxies::parse(&list).unwrap();
        for (peer, name, value, expected) in [
            ("192.0.2.7", "x-forwarded-for", "198.51.100.1", "192.0.2.7"),
            (
                "10.1.2.3",
                "x-forwarded-for",
                "198.51.100.1",
                "198.51.100.1",
            ),
            (
                "10.1.2.3",
                "x-forwarded-for",
                "1.1.1.1, 198.51.100.1, 10.9.9.9",
                "198.51.100.1",
            ),
            (
                "10.1.2.3",
                "x-forwarded-for",
                "1.1.1.1, nonsense, 10.9.9.9",
                "10.9.9.9",
            ),
            ("10.1.2.3", "x-forwarded-for", "10.2.2.2", "10.2.2.2"),
            (
                "::ffff:10.1.2.3",
                "x-forwarded-for",
                "198.51.100.1:4711",
                "198.51.100.1",
            ),
            (
                "fd00::1",
                "forwarded",
                "for=1.1.1.1, for=\"[2001:db8::1]:80\";proto=https",
                "2001:db8::1",
            ),
            (
                "10.1.2.3",
                "forwarded",
                "for=_hidden, for=unknown",
                "10.1.2.3",
            ),
            ("10.1.2.3", "x-other", "198.51.100.1", "10.1.2.3"),
        ] {
            let headers = HeaderMap::from_iter([(
                http::HeaderName::from_static(name),
                value.parse().unwrap(),
            )]);
            let client = proxies.client(peer.parse().unwrap(), &headers);
            assert_eq!(
                client,
                expected.parse::<IpAddr>().unwrap(),
                "{peer} {value}"
            );
        }
        for bad in ["10.0.0.0/33", "10.0.0/8", "fd00::/129", "x", "10.0.0.0/"] {
            assert_eq!(Proxies::parse(&[bad.to_owned()]).unwrap_err(), bad);
        }
    }
}
