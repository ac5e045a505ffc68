//! Reads the files of tokens and secrets again while the service runs, as those of certificates are: at intervals, and at
//! once on SIGHUP. What cannot be used never replaces what is in use.

use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::Signal;
use tokio_util::sync::CancellationToken;

use super::for_people::console_tokens;
use super::settings::credentials;
use crate::config::Config;
use crate::receive::App;
use crate::receive::client::Tokens;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Follows the files of secrets.
pub(super) struct Renewal {
    /// The configuration, with the secrets in use.
    pub(super) config: Config,
    /// What uses them.
    pub(super) app: Arc<App>,
    /// The tokens of the console.
    pub(super) console: Tokens,
}

impl Renewal {
    /// Runs until `stop` is cancelled.
    pub(super) async fn run(mut self, mut signal: Signal, stop: CancellationToken) {
        let mut said = None;
        loop {
            let is_asked_for = tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => false,
                _ = signal.recv() => true,
            };
            let config = self.config.clone();
            let Ok(renewed) = tokio::task::spawn_blocking(move || config.renewed()).await else {
                continue;
            };
            match renewed {
                Ok(None) => said = None,
                Ok(Some(config)) => {
                    said = None;
                    self.app.renew(credentials(&config));
                    self.console.replace(console_tokens(&config.server));
                    self.config = *config;
                    tracing::info!("tokens and secrets reloaded");
                }
                Err(error) => {
                    let text = error.to_string();
                    if is_asked_for || said.as_ref() != Some(&text) {
                        tracing::warn!(
                            error = text,
                            "tokens and secrets cannot be reloaded; the old ones stay in use"
                        );
                    }
                    said = Some(text);
                }
            }
        }
    }
}
