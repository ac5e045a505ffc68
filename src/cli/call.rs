//! `lakehook call`: sends what the outboxes hold and was not sent before, once, and exits.
//!
//! If a service runs, it does the work; otherwise this process opens the polls' log itself.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use clap::Args;

use crate::call::control::{Line, Request, ask_service};
use crate::call::feed::CallFeed;
use crate::call::report::Report;
use crate::call::run::Wish;
use crate::cli::chosen;
use crate::cli::elsewhere;
use crate::cli::ending;
use crate::cli::exit::{FAILED, Failure};
use crate::cli::runtime::runtime;
use crate::cli::signals::Signals;
use crate::clock::Clock;
use crate::config::{Config, Loaded};
use crate::feeds::feed::Feed;
use crate::ids::Ids;
use crate::out;
use crate::serve::feeds::{FeedList, OpenFeeds, call_feed};
use crate::serve::{Process, ServeError};
use crate::telemetry;
use crate::wal::node::LockError;

/// Arguments of `lakehook call`.
#[derive(Debug, Args)]
pub struct CallArgs {
    /// The calls to run [default: all]
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Show the requests that would be made, and send nothing
    #[arg(long)]
    dry_run: bool,
    /// Only rows with a time from this on
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only rows with a time before this
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// The most requests of each call [default: `max_calls`]
    #[arg(long, value_name = "NUMBER")]
    max_calls: Option<u64>,
    /// Store the records of answers whatever the guards say
    #[arg(long)]
    accept: bool,
}

/// Runs calls; exit code 1 if any failed, or is not in the lake.
pub fn run(loaded: &Loaded, args: CallArgs) -> Result<ExitCode, Failure> {
    let config = &loaded.config;
    let level = config.log.level.min(tracing::Level::WARN);
    telemetry::start(level.into(), config.log.format);
    let request = Request {
        calls: chosen(config, args.names)?,
        wish: Wish {
            since: args.since,
            until: args.until,
            max_calls: args.max_calls,
            dry_run: args.dry_run,
            accept: args.accept,
        },
    };
    let runtime = runtime()?;
    let code = runtime.block_on(async {
        let all_well = runs(config, &request).await?;
        Ok(if all_well {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(FAILED)
        })
    });
    runtime.shutdown_background();
    code
}

fn chosen(config: &Config, names: Vec<String>) -> Result<Vec<String>, Failure> {
    let none = "lakehook: no calls are configured; add a section [call.NAME] to the configuration";
    chosen::chosen(&config.call, names, ("call", none))
}

/// Runs calls here, or has the service run them that holds their log. Returns whether all of them succeeded.
async fn runs(config: &Config, request: &Request) -> Result<bool, Failure> {
    let process = Process::new(config, Clock::system(), Ids::System)?;
    let calls = Arc::new(call_feed(config));
    let feeds = FeedList::with(config, &[Arc::clone(&calls) as Arc<dyn Feed>]);
    let mut all_well = true;
    match OpenFeeds::open(config, feeds, process).await {
        Ok(feeds) => runs_here(config, feeds, &calls, request).await,
        Err(ServeError::Polls(errors)) => {
            let error = ServeError::Polls(errors);
            Err(Failure::Usage(format!("lakehook: {error}")))
        }
        Err(ServeError::Lock(held @ LockError::Held { .. })) => {
            let mut tell = |line| all_well &= show(line);
            let asked = ask_service(&config.polls.dir, request, &mut tell).await;
            if let Err(error) = asked {
                return Err(elsewhere::explained(config, &held, "for calls", error)
                    .await
                    .into());
            }
            Ok(all_well)
        }
        Err(error) => Err(error.into()),
    }
}

async fn runs_here(
    config: &Config,
    feeds: OpenFeeds,
    calls: &CallFeed,
    request: &Request,
) -> Result<bool, Failure> {
    let mut signals = Signals::new()?;
    let feeds = feeds.start(false)?;
    let mut all_well = true;
    let running = async {
        for call in &request.calls {
            let ended = calls.ask(call, request.wish.clone()).await;
            let ended = ended.context("the calls are not started")?;
            let call = call.clone();
            all_well &= show(match ended {
                Ok(report) => Line::Done {
                    call,
                    report: Box::new(report),
                },
                Err(error) => Line::Failed {
                    call,
                    error: error.to_string(),
                },
            });
        }
        Ok::<(), anyhow::Error>(())
    };
    let ending = tokio::select! {
        ended = running => ended,
        reason = feeds.failed() => Err(anyhow!("the log of polls cannot go on: {reason}")),
        () = signals.next() => Err(anyhow!("interrupted; the next run goes on where this one ended")),
    };
    let stopped = ending::stop(config, feeds, &mut signals).await;
    ending?;
    if !stopped.all_shipped {
        ending::tell_left(config, &stopped);
    }
    Ok(all_well && stopped.all_shipped)
}

/// Shows how the run of a call ended. Returns whether it ended well.
fn show(line: Line) -> bool {
    match line {
        Line::Done { call, report } => {
            for chunk in &report.chunks {
                out::line(format_args!("{call}: {chunk}"));
            }
            out::line(format_args!("{call}: {}", summary(&report)));
            for sample in &report.samples {
                out::line(format_args!("{call}:   {sample}"));
            }
            true
        }
        Line::Failed { call, error } => {
            out::line(format_args!("{call}: failed: {error}"));
            false
        }
    }
}

/// A report in one line.
fn summary(report: &Report) -> String {
    let parts = [
        (report.calls, "requests"),
        (report.groups, "groups"),
        (report.stored, "rows stored"),
        (report.missing, "not known there"),
        (report.failed, "refused"),
        (report.unanswered, "without an answer"),
        (report.quarantined, "in the quarantine"),
        (report.known, "sent before"),
        (report.outside, "outside of the range"),
    ];
    let always = ["requests", "groups", "rows stored"];
    let parts = parts
        .iter()
        .filter(|(count, what)| *count > 0 || always.contains(what));
    let parts: Vec<String> = parts
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    let seconds = report.took_ms / 1000;
    let tenths = report.took_ms % 1000 / 100;
    let left = if report.is_limited {
        "; max_calls is reached, and the next run goes on"
    } else {
        ""
    };
    format!("{} ({seconds}.{tenths} s){left}", parts.join(", "))
}
