//! The copy of a frame in another segment: the same entries, and seals that name the rows' new places.
//!
//! Recovery copies the last frame of a log, because nobody knows whether it is durable where it is. A
//! seal in it may cover rows of the same frame, which are from then on those of the copy.

use crate::wal::ledger::batch::{Place, Places};
use crate::wal::ledger::entry::{Entry, Malformed, Seal};
use crate::wal::ledger::frame::FrameBuilder;
use crate::wal::ledger::state::SealAt;

/// Where a frame was, and where its copy is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Move {
    pub(crate) from: SealAt,
    pub(crate) to: SealAt,
}

impl Move {
    /// Appends the entries of `body` to a frame at the new place.
    ///
    /// Checkpoints at the beginning are left out: the caller has put one that says as much.
    pub(crate) fn copy(&self, body: &[u8], out: &mut FrameBuilder) -> Result<(), Malformed> {
        // Offsets of payloads in the old body and in the new one.
        let mut payloads: Vec<(u64, u64)> = Vec::new();
        let mut leading = true;
        for entry in Entry::all(body) {
            let entry = entry?;
            leading &= matches!(entry, Entry::Checkpoint(_));
            match entry {
                Entry::Checkpoint(_) if leading => {}
                Entry::Rows(rows) => {
                    payloads.push((rows.payload_at as u64, out.put_rows(&rows)));
                }
                Entry::Seal(seal) => out.put(&Entry::Seal(Box::new(self.seal(*seal, &payloads)))),
                entry => out.put(&entry),
            }
        }
        Ok(())
    }

    fn seal(&self, seal: Seal, payloads: &[(u64, u64)]) -> Seal {
        let mut places = Places::default();
        for place in seal.places.iter() {
            places.push(&self.place(place, payloads));
        }
        Seal { places, ..seal }
    }

    fn place(&self, place: Place, payloads: &[(u64, u64)]) -> Place {
        if (place.segment, place.block) != (self.from.segment, self.from.block) {
            return place;
        }
        let moved = payloads.iter().find(|(from, _)| *from == place.at);
        Place {
            segment: self.to.segment,
            block: self.to.block,
            at: moved.map_or(place.at, |(_, to)| *to),
            ..place
        }
    }
}
