//! A replicated journal as a start finds it: it reads the frames, and takes the log over by a frame of
//! its own, the *fence*.
//!
//! The owner may be alive and append meanwhile. Then the number of the fence is taken: the frames that
//! came in are read, and the fence is tried behind them.
//!
//! A fence counts only if a list that was begun after it was stored has no larger number. Without
//! that, a start that was paused between its list and its fence could put it under a number that was
//! trimmed in the meantime, and would own a log that nobody reads.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::cache::{Cache, CachedFrames, newest_copy};
use super::copies::{EngineCopies, fetch_ids};
use super::engine::{Engine, insist};
use super::envelope::Envelope;
use super::identity::unreadable;
use super::owner::{Begun, Extent, Place, ReplicaJournal, ReplicaSettings, Verdict, put_frame};
use super::walk::Walk;
use crate::dedup::copies::Copies;
use crate::journal::errors::OpenError;
use crate::journal::frames::{At, Heading, TornTail};
use crate::journal::layout::FrameHeader;
use crate::journal::seam::{EachFrame, Found, Frames};
use lakehook_base::clock::Now;
use lakehook_base::files::Files;

/// A log in an engine before anything is appended in this life.
pub struct FoundReplica<E: Engine, F: Files> {
    walk: Walk<E>,
    dir: PathBuf,
    settings: ReplicaSettings,
    /// Bytes of the frames of each segment of which the directory has copies.
    copied: BTreeMap<u64, u64>,
    /// The oldest segment that was not trimmed.
    oldest: u64,
    cache: Cache<F>,
    /// The place of the fence and its header, once it counts.
    claimed: Option<(Place, FrameHeader)>,
}

impl<E: Engine, F: Files> FoundReplica<E, F> {
    /// Lists the log in an engine, and fetches the id files that the directory lacks.
    ///
    /// An engine that has less than the directory has copies of is refused, and the copies stay.
    pub fn open(
        engine: E,
        files: F,
        dir: &Path,
        settings: ReplicaSettings,
    ) -> Result<Self, OpenError> {
        let dir_io = |error| OpenError::Io {
            dir: dir.to_owned(),
            error,
        };
        let keep_trying = settings.keep_trying.clone();
        let walk = Walk::begin(engine, settings.log, keep_trying, settings.background)?;
        let copy = newest_copy(&files, dir).map_err(dir_io)?;
        check_owner(&walk, settings.over)?;
        let has_copy = format!("{} has a copy of it", dir.display());
        check_frame(&walk, copy, &has_copy)?;
        let known = Some(settings.known).filter(|(number, _)| *number > 0);
        check_frame(&walk, known, "its owner has told of it")?;
        fetch_ids(&walk.engine, (&files, dir), &settings.keep_trying)?;
        let epoch = epoch_after(&walk);
        let cache = Cache::begin(files, dir, epoch).map_err(dir_io)?;
        Ok(Self {
            walk,
            dir: dir.to_owned(),
            settings,
            copied: BTreeMap::new(),
            oldest: 0,
            cache,
            claimed: None,
        })
    }

    /// The epoch that begins with this start.
    pub fn epoch(&self) -> u64 {
        epoch_after(&self.walk)
    }

    fn dir_io(&self, error: io::Error) -> OpenError {
        OpenError::Io {
            dir: self.dir.clone(),
            error,
        }
    }

    fn engine_io(&self, error: io::Error) -> OpenError {
        OpenError::Io {
            dir: self.walk.engine.name().into(),
            error,
        }
    }

    /// Calls `each` for the frames of a segment, and keeps copies of them.
    fn read_segment(
        &mut self,
        segment: u64,
        previous: &mut Option<FrameHeader>,
        each: &mut EachFrame<'_>,
    ) -> Result<(), OpenError> {
        let frames = self.frames();
        let is_copied = self.copied.contains_key(&segment);
        let copy = |at| {
            let copy = is_copied.then(|| frames.frame(at).ok().flatten());
            copy.flatten()
        };
        let (cache, dir) = (&mut self.cache, &self.dir);
        let end = self
            .walk
            .read_segment(segment, previous, &copy, &mut |frame, is_fetched| {
                if is_fetched {
                    let kept = cache.write(frame.at, &frame.bytes);
                    kept.map_err(|error| OpenError::Io {
                        dir: dir.clone(),
                        error,
                    })?;
                }
                each(frame)
            })?;
        self.copied.insert(segment, end);
        Ok(())
    }

    /// The place of the fence.
    fn place(&self, after: u64) -> Result<Place, OpenError> {
        let newest = self.walk.newest.as_ref();
        let last = newest.map_or((0, 0), |(_, header)| (header.number, header.crc));
        let number = last.0 + 1;
        let mut fences = self.walk.fences.clone();
        fences.push(number);
        let segment_id = self.settings.ids.next();
        let segment_id = segment_id.map_err(|error| self.dir_io(error))?;
        Ok(Place {
            envelope: Envelope {
                log: self.settings.log,
                epoch: self.epoch(),
                segment: after + 1,
                first: number,
                previous_first: newest.map_or(0, |(newest, _)| newest.first),
                fence: number,
                offset: 0,
                fences,
                owner: self.settings.owner.clone(),
            },
            segment_id,
            last,
        })
    }

    /// The segments that exist, with what the journal must know of them.
    fn extents(&self) -> BTreeMap<u64, Extent> {
        let segments = self.walk.segments.range(self.oldest..);
        let extents = segments.map(|(segment, way)| {
            let bytes = self.copied.get(segment).copied().unwrap_or(0);
            let extent = Extent {
                first: way.first,
                bytes,
            };
            (*segment, extent)
        });
        extents.collect()
    }
}

fn epoch_after<E: Engine>(walk: &Walk<E>) -> u64 {
    let newest = walk.newest.as_ref();
    newest.map_or(1, |(envelope, _)| envelope.epoch + 1)
}

/// Leaves an owner alone who has come after the one that is to be replaced.
fn check_owner<E: Engine>(walk: &Walk<E>, over: Option<u64>) -> Result<(), OpenError> {
    let newest = walk.newest.as_ref();
    let epoch = newest.map_or(0, |(envelope, _)| envelope.epoch);
    if over.is_none_or(|over| over == epoch) {
        return Ok(());
    }
    Err(OpenError::Lost {
        journal: walk.engine.name(),
        by: format!("the owner of epoch {epoch}"),
    })
}

/// Refuses an engine that has forgotten a frame of which something is left, such as a copy: whoever was
/// told that it is durable would be told something else.
fn check_frame<E: Engine>(
    walk: &Walk<E>,
    frame: Option<(u64, u32)>,
    why: &str,
) -> Result<(), OpenError> {
    let Some((number, crc)) = frame else {
        return Ok(());
    };
    let newest = walk.newest_number();
    let is_there = match walk.read_item(number)? {
        Some((envelope, frame)) => {
            // A fence that never counted may lie where the frame was trimmed.
            let is_garbage = envelope.fence == number && !walk.is_fence(number);
            frame.header.crc == crc || is_garbage && number < newest
        }
        // It may have been trimmed since.
        None => number < newest,
    };
    if is_there {
        return Ok(());
    }
    let detail = format!(
        "its newest frame is {newest}, and frame {number} was durable ({why}): the replica has gone \
         back in time. Nothing was changed; restore the replica"
    );
    Err(unreadable(&walk.engine, &detail))
}

impl<E: Engine, F: Files> Found for FoundReplica<E, F> {
    type Journal = ReplicaJournal<E, F>;

    fn frames(&self) -> CachedFrames<E, F> {
        self.cache.reader(self.walk.engine.clone())
    }

    fn newest(&self) -> Option<u64> {
        self.walk.newest_segment()
    }

    fn read(&mut self, first: u64, each: &mut EachFrame<'_>) -> Result<(), OpenError> {
        let Some(newest) = self.newest() else {
            return Ok(());
        };
        if first < self.oldest {
            let detail = format!("segment {first} is trimmed");
            return Err(unreadable(&self.walk.engine, &detail));
        }
        self.walk.go_back_to(first)?;
        let mut previous = None;
        for segment in first..=newest {
            self.read_segment(segment, &mut previous, each)?;
        }
        Ok(())
    }

    fn last_is_durable(&self) -> bool {
        true
    }

    fn torn_tail(&self) -> Option<TornTail> {
        None
    }

    fn copies(&self) -> Option<Arc<dyn Copies>> {
        Some(Arc::new(EngineCopies {
            engine: self.walk.engine.clone(),
            keep_trying: self.settings.keep_trying.clone(),
        }))
    }

    /// What is trimmed is deleted once this process owns the log.
    fn trim(&mut self, first: u64) -> Result<(), OpenError> {
        self.oldest = self.oldest.max(first);
        let kept = self.copied.split_off(&first);
        let gone = std::mem::replace(&mut self.copied, kept);
        self.cache.forget(gone.into_keys());
        Ok(())
    }

    fn next(&self, after: u64) -> At {
        At::new(after + 1, 0)
    }

    fn may_grow(&self) -> bool {
        true
    }

    fn claim(&mut self, after: u64, heading: Heading, frame: &mut [u8]) -> Result<bool, OpenError> {
        let place = self.place(after)?;
        let keep_trying = &self.settings.keep_trying;
        let engine = &self.walk.engine;
        let (mut verdict, mut header) =
            put_frame(engine, &**keep_trying, &place, (heading, &mut *frame));
        if let Verdict::Full(_) = verdict {
            let made = insist(keep_trying, || engine.make_room());
            made.map_err(|error| self.engine_io(error.into()))?;
            (verdict, header) = put_frame(engine, &**keep_trying, &place, (heading, frame));
        }
        match verdict {
            Verdict::Stored => {}
            Verdict::Taken(_) => return Ok(false),
            Verdict::Full(error) | Verdict::Unknown(error) => return Err(self.engine_io(error)),
        }
        self.walk.check_fence(header.number)?;
        self.claimed = Some((place, header));
        Ok(true)
    }

    fn read_on(&mut self, each: &mut EachFrame<'_>) -> Result<(), OpenError> {
        let (cache, dir, copied) = (&mut self.cache, &self.dir, &mut self.copied);
        let before = self.walk.newest_number();
        self.walk.read_on(&mut |_, frame| {
            let kept = cache.write(frame.at, &frame.bytes);
            kept.map_err(|error| OpenError::Io {
                dir: dir.clone(),
                error,
            })?;
            let end = frame.at.within() + frame.bytes.len() as u64;
            copied.insert(frame.at.segment(), end);
            each(frame)
        })?;
        if self.walk.newest_number() == before {
            // It was there, and is gone: it was trimmed, far below what is there now.
            let detail = format!("frame {} was appended and trimmed meanwhile", before + 1);
            return Err(self.walk.contended(&detail));
        }
        Ok(())
    }

    fn go_on(
        mut self,
        after: u64,
        heading: Heading,
        frame: &mut [u8],
        _: Now,
    ) -> Result<ReplicaJournal<E, F>, OpenError> {
        if self.claimed.is_none() && !self.claim(after, heading, frame)? {
            let number = self.walk.newest_number() + 1;
            let detail = format!("frame {number} was appended just now");
            return Err(self.walk.contended(&detail));
        }
        let Some((place, header)) = self.claimed.take() else {
            return Err(self.walk.contended("it was not taken over"));
        };
        let segments = self.extents();
        // Below a segment that was not read, anything may be needed.
        let oldest = segments.get(&self.oldest);
        let released = oldest.map_or_else(Vec::new, |oldest| self.walk.garbage(oldest.first));
        let dir = self.dir;
        let mut cache = self.cache;
        cache.keep(At::new(after + 1, 0), header.number, frame);
        let begun = Begun {
            cache,
            fences: place.envelope.fences.clone(),
            place,
            fence: (header, frame.len() as u64),
            segments,
            released,
        };
        let begun = ReplicaJournal::begin(self.walk.engine, self.settings, begun);
        begun.map_err(|error| OpenError::Io { dir, error })
    }
}
