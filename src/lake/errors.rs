//! Why an object is not in the lake, and who has to do something about it.

/// Why an object is not in the lake.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LakeError {
    /// Not this time; nothing is known about the object. To be asked again, for ever.
    #[error("{message}")]
    Retry {
        /// What kind of failure, for metrics and for how loud to be.
        kind: Trouble,
        /// What the lake says.
        message: String,
    },
    /// This lake can never hold objects as promised.
    #[error("{0}")]
    Unusable(String),
    /// Something else is under our key: this log was copied or restored, or somebody else writes.
    #[error("{key} is in the lake already, and it is not ours: {detail}")]
    Foreign {
        /// The key.
        key: String,
        /// What is there.
        detail: String,
    },
}

/// Kinds of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trouble {
    /// Slow down.
    Throttled,
    /// The lake's own fault.
    Server,
    /// No answer in time.
    Timeout,
    /// No connection, or it broke.
    Network,
    /// Credentials or permissions.
    Denied,
    /// No such bucket or directory.
    Missing,
    /// No space.
    Space,
    /// The store does not take such requests.
    Refused,
    /// Anything else.
    Other,
}

impl Trouble {
    /// All kinds, for metrics.
    pub const ALL: [Self; 9] = [
        Self::Throttled,
        Self::Server,
        Self::Timeout,
        Self::Network,
        Self::Denied,
        Self::Missing,
        Self::Space,
        Self::Refused,
        Self::Other,
    ];

    /// The metric's label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Throttled => "throttled",
            Self::Server => "server",
            Self::Timeout => "timeout",
            Self::Network => "network",
            Self::Denied => "denied",
            Self::Missing => "missing",
            Self::Space => "space",
            Self::Refused => "refused",
            Self::Other => "other",
        }
    }

    /// Whether an operator has to do something before it can work.
    pub fn needs_operator(self) -> bool {
        matches!(
            self,
            Self::Denied | Self::Missing | Self::Space | Self::Refused
        )
    }
}
