//! Why a run of a feed ends without a result.

use lakehook_base::clock::Micros;
use lakehook_log::request::AppendError;

/// Why a run ends without a result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// Another attempt would fail too. The message says where, what is wrong, and what was
    /// expected.
    #[error("{0}")]
    Failed(String),
    /// The set changed while it was read; another attempt may find it stable.
    #[error("{0}")]
    Drift(String),
    /// A guard refuses what was read. The message says which one, and why.
    #[error("{0}")]
    Guarded(String),
    /// The source cannot be reached, or refuses the credentials for every request.
    #[error("{0}")]
    Unreachable(String),
    /// The time budget of the run is used up.
    #[error("{0}")]
    OutOfTime(String),
    /// The source asks for a pause that the run's budget does not allow: the next run begins then.
    #[error("{what}")]
    Later {
        /// What happened, and until when the source asks to wait.
        what: String,
        /// When the next run begins.
        until: Micros,
    },
    /// The service is stopping.
    #[error("the run was interrupted: the service is stopping")]
    Cancelled,
    /// The log refused the rows.
    #[error("{0}")]
    Log(#[from] AppendError),
}

impl RunError {
    /// The error with the part of the run that it happened in.
    #[must_use]
    pub fn within(self, part: &str) -> Self {
        let located = |text: String| format!("{part}: {text}");
        match self {
            Self::Failed(text) => Self::Failed(located(text)),
            Self::Drift(text) => Self::Drift(located(text)),
            Self::Guarded(text) => Self::Guarded(located(text)),
            Self::Unreachable(text) => Self::Unreachable(located(text)),
            Self::OutOfTime(text) => Self::OutOfTime(located(text)),
            Self::Later { what, until } => Self::Later {
                what: located(what),
                until,
            },
            other @ (Self::Cancelled | Self::Log(_)) => other,
        }
    }
}
