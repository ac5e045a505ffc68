//! Credentials that are read again when they change.
//!
//! The SDK reads the files of credentials and configuration once. Here the whole chain of providers
//! is built again when one of these files has changed, and when the store says that the credentials
//! have expired or are not known. The credentials that the chain returns are kept until shortly
//! before they expire.

use std::fmt;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use tokio::sync::Mutex;
use tokio::time::Instant;

use lakehook_base::clock::Clock;

/// Longest time for the chain of providers to return credentials.
const LOAD_LIMIT: Duration = Duration::from_secs(10);
/// Credentials are replaced this long before they expire.
const EARLY: Duration = Duration::from_secs(60);
/// How long credentials without an expiry are kept: a command that prints them may have new ones.
const KEEP: Duration = Duration::from_secs(15 * 60);
/// Shortest time between two readings of credentials that the store refuses.
const PAUSE: Duration = Duration::from_secs(10);

/// The credentials of the environment, read again when they change. Clones share what they have read.
#[derive(Clone)]
pub(super) struct Reloading(Arc<Shared>);

struct Shared {
    region: Option<Region>,
    /// The files of credentials and configuration, whether they exist or not.
    files: Vec<PathBuf>,
    clock: Clock,
    /// Whether the store has refused the credentials that were loaded last.
    refused: AtomicBool,
    loaded: Mutex<Loaded>,
}

#[derive(Default)]
struct Loaded {
    chain: Option<SharedCredentialsProvider>,
    /// Stamp of each file when the chain was built; `None` if there was no file.
    files: Vec<Option<FileStamp>>,
    made_at: Option<Instant>,
    kept: Option<(Credentials, Instant)>,
}

/// Distinguishes versions of a file without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileStamp {
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
}

impl Reloading {
    /// Credentials that are read when they are first needed.
    pub(super) fn new(region: Option<Region>) -> Self {
        let files = [
            ("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials"),
            ("AWS_CONFIG_FILE", ".aws/config"),
        ];
        let files = files
            .into_iter()
            .filter_map(|(name, default)| file(name, default));
        Self(Arc::new(Shared {
            region,
            files: files.collect(),
            clock: Clock::system(),
            refused: AtomicBool::new(false),
            loaded: Mutex::default(),
        }))
    }

    /// Notes that the store has refused the credentials: they are read again for the next request.
    pub(super) fn refused(&self) {
        self.0.refused.store(true, Ordering::SeqCst);
    }

    async fn credentials(&self) -> Result<Credentials, CredentialsError> {
        let shared = &*self.0;
        let mut loaded = shared.loaded.lock().await;
        let files: Vec<_> = shared.files.iter().map(stamp).collect();
        let now = Instant::now();
        let is_due = loaded.made_at.is_none_or(|made_at| now >= made_at + PAUSE);
        if files != loaded.files || is_due && shared.refused.swap(false, Ordering::SeqCst) {
            *loaded = Loaded::default();
        }
        if let Some((credentials, since)) = &loaded.kept
            && self.are_fresh(credentials, now - *since)
        {
            return Ok(credentials.clone());
        }
        let chain = match &loaded.chain {
            Some(chain) => chain.clone(),
            None => {
                let chain = self.chain().await?;
                loaded.files = files;
                loaded.made_at = Some(now);
                loaded.chain.insert(chain).clone()
            }
        };
        let credentials = tokio::time::timeout(LOAD_LIMIT, chain.provide_credentials())
            .await
            .map_err(|_elapsed| CredentialsError::provider_timed_out(LOAD_LIMIT))??;
        loaded.kept = Some((credentials.clone(), now));
        Ok(credentials)
    }

    fn are_fresh(&self, credentials: &Credentials, age: Duration) -> bool {
        let Some(expiry) = credentials.expiry() else {
            return age < KEEP;
        };
        let expiry = expiry.duration_since(UNIX_EPOCH).unwrap_or_default();
        let left = expiry.saturating_sub(EARLY).as_micros();
        i64::try_from(left).unwrap_or(i64::MAX) > self.0.clock.now().wall.0
    }

    /// The providers that every AWS tool asks, in the same order.
    async fn chain(&self) -> Result<SharedCredentialsProvider, CredentialsError> {
        let loader = aws_config::defaults(BehaviorVersion::latest()).region(self.0.region.clone());
        let config = loader.load().await;
        config
            .credentials_provider()
            .ok_or_else(CredentialsError::not_loaded_no_source)
    }
}

impl ProvideCredentials for Reloading {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.credentials())
    }
}

impl fmt::Debug for Reloading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reloading")
    }
}

/// A file that a variable of the environment names, or that is in the home directory.
fn file(variable: &str, default: &str) -> Option<PathBuf> {
    let home = || std::env::var_os("HOME").map(PathBuf::from);
    match std::env::var_os(variable).filter(|path| !path.is_empty()) {
        Some(path) => {
            let path = PathBuf::from(path);
            match path.strip_prefix("~") {
                Ok(rest) => Some(home()?.join(rest)),
                Err(_) => Some(path),
            }
        }
        None => Some(home()?.join(default)),
    }
}

fn stamp(path: &PathBuf) -> Option<FileStamp> {
    let metadata = std::fs::metadata(path).ok()?;
    Some(FileStamp {
        inode: metadata.ino(),
        bytes: metadata.len(),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
    })
}
