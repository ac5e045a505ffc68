//! Injects the faults of the plan: lives of the server, one after the other, and outages of the lake meanwhile.

use std::future::Future;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::errors::TortureError;
use super::plan::{End, Outage, Plan};
use super::senders::Shared;
use super::server::ServerProcess;
use super::stage::Stage;
use super::tally::Tally;
use crate::clock::Clock;

/// How long a start may take until the server is ready.
pub const READY_LIMIT: Duration = Duration::from_secs(120);
/// How long after its grace period a server that is asked to stop may still run.
pub const STOP_LIMIT: Duration = Duration::from_secs(60);
/// Grace period of a server that is asked to stop; rows that are not shipped by then stay in its log.
pub const GRACE: Duration = Duration::from_secs(1);
/// A log that has not filled up after this time is left as it is.
const FILL_LIMIT: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Fewest outages: one that fills the log, and one that does not.
const LEAST_OUTAGES: u64 = 2;

/// The faults of a run.
pub struct Faults<'a> {
    /// The schedule.
    pub plan: Plan,
    /// How long they are injected, at least.
    pub duration: Duration,
    /// The directory of the server.
    pub stage: &'a Stage,
    /// The state of the senders.
    pub senders: &'a Shared,
    /// The clock.
    pub clock: &'a Clock,
    /// Cancelled to end early.
    pub interrupted: CancellationToken,
    /// Held while a server starts: it must find the lake that it knows.
    pub starting: tokio::sync::Mutex<()>,
    /// What was done so far.
    pub tally: &'a Tally,
}

impl Faults<'_> {
    /// Injects all faults. Afterwards the lake is available again; the server may be alive or not.
    pub async fn run(&self, server: &mut ServerProcess) -> Result<(), TortureError> {
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
        server: &mut ServerProcess,
        over: &CancellationToken,
    ) -> Result<(), TortureError> {
        for number in 0.. {
            if over.is_cancelled() {
                break;
            }
            // A log refuses to start with another lake than the one that it knows.
            let starting = self.starting.lock().await;
            if self.stage.lake_is_away() {
                self.stage.heal()?;
            }
            self.stage.configure(GRACE, self.plan.life(number).format)?;
            server.start()?;
            if let Err(found) = self.life(server, number, starting).await {
                self.tally
                    .violation(&format!("life {number} of the server"), found);
                // The cause may last, and then every further life would fail as well.
                self.interrupted.cancel();
                break;
            }
        }
        Ok(())
    }

    /// One life. The lake is not taken away before the server is ready, or before it ends if nobody waits for that.
    async fn life(
        &self,
        server: &mut ServerProcess,
        number: u64,
        starting: tokio::sync::MutexGuard<'_, ()>,
    ) -> Result<(), String> {
        let life = self.plan.life(number);
        let mut starting = Some(starting);
        if life.awaits_ready {
            let took = server.ready(READY_LIMIT).await?;
            self.tally.ready(took);
            starting.take();
        }
        tokio::time::sleep(life.runs_for).await;
        if let Some(lasts) = life.pause {
            server.pause(lasts).await?;
            self.tally.with(|done| done.pauses += 1);
        }
        // A log that is being filled needs a server until it is full.
        let is_filled = || !self.senders.heavy.load(Ordering::Relaxed);
        self.wait(FILL_LIMIT, is_filled).await;
        match life.end {
            End::Kill => {
                server.kill().await?;
                self.tally.with(|done| done.kills += 1);
            }
            End::Stop => {
                // A server that has only just started does not handle the signal yet.
                server.ready(READY_LIMIT).await?;
                server.stop(STOP_LIMIT).await?;
                self.tally.with(|done| done.stops += 1);
            }
        }
        drop(starting);
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
            // The last outage must not begin long after the end of the run.
            let left = self.duration.saturating_sub(passed);
            let is_last = outage.after >= left && number >= LEAST_OUTAGES;
            let after = if is_last { left } else { outage.after };
            if !unless_interrupted(&self.interrupted, tokio::time::sleep(after)).await || is_last {
                break;
            }
            let starting = self.starting.lock().await;
            self.stage.take_lake_away(outage.instead)?;
            drop(starting);
            let went_on = unless_interrupted(&self.interrupted, self.outage(outage)).await;
            self.stage.heal()?;
            if !went_on {
                // Otherwise the life of the server would wait until the log is full.
                self.senders.heavy.store(false, Ordering::Relaxed);
                break;
            }
        }
        Ok(())
    }

    /// Waits through an outage, and until a full log has been emptied again.
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
        self.tally.with(|done| done.outages += 1);
        if was_full && self.stage.heal().is_ok() {
            let acknowledged = || self.senders.acknowledged.load(Ordering::Relaxed);
            let before = acknowledged();
            let goes_on = self.wait(FILL_LIMIT, || acknowledged() > before).await;
            self.tally.with(|done| done.full_logs += u64::from(goes_on));
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
}

/// Whether it ended without an interrupt.
pub async fn unless_interrupted(
    interrupted: &CancellationToken,
    what: impl Future<Output = ()>,
) -> bool {
    tokio::select! {
        () = what => true,
        () = interrupted.cancelled() => false,
    }
}
