//! The body of an answer: what became of requests, how a log stands, or why nothing was done.
//!
//! ```text
//! answer   = version varint · kind u8 · content
//! replies  = standing · count varint · count × (outcome, with its length before it)
//! offer    = reservation u128 · codec u8 · first LSN u64 · count varint · count × (accepted varint · duplicates varint
//!          · changed varint · quarantined varint) · rows varint · rows × bit, with zeros up to a whole byte
//! declined = nothing
//! ```
//!
//! What follows the fields that this version knows, in an outcome or at the end, belongs to a later version and is ignored.

use super::head::FORM;
use super::limits::MAX_GATHERED;
use super::malformed::Malformed;
use super::outcome::Outcome;
use super::refusal::Refusal;
use super::target::Standing;
use crate::codec::Codec;
use crate::record::Lsn;
use crate::wal::ledger::coding::{put_bytes, put_varint, take_array, take_bytes, take_varint};
use crate::wal::packed::Packing;
use crate::wal::request::Appended;
use crate::wal::reservation::{Bits, Offer};

const REPLIES: u8 = 0;
const STANDING: u8 = 1;
const REFUSAL: u8 = 2;
const OFFER: u8 = 3;
const DECLINED: u8 = 4;

const GZ: u8 = 1;
const ZST: u8 = 2;

/// What an owner's node says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// What became of each request of a body.
    Replies(Replies),
    /// How a log stands.
    Standing(Standing),
    /// LSNs for the rows of the requests.
    Offer(Box<Offered>),
    /// No LSNs; the requests must be sent whole.
    Declined,
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

/// LSNs for the rows of requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Offered {
    /// What the reservation is called.
    pub(super) reservation: u128,
    pub(super) offer: Offer,
}

impl Answer {
    pub(super) fn status(&self) -> u16 {
        match self {
            Self::Replies(_) | Self::Standing(_) | Self::Offer(_) | Self::Declined => 200,
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
            Self::Offer(offered) => {
                out.push(OFFER);
                offered.put(&mut out);
            }
            Self::Declined => out.push(DECLINED),
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
            OFFER => Offered::take(&mut rest).map(|offered| Self::Offer(Box::new(offered))),
            DECLINED => Ok(Self::Declined),
            REFUSAL => Refusal::take(&mut rest).map(Self::Refusal),
            _ => Err(malformed),
        }
    }
}

impl Offered {
    fn put(&self, out: &mut Vec<u8>) {
        let Offer {
            packing,
            first_lsn,
            left_out,
            appended,
        } = &self.offer;
        out.extend_from_slice(&self.reservation.to_le_bytes());
        out.push(match packing.codec {
            Codec::Plain => 0,
            Codec::Gz => GZ,
            Codec::Zst => ZST,
        });
        out.extend_from_slice(&first_lsn.0.to_le_bytes());
        put_varint(out, appended.len() as u64);
        for one in appended {
            for number in [one.accepted, one.duplicates, one.changed, one.quarantined] {
                put_varint(out, number);
            }
        }
        put_varint(out, left_out.len() as u64);
        out.extend_from_slice(left_out.bytes());
    }

    fn take(rest: &mut &[u8]) -> Result<Self, Malformed> {
        Self::take_fields(rest).ok_or(Malformed("an offer of LSNs"))
    }

    fn take_fields(rest: &mut &[u8]) -> Option<Self> {
        let reservation = u128::from_le_bytes(take_array(rest)?);
        let [codec] = take_array(rest)?;
        let codec = match codec {
            0 => Codec::Plain,
            GZ => Codec::Gz,
            ZST => Codec::Zst,
            _ => return None,
        };
        let first_lsn = Lsn(u64::from_le_bytes(take_array(rest)?));
        let count = take_varint(rest)?;
        if count > MAX_GATHERED as u64 {
            return None;
        }
        let mut appended = Vec::new();
        for _ in 0..count {
            appended.push(Appended {
                accepted: take_varint(rest)?,
                duplicates: take_varint(rest)?,
                changed: take_varint(rest)?,
                quarantined: take_varint(rest)?,
                ..Appended::default()
            });
        }
        let rows = usize::try_from(take_varint(rest)?).ok()?;
        let bits = rest.get(..rows.div_ceil(8))?;
        let offer = Offer {
            packing: Packing::of(codec),
            first_lsn,
            left_out: Bits::of(bits, rows)?,
            appended,
        };
        Some(Self { reservation, offer })
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
