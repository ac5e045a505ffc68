//! Appends frames to an engine, as the one owner of the log.
//!
//! An append ends in a verdict, or in no more attempts. The same bytes are put under the same number
//! until then, and no other frame in the meantime. Only a put that is stored, or one that finds just
//! these bytes, is durable; one that finds another frame says that somebody else owns the log now.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::io;
use std::time::Duration;

use super::cache::{Cache, CachedFrames, from_engine};
use super::engine::{Engine, EngineError, Item, KeepTrying, PutVerdict};
use super::envelope::Envelope;
use super::identity;
use crate::helper::{Background, Helper};
use crate::journal::errors::OpenError;
use crate::journal::frames::{At, Heading};
use crate::journal::layout::FrameHeader;
use crate::journal::seam::{EachFrame, Frames as _, Journal, JournalError, Purpose, SPACE_RETRY};
use lakehook_base::clock::Now;
use lakehook_base::files::Files;
use lakehook_base::ids::{Ids, NodeId};

/// Settings of a replicated journal.
#[derive(Clone)]
pub struct ReplicaSettings {
    /// A segment with this many bytes takes no more frames.
    pub segment_bytes: u64,
    /// Most bytes of segments, and of the other files of the journal's owner.
    pub max_bytes: u64,
    /// The log.
    pub log: NodeId,
    /// Source of the ids of segments.
    pub ids: Ids,
    /// Where the helper that deletes frames runs.
    pub background: Background,
    /// How long an append is repeated whose outcome is unknown.
    pub keep_trying: KeepTrying,
    /// Who this is, for the messages of others.
    pub owner: String,
    /// The shortest time between two appends.
    pub interval: Duration,
    /// Number and checksum of a frame that was durable, as this process has heard; (0, 0) if it has heard of none.
    pub known: (u64, u32),
    /// The epoch that is to end, 0 if there is none yet: an owner that came after it is left alone. `None`: whoever
    /// owns the log.
    pub over: Option<u64>,
}

/// A segment that exists.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Extent {
    /// Number of its first frame.
    pub(crate) first: u64,
    /// Bytes of its frames.
    pub(crate) bytes: u64,
}

/// The place of the next frame.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// Where it belongs.
    pub(crate) envelope: Envelope,
    /// The id of its segment, which is random: nobody else has frames with it.
    pub(crate) segment_id: u64,
    /// Number and checksum of the frame before.
    pub(crate) last: (u64, u32),
}

/// What became of a put of a frame.
pub(crate) enum Verdict {
    /// It is durable.
    Stored,
    /// Another frame has its number, appended by the one who is named.
    Taken(String),
    /// It was refused before anybody could know of it.
    Full(io::Error),
    /// Nobody knows.
    Unknown(io::Error),
}

/// Seals a frame for its place, and puts it until there is a verdict.
pub(crate) fn put_frame<E: Engine>(
    engine: &E,
    keep_trying: &dyn Fn(u32, &EngineError) -> bool,
    place: &Place,
    (heading, frame): (Heading, &mut [u8]),
) -> (Verdict, FrameHeader) {
    let number = place.last.0 + 1;
    let mut header = heading.chained(place.segment_id, number, place.last.1);
    header.crc = header.seal(frame);
    let item = place.envelope.wrap(frame);
    let mut failed = 0;
    loop {
        let error = match attempt(engine, &header, &item) {
            Ok(verdict) => return (verdict, header),
            // Only a first attempt is known not to be on its way any more.
            Err(EngineError::Full(message)) if failed == 0 => {
                let error = io::Error::new(io::ErrorKind::StorageFull, message);
                return (Verdict::Full(error), header);
            }
            Err(error) => error,
        };
        failed += 1;
        if !keep_trying(failed, &error) {
            let (EngineError::Full(message) | EngineError::Unknown(message)) = error;
            return (Verdict::Unknown(io::Error::other(message)), header);
        }
    }
}

fn attempt<E: Engine>(
    engine: &E,
    header: &FrameHeader,
    item: &[u8],
) -> Result<Verdict, EngineError> {
    let name = Item::Frame(header.number);
    if engine.put_new(name, item)? == PutVerdict::Stored {
        return Ok(Verdict::Stored);
    }
    // The answer to an earlier attempt may have been lost.
    Ok(match engine.read(name)? {
        Some(there) => whose(there, header),
        // Somebody else has trimmed it already.
        None => Verdict::Taken(SOMEBODY.to_owned()),
    })
}

const SOMEBODY: &str = "another process";

/// The verdict on a frame whose number is taken by this item.
fn whose(there: Vec<u8>, header: &FrameHeader) -> Verdict {
    match Envelope::open(there) {
        Ok((_, frame))
            if frame.header.segment_id == header.segment_id && frame.header.crc == header.crc =>
        {
            Verdict::Stored
        }
        Ok((envelope, _)) if !envelope.owner.is_empty() => Verdict::Taken(envelope.owner),
        _ => Verdict::Taken(SOMEBODY.to_owned()),
    }
}

/// A journal in an engine, which this process owns until it is told otherwise.
pub struct ReplicaJournal<E: Engine, F: Files> {
    engine: E,
    settings: ReplicaSettings,
    cache: Cache<F>,
    place: Place,
    /// The segments that exist, the current one only once it has a frame.
    segments: BTreeMap<u64, Extent>,
    /// Numbers of all fences: they are never deleted.
    fences: Vec<u64>,
    /// Most bytes that the current segment may have.
    segment_bytes: u64,
    /// Deletes frames; returns those that it could not delete.
    helper: Helper<Vec<u64>, Vec<u64>>,
    /// Frames that are released and were not deleted yet.
    released: Vec<u64>,
    /// Monotonic time from which on it is looked whether the engine, which was full, has room again.
    full_until: Option<Duration>,
    /// Monotonic time of the last turn, …
    turned_at: Duration,
    /// … and of the last one that has appended something.
    appended_at: Option<Duration>,
}

/// What a journal begins with, once its fence is durable.
pub(crate) struct Begun<F: Files> {
    pub(crate) cache: Cache<F>,
    /// The place of the fence.
    pub(crate) place: Place,
    /// The fence's header, and its bytes.
    pub(crate) fence: (FrameHeader, u64),
    pub(crate) segments: BTreeMap<u64, Extent>,
    pub(crate) fences: Vec<u64>,
    /// Frames of segments that do not exist any more.
    pub(crate) released: Vec<u64>,
}

impl<E: Engine, F: Files> ReplicaJournal<E, F> {
    pub(crate) fn begin(engine: E, settings: ReplicaSettings, begun: Begun<F>) -> io::Result<Self> {
        let of_helper = engine.clone();
        let helper = Helper::new(settings.background, "wal-helper", move |numbers| {
            let left = delete(&of_helper, numbers);
            (!left.is_empty()).then_some(left)
        })?;
        let Begun {
            cache,
            place,
            fence: (header, bytes),
            segments,
            fences,
            released,
        } = begun;
        let segment_bytes = settings.segment_bytes.max(bytes);
        let mut journal = Self {
            engine,
            settings,
            cache,
            place,
            segments,
            fences,
            segment_bytes,
            helper,
            released,
            full_until: Some(Duration::ZERO),
            turned_at: Duration::ZERO,
            appended_at: None,
        };
        journal.go_behind(&header, bytes);
        // A start in an engine that is full has given its reserve up.
        journal.look_for_room();
        Ok(journal)
    }

    /// The place of the frame after one that is durable.
    fn go_behind(&mut self, header: &FrameHeader, bytes: u64) {
        let envelope = &mut self.place.envelope;
        let extent = self.segments.entry(envelope.segment).or_default();
        extent.first = envelope.first;
        extent.bytes += bytes;
        envelope.offset += bytes;
        envelope.fences.clear();
        envelope.owner.clear();
        self.place.last = (header.number, header.crc);
    }

    /// Whether nothing of requests is taken: what is shipped is read from the copies, and what frees space needs
    /// space itself.
    fn takes_no_requests(&self) -> bool {
        self.cache.has_holes() || self.full_until.is_some()
    }

    /// The engine has refused something. What is in reserve is for what frees space.
    fn is_full(&mut self) {
        self.full_until = Some(self.turned_at + SPACE_RETRY);
        self.make_room();
    }

    /// Tells why requests are refused from now on, although the frame that was refused may still be stored.
    fn say_full(&self, why: &dyn Display) {
        let log = self.engine.name();
        tracing::warn!(
            log, %why,
            "the replica is full; what is in reserve is used, and requests are refused until there is room"
        );
    }

    fn make_room(&self) {
        if let Err(error) = self.engine.make_room() {
            let log = self.engine.name();
            tracing::warn!(%error, log, "failed to make room in the replica");
        }
    }

    /// Looks whether an engine that was full has room again.
    fn look_for_room(&mut self) {
        if self.full_until.is_none_or(|at| self.turned_at < at) {
            return;
        }
        let has_room = self.engine.has_room();
        let was_full = self.full_until.is_some_and(|at| !at.is_zero());
        self.full_until = match has_room {
            Ok(true) => None,
            Ok(false) | Err(_) => Some(self.turned_at + SPACE_RETRY),
        };
        let log = self.engine.name();
        match has_room {
            Ok(true) if was_full => tracing::warn!(log, "the replica has room again"),
            Ok(true) => {}
            Ok(false) if was_full => {}
            Ok(false) => tracing::warn!(
                log,
                "the replica is full; requests are refused until it has room"
            ),
            Err(error) => tracing::warn!(%error, log, "failed to see whether the replica has room"),
        }
    }

    fn delete_released(&mut self) {
        if self.released.is_empty() {
            return;
        }
        self.released.sort_unstable();
        let released = std::mem::take(&mut self.released);
        if let Err(released) = self.helper.start(released) {
            // The helper is far behind.
            self.released = released;
        }
    }
}

/// Deletes frames in ascending order; returns those that are left after a failure.
fn delete<E: Engine>(engine: &E, mut numbers: Vec<u64>) -> Vec<u64> {
    let fails = |number: &u64| match engine.delete(Item::Frame(*number)) {
        Ok(()) => false,
        Err(error) => {
            let log = engine.name();
            tracing::warn!(%error, log, "failed to delete frames; trying again with the next trim");
            true
        }
    };
    match numbers.iter().position(fails) {
        None => Vec::new(),
        Some(index) => numbers.split_off(index),
    }
}

impl<E: Engine, F: Files> Journal for ReplicaJournal<E, F> {
    type Frames = CachedFrames<E, F>;

    fn frames(&self) -> CachedFrames<E, F> {
        self.cache.reader(self.engine.clone())
    }

    fn next(&self) -> At {
        At::new(self.place.envelope.segment, self.place.envelope.offset)
    }

    fn room(&self, purpose: Purpose) -> u64 {
        if purpose == Purpose::Requests && self.takes_no_requests() {
            return 0;
        }
        self.segment_bytes
            .saturating_sub(self.place.envelope.offset)
    }

    fn begin_segment(
        &mut self,
        need: u64,
        purpose: Purpose,
        beside: u64,
        _: Now,
    ) -> Result<bool, JournalError> {
        let bytes = self.settings.segment_bytes.max(need);
        let then = self.used().saturating_add(beside).saturating_add(bytes);
        if purpose == Purpose::Requests
            && (self.takes_no_requests() || then > self.settings.max_bytes)
        {
            return Ok(false);
        }
        let segment_id = self.settings.ids.next().map_err(JournalError::Unknown)?;
        let envelope = &mut self.place.envelope;
        if envelope.offset > 0 {
            envelope.previous_first = envelope.first;
            envelope.segment += 1;
        }
        envelope.first = self.place.last.0 + 1;
        envelope.offset = 0;
        self.place.segment_id = segment_id;
        self.segment_bytes = bytes;
        Ok(true)
    }

    fn append(&mut self, heading: Heading, frame: &mut [u8]) -> Result<At, JournalError> {
        let at = self.next();
        let was_full = Cell::new(false);
        let put = |own: &Self, frame: &mut [u8]| {
            let keep_trying = |failed: u32, error: &EngineError| {
                // An attempt whose outcome is unknown must be repeated, and so must fit.
                if let EngineError::Full(why) = error
                    && !was_full.replace(true)
                {
                    own.say_full(why);
                    own.make_room();
                }
                (own.settings.keep_trying)(failed, error)
            };
            put_frame(&own.engine, &keep_trying, &own.place, (heading, frame))
        };
        let (mut verdict, mut header) = put(self, &mut *frame);
        if was_full.get() || matches!(verdict, Verdict::Full(_)) {
            self.is_full();
        }
        // Seals, commits and checkpoints.
        if let Verdict::Full(why) = &verdict
            && heading.rows == 0
        {
            self.say_full(why);
            (verdict, header) = put(self, &mut *frame);
        }
        match verdict {
            Verdict::Stored => {}
            Verdict::Taken(by) => {
                let number = header.number;
                return Err(JournalError::Fenced { number, by });
            }
            Verdict::Full(error) => return Err(JournalError::NoSpace(error)),
            Verdict::Unknown(error) => return Err(JournalError::Unknown(error)),
        }
        self.appended_at = Some(self.turned_at);
        self.cache.keep(at, header.number, frame);
        self.go_behind(&header, frame.len() as u64);
        Ok(at)
    }

    fn read(&self, each: &mut EachFrame<'_>) -> Result<(), OpenError> {
        let frames = self.frames();
        for (segment, extent) in &self.segments {
            let (mut at, mut number) = (At::new(*segment, 0), extent.first);
            while at.within() < extent.bytes {
                // A copy that cannot be read is as good as none.
                let kept = frames.frame(at).ok().flatten();
                let frame = match kept {
                    Some(frame) => frame,
                    None => from_engine(&self.engine, at, number)
                        .map_err(|error| identity::unreadable(&self.engine, &error.to_string()))?,
                };
                at = At::new(*segment, at.within() + frame.bytes.len() as u64);
                number += 1;
                each(frame)?;
            }
        }
        Ok(())
    }

    fn trim(&mut self, first: u64) {
        let kept = self.segments.split_off(&first);
        let gone = std::mem::replace(&mut self.segments, kept);
        // The newest frame is never deleted: by it others see that theirs are old.
        let end = self.segments.values().next().map(|extent| extent.first);
        let end = end.unwrap_or(self.place.last.0);
        if let Some(begin) = gone.values().next().map(|extent| extent.first) {
            let released = (begin..end).filter(|number| self.fences.binary_search(number).is_err());
            self.released.extend(released);
            self.cache.forget(gone.into_keys());
        }
        self.delete_released();
    }

    fn used(&self) -> u64 {
        let first = self.segments.values().next().map(|extent| extent.first);
        let frames = first.map_or(0, |first| self.place.last.0 + 1 - first);
        let bytes: u64 = self.segments.values().map(|extent| extent.bytes).sum();
        bytes + frames * self.engine.beside()
    }

    fn closed_bytes(&self, first: u64) -> u64 {
        let bytes = self.segments.range(first..).map(|(_, extent)| extent.bytes);
        bytes.rev().skip(1).sum()
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn last(&self) -> (u64, u32) {
        self.place.last
    }

    fn pause(&self, now: Now) -> Duration {
        let next = self.appended_at.map(|at| at + self.settings.interval);
        next.map_or(Duration::ZERO, |next| next.saturating_sub(now.mono))
    }

    fn tend(&mut self, now: Now) {
        self.turned_at = now.mono;
        while let Some(left) = self.helper.poll() {
            self.released.extend(left);
        }
        if self.cache.has_holes() {
            self.cache.fill_holes(&self.engine);
        }
        self.look_for_room();
    }

    fn is_short_of_space(&self) -> bool {
        self.takes_no_requests()
    }

    fn give_up_space(&mut self) {
        self.is_full();
    }
}
