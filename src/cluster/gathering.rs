//! Gathers the requests to another node into bodies, as a log gathers them into frames: the more requests come, the less
//! each of them costs both nodes.
//!
//! While no body is under way, a request is sent at once. Otherwise it waits until one has been answered, or until some time
//! after the last one was sent, so that an owner who takes long for each frame has the next one's requests already. That time
//! is half of what the last answer took, within bounds: the slower the owner is, the fewer bodies it gets.
//!
//! Many senders have their next request ready as soon as they are answered. So after an answer to many small requests,
//! nothing is sent until as many have come again as were under way, or until some time has passed: one body takes them all,
//! where the first of them would otherwise be sent alone.

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::error::ForwardError;
use super::limits::{GATHERED_BYTES, MAX_GATHERED};
use super::message::{COUNT_BYTES, ENTRY_BYTES};
use super::waiting::{Ticket, Waiting};

/// Most requests that wait.
const MAX_WAITING: usize = 8192;
/// Most bytes of requests that wait.
const MAX_WAITING_BYTES: usize = 64 << 20;
/// Most bodies under way at a time.
const MAX_UNDER_WAY: usize = 8;
/// How long a body that is sent beside others gathers requests, at least and at most.
const PACE: RangeInclusive<Duration> = Duration::from_millis(5)..=Duration::from_millis(25);
/// An answer to fewer requests is not followed by a pause.
const MANY: usize = 8;
/// The pause lasts as long as the answer took, but at least and at most this long.
const LULL: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_millis(10);
/// From this size on, the cost of a body is mostly that of its rows: a larger one saves nothing, so there is no pause.
const ENOUGH_BYTES: usize = 256 << 10;

/// The requests that wait to be sent to one node.
#[derive(Default)]
pub(super) struct Gathering {
    queue: Mutex<Queue>,
    /// As many requests as were expected have come.
    have_come: Notify,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    bytes: usize,
    /// Those who send bodies, or are about to.
    under_way: usize,
    /// Requests in these bodies.
    unanswered: usize,
    /// Whether one of them gathers beside what is under way.
    is_gathering: bool,
    /// How many requests one of them waits for; 0 if none does.
    expected: usize,
    sent_at: Option<Instant>,
    /// How long the last answer took.
    took: Duration,
}

/// When somebody begins to send.
pub(super) enum Start {
    Now,
    /// Until then, requests are gathered.
    At(Instant),
}

impl Queue {
    /// Whether the expected number of requests waits, or enough bytes for a body.
    fn is_enough(&self) -> bool {
        self.waiting.len() >= self.expected || self.bytes >= ENOUGH_BYTES
    }
}

impl Gathering {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a request, unless too many wait.
    pub(super) fn push(&self, request: Waiting) -> Result<(), (Ticket, ForwardError)> {
        let mut queue = self.queue();
        let bytes = queue.bytes + request.message.len();
        // One that is larger than all that may wait is sent alone.
        let is_full = bytes > MAX_WAITING_BYTES && !queue.waiting.is_empty();
        if queue.waiting.len() >= MAX_WAITING || is_full {
            let error = ForwardError::Unsent("too many requests wait for it".into());
            return Err((request.ticket, error));
        }
        queue.bytes = bytes;
        queue.waiting.push_back(request);
        if queue.expected > 0 && queue.is_enough() {
            self.have_come.notify_waiters();
        }
        Ok(())
    }

    /// When somebody must begin to send what waits, if he must; he is counted already.
    pub(super) fn begin(&self) -> Option<Start> {
        let mut queue = self.queue();
        let start = match queue.sent_at {
            Some(sent_at) if queue.under_way > 0 => Start::At(sent_at + pace(queue.took)),
            _ if queue.under_way > 0 => return None,
            _ => Start::Now,
        };
        if let Start::At(_) = start {
            if queue.is_gathering || queue.expected > 0 || queue.under_way >= MAX_UNDER_WAY {
                return None;
            }
            queue.is_gathering = true;
        }
        queue.under_way += 1;
        Some(start)
    }

    /// Waits until it is time to send.
    pub(super) async fn wait_to_start(&self, start: Start) {
        if let Start::At(time) = start {
            tokio::time::sleep_until(time).await;
            self.queue().is_gathering = false;
        }
    }

    /// The oldest requests that wait for one target. Returns `None` if there are none, or if another sender is about to take
    /// them; the caller must stop then, and is not counted any more.
    pub(super) fn next_batch(&self, patience: Duration) -> Option<Vec<Waiting>> {
        let mut queue = self.queue();
        if queue.waiting.is_empty() || queue.expected > 0 {
            queue.under_way -= 1;
            return None;
        }
        let now = Instant::now();
        let mut batch: Vec<Waiting> = Vec::new();
        let mut bytes = COUNT_BYTES;
        while let Some(next) = queue.waiting.front() {
            let own = ENTRY_BYTES + next.message.len();
            let fits = batch.is_empty() || bytes + own <= GATHERED_BYTES;
            let is_same = batch
                .first()
                .is_none_or(|first| first.target == next.target);
            if batch.len() >= MAX_GATHERED || !fits || !is_same {
                break;
            }
            let Some(next) = queue.waiting.pop_front() else {
                break;
            };
            queue.bytes -= next.message.len();
            // Nobody waits for it any more.
            if next.ticket.is_gone() {
                next.ticket.forget();
                continue;
            }
            if now.saturating_duration_since(next.since) >= patience {
                let late = ForwardError::Unsent("it does not keep up".into());
                next.ticket.answer(Err(late));
                continue;
            }
            bytes += own;
            batch.push(next);
        }
        if !batch.is_empty() {
            queue.sent_at = Some(now);
            queue.unanswered += batch.len();
        }
        Some(batch)
    }

    /// Must be called after each answer, with the number of requests that it answers, their bytes, and how long it took. If
    /// these requests were many and small, this waits until as many have come again as were under way. Only one sender waits
    /// at a time.
    pub(super) async fn wait_for_as_many(&self, count: usize, bytes: usize, took: Duration) {
        // Made before anybody can notify: from here on, no notice is missed, and none is kept for the next pause.
        let have_come = self.have_come.notified();
        {
            let mut queue = self.queue();
            let before = queue.unanswered;
            queue.unanswered -= count;
            queue.took = took;
            if count < MANY || bytes >= ENOUGH_BYTES || queue.expected > 0 {
                return;
            }
            queue.expected = before;
            if queue.is_enough() {
                queue.expected = 0;
                return;
            }
        }
        let _elapsed = tokio::time::timeout(lull(took), have_come).await;
        self.queue().expected = 0;
    }
}

/// How long to gather requests while answers take so long.
fn pace(took: Duration) -> Duration {
    (took / 2).clamp(*PACE.start(), *PACE.end())
}

/// How long to wait for requests after an answer that took so long.
fn lull(took: Duration) -> Duration {
    took.clamp(*LULL.start(), *LULL.end())
}

#[cfg(test)]
#[path = "gathering_tests.rs"]
mod tests;
