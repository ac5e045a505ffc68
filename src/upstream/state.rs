//! The upstream as a whole, built from its options.

use std::io;
use std::sync::Arc;

use reqwest::Url;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::ids::Ids;

use super::activity::Activity;
use super::chance::Chance;
use super::generator::{Generator, Rounds};
use super::options::{Options, OptionsError};
use super::population::Population;
use super::push::Webhook;
use super::sent::{Counters, Sent};

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
    /// Builds an upstream. Nothing runs before [`Upstream::start_generator`] or [`serve`](super::serve).
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
