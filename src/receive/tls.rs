//! TLS: a certificate chain and its key, read from PEM files and reloaded while the service runs.
//!
//! TLS 1.2 and 1.3 by rustls, with HTTP/1.1, and HTTP/2 where it is on. A pair that cannot be used never replaces a good one: the error is
//! logged, and handshakes go on with the old pair. Connections keep the pair that they began with. No part of a key ever
//! appears in a message.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::net::TcpStream;
use tokio::signal::unix::Signal;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs};
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio_rustls::rustls::{Error as RustlsError, InconsistentKeys, ServerConfig};
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use super::certificate::not_after;
use crate::clock::Micros;

/// How often the files are checked for changes.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// A certificate that ends within this time should have been renewed.
const EARLY: Duration = Duration::from_secs(14 * 24 * 60 * 60);
/// A larger file is neither a chain nor a key.
const MAX_FILE_BYTES: u64 = 1 << 20;
/// Permissions of everybody but the owner and the group: a key is often shared by a group of TLS servers.
const MODE_OF_OTHERS: u32 = 0o007;
/// The names of protocols inside TLS.
const HTTP1: &[u8] = b"http/1.1";
pub(super) const HTTP2: &[u8] = b"h2";

/// The files of a certificate chain and its key.
#[derive(Clone, Debug)]
pub struct Files {
    /// PEM: the server's certificate first, then those that lead to its root.
    pub cert: PathBuf,
    /// PEM: the private key of the first certificate.
    pub key: PathBuf,
}

/// Why a pair cannot be used. Each message names the key of the configuration and the file.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("`{key}`: {} cannot be read: {error}", .path.display())]
    Read {
        /// The key of the configuration.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        error: io::Error,
    },
    /// The file holds no certificate.
    #[error(
        "`server.tls_cert_file`: {} holds no certificate in sound PEM (-----BEGIN CERTIFICATE-----)",
        .0.display()
    )]
    NoCertificate(PathBuf),
    /// The file holds no private key.
    #[error(
        "`server.tls_key_file`: {} holds no private key in sound PEM (PKCS #8, PKCS #1 or SEC 1, \
         without a password)",
        .0.display()
    )]
    NoKey(PathBuf),
    /// The key is of a kind that cannot sign.
    #[error(
        "`server.tls_key_file`: {} holds a key that cannot be used; take an RSA, ECDSA or Ed25519 key",
        .0.display()
    )]
    BadKey(PathBuf),
    /// The server's certificate cannot be used.
    #[error("`server.tls_cert_file`: the first certificate of {} cannot be used: {error}", .path.display())]
    BadCertificate {
        /// The file.
        path: PathBuf,
        /// What the TLS library says.
        error: RustlsError,
    },
    /// The key belongs to another certificate.
    #[error(
        "`server.tls_key_file`: the key in {} does not belong to the first certificate of {}; a chain \
         begins with the server's own",
        .key.display(), .cert.display()
    )]
    Mismatch {
        /// The key's file.
        key: PathBuf,
        /// The chain's file.
        cert: PathBuf,
    },
    /// The cryptographic provider cannot be used.
    #[error("TLS cannot be set up: {0}")]
    Settings(RustlsError),
}

impl Files {
    /// Reads the pair and checks that it can be used. Returns warnings about what is allowed, but probably unintended.
    pub fn check(&self, now: Micros) -> Result<Vec<String>, TlsError> {
        let pair = self.read()?;
        pair.settings(self)?;
        let warnings = self.open_to_others().into_iter();
        Ok(warnings.chain(self.ending(&pair, now)).collect())
    }

    fn open_to_others(&self) -> Option<String> {
        let mode = std::fs::metadata(&self.key).ok()?.permissions().mode();
        (mode & MODE_OF_OTHERS != 0).then(|| {
            let path = self.key.display();
            format!(
                "`server.tls_key_file`: {path} can be read by everybody; chmod 600 it, or 640 with a \
                 group of its own"
            )
        })
    }

    fn ending(&self, pair: &Pair, now: Micros) -> Option<String> {
        let end = pair.end()?;
        (end < now.plus(EARLY)).then(|| {
            let path = self.cert.display();
            let word = if end < now { "ended" } else { "ends" };
            format!("`server.tls_cert_file`: the certificate in {path} {word} at {end}; renew it")
        })
    }

    fn read(&self) -> Result<Pair, TlsError> {
        Ok(Pair {
            cert: read(&self.cert, "server.tls_cert_file")?,
            key: read(&self.key, "server.tls_key_file")?,
        })
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "a certificate is configuration, and nothing durable"
)]
fn read(path: &Path, key: &'static str) -> Result<Vec<u8>, TlsError> {
    let read = || {
        let mut bytes = Vec::new();
        let file = File::open(path)?;
        file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MAX_FILE_BYTES {
            return Err(io::Error::other("it is larger than 1 MiB"));
        }
        Ok(bytes)
    };
    read().map_err(|error| TlsError::Read {
        key,
        path: path.to_owned(),
        error,
    })
}

/// The content of the files.
struct Pair {
    cert: Vec<u8>,
    key: Vec<u8>,
}

impl Pair {
    /// A hash that differs if the content differs, and that reveals nothing of the key.
    fn digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(self.cert.len().to_le_bytes());
        hash.update(&self.cert);
        hash.update(&self.key);
        hash.finalize().into()
    }

    /// When the server's certificate ends, if that can be read.
    fn end(&self) -> Option<Micros> {
        let mut chain = CertificateDer::pem_slice_iter(&self.cert);
        not_after(chain.next()?.ok()?.as_ref())
    }

    fn settings(&self, files: &Files) -> Result<Settings, TlsError> {
        let provider = aws_lc_rs::default_provider();
        let certified = self.certified(files, &provider)?;
        let settings = ServerConfig::builder_with_provider(Arc::new(provider));
        let settings = settings.with_safe_default_protocol_versions();
        // Each pair has its own store of sessions, so that a session of another certificate is never resumed.
        let mut settings = settings
            .map_err(TlsError::Settings)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
        settings.alpn_protocols = vec![HTTP1.to_vec()];
        let mut with_http2 = settings.clone();
        with_http2.alpn_protocols.insert(0, HTTP2.to_vec());
        Ok(Settings {
            with_http2: Arc::new(with_http2),
            without: Arc::new(settings),
        })
    }

    fn certified(
        &self,
        files: &Files,
        provider: &CryptoProvider,
    ) -> Result<CertifiedKey, TlsError> {
        // The reader's error about bad PEM may show parts of it, so it is not used in messages.
        let chain = CertificateDer::pem_slice_iter(&self.cert).collect::<Result<Vec<_>, _>>();
        let chain = chain.unwrap_or_default();
        if chain.is_empty() {
            return Err(TlsError::NoCertificate(files.cert.clone()));
        }
        let key = PrivateKeyDer::from_pem_slice(&self.key)
            .map_err(|_shows_the_key| TlsError::NoKey(files.key.clone()))?;
        let key = provider.key_provider.load_private_key(key);
        let key = key.map_err(|_reason| TlsError::BadKey(files.key.clone()))?;
        let certified = CertifiedKey::new(chain, key);
        match certified.keys_match() {
            Ok(()) | Err(RustlsError::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(certified),
            Err(RustlsError::InconsistentKeys(_)) => Err(TlsError::Mismatch {
                key: files.key.clone(),
                cert: files.cert.clone(),
            }),
            Err(error) => Err(TlsError::BadCertificate {
                path: files.cert.clone(),
                error,
            }),
        }
    }
}

/// The pair in use.
pub struct Tls {
    files: Files,
    state: Mutex<State>,
}

/// What a handshake offers.
struct Settings {
    with_http2: Arc<ServerConfig>,
    without: Arc<ServerConfig>,
}

struct State {
    settings: Settings,
    /// When the certificate ends, if that can be read.
    end: Option<Micros>,
    /// Hash of the content that was tried last, whether it could be used or not.
    tried: [u8; 32],
    /// The last error about unreadable files, so that each is logged once.
    unreadable: Option<String>,
}

impl Tls {
    /// Loads the pair from its files.
    pub fn load(files: Files) -> Result<Self, TlsError> {
        let pair = files.read()?;
        let state = State {
            settings: pair.settings(&files)?,
            end: pair.end(),
            tried: pair.digest(),
            unreadable: None,
        };
        Ok(Self {
            files,
            state: Mutex::new(state),
        })
    }

    /// When the certificate in use ends, if that can be read.
    pub fn end(&self) -> Option<Micros> {
        self.state().end
    }

    /// Performs the handshake, which must be done within `limit`.
    pub(super) async fn accept(
        &self,
        stream: TcpStream,
        limit: Duration,
        offers_http2: bool,
    ) -> io::Result<TlsStream<TcpStream>> {
        let settings = {
            let settings = &self.state().settings;
            Arc::clone(if offers_http2 {
                &settings.with_http2
            } else {
                &settings.without
            })
        };
        let handshake = TlsAcceptor::from(settings).accept(stream);
        tokio::time::timeout(limit, handshake)
            .await
            .unwrap_or_else(|_late| {
                let detail = "the handshake took too long";
                Err(io::Error::new(io::ErrorKind::TimedOut, detail))
            })
    }

    /// Reloads changed files, at intervals and on each signal, until `stop` is cancelled.
    pub(super) async fn watch(self: Arc<Self>, mut signal: Signal, stop: CancellationToken) {
        loop {
            let is_asked_for = tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => false,
                _ = signal.recv() => true,
            };
            let tls = Arc::clone(&self);
            let looking = tokio::task::spawn_blocking(move || tls.look_again(is_asked_for));
            if let Err(error) = looking.await {
                tracing::error!(%error, "failed to reload the certificate");
            }
        }
    }

    fn look_again(&self, is_asked_for: bool) {
        let pair = match self.files.read() {
            Ok(pair) => pair,
            Err(error) => {
                let said = Some(error.to_string());
                let before = std::mem::replace(&mut self.state().unreadable, said.clone());
                if is_asked_for || before != said {
                    tracing::warn!(%error, "the certificate cannot be reloaded; the old one stays in use");
                }
                return;
            }
        };
        let digest = pair.digest();
        {
            let mut state = self.state();
            state.unreadable = None;
            if !is_asked_for && state.tried == digest {
                return;
            }
            state.tried = digest;
        }
        match pair.settings(&self.files) {
            Ok(settings) => {
                let mut state = self.state();
                state.settings = settings;
                state.end = pair.end();
                drop(state);
                tracing::info!(file = %self.files.cert.display(), "certificate reloaded");
            }
            Err(error) => {
                tracing::warn!(%error, "the new certificate cannot be used; the old one stays in use");
            }
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
