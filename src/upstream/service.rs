//! The upstream as a whole, built from its options and controlled by calls or over HTTP.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::ids::Ids;

use super::activity::Activity;
use super::api;
use super::chance::Chance;
use super::generator::{Generator, Rounds};
use super::options::{Options, OptionsError};
use super::population::Population;
use super::push::Webhook;
use super::sent::{Counters, Sent};

/// How long the server waits, when shut down, for requests under way.
const CLOSE_WITHIN: Duration = Duration::from_secs(3);

/// Why an upstream could not be made.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The options cannot be used.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// The system has no random numbers.
    #[error("failed to draw a random number")]
    Random(#[from] io::Error),
    /// No HTTP client.
    #[error("failed to set up the HTTP client")]
    Client(#[from] reqwest::Error),
}

/// Why the generator was not started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// No URL to push to is configured.
    #[error("no webhook URL is configured")]
    NoWebhook,
    /// The upstream is being shut down.
    #[error("the upstream is shutting down")]
    ShuttingDown,
}

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

/// A sample upstream. Clones share one generator and its counters.
#[derive(Clone, Debug)]
pub struct Upstream(pub(super) Arc<Shared>);

/// The state that all clones and requests share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) options: Options,
    /// Activity for `GET /api/events`. The generator has another one, whose random numbers must not depend on readers.
    pub(super) activity: Activity,
    pub(super) faults: Chance,
    /// Cancelled when the server shuts down; from then on no answer is delayed and nothing is started.
    pub(super) closing: CancellationToken,
    counters: Arc<Counters>,
    generator: Option<Generator>,
}

impl Upstream {
    /// Builds an upstream. Nothing runs before [`Upstream::start_generator`] or [`serve`].
    pub fn new(options: Options, clock: Clock, ids: &Ids) -> Result<Self, SetupError> {
        let webhook_url = options.check()?;
        let counters = Arc::new(Counters::default());
        let generator = webhook_url
            .map(|url| rounds(&options, url, &counters, &clock, ids).map(Generator::new))
            .transpose()?;
        let shared = Shared {
            activity: activity(&options, clock, ids)?,
            options,
            faults: Chance::new(ids)?,
            closing: CancellationToken::new(),
            counters,
            generator,
        };
        Ok(Self(Arc::new(shared)))
    }

    /// The routes of the HTTP interface.
    pub fn router(&self) -> axum::Router {
        api::router(self.clone())
    }

    /// The counters of what was sent so far.
    pub fn sent(&self) -> Sent {
        self.0.counters.snapshot()
    }

    /// Starts the generator, unless it is running already.
    pub async fn start_generator(&self) -> Result<(), StartError> {
        let generator = self.0.generator.as_ref().ok_or(StartError::NoWebhook)?;
        if self.0.closing.is_cancelled() {
            return Err(StartError::ShuttingDown);
        }
        generator.start(&self.0.closing).await;
        Ok(())
    }

    /// Stops the generator and waits for its end: the push under way is finished first, for at most
    /// [`Options::stop_within`]. Does nothing if it is not running; it may be started again.
    pub async fn stop(&self) {
        if let Some(generator) = &self.0.generator {
            generator.stop().await;
        }
    }
}

fn rounds(
    options: &Options,
    url: Url,
    counters: &Arc<Counters>,
    clock: &Clock,
    ids: &Ids,
) -> Result<Rounds, SetupError> {
    Ok(Rounds {
        activity: activity(options, clock.clone(), ids)?,
        webhook: Webhook::new(url)?,
        counters: Arc::clone(counters),
        batch: options.batch.clone(),
        pause: options.pause.clone(),
        rate: options.rate,
        broken_requests: options.broken_requests,
        stop_within: options.stop_within,
        clock: clock.clone(),
        chance: Chance::new(ids)?,
    })
}

fn activity(options: &Options, clock: Clock, ids: &Ids) -> io::Result<Activity> {
    Ok(Activity {
        population: Population {
            seed: options.seed,
            users: options.users,
            content: options.content,
        },
        duplicates: options.duplicates,
        clock,
        chance: Chance::new(ids)?,
    })
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
    let server = axum::serve(listener, upstream.router())
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
