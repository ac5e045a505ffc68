//! What a contract says of a request: rows for the log, or why it is refused.

use std::borrow::Cow;

use crate::quarantine::FieldError;
use lakehook_base::record::Rows;

/// A request whose events may go into the log.
#[derive(Debug, Default)]
pub struct Checked {
    /// Accepted events, and invalid ones as quarantine rows where the contract says so.
    pub rows: Rows,
    /// How many events the request held: rows + dropped.
    pub received: u32,
    /// Valid events that a rule dropped: how many, by index of the event type in [`super::Rules::types`].
    pub dropped: Vec<(usize, u32)>,
    /// What was wrong with quarantined events, at most [`MAX_ERRORS`], sorted by event.
    pub errors: Vec<FieldError>,
    /// How many errors there were in all.
    pub errors_total: usize,
}

/// At most this many errors are listed for one request.
pub const MAX_ERRORS: usize = 100;

/// A request that is refused as a whole.
#[derive(Debug)]
pub enum Refusal {
    /// Not JSON.
    Syntax {
        /// The line, from 1.
        line: usize,
        /// The column in bytes, from 1: where the parser stopped, at the error or just before it.
        column: usize,
        /// What the parser says.
        detail: String,
    },
    /// JSON that breaks the contract, or is not `{"events":[…]}`.
    Invalid {
        /// At most [`MAX_ERRORS`]: those of the body first, then event by event.
        errors: Vec<FieldError>,
        /// How many there were in all.
        errors_total: usize,
    },
    /// More events than a request may hold.
    TooManyEvents {
        /// The limit that the request exceeds.
        max_events: usize,
    },
    /// An event of more bytes than an event may have.
    EventTooLarge {
        /// The index of the event, from 0.
        index: usize,
        /// The limit that the event exceeds.
        max_event_bytes: usize,
    },
}

impl Refusal {
    /// What was wrong with a request that is answered 400 because of what it holds, and the number of all
    /// errors. `None` for a request that is too large: it gets another answer, and nothing of it is kept.
    pub fn field_errors(&self) -> Option<(Cow<'_, [FieldError]>, usize)> {
        match self {
            Self::Invalid {
                errors,
                errors_total,
            } => Some((Cow::Borrowed(errors), *errors_total)),
            Self::Syntax {
                line,
                column,
                detail,
            } => {
                let detail = format!("line {line}, column {column}: {detail}");
                let error = FieldError::of_body("not_json", detail);
                Some((Cow::Owned(vec![error]), 1))
            }
            Self::TooManyEvents { .. } | Self::EventTooLarge { .. } => None,
        }
    }
}
