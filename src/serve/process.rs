//! What all parts of a process share.

use std::sync::Arc;

use super::errors::ServeError;
use crate::clock::Clock;
use crate::config::Config;
use crate::ids::Ids;
use crate::metrics::Metrics;

/// What all parts of a process share. Cheap to clone.
#[derive(Clone)]
pub struct Process {
    /// Counters and histograms.
    pub metrics: Arc<Metrics>,
    /// The clock.
    pub clock: Clock,
    /// The source of randomness.
    pub ids: Ids,
}

impl Process {
    /// Creates them, with the metrics that a configuration needs.
    pub fn new(config: &Config, clock: Clock, ids: Ids) -> Result<Self, ServeError> {
        let types = config.rules().map(|rules| rules.types);
        let types = types.unwrap_or_default();
        Ok(Self {
            metrics: Metrics::of_service(
                &types,
                config.hook.keys(),
                config.poll.keys().chain(config.files.keys()),
            )?,
            clock,
            ids,
        })
    }
}
