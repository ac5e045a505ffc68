//! How a command ends that has opened the log of feeds itself: what is complete is shipped, as far as time allows.

use tokio_util::sync::CancellationToken;

use super::signals::Signals;
use crate::config::Config;
use crate::out;
use crate::serve::feeds::RunningFeeds;
use crate::serve::{Patience, Stopped};

/// Stops the feeds within `server.shutdown_grace`. A signal leaves the rest to the log at once.
pub(super) async fn stop(config: &Config, feeds: RunningFeeds, signals: &mut Signals) -> Stopped {
    let hurry = CancellationToken::new();
    let patience = Patience::new(config.server.shutdown_grace.duration(), hurry.clone());
    let stopping = feeds.stop(&patience);
    let mut stopping = std::pin::pin!(stopping);
    tokio::select! {
        stopped = &mut stopping => stopped,
        () = signals.next() => {
            hurry.cancel();
            stopping.await
        }
    }
}

/// Says where the rows are that are not in the lake yet.
pub(super) fn tell_left(config: &Config, stopped: &Stopped) {
    out::line(format_args!(
        "{} rows are safe in the log ({}) and not in the lake yet; the next run or service brings them there",
        stopped.left_rows,
        config.polls.dir.display()
    ));
}
