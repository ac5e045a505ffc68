//! Reservations between their two requests: the one that asks for LSNs, and the one that brings the sections.
//!
//! ```text
//! fill = reservation u128 · count u32 · count × (bytes of a section u32) · sections
//! ```

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::malformed::Malformed;
use super::target::Target;
use crate::wal::ledger::coding::take_array;
use crate::wal::lending::Reserved;
use crate::wal::request::Appended;
use crate::wal::reservation::Filling;

/// Most reservations that wait for their sections.
const MAX_PENDING: usize = 256;
/// The writer of a log waits much less long for sections.
const KEPT_FOR: Duration = Duration::from_secs(5);

/// A reservation that waits for its sections.
pub(super) struct Pending {
    target: Target,
    reserved: Reserved,
    appended: Vec<Appended>,
    since: Instant,
    _share: OwnedSemaphorePermit,
}

impl Pending {
    /// A reservation whose requests will be answered like this; `share` is the memory that its outlines take.
    pub(super) fn new(
        target: Target,
        reserved: Reserved,
        appended: Vec<Appended>,
        share: OwnedSemaphorePermit,
    ) -> Self {
        Self {
            target,
            reserved,
            appended,
            since: Instant::now(),
            _share: share,
        }
    }

    pub(super) fn into_parts(self) -> (Reserved, Vec<Appended>) {
        (self.reserved, self.appended)
    }
}

/// The reservations that wait for their sections.
#[derive(Default)]
pub(super) struct Reservations(Mutex<HashMap<u128, Pending>>);

impl Reservations {
    /// Whether another one may wait.
    pub(super) fn has_room(&self) -> bool {
        let mut pending = self.pending();
        forget_old(&mut pending);
        pending.len() < MAX_PENDING
    }

    pub(super) fn put(&self, reservation: u128, pending: Pending) {
        self.pending().insert(reservation, pending);
    }

    /// The reservation of that name, if it is one of that log and owner.
    pub(super) fn take(&self, reservation: u128, target: &Target) -> Option<Pending> {
        let mut pending = self.pending();
        forget_old(&mut pending);
        let is_it = pending.get(&reservation)?.target == *target;
        is_it.then(|| pending.remove(&reservation)).flatten()
    }

    fn pending(&self) -> MutexGuard<'_, HashMap<u128, Pending>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Forgets those for which nobody waits any more.
fn forget_old(pending: &mut HashMap<u128, Pending>) {
    pending.retain(|_, pending| pending.since.elapsed() < KEPT_FOR);
}

/// The body that fills a reservation.
pub(super) fn encode(reservation: u128, filling: Filling) -> [Bytes; 2] {
    let narrow = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
    let mut head = Vec::with_capacity(20 + 4 * filling.ends.len());
    head.extend_from_slice(&reservation.to_le_bytes());
    head.extend_from_slice(&narrow(filling.ends.len()).to_le_bytes());
    for payload in filling.payloads() {
        head.extend_from_slice(&narrow(payload.len()).to_le_bytes());
    }
    [Bytes::from(head), Bytes::from(filling.bytes)]
}

/// Reads such a body.
pub(super) fn decode(bytes: &[u8]) -> Result<(u128, Filling), Malformed> {
    let malformed = Malformed("the sections of a reservation");
    let mut rest = bytes;
    let reservation = take_array(&mut rest).ok_or(malformed)?;
    let count = take_array(&mut rest)
        .map(u32::from_le_bytes)
        .ok_or(malformed)?;
    if count as usize > rest.len() / 4 {
        return Err(malformed);
    }
    let mut end = 0;
    let mut ends = Vec::with_capacity(count as usize);
    for _ in 0..count {
        let length = take_array(&mut rest)
            .map(u32::from_le_bytes)
            .ok_or(malformed)?;
        end += length as usize;
        ends.push(end);
    }
    if end != rest.len() {
        return Err(malformed);
    }
    let filling = Filling {
        bytes: rest.to_vec(),
        ends,
    };
    Ok((u128::from_le_bytes(reservation), filling))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filling_is_read_as_it_was_sent() {
        for ends in [vec![], vec![0], vec![3, 3, 7]] {
            let bytes = b"section"[..ends.last().copied().unwrap_or(0)].to_vec();
            let filling = Filling { bytes, ends };
            let sent = encode(u128::MAX - 7, filling.clone()).concat();
            assert_eq!(decode(&sent), Ok((u128::MAX - 7, filling)));
            for cut in 0..sent.len() {
                assert!(decode(&sent[..cut]).is_err(), "{cut} of {}", sent.len());
            }
            assert!(decode(&[sent.as_slice(), b"x"].concat()).is_err());
        }
    }

    #[test]
    fn a_count_that_is_too_large_takes_no_memory() {
        let mut sent = encode(1, Filling::default()).concat();
        sent[16..20].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(decode(&sent).is_err());
    }
}
