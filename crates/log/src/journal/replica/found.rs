//! A replicated journal as a start finds it: it lists the frames, reads them, and takes the log over
//! by a frame of its own, the *fence*.
//!
//! The newest frame says where its segment begins, and its first frame where the one before begins;
//! so the way back to any segment needs nothing but frames. What lies below the oldest segment that
//! is needed is garbage, apart from the fences.
//!
//! A fence counts only if a list that was begun after it was stored has no larger number. Without
//! that, a start that was paused between its list and its fence could put it under a number that was
//! trimmed in the meantime, and would own a log that nobody reads.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::cache::{Cache, CachedFrames, newest_copy};
use super::copies::{EngineCopies, fetch_ids};
use super::engine::{Engine, Item, insist};
use super::envelope::Envelope;
use super::identity::{io, unreadable};
use super::owner::{Begun, Extent, Place, ReplicaJournal, ReplicaSettings, Verdict, put_frame};
use crate::dedup::copies::Copies;
use crate::journal::errors::OpenError;
use crate::journal::frames::{At, Frame, Heading, TornTail};
use crate::journal::layout::FrameHeader;
use crate::journal::seam::{EachFrame, Found, Frames};
use lakehook_base::clock::Now;
use lakehook_base::files::Files;

/// A log in an engine before anything is appended in this life.
pub struct FoundReplica<E: Engine, F: Files> {
    engine: E,
    files: F,
    dir: PathBuf,
    settings: ReplicaSettings,
    /// Numbers of all frames when the start looked.
    listed: Vec<u64>,
    /// Envelope and header of the newest frame; `None` if there is none.
    newest: Option<(Envelope, FrameHeader)>,
    /// Numbers of all fences.
    fences: Vec<u64>,
    /// The segments on the way back from the newest one, as far as it was gone.
    segments: BTreeMap<u64, Way>,
    /// The oldest segment that was not trimmed.
    oldest: u64,
    cache: Cache<F>,
}

/// A segment on the way back.
#[derive(Clone, Copy, Debug)]
struct Way {
    /// Number of its first frame.
    first: u64,
    /// Number of its last frame.
    last: u64,
    /// Number of the first frame of the segment before; 0 if there is none.
    previous_first: u64,
    /// Bytes of its frames, once copies of all of them are on the disk.
    copied: Option<u64>,
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
        let listed = insist(&settings.keep_trying, || engine.frames(0));
        let listed = listed.map_err(|error| io(&engine, error))?;
        let dir_io = |error| OpenError::Io {
            dir: dir.to_owned(),
            error,
        };
        let copy = newest_copy(&files, dir).map_err(dir_io)?;
        let mut found = Self {
            listed,
            newest: None,
            fences: Vec::new(),
            segments: BTreeMap::new(),
            oldest: 0,
            cache: Cache::unused(files.clone(), dir, 0),
            engine,
            files,
            dir: dir.to_owned(),
            settings,
        };
        found.find_newest()?;
        found.check_copy(copy)?;
        fetch_ids(
            &found.engine,
            (&found.files, dir),
            &found.settings.keep_trying,
        )?;
        found.cache = Cache::begin(found.files.clone(), dir, found.epoch()).map_err(dir_io)?;
        Ok(found)
    }

    fn find_newest(&mut self) -> Result<(), OpenError> {
        let Some(newest) = self.listed.last().copied() else {
            return Ok(());
        };
        let (envelope, frame) = self.fetch(newest)?;
        self.fences = if envelope.fence == newest {
            envelope.fences.clone()
        } else {
            self.fetch(envelope.fence)?.0.fences
        };
        let way = Way {
            first: envelope.first,
            last: newest,
            previous_first: envelope.previous_first,
            copied: None,
        };
        self.segments.insert(envelope.segment, way);
        self.newest = Some((envelope, frame.header));
        Ok(())
    }

    /// Refuses an engine that has forgotten a frame of which the directory has a copy: whoever was
    /// told that it is durable would be told something else.
    fn check_copy(&self, copy: Option<(u64, u32)>) -> Result<(), OpenError> {
        let Some((number, crc)) = copy else {
            return Ok(());
        };
        let newest = self.listed.last().copied().unwrap_or(0);
        let is_there = match self.read_item(number)? {
            Some((envelope, frame)) => {
                // A fence that never counted may lie where the frame was trimmed.
                let is_garbage =
                    envelope.fence == number && self.fences.binary_search(&number).is_err();
                frame.header.crc == crc || is_garbage && number < newest
            }
            // It may have been trimmed since.
            None => number < newest,
        };
        if is_there {
            return Ok(());
        }
        let detail = format!(
            "its newest frame is {newest}, and {} has a copy of frame {number}, which was durable: the \
             replica has gone back in time. Nothing was changed; restore the replica",
            self.dir.display()
        );
        Err(unreadable(&self.engine, &detail))
    }

    /// The epoch that begins with this start.
    fn epoch(&self) -> u64 {
        self.newest
            .as_ref()
            .map_or(1, |(envelope, _)| envelope.epoch + 1)
    }

    fn read_item(&self, number: u64) -> Result<Option<(Envelope, Frame)>, OpenError> {
        let read = insist(&self.settings.keep_trying, || {
            self.engine.read(Item::Frame(number))
        });
        let Some(item) = read.map_err(|error| io(&self.engine, error))? else {
            return Ok(None);
        };
        let (envelope, frame) = Envelope::open(item)
            .map_err(|error| unreadable(&self.engine, &format!("frame {number}: {error}")))?;
        if envelope.log != self.settings.log || frame.header.number != number {
            let detail = format!("frame {number} belongs to log {}", envelope.log);
            return Err(unreadable(&self.engine, &detail));
        }
        Ok(Some((envelope, frame)))
    }

    /// The frame of a number that must be there.
    fn fetch(&self, number: u64) -> Result<(Envelope, Frame), OpenError> {
        if let Some(found) = self.read_item(number)? {
            return Ok(found);
        }
        Err(if self.listed.binary_search(&number).is_ok() {
            self.contended(&format!("frame {number} was deleted a moment ago"))
        } else {
            let detail = format!(
                "frame {number} is needed, and is gone; lakehook never deletes such a frame. Restore it, \
                 and make sure that no rule of the store expires what is there"
            );
            unreadable(&self.engine, &detail)
        })
    }

    fn contended(&self, detail: &str) -> OpenError {
        OpenError::Contended {
            journal: self.engine.name(),
            detail: detail.to_owned(),
        }
    }

    /// Goes back to a segment.
    fn go_back_to(&mut self, first: u64) -> Result<(), OpenError> {
        while let Some((segment, way)) = self.segments.first_key_value() {
            let (segment, way) = (*segment, *way);
            if segment <= first {
                break;
            }
            if way.previous_first == 0 {
                let detail = format!("there is no segment before {segment}");
                return Err(unreadable(&self.engine, &detail));
            }
            let (envelope, _) = self.fetch(way.previous_first)?;
            let is_first = envelope.first == way.previous_first;
            if !is_first || envelope.segment + 1 != segment {
                let detail = format!("segment {segment} does not follow the one before");
                return Err(unreadable(&self.engine, &detail));
            }
            let before = Way {
                first: envelope.first,
                last: way.first - 1,
                previous_first: envelope.previous_first,
                copied: None,
            };
            self.segments.insert(segment - 1, before);
        }
        Ok(())
    }

    /// Calls `each` for the frames of a segment, each of which must follow the one before.
    fn read_segment(
        &mut self,
        segment: u64,
        previous: &mut Option<FrameHeader>,
        each: &mut EachFrame<'_>,
    ) -> Result<(), OpenError> {
        let way = self.segments[&segment];
        let frames = self.frames();
        let mut at = At::new(segment, 0);
        for number in way.first..=way.last {
            let copy = match way.copied {
                Some(_) => frames.frame(at).ok().flatten(),
                None => None,
            };
            let frame = match copy {
                Some(frame) => frame,
                None => self.copy(number, at)?,
            };
            let header = frame.header;
            let follows = previous.is_none_or(|before| {
                before.number + 1 == header.number && before.crc == header.previous_crc
            });
            if !follows || header.number != number {
                let detail = format!("frame {number} does not follow the one before");
                return Err(unreadable(&self.engine, &detail));
            }
            at = At::new(segment, at.within() + frame.bytes.len() as u64);
            *previous = Some(header);
            each(frame)?;
        }
        if let Some(way) = self.segments.get_mut(&segment) {
            way.copied = Some(at.within());
        }
        Ok(())
    }

    /// Fetches a frame, and keeps a copy.
    fn copy(&mut self, number: u64, at: At) -> Result<Frame, OpenError> {
        let (_, frame) = self.fetch(number)?;
        if frame.at != at {
            let detail = format!("frame {number} does not say where it is");
            return Err(unreadable(&self.engine, &detail));
        }
        let kept = self.cache.write(at, &frame.bytes);
        kept.map_err(|error| OpenError::Io {
            dir: self.dir.clone(),
            error,
        })?;
        Ok(frame)
    }

    /// The place of the fence.
    fn place(&self, after: u64) -> Result<Place, OpenError> {
        let last = self
            .newest
            .as_ref()
            .map_or((0, 0), |(_, header)| (header.number, header.crc));
        let number = last.0 + 1;
        let mut fences = self.fences.clone();
        fences.push(number);
        let segment_id = self.settings.ids.next().map_err(|error| OpenError::Io {
            dir: self.dir.clone(),
            error,
        })?;
        Ok(Place {
            envelope: Envelope {
                log: self.settings.log,
                epoch: self.epoch(),
                segment: after + 1,
                first: number,
                previous_first: self.newest.as_ref().map_or(0, |(newest, _)| newest.first),
                fence: number,
                offset: 0,
                fences,
                owner: self.settings.owner.clone(),
            },
            segment_id,
            last,
        })
    }

    /// Checks that nobody went on while the fence was on its way.
    fn check_fence(&self, number: u64) -> Result<(), OpenError> {
        let later = insist(&self.settings.keep_trying, || self.engine.frames(number));
        let later = later.map_err(|error| io(&self.engine, error))?;
        let why = match later.as_slice() {
            [fence] if *fence == number => return Ok(()),
            [.., newest] if *newest > number => format!(
                "frame {newest} was there before frame {number}, by which this process wanted to take the log over"
            ),
            // An answer without the fence itself proves nothing.
            _ => format!("frame {number} is not in the list that followed it"),
        };
        Err(self.contended(&why))
    }

    /// Frames of segments that are not needed any more, and what starts that failed have left.
    fn garbage(&self, oldest: u64) -> Vec<u64> {
        let listed = self.listed.iter().copied();
        let below = listed.take_while(|number| *number < oldest);
        below
            .filter(|number| self.fences.binary_search(number).is_err())
            .collect()
    }
}

impl<E: Engine, F: Files> Found for FoundReplica<E, F> {
    type Journal = ReplicaJournal<E, F>;

    fn frames(&self) -> CachedFrames<E, F> {
        self.cache.reader(self.engine.clone())
    }

    fn newest(&self) -> Option<u64> {
        self.newest.as_ref().map(|(envelope, _)| envelope.segment)
    }

    fn read(&mut self, first: u64, each: &mut EachFrame<'_>) -> Result<(), OpenError> {
        let Some(newest) = self.newest() else {
            return Ok(());
        };
        if first < self.oldest {
            return Err(unreadable(
                &self.engine,
                &format!("segment {first} is trimmed"),
            ));
        }
        self.go_back_to(first)?;
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
        Some(Arc::new(EngineCopies(self.engine.clone())))
    }

    /// What is trimmed is deleted once this process owns the log.
    fn trim(&mut self, first: u64) -> Result<(), OpenError> {
        self.oldest = self.oldest.max(first);
        let kept = self.segments.split_off(&first);
        let gone = std::mem::replace(&mut self.segments, kept);
        self.cache.forget(gone.into_keys());
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
    ) -> Result<ReplicaJournal<E, F>, OpenError> {
        let place = self.place(after)?;
        let keep_trying = &self.settings.keep_trying;
        let (verdict, header) =
            put_frame(&self.engine, keep_trying, &place, (heading, &mut *frame));
        let number = header.number;
        match verdict {
            Verdict::Stored => self.check_fence(number)?,
            Verdict::Taken(by) => {
                return Err(self.contended(&format!("{by} has just appended frame {number}")));
            }
            Verdict::Full(error) | Verdict::Unknown(error) => {
                return Err(OpenError::Io {
                    dir: self.engine.name().into(),
                    error,
                });
            }
        }
        // Below a segment that was not read, anything may be needed.
        let oldest = self.segments.get(&self.oldest);
        let released = oldest.map_or_else(Vec::new, |way| self.garbage(way.first));
        let segments = self.segments.iter().map(|(segment, way)| {
            let bytes = way.copied.unwrap_or(0);
            (
                *segment,
                Extent {
                    first: way.first,
                    bytes,
                },
            )
        });
        let segments = segments.collect();
        let mut cache = self.cache;
        cache.keep(At::new(after + 1, 0), number, frame);
        let begun = Begun {
            cache,
            fences: place.envelope.fences.clone(),
            place,
            fence: (header, frame.len() as u64),
            segments,
            released,
        };
        ReplicaJournal::begin(self.engine, self.settings, begun).map_err(|error| OpenError::Io {
            dir: self.dir,
            error,
        })
    }
}
