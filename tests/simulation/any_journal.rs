//! The journal of a world, which is in files, in memory, or in an engine that several machines reach.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use lakehook::clock::Now;
use lakehook::wal::dedup::copies::Copies;
use lakehook::wal::journal::errors::OpenError;
use lakehook::wal::journal::local::{FoundFiles, LocalFrames, LocalJournal, OpenFile};
use lakehook::wal::journal::replica::cache::CachedFrames;
use lakehook::wal::journal::replica::found::FoundReplica;
use lakehook::wal::journal::replica::owner::ReplicaJournal;
use lakehook::wal::journal::seam::{
    At, EachFrame, Found, Frame, Frames, Heading, Journal, JournalError, Purpose, TornTail,
};

use crate::disk::SimDisk;
use crate::disk_files::SimFile;
use crate::engine::SimEngine;
use crate::memory::{FoundMemory, MemoryJournal, MemoryStore};

/// Calls the same method on the journal of either kind.
macro_rules! either {
    ($kind:ident, $this:expr, $it:ident => $call:expr) => {
        match $this {
            $kind::Files($it) => $call,
            $kind::Memory($it) => $call,
            $kind::Replica($it) => $call,
        }
    };
}

#[allow(clippy::large_enum_variant, reason = "there are few in a world")]
pub(crate) enum AnyFound {
    Files(FoundFiles<SimDisk>),
    Memory(FoundMemory),
    Replica(FoundReplica<SimEngine, SimDisk>),
    /// Takes a log over and reads only where its segments begin: a planted bug.
    Blind(FoundReplica<SimEngine, SimDisk>),
}

#[allow(clippy::large_enum_variant, reason = "there is one in a world")]
pub(crate) enum AnyJournal {
    Files(LocalJournal<SimDisk>),
    Memory(MemoryJournal),
    Replica(ReplicaJournal<SimEngine, SimDisk>),
}

#[derive(Clone, Debug)]
pub(crate) enum AnyFrames {
    Files(LocalFrames<SimDisk>),
    Memory(MemoryStore),
    Replica(CachedFrames<SimEngine, SimDisk>),
}

/// Calls the same method on what a start finds.
macro_rules! found {
    ($this:expr, $it:ident => $call:expr) => {
        match $this {
            AnyFound::Files($it) => $call,
            AnyFound::Memory($it) => $call,
            AnyFound::Replica($it) | AnyFound::Blind($it) => $call,
        }
    };
}

impl AnyFound {
    /// The epoch in which a replicated log will be owned; 0 of any other one.
    pub(crate) fn epoch(&self) -> u64 {
        match self {
            Self::Files(_) | Self::Memory(_) => 0,
            Self::Replica(found) | Self::Blind(found) => found.epoch(),
        }
    }
}

impl Found for AnyFound {
    type Journal = AnyJournal;

    fn frames(&self) -> AnyFrames {
        match self {
            Self::Files(found) => AnyFrames::Files(found.frames()),
            Self::Memory(found) => AnyFrames::Memory(found.frames()),
            Self::Replica(found) | Self::Blind(found) => AnyFrames::Replica(found.frames()),
        }
    }

    fn newest(&self) -> Option<u64> {
        found!(self, found => found.newest())
    }

    fn read(&mut self, first: u64, each: &mut EachFrame<'_>) -> Result<(), OpenError> {
        if let Self::Blind(found) = self {
            return found.read(first, &mut |frame| {
                if frame.at.within() == 0 {
                    each(frame)?;
                }
                Ok(())
            });
        }
        found!(self, found => found.read(first, each))
    }

    fn last_is_durable(&self) -> bool {
        found!(self, found => found.last_is_durable())
    }

    fn torn_tail(&self) -> Option<TornTail> {
        found!(self, found => found.torn_tail())
    }

    fn copies(&self) -> Option<Arc<dyn Copies>> {
        found!(self, found => found.copies())
    }

    fn trim(&mut self, first: u64) -> Result<(), OpenError> {
        found!(self, found => found.trim(first))
    }

    fn next(&self, after: u64) -> At {
        found!(self, found => found.next(after))
    }

    fn may_grow(&self) -> bool {
        found!(self, found => found.may_grow())
    }

    fn claim(&mut self, after: u64, heading: Heading, frame: &mut [u8]) -> Result<bool, OpenError> {
        found!(self, found => found.claim(after, heading, frame))
    }

    fn read_on(&mut self, each: &mut EachFrame<'_>) -> Result<(), OpenError> {
        found!(self, found => found.read_on(each))
    }

    fn go_on(
        self,
        after: u64,
        heading: Heading,
        frame: &mut [u8],
        now: Now,
    ) -> Result<AnyJournal, OpenError> {
        Ok(match self {
            Self::Files(found) => AnyJournal::Files(found.go_on(after, heading, frame, now)?),
            Self::Memory(found) => AnyJournal::Memory(found.go_on(after, heading, frame, now)?),
            Self::Replica(found) | Self::Blind(found) => {
                AnyJournal::Replica(found.go_on(after, heading, frame, now)?)
            }
        })
    }
}

impl Journal for AnyJournal {
    type Frames = AnyFrames;

    fn frames(&self) -> AnyFrames {
        match self {
            Self::Files(journal) => AnyFrames::Files(journal.frames()),
            Self::Memory(journal) => AnyFrames::Memory(journal.frames()),
            Self::Replica(journal) => AnyFrames::Replica(journal.frames()),
        }
    }

    fn next(&self) -> At {
        either!(Self, self, journal => journal.next())
    }

    fn room(&self, purpose: Purpose) -> u64 {
        either!(Self, self, journal => journal.room(purpose))
    }

    fn begin_segment(
        &mut self,
        need: u64,
        purpose: Purpose,
        beside: u64,
        now: Now,
    ) -> Result<bool, JournalError> {
        either!(Self, self, journal => journal.begin_segment(need, purpose, beside, now))
    }

    fn append(&mut self, heading: Heading, frame: &mut [u8]) -> Result<At, JournalError> {
        either!(Self, self, journal => journal.append(heading, frame))
    }

    fn read(&self, each: &mut EachFrame<'_>) -> Result<(), OpenError> {
        either!(Self, self, journal => journal.read(each))
    }

    fn trim(&mut self, first: u64) {
        either!(Self, self, journal => journal.trim(first));
    }

    fn used(&self) -> u64 {
        either!(Self, self, journal => journal.used())
    }

    fn closed_bytes(&self, first: u64) -> u64 {
        either!(Self, self, journal => journal.closed_bytes(first))
    }

    fn is_shared(&self) -> bool {
        either!(Self, self, journal => journal.is_shared())
    }

    fn pause(&self, now: Now) -> Duration {
        either!(Self, self, journal => journal.pause(now))
    }

    fn tend(&mut self, now: Now) {
        either!(Self, self, journal => journal.tend(now));
    }

    fn is_short_of_space(&self) -> bool {
        either!(Self, self, journal => journal.is_short_of_space())
    }

    fn give_up_space(&mut self) {
        either!(Self, self, journal => journal.give_up_space());
    }
}

impl Frames for AnyFrames {
    type Open = OpenFile<SimFile>;

    fn frame(&self, at: At) -> io::Result<Option<Frame>> {
        either!(Self, self, frames => frames.frame(at))
    }

    fn read(
        &self,
        open: &mut OpenFile<SimFile>,
        at: At,
        offset: u64,
        buffer: &mut [u8],
    ) -> io::Result<()> {
        match self {
            Self::Files(frames) => frames.read(open, at, offset, buffer),
            Self::Memory(frames) => frames.read(&mut (), at, offset, buffer),
            Self::Replica(frames) => frames.read(open, at, offset, buffer),
        }
    }

    fn name(&self) -> String {
        either!(Self, self, frames => frames.name())
    }

    fn name_of_segment(&self, segment: u64) -> String {
        either!(Self, self, frames => frames.name_of_segment(segment))
    }

    fn name_of(&self, at: At) -> String {
        either!(Self, self, frames => frames.name_of(at))
    }
}
