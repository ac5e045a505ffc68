//! What is fetched from Amazon SNS: certificates, and the URLs that confirm subscriptions.
//!
//! The caller makes sure that a URL is one of SNS. Nothing else is ever asked: redirects are not followed, an answer has
//! at most 64 KiB and takes at most ten seconds, one certificate is fetched at a time, and few are kept. A URL that gave
//! none is left alone for a minute, and while many did, no further one is asked for.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::StatusCode;
use reqwest::Client;
use reqwest::redirect::Policy;
use tokio::sync::OnceCell;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;

use super::certificate::{not_after, public_key};
use crate::clock::{Clock, Micros};
use crate::signature::{Algorithm, SigningKey};

const TIMEOUT: Duration = Duration::from_secs(10);
const MAX_BYTES: usize = 64 << 10;
/// Each region has its own, and replaces it about once a year.
const MAX_CERTIFICATES: usize = 64;
const MAX_FAILURES: usize = 16;
/// How long a URL that gave no certificate is left alone.
const PAUSE: Duration = Duration::from_secs(60);

/// Fetches, and keeps certificates.
#[derive(Default)]
pub(super) struct SnsClient {
    client: OnceCell<Client>,
    known: Mutex<Known>,
    /// Held while a certificate is fetched.
    fetching: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Known {
    certificates: BTreeMap<String, Arc<Certificate>>,
    /// Until when a URL is left alone, by the monotonic clock, and why.
    failures: BTreeMap<String, (Duration, String)>,
}

/// A certificate whose key verifies messages.
pub(super) struct Certificate {
    of_sha1: Option<SigningKey>,
    of_sha256: Option<SigningKey>,
    not_after: Micros,
}

impl Certificate {
    fn of_pem(pem: &[u8]) -> Option<Self> {
        let der = CertificateDer::from_pem_slice(pem).ok()?;
        let key = public_key(&der)?;
        let of_sha256 = Algorithm::RsaSha256.key(key);
        of_sha256.is_some().then_some(())?;
        Some(Self {
            of_sha1: Algorithm::RsaSha1.key(key),
            of_sha256,
            not_after: not_after(&der)?,
        })
    }

    /// Its key for that algorithm.
    pub(super) fn key(&self, algorithm: Algorithm) -> Option<&SigningKey> {
        match algorithm {
            Algorithm::RsaSha1 => self.of_sha1.as_ref(),
            Algorithm::RsaSha256 => self.of_sha256.as_ref(),
            _ => None,
        }
    }
}

impl Known {
    /// What is known of a URL now.
    fn find(&mut self, url: &str, clock: &Clock) -> Option<Result<Arc<Certificate>, String>> {
        let now = clock.now();
        self.certificates
            .retain(|_, certificate| now.wall <= certificate.not_after);
        self.failures.retain(|_, (until, _)| now.mono < *until);
        if let Some(certificate) = self.certificates.get(url) {
            return Some(Ok(Arc::clone(certificate)));
        }
        if let Some((_, why)) = self.failures.get(url) {
            return Some(Err(why.clone()));
        }
        let is_busy = self.failures.len() >= MAX_FAILURES;
        is_busy.then(|| Err("too many others could not be fetched lately".to_owned()))
    }
}

impl SnsClient {
    /// The certificate at a URL of SNS. The error says why there is none.
    pub(super) async fn certificate(
        &self,
        url: &str,
        clock: &Clock,
    ) -> Result<Arc<Certificate>, String> {
        if let Some(known) = self.known().find(url, clock) {
            return known;
        }
        let turn = tokio::time::timeout(TIMEOUT, self.fetching.lock()).await;
        let _turn = turn.map_err(|_late| "another one is being fetched".to_owned())?;
        // The request that held the lock before may have fetched it.
        if let Some(known) = self.known().find(url, clock) {
            return known;
        }
        let fetched = self.fetch(url, clock.wall()).await;
        let mut known = self.known();
        match &fetched {
            Ok(certificate) => {
                if known.certificates.len() >= MAX_CERTIFICATES {
                    known.certificates.pop_first();
                }
                let certificate = Arc::clone(certificate);
                known.certificates.insert(url.to_owned(), certificate);
            }
            Err(why) => {
                let until = clock.mono() + PAUSE;
                known.failures.insert(url.to_owned(), (until, why.clone()));
                tracing::warn!(
                    url,
                    why,
                    "no certificate of SNS; its messages are answered 503"
                );
            }
        }
        fetched
    }

    async fn fetch(&self, url: &str, now: Micros) -> Result<Arc<Certificate>, String> {
        let pem = self.get(url).await?;
        let certificate = Certificate::of_pem(&pem);
        let certificate = certificate.ok_or("the answer holds no certificate of an RSA key")?;
        if certificate.not_after < now {
            return Err("the certificate has expired".to_owned());
        }
        Ok(Arc::new(certificate))
    }

    /// Opens a URL of SNS, and discards the answer.
    pub(super) async fn open(&self, url: &str) -> Result<(), String> {
        self.get(url).await.map(drop)
    }

    async fn get(&self, url: &str) -> Result<Vec<u8>, String> {
        let told = |error: reqwest::Error| describe(&error.without_url());
        let client = self.client.get_or_try_init(async || client()).await;
        let mut response = client.map_err(told)?.get(url).send().await.map_err(told)?;
        let status = response.status();
        if status != StatusCode::OK {
            return Err(format!("SNS answered {status}"));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(told)? {
            if body.len() + chunk.len() > MAX_BYTES {
                return Err(format!("SNS answered more than {MAX_BYTES} bytes"));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn client() -> reqwest::Result<Client> {
    Client::builder()
        .https_only(true)
        .redirect(Policy::none())
        .timeout(TIMEOUT)
        .user_agent(concat!("lakehook/", env!("CARGO_PKG_VERSION")))
        .build()
}

/// An error with its causes, the innermost of which says what happened.
fn describe(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}
