//! What the service remembers of one event or request, as it is told to those who ask.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::app::Core;
use super::recent::{AcceptedRequest, RefusedRequest, RequestCounts};
use crate::clock::Micros;
use crate::contract::EventIds;

/// What is remembered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recalled {
    /// Accepted requests, the newest first.
    pub accepted: Vec<RecalledRequest>,
    /// Refused requests, the newest first.
    pub refused: Vec<RecalledRefusal>,
    /// Whether the id is that of these requests, and not of an event in them.
    pub is_request: bool,
    /// Requests that were accepted since the start of the process.
    pub requests: u64,
    /// How many of them are remembered.
    pub remembered: u64,
}

/// An accepted request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecalledRequest {
    /// When it was received, in microseconds.
    received_micros: i64,
    /// The address of the sender, if it is known.
    pub client: Option<IpAddr>,
    /// New events, which are stored.
    pub accepted: u32,
    /// Events that were known.
    pub duplicates: u32,
    /// Events that a rule dropped.
    pub dropped: u32,
    /// Events in the quarantine.
    pub quarantined: u32,
}

/// A refused request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecalledRefusal {
    /// When it was answered, in microseconds.
    at_micros: i64,
    /// The path that refused it.
    pub endpoint: String,
    /// The address of the sender, if it is known.
    pub client: Option<IpAddr>,
    /// The status of the answer.
    pub status: u16,
    /// Why: what the answer said.
    pub why: String,
}

/// What a request did with the event that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// Not the event is asked for, but the request.
    Whole,
    /// It stored the event.
    Stored,
    /// It repeated the event.
    Duplicate,
    /// It had another event of this id, which is in the quarantine.
    Conflict,
    /// It stored or repeated it; its counts do not say which.
    Unclear,
}

impl Recalled {
    /// What the request at this place did with the event. `stores_it` is known once the event is found in the lake:
    /// whether it was received with this request.
    pub fn share(&self, at: usize, stores_it: Option<bool>) -> Share {
        let request = &self.accepted[at];
        let is_oldest = at + 1 == self.accepted.len();
        let is_known = match (stores_it, is_oldest) {
            _ if self.is_request => return Share::Whole,
            (Some(true), _) => return Share::Stored,
            (Some(false), _) | (None, false) => true,
            (None, true) => request.accepted == 0,
        };
        match (is_known, request.duplicates, request.quarantined) {
            (true, 0, 1..) => Share::Conflict,
            (true, _, 0) => Share::Duplicate,
            (false, 0, 0) => Share::Stored,
            _ => Share::Unclear,
        }
    }

    /// Whether nothing is remembered of it.
    pub fn is_nothing(&self) -> bool {
        self.accepted.is_empty() && self.refused.is_empty()
    }
}

impl RecalledRequest {
    /// When it was received.
    pub fn received_at(&self) -> Micros {
        Micros(self.received_micros)
    }

    /// How many events it had.
    pub fn events(&self) -> u32 {
        self.accepted + self.duplicates + self.dropped + self.quarantined
    }
}

impl RecalledRefusal {
    /// When it was answered.
    pub fn at(&self) -> Micros {
        Micros(self.at_micros)
    }
}

impl From<AcceptedRequest> for RecalledRequest {
    fn from(request: AcceptedRequest) -> Self {
        let RequestCounts {
            accepted,
            duplicates,
            dropped,
            quarantined,
        } = request.counts;
        Self {
            received_micros: request.received_at.0,
            client: request.client,
            accepted,
            duplicates,
            dropped,
            quarantined,
        }
    }
}

impl From<RefusedRequest> for RecalledRefusal {
    fn from(refused: RefusedRequest) -> Self {
        Self {
            at_micros: refused.at.0,
            endpoint: refused.endpoint.to_string(),
            client: refused.client,
            status: refused.status,
            why: refused.why,
        }
    }
}

impl Core {
    /// What is remembered of a request with this id or, if there is none, of events with these ids.
    pub fn recall(&self, text: &str, ids: &EventIds) -> Recalled {
        let recent = &self.watch.recent;
        let refused = recent.refused(|refused| *refused.request_id == *text);
        let of_request = recent.of_request(text);
        let is_request = !of_request.is_empty();
        let accepted = if is_request {
            of_request
        } else {
            let tags = self.contract.tags_of(ids).into_iter();
            tags.flat_map(|tag| recent.of_event(tag)).collect()
        };
        let (requests, remembered) = recent.remembered();
        Recalled {
            accepted: accepted.into_iter().map(RecalledRequest::from).collect(),
            refused: refused.into_iter().map(RecalledRefusal::from).collect(),
            is_request,
            requests,
            remembered,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(counts: [u32; 4]) -> RecalledRequest {
        let [accepted, duplicates, dropped, quarantined] = counts;
        RecalledRequest {
            received_micros: 7,
            client: None,
            accepted,
            duplicates,
            dropped,
            quarantined,
        }
    }

    #[test]
    fn the_counts_of_requests_say_who_stored_an_event() {
        let share = |requests: &[[u32; 4]], at: usize, stores_it: Option<bool>| {
            let recalled = Recalled {
                accepted: requests.iter().copied().map(request).collect(),
                ..Recalled::default()
            };
            recalled.share(at, stores_it)
        };
        // The newest first.
        let all = [[0, 1, 0, 0], [0, 0, 0, 1], [3, 0, 1, 0]];
        assert_eq!(share(&all, 0, None), Share::Duplicate);
        assert_eq!(share(&all, 1, None), Share::Conflict);
        assert_eq!(share(&all, 2, None), Share::Stored);
        assert_eq!(share(&[[2, 1, 0, 0]], 0, None), Share::Unclear);
        assert_eq!(share(&[[0, 1, 0, 0]], 0, None), Share::Duplicate);
        // What the lake says counts.
        assert_eq!(share(&[[2, 1, 0, 0]], 0, Some(true)), Share::Stored);
        assert_eq!(share(&[[2, 1, 0, 0]], 0, Some(false)), Share::Duplicate);
        let of_request = Recalled {
            accepted: vec![request([1, 0, 0, 0])],
            is_request: true,
            ..Recalled::default()
        };
        assert_eq!(of_request.share(0, Some(true)), Share::Whole);
    }
}
