//! Sealing: when the writer closes a batch, and what the seal says.

use super::batch::{OpenBatch, SealReason};
use super::entry::{Entry, Seal};
use super::request::WriteError;
use super::writer::{Room, SLACK, Writer};
use crate::journal::seam::{Journal, Purpose};
use lakehook_base::clock::Now;
use lakehook_base::files::Files;

/// Late batches keep at most one part in this many of the log.
const LATE_SHARE: u64 = 10;

impl<J: Journal, F: Files> Writer<J, F> {
    pub(crate) fn seal(
        &mut self,
        slot: usize,
        reason: SealReason,
        now: Now,
    ) -> Result<(), WriteError> {
        self.flush_sections(now);
        let batch = self.state.batches.get(slot);
        let mut seal = self.state.seal_of(batch, self.building.appending);
        let settings = &self.settings;
        seal.key =
            (settings.object_key)(&seal.partition, self.node, seal.first_lsn, &settings.format);
        seal.format.clone_from(&settings.format);
        self.put_seal(seal, reason)
    }

    /// Puts a seal that has everything but nonce and lake into the frame.
    pub(crate) fn put_seal(
        &mut self,
        mut seal: Seal,
        reason: SealReason,
    ) -> Result<(), WriteError> {
        seal.nonce = self.ids.next_u128()?;
        let settings = &self.settings;
        seal.lake.clone_from(&settings.lake);
        let at = self.journal.next();
        debug_assert!(
            seal.as_of.totals.add_up(),
            "at every seal: {:?}",
            seal.as_of.totals
        );
        debug_assert_eq!(
            seal.chunks.iter().map(|chunk| chunk.rows).sum::<u64>(),
            seal.sums.count,
            "a seal fixes its members"
        );
        self.state.add_seal(&seal, at)?;
        self.building.watermark = self.building.watermark.max(seal.as_of.watermark);
        self.building.sealed.push((seal.number, at));
        self.building.reasons.push(reason);
        self.building.frame.put(&Entry::Seal(Box::new(seal)));
        self.closed = false;
        Ok(())
    }

    pub(crate) fn seal_due(&mut self, now: Now) -> Result<(), WriteError> {
        let clock = self.state.clock(now.wall);
        self.state.batches.follow(clock);
        for (slot, reason) in self.state.batches.due(now.mono, self.state.sealed.len()) {
            if self.room_for(self.seal_cost(slot), Purpose::Shipping, now)? != Room::Yes {
                break;
            }
            self.seal(slot, reason, now)?;
        }
        self.seal_ready(now)
    }

    /// Late batches keep at most a tenth of the log, or one segment if that is more: those that would keep more by
    /// the end of the current segment are sealed before their time.
    pub(crate) fn seal_late_for_room(&mut self, now: Now) -> Result<(), WriteError> {
        if self.state.sealed.len() >= self.settings.limits.max_waiting_seals {
            return Ok(());
        }
        while let Some((slot, first)) = self.state.batches.oldest_late() {
            let kept = self.journal.closed_bytes(first);
            let by_its_end = kept + self.settings.segment_bytes;
            if kept == 0 || by_its_end <= self.settings.max_bytes / LATE_SHARE {
                break;
            }
            if self.room_for(self.seal_cost(slot), Purpose::Shipping, now)? != Room::Yes {
                break;
            }
            self.seal(slot, SealReason::Room, now)?;
        }
        Ok(())
    }

    /// When the log fills up, the batches that keep its oldest segment are sealed before their time.
    pub(crate) fn seal_for_room(&mut self, now: Now) -> Result<(), WriteError> {
        let filling = self.used_bytes() + 2 * self.settings.segment_bytes > self.settings.max_bytes;
        let waiting = self.state.sealed.len() >= self.settings.limits.max_waiting_seals;
        let Some(oldest) = self.state.oldest_uncommitted() else {
            return Ok(());
        };
        if !filling || waiting || oldest == self.journal.next().segment() {
            return Ok(());
        }
        for slot in self.state.batches.reaching_back_to(oldest) {
            if self.room_for(self.seal_cost(slot), Purpose::Shipping, now)? != Room::Yes {
                break;
            }
            self.seal(slot, SealReason::Room, now)?;
        }
        Ok(())
    }

    pub(crate) fn seal_cost(&self, slot: usize) -> usize {
        self.seal_cost_of(self.state.batches.get(slot))
    }

    pub(crate) fn seal_cost_of(&self, batch: &OpenBatch) -> usize {
        let texts = 3 * batch.partition.len() + self.settings.lake.len();
        SLACK + texts + batch.chunks.as_bytes().len()
    }
}
