//! The faults, as the plan says: lives of the server, one after the other, and meanwhile times without a lake.

use std::future::Future;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::TortureError;
use super::ledger::Violations;
use super::plan::{End, Outage, Plan};
use super::senders::Shared;
use super::server::{Server, Stage};
use crate::clock::Clock;

/// A start may take so long until the server is ready.
pub const READY_LIMIT: Duration = Duration::from_secs(120);
/// So long after the grace that it is given, a server that is asked to stop must be gone.
pub const STOP_LIMIT: Duration = Duration::from_secs(60);
/// So long a server that is asked to stop waits for its lake; what is left stays in its log.
const GRACE: Duration = Duration::from_secs(1);
/// A log that does not fill up in that time is let be.
const FILL_LIMIT: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// At least so many outages: one that fills the log, and one that does not.
const LEAST_OUTAGES: u64 = 2;

/// What was done so far.
#[derive(Clone, Debug, Default)]
pub struct Done {
    /// SIGKILL.
    pub kills: u64,
    /// SIGSTOP and SIGCONT.
    pub pauses: u64,
    /// SIGTERM.
    pub stops: u64,
    /// Times without a lake.
    pub outages: u64,
    /// Of them, those in which the log was full, and emptied again.
    pub full_logs: u64,
    /// The longest time from a start until the server was ready.
    pub longest_ready: Duration,
    /// What the server did that it must not do.
    pub violations: Violations,
}

/// The faults of a run.
pub struct Faults<'a> {
    /// When what happens.
    pub plan: Plan,
    /// The time that they take, at least.
    pub duration: Duration,
    /// Where.
    pub stage: &'a Stage,
    /// Who sends.
    pub senders: &'a Shared,
    /// For the duration.
    pub clock: &'a Clock,
    /// To end early.
    pub interrupted: CancellationToken,
    /// What was done so far.
    pub done: Mutex<Done>,
}

impl Faults<'_> {
    /// What was done so far.
    pub fn done(&self) -> Done {
        self.with(|done| done.clone())
    }

    fn with<T>(&self, change: impl FnOnce(&mut Done) -> T) -> T {
        change(&mut self.done.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Notes one more clean stop.
    pub fn stopped(&self) {
        self.with(|done| done.stops += 1);
    }

    /// Notes what the server did that it must not do.
    pub fn violation(&self, life: &str, found: String) {
        self.with(|done| done.violations.add(life, "", found));
    }

    /// Does all of it; the lake is well again then, the server alive or not.
    pub async fn run(&self, server: &mut Server) -> Result<(), TortureError> {
        let over = CancellationToken::new();
        let lake = async {
            let outcome = self.outages().await;
            over.cancel();
            outcome
        };
        let (lake, lives) = tokio::join!(lake, self.lives(server, &over));
        self.senders.heavy.store(false, Ordering::Relaxed);
        self.stage.heal()?;
        lake.and(lives)
    }

    async fn lives(
        &self,
        server: &mut Server,
        over: &CancellationToken,
    ) -> Result<(), TortureError> {
        for number in 0.. {
            if over.is_cancelled() {
                break;
            }
            self.stage.configure(GRACE, self.plan.life(number).format)?;
            server.start()?;
            if let Err(found) = self.life(server, number).await {
                self.violation(&format!("life {number} of the server"), found);
                // It may have a reason that lasts; then there is no end to it.
                self.interrupted.cancel();
                break;
            }
        }
        Ok(())
    }

    async fn life(&self, server: &mut Server, number: u64) -> Result<(), String> {
        let life = self.plan.life(number);
        if life.awaits_ready {
            let took = server.ready(READY_LIMIT).await?;
            self.with(|done| done.longest_ready = done.longest_ready.max(took));
        }
        tokio::time::sleep(life.runs_for).await;
        if let Some(lasts) = life.pause {
            server.pause(lasts).await?;
            self.with(|done| done.pauses += 1);
        }
        match life.end {
            End::Kill => {
                server.kill().await?;
                self.with(|done| done.kills += 1);
            }
            End::Stop => {
                // One that has just begun to start does not know the signal yet.
                server.ready(READY_LIMIT).await?;
                server.stop(STOP_LIMIT).await?;
                self.with(|done| done.stops += 1);
            }
        }
        Ok(())
    }

    async fn outages(&self) -> Result<(), TortureError> {
        let start = self.clock.now().mono;
        for number in 0.. {
            let passed = self.clock.now().mono.saturating_sub(start);
            if passed >= self.duration && number >= LEAST_OUTAGES {
                break;
            }
            let outage = self.plan.outage(number);
            // The last one does not begin long after the time is over.
            let left = self.duration.saturating_sub(passed);
            let is_last = outage.after >= left && number >= LEAST_OUTAGES;
            let after = if is_last { left } else { outage.after };
            if !self.unless_interrupted(tokio::time::sleep(after)).await || is_last {
                break;
            }
            self.stage.take_lake_away(outage.instead)?;
            let went_on = self.unless_interrupted(self.outage(outage)).await;
            self.stage.heal()?;
            if !went_on {
                break;
            }
        }
        Ok(())
    }

    /// The time without a lake, and until the log is emptied again.
    async fn outage(&self, outage: Outage) {
        let full = || self.senders.ledger().wire.log_full;
        let before = full();
        let mut was_full = false;
        if outage.fills_the_log {
            self.senders.heavy.store(true, Ordering::Relaxed);
            was_full = self.wait(FILL_LIMIT, || full() > before).await;
            self.senders.heavy.store(false, Ordering::Relaxed);
        }
        tokio::time::sleep(outage.lasts).await;
        self.with(|done| done.outages += 1);
        if was_full && self.stage.heal().is_ok() {
            let acknowledged = || self.senders.acknowledged.load(Ordering::Relaxed);
            let before = acknowledged();
            let goes_on = self.wait(FILL_LIMIT, || acknowledged() > before).await;
            self.with(|done| done.full_logs += u64::from(goes_on));
        }
    }

    async fn wait(&self, limit: Duration, until: impl Fn() -> bool) -> bool {
        let look = async {
            while !until() {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        tokio::time::timeout(limit, look).await.is_ok()
    }

    /// Whether it came to its end.
    async fn unless_interrupted(&self, what: impl Future<Output = ()>) -> bool {
        tokio::select! {
            () = what => true,
            () = self.interrupted.cancelled() => false,
        }
    }
}
