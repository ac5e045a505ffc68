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
use crate::ids::Ids;
use crate::out;
use crate::telemetry::{self, LogFormat};
use crate::torture::{self, Options, Progress, TortureError};

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
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
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
    let report = report.map_err(|error| match error {
        TortureError::NotEmpty(_) => Failure::Usage(error.to_string()),
        error => Failure::Failed(error.into()),
    })?;
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
        let line = line_of(progress);
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

fn line_of(progress: &Progress) -> String {
    let done = &progress.done;
    format!(
        "{:>4} s  {}: {} kills, {} pauses, {} stops, {} outages, {} full logs | {} requests, {} events stored, {} violations",
        progress.passed.as_secs(),
        progress.phase,
        done.kills,
        done.pauses,
        done.stops,
        done.outages,
        done.full_logs,
        progress.requests,
        progress.accepted,
        done.violations.total
    )
}
