//! The trait of all feeds: the service keeps a list of feeds and knows only this of them.

use std::pin::Pin;

use super::context::Context;
use super::figures::Figures;
use lakehook_base::tables::StreamTable;

/// A feed: pulls records of one or more streams, and stores them through [`super::collect`].
///
/// It is made from its configuration alone, before any log is open, so that its settings can be checked
/// without one.
pub trait Feed: Send + Sync {
    /// Name of the feed, which is that of its section in the configuration.
    fn name(&self) -> &'static str;

    /// Every stream with its table. Reads the schemas, and reports every setting that cannot be
    /// used.
    fn streams(&self) -> Result<Vec<(String, StreamTable)>, Vec<SetupError>>;

    /// Starts the feed's tasks on the current runtime. Called once, when the log is open.
    fn start(&self, context: Context) -> Result<(), Vec<SetupError>>;

    /// State of every stream; empty before the start.
    fn figures(&self) -> Figures;

    /// Asks for a run of a stream, which begins as soon as it can; nobody follows it but by its figures. `false` if there
    /// is no such stream, or too many wait for it.
    fn ask(&self, stream: &str) -> bool;

    /// Interrupts all runs and waits until they have ended. The caller may drop the future to stop
    /// waiting.
    fn stop(&self) -> Stopping<'_>;
}

/// Future of a stop.
pub type Stopping<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Why a feed cannot be used as it is configured. The text names the setting.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SetupError(pub String);
