//! Clients: each is identified by its token, or otherwise by its address, and limited to a rate.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use arc_swap::ArcSwap;
use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use subtle::ConstantTimeEq as _;

/// Once in this many requests, clients that have been quiet for long are forgotten.
const FORGET_EVERY: u32 = 4096;

/// What a rate limit applies to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Client {
    /// A token, by its index in the configuration.
    Token(usize),
    /// An address without a token.
    Address(IpAddr),
}

/// The accepted tokens; if there are none, anybody may send. Clones share what replaces them.
#[derive(Clone, Default)]
pub struct Tokens {
    list: Arc<ArcSwap<Vec<Box<str>>>>,
    are_required: bool,
}

impl Tokens {
    /// Accepts these tokens.
    pub fn new(tokens: impl IntoIterator<Item = String>) -> Self {
        let list: Vec<Box<str>> = tokens.into_iter().map(String::into_boxed_str).collect();
        Self {
            are_required: !list.is_empty(),
            list: Arc::new(ArcSwap::from_pointee(list)),
        }
    }

    /// Accepts these from now on. Whether tokens are required does not change.
    pub fn replace(&self, tokens: Vec<String>) {
        let list = tokens.into_iter().map(String::into_boxed_str).collect();
        self.list.store(Arc::new(list));
    }

    /// Whether a token is needed.
    pub fn are_required(&self) -> bool {
        self.are_required
    }

    /// The index of the token in the headers, if it is accepted. Each accepted token is compared in constant time, so
    /// that the duration reveals nothing.
    pub fn find(&self, headers: &HeaderMap) -> Option<usize> {
        let value = headers.get(AUTHORIZATION)?.as_bytes();
        let (scheme, token) = value.split_at_checked(7)?;
        if !scheme.eq_ignore_ascii_case(b"bearer ") {
            return None;
        }
        self.index_of(token.trim_ascii())
    }

    /// The index of a token, if it is accepted; compared in the same way.
    pub fn index_of(&self, token: &[u8]) -> Option<usize> {
        let mut found = None;
        for (number, known) in self.list.load().iter().enumerate() {
            if bool::from(known.as_bytes().ct_eq(token)) {
                found = Some(number);
            }
        }
        found
    }
}

/// A client has sent too many requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany {
    /// Seconds until it may send again; at least 1.
    pub retry_after_seconds: u32,
    /// Requests it may send at once after a rest.
    pub burst: u32,
    /// Seconds of rest after which it may send all of them again.
    pub window_seconds: u32,
}

/// A limit of requests per second, for each client separately.
pub struct RateLimit {
    limiter: DefaultKeyedRateLimiter<Client>,
    burst: u32,
    window_seconds: u32,
    clock: DefaultClock,
    asked: AtomicU32,
}

impl RateLimit {
    /// Allows this many requests per second, and a burst after a rest.
    pub fn new(per_second: NonZeroU32, burst: NonZeroU32) -> Self {
        let quota = Quota::per_second(per_second).allow_burst(burst);
        Self {
            limiter: RateLimiter::keyed(quota),
            burst: burst.get(),
            window_seconds: burst.get().div_ceil(per_second.get()),
            clock: DefaultClock::default(),
            asked: AtomicU32::new(0),
        }
    }

    /// Counts a request; fails if the client has sent too many.
    pub fn check(&self, client: Client) -> Result<(), TooMany> {
        if self
            .asked
            .fetch_add(1, Ordering::Relaxed)
            .is_multiple_of(FORGET_EVERY)
        {
            // A client that may send a full burst again need not be remembered.
            self.limiter.retain_recent();
        }
        let denied = match self.limiter.check_key(&client) {
            Ok(()) => return Ok(()),
            Err(denied) => denied,
        };
        let wait = denied.wait_time_from(self.clock.now());
        let wait = u32::try_from(wait.as_secs()).unwrap_or(u32::MAX);
        Err(TooMany {
            retry_after_seconds: wait.saturating_add(1),
            burst: self.burst,
            window_seconds: self.window_seconds,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn headers(value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static(value))])
    }

    #[test]
    fn only_a_whole_bearer_token_is_accepted() {
        let tokens = Tokens::new(["first-secret".to_owned(), "second-secret".to_owned()]);
        assert_eq!(tokens.find(&headers("Bearer second-secret")), Some(1));
        assert_eq!(tokens.find(&headers("bearer first-secret")), Some(0));
        for bad in [
            "Bearer first-secre",
            "Basic first-secret",
            "Bearer ",
            "first-secret",
            "B",
        ] {
            assert_eq!(tokens.find(&headers(bad)), None, "{bad}");
        }
        assert_eq!(tokens.find(&HeaderMap::new()), None);
        assert!(!Tokens::default().are_required());
    }

    #[test]
    fn each_client_has_a_limit_of_its_own() {
        let one = NonZeroU32::MIN;
        let limit = RateLimit::new(one, one);
        assert_eq!(limit.check(Client::Token(0)), Ok(()));
        let too_many = TooMany {
            retry_after_seconds: 1,
            burst: 1,
            window_seconds: 1,
        };
        assert_eq!(limit.check(Client::Token(0)), Err(too_many));
        assert_eq!(limit.check(Client::Token(1)), Ok(()));
    }
}
