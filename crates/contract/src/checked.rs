//! The result of a contract for a request: rows for the log, or why the request is refused.

use std::borrow::Cow;

use crate::quarantine::FieldError;
use lakehook_base::record::Rows;

/// A request whose events may go into the log.
#[derive(Debug, Default)]
pub struct Checked {
    /// Accepted events, and invalid ones as quarantine rows where the contract says so.
    pub rows: Rows,
    /// How many events the request held: rows plus dropped events.
    pub received: u32,
    /// How many valid events a rule dropped, by index of the event type in [`super::Rules::types`].
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
    /// The body is not JSON.
    Syntax {
        /// The line, from 1.
        line: usize,
        /// The column in bytes, from 1: where the parser stopped, at the error or just before it.
        column: usize,
        /// The parser's own message.
        detail: String,
    },
    /// The body is JSON, but breaks the contract or is not `{"events":[…]}`.
    Invalid {
        /// At most [`MAX_ERRORS`]: those of the body first, then event by event.
        errors: Vec<FieldError>,
        /// How many there were in all.
        errors_total: usize,
    },
    /// The request holds more events than it may.
    TooManyEvents {
        /// The limit that the request exceeds.
        max_events: usize,
    },
    /// An event has more bytes than it may.
    EventTooLarge {
        /// The index of the event, from 0.
        index: usize,
        /// The limit that the event exceeds.
        max_event_bytes: usize,
    },
}

impl Refusal {
    /// The errors of a request that is answered 400 because of its content, and the number of all of them.
    /// `None` for a request that is too large: it gets another answer, and nothing of it is kept.
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
