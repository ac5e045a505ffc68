//! Reserves LSNs for rows that others pack, and takes the sections when they come.
//!
//! Reservations come last in a frame. They are filled in their order: LSNs have no gaps, so once one
//! of them is not filled, the ones after it cannot be stored either, and are refused. Nothing of a
//! reservation is in the state before it is filled, except its ids, which are taken back.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::batch::{Chunk, Sums};
use super::building::Room;
use super::entry::{NO_RUN, RowsEntry};
use super::frame::ROW_OVERHEAD;
use super::request::{Append, AppendError, Appended, Reply, WriteError};
use super::reservation::{Bits, Filling, Offer, Planned, Reservation, plan};
use super::rolling::GROUP_BYTES;
use super::writer::Writer;
use crate::dedup::recent::Known;
use crate::journal::seam::{Journal, Purpose};
use lakehook_base::clock::{Micros, Now};
use lakehook_base::files::Files;
use lakehook_base::record::{Lsn, RowKind};

/// How long the writer waits for the sections of all reservations of a frame.
const PATIENCE: Duration = Duration::from_millis(500);
/// After it has waited in vain, it offers nothing for this long: whoever does not answer must not
/// hold up every frame.
const WARY: Duration = Duration::from_secs(5);

/// A reservation that was offered LSNs, with the ticket of whoever waits for its answer.
pub(crate) struct Lent<T> {
    reservation: Reservation,
    ticket: T,
    promised: Promised,
}

/// What was offered to a reservation.
pub(crate) struct Promised {
    offer: Offer,
    planned: Vec<Planned>,
    /// Where its ids begin among those that the frame inserts.
    first_id: usize,
}

/// What becomes of a reservation.
enum Found {
    Promised(Promised),
    /// An open batch has no room for it beside what others have reserved.
    NextFrame,
    Declined,
}

/// What waits for its sections in a turn.
pub(crate) struct Lending<T> {
    lent: Vec<Lent<T>>,
    /// Bytes that all of them may take in the frame.
    cost: usize,
    /// LSN of the next row to be reserved.
    next_lsn: Lsn,
    /// Rows that are reserved in open batches, by their slots.
    pending: BTreeMap<usize, Sums>,
}

impl<T> Default for Lending<T> {
    fn default() -> Self {
        Self {
            lent: Vec::new(),
            cost: 0,
            next_lsn: Lsn(0),
            pending: BTreeMap::new(),
        }
    }
}

impl<J: Journal, F: Files> Writer<J, F> {
    /// Offers LSNs to reservations as far as they fit into the frame, waits for their sections and
    /// adds them. Returns the reservations that did not fit.
    pub(crate) fn lend<T>(
        &mut self,
        reservations: Vec<(Reservation, T)>,
        replies: &mut Vec<(T, Reply)>,
        now: Now,
    ) -> Result<Vec<(Reservation, T)>, WriteError> {
        let mut lending = Lending::default();
        let mut waiting = Vec::new();
        for (reservation, ticket) in reservations {
            if !waiting.is_empty() {
                waiting.push((reservation, ticket));
                continue;
            }
            let cost = self.cost_of_reservation(&reservation);
            if let Some(refusal) = self.why_not_reserve(&reservation, cost, now) {
                replies.push((ticket, Err(refusal)));
                continue;
            }
            match self.room_to_lend(&lending, cost, now)? {
                Room::NextFrame => waiting.push((reservation, ticket)),
                Room::Never => replies.push((ticket, Err(AppendError::Full))),
                Room::Yes => match self.reserve(&reservation, &mut lending, now)? {
                    Found::Promised(promised) => {
                        lending.cost += cost;
                        lending.lent.push(Lent {
                            reservation,
                            ticket,
                            promised,
                        });
                    }
                    Found::NextFrame => waiting.push((reservation, ticket)),
                    Found::Declined => replies.push((ticket, Err(AppendError::NotReserved))),
                },
            }
        }
        self.closed &= lending.lent.is_empty();
        for Lent {
            reservation,
            promised,
            ..
        } in &lending.lent
        {
            reservation.lender.offer(promised.offer.clone());
        }
        self.settle_reservations(lending.lent, replies, now);
        self.building.appending = Micros(i64::MAX);
        Ok(waiting)
    }

    fn why_not_reserve(
        &self,
        reservation: &Reservation,
        cost: usize,
        now: Now,
    ) -> Option<AppendError> {
        let watermark = self.watermark.max(self.building.watermark);
        let mut outlines = reservation.outlines.iter();
        let is_late = outlines.any(|outline| outline.origin.received_at < watermark);
        let is_wary = self.wary_until.is_some_and(|until| now.mono < until);
        let packs_none = self.settings.packing.is_none();
        let refused = is_late || is_wary || packs_none || self.too_large(cost).is_some();
        refused.then_some(AppendError::NotReserved)
    }

    /// Whether the frame has room for a reservation beside those that it has already.
    fn room_to_lend<T>(
        &mut self,
        lending: &Lending<T>,
        cost: usize,
        now: Now,
    ) -> Result<Room, WriteError> {
        let together = lending.cost + cost;
        if !lending.lent.is_empty() && together > GROUP_BYTES {
            return Ok(Room::NextFrame);
        }
        self.room_for(together, Purpose::Requests, now)
    }

    /// An upper bound of the bytes that a reservation adds to a frame.
    fn cost_of_reservation(&self, reservation: &Reservation) -> usize {
        let outlines = reservation.outlines.iter();
        let rows: usize = outlines
            .clone()
            .map(|outline| outline.rows.rows.len())
            .sum();
        let last = |outline: &Append| outline.rows.rows.last().map_or(0, |row| row.end);
        let bytes: usize = outlines.clone().map(last).sum();
        let partitions = outlines.flat_map(|outline| &outline.rows.partitions);
        let partitions: BTreeSet<&str> = partitions.map(String::as_str).collect();
        self.cost_of_rows(
            rows,
            bytes + rows * ROW_OVERHEAD,
            partitions.iter().copied(),
        )
    }

    /// Looks up the ids of a reservation, and finds LSNs for the rows that are new.
    fn reserve<T>(
        &mut self,
        reservation: &Reservation,
        lending: &mut Lending<T>,
        now: Now,
    ) -> Result<Found, WriteError> {
        self.flush_sections(now);
        if lending.lent.is_empty() {
            lending.next_lsn = self.state.next_lsn;
        }
        let Some(packing) = self.settings.packing else {
            return Ok(Found::Declined);
        };
        let outlines = &reservation.outlines;
        let first_id = self.building.inserted.len();
        let mut offer = Offer {
            packing,
            first_lsn: lending.next_lsn,
            left_out: Bits::default(),
            appended: Vec::with_capacity(outlines.len()),
        };
        for outline in outlines.iter() {
            let Some(appended) = self.recognise(outline, &mut offer.left_out) else {
                self.take_back_from(first_id);
                return Ok(Found::Declined);
            };
            offer.appended.push(appended);
            let earliest = self.building.appending.min(outline.origin.received_at);
            self.building.appending = earliest;
        }
        let planned = plan(outlines, &offer.left_out, &packing);
        let room = self.make_room_in_batches(&planned, &mut lending.pending, now)?;
        if room != Room::Yes {
            self.take_back_from(first_id);
            return Ok(match room {
                Room::NextFrame => Found::NextFrame,
                Room::Yes | Room::Never => Found::Declined,
            });
        }
        lending.next_lsn.0 += planned.iter().map(Planned::count).sum::<u64>();
        Ok(Found::Promised(Promised {
            offer,
            planned,
            first_id,
        }))
    }

    /// Counts what a request has, and notes which of its rows are known. `None` if one of them is known
    /// with other content: then the quarantine needs its bytes.
    fn recognise(&mut self, outline: &Append, left_out: &mut Bits) -> Option<Appended> {
        let rows = &outline.rows;
        let identities = rows.rows.iter().filter_map(|row| match row.kind {
            RowKind::Record(identity) => Some(identity),
            RowKind::Snapshot | RowKind::Quarantined | RowKind::Refused => None,
        });
        self.dedup.look_ahead(identities);
        let mut appended = Appended::default();
        let mut former = rows.former.iter();
        for row in &rows.rows {
            let identity = match row.kind {
                RowKind::Record(identity) => identity,
                RowKind::Quarantined => {
                    appended.quarantined += 1;
                    left_out.push(false);
                    continue;
                }
                RowKind::Refused => {
                    left_out.push(false);
                    continue;
                }
                RowKind::Snapshot => return None,
            };
            match self.dedup.insert_unless(identity, former.next()) {
                Known::New => {
                    self.building.inserted.push(identity);
                    appended.accepted += 1;
                    left_out.push(false);
                }
                Known::Conflict if !rows.changed_is_duplicate => return None,
                known => {
                    appended.duplicates += 1;
                    appended.changed += u64::from(known == Known::Conflict);
                    left_out.push(true);
                }
            }
        }
        Some(appended)
    }

    /// Sees that the open batches take these sections, beside what is reserved in them already. Seals batches if it must.
    fn make_room_in_batches(
        &mut self,
        planned: &[Planned],
        pending: &mut BTreeMap<usize, Sums>,
        now: Now,
    ) -> Result<Room, WriteError> {
        let mut sizes: BTreeMap<usize, Sums> = BTreeMap::new();
        for section in planned {
            let slot = self.state.batches.slot(&section.partition);
            sizes.entry(slot).or_default().add(&section.size());
        }
        for (&slot, size) in &sizes {
            let reserved = pending.get(&slot).copied().unwrap_or_default();
            let Some(reason) = self.state.batches.overflows_with(slot, &reserved, size) else {
                continue;
            };
            // The batch cannot be sealed before those rows are in it.
            if reserved.count > 0 {
                return Ok(Room::NextFrame);
            }
            if self.state.batches.get(slot).sums.count > 0 {
                self.seal(slot, reason, now)?;
            }
            let batches = &self.state.batches;
            if batches.overflows_with(slot, &reserved, size).is_some() {
                return Ok(Room::Never);
            }
        }
        for (slot, size) in sizes {
            pending.entry(slot).or_default().add(&size);
        }
        Ok(Room::Yes)
    }

    /// Waits for the sections of each reservation, and adds them to the frame.
    fn settle_reservations<T>(
        &mut self,
        lent: Vec<Lent<T>>,
        replies: &mut Vec<(T, Reply)>,
        now: Now,
    ) {
        let deadline = now.mono + PATIENCE;
        let mut is_broken = false;
        for lent in lent {
            let rest = deadline.saturating_sub(self.clock.now().mono);
            let filling = if is_broken {
                None
            } else {
                lent.reservation.lender.filling(rest)
            };
            let stored = filling.is_some_and(|filling| self.store_sections(&lent, &filling, now));
            let reply = if stored {
                Ok(sum(&lent.promised.offer.appended))
            } else {
                if !is_broken {
                    // With those of the reservations behind it.
                    self.take_back_from(lent.promised.first_id);
                    self.be_wary();
                }
                is_broken = true;
                Err(AppendError::NotReserved)
            };
            replies.push((lent.ticket, reply));
        }
    }

    /// Forgets the newest ids of the frame, from this one on. They are among those that the frame inserts all the
    /// time, so that a frame that fails takes them back, too.
    fn take_back_from(&mut self, first_id: usize) {
        let mut newest = self.building.inserted.split_off(first_id);
        self.dedup.take_back(&mut newest);
    }

    /// Offers nothing for a while.
    fn be_wary(&mut self) {
        tracing::warn!(
            seconds = WARY.as_secs(),
            "another node has not sent, in time and as they are, the rows for which it had reserved LSNs; \
             until this time is over, nodes send their rows whole"
        );
        self.wary_until = Some(self.clock.now().mono + WARY);
    }

    /// Adds the sections of a reservation to the frame, if they are what was reserved.
    fn store_sections<T>(&mut self, lent: &Lent<T>, filling: &Filling, now: Now) -> bool {
        let Promised { offer, planned, .. } = &lent.promised;
        let outlines = &lent.reservation.outlines;
        if planned.len() != filling.ends.len() {
            return false;
        }
        let mut lsn = offer.first_lsn;
        let mut sums = Vec::with_capacity(planned.len());
        for (section, payload) in planned.iter().zip(filling.payloads()) {
            let Some(of_section) = section.sums_of(outlines, payload, lsn, &offer.packing) else {
                return false;
            };
            sums.push(of_section);
            lsn.0 += section.count();
        }
        for ((section, payload), sums) in planned.iter().zip(filling.payloads()).zip(&sums) {
            self.store_section(section, outlines, payload, sums, now);
        }
        let counts = &mut self.building.counts;
        for (outline, appended) in outlines.iter().zip(&offer.appended) {
            let known = appended.accepted + appended.duplicates + appended.quarantined;
            counts.received += outline.dropped + known;
            counts.dropped += outline.dropped;
            counts.duplicate += appended.duplicates;
        }
        true
    }

    fn store_section(
        &mut self,
        section: &Planned,
        outlines: &[Append],
        payload: &[u8],
        sums: &Sums,
        now: Now,
    ) {
        let slot = self.state.batches.slot(&section.partition);
        let received = section.received(outlines);
        let entry = RowsEntry {
            run: NO_RUN,
            partition: &section.partition,
            received,
            count: sums.count,
            payload,
            payload_at: 0,
        };
        let offset = self.building.frame.put_reserved_rows(&entry, sums);
        let chunk = Chunk {
            frame: self.journal.next(),
            offset,
            bytes: payload.len() as u64,
            rows: sums.count,
            first_lsn: self.state.next_lsn,
        };
        let counts = section.counts(outlines);
        self.state
            .add_rows(slot, &chunk, sums, &counts, received, now.mono);
    }
}

fn sum(all: &[Appended]) -> Appended {
    let mut sum = Appended::default();
    for one in all {
        sum.accepted += one.accepted;
        sum.duplicates += one.duplicates;
        sum.changed += one.changed;
        sum.quarantined += one.quarantined;
    }
    sum
}
