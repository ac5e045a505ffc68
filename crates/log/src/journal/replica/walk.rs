//! Finds the frames of a log in an engine, and reads them in order, without changing anything.
//!
//! The newest frame says where its segment begins, and its first frame where the one before begins;
//! so the way back to any segment needs nothing but frames. What lies below the oldest segment that
//! is needed is garbage, apart from the fences.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::engine::{Engine, Item, KeepTrying, insist};
use super::envelope::Envelope;
use super::identity::{io, unreadable};
use crate::helper::Background;
use crate::journal::errors::OpenError;
use crate::journal::frames::{At, Frame};
use crate::journal::layout::FrameHeader;
use lakehook_base::ids::NodeId;

/// Most frames that are fetched at the same time, …
const MOST_AT_ONCE: usize = 16;
/// … and most bytes, going by the largest frame so far.
const BYTES_AT_ONCE: usize = 32 << 20;

/// A segment on the way back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Way {
    /// Number of its first frame.
    pub(crate) first: u64,
    /// Number of its last frame.
    pub(crate) last: u64,
    /// Number of the first frame of the segment before; 0 if there is none.
    previous_first: u64,
}

/// The frames of a log, as they were when somebody looked.
pub(crate) struct Walk<E> {
    pub(crate) engine: E,
    log: NodeId,
    keep_trying: KeepTrying,
    background: Background,
    /// Numbers of all frames.
    listed: Vec<u64>,
    /// Envelope and header of the newest frame; `None` if there is none.
    pub(crate) newest: Option<(Envelope, FrameHeader)>,
    /// Numbers of all fences.
    pub(crate) fences: Vec<u64>,
    /// The segments on the way back from the newest one, as far as it was gone.
    pub(crate) segments: BTreeMap<u64, Way>,
    /// Bytes of the largest frame so far.
    largest: usize,
}

/// Receives each frame, and whether it was fetched from the engine.
pub(crate) type EachFetched<'a> = dyn FnMut(Frame, bool) -> Result<(), OpenError> + 'a;

impl<E: Engine> Walk<E> {
    /// Lists the frames, and reads the newest one.
    pub(crate) fn begin(
        engine: E,
        log: NodeId,
        keep_trying: KeepTrying,
        background: Background,
    ) -> Result<Self, OpenError> {
        let listed = insist(&keep_trying, || engine.frames(0));
        let listed = listed.map_err(|error| io(&engine, error))?;
        let mut walk = Self {
            engine,
            log,
            keep_trying,
            background,
            listed,
            newest: None,
            fences: Vec::new(),
            segments: BTreeMap::new(),
            largest: 1,
        };
        walk.find_newest()?;
        Ok(walk)
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
        };
        self.segments.insert(envelope.segment, way);
        self.newest = Some((envelope, frame.header));
        Ok(())
    }

    /// The number of the newest frame; 0 if there is none.
    pub(crate) fn newest_number(&self) -> u64 {
        self.newest.as_ref().map_or(0, |(_, header)| header.number)
    }

    /// The newest segment.
    pub(crate) fn newest_segment(&self) -> Option<u64> {
        self.newest.as_ref().map(|(envelope, _)| envelope.segment)
    }

    /// Whether this is a fence of an owner.
    pub(crate) fn is_fence(&self, number: u64) -> bool {
        self.fences.binary_search(&number).is_ok()
    }

    /// The frame of a number, if there is one.
    pub(crate) fn read_item(&self, number: u64) -> Result<Option<(Envelope, Frame)>, OpenError> {
        let read = insist(&self.keep_trying, || self.engine.read(Item::Frame(number)));
        let Some(item) = read.map_err(|error| io(&self.engine, error))? else {
            return Ok(None);
        };
        let (envelope, frame) = Envelope::open(item)
            .map_err(|error| unreadable(&self.engine, &format!("frame {number}: {error}")))?;
        if envelope.log != self.log || frame.header.number != number {
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

    pub(crate) fn contended(&self, detail: &str) -> OpenError {
        OpenError::Contended {
            journal: self.engine.name(),
            detail: detail.to_owned(),
        }
    }

    /// Goes back to a segment.
    pub(crate) fn go_back_to(&mut self, first: u64) -> Result<(), OpenError> {
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
            };
            self.segments.insert(segment - 1, before);
        }
        Ok(())
    }

    /// Calls `each` for the frames of a segment, each of which must follow the one before. Frames
    /// that `copy` has are not fetched. Returns the bytes of all frames.
    pub(crate) fn read_segment(
        &mut self,
        segment: u64,
        previous: &mut Option<FrameHeader>,
        copy: &dyn Fn(At) -> Option<Frame>,
        each: &mut EachFetched<'_>,
    ) -> Result<u64, OpenError> {
        let way = self.segments[&segment];
        let mut at = At::new(segment, 0);
        let mut number = way.first;
        while number <= way.last {
            if let Some(frame) = copy(at) {
                self.check(number, at, previous, &frame)?;
                at = behind(&frame);
                number += 1;
                each(frame, false)?;
                continue;
            }
            let last = (number + self.at_once() - 1).min(way.last);
            for fetched in self.fetch_all(number..=last) {
                let (_, frame) = fetched?;
                self.largest = self.largest.max(frame.bytes.len());
                self.check(number, at, previous, &frame)?;
                at = behind(&frame);
                number += 1;
                each(frame, true)?;
            }
        }
        Ok(at.within())
    }

    fn check(
        &self,
        number: u64,
        at: At,
        previous: &mut Option<FrameHeader>,
        frame: &Frame,
    ) -> Result<(), OpenError> {
        let header = frame.header;
        let follows = previous.is_none_or(|before| {
            before.number + 1 == header.number && before.crc == header.previous_crc
        });
        if !follows || header.number != number {
            let detail = format!("frame {number} does not follow the one before");
            return Err(unreadable(&self.engine, &detail));
        }
        if frame.at != at {
            let detail = format!("frame {number} does not say where it is");
            return Err(unreadable(&self.engine, &detail));
        }
        *previous = Some(header);
        Ok(())
    }

    /// How many frames may be fetched at the same time.
    fn at_once(&self) -> u64 {
        if self.background == Background::Inline {
            return 1;
        }
        (BYTES_AT_ONCE / self.largest).clamp(1, MOST_AT_ONCE) as u64
    }

    /// Fetches frames side by side, because each takes as long as the engine needs for an answer.
    fn fetch_all(&self, numbers: RangeInclusive<u64>) -> Vec<Result<(Envelope, Frame), OpenError>> {
        if numbers.start() == numbers.end() {
            return vec![self.fetch(*numbers.start())];
        }
        std::thread::scope(|scope| {
            let fetching: Vec<_> = numbers
                .map(|number| scope.spawn(move || self.fetch(number)))
                .collect();
            let lost = || Err(self.contended("a thread that read frames has ended"));
            let fetched = fetching
                .into_iter()
                .map(std::thread::ScopedJoinHandle::join);
            fetched.map(|one| one.unwrap_or_else(|_| lost())).collect()
        })
    }

    /// Calls `each` for the frames that the owner has appended since. Somebody else who has taken the
    /// log over is not followed.
    pub(crate) fn read_on(
        &mut self,
        each: &mut dyn FnMut(&Envelope, Frame) -> Result<(), OpenError>,
    ) -> Result<(), OpenError> {
        let (mut number, epoch) = match &self.newest {
            None => (1, 0),
            Some((envelope, header)) => (header.number + 1, envelope.epoch),
        };
        let mut previous = self.newest.as_ref().map(|(_, header)| *header);
        while let Some((envelope, frame)) = self.read_item(number)? {
            if envelope.epoch != epoch {
                return Err(OpenError::Lost {
                    journal: self.engine.name(),
                    by: envelope.owner,
                });
            }
            self.check(number, frame.at, &mut previous, &frame)?;
            let way = self.segments.entry(envelope.segment).or_insert(Way {
                first: number,
                last: number,
                previous_first: envelope.previous_first,
            });
            way.last = number;
            self.listed.push(number);
            self.newest = Some((envelope.clone(), frame.header));
            each(&envelope, frame)?;
            number += 1;
        }
        Ok(())
    }

    /// Checks that nobody went on while a fence was on its way.
    pub(crate) fn check_fence(&self, number: u64) -> Result<(), OpenError> {
        let later = insist(&self.keep_trying, || self.engine.frames(number));
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
    pub(crate) fn garbage(&self, oldest: u64) -> Vec<u64> {
        let listed = self.listed.iter().copied();
        let below = listed.take_while(|number| *number < oldest);
        below.filter(|number| !self.is_fence(*number)).collect()
    }
}

/// The position behind a frame.
fn behind(frame: &Frame) -> At {
    At::new(
        frame.at.segment(),
        frame.at.within() + frame.bytes.len() as u64,
    )
}
