//! Injects the faults of a cluster, one after the other: its owner is killed with its directory, paused and stopped, and
//! any node is killed. Each of them comes back.

use std::sync::atomic::Ordering;
use std::time::Duration;

use rustix::process::Signal;
use tokio_util::sync::CancellationToken;

use super::errors::TortureError;
use super::faults::{GRACE, READY_LIMIT, STOP_LIMIT, unless_interrupted};
use super::nodes::Nodes;
use super::plan::{Loss, LossKind, Plan};
use super::senders::Shared;
use super::tally::Tally;
use crate::clock::Clock;

const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The faults of a cluster.
pub struct Losses<'a> {
    /// The schedule.
    pub plan: Plan,
    /// How long they are injected, at least.
    pub duration: Duration,
    /// The state of the senders.
    pub senders: &'a Shared,
    /// The clock.
    pub clock: &'a Clock,
    /// Cancelled to end early.
    pub interrupted: CancellationToken,
    /// What was done so far.
    pub tally: &'a Tally,
}

/// Why a run of faults ends early.
enum Ended {
    /// The nodes did what they must not.
    Violation(String),
    /// There is no verdict.
    Error(TortureError),
}

impl From<String> for Ended {
    fn from(found: String) -> Self {
        Self::Violation(found)
    }
}

impl From<TortureError> for Ended {
    fn from(error: TortureError) -> Self {
        Self::Error(error)
    }
}

impl Losses<'_> {
    /// Starts the nodes and injects all faults, each kind at least once.
    pub async fn run(&self, nodes: &mut Nodes) -> Result<(), TortureError> {
        for node in 0..nodes.count() {
            nodes.configure(node, GRACE, self.plan.life(node as u64).format)?;
        }
        nodes.start()?;
        if !self.ends_well("the first start", self.settled(nodes).await)? {
            return Ok(());
        }
        let start = self.clock.now().mono;
        for number in 0.. {
            let passed = self.clock.now().mono.saturating_sub(start);
            if passed >= self.duration && number >= LossKind::ALL.len() as u64 {
                break;
            }
            let loss = self.plan.loss(number);
            let pause = tokio::time::sleep(loss.after);
            if !unless_interrupted(&self.interrupted, pause).await {
                break;
            }
            let what = format!("fault {number}: {}", loss.kind.as_str());
            // The cause may last, and then every further fault would end like this one.
            if !self.ends_well(&what, self.lose(nodes, loss).await)? {
                break;
            }
        }
        Ok(())
    }

    /// Whether the nodes did what they must.
    fn ends_well(&self, what: &str, ended: Result<(), Ended>) -> Result<bool, TortureError> {
        match ended {
            Ok(()) => Ok(true),
            Err(Ended::Violation(found)) => {
                self.tally.violation(what, found);
                Ok(false)
            }
            Err(Ended::Error(error)) => Err(error),
        }
    }

    /// One fault, until the node is back.
    async fn lose(&self, nodes: &mut Nodes, loss: Loss) -> Result<(), Ended> {
        let owner = nodes.owner(None, READY_LIMIT).await?;
        let any = usize::try_from(loss.node).unwrap_or(0) % nodes.count();
        let node = match loss.kind {
            LossKind::Kill => any,
            LossKind::Machine | LossKind::Pause | LossKind::Stop => owner,
        };
        let began = self.clock.now().mono;
        self.strike(nodes, loss.kind, node).await?;
        let is_back_first = loss.kind == LossKind::Kill && loss.at_once;
        if node == owner && !is_back_first {
            nodes.owner(Some(node), READY_LIMIT).await?;
            let took = self.clock.now().mono.saturating_sub(began);
            self.tally.taken_over(took);
        }
        if !is_back_first {
            tokio::time::sleep(loss.lasts).await;
        }
        self.bring_back(nodes, loss, node).await?;
        if loss.settles {
            self.settled(nodes).await?;
        }
        Ok(())
    }

    async fn strike(&self, nodes: &mut Nodes, kind: LossKind, node: usize) -> Result<(), Ended> {
        let server = nodes.server(node);
        match kind {
            LossKind::Kill => {
                server.kill().await?;
                self.tally.with(|done| done.kills += 1);
            }
            LossKind::Machine => {
                server.kill().await?;
                nodes.lose_disk(node).map_err(TortureError::from)?;
                self.tally.with(|done| done.machines_lost += 1);
            }
            LossKind::Pause => {
                server.signal(Signal::STOP)?;
                self.tally.with(|done| done.pauses += 1);
            }
            LossKind::Stop => server.signal(Signal::TERM)?,
        }
        Ok(())
    }

    async fn bring_back(&self, nodes: &mut Nodes, loss: Loss, node: usize) -> Result<(), Ended> {
        if loss.kind == LossKind::Pause {
            nodes.server(node).signal(Signal::CONT)?;
            // Until it has noticed, it believes that it owns the log.
            nodes.follows(node, READY_LIMIT).await?;
            return Ok(());
        }
        if loss.kind == LossKind::Stop {
            nodes.server(node).stopped(STOP_LIMIT).await?;
            self.tally.with(|done| done.stops += 1);
        }
        nodes.configure(node, GRACE, loss.format)?;
        nodes.server(node).start()?;
        Ok(())
    }

    /// Waits until all nodes are ready, and something has been acknowledged since.
    async fn settled(&self, nodes: &mut Nodes) -> Result<(), Ended> {
        self.tally.ready(nodes.ready(READY_LIMIT).await?);
        let acknowledged = || self.senders.acknowledged.load(Ordering::Relaxed);
        let before = acknowledged();
        let goes_on = async {
            while acknowledged() == before {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        let goes_on = tokio::time::timeout(READY_LIMIT, goes_on).await;
        goes_on.map_err(|_elapsed| {
            let seconds = READY_LIMIT.as_secs();
            Ended::Violation(format!("nothing was acknowledged for {seconds} s"))
        })
    }
}
