//! `lakehook torture`: its arguments, its progress and its report.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget};
use tokio_util::sync::CancellationToken;
use tracing::level_filters::LevelFilter;

use crate::cli::exit::{FAILED, Failure};
use crate::cli::runtime::runtime;
use crate::cli::signals::Signals;
use crate::config::{LakeUrl, ReplicaUrl};
use crate::ids::Ids;
use crate::out;
use crate::telemetry::{self, LogFormat};
use crate::torture::{self, Options, Progress, Sharing, TortureError};

/// Without a terminal, a line is printed at this interval.
const LINE_EVERY_SECONDS: u64 = 5;

/// Arguments of `lakehook torture`.
#[derive(Debug, Args)]
pub struct TortureArgs {
    /// How long faults are made; the end takes some seconds more
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = super::demo::run::parse_duration)]
    duration: Duration,
    /// Makes the same schedule of faults and the same bodies again; when they meet differs from run to run
    /// [default: a random one]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Where all of it happens: on the disk that is to be put to the test. Must be empty, or not there; is
    /// removed if all is well
    #[arg(long, value_name = "DIR", default_value = "./lakehook-torture")]
    dir: PathBuf,
    /// Run so many nodes of a cluster, and lose, pause and stop the owner of their log
    #[arg(long, value_name = "N", requires = "replica")]
    nodes: Option<usize>,
    /// Where the nodes keep their log, as `wal.replica` says it: s3://BUCKET/PREFIX, or nats://HOST:PORT,… A
    /// folder or a stream of its own is made there, and is removed if all is well
    #[arg(long, value_name = "URL", requires = "nodes", value_parser = ReplicaUrl::parse)]
    replica: Option<ReplicaUrl>,
    /// Where the lake of the nodes is, if their log is in NATS: s3://BUCKET/PREFIX
    #[arg(long, value_name = "URL", requires = "replica", value_parser = LakeUrl::parse)]
    lake: Option<LakeUrl>,
    /// The address of the S3 server, if it is not AWS, such as http://localhost:4566
    #[arg(long, value_name = "URL", requires = "replica")]
    endpoint: Option<String>,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

impl TortureArgs {
    fn sharing(&self) -> Result<Option<Sharing>, TortureError> {
        let Some((nodes, replica)) = self.nodes.zip(self.replica.clone()) else {
            return Ok(None);
        };
        Sharing::new(nodes, replica, self.lake.clone(), self.endpoint.clone()).map(Some)
    }
}

/// What a run that cannot begin ends with.
fn failure_of(error: TortureError) -> Failure {
    match error {
        TortureError::NotEmpty(_) | TortureError::Usage(_) => Failure::Usage(error.to_string()),
        error => Failure::Failed(error.into()),
    }
}

/// Runs the test; the exit code is 0 only if nothing was lost, doubled or altered.
pub fn run(args: &TortureArgs) -> Result<ExitCode, Failure> {
    telemetry::start(LevelFilter::WARN, LogFormat::Auto);
    let options = Options {
        program: std::env::current_exe()?,
        dir: std::path::absolute(&args.dir)?,
        seed: match args.seed {
            Some(seed) => seed,
            // The seed is short enough for people to copy it without mistakes.
            None => Ids::System.next()? >> 32,
        },
        duration: args.duration,
        sharing: args.sharing().map_err(failure_of)?,
    };
    if !args.json {
        out::line(format_args!(
            "seed {}: {} s of faults in {}; Ctrl-C ends it early, with a report",
            options.seed,
            options.duration.as_secs(),
            options.dir.display()
        ));
    }
    let runtime = runtime()?;
    let report = runtime.block_on(interruptible(&options, args.json));
    let report = report.map_err(failure_of)?;
    if args.json {
        out::line(serde_json::to_string_pretty(&report)?);
    } else {
        out::line(&report);
    }
    Ok(if report.holds {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(FAILED)
    })
}

async fn interruptible(
    options: &Options,
    json: bool,
) -> Result<torture::report::TortureReport, TortureError> {
    let mut signals = Signals::new()?;
    let interrupted = CancellationToken::new();
    let spinner = spinner();
    let last = AtomicU64::new(0);
    let tell = |progress: &Progress| {
        let line = line_of(progress, options.sharing.is_some());
        let seconds = progress.passed.as_secs();
        let due = seconds >= last.load(Ordering::Relaxed) + LINE_EVERY_SECONDS;
        if !spinner.is_hidden() {
            spinner.set_message(line);
        } else if due && !json {
            last.store(seconds, Ordering::Relaxed);
            out::line(line);
        }
    };
    let run = torture::run(options, interrupted.clone(), &tell);
    let mut run = std::pin::pin!(run);
    let mut asked = false;
    let outcome = loop {
        tokio::select! {
            outcome = &mut run => break outcome,
            () = signals.next() => {
                // The second signal ends the run without a report; the server ends with it.
                if std::mem::replace(&mut asked, true) {
                    break Err(TortureError::Interrupted(options.dir.clone()));
                }
                interrupted.cancel();
            }
        }
    };
    spinner.finish_and_clear();
    outcome
}

/// A line on the terminal that is rewritten in place.
fn spinner() -> ProgressBar {
    let target = if std::io::stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let spinner = ProgressBar::with_draw_target(None, target);
    spinner.enable_steady_tick(Duration::from_millis(200));
    spinner
}

fn line_of(progress: &Progress, is_cluster: bool) -> String {
    let done = &progress.done;
    let faults = if is_cluster {
        format!(
            "{} kills, {} owners lost, {} pauses, {} stops, {} takeovers",
            done.kills, done.machines_lost, done.pauses, done.stops, done.takeovers
        )
    } else {
        format!(
            "{} kills, {} pauses, {} stops, {} outages, {} full logs",
            done.kills, done.pauses, done.stops, done.outages, done.full_logs
        )
    };
    format!(
        "{:>4} s  {}: {faults} | {} requests, {} events stored, {} violations",
        progress.passed.as_secs(),
        progress.phase,
        progress.requests,
        progress.accepted,
        done.violations.total
    )
}
