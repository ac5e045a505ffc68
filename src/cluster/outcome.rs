//! What became of one request of a body.

use super::malformed::Malformed;
use super::refusal::cut;
use crate::wal::ledger::coding::{put_bytes, put_varint, take_array, take_text, take_varint};
use crate::wal::request::{AppendError, Appended, NO_RUN};

const STORED: u8 = 0;
const FULL: u8 = 1;
const TOO_LARGE: u8 = 2;
const LATE: u8 = 3;
const STORAGE: u8 = 4;
const NO_SUCH_RUN: u8 = 5;
const CLOSED: u8 = 6;
const AHEAD: u8 = 7;

/// What became of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The owner's log answered.
    Log(Result<Appended, AppendError>),
    /// The time of receipt is ahead of the owner's clock, so the log was not asked.
    Ahead,
}

impl Outcome {
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Log(Ok(appended)) => {
                out.push(STORED);
                let Appended {
                    accepted,
                    duplicates,
                    changed,
                    conflicts,
                    quarantined,
                    run: _,
                } = *appended;
                for number in [accepted, duplicates, changed, conflicts, quarantined] {
                    put_varint(out, number);
                }
            }
            // Who is not given LSNs is told so by another answer.
            Self::Log(Err(AppendError::Full | AppendError::NotReserved)) => out.push(FULL),
            Self::Log(Err(AppendError::TooLarge { bytes, max_bytes })) => {
                out.push(TOO_LARGE);
                put_varint(out, *bytes as u64);
                put_varint(out, *max_bytes as u64);
            }
            Self::Log(Err(AppendError::Late)) => out.push(LATE),
            Self::Log(Err(AppendError::Storage(text) | AppendError::Unanswered(text))) => {
                out.push(STORAGE);
                put_bytes(out, cut(text).as_bytes());
            }
            Self::Log(Err(AppendError::NoSuchRun)) => out.push(NO_SUCH_RUN),
            // The log was taken over just now.
            Self::Log(Err(AppendError::Closed | AppendError::NoOwner(_))) => out.push(CLOSED),
            Self::Ahead => out.push(AHEAD),
        }
    }

    pub(super) fn take(rest: &mut &[u8]) -> Result<Self, Malformed> {
        Self::take_fields(rest).ok_or(Malformed("what became of a request"))
    }

    fn take_fields(rest: &mut &[u8]) -> Option<Self> {
        let [code] = take_array(rest)?;
        let error = match code {
            STORED => {
                return Some(Self::Log(Ok(Appended {
                    accepted: take_varint(rest)?,
                    duplicates: take_varint(rest)?,
                    changed: take_varint(rest)?,
                    conflicts: take_varint(rest)?,
                    quarantined: take_varint(rest)?,
                    run: NO_RUN,
                })));
            }
            FULL => AppendError::Full,
            TOO_LARGE => AppendError::TooLarge {
                bytes: usize::try_from(take_varint(rest)?).ok()?,
                max_bytes: usize::try_from(take_varint(rest)?).ok()?,
            },
            LATE => AppendError::Late,
            STORAGE => AppendError::Storage(take_text(rest)?.into()),
            NO_SUCH_RUN => AppendError::NoSuchRun,
            CLOSED => AppendError::Closed,
            AHEAD => return Some(Self::Ahead),
            _ => return None,
        };
        Some(Self::Log(Err(error)))
    }
}
