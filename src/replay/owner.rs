//! Stores replayed events, in the process that holds the log.

use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use super::candidate::Candidate;
use super::judge::{EventCounts, HookJudge, ReplayOutcome, Valid, invalid, judge};
use crate::clock::Clock;
use crate::contract::Contract;
use crate::metrics::{EventsCounted, Metrics};
use crate::quarantine::FieldError;
use crate::status::Status;
use crate::wal::log::Log;
use crate::wal::logs::Logs;
use crate::wal::request::{Append, AppendError, FULL_PAUSE, NO_RUN, Reply};

/// While the log is full, a replay tries at most this many times, so that requests come first.
const FULL_TRIES: u32 = 300;

/// Says where the log is, if another node of the cluster owns it.
pub type Elsewhere = Arc<dyn Fn() -> Option<String> + Send + Sync>;

/// Judges and stores; cheap to clone.
#[derive(Clone)]
pub struct Replayer {
    /// The contract that rows are judged by.
    pub contract: Arc<Contract>,
    /// Judges rows of hooks.
    pub hooks: HookJudge,
    /// The logs that store the rows.
    pub logs: Logs,
    /// Whether the log accepts anything now.
    pub status: Arc<Status>,
    /// Counts replayed events like any other.
    pub metrics: Arc<Metrics>,
    /// The time of receipt that the log uses.
    pub clock: Clock,
    /// Where the log is, if it is not here.
    pub elsewhere: Elsewhere,
}

impl Replayer {
    /// Judges candidates and stores those that are valid. The outcomes are in the order of the candidates,
    /// and are durable; an error says why they are not known.
    pub async fn page(&self, candidates: &[Candidate]) -> Result<Vec<ReplayOutcome>, String> {
        self.check_all_owned().await?;
        let now = self.clock.now();
        self.status.observe(now);
        if let Some(unavailable) = self.status.refusal(now) {
            return Err(unavailable.to_string());
        }
        let judged: Vec<Result<Valid, ReplayOutcome>> = tokio::task::block_in_place(|| {
            let judged = candidates
                .iter()
                .map(|candidate| judge(&self.contract, &self.hooks, candidate));
            judged.collect()
        });
        let here = self.logs.only_here();
        // All candidates are appended at once, so that they share frames.
        let first = judged
            .iter()
            .filter_map(|judged| judged.as_ref().ok())
            .map(|valid| here.append(self.append(valid)));
        let mut replies = in_order(first.collect()).await.into_iter();
        let mut outcomes = Vec::with_capacity(judged.len());
        for judged in judged {
            outcomes.push(match judged {
                Err(still_invalid) => still_invalid,
                Ok(valid) => {
                    let reply = replies.next().unwrap_or(Err(AppendError::Closed));
                    self.settle(&here, &valid, reply).await?
                }
            });
        }
        Ok(outcomes)
    }

    /// Replays and erasures exclude each other within the process that owns the log, or the first of several.
    pub(super) fn check_owned(&self) -> Result<(), String> {
        // Between two owners nobody knows yet who the next one is.
        let first = self.logs.all().first();
        if first.is_some_and(Log::is_elsewhere) {
            let unknown = "this process does not own the log";
            return Err((self.elsewhere)().unwrap_or_else(|| unknown.to_owned()));
        }
        Ok(())
    }

    /// A replay stores in the process that owns the logs, and nowhere else: what it has read of the lake may be erased
    /// where another process owns one of them.
    async fn check_all_owned(&self) -> Result<(), String> {
        self.check_owned()?;
        let owners = self.logs.owners_elsewhere().await;
        if owners.is_empty() {
            return Ok(());
        }
        Err(format!(
            "a replay needs a node that owns all logs, and this one does not ({}): stop the other nodes with SIGTERM while \
             it runs",
            owners.join("; ")
        ))
    }

    /// For the log, the rows are received now, because their time must not be before a published watermark.
    /// The rows themselves keep their own.
    fn append(&self, valid: &Valid) -> Append {
        let mut origin = valid.origin.clone();
        origin.received_at = self.logs.receipt(self.clock.now().wall);
        Append {
            rows: valid.checked.rows.clone(),
            dropped: dropped(valid),
            origin,
            run: NO_RUN,
            cursor: None,
        }
    }

    async fn settle(
        &self,
        here: &Logs,
        valid: &Valid,
        mut reply: Reply,
    ) -> Result<ReplayOutcome, String> {
        let mut tries = 0;
        while let Err(AppendError::Full | AppendError::Late) = &reply
            && tries < FULL_TRIES
            && !self.status.is_draining()
        {
            tokio::time::sleep(FULL_PAUSE).await;
            reply = here.append(self.append(valid)).await;
            tries += 1;
        }
        let appended = match reply {
            Ok(appended) => appended,
            Err(error @ AppendError::TooLarge { .. }) => {
                return Ok(invalid(
                    &[FieldError::of_body("too_large", error.to_string())],
                    1,
                ));
            }
            Err(error) => return Err(error.to_string()),
        };
        let Valid { checked, .. } = valid;
        self.metrics.count_events(EventsCounted {
            received: checked.received,
            accepted: appended.accepted,
            duplicates: appended.duplicates,
            dropped: &checked.dropped,
            invalid: 0,
            conflicts: appended.conflicts,
        });
        Ok(ReplayOutcome::Replayed(EventCounts {
            stored: appended.accepted,
            duplicates: appended.duplicates,
            dropped: dropped(valid),
            conflicts: appended.conflicts,
        }))
    }
}

fn dropped(valid: &Valid) -> u64 {
    let counts = valid.checked.dropped.iter();
    counts.map(|(_, count)| u64::from(*count)).sum()
}

/// Waits for all futures; they are first polled in their order.
async fn in_order<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut left: Vec<Pin<Box<F>>> = futures.into_iter().map(Box::pin).collect();
    let mut done: Vec<Option<F::Output>> = left.iter().map(|_| None).collect();
    std::future::poll_fn(|cx| {
        let mut is_pending = false;
        for (future, done) in left.iter_mut().zip(&mut done) {
            if done.is_none() {
                match future.as_mut().poll(cx) {
                    Poll::Ready(output) => *done = Some(output),
                    Poll::Pending => is_pending = true,
                }
            }
        }
        if is_pending {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    })
    .await;
    done.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn all_are_begun_in_order_and_answered_in_order() {
        let (first, mut begun) = tokio::sync::mpsc::unbounded_channel();
        let slow = |number: u64| {
            let first = first.clone();
            async move {
                let _noted = first.send(number);
                tokio::time::sleep(std::time::Duration::from_millis(10 - number)).await;
                number
            }
        };
        let answers = in_order((0..5).map(slow).collect()).await;
        assert_eq!(answers, [0, 1, 2, 3, 4]);
        for number in 0..5 {
            assert_eq!(begun.try_recv(), Ok(number));
        }
    }
}
