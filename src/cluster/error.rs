//! Why a request was not forwarded, or what is not known about it.

use std::sync::Arc;

use super::refusal::Refusal;
use crate::clock::Micros;
use crate::wal::request::AppendError;

/// Why a forwarded request has no acknowledgement.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ForwardError {
    /// Nothing was sent: no connection, or too many requests wait for one already.
    #[error("the owner of the log cannot be reached: {0}")]
    Unsent(Arc<str>),
    /// The request belongs to a run, or has more rows than can be forwarded. Only the owner of a log may store it.
    #[error("a request of this kind or size is never forwarded")]
    NotForwardable,
    /// The owner's node did nothing, and says why.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The owner's log did not take it.
    #[error("the owner of the log did not store the request: {0}")]
    Log(AppendError),
    /// The time of receipt is ahead of the owner's clock. Stamped again, the request may be stored.
    #[error(
        "the request was received in the future, as the owner's clock sees it, which says {now}"
    )]
    Ahead {
        /// The owner's time.
        now: Micros,
    },
    /// The request may be stored, now or soon, or it may not.
    #[error("it is not known whether the owner of the log stored the request: {0}")]
    Unknown(Arc<str>),
}

impl ForwardError {
    /// Whether nothing is stored for certain, now and later. Only then may the request be sent to anybody else.
    pub fn is_certain(&self) -> bool {
        let is_unknown = matches!(
            self,
            Self::Unknown(_)
                | Self::Log(AppendError::Storage(_))
                // What was refused because of its time could be accepted later, if somebody sends its bytes again.
                | Self::Refused(Refusal::Clock { .. } | Refusal::Repeated)
        );
        !is_unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_cannot_be_stored_any_more_is_certain() {
        let certain = [
            ForwardError::Unsent("no route".into()),
            ForwardError::NotForwardable,
            ForwardError::Ahead { now: Micros(0) },
            ForwardError::Refused(Refusal::Busy),
            ForwardError::Refused(Refusal::NoSuchLog),
            ForwardError::Log(AppendError::Full),
            ForwardError::Log(AppendError::Late),
        ];
        let unknown = [
            ForwardError::Unknown("it broke".into()),
            ForwardError::Refused(Refusal::Repeated),
            ForwardError::Refused(Refusal::Clock { now: Micros(0) }),
            ForwardError::Log(AppendError::Storage("the disk".into())),
        ];
        assert!(certain.iter().all(ForwardError::is_certain));
        assert!(!unknown.iter().any(ForwardError::is_certain));
    }
}
