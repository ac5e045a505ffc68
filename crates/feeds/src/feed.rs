//! What every feed has in common: the service keeps a list of feeds and knows no more of them than this.

use std::pin::Pin;

use super::context::Context;
use super::figures::Figures;
use lakehook_base::tables::Table;

/// A feed: pulls records of one or more streams, and stores them through [`super::collect`].
///
/// It is made from its configuration alone, before any log is open, so that its settings can be checked
/// without one.
pub trait Feed: Send + Sync {
    /// Its name, which is that of its section in the configuration.
    fn name(&self) -> &'static str;

    /// Every stream with its table. Reads schemas, and finds every setting that cannot be used.
    fn streams(&self) -> Result<Vec<(String, Table)>, Vec<SetupError>>;

    /// Starts tasks, on the runtime around it. Called once, when the log is open.
    fn start(&self, context: Context) -> Result<(), Vec<SetupError>>;

    /// State of every stream; nothing before the start.
    fn figures(&self) -> Figures;

    /// Interrupts what runs and waits for its end. Whoever waits may stop waiting.
    fn stop(&self) -> Stopping<'_>;
}

/// A stop under way.
pub type Stopping<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Why a feed cannot be used as it is configured: names the setting.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SetupError(pub String);
