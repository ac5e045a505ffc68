//! Serving the upstream over HTTP.

use std::io;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::api;
use super::state::{StartError, Upstream};

/// How long the server waits, when shut down, for requests under way.
const CLOSE_WITHIN: Duration = Duration::from_secs(3);

/// Why serving ended, or did not begin.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The generator was to be started and was not.
    #[error("failed to start the generator")]
    Start(#[from] StartError),
    /// The listener failed.
    #[error("failed to serve")]
    Io(#[from] io::Error),
}

/// Serves the upstream until `shutdown`; then finishes what is under way, within a few seconds, and
/// stops the generator for good. A connection that hangs beyond that is left to the runtime.
pub async fn serve(
    listener: TcpListener,
    upstream: Upstream,
    shutdown: CancellationToken,
) -> Result<(), ServeError> {
    if upstream.0.options.start_generator {
        upstream.start_generator().await?;
    }
    let server = axum::serve(listener, api::router(upstream.clone()))
        .with_graceful_shutdown(shutdown.clone().cancelled_owned())
        .into_future();
    let closing_takes_too_long = async {
        shutdown.cancelled().await;
        upstream.0.closing.cancel();
        tokio::time::sleep(CLOSE_WITHIN).await;
    };
    let outcome = tokio::select! {
        ended = server => ended,
        () = closing_takes_too_long => Ok(()),
    };
    upstream.0.closing.cancel();
    upstream.stop().await;
    Ok(outcome?)
}
