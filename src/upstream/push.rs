//! One push: the same body again and again, until the receiver gives a final answer.
//!
//! No connection, a timeout, 408, 429 and 5xx are passing troubles; every other status is final.
//! `Retry-After` is honoured in its form in seconds; a date is read as if there were none.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use reqwest::{Client, Response, Url};

use super::chance::Chance;
use super::sent::{Counters, Outcome};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
const FIRST_BACKOFF: Duration = Duration::from_millis(200);
const MAX_BACKOFF: Duration = Duration::from_secs(10);
/// A receiver that asks for more patience than this is asked again nevertheless.
const MAX_RETRY_AFTER: Duration = Duration::from_mins(5);
/// More of an answer is never read.
const MAX_ANSWER_BYTES: usize = 1 << 20;

/// What one attempt led to.
enum Attempt {
    /// The receiver has decided.
    Final(Outcome),
    /// It may go better later.
    Again {
        retry_after: Option<Duration>,
        trouble: String,
    },
}

/// Where pushes go, and how.
#[derive(Debug)]
pub(super) struct Webhook {
    client: Client,
    url: Url,
}

impl Webhook {
    /// For that URL, whatever proxies the environment names.
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
    pub(super) async fn push(&self, body: &Bytes, counters: &Counters, chance: &Chance) -> Outcome {
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
                // Once a push: it is not given up, so more lines would say nothing new.
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
        return Attempt::Final(Outcome::Refused);
    }
    match read(response).await {
        Ok(answer) => Attempt::Final(
            serde_json::from_slice(&answer).map_or(Outcome::Unanswered, Outcome::Counted),
        ),
        // The events may be stored; only the same body again can tell.
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

/// The answer's body, cut off where it gets too long to be one.
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

/// Half of the backoff, and a random part of the other half.
fn jittered(backoff: Duration, chance: &Chance) -> Duration {
    backoff.mul_f64(0.5 + chance.fraction() / 2.0)
}

/// The error with its innermost cause, which is what people need: `connection refused`.
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
