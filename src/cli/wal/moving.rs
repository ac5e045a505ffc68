//! `lakehook wal move`: brings a log from this disk into the replica, or back.

use std::process::ExitCode;

use clap::Args;
use tracing::level_filters::LevelFilter;

use super::rescue::WhichLog;
use crate::cli::exit::Failure;
use crate::cli::runtime::runtime;
use crate::config::Loaded;
use crate::out;
use crate::serve::LogRole;
use crate::serve::moving::{Direction, MovingError, move_log};
use crate::telemetry::{self, LogFormat};
use crate::wal::moving::{MoveError, Moved};

/// The arguments of `wal move`.
#[derive(Debug, Args)]
pub struct MoveArgs {
    /// Back from the replica onto this disk
    #[arg(long)]
    to_disk: bool,
    /// Only one of the two logs [default: both]
    #[arg(long, value_enum)]
    log: Option<WhichLog>,
}

/// Runs `wal move`.
pub fn run(loaded: &Loaded, args: &MoveArgs) -> Result<ExitCode, Failure> {
    telemetry::start(LevelFilter::WARN, LogFormat::Auto);
    let direction = if args.to_disk {
        Direction::Disk
    } else {
        Direction::Replica
    };
    let roles = match args.log {
        Some(log) => vec![log.role()],
        None => vec![LogRole::Events, LogRole::Feeds],
    };
    let runtime = runtime()?;
    let done = runtime.block_on(async {
        let mut done = 0;
        for role in roles {
            match move_log(&loaded.config, role, direction).await {
                Ok((moved, place)) => {
                    done += 1;
                    let log = role.name();
                    out::line(match moved {
                        Moved::Done => format!("The log of {log} is in {place} now."),
                        Moved::Before => format!("The log of {log} was in {place} already."),
                    });
                }
                // Without polls, there is only one.
                Err(MovingError::Move(MoveError::Nothing(_))) if args.log.is_none() => {}
                Err(error @ (MovingError::NoReplica | MovingError::Many)) => {
                    return Err(Failure::Usage(format!("lakehook: {error}")));
                }
                Err(error) => return Err(Failure::from(anyhow::Error::from(error))),
            }
        }
        if done == 0 {
            out::line("There is no log to move.");
        }
        Ok(ExitCode::SUCCESS)
    });
    runtime.shutdown_background();
    done
}
