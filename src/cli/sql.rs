//! `lakehook sql`: prints statements that make the lake queryable.

use std::process::ExitCode;

use anyhow::anyhow;
use clap::Args;
use tracing::level_filters::LevelFilter;

use crate::cli::exit::Failure;
use crate::cli::runtime::runtime;
use crate::clock::Clock;
use crate::config::Loaded;
use crate::lake::reader::LakeReader;
use crate::out;
use crate::serve::catalogue::{CatalogueError, catalogue, statements};
use crate::sql::Engine;
use crate::telemetry::{self, LogFormat};

/// Arguments of `lakehook sql`.
#[derive(Debug, Args)]
pub struct SqlArgs {
    /// The engine
    engine: Engine,
    /// Say nothing of credentials; for a session that has a secret already
    #[arg(long)]
    no_secret: bool,
}

/// Prints the statements.
pub fn run(loaded: &Loaded, args: &SqlArgs) -> Result<ExitCode, Failure> {
    telemetry::start(LevelFilter::OFF, LogFormat::Text);
    let config = &loaded.config;
    let now = Clock::system().now().wall;
    let looked = runtime()?.block_on(async {
        let place = LakeReader::open(config.lake.destination()).await;
        catalogue(config, &place, usize::MAX, now).await
    });
    let mut catalogue = looked.map_err(|error| match error {
        CatalogueError::Lake(error) => {
            let what = format!("failed to look into the lake {}", config.lake.url);
            Failure::Failed(anyhow!(error).context(what))
        }
        settings @ CatalogueError::Settings(_) => usage(&settings),
    })?;
    catalogue.with_secret = !args.no_secret;
    out::line(statements(config, &catalogue, args.engine));
    Ok(ExitCode::SUCCESS)
}

/// Settings that cannot be used are a mistake of the caller.
pub(super) fn usage(error: &CatalogueError) -> Failure {
    Failure::Usage(format!("lakehook: {error}"))
}
