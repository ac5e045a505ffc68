//! One run: faults and senders, then the last answers, then the verdict on the lake.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::errors::TortureError;
use super::events::Source;
use super::faults::{Faults, READY_LIMIT, STOP_LIMIT};
use super::ledger::Violations;
use super::losses::Losses;
use super::nodes::Nodes;
use super::plan::Plan;
use super::report::{AuditResult, TortureReport};
use super::senders::{Senders, Shared};
use super::server::{self, ServerProcess};
use super::sharing::Sharing;
use super::stage::Stage;
use super::tally::{Done, Tally};
use crate::clock::Clock;
use crate::encode::Format;
use crate::files::Disk;
use crate::lake::reader::{LakeReadError, LakeReader};
use crate::wal::inspect::{Inspection, inspect};

/// At the end, how long the log has to be shipped to the lake.
const LAST_GRACE: Duration = Duration::from_secs(120);
/// At the end, how long open requests have to be answered.
const LAST_ANSWERS: Duration = Duration::from_secs(60);
/// Time between two reports of progress.
const TELL_EVERY: Duration = Duration::from_millis(500);

/// Options of a run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The program whose `serve` is tested.
    pub program: PathBuf,
    /// An empty directory, or one that does not exist yet; absolute.
    pub dir: PathBuf,
    /// The seed of schedule and bodies.
    pub seed: u64,
    /// How long faults are injected, at least.
    pub duration: Duration,
    /// What the nodes of a cluster share; without it, a service by itself is tested.
    pub sharing: Option<Sharing>,
}

/// Progress of a run.
#[derive(Clone, Debug)]
pub struct Progress {
    /// Time since the start.
    pub passed: Duration,
    /// What happens now.
    pub phase: &'static str,
    /// The faults so far.
    pub done: Done,
    /// Requests sent.
    pub requests: u64,
    /// Events that answers reported as newly stored.
    pub accepted: u64,
}

/// A run.
struct Run<'a> {
    options: &'a Options,
    clock: Clock,
    source: Source,
    tally: Tally,
    tell: &'a dyn Fn(&Progress),
}

/// Runs the whole test, and removes what it has made if it passed. On an interrupt it ends early, with a report.
pub async fn run(
    options: &Options,
    interrupted: CancellationToken,
    tell: &dyn Fn(&Progress),
) -> Result<TortureReport, TortureError> {
    let clock = Clock::system();
    let run = Run {
        options,
        source: Source::new(options.seed, clock.now().wall),
        clock,
        tally: Tally::default(),
        tell,
    };
    match &options.sharing {
        None => Box::pin(run.service(interrupted)).await,
        Some(sharing) => Box::pin(run.cluster(sharing, interrupted)).await,
    }
}

impl Run<'_> {
    /// Tests a service by itself.
    async fn service(&self, interrupted: CancellationToken) -> Result<TortureReport, TortureError> {
        let stage = Stage::set(&self.options.dir)?;
        let mut server = self.server(&stage)?;
        let url = format!("http://{}/webhook/events", stage.place.address);
        let senders = Senders::start(vec![url], self.source)?;
        let shared = Arc::clone(&senders.shared);
        let faults = Faults {
            plan: Plan::new(self.options.seed),
            duration: self.options.duration,
            stage: &stage,
            senders: &shared,
            clock: &self.clock,
            interrupted,
            starting: tokio::sync::Mutex::new(()),
            tally: &self.tally,
        };
        self.watched("faults", &shared, faults.run(&mut server))
            .await?;
        let seconds = self.clock.now().mono.as_secs_f64();
        let end = self.end(&stage, &mut server, senders);
        self.watched("the last answers", &shared, end).await?;
        drop(server);
        let lake = LakeReader::Directory(stage.lake());
        let log = inspect(&Disk, &stage.wal()).map_err(LakeReadError::from)?;
        let mut report = Box::pin(self.judge(&shared, (&lake, log))).await?;
        report.seconds = seconds;
        self.close(&mut report)?;
        Ok(report)
    }

    /// Tests the nodes of a cluster.
    async fn cluster(
        &self,
        sharing: &Sharing,
        interrupted: CancellationToken,
    ) -> Result<TortureReport, TortureError> {
        let options = self.options;
        let mut nodes = Nodes::set(&options.dir, &options.program, sharing, &self.clock)?;
        let senders = Senders::start(nodes.urls(), self.source)?;
        let shared = Arc::clone(&senders.shared);
        let losses = Losses {
            plan: Plan::new(options.seed),
            duration: options.duration,
            senders: &shared,
            clock: &self.clock,
            interrupted,
            tally: &self.tally,
        };
        self.watched("faults", &shared, losses.run(&mut nodes))
            .await?;
        let seconds = self.clock.now().mono.as_secs_f64();
        let end = self.end_of_nodes(&mut nodes, senders);
        self.watched("the last answers", &shared, end).await?;
        nodes.end()?;
        let (lake, log) = nodes.look().await?;
        let mut report = Box::pin(self.judge(&shared, (&lake, log))).await?;
        report.seconds = seconds;
        report.nodes = nodes.count();
        if report.holds {
            if let Err(error) = nodes.remove(&lake).await {
                let place = &sharing.lake;
                tracing::warn!(%error, "failed to remove {place} and the log {}", sharing.name);
            }
        } else {
            report.kept_lake = Some(sharing.lake.to_string());
        }
        self.close(&mut report)?;
        Ok(report)
    }

    /// Removes the directory if the test passed.
    fn close(&self, report: &mut TortureReport) -> Result<(), TortureError> {
        if report.holds {
            server::remove(&self.options.dir)?;
        } else {
            report.kept = Some(self.options.dir.clone());
        }
        Ok(())
    }

    fn server(&self, stage: &Stage) -> Result<ServerProcess, TortureError> {
        let place = stage.place.clone();
        ServerProcess::new(&self.options.program, place, self.clock.clone())
    }

    fn progress(&self, phase: &'static str, senders: &Shared) -> Progress {
        let ledger = senders.ledger();
        Progress {
            passed: self.clock.now().mono,
            phase,
            done: self.tally.done(),
            requests: ledger.wire.requests,
            accepted: ledger.wire.said.accepted,
        }
    }

    /// Runs a future, and reports progress meanwhile.
    async fn watched<T>(
        &self,
        phase: &'static str,
        senders: &Shared,
        what: impl Future<Output = T>,
    ) -> T {
        let mut what = std::pin::pin!(what);
        let mut interval = tokio::time::interval(TELL_EVERY);
        loop {
            tokio::select! {
                outcome = &mut what => return outcome,
                _ = interval.tick() => (self.tell)(&self.progress(phase, senders)),
            }
        }
    }

    /// Ends the faults: every request gets its answer, and everything is shipped to the lake.
    async fn end(
        &self,
        stage: &Stage,
        server: &mut ServerProcess,
        senders: Senders,
    ) -> Result<(), TortureError> {
        // Dropping the old value ends a server that hangs.
        *server = self.server(stage)?;
        stage.configure(LAST_GRACE, Format::default())?;
        server.start()?;
        let ready = server.ready(READY_LIMIT).await;
        senders.finish(LAST_ANSWERS).await;
        let stopped = match ready {
            Ok(_) => server.stop(LAST_GRACE + STOP_LIMIT).await,
            Err(found) => Err(found),
        };
        self.stopped("the last life of the server", stopped);
        Ok(())
    }

    /// The same for a cluster. The owner stops last, so that nobody takes over what it ships.
    async fn end_of_nodes(&self, nodes: &mut Nodes, senders: Senders) -> Result<(), TortureError> {
        nodes.end()?;
        for node in 0..nodes.count() {
            nodes.configure(node, LAST_GRACE, Format::default())?;
        }
        nodes.start()?;
        let ready = nodes.ready(READY_LIMIT).await;
        senders.finish(LAST_ANSWERS).await;
        let owner = match ready {
            Ok(_) => nodes.owner(None, READY_LIMIT).await,
            Err(found) => Err(found),
        };
        match owner {
            Ok(owner) => {
                let others = (0..nodes.count()).filter(|node| *node != owner);
                for node in others.chain([owner]) {
                    let stopped = nodes.server(node).stop(LAST_GRACE + STOP_LIMIT).await;
                    self.stopped(&format!("the last life of node {}", node + 1), stopped);
                }
            }
            Err(found) => self.tally.violation("the last start", found),
        }
        Ok(())
    }

    /// Counts a clean stop, or a violation.
    fn stopped(&self, life: &str, stopped: Result<(), String>) {
        match stopped {
            Ok(()) => self.tally.with(|done| done.stops += 1),
            Err(found) => self.tally.violation(life, found),
        }
    }

    async fn judge(
        &self,
        senders: &Shared,
        (lake, log): (&LakeReader, Inspection),
    ) -> Result<TortureReport, TortureError> {
        (self.tell)(&self.progress("reading the lake", senders));
        let (ledger, done) = (senders.take_ledger(), self.tally.done());
        let examined = super::lake::examine(lake, log, self.source, &ledger).await?;
        let (verdict, audit) = (examined.verdict, examined.audit);
        let mut violations = Violations::default();
        violations.extend(verdict.violations);
        violations.extend(ledger.violations.clone());
        violations.extend(done.violations);
        for problem in &audit.problems {
            let place = problem.key.as_deref().or(problem.node.as_deref());
            violations.add(
                place.unwrap_or("lake"),
                "",
                format!("audit: {}", problem.what),
            );
        }
        let wire = &ledger.wire;
        Ok(TortureReport {
            holds: violations.total == 0,
            seed: self.options.seed,
            nodes: 1,
            kills: done.kills,
            machines_lost: done.machines_lost,
            pauses: done.pauses,
            stops: done.stops,
            outages: done.outages,
            full_logs: done.full_logs,
            takeovers: done.takeovers,
            longest_takeover_seconds: done.longest_takeover.as_secs_f64(),
            longest_ready_seconds: done.longest_ready.as_secs_f64(),
            requests: wire.requests,
            retried: wire.retried,
            answered: wire.answered.clone(),
            unanswered: wire.unanswered,
            log_full: wire.log_full,
            events_acknowledged: ledger.acknowledged_events(),
            events_in_the_lake: verdict.events,
            duplicates_recognised: wire.said.duplicates,
            conflicts_kept: verdict.conflicts,
            refused_copies: verdict.refused_copies,
            audit: AuditResult {
                adds_up: audit.problems.is_empty(),
                objects: audit.objects,
                problems: audit.problems.len() as u64,
            },
            violations_total: violations.total,
            violations: violations.shown,
            ..TortureReport::default()
        })
    }
}
