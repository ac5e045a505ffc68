//! The body of an answer: what became of requests, how a log stands, or why nothing was done.
//!
//! ```text
//! answer   = version varint · kind u8 · content
//! replies  = standing · count varint · count × (outcome, with its length before it)
//! ```
//!
//! What follows the fields that this version knows, in an outcome or at the end, belongs to a later version and is ignored.

use super::head::FORM;
use super::limits::MAX_GATHERED;
use super::malformed::Malformed;
use super::outcome::Outcome;
use super::refusal::Refusal;
use super::target::Standing;
use crate::wal::ledger::coding::{put_bytes, put_varint, take_array, take_bytes, take_varint};

const REPLIES: u8 = 0;
const STANDING: u8 = 1;
const REFUSAL: u8 = 2;

/// What an owner's node says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// What became of each request of a body.
    Replies(Replies),
    /// How a log stands.
    Standing(Standing),
    /// Nothing was done.
    Refusal(Refusal),
}

/// What became of each request of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Replies {
    /// How the log stands after them.
    pub(super) standing: Standing,
    pub(super) outcomes: Vec<Outcome>,
}

impl Answer {
    pub(super) fn status(&self) -> u16 {
        match self {
            Self::Replies(_) | Self::Standing(_) => 200,
            Self::Refusal(refusal) => refusal.status(),
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_varint(&mut out, FORM);
        match self {
            Self::Replies(replies) => {
                out.push(REPLIES);
                replies.standing.put(&mut out);
                put_varint(&mut out, replies.outcomes.len() as u64);
                let mut one = Vec::new();
                for outcome in &replies.outcomes {
                    one.clear();
                    outcome.put(&mut one);
                    put_bytes(&mut out, &one);
                }
            }
            Self::Standing(standing) => {
                out.push(STANDING);
                standing.put(&mut out);
            }
            Self::Refusal(refusal) => {
                out.push(REFUSAL);
                refusal.put(&mut out);
            }
        }
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut rest = bytes;
        let malformed = Malformed("an answer");
        let _version = take_varint(&mut rest).ok_or(malformed)?;
        let [kind] = take_array(&mut rest).ok_or(malformed)?;
        match kind {
            REPLIES => Replies::take(&mut rest).map(Self::Replies),
            STANDING => Standing::take(&mut rest).map(Self::Standing),
            REFUSAL => Refusal::take(&mut rest).map(Self::Refusal),
            _ => Err(malformed),
        }
    }
}

impl Replies {
    fn take(rest: &mut &[u8]) -> Result<Self, Malformed> {
        let malformed = Malformed("the replies of an answer");
        let standing = Standing::take(rest)?;
        let count = take_varint(rest).ok_or(malformed)?;
        if count > MAX_GATHERED as u64 {
            return Err(malformed);
        }
        let mut outcomes = Vec::new();
        for _ in 0..count {
            let mut one = take_bytes(rest).ok_or(malformed)?;
            outcomes.push(Outcome::take(&mut one)?);
        }
        Ok(Self { standing, outcomes })
    }
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
