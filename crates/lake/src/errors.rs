//! Errors of the lake, sorted by who has to do something about them.

/// Why an object is not in the lake.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LakeError {
    /// The attempt failed, and it is unknown whether the object was stored: retry for ever.
    #[error("{message}")]
    Retry {
        /// Kind of the failure: gives the metric's label, and whether it is logged as an error.
        kind: Trouble,
        /// What the lake says.
        message: String,
    },
    /// The lake lacks something that the promises about objects need.
    #[error("{0}")]
    Unusable(String),
    /// A foreign object is under our key: the log's directory was copied or restored, or another
    /// program writes to the lake.
    #[error("{key} is in the lake already, and it is not ours: {detail}")]
    Foreign {
        /// Key of the object.
        key: String,
        /// How it differs from ours.
        detail: String,
    },
}

/// Kinds of failure, by what an operator can do about them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trouble {
    /// The lake asks for fewer requests.
    Throttled,
    /// The lake failed by itself: 500 and the like.
    Server,
    /// There was no answer in time.
    Timeout,
    /// There was no connection, or it broke.
    Network,
    /// Credentials or permissions are missing.
    Denied,
    /// There is no such bucket or directory.
    Missing,
    /// The disk is full.
    Space,
    /// The bucket is in another region.
    Region,
    /// The store does not take such requests.
    Refused,
    /// Anything else.
    Other,
}

impl Trouble {
    /// All kinds, for metrics.
    pub const ALL: [Self; 10] = [
        Self::Throttled,
        Self::Server,
        Self::Timeout,
        Self::Network,
        Self::Denied,
        Self::Missing,
        Self::Space,
        Self::Region,
        Self::Refused,
        Self::Other,
    ];

    /// Label of the kind in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Throttled => "throttled",
            Self::Server => "server",
            Self::Timeout => "timeout",
            Self::Network => "network",
            Self::Denied => "denied",
            Self::Missing => "missing",
            Self::Space => "space",
            Self::Region => "region",
            Self::Refused => "refused",
            Self::Other => "other",
        }
    }

    /// Whether puts keep failing until an operator does something.
    pub fn needs_operator(self) -> bool {
        matches!(
            self,
            Self::Denied | Self::Missing | Self::Space | Self::Region | Self::Refused
        )
    }
}
