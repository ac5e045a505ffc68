//! The seam between the ledger and the journal that keeps its frames.
//!
//! A journal is a sequence of frames, numbered from 1 without gaps. One process appends. The number
//! and the position of the next frame are known before it is appended, because a frame may contain
//! its own position. Frames are grouped in segments, which are numbered without gaps too. A segment
//! is the unit of trimming, and nothing else: where it ends, or that it is a file, is known to the
//! journal alone. The first frame of a segment begins with a checkpoint, so that reading can begin
//! at any segment.
//!
//! Nothing here knows files. A journal in an object store ([`super::replica`]) puts one object per
//! frame, under the frame's number, on the condition that there is none yet; one in a stream would
//! append on the condition that the last message is frame n - 1. Both can lose an answer, which is
//! [`JournalError::Unknown`], or find that another process has appended, which is
//! [`JournalError::Fenced`].

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::errors::OpenError;
pub use super::frames::{At, Frame, Heading, TornTail};
use crate::dedup::copies::Copies;
use lakehook_base::clock::Now;

/// What room in the journal is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Requests, which fill the journal.
    Requests,
    /// Seals, commits and trims, which empty it, and may use what is reserved for them.
    Shipping,
}

/// Why a frame is not known to be durable.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// There was no space for the frame. It does not count, and never will. The journal goes on: at
    /// the same position, or, if nothing can be written there any more, with no
    /// [`room`](Journal::room) until the next segment begins.
    #[error("{0}")]
    NoSpace(io::Error),
    /// The outcome is unknown: the frame may be durable or not. This journal takes no more frames;
    /// only the next start can tell.
    #[error("{0}")]
    Unknown(io::Error),
    /// Another process has appended a frame with this number, so this one no longer owns the
    /// journal.
    #[error("{by} has appended frame {number}; this process no longer owns the log")]
    Fenced {
        /// Number of the frame.
        number: u64,
        /// Who it was, as far as that is known.
        by: String,
    },
}

/// Receives frames that are read in order.
pub type EachFrame<'a> = dyn FnMut(Frame) -> Result<(), OpenError> + 'a;

/// Reads single frames while others are appended.
pub trait Frames: Clone + Send + Sync + 'static {
    /// State that is kept from one read to the next, such as an open file.
    type Open: Default + Send;

    /// The frame at a position, if there is a whole one; its checksum is verified.
    fn frame(&self, at: At) -> io::Result<Option<Frame>>;

    /// Fills `buffer` from an offset in the body of the frame at a position. Nothing is verified.
    fn read(&self, open: &mut Self::Open, at: At, offset: u64, buffer: &mut [u8])
    -> io::Result<()>;

    /// Name of the journal, for messages.
    fn name(&self) -> String;

    /// Name of a segment, for messages.
    fn name_of_segment(&self, segment: u64) -> String;

    /// Name of a frame, for messages.
    fn name_of(&self, at: At) -> String;
}

/// A journal as a start finds it: first it is read, then it goes on.
pub trait Found: Sized {
    /// The journal that it becomes.
    type Journal: Journal;

    /// Reads single frames, and gives names for messages.
    fn frames(&self) -> <Self::Journal as Journal>::Frames;

    /// The newest segment; `None` if the journal has no frame.
    fn newest(&self) -> Option<u64>;

    /// Calls `each` for every frame, from segment `first` on.
    fn read(&mut self, first: u64, each: &mut EachFrame<'_>) -> Result<(), OpenError>;

    /// Whether the last frame that was read is known to be durable. If not, it counts only until
    /// the journal goes on: the frame with which it goes on must have its content.
    fn last_is_durable(&self) -> bool;

    /// Torn tail after the last frame, if there was one.
    fn torn_tail(&self) -> Option<TornTail>;

    /// Where id files are kept too, if the journal's directory may vanish. Those that were there
    /// are in the directory already.
    fn copies(&self) -> Option<Arc<dyn Copies>> {
        None
    }

    /// Removes the segments before `first`; they are gone when this returns.
    fn trim(&mut self, first: u64) -> Result<(), OpenError>;

    /// Position at which the journal goes on after segment `after`.
    fn next(&self, after: u64) -> At;

    /// Whether another process may append until [`Found::claim`] has gone well.
    fn may_grow(&self) -> bool {
        false
    }

    /// Makes the frame durable with which the journal is to go on, if others could still append.
    /// Returns `false` if one of them has: then what came in is read with [`Found::read_on`], and
    /// another frame is made behind it.
    fn claim(
        &mut self,
        _after: u64,
        _heading: Heading,
        _frame: &mut [u8],
    ) -> Result<bool, OpenError> {
        Ok(true)
    }

    /// Calls `each` for every frame that was appended since the last one that was read.
    fn read_on(&mut self, _each: &mut EachFrame<'_>) -> Result<(), OpenError> {
        Ok(())
    }

    /// Goes on with a frame at [`Found::next`], the one that was claimed; it is durable when this
    /// returns.
    fn go_on(
        self,
        after: u64,
        heading: Heading,
        frame: &mut [u8],
        now: Now,
    ) -> Result<Self::Journal, OpenError>;
}

/// A journal to which one process appends.
///
/// Synchronous: the caller waits for each frame. After [`JournalError::Unknown`] and
/// [`JournalError::Fenced`] the caller must not append any more.
pub trait Journal {
    /// Type that reads single frames.
    type Frames: Frames;

    /// Reads single frames, and gives names for messages.
    fn frames(&self) -> Self::Frames;

    /// Position of the next frame.
    fn next(&self) -> At;

    /// Bytes that the next frame may have in the current segment, header included; 0 if this
    /// segment takes no more frames.
    fn room(&self, purpose: Purpose) -> u64;

    /// Begins a segment with room for a frame of `need` bytes, or does nothing and returns `false`
    /// if there is no space. `beside` is the bytes that the journal's owner has on the same disk;
    /// they count towards the bound.
    ///
    /// A segment without frames does not count: the new one gets its number.
    fn begin_segment(
        &mut self,
        need: u64,
        purpose: Purpose,
        beside: u64,
        now: Now,
    ) -> Result<bool, JournalError>;

    /// Completes the header in the first [`FRAME_HEADER`](super::layout::FRAME_HEADER) bytes of
    /// `frame`, and makes the frame durable at [`Journal::next`], which is returned.
    fn append(&mut self, heading: Heading, frame: &mut [u8]) -> Result<At, JournalError>;

    /// Calls `each` for every frame, from the oldest segment on.
    fn read(&self, each: &mut EachFrame<'_>) -> Result<(), OpenError>;

    /// Removes the segments before `first`, without waiting for it. The caller has noted durably
    /// that they are not needed.
    fn trim(&mut self, first: u64);

    /// Bytes of disk in use.
    fn used(&self) -> u64;

    /// Bytes of the segments from `first` on, except for the last one, which is needed anyway.
    fn closed_bytes(&self, first: u64) -> u64;

    /// Whether another process may take the journal over while this one is alive.
    fn is_shared(&self) -> bool {
        false
    }

    /// Number and checksum of the last durable frame, if [`Self::is_shared`].
    fn last(&self) -> (u64, u32) {
        (0, 0)
    }

    /// How long the next frame should wait, so that it holds more: each one costs something.
    fn pause(&self, _now: Now) -> Duration {
        Duration::ZERO
    }

    /// Takes results of background work and starts what is due. Called before each frame.
    fn tend(&mut self, now: Now);

    /// Whether space is so short that the rest must be kept for shipping.
    fn is_short_of_space(&self) -> bool;

    /// Frees space that the journal does not need at once, because its owner needs some beside it.
    fn give_up_space(&mut self);
}

/// How long the journal waits before it tries again what failed for lack of space.
pub const SPACE_RETRY: Duration = Duration::from_secs(1);
