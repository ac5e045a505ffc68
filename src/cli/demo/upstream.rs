//! `lakehook upstream`: only the sample system.

use std::net::SocketAddr;
use std::process::ExitCode;

use clap::Args;
use tokio_util::sync::CancellationToken;
use tracing::level_filters::LevelFilter;

use crate::cli::exit::Failure;
use crate::cli::runtime::runtime;
use crate::cli::signals::Signals;
use crate::clock::Clock;
use crate::ids::Ids;
use crate::out;
use crate::telemetry::{self, LogFormat};
use crate::upstream::{Options, Upstream, serve};

/// Arguments of `lakehook upstream`.
#[derive(Debug, Args)]
pub struct UpstreamArgs {
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:9090", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Push events to this webhook, such as http://127.0.0.1:4000/webhook/events
    #[arg(long, value_name = "URL")]
    webhook: Option<String>,
    /// Events a second, instead of 1-10 every 2-5 seconds
    #[arg(long, value_name = "N")]
    rate: Option<f64>,
    /// Users and content are the same for the same seed
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Runs the sample system until a signal.
pub fn run(args: UpstreamArgs) -> Result<ExitCode, Failure> {
    telemetry::start(LevelFilter::INFO, LogFormat::Auto);
    runtime()?.block_on(async {
        let mut signals = Signals::new()?;
        let options = Options {
            seed: args.seed,
            start_generator: args.webhook.is_some(),
            webhook_url: args.webhook,
            rate: args.rate,
            ..Options::default()
        };
        let upstream = Upstream::new(options, Clock::system(), &Ids::System)?;
        let listener = tokio::net::TcpListener::bind(args.listen).await?;
        out::line(format_args!(
            "the sample system listens on http://{}",
            listener.local_addr()?
        ));
        let stop = CancellationToken::new();
        let serving = serve(listener, upstream, stop.clone());
        let mut serving = std::pin::pin!(serving);
        tokio::select! {
            served = &mut serving => served?,
            () = signals.next() => {
                stop.cancel();
                serving.await?;
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}
