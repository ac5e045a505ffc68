//! `lakehook health`: asks a running service whether it is ready, for containers without curl.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use crate::cli::exit::{FAILED, Failure};
use crate::cli::runtime::runtime;
use crate::config::{Config, Server};
use crate::out;

/// Arguments of `lakehook health`.
#[derive(Debug, Args)]
pub struct HealthArgs {
    /// The service [default: `server.listen` of the configuration]
    #[arg(long, value_name = "URL")]
    url: Option<String>,
}

/// Prints what `/ready` says; exit code 1 unless the service is ready.
pub fn run(
    args: HealthArgs,
    config: impl FnOnce() -> Result<Config, Failure>,
) -> Result<ExitCode, Failure> {
    let (base, is_our_own) = match args.url {
        Some(url) => (url.trim_end_matches('/').to_owned(), false),
        None => (base_of(&config()?.server), true),
    };
    let (status, body) = runtime()?
        .block_on(async {
            let client = reqwest::Client::builder()
                .timeout(Duration::from_secs(5))
                .tls_danger_accept_invalid_certs(is_our_own)
                .build()?;
            let answer = client.get(format!("{base}/ready")).send().await?;
            let status = answer.status();
            Ok::<_, reqwest::Error>((status, answer.text().await?))
        })
        .map_err(|error| no_answer(&base, &error))?;
    out::line(body.trim_end());
    Ok(if status.is_success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(FAILED)
    })
}

/// Why there is no answer, without what a client says around the cause.
fn no_answer(base: &str, error: &reqwest::Error) -> anyhow::Error {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    let advice = if error.is_connect() {
        "; is `lakehook serve` running, and with this configuration?"
    } else {
        ""
    };
    anyhow::anyhow!("no answer from {base}/ready: {cause}{advice}")
}

/// The URL of the configured service. The caller does not verify the certificate, which names the host that
/// senders use rather than the address that the service listens on. Nothing secret is sent, and the answer is
/// a single word.
pub(super) fn base_of(server: &Server) -> String {
    let scheme = if server.tls_cert_file.is_some() {
        "https"
    } else {
        "http"
    };
    format!("{scheme}://{}", reachable(server.listen))
}

/// The address at which this machine reaches the service: loopback, if it listens on all addresses.
fn reachable(mut address: std::net::SocketAddr) -> std::net::SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            std::net::SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            std::net::SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}
