//! `[poll.NAME.guards]` and `[polls.batch]`: what must hold before rows become visible, and how many rows make
//! an object.

use schemars::JsonSchema;
use serde::Deserialize;
use validator::Validate;

use super::amounts::{ByteSize, Span};
use super::rules;
use super::share::Share;
use crate::feeds::guards;

/// `[poll.NAME.guards]`: what must hold before the rows of a run become visible.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct Guards {
    /// The largest share of records that may be refused.
    pub max_refused: Share,
    /// The fewest valid records that a snapshot may have.
    #[schemars(range(min = 1))]
    pub min_records: Option<u64>,
    /// How much smaller a snapshot may be than the one before.
    pub max_shrink: Option<Share>,
}

impl Default for Guards {
    fn default() -> Self {
        Self {
            max_refused: Share::hundredths(1_000),
            min_records: None,
            max_shrink: None,
        }
    }
}

impl Guards {
    /// The guards in the form that runs use.
    pub(super) fn definition(self) -> guards::Guards {
        guards::Guards {
            max_refused: self.max_refused.share(),
            min_records: self.min_records,
            max_shrink: self.max_shrink.map(Share::share),
        }
    }
}

/// `[polls.batch]`: when a batch of polled records is closed.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct PollsBatch {
    /// The most bytes of logged rows, before compression.
    #[validate(custom(function = rules::batch_size))]
    pub max_bytes: ByteSize,
    /// The most rows.
    #[schemars(range(min = 1))]
    pub max_records: u64,
    /// How long after its first row a batch of an appending poll is closed.
    #[validate(custom(function = rules::batch_age))]
    pub max_age: Span,
}

impl Default for PollsBatch {
    fn default() -> Self {
        Self {
            max_bytes: ByteSize::mib(256),
            max_records: 1_000_000,
            max_age: Span::seconds(300),
        }
    }
}
