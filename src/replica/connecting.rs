//! A connection to servers of NATS is made, with credentials and certificates, and what the servers say of it that
//! is no answer to a request is kept: a missing right, or why they do not take this user.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::{Client, ConnectError, ConnectErrorKind, ConnectOptions, Event, ServerAddr};

use super::credentials;
use crate::clock::Clock;
use crate::lake::{LakeError, Trouble};

/// How long it may take to connect.
const CONNECT: Duration = Duration::from_secs(5);
/// A connection that is silent for so long is asked whether it is alive.
const PING: Duration = Duration::from_secs(5);
/// Requests that wait for the connection. Each may hold a message, so they are few.
const WAITING: usize = 64;
/// Most characters that are kept of what a server says.
const MAX_SAID: usize = 300;

/// How the servers are reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NatsAccess {
    /// Their URLs, such as `nats://n1:4222`.
    pub servers: Vec<String>,
    /// A file with the credentials of a user.
    pub creds_file: Option<PathBuf>,
    /// A file with the certificates to trust, instead of those of the system.
    pub ca_file: Option<PathBuf>,
    /// Files with a client's certificate and its key.
    pub client_cert: Option<(PathBuf, PathBuf)>,
}

/// The newest complaint of the servers, and how many there were.
#[derive(Debug, Default)]
struct Said {
    count: u64,
    newest: String,
}

/// What servers complain about without being asked.
#[derive(Clone, Debug, Default)]
pub(super) struct Complaints(Arc<Mutex<Said>>);

impl Complaints {
    fn note(&self, event: Event) {
        let text = match event {
            Event::ServerError(error) => error.to_string(),
            Event::ClientError(error) => error.to_string(),
            _ => return,
        };
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        said.count += 1;
        let text = text.trim_start_matches("nats: ");
        said.newest = text.chars().take(MAX_SAID).collect();
    }

    /// How many there were so far.
    pub(super) fn count(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).count
    }

    /// The newest one, if there were more than so many.
    pub(super) fn after(&self, count: u64) -> Option<String> {
        let said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (said.count > count).then(|| said.newest.clone())
    }
}

/// Whether a complaint is about a right that the user lacks.
pub(super) fn is_about_rights(complaint: &str) -> bool {
    complaint.to_lowercase().contains("permissions violation")
}

/// Connects to one of the servers. The client finds another one by itself later.
pub(super) async fn connect(access: &NatsAccess) -> Result<(Client, Complaints), LakeError> {
    let unusable = |error: &dyn std::fmt::Display, what: &str| {
        LakeError::Unusable(format!("{what} cannot be used: {error}"))
    };
    let mut options = match access.creds_file.clone() {
        None => ConnectOptions::new(),
        Some(file) => {
            if let Some(trouble) = credentials::trouble(&file).await {
                return Err(unusable(&trouble, "wal.nats_creds_file"));
            }
            ConnectOptions::with_auth_callback(move |nonce| credentials::sign(file.clone(), nonce))
        }
    };
    let complaints = Complaints::default();
    let of_events = complaints.clone();
    options = options
        .name(concat!("lakehook ", env!("CARGO_PKG_VERSION")))
        .connection_timeout(CONNECT)
        .ping_interval(PING)
        .client_capacity(WAITING)
        .event_callback(move |event| {
            of_events.note(event);
            std::future::ready(())
        });
    if let Some(file) = &access.ca_file {
        options = options
            .add_root_certificates(file.clone())
            .require_tls(true);
    }
    if let Some((cert, key)) = &access.client_cert {
        options = options
            .add_client_certificate(cert.clone(), key.clone())
            .require_tls(true);
    }
    let servers: Result<Vec<ServerAddr>, _> =
        access.servers.iter().map(|url| url.parse()).collect();
    let servers = servers.map_err(|error| unusable(&error, "wal.replica"))?;
    match options.connect(servers).await {
        Ok(client) => Ok((client, complaints)),
        Err(error) => Err(why(access, &error).await),
    }
}

/// What there is to do about a connection that could not be made.
async fn why(access: &NatsAccess, error: &ConnectError) -> LakeError {
    let servers = access.servers.join(", ");
    if error.kind() == ConnectErrorKind::AuthorizationViolation {
        let message = match &access.creds_file {
            None => format!(
                "NATS ({servers}) refuses a client without credentials: name a file with them in wal.nats_creds_file, \
                 or a client's certificate in wal.nats_cert_file and wal.nats_key_file"
            ),
            Some(file) => {
                let validity = match credentials::end_of(file).await {
                    Some(end) if end <= Clock::system().now().wall => {
                        format!("its JWT has expired at {end}")
                    }
                    Some(end) => format!("its JWT is valid until {end}"),
                    None => "do the servers know this user's key or account?".to_owned(),
                };
                format!("NATS ({servers}) refuses the user of wal.nats_creds_file: {validity}")
            }
        };
        return LakeError::Retry {
            kind: Trouble::Denied,
            message,
        };
    }
    let said = error.to_string();
    let (kind, advice) = match advice_on_certificates(&said) {
        Some(advice) => (Trouble::Denied, format!(": {advice}")),
        None => (Trouble::Network, String::new()),
    };
    LakeError::Retry {
        kind,
        message: format!("failed to connect to NATS ({servers}): {said}{advice}"),
    }
}

/// What is wrong with certificates, by what TLS says.
fn advice_on_certificates(said: &str) -> Option<&'static str> {
    if said.contains("invalid peer certificate") {
        return Some(
            "wal.nats_ca_file must hold the authority that has signed the servers' certificates, and these must name \
             the hosts of wal.replica",
        );
    }
    let is_about_ours = [
        "CertificateRequired",
        "BadCertificate",
        "UnknownCA",
        "CertificateUnknown",
    ];
    is_about_ours.iter().any(|alert| said.contains(alert)).then_some(
        "the servers want a client's certificate that they trust: set wal.nats_cert_file and wal.nats_key_file",
    )
}

#[cfg(test)]
mod tests {
    use async_nats::{ClientError, ServerError};

    use super::*;

    #[test]
    fn complaints_are_kept_and_told_once_they_are_new() {
        let complaints = Complaints::default();
        complaints.note(Event::Connected);
        assert_eq!((complaints.count(), complaints.after(0)), (0, None));
        let said = "Permissions Violation for Publish to \"a\"".to_owned();
        complaints.note(Event::ServerError(ServerError::Other(said)));
        let newest = complaints.after(0).unwrap();
        assert!(is_about_rights(&newest), "{newest}");
        assert_eq!(complaints.after(1), None);
        complaints.note(Event::ClientError(ClientError::Other("x".repeat(1000))));
        let newest = complaints.after(1).unwrap();
        assert!(newest.len() <= MAX_SAID && !is_about_rights(&newest));
    }
}
