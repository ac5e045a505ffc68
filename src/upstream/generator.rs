//! The generator: a task that makes requests and pushes them one after the other, with pauses between.
//!
//! Starting and stopping are idempotent and wait for each other, so there is never a second task. A
//! stop leaves no task behind. Dropping an upstream without a stop leaves its task to the runtime.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;

use super::activity::{Activity, Body};
use super::chance::Chance;
use super::push::Webhook;
use super::sent::{Counters, PushResult};

/// What the generator's task needs.
#[derive(Debug)]
pub(super) struct Rounds {
    pub(super) activity: Activity,
    pub(super) webhook: Webhook,
    pub(super) counters: Arc<Counters>,
    pub(super) batch: RangeInclusive<u32>,
    pub(super) pause: RangeInclusive<Duration>,
    pub(super) rate: Option<f64>,
    pub(super) broken_requests: f64,
    pub(super) stop_within: Duration,
    pub(super) clock: Clock,
    pub(super) chance: Chance,
}

/// The generator, running or not.
#[derive(Debug)]
pub(super) struct Generator {
    rounds: Arc<Rounds>,
    running: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    stopping: CancellationToken,
    task: JoinHandle<()>,
}

impl Generator {
    /// A generator that is not running.
    pub(super) fn new(rounds: Rounds) -> Self {
        Self {
            rounds: Arc::new(rounds),
            running: Mutex::new(None),
        }
    }

    /// Starts the task, unless it is running. Once `closing` is cancelled, it stops and is not started again.
    pub(super) async fn start(&self, closing: &CancellationToken) {
        let mut running = self.running.lock().await;
        let is_at_work = |r: &Running| !r.stopping.is_cancelled() && !r.task.is_finished();
        if running.as_ref().is_some_and(is_at_work) {
            return;
        }
        // A task that is still here was being stopped by a caller who did not wait for its end.
        finish(&mut running).await;
        let stopping = closing.child_token();
        let (rounds, token) = (Arc::clone(&self.rounds), stopping.clone());
        let task = tokio::spawn(async move { rounds.run(&token).await });
        *running = Some(Running { stopping, task });
    }

    /// Stops the task, if it is running, once its push is answered or has waited long enough.
    pub(super) async fn stop(&self) {
        finish(&mut *self.running.lock().await).await;
    }
}

/// Cancels the task and joins it. The handle stays where it is meanwhile, so that nothing is lost if the caller goes away.
async fn finish(running: &mut Option<Running>) {
    let Some(last) = running.as_mut() else {
        return;
    };
    last.stopping.cancel();
    if let Err(error) = (&mut last.task).await {
        tracing::error!(%error, "the generator ended with an error");
    }
    *running = None;
}

impl Rounds {
    async fn run(&self, stopping: &CancellationToken) {
        let mut owed = Duration::ZERO;
        while !stopping.is_cancelled() {
            let round = self.round(stopping, &mut owed);
            if let Err(error) = round.await {
                tracing::error!(%error, "the generator gives up");
                return;
            }
        }
    }

    /// Pushes one request, and pauses after it.
    async fn round(
        &self,
        stopping: &CancellationToken,
        owed: &mut Duration,
    ) -> serde_json::Result<()> {
        let started = self.clock.now().mono;
        let (events, body) = self.request()?;
        self.push(events, &body, stopping).await;
        let spent = self.clock.now().mono.saturating_sub(started);
        let (due, rest) = match self.rate {
            Some(rate) => {
                let due = Duration::from_secs_f64(f64::from(events) / rate);
                (due, due.saturating_sub(spent + *owed))
            }
            None => (Duration::MAX, self.chance.duration_within(&self.pause)),
        };
        tokio::select! {
            () = stopping.cancelled() => {}
            () = tokio::time::sleep(rest) => {}
        }
        let took = self.clock.now().mono.saturating_sub(started);
        *owed = behind(*owed, due, took);
        Ok(())
    }

    /// The next request: the number of its events, and its bytes.
    fn request(&self) -> serde_json::Result<(u32, Bytes)> {
        let events = if self.chance.hits(self.broken_requests) {
            vec![self.activity.broken()]
        } else {
            self.activity.batch(self.chance.within(&self.batch))
        };
        let count = u32::try_from(events.len()).unwrap_or(u32::MAX);
        let body = serde_json::to_vec(&Body { events: &events })?;
        Ok((count, body.into()))
    }

    /// Sends the request until it is answered, or until a stop has waited long enough for that.
    async fn push(&self, events: u32, body: &Bytes, stopping: &CancellationToken) {
        let patience_is_over = async {
            stopping.cancelled().await;
            tokio::time::sleep(self.stop_within).await;
        };
        self.counters.begin(events);
        let outcome = tokio::select! {
            outcome = self.webhook.push(body, &self.counters, &self.chance) => outcome,
            () = patience_is_over => PushResult::Unanswered,
        };
        if !self.counters.end(events, outcome) {
            tracing::warn!(events, "the answer does not add up to the events sent");
        }
    }
}

/// How far the generator lags behind its rate after a round that should have taken `due`.
///
/// Sleeps are rounded up and pushes may be slow, so the lag is carried over; but never more than a second of it, or a
/// long outage would be followed by a flood.
fn behind(owed: Duration, due: Duration, took: Duration) -> Duration {
    const MOST: Duration = Duration::from_secs(1);
    (owed + took).saturating_sub(due).min(MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_carried_over_within_bounds() {
        let millis = Duration::from_millis;
        assert_eq!(behind(millis(0), millis(10), millis(12)), millis(2));
        assert_eq!(behind(millis(2), millis(10), millis(8)), millis(0));
        assert_eq!(behind(millis(5), millis(10), millis(0)), millis(0));
        assert_eq!(behind(millis(0), millis(10), millis(60_000)), millis(1000));
        assert_eq!(behind(millis(0), Duration::MAX, millis(60_000)), millis(0));
    }
}
