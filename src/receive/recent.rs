//! What became of the last requests, for those who ask for one of them: in rings of fixed length, which a request writes
//! a few numbers into.
//!
//! Accepted requests are known by a hash of their id, and their events by the tags that the log knows them by. Refused
//! ones are kept with the reason; they are rare, or they should wait.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering, fence};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use xxhash_rust::xxh3::xxh3_64;

use crate::clock::Micros;
use crate::metrics::SourceCounts;
use crate::record::{Origin, RowKind, Rows};

/// Accepted requests that are remembered.
const MAX_REQUESTS: u64 = 1 << 17;
/// Their events that are remembered, all together.
const MAX_EVENTS: u64 = 1 << 20;
/// Refused requests that are remembered.
const MAX_REFUSED: usize = 4_096;
/// Why a request was refused is cut to so many characters.
const MAX_DETAIL: usize = 300;
/// Memory is taken in parts of so many, as it is needed.
const PART: usize = 1 << 12;

/// The last requests.
pub struct Recent {
    requests: Ring<Slot>,
    next_request: AtomicU64,
    events: Ring<AtomicU64>,
    next_event: AtomicU64,
    refused: Mutex<VecDeque<RefusedRequest>>,
}

/// What became of an accepted request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestCounts {
    /// New events, which are stored.
    pub accepted: u32,
    /// Events that were known.
    pub duplicates: u32,
    /// Events that a rule dropped.
    pub dropped: u32,
    /// Events in the quarantine.
    pub quarantined: u32,
}

impl RequestCounts {
    /// Counts of one request, which fit.
    pub(super) fn of(counts: SourceCounts) -> Self {
        Self {
            accepted: counts.accepted as u32,
            duplicates: counts.duplicates as u32,
            dropped: counts.dropped as u32,
            quarantined: counts.quarantined as u32,
        }
    }

    /// At most so many rows went to the log.
    fn rows(self) -> u64 {
        [self.accepted, self.duplicates, self.quarantined]
            .map(u64::from)
            .iter()
            .sum()
    }
}

/// An accepted request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcceptedRequest {
    /// When it was received.
    pub received_at: Micros,
    /// The address of the sender, if it is known.
    pub client: Option<IpAddr>,
    /// What became of its events.
    pub counts: RequestCounts,
}

/// A refused request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedRequest {
    /// When it was answered.
    pub at: Micros,
    /// Its id.
    pub request_id: Box<str>,
    /// The path that refused it.
    pub endpoint: Arc<str>,
    /// The address of the sender, if it is known.
    pub client: Option<IpAddr>,
    /// The status of the answer.
    pub status: u16,
    /// Why: what the answer said.
    pub why: String,
}

/// An accepted request in the ring. Its number is written last, so that a reader knows whether it is whole.
#[derive(Default)]
struct Slot {
    number: AtomicU64,
    id: AtomicU64,
    received_at: AtomicI64,
    client: [AtomicU64; 2],
    first_event: AtomicU64,
    counts: [AtomicU64; 2],
}

/// The number of a request that is under way.
#[derive(Debug)]
pub(super) struct Noted(u64);

/// Numbers that begin again from the start, in parts that are made when they are needed.
struct Ring<T> {
    parts: Vec<OnceLock<Box<[T]>>>,
}

impl<T: Default> Ring<T> {
    fn new(length: u64) -> Self {
        let parts = length as usize / PART;
        Self {
            parts: (0..parts).map(|_| OnceLock::new()).collect(),
        }
    }

    fn at(&self, number: u64) -> &T {
        &self.from(number)[0]
    }

    /// What follows in the same part; at least one.
    fn from(&self, number: u64) -> &[T] {
        let at = number as usize % (self.parts.len() * PART);
        let part = self.parts[at / PART].get_or_init(|| (0..PART).map(|_| T::default()).collect());
        &part[at % PART..]
    }

    /// The same, if it was ever written.
    fn known(&self, number: u64) -> Option<&T> {
        let at = number as usize % (self.parts.len() * PART);
        self.parts[at / PART].get().map(|part| &part[at % PART])
    }
}

impl Default for Recent {
    fn default() -> Self {
        Self {
            requests: Ring::new(MAX_REQUESTS),
            next_request: AtomicU64::new(0),
            events: Ring::new(MAX_EVENTS),
            next_event: AtomicU64::new(0),
            refused: Mutex::default(),
        }
    }
}

impl Recent {
    /// Notes a request before its rows are handed to the log.
    pub(super) fn begin(&self, origin: &Origin, rows: &Rows) -> Noted {
        let number = self.next_request.fetch_add(1, Ordering::Relaxed);
        let slot = self.requests.at(number);
        slot.number.store(0, Ordering::Relaxed);
        // Whoever sees what follows sees that the slot is not whole.
        fence(Ordering::Release);
        slot.id
            .store(xxh3_64(origin.request_id.as_bytes()), Ordering::Relaxed);
        slot.received_at
            .store(origin.received_at.0, Ordering::Relaxed);
        let client = origin.client.map_or(0, bits_of);
        slot.client[0].store((client >> 64) as u64, Ordering::Relaxed);
        slot.client[1].store(client as u64, Ordering::Relaxed);
        let first = self
            .next_event
            .fetch_add(rows.rows.len() as u64, Ordering::Relaxed);
        slot.first_event.store(first, Ordering::Relaxed);
        let (mut at, mut left) = (first, rows.rows.iter());
        while left.len() > 0 {
            let cells = self.events.from(at);
            for (cell, row) in cells.iter().zip(&mut left) {
                let tag = match row.kind {
                    RowKind::Record(identity) => identity.tag,
                    _ => 0,
                };
                cell.store(tag, Ordering::Relaxed);
            }
            at += cells.len() as u64;
        }
        Noted(number)
    }

    /// Notes what became of it.
    pub(super) fn end(&self, Noted(number): Noted, counts: RequestCounts) {
        let slot = self.requests.at(number);
        let pair = |high: u32, low: u32| u64::from(high) << 32 | u64::from(low);
        slot.counts[0].store(pair(counts.accepted, counts.duplicates), Ordering::Relaxed);
        slot.counts[1].store(pair(counts.dropped, counts.quarantined), Ordering::Relaxed);
        slot.number.store(number + 1, Ordering::Release);
    }

    /// Notes a refused request.
    pub(super) fn refuse(&self, mut refused: RefusedRequest) {
        if let Some((end, _)) = refused.why.char_indices().nth(MAX_DETAIL) {
            refused.why.truncate(end);
        }
        let mut all = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() == MAX_REFUSED {
            all.pop_front();
        }
        all.push_back(refused);
    }

    /// The accepted requests with an id, the newest first.
    pub fn of_request(&self, request_id: &str) -> Vec<AcceptedRequest> {
        let id = xxh3_64(request_id.as_bytes());
        self.all(|slot| slot.id.load(Ordering::Relaxed) == id)
    }

    /// The accepted requests that held an event with this tag, the newest first.
    pub fn of_event(&self, tag: u64) -> Vec<AcceptedRequest> {
        let next = self.next_event.load(Ordering::Relaxed);
        let first = next.saturating_sub(MAX_EVENTS);
        let has = |at: &u64| {
            let known = self.events.known(*at);
            known.is_some_and(|event| event.load(Ordering::Relaxed) == tag)
        };
        let places: Vec<u64> = (first..next).filter(has).collect();
        if tag == 0 || places.is_empty() {
            return Vec::new();
        }
        // A request holds the events up to those of the next one; their numbers may be given in another order.
        let mut starts: Vec<(u64, u64)> = Vec::new();
        let newest = self.next_request.load(Ordering::Relaxed);
        for number in newest.saturating_sub(MAX_REQUESTS)..newest {
            if let Some(slot) = self.requests.known(number) {
                starts.push((slot.first_event.load(Ordering::Relaxed), number));
            }
        }
        starts.sort_unstable();
        let mut found: Vec<(u64, u64)> = places
            .iter()
            .filter_map(|place| {
                let after = starts.partition_point(|(start, _)| start <= place);
                let (start, number) = starts[after.checked_sub(1)?];
                Some((number, place - start))
            })
            .collect();
        found.sort_unstable();
        found.dedup_by_key(|(number, _)| *number);
        let known = found.into_iter().rev().filter_map(|(number, nth)| {
            // A request that is forgotten may have held it.
            let is_its_own = |counts: RequestCounts| nth < counts.rows();
            self.request(number, |_| true)
                .filter(|request| is_its_own(request.counts))
        });
        known.take(MAX_TOLD).collect()
    }

    /// The refused requests with an id, the newest first.
    pub fn refused(&self, is_wanted: impl Fn(&RefusedRequest) -> bool) -> Vec<RefusedRequest> {
        let all = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = all.iter().rev().filter(|refused| is_wanted(refused));
        wanted.take(MAX_TOLD).cloned().collect()
    }

    /// How many requests were accepted since the start, and how many of them are remembered.
    pub fn remembered(&self) -> (u64, u64) {
        let all = self.next_request.load(Ordering::Relaxed);
        (all, all.min(MAX_REQUESTS))
    }

    fn all(&self, is_wanted: impl Fn(&Slot) -> bool) -> Vec<AcceptedRequest> {
        let newest = self.next_request.load(Ordering::Relaxed);
        let numbers = (newest.saturating_sub(MAX_REQUESTS)..newest).rev();
        let found = numbers.filter_map(|number| self.request(number, &is_wanted));
        found.take(MAX_TOLD).collect()
    }

    fn request(&self, number: u64, is_wanted: impl Fn(&Slot) -> bool) -> Option<AcceptedRequest> {
        let slot = self.requests.known(number)?;
        let is_whole = || slot.number.load(Ordering::Acquire) == number + 1;
        if !is_whole() || !is_wanted(slot) {
            return None;
        }
        let read = |cell: &AtomicU64| cell.load(Ordering::Acquire);
        let client = u128::from(read(&slot.client[0])) << 64 | u128::from(read(&slot.client[1]));
        let counts = slot.counts.each_ref().map(read);
        let request = AcceptedRequest {
            received_at: Micros(slot.received_at.load(Ordering::Acquire)),
            client: address_of(client),
            counts: RequestCounts {
                accepted: (counts[0] >> 32) as u32,
                duplicates: counts[0] as u32,
                dropped: (counts[1] >> 32) as u32,
                quarantined: counts[1] as u32,
            },
        };
        // It may have been overwritten meanwhile.
        is_whole().then_some(request)
    }
}

/// More requests of one id are not told.
const MAX_TOLD: usize = 10;

/// An address as a number; zero is no address.
fn bits_of(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

fn address_of(bits: u128) -> Option<IpAddr> {
    (bits != 0).then(|| IpAddr::V6(Ipv6Addr::from_bits(bits)).to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Identity;

    fn rows(tags: std::ops::Range<u64>) -> Rows {
        let mut rows = Rows::default();
        let partition = rows.partition("events/dt=2026-11-29");
        for tag in tags {
            let identity = Identity { tag, content: 0 };
            rows.finish_row(0, partition, RowKind::Record(identity));
        }
        rows
    }

    fn note(recent: &Recent, number: u64, tags: std::ops::Range<u64>) -> Noted {
        let origin = Origin {
            received_at: Micros(number.cast_signed()),
            endpoint: "/webhook/events".into(),
            request_id: format!("request {number}").into(),
            client: Some(IpAddr::from([10, 0, 0, 1])),
        };
        recent.begin(&origin, &rows(tags))
    }

    #[test]
    fn requests_and_their_events_are_found_again() {
        let recent = Recent::default();
        for number in 1..=50 {
            let noted = note(&recent, number, number * 10..number * 10 + 3);
            let counts = RequestCounts {
                accepted: number as u32 + 2,
                dropped: 7,
                ..RequestCounts::default()
            };
            recent.end(noted, counts);
        }
        let found = recent.of_request("request 20");
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].received_at, found[0].client),
            (Micros(20), Some(IpAddr::from([10, 0, 0, 1])))
        );
        assert_eq!((found[0].counts.accepted, found[0].counts.dropped), (22, 7));
        assert_eq!(recent.of_event(202), found);
        assert_eq!(recent.of_event(203), []);
        assert_eq!(recent.of_event(0), []);
        assert_eq!(recent.of_request("request 51"), []);
        // One whose answer is not known yet is not told.
        let _under_way = note(&recent, 51, 900..901);
        assert_eq!(recent.of_request("request 51"), []);
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let recent = Recent::default();
        for number in 0..MAX_REQUESTS + 10 {
            let noted = note(&recent, number, number..number + 1);
            recent.end(noted, RequestCounts::default());
        }
        assert_eq!(recent.remembered(), (MAX_REQUESTS + 10, MAX_REQUESTS));
        assert_eq!(recent.of_request("request 9"), []);
        assert_eq!(recent.of_request("request 10").len(), 1);
        let refused = |number: usize| RefusedRequest {
            at: Micros(0),
            request_id: number.to_string().into(),
            endpoint: "/webhook/events".into(),
            client: None,
            status: 400,
            why: "é".repeat(2 * MAX_DETAIL),
        };
        (0..=MAX_REFUSED).for_each(|number| recent.refuse(refused(number)));
        assert!(
            recent
                .refused(|refused| &*refused.request_id == "0")
                .is_empty()
        );
        let kept = recent.refused(|refused| &*refused.request_id == "1");
        assert_eq!(kept[0].why.chars().count(), MAX_DETAIL);
    }
}
