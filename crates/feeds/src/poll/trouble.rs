//! Why a request has no answer that can be read.

use std::time::Duration;

use reqwest::Response;

use crate::wait::Interrupted;
use lakehook_base::clock::Micros;

/// Why a request has no answer that can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Retriable; not before `after`, if the server sent `Retry-After`.
    Again {
        /// What happened.
        what: String,
        /// Pause that the server asked for.
        after: Option<Duration>,
    },
    /// A retry will most likely fail too: there is no such host, or nobody trusts it.
    Doubtful(String),
    /// The API asks for a pause until then, which the run's budget does not allow.
    Later {
        /// What happened.
        what: String,
        /// When it may be asked again.
        until: Micros,
    },
    /// A retry would fail too.
    Final(String),
    /// The credentials are refused.
    Locked(String),
    /// The run was cancelled, or has no time left.
    Stopped(Interrupted),
}

impl Trouble {
    /// Retriable at any time.
    pub fn again(what: impl Into<String>) -> Self {
        Self::Again {
            what: what.into(),
            after: None,
        }
    }

    /// The same trouble, with a server that is not the API itself.
    pub(super) fn of(self, whom: &str) -> Self {
        match self {
            Self::Again { what, after } => Self::Again {
                what: format!("{whom}: {what}"),
                after,
            },
            Self::Doubtful(what) => Self::Doubtful(format!("{whom}: {what}")),
            other => other,
        }
    }
}

/// The response to a request, or why there is none.
pub(super) fn sent(
    outcome: Result<Result<Response, reqwest::Error>, Interrupted>,
    timeout: Duration,
) -> Result<Response, Trouble> {
    match outcome {
        Ok(Ok(response)) => Ok(response),
        Ok(Err(error)) if error.is_builder() => Err(Trouble::Final(describe(&error))),
        Ok(Err(error)) => {
            let what = describe(&error);
            if is_doubtful(&what) {
                return Err(Trouble::Doubtful(what));
            }
            Err(Trouble::again(what))
        }
        Err(Interrupted::Timeout) => Err(Trouble::again(format!("no answer within {timeout:?}"))),
        Err(stopped) => Err(Trouble::Stopped(stopped)),
    }
}

/// Whether an error of a connection says that there is no such host, or that TLS does not trust it.
/// The causes are private types, so their words decide.
fn is_doubtful(what: &str) -> bool {
    const WORDS: [&str; 4] = [
        "dns error",
        "failed to lookup address",
        "certificate",
        "received fatal alert",
    ];
    WORDS.iter().any(|words| what.contains(words))
}

/// An error with its causes, without the URL, whose parameters may be secret.
pub(super) fn describe(error: &reqwest::Error) -> String {
    let mut text = if error.is_connect() {
        "failed to connect".to_owned()
    } else if error.is_timeout() {
        "timed out".to_owned()
    } else if error.is_body() || error.is_decode() {
        "the answer broke off".to_owned()
    } else {
        "the request failed".to_owned()
    };
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
