//! A connection to NATS, and the few requests of JetStream that a log needs, for threads that may block.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_nats::connection::State;
use async_nats::{Client, HeaderMap, Message, Request, RequestError, RequestErrorKind};
use bytes::Bytes;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;

use super::connecting::{Complaints, NatsAccess, connect, is_about_rights};
use crate::lake::{LakeError, Trouble};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// How soon a request that nobody listened to is sent again.
const UNHEARD_PAUSE: Duration = Duration::from_millis(100);
/// After so many requests in a row without an answer, another server is tried.
const UNANSWERED: u32 = 2;
/// The oldest servers that can keep a log.
const OLDEST: (u64, u64) = (2, 12);

/// Where a log is in NATS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamPlace {
    /// How the servers are reached.
    pub access: NatsAccess,
    /// The name of the stream.
    pub stream: String,
    /// What all subjects begin with.
    pub root: String,
    /// Bytes that the stream must have room for.
    pub needed: u64,
}

impl StreamPlace {
    /// The name of the log, for messages and for the mark of its copies. Servers come and go.
    pub fn name(&self) -> String {
        format!("stream {} of NATS", self.stream)
    }
}

/// Why a request has no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NatsError {
    /// There is no answer, or none that can be read.
    #[error("{0}")]
    Unanswered(String),
    /// The user lacks a right.
    #[error("the user of this connection lacks a right: {0}")]
    Denied(String),
    /// JetStream refuses.
    #[error("{message} ({code})")]
    Refused {
        /// JetStream's number of the error.
        code: u32,
        /// What it says.
        message: String,
    },
}

impl NatsError {
    /// JetStream's number of the error.
    pub(super) fn code(&self) -> Option<u32> {
        match self {
            Self::Unanswered(_) | Self::Denied(_) => None,
            Self::Refused { code, .. } => Some(*code),
        }
    }
}

/// The account, the servers or the stream have no space.
const NO_SPACE: [u32; 3] = [10002, 10023, 10047];
/// A message cannot be stored, for a reason that only its text says.
const NOT_STORED: u32 = 10077;

impl NatsError {
    /// Whether a message was refused because there is no space for it.
    pub(super) fn is_about_space(&self) -> bool {
        match self {
            Self::Refused { code, message } => {
                NO_SPACE.contains(code) || *code == NOT_STORED && message.contains("maximum")
            }
            Self::Unanswered(_) | Self::Denied(_) => false,
        }
    }
}

impl From<NatsError> for LakeError {
    fn from(error: NatsError) -> Self {
        let kind = match &error {
            NatsError::Denied(_) => Trouble::Denied,
            _ => Trouble::Network,
        };
        Self::Retry {
            kind,
            message: format!("NATS: {error}"),
        }
    }
}

#[derive(Debug, Deserialize)]
struct ApiError {
    err_code: u32,
    #[serde(default)]
    description: String,
}

/// What every answer may be.
#[derive(Debug, Deserialize)]
struct Refusal {
    error: Option<ApiError>,
}

/// The answer to a message that a stream has stored.
#[derive(Debug, Deserialize)]
pub(super) struct PubAck {
    /// The stream.
    pub(super) stream: String,
    /// The number of the message in it.
    pub(super) seq: u64,
    /// Whether it was known before by its id; we give none.
    #[serde(default)]
    pub(super) duplicate: bool,
}

/// A connection to the servers. Cheap to clone.
#[derive(Clone)]
pub(super) struct NatsConnection {
    client: Client,
    complaints: Complaints,
    runtime: Handle,
    /// Requests in a row that had no answer.
    unanswered: Arc<AtomicU32>,
}

impl NatsConnection {
    /// Connects to one of the servers, and finds another one by itself later. Blocks.
    pub(super) fn open(access: &NatsAccess, runtime: Handle) -> Result<Self, LakeError> {
        let (client, complaints) = runtime.block_on(connect(access))?;
        let own = Self {
            client,
            complaints,
            runtime,
            unanswered: Arc::default(),
        };
        let version = own.client.server_info().version;
        if version_of(&version).is_none_or(|version| version < OLDEST) {
            let (major, minor) = OLDEST;
            return Err(LakeError::Unusable(format!(
                "NATS {version} cannot keep a log: servers of version {major}.{minor} or later are needed"
            )));
        }
        Ok(own)
    }

    /// What the servers have said of a right that the user lacks.
    pub(super) fn missing_right(&self) -> Option<String> {
        self.complaints
            .after(0)
            .filter(|said| is_about_rights(said))
    }

    /// The most bytes of a message, with its headers.
    pub(super) fn max_payload(&self) -> usize {
        self.client.server_info().max_payload
    }

    /// Stores a message unless its subject has one.
    pub(super) fn publish_new(&self, subject: &str, bytes: &Bytes) -> Result<PubAck, NatsError> {
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Expected-Last-Subject-Sequence", "0");
        answer(&self.send(subject, Some(&headers), bytes)?)
    }

    /// Asks JetStream something.
    pub(super) fn ask<A: DeserializeOwned>(
        &self,
        what: &str,
        body: &impl Serialize,
    ) -> Result<A, NatsError> {
        let body = serde_json::to_vec(body);
        let body = body.map_err(|error| NatsError::Unanswered(error.to_string()))?;
        answer(&self.send(&format!("$JS.API.{what}"), None, &body.into())?)
    }

    fn send(
        &self,
        subject: &str,
        headers: Option<&HeaderMap>,
        payload: &Bytes,
    ) -> Result<Message, NatsError> {
        // Otherwise the client would keep the message, and send it whenever it is connected again.
        if self.client.connection_state() != State::Connected {
            let why = self.complaints.after(0);
            let why = why.map_or_else(String::new, |why| format!(": {why}"));
            return Err(NatsError::Unanswered(format!(
                "there is no connection{why}"
            )));
        }
        let complaints = self.complaints.count();
        let error = match self.send_until_heard(subject, headers, payload) {
            Ok(message) => {
                self.unanswered.store(0, Ordering::Relaxed);
                return Ok(message);
            }
            Err(error) => error,
        };
        self.try_another_server();
        let said = self.complaints.after(complaints);
        if let Some(said) = said.as_ref().filter(|said| is_about_rights(said)) {
            return Err(NatsError::Denied(said.clone()));
        }
        let error = match error.kind() {
            RequestErrorKind::TimedOut => "there was no answer in time".to_owned(),
            RequestErrorKind::NoResponders => {
                "no server answers for JetStream: either it has no leader at the moment, or JetStream is off"
                    .to_owned()
            }
            _ => error.to_string(),
        };
        Err(NatsError::Unanswered(match said {
            Some(said) => format!("{error}; the server says: {said}"),
            None => error,
        }))
    }

    /// A request that nobody listens to has reached nobody, so it is sent again: just after servers have started or
    /// have elected a leader, it takes a moment until all of them know where to send it.
    fn send_until_heard(
        &self,
        subject: &str,
        headers: Option<&HeaderMap>,
        payload: &Bytes,
    ) -> Result<Message, RequestError> {
        let mut pauses = 0;
        loop {
            let mut request = Request::new()
                .payload(payload.clone())
                .timeout(Some(PATIENCE));
            if let Some(headers) = headers {
                request = request.headers(headers.clone());
            }
            let sending = self.client.send_request(subject.to_owned(), request);
            match self.runtime.block_on(sending) {
                Err(error)
                    if error.kind() == RequestErrorKind::NoResponders
                        && UNHEARD_PAUSE * pauses < PATIENCE =>
                {
                    pauses += 1;
                    std::thread::sleep(UNHEARD_PAUSE);
                }
                result => return result,
            }
        }
    }

    /// The server of this connection may be cut off from the others.
    fn try_another_server(&self) {
        if self.unanswered.fetch_add(1, Ordering::Relaxed) + 1 < UNANSWERED {
            return;
        }
        self.unanswered.store(0, Ordering::Relaxed);
        // If this fails, the connection has ended, and is made again anyway.
        let _ended = self.runtime.block_on(self.client.force_reconnect());
    }
}

fn answer<A: DeserializeOwned>(message: &Message) -> Result<A, NatsError> {
    let unreadable = |error: serde_json::Error| {
        NatsError::Unanswered(format!("an answer cannot be read: {error}"))
    };
    let refusal: Refusal = serde_json::from_slice(&message.payload).map_err(unreadable)?;
    if let Some(error) = refusal.error {
        return Err(NatsError::Refused {
            code: error.err_code,
            message: error.description,
        });
    }
    serde_json::from_slice(&message.payload).map_err(unreadable)
}

/// An answer of which nothing matters but that it is one.
pub(super) type Done = IgnoredAny;

fn version_of(text: &str) -> Option<(u64, u64)> {
    let mut parts = text.split(['.', '-']);
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_number() {
        assert_eq!(version_of("2.9.10"), Some((2, 9)));
        assert_eq!(version_of("2.12.0-preview.1"), Some((2, 12)));
        assert_eq!(version_of("new"), None);
        assert!((2, 9) < OLDEST && OLDEST <= (2, 15));
    }
}
