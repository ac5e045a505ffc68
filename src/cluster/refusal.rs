//! Why the owner's node did not carry out a request at all.

use std::sync::Arc;

use super::head::FORM;
use super::limits::MAX_TEXT;
use super::malformed::Malformed;
use super::target::Standing;
use crate::clock::Micros;
use crate::wal::ledger::coding::{put_bytes, put_varint, take_array, take_text, take_varint};

const FORM_CODE: u8 = 1;
const CLOCK: u8 = 2;
const REPEATED: u8 = 3;
const STANDING: u8 = 4;
const NO_SUCH_LOG: u8 = 5;
const MALFORMED: u8 = 6;
const TOO_LARGE: u8 = 7;
const BUSY: u8 = 8;

/// Why the owner's node did not carry out a request at all. It says so with a proof that it knows the secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It speaks another version.
    #[error(
        "the other node speaks version {speaks} of the cluster's protocol, and this one version {FORM}; upgrade the \
         older of them"
    )]
    Form {
        /// The version.
        speaks: u64,
    },
    /// The clocks are too far apart.
    #[error(
        "the request's time is too far from the other node's clock, which says {now}; synchronise both clocks (chrony, \
         systemd-timesyncd)"
    )]
    Clock {
        /// The other node's time.
        now: Micros,
    },
    /// It has seen the request before. What became of it then is not known.
    #[error("the request was seen before")]
    Repeated,
    /// It does not own the log, or not as the request says. The answer says how the log stands.
    #[error(
        "the other node does not own log {} as the request expects: id {}, epoch {}, owner: {}, configuration {:032x}",
        .0.index, .0.log, .0.epoch, .0.is_owner, .0.configuration
    )]
    Standing(Standing),
    /// The cluster has no log of that number.
    #[error(
        "the other node knows no log of that number; `cluster.logs` must be the same everywhere"
    )]
    NoSuchLog,
    /// The request cannot be read.
    #[error("the other node cannot read the request: {0}")]
    Malformed(Arc<str>),
    /// The body is too large.
    #[error("the request has more than {max_bytes} bytes")]
    TooLarge {
        /// The most bytes that are taken.
        max_bytes: u64,
    },
    /// It has no memory for the request now.
    #[error("the other node has too many requests under way")]
    Busy,
}

impl Refusal {
    pub(super) fn status(&self) -> u16 {
        match self {
            Self::Form { .. } | Self::Clock { .. } | Self::Malformed(_) => 400,
            Self::NoSuchLog => 404,
            Self::Repeated | Self::Standing(_) => 409,
            Self::TooLarge { .. } => 413,
            Self::Busy => 503,
        }
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Form { speaks } => {
                out.push(FORM_CODE);
                put_varint(out, *speaks);
            }
            Self::Clock { now } => {
                out.push(CLOCK);
                out.extend_from_slice(&now.0.to_le_bytes());
            }
            Self::Repeated => out.push(REPEATED),
            Self::Standing(standing) => {
                out.push(STANDING);
                standing.put(out);
            }
            Self::NoSuchLog => out.push(NO_SUCH_LOG),
            Self::Malformed(text) => {
                out.push(MALFORMED);
                put_bytes(out, cut(text).as_bytes());
            }
            Self::TooLarge { max_bytes } => {
                out.push(TOO_LARGE);
                put_varint(out, *max_bytes);
            }
            Self::Busy => out.push(BUSY),
        }
    }

    pub(super) fn take(rest: &mut &[u8]) -> Result<Self, Malformed> {
        let malformed = Malformed("a refusal");
        let [code] = take_array(rest).ok_or(malformed)?;
        Ok(match code {
            FORM_CODE => Self::Form {
                speaks: take_varint(rest).ok_or(malformed)?,
            },
            CLOCK => Self::Clock {
                now: Micros(take_array(rest).map(i64::from_le_bytes).ok_or(malformed)?),
            },
            REPEATED => Self::Repeated,
            STANDING => Self::Standing(Standing::take(rest)?),
            NO_SUCH_LOG => Self::NoSuchLog,
            MALFORMED => Self::Malformed(take_text(rest).ok_or(malformed)?.into()),
            TOO_LARGE => Self::TooLarge {
                max_bytes: take_varint(rest).ok_or(malformed)?,
            },
            BUSY => Self::Busy,
            _ => return Err(Malformed("a refusal of a later version")),
        })
    }
}

/// The beginning of a message that is short enough for an answer.
pub(super) fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_TEXT)]
}
