//! Runs `wal cost`.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;

use super::assumptions::Assumptions;
use super::model::{Estimate, estimates};
use super::table;
use crate::cli::exit::Failure;
use crate::out;

/// The arguments of `wal cost`.
#[derive(Debug, Args)]
pub struct CostArgs {
    /// Print assumptions and results as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    assumed: Assumptions,
}

#[derive(Serialize)]
struct Report<'a> {
    assumptions: &'a Assumptions,
    estimates: &'a [Estimate],
}

/// Runs it.
pub fn run(args: &CostArgs) -> Result<ExitCode, Failure> {
    let estimates = estimates(&args.assumed);
    if args.json {
        let report = Report {
            assumptions: &args.assumed,
            estimates: &estimates,
        };
        let text = serde_json::to_string_pretty(&report).context("failed to write the result")?;
        out::line(text);
    } else {
        out::line(table::text(&args.assumed, &estimates).trim_end());
    }
    Ok(ExitCode::SUCCESS)
}
