//! One run: faults and senders, then the last answers, then the verdict on the lake.

use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::errors::TortureError;
use super::events::Source;
use super::faults::{Done, Faults, READY_LIMIT, STOP_LIMIT};
use super::ledger::{Ledger, Violations};
use super::plan::Plan;
use super::report::{AuditResult, TortureReport};
use super::senders::Senders;
use super::server::{ServerProcess, Stage};
use crate::clock::Clock;
use crate::encode::Format;

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
    tell: &'a dyn Fn(&Progress),
}

/// Runs the whole test, and removes the directory if it passed. On an interrupt it ends early, with a report.
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
        tell,
    };
    let stage = Stage::set(&options.dir)?;
    let mut server = ServerProcess::new(&options.program, stage.clone(), run.clock.clone())?;
    let url = format!("http://{}/webhook/events", stage.address);
    let senders = Senders::start(url, run.source)?;
    let shared = std::sync::Arc::clone(&senders.shared);
    let faults = Faults {
        plan: Plan::new(options.seed),
        duration: options.duration,
        stage: &stage,
        senders: &shared,
        clock: &run.clock,
        interrupted,
        starting: tokio::sync::Mutex::new(()),
        done: Mutex::new(Done::default()),
    };
    run.watched("faults", &faults, faults.run(&mut server))
        .await?;
    let seconds = run.clock.now().mono.as_secs_f64();
    run.watched(
        "the last answers",
        &faults,
        run.end(&mut server, senders, &faults),
    )
    .await?;
    drop(server);
    let done = faults.done();
    (run.tell)(&run.progress("reading the lake", &faults));
    let mut report = run.judge(&stage, &shared.take_ledger(), done).await?;
    report.seconds = seconds;
    if report.holds {
        stage.remove()?;
    } else {
        report.kept = Some(options.dir.clone());
    }
    Ok(report)
}

impl Run<'_> {
    fn progress(&self, phase: &'static str, faults: &Faults<'_>) -> Progress {
        let ledger = faults.senders.ledger();
        Progress {
            passed: self.clock.now().mono,
            phase,
            done: faults.done(),
            requests: ledger.wire.requests,
            accepted: ledger.wire.said.accepted,
        }
    }

    /// Runs a future, and reports progress meanwhile.
    async fn watched<T>(
        &self,
        phase: &'static str,
        faults: &Faults<'_>,
        what: impl Future<Output = T>,
    ) -> T {
        let mut what = std::pin::pin!(what);
        let mut interval = tokio::time::interval(TELL_EVERY);
        loop {
            tokio::select! {
                outcome = &mut what => return outcome,
                _ = interval.tick() => (self.tell)(&self.progress(phase, faults)),
            }
        }
    }

    /// Ends the faults: every request gets its answer, and everything is shipped to the lake.
    async fn end(
        &self,
        server: &mut ServerProcess,
        senders: Senders,
        faults: &Faults<'_>,
    ) -> Result<(), TortureError> {
        // Dropping the old value ends a server that hangs.
        *server = ServerProcess::new(
            &self.options.program,
            faults.stage.clone(),
            self.clock.clone(),
        )?;
        faults.stage.configure(LAST_GRACE, Format::default())?;
        server.start()?;
        let ready = server.ready(READY_LIMIT).await;
        senders.finish(LAST_ANSWERS).await;
        let stopped = match ready {
            Ok(_) => server.stop(LAST_GRACE + STOP_LIMIT).await,
            Err(found) => Err(found),
        };
        match stopped {
            Ok(()) => faults.stopped(),
            Err(found) => faults.violation("the last life of the server", found),
        }
        Ok(())
    }

    async fn judge(
        &self,
        stage: &Stage,
        ledger: &Ledger,
        done: Done,
    ) -> Result<TortureReport, TortureError> {
        let examined =
            super::lake::examine(&stage.lake(), &stage.wal(), self.source, ledger).await?;
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
            seconds: 0.0,
            kills: done.kills,
            pauses: done.pauses,
            stops: done.stops,
            outages: done.outages,
            full_logs: done.full_logs,
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
            kept: None,
        })
    }
}
