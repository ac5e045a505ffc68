//! The seam between the ledger and what keeps its frames.
//!
//! A journal is a sequence of frames, numbered from 1 without gaps. One process appends; the number of
//! the next frame is known before it is appended, and so is its position, because a frame may hold
//! positions in itself. Frames are grouped in segments, numbered without gaps too: a segment is what is
//! trimmed at once, and nothing else. Where a segment ends, or that it is a file, is the journal's own
//! business; its first frame begins with a checkpoint, so that reading can begin at any segment.
//!
//! Nothing here knows files. A journal in an object store would put one object a frame, under its
//! number, and only if there is none yet; one in a stream would append on the condition that the last
//! message is frame n - 1. Both can lose an answer, which is [`JournalError::Unknown`], or find that
//! another process has appended, which is [`JournalError::Fenced`].

use std::io;
use std::time::Duration;

use super::layout::{FRAME_HEADER, FrameHeader};
use crate::clock::{Micros, Now};
use crate::record::Lsn;
use crate::wal::journal::errors::OpenError;

/// The position of a frame. It can be compared and stored; what lies within a segment only its journal
/// understands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct At {
    segment: u64,
    within: u64,
}

impl At {
    /// The position in that segment which its journal calls `within`. Later frames of a segment have
    /// larger ones.
    pub fn new(segment: u64, within: u64) -> Self {
        Self { segment, within }
    }

    /// Number of the segment.
    pub fn segment(self) -> u64 {
        self.segment
    }

    /// Where in the segment, as the journal calls it.
    pub fn within(self) -> u64 {
        self.within
    }
}

/// A frame that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Its header.
    pub header: FrameHeader,
    /// Where it is.
    pub at: At,
    /// Header and body.
    pub bytes: Vec<u8>,
}

impl Frame {
    /// The entries.
    pub fn body(&self) -> &[u8] {
        &self.bytes[FRAME_HEADER..]
    }

    /// LSN after its last row.
    pub fn next_lsn(&self) -> Lsn {
        Lsn(self.header.first_lsn.0 + u64::from(self.header.rows))
    }
}

/// What the ledger says of a frame in its header; the journal adds what chains it to the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heading {
    /// LSN of its first row, or of the next row to come if it has none.
    pub first_lsn: Lsn,
    /// How many rows it has.
    pub rows: u32,
    /// Wall time of writing.
    pub written_at: Micros,
}

impl Heading {
    /// The header of frame `number`, behind a frame with that checksum.
    pub fn chained(&self, segment_id: u64, number: u64, previous_crc: u32) -> FrameHeader {
        FrameHeader {
            crc: 0,
            segment_id,
            number,
            body_bytes: 0,
            previous_crc,
            first_lsn: self.first_lsn,
            rows: self.rows,
            written_at: self.written_at,
        }
    }
}

/// What room is wanted for.
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
    /// There was no space for it. It does not count, and never will: the journal takes further frames
    /// in the next segment.
    #[error("{0}")]
    NoSpace(io::Error),
    /// The outcome is unknown: the frame may be durable or not. This journal takes nothing more; the
    /// next start finds out.
    #[error("{0}")]
    Unknown(io::Error),
    /// Another process has appended a frame with this number: this one no longer owns the journal.
    #[error("another process has appended frame {number}; this one no longer owns the log")]
    Fenced {
        /// Number of the frame.
        number: u64,
    },
}

/// Bytes behind the last frame that never became a frame that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// Where in the newest segment they begin.
    pub offset: u64,
    /// From there to the last byte that is not zero.
    pub bytes: u64,
}

/// Receives frames that are read in order.
pub type EachFrame<'a> = dyn FnMut(Frame) -> Result<(), OpenError> + 'a;

/// Reads single frames while others are appended.
pub trait Frames: Clone + Send + Sync + 'static {
    /// What is kept from one read to the next, such as an open file.
    type Open: Default;

    /// The frame at a position, if there is a whole one; its checksum is verified.
    fn frame(&self, at: At) -> io::Result<Option<Frame>>;

    /// Fills `buffer` from an offset in the body of the frame at that position. Nothing is verified.
    fn read(&self, open: &mut Self::Open, at: At, offset: u64, buffer: &mut [u8])
    -> io::Result<()>;

    /// The journal, for messages.
    fn name(&self) -> String;

    /// A segment, for messages.
    fn name_of_segment(&self, segment: u64) -> String;

    /// A frame, for messages.
    fn name_of(&self, at: At) -> String;
}

/// A journal as a start finds it: it is read first, and then goes on.
pub trait Found: Sized {
    /// What it becomes.
    type Journal: Journal;

    /// For single frames, and for messages.
    fn frames(&self) -> <Self::Journal as Journal>::Frames;

    /// The newest segment; `None` if the journal has no frame.
    fn newest(&self) -> Option<u64>;

    /// Gives every frame from a segment on to `each`.
    fn read(&mut self, first: u64, each: &mut EachFrame<'_>) -> Result<(), OpenError>;

    /// Whether the last frame that was read is known to be durable. If not, it counts only until the
    /// journal goes on: its content must be in the frame with which it does.
    fn last_is_durable(&self) -> bool;

    /// What was found behind the last frame.
    fn torn_tail(&self) -> Option<TornTail>;

    /// Forgets the segments before that one. Done when it returns.
    fn trim(&mut self, first: u64) -> Result<(), OpenError>;

    /// Where the journal goes on, behind segment `after`.
    fn next(&self, after: u64) -> At;

    /// Goes on with a frame at [`Found::next`]; it is durable when this returns.
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
    /// How single frames are read.
    type Frames: Frames;

    /// For single frames, and for messages.
    fn frames(&self) -> Self::Frames;

    /// Where the next frame will be.
    fn next(&self) -> At;

    /// Bytes that the next frame may have in the current segment, header included; none if this
    /// segment takes no more frames.
    fn room(&self, purpose: Purpose) -> u64;

    /// Moves on to a segment with room for a frame of `need` bytes, or does nothing and returns `false`
    /// if there is no space. `beside` is what its owner has on the same disk, and counts for the bound.
    ///
    /// A segment without frames never was: the new one has its number.
    fn begin_segment(
        &mut self,
        need: u64,
        purpose: Purpose,
        beside: u64,
        now: Now,
    ) -> Result<bool, JournalError>;

    /// Completes the header in the first [`FRAME_HEADER`] bytes of `frame`, and makes the frame
    /// durable at [`Journal::next`], which is returned.
    fn append(&mut self, heading: Heading, frame: &mut [u8]) -> Result<At, JournalError>;

    /// Gives every frame from the oldest segment on to `each`.
    fn read(&self, each: &mut EachFrame<'_>) -> Result<(), OpenError>;

    /// Forgets the segments before that one, soon. The caller has a durable note that says so.
    fn trim(&mut self, first: u64);

    /// Bytes in use.
    fn used(&self) -> u64;

    /// Bytes of the segments from `first` on, but for the last, which is needed anyway.
    fn closed_bytes(&self, first: u64) -> u64;

    /// Looks after work that is done beside the appending. Called before each frame.
    fn tend(&mut self, now: Now);

    /// Whether what is left must be kept for shipping.
    fn is_short_of_space(&self) -> bool;

    /// Gives up space that is not needed at once, because its owner needs some beside it.
    fn give_up_space(&mut self);
}

/// How long the journal waits before it tries again what failed for lack of space.
pub const SPACE_RETRY: Duration = Duration::from_secs(1);
