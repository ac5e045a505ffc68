//! What those see who watch requests: the events that are accepted while somebody looks.
//!
//! While nobody looks, this costs a request the load of one number. Nothing waits for who looks: what cannot be handed
//! over at once is left out, and counted.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::mpsc;

use super::recent::{Noted, Recent, RequestCounts};
use crate::clock::Micros;
use crate::metrics::SourceCounts;
use crate::record::{Origin, RowKind, Rows};

/// Rows of one request that are shown; the others are counted.
const MAX_ROWS: usize = 20;
/// Requests that may wait for somebody who looks.
const MAX_WAITING: usize = 64;

/// What is watched.
#[derive(Default)]
pub struct Watch {
    /// Events as they are accepted.
    pub tail: Tail,
    /// What became of the last requests.
    pub recent: Recent,
}

/// A request on its way to the log.
pub struct Watched {
    noted: Noted,
    seen: Option<Arc<Seen>>,
}

impl Watch {
    /// Notes a request before its rows are handed to the log.
    pub fn begin(&self, origin: &Origin, rows: &Rows) -> Watched {
        Watched {
            noted: self.recent.begin(origin, rows),
            seen: self.tail.copy(origin, rows),
        }
    }

    /// Notes what became of it.
    pub fn end(&self, Watched { noted, seen }: Watched, counts: SourceCounts) {
        self.recent.end(noted, RequestCounts::of(counts));
        self.tail.hand_over(seen);
    }
}

/// Events of a request that was accepted.
#[derive(Clone, Debug)]
pub struct Seen {
    /// When it was received.
    pub received_at: Micros,
    /// The path that received it.
    pub endpoint: Arc<str>,
    /// The id of the request.
    pub request_id: Box<str>,
    /// The address of the sender, if it is known.
    pub client: Option<IpAddr>,
    /// The first rows, as they are logged.
    pub rows: Vec<Box<[u8]>>,
    /// How many more rows there were.
    pub more: usize,
}

/// Hands accepted events to those who look.
#[derive(Default)]
pub struct Tail {
    lookers: AtomicUsize,
    senders: Mutex<Vec<mpsc::Sender<Arc<Seen>>>>,
    left_out: AtomicU64,
}

impl Tail {
    /// Whether anybody looks.
    fn is_watched(&self) -> bool {
        self.lookers.load(Ordering::Relaxed) > 0
    }

    /// A copy of what a request holds, if anybody looks.
    pub(super) fn copy(&self, origin: &Origin, rows: &Rows) -> Option<Arc<Seen>> {
        if !self.is_watched() {
            return None;
        }
        let is_record = |kind: RowKind| matches!(kind, RowKind::Record(_));
        let shown = rows.iter().filter(|(row, _)| is_record(row.kind));
        let shown = shown.take(MAX_ROWS).map(|(_, bytes)| bytes.into());
        let all = rows.rows.iter().filter(|row| is_record(row.kind)).count();
        Some(Arc::new(Seen {
            received_at: origin.received_at,
            endpoint: Arc::clone(&origin.endpoint),
            request_id: origin.request_id.clone(),
            client: origin.client,
            rows: shown.collect(),
            more: all.saturating_sub(MAX_ROWS),
        }))
    }

    /// Hands it over, once it is durable. Whoever is slow misses it.
    pub(super) fn hand_over(&self, seen: Option<Arc<Seen>>) {
        let Some(seen) = seen else { return };
        let Ok(mut senders) = self.senders.try_lock() else {
            self.left_out.fetch_add(1, Ordering::Relaxed);
            return;
        };
        senders.retain(|sender| match sender.try_send(Arc::clone(&seen)) {
            Err(mpsc::error::TrySendError::Closed(_)) => false,
            Err(mpsc::error::TrySendError::Full(_)) => {
                self.left_out.fetch_add(1, Ordering::Relaxed);
                true
            }
            Ok(()) => true,
        });
        self.lookers.store(senders.len(), Ordering::Relaxed);
    }

    /// Requests that somebody missed who looked, since the start.
    pub fn left_out(&self) -> u64 {
        self.left_out.load(Ordering::Relaxed)
    }

    /// Looks from now on, until the receiver is dropped.
    pub fn look(&self) -> mpsc::Receiver<Arc<Seen>> {
        let (sender, receiver) = mpsc::channel(MAX_WAITING);
        if let Ok(mut senders) = self.senders.lock() {
            senders.retain(|sender| !sender.is_closed());
            senders.push(sender);
            self.lookers.store(senders.len(), Ordering::Relaxed);
        }
        receiver
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;
    use crate::record::Identity;

    fn rows(count: usize) -> Rows {
        let mut rows = Rows::default();
        let partition = rows.partition("events/dt=2026-11-29");
        for number in 0..count {
            rows.bytes
                .extend_from_slice(format!("row {number}").as_bytes());
            let identity = Identity { tag: 1, content: 1 };
            rows.finish_row(0, partition, RowKind::Record(identity));
        }
        rows
    }

    fn origin() -> Origin {
        Origin {
            received_at: Micros(1),
            endpoint: "/webhook/events".into(),
            request_id: "r".into(),
            client: None,
        }
    }

    #[test]
    fn nothing_is_copied_unless_somebody_looks() {
        let tail = Tail::default();
        assert!(tail.copy(&origin(), &rows(1)).is_none());
        let mut receiver = tail.look();
        tail.hand_over(tail.copy(&origin(), &rows(MAX_ROWS + 5)));
        let seen = receiver.try_recv().unwrap();
        assert_eq!(
            (seen.rows.len(), seen.more, &*seen.rows[1]),
            (MAX_ROWS, 5, b"row 1".as_slice())
        );
        drop(receiver);
        tail.hand_over(tail.copy(&origin(), &rows(1)));
        assert!(tail.copy(&origin(), &rows(1)).is_none());
    }

    #[test]
    fn who_is_slow_misses_something_and_holds_up_nobody() {
        let tail = Tail::default();
        let mut slow = tail.look();
        for _ in 0..MAX_WAITING + 3 {
            tail.hand_over(tail.copy(&origin(), &rows(1)));
        }
        assert_eq!(tail.left_out(), 3);
        assert!(slow.try_recv().is_ok());
    }
}
