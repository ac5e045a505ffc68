//! The senders. Each repeats a request until it has a final answer, as senders of webhooks do, and then sends the next.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use serde::Deserialize;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::events::Source;
use super::ledger::{Ledger, Purpose, Said};

/// Number of senders, each with a connection of its own.
const SENDERS: u64 = 6;
/// An attempt without an answer after this time is lost. Some pauses of the server are longer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// Pause between an answer and the next request, so that a retry stays within the dedup window.
const THINK: Duration = Duration::from_millis(15);
/// Pause before a request is sent again.
const PAUSE: Duration = Duration::from_millis(50);
const LOG_FULL: &str = "urn:lakehook:problem:log-full";

/// All senders.
#[derive(Debug)]
pub struct Senders {
    /// The state that they share.
    pub shared: Arc<Shared>,
    tasks: JoinSet<()>,
}

/// The state that senders share.
#[derive(Debug)]
pub struct Shared {
    http: reqwest::Client,
    /// Where requests are taken: one URL for each node.
    urls: Vec<String>,
    source: Source,
    ledger: Mutex<Ledger>,
    /// Whether new requests hold large events.
    pub heavy: AtomicBool,
    /// Requests that were acknowledged.
    pub acknowledged: AtomicU64,
    /// Cancelled once no new requests are to be sent.
    ending: CancellationToken,
    /// Cancelled once open requests are not to be repeated either.
    over: CancellationToken,
}

impl Shared {
    /// Locks the ledger; hold it for short moments only.
    pub fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the ledger out, once nobody sends any more.
    pub fn take_ledger(&self) -> Ledger {
        std::mem::replace(&mut *self.ledger(), Ledger::new(self.source))
    }
}

/// How one attempt ended.
enum Attempt {
    Final(u16, Option<Said>),
    PutOff { status: u16, log_is_full: bool },
    Lost,
}

/// The member of a problem that we read.
#[derive(Deserialize)]
struct ProblemType {
    r#type: String,
}

impl Senders {
    /// Starts sending to these URLs, of which there is at least one.
    pub fn start(urls: Vec<String>, source: Source) -> reqwest::Result<Self> {
        let http = reqwest::Client::builder()
            .timeout(ANSWER_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()?;
        let shared = Arc::new(Shared {
            http,
            urls,
            source,
            ledger: Mutex::new(Ledger::new(source)),
            heavy: AtomicBool::new(false),
            acknowledged: AtomicU64::new(0),
            ending: CancellationToken::new(),
            over: CancellationToken::new(),
        });
        let mut tasks = JoinSet::new();
        for _ in 0..SENDERS {
            let shared = Arc::clone(&shared);
            tasks.spawn(async move { shared.send().await });
        }
        Ok(Self { shared, tasks })
    }

    /// Sends nothing new, repeats open requests for at most `patience`, and ends.
    pub async fn finish(mut self, patience: Duration) -> Arc<Shared> {
        self.shared.ending.cancel();
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(patience, all).await.is_err() {
            self.shared.over.cancel();
            while self.tasks.join_next().await.is_some() {}
        }
        self.shared
    }
}

impl Shared {
    async fn send(&self) {
        while !self.ending.is_cancelled() {
            let heavy = self.heavy.load(Ordering::Relaxed);
            let Some(request) = self.ledger().begin(heavy) else {
                return;
            };
            let body = Bytes::from(self.source.body(request, heavy));
            if !self.exchange(request, Purpose::First, &body).await {
                return;
            }
            self.acknowledged.fetch_add(1, Ordering::Relaxed);
            if self.source.is_repeated(request) {
                self.exchange(request, Purpose::Repeat, &body).await;
            }
            if self.source.is_contested(request) {
                let body = Bytes::from(self.source.contest_body(request));
                self.exchange(request, Purpose::Contest, &body).await;
            }
            tokio::time::sleep(THINK).await;
        }
    }

    /// Sends a request until there is a final answer; false if the run ended before.
    async fn exchange(&self, request: u64, purpose: Purpose, body: &Bytes) -> bool {
        for attempt in 0.. {
            if self.over.is_cancelled() {
                return false;
            }
            self.ledger().sends(request, purpose, attempt);
            match self
                .attempt(self.url(request, purpose, attempt), body)
                .await
            {
                Attempt::Final(status, said) => {
                    let mut ledger = self.ledger();
                    ledger.answered(request, purpose, status, said, attempt);
                    return true;
                }
                Attempt::PutOff {
                    status,
                    log_is_full,
                } => {
                    self.ledger().put_off(status, log_is_full);
                }
                Attempt::Lost => self.ledger().lost(),
            }
            tokio::time::sleep(PAUSE).await;
        }
        false
    }

    /// Where it is sent. What is sent again goes to another node than before, if there are several.
    fn url(&self, request: u64, purpose: Purpose, attempt: u64) -> &str {
        let repeats = u64::from(purpose != Purpose::First);
        let place = (request + repeats + attempt) % self.urls.len().max(1) as u64;
        &self.urls[place as usize]
    }

    async fn attempt(&self, url: &str, body: &Bytes) -> Attempt {
        let request = self.http.post(url).body(body.clone());
        let sent = request
            .header(CONTENT_TYPE, "application/json")
            .send()
            .await;
        let Ok(response) = sent else {
            return Attempt::Lost;
        };
        let status = response.status().as_u16();
        // Without its body an answer does not say what happened to the events.
        let Ok(answer) = response.bytes().await else {
            return Attempt::Lost;
        };
        if matches!(status, 408 | 429 | 503) {
            let problem = serde_json::from_slice::<ProblemType>(&answer);
            return Attempt::PutOff {
                status,
                log_is_full: problem.is_ok_and(|problem| problem.r#type == LOG_FULL),
            };
        }
        Attempt::Final(status, serde_json::from_slice(&answer).ok())
    }
}
