//! A journal in memory that behaves as one in an object store or a stream would: each frame is kept whole or
//! not at all, an append is refused if another frame has its number, and an answer can be lost.
//!
//! A crash keeps every frame that was appended. A frame whose outcome is unknown is kept or not.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use lakehook::clock::Now;
use lakehook::wal::journal::errors::OpenError;
use lakehook::wal::journal::seam::{
    At, EachFrame, Found, Frame, Frames, Heading, Journal, JournalError, Purpose, TornTail,
};
use lakehook::wal::layout::{FRAME_HEADER, FrameHeader};

use crate::disk::{Op, SimDisk};

const NAME: &str = "memory";

#[derive(Debug, Default)]
struct Kept {
    frames: BTreeMap<At, Vec<u8>>,
    /// The number and the checksum of the last frame.
    last: (u64, u32),
}

/// The store that keeps the frames. Clones share it; its faults are those of its disk.
#[derive(Clone, Debug)]
pub(crate) struct MemoryStore {
    disk: SimDisk,
    kept: Arc<Mutex<Kept>>,
}

impl MemoryStore {
    pub(crate) fn new(disk: SimDisk) -> Self {
        Self {
            disk,
            kept: Arc::default(),
        }
    }

    /// The journal as a start finds it.
    pub(crate) fn find(&self, segment_bytes: u64, max_bytes: u64) -> FoundMemory {
        FoundMemory {
            store: self.clone(),
            segment_bytes,
            max_bytes,
        }
    }

    /// Loses the oldest segment.
    pub(crate) fn vanish_first(&self) {
        let mut kept = self.kept();
        let first = kept.frames.keys().next().map(|at| at.segment());
        kept.frames.retain(|at, _| Some(at.segment()) != first);
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap()
    }

    fn each(&self, first: u64, each: &mut EachFrame<'_>) -> Result<(), OpenError> {
        let frames: Vec<(At, Vec<u8>)> = {
            let kept = self.kept();
            let frames = kept.frames.range(At::new(first, 0)..);
            frames.map(|(at, bytes)| (*at, bytes.clone())).collect()
        };
        if frames.first().is_none_or(|(at, _)| at.segment() > first) {
            return Err(OpenError::Unreadable {
                journal: NAME.to_owned(),
                detail: format!("segment {first} is gone"),
            });
        }
        for (at, bytes) in frames {
            each(frame_of(at, bytes).unwrap())?;
        }
        Ok(())
    }

    fn trim(&self, first: u64) {
        self.kept().frames.retain(|at, _| at.segment() >= first);
    }

    /// Appends a frame if the store's last frame is the one that precedes it.
    fn append(
        &self,
        at: At,
        (number, previous_crc): (u64, u32),
        heading: Heading,
        frame: &mut [u8],
    ) -> Result<(u64, u32), JournalError> {
        let number = number + 1;
        let header = heading.chained(at.segment(), number, previous_crc);
        let crc = header.seal(frame);
        let path = format!("/journal/{number}");
        let (outcome, is_kept) = {
            let mut state = self.disk.state();
            let outcome = state.begin(Op::Write, Path::new(&path));
            (outcome, state.chance.percent(50))
        };
        let mut kept = self.kept();
        if kept.last != (number - 1, previous_crc) {
            let by = NAME.to_owned();
            return Err(JournalError::Fenced { number, by });
        }
        let is_full = |error: &io::Error| error.kind() == io::ErrorKind::StorageFull;
        match outcome {
            Err(error) if is_full(&error) => return Err(JournalError::NoSpace(error)),
            Err(error) if !is_kept => return Err(JournalError::Unknown(error)),
            _ => {}
        }
        kept.frames.insert(at, frame.to_vec());
        kept.last = (number, crc);
        outcome.map_err(JournalError::Unknown)?;
        Ok((number, crc))
    }
}

fn frame_of(at: At, bytes: Vec<u8>) -> Option<Frame> {
    let header = FrameHeader::decode(&bytes)?;
    header
        .matches(&bytes)
        .then_some(Frame { header, at, bytes })
}

/// A journal in memory before anything is appended in this life.
pub(crate) struct FoundMemory {
    store: MemoryStore,
    segment_bytes: u64,
    max_bytes: u64,
}

impl Found for FoundMemory {
    type Journal = MemoryJournal;

    fn frames(&self) -> MemoryStore {
        self.store.clone()
    }

    fn newest(&self) -> Option<u64> {
        let kept = self.store.kept();
        kept.frames.keys().next_back().map(|at| at.segment())
    }

    fn read(&mut self, first: u64, each: &mut EachFrame<'_>) -> Result<(), OpenError> {
        self.store.each(first, each)
    }

    fn last_is_durable(&self) -> bool {
        true
    }

    fn torn_tail(&self) -> Option<TornTail> {
        None
    }

    fn trim(&mut self, first: u64) -> Result<(), OpenError> {
        self.store.trim(first);
        Ok(())
    }

    fn next(&self, after: u64) -> At {
        At::new(after + 1, 0)
    }

    fn go_on(
        self,
        after: u64,
        heading: Heading,
        frame: &mut [u8],
        _: Now,
    ) -> Result<MemoryJournal, OpenError> {
        let last = self.store.kept().last;
        let mut journal = MemoryJournal {
            store: self.store,
            segment_bytes: self.segment_bytes,
            max_bytes: self.max_bytes,
            next: At::new(after + 1, 0),
            last,
            taken: 0,
        };
        journal
            .append(heading, frame)
            .map_err(|error| OpenError::Io {
                dir: NAME.into(),
                error: io::Error::other(error),
            })?;
        Ok(journal)
    }
}

/// A journal in memory.
pub(crate) struct MemoryJournal {
    store: MemoryStore,
    segment_bytes: u64,
    max_bytes: u64,
    next: At,
    last: (u64, u32),
    /// How many bytes the current segment has.
    taken: u64,
}

impl Journal for MemoryJournal {
    type Frames = MemoryStore;

    fn frames(&self) -> MemoryStore {
        self.store.clone()
    }

    fn next(&self) -> At {
        self.next
    }

    fn room(&self, _: Purpose) -> u64 {
        self.segment_bytes.saturating_sub(self.taken)
    }

    fn begin_segment(
        &mut self,
        need: u64,
        purpose: Purpose,
        beside: u64,
        _: Now,
    ) -> Result<bool, JournalError> {
        let bytes = self.used().saturating_add(beside).saturating_add(need);
        if purpose == Purpose::Requests && bytes > self.max_bytes {
            return Ok(false);
        }
        if self.next.within() > 0 {
            self.next = At::new(self.next.segment() + 1, 0);
        }
        self.taken = 0;
        self.segment_bytes = self.segment_bytes.max(need);
        Ok(true)
    }

    fn append(&mut self, heading: Heading, frame: &mut [u8]) -> Result<At, JournalError> {
        let at = self.next;
        self.last = self.store.append(at, self.last, heading, frame)?;
        self.next = At::new(at.segment(), at.within() + 1);
        self.taken += frame.len() as u64;
        Ok(at)
    }

    fn read(&self, each: &mut EachFrame<'_>) -> Result<(), OpenError> {
        let first = self.store.kept().frames.keys().next().copied();
        self.store.each(first.map_or(0, At::segment), each)
    }

    fn trim(&mut self, first: u64) {
        self.store.trim(first);
    }

    fn used(&self) -> u64 {
        let kept = self.store.kept();
        kept.frames.values().map(|bytes| bytes.len() as u64).sum()
    }

    fn closed_bytes(&self, first: u64) -> u64 {
        let kept = self.store.kept();
        let last = kept.frames.keys().next_back().map_or(0, |at| at.segment());
        let closed = kept.frames.iter();
        let closed = closed.filter(|(at, _)| (first..last).contains(&at.segment()));
        closed.map(|(_, bytes)| bytes.len() as u64).sum()
    }

    fn tend(&mut self, _: Now) {}

    fn is_short_of_space(&self) -> bool {
        false
    }

    fn give_up_space(&mut self) {}
}

impl Frames for MemoryStore {
    type Open = ();

    fn frame(&self, at: At) -> io::Result<Option<Frame>> {
        let bytes = self.kept().frames.get(&at).cloned();
        let bytes = bytes.ok_or(io::ErrorKind::NotFound)?;
        Ok(frame_of(at, bytes))
    }

    fn read(&self, (): &mut (), at: At, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let kept = self.kept();
        let bytes = kept.frames.get(&at).ok_or(io::ErrorKind::NotFound)?;
        let from = FRAME_HEADER + usize::try_from(offset).unwrap();
        let part = bytes.get(from..from + buffer.len());
        buffer.copy_from_slice(part.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn name(&self) -> String {
        NAME.to_owned()
    }

    fn name_of_segment(&self, segment: u64) -> String {
        format!("{NAME}, segment {segment}")
    }

    fn name_of(&self, at: At) -> String {
        format!("{NAME}, segment {}, frame {}", at.segment(), at.within())
    }
}
