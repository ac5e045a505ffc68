//! Looks, without changing anything, who owns a log in an engine, and whether its end moves.

use super::engine::{Engine, EngineError, Item};
use super::envelope::Envelope;
use super::identity::{io, unreadable};
use crate::journal::errors::OpenError;
use lakehook_base::ids::NodeId;

/// What the newest frame of a log says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// Its number.
    pub number: u64,
    /// The epoch of the owner who has appended it.
    pub epoch: u64,
    /// Who that is, by the fence of the epoch.
    pub owner: String,
}

/// Remembers what was seen last, so that another look costs one list.
#[derive(Clone, Debug)]
pub struct Lookout<E> {
    engine: E,
    log: NodeId,
    seen: Option<Sighting>,
}

impl<E: Engine> Lookout<E> {
    /// Has not looked yet.
    pub fn new(engine: E, log: NodeId) -> Self {
        let seen = None;
        Self { engine, log, seen }
    }

    /// What the newest frame says; `None` if there is none yet. An engine that does not answer is an error, and is
    /// not asked again. Blocks.
    pub fn look(&mut self) -> Result<Option<Sighting>, OpenError> {
        let before = self.seen.as_ref().map_or(0, |seen| seen.number);
        let listed = self.engine.frames(before);
        let listed = listed.map_err(|error| self.away(error))?;
        let Some(newest) = listed.last().copied() else {
            if before > 0 {
                let detail = format!("frame {before} was there, and nothing is");
                return Err(unreadable(&self.engine, &detail));
            }
            return Ok(None);
        };
        if newest != before {
            let seen = self.read(newest)?;
            self.seen = Some(seen);
        }
        Ok(self.seen.clone())
    }

    fn read(&self, number: u64) -> Result<Sighting, OpenError> {
        let newest = self.envelope(number)?;
        let epoch = newest.epoch;
        let owner = match &self.seen {
            _ if newest.fence == number => newest.owner,
            Some(seen) if seen.epoch == epoch => seen.owner.clone(),
            _ => self.envelope(newest.fence)?.owner,
        };
        Ok(Sighting {
            number,
            epoch,
            owner,
        })
    }

    fn envelope(&self, number: u64) -> Result<Envelope, OpenError> {
        let read = self.engine.read(Item::Frame(number));
        let item = read.map_err(|error| self.away(error))?;
        let Some(item) = item else {
            return Err(OpenError::Contended {
                journal: self.engine.name(),
                detail: format!("frame {number} was deleted a moment ago"),
            });
        };
        let (envelope, frame) = Envelope::open(item)
            .map_err(|error| unreadable(&self.engine, &format!("frame {number}: {error}")))?;
        if envelope.log != self.log || frame.header.number != number {
            let detail = format!("frame {number} belongs to log {}", envelope.log);
            return Err(unreadable(&self.engine, &detail));
        }
        Ok(envelope)
    }

    fn away(&self, error: EngineError) -> OpenError {
        io(&self.engine, error)
    }
}
