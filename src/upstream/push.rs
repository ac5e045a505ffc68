//! One push: the same body again and again, until the receiver gives a final answer.
//!
//! A failed connection, a timeout, 408, 429 and 5xx are retried; every other status is final. `Retry-After` is honoured
//! if it is in seconds; a date is ignored.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use reqwest::{Client, Response, Url};

use super::chance::Chance;
use super::sent::{Counters, PushResult};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
const FIRST_BACKOFF: Duration = Duration::from_millis(200);
const MAX_BACKOFF: Duration = Duration::from_secs(10);
/// Longest wait that a `Retry-After` can ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_mins(5);
/// Most bytes of an answer that are read.
const MAX_ANSWER_BYTES: usize = 1 << 20;

/// How one attempt ended.
enum Attempt {
    /// The receiver gave a final answer.
    Final(PushResult),
    /// The attempt should be repeated.
    Again {
        retry_after: Option<Duration>,
        trouble: String,
    },
}

/// The target of pushes.
#[derive(Debug)]
pub(super) struct Webhook {
    client: Client,
    url: Url,
}

impl Webhook {
    /// A client for that URL, which ignores the proxies of the environment.
    pub(super) fn new(url: Url) -> reqwest::Result<Self> {
        let client = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(ANSWER_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()?;
        Ok(Self { client, url })
    }

    /// Sends `body` until there is a final answer. May be dropped at any time.
    pub(super) async fn push(
        &self,
        body: &Bytes,
        counters: &Counters,
        chance: &Chance,
    ) -> PushResult {
        let mut backoff = FIRST_BACKOFF;
        let mut is_first = true;
        loop {
            let (retry_after, trouble) = match self.attempt(body).await {
                Attempt::Final(outcome) => return outcome,
                Attempt::Again {
                    retry_after,
                    trouble,
                } => (retry_after, trouble),
            };
            if is_first {
                // Logged once per push: it is repeated until it succeeds, and more lines would say nothing new.
                tracing::warn!(url = %self.url, trouble, "push failed, will be retried");
            }
            is_first = false;
            let wait = jittered(backoff, chance).max(retry_after.unwrap_or_default());
            tokio::time::sleep(wait).await;
            backoff = (backoff * 2).min(MAX_BACKOFF);
            counters.retry();
        }
    }

    async fn attempt(&self, body: &Bytes) -> Attempt {
        let request = self
            .client
            .post(self.url.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .body(body.clone());
        match request.send().await {
            Ok(response) => judge(response).await,
            Err(error) => Attempt::Again {
                retry_after: None,
                trouble: describe(&error),
            },
        }
    }
}

async fn judge(response: Response) -> Attempt {
    let status = response.status();
    if is_passing(status) {
        return Attempt::Again {
            retry_after: retry_after(response.headers()),
            trouble: status.to_string(),
        };
    }
    if !status.is_success() {
        tracing::info!(%status, "push refused");
        return Attempt::Final(PushResult::Refused);
    }
    match read(response).await {
        Ok(answer) => Attempt::Final(
            serde_json::from_slice(&answer).map_or(PushResult::Unanswered, PushResult::Counted),
        ),
        // The events may be stored; only sending the same body again can tell.
        Err(error) => Attempt::Again {
            retry_after: None,
            trouble: describe(&error),
        },
    }
}

fn is_passing(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS
    ) || status.is_server_error()
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(header::RETRY_AFTER)?.to_str().ok()?;
    let duration = Duration::from_secs(seconds.trim().parse().ok()?);
    Some(duration.min(MAX_RETRY_AFTER))
}

/// The body of the answer, cut off at the limit.
async fn read(mut response: Response) -> reqwest::Result<Vec<u8>> {
    let mut answer = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        let room = MAX_ANSWER_BYTES - answer.len();
        answer.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if answer.len() == MAX_ANSWER_BYTES {
            break;
        }
    }
    Ok(answer)
}

/// Half of the backoff, plus a random part of the other half.
fn jittered(backoff: Duration, chance: &Chance) -> Duration {
    backoff.mul_f64(0.5 + chance.fraction() / 2.0)
}

/// The error with its innermost cause, such as `connection refused`, which tells people most.
fn describe(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_passing_troubles_are_tried_again() {
        for status in [408, 429, 500, 503, 504] {
            assert!(StatusCode::from_u16(status).is_ok_and(is_passing));
        }
        for status in [200, 204, 301, 400, 401, 404, 409, 410, 413, 415] {
            assert!(!StatusCode::from_u16(status).is_ok_and(is_passing));
        }
    }

    #[test]
    fn retry_after_is_read_in_seconds_and_bounded() {
        let read = |text: &'static str| {
            let value = http::HeaderValue::from_static(text);
            retry_after(&HeaderMap::from_iter([(header::RETRY_AFTER, value)]))
        };
        assert_eq!(read("2"), Some(Duration::from_secs(2)));
        assert_eq!(read("999999999"), Some(MAX_RETRY_AFTER));
        assert_eq!(read("Wed, 21 Oct 2026 07:28:00 GMT"), None);
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }

    #[test]
    fn jitter_keeps_at_least_half_and_at_most_all() {
        let chance = Chance::from_seed(1);
        for _ in 0..100 {
            let wait = jittered(Duration::from_secs(2), &chance);
            assert!((Duration::from_secs(1)..=Duration::from_secs(2)).contains(&wait));
        }
    }
}
