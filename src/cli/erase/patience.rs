//! Asking the lake again while it may still answer.

use std::cell::RefCell;
use std::time::Duration;

use anyhow::anyhow;

use crate::lake::LakeError;

/// A request to the lake is made this often, …
const TRIES: u32 = 10;
/// … this far apart.
pub(in crate::cli) const PAUSE: Duration = Duration::from_secs(1);

/// Asks the lake until it answers, or it is certain that somebody must do something first.
pub(in crate::cli) async fn patiently<T>(
    ask: impl Fn() -> Result<T, LakeError>,
) -> anyhow::Result<T> {
    let failure = RefCell::new(None);
    for attempt in 0..TRIES {
        if attempt > 0 {
            tokio::time::sleep(PAUSE).await;
        }
        match tokio::task::block_in_place(&ask) {
            Err(error @ LakeError::Retry { kind, .. }) if !kind.needs_operator() => {
                failure.replace(Some(error));
            }
            answer => return Ok(answer?),
        }
    }
    Err(failure
        .take()
        .map_or_else(|| anyhow!("the lake does not answer"), Into::into))
}
