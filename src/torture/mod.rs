//! `lakehook torture`: the proof for whoever does not believe it, on their own machine and disk.
//!
//! Real servers, which are killed, paused, stopped and left without a lake as a seed says, while senders send
//! again whatever got no answer. In the end the lake alone is held against what was answered. It promises that
//! memory is bounded, that whatever it starts ends with it, and that it touches nothing but its directory.
//! A kill cannot show a missing sync: what was written stays in the kernel. The simulation and the power cuts
//! of the tests are for that.

pub mod plan;
pub mod events;
pub mod server;
pub mod senders;
pub mod faults;
pub mod ledger;
pub mod judge;
pub mod lake;
pub mod report;

use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::encode::Format;
use crate::lake::reader::LakeReadError;
use events::Source;
use faults::{Done, Faults, READY_LIMIT, STOP_LIMIT};
use ledger::{Ledger, Violations};
use plan::Plan;
use report::{Audit, Report};
use senders::Senders;
use server::{Server, Stage};

/// In the end, what is in the log has so long to get to the lake.
const LAST_GRACE: Duration = Duration::from_secs(120);
/// In the end, every request must have been answered in that time.
const LAST_ANSWERS: Duration = Duration::from_secs(60);
/// Between two words of progress.
const TELL_EVERY: Duration = Duration::from_millis(500);

/// What to do.
#[derive(Clone, Debug)]
pub struct Options {
    /// The program whose `serve` is put to the test.
    pub program: PathBuf,
    /// An empty directory, or one that is not there; absolute.
    pub dir: PathBuf,
    /// What schedule and bodies follow from.
    pub seed: u64,
    /// How long faults are made, at least.
    pub duration: Duration,
}

/// Why there is no verdict.
#[derive(Debug, thiserror::Error)]
pub enum TortureError {
    /// The directory is not ours.
    #[error("{} is not empty; choose another place with --dir", .0.display())]
    NotEmpty(PathBuf),
    /// Whoever runs it did not wait for the report.
    #[error("interrupted; what there is lies in {}", .0.display())]
    Interrupted(PathBuf),
    /// Nowhere to listen.
    #[error("failed to find a free port")]
    NoPort,
    /// Files, or the child process.
    #[error("failed to run the server: {0}")]
    Io(#[from] std::io::Error),
    /// The HTTP client.
    #[error("failed to make an HTTP client: {0}")]
    Client(#[from] reqwest::Error),
    /// The lake, at the end.
    #[error(transparent)]
    Lake(#[from] LakeReadError),
}

/// How far it is.
#[derive(Clone, Debug)]
pub struct Progress {
    /// Since the start.
    pub passed: Duration,
    /// What is going on.
    pub phase: &'static str,
    /// What was done.
    pub done: Done,
    /// Requests that were sent.
    pub requests: u64,
    /// Events of which answers say that they are newly stored.
    pub accepted: u64,
}

/// A run.
struct Run<'a> {
    options: &'a Options,
    clock: Clock,
    source: Source,
    tell: &'a dyn Fn(&Progress),
}

/// Does all of it, and removes the directory if all is well. Ends early, with a report, once it is interrupted.
pub async fn run(
    options: &Options,
    interrupted: CancellationToken,
    tell: &dyn Fn(&Progress),
) -> Result<Report, TortureError> {
    let clock = Clock::system();
    let run = Run {
        options,
        source: Source::new(options.seed, clock.now().wall),
        clock,
        tell,
    };
    let stage = Stage::set(&options.dir)?;
    let mut server = Server::new(&options.program, stage.clone(), run.clock.clone())?;
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

    /// Does something, and tells meanwhile how it goes.
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

    /// All is well: every request gets its answer, and everything gets to the lake.
    async fn end(
        &self,
        server: &mut Server,
        senders: Senders,
        faults: &Faults<'_>,
    ) -> Result<(), TortureError> {
        // A server that hangs is gone with its value.
        *server = Server::new(
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
    ) -> Result<Report, TortureError> {
        let examined = lake::examine(&stage.lake(), &stage.wal(), self.source, ledger).await?;
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
        Ok(Report {
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
            audit: Audit {
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
