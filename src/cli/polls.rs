//! `lakehook polls state`: what polls remember between their runs, and how it is moved by hand.
//!
//! A running service does it itself, between two runs of the poll; otherwise this process opens the
//! polls' log.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use clap::{Args, Subcommand};
use tokio_util::sync::CancellationToken;

use crate::cli::elsewhere;
use crate::cli::exit::{FAILED, Failure};
use crate::cli::poll::chosen;
use crate::cli::runtime::runtime;
use crate::clock::Clock;
use crate::config::{Config, Loaded};
use crate::feeds::feed::Feed;
use crate::ids::Ids;
use crate::out;
use crate::poll::control::{Line, Request, ask, ask_service};
use crate::poll::state::{Change, State};
use crate::serve::feeds::{FeedList, OpenFeeds, poll_feed};
use crate::serve::{Patience, Process, ServeError};
use crate::telemetry;
use crate::wal::node::LockError;

/// Commands about polls.
#[derive(Debug, Subcommand)]
pub enum PollsCommand {
    /// What polls remember between their runs
    #[command(subcommand)]
    State(StateCommand),
}

/// Commands about what polls remember.
#[derive(Debug, Subcommand)]
pub enum StateCommand {
    /// Show it: mark, end of the last window, interrupted run, last snapshot
    Show(ShowArgs),
    /// Let the next run of a poll ask from a mark, or from the end of a window
    Set(SetArgs),
    /// Let the next run of a poll begin anew; what is stored already is recognised
    Reset(ResetArgs),
}

/// Arguments of `lakehook polls state show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The polls to show [default: all]
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

/// Arguments of `lakehook polls state set`.
#[derive(Debug, Args)]
pub struct SetArgs {
    /// The poll
    #[arg(value_name = "NAME")]
    name: String,
    /// The mark, in the format of the poll's watermark, or the end of the last window
    #[arg(value_name = "MARK", allow_hyphen_values = true)]
    to: String,
}

/// Arguments of `lakehook polls state reset`.
#[derive(Debug, Args)]
pub struct ResetArgs {
    /// The poll
    #[arg(value_name = "NAME")]
    name: String,
}

/// Shows or changes what polls remember.
pub fn run(loaded: &Loaded, command: PollsCommand) -> Result<ExitCode, Failure> {
    let PollsCommand::State(command) = command;
    let config = &loaded.config;
    let level = config.log.level.min(tracing::Level::WARN);
    telemetry::start(level.into(), config.log.format);
    let (names, change) = match command {
        StateCommand::Show(args) => (args.names, Change::Show),
        StateCommand::Set(args) => (vec![args.name], Change::Set { to: args.to }),
        StateCommand::Reset(args) => (vec![args.name], Change::Reset),
    };
    let request = Request {
        polls: chosen(config, names)?,
        state: Some(change),
        ..Request::default()
    };
    let runtime = runtime()?;
    let all_well = runtime.block_on(answer(config, &request));
    runtime.shutdown_background();
    Ok(if all_well? {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(FAILED)
    })
}

async fn answer(config: &Config, request: &Request) -> Result<bool, Failure> {
    let mut answered = 0;
    let mut is_well = true;
    let mut tell = |line: Line| match line {
        Line::State { poll, state } => {
            answered += 1;
            show(&poll, &state);
        }
        Line::Failed { poll, error } => {
            answered += 1;
            is_well = false;
            out::line(format_args!("{poll}  failed: {error}"));
        }
        _ => {}
    };
    let process = Process::new(config, Clock::system(), Ids::System)?;
    let polls = Arc::new(poll_feed(config));
    let feeds = FeedList::with(config, &[Arc::clone(&polls) as Arc<dyn Feed>]);
    match OpenFeeds::open(config, feeds, process).await {
        Ok(feeds) => {
            let feeds = feeds.start(false)?;
            let supervisor = polls.supervisor().context("the polls are not started")?;
            let mut lines = ask(supervisor, request);
            while let Some(line) = lines.recv().await {
                tell(line);
            }
            let grace = config.server.shutdown_grace.duration();
            feeds
                .stop(&Patience::new(grace, CancellationToken::new()))
                .await;
        }
        Err(ServeError::Polls(errors)) => {
            let error = ServeError::Polls(errors);
            return Err(Failure::Usage(format!("lakehook: {error}")));
        }
        Err(ServeError::Lock(held @ LockError::Held { .. })) => {
            let asked = ask_service(&config.polls.dir, request, &mut tell).await;
            if let Err(error) = asked {
                let why = elsewhere::explained(config, &held, "what polls remember", error);
                return Err(why.await.into());
            }
        }
        Err(error) => return Err(error.into()),
    }
    if answered < request.polls.len() {
        return Err(anyhow!("the service went away before it had answered").into());
    }
    Ok(is_well)
}

fn show(poll: &str, state: &State) {
    out::line(format_args!("{poll}"));
    let snapshot = state.snapshot.as_ref();
    let snapshot = snapshot.map(|(run, records)| format!("{run}, {records} records"));
    let token = state.token_bytes.map(|bytes| format!("of {bytes} bytes"));
    if let Some(until) = &state.held_until {
        out::line(format_args!(
            "  pause that the API asked for: until {until}"
        ));
    }
    let all = [
        ("mark", &state.mark),
        ("end of the last window", &state.window),
        ("token", &token),
        ("interrupted", &state.interrupted),
        ("last complete run", &state.last_run),
        ("last snapshot", &snapshot),
    ];
    for (name, value) in &all {
        if let Some(value) = value {
            out::line(format_args!("  {name}: {value}"));
        }
    }
    if all.iter().all(|(_, value)| value.is_none()) {
        out::line(format_args!(
            "  nothing is remembered: the next run begins anew"
        ));
    }
}
