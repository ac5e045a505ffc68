//! A node that runs, with all of its logs, and its end.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::members::Members;
use super::node::StopNode;
use crate::serve::stopping::{Patience, Stopped};

/// How long a node that has left goes on saying so to those who follow it.
const FAREWELL: Duration = Duration::from_secs(3);

/// A node that runs.
pub(in crate::serve) struct RunningNode {
    pub(super) members: Arc<Members>,
    /// Stops what is done for each log.
    pub(super) stops: Vec<mpsc::Sender<StopNode>>,
    pub(super) fatal: watch::Receiver<Option<String>>,
    pub(super) listener: (CancellationToken, JoinHandle<()>),
}

impl RunningNode {
    /// Resolves with the reason when the service must end.
    pub(in crate::serve) async fn failed(&self) -> String {
        let mut fatal = self.fatal.clone();
        match fatal.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or_default(),
            Err(_) => "the node has ended".to_owned(),
        }
    }

    /// Ships what is in the logs that the node owns, and gives them up.
    pub(in crate::serve) async fn stop(self, patience: &Arc<Patience>) -> Stopped {
        let stopping = self.stops.iter().map(|stop| end(stop, patience));
        let stopped = join_all(stopping).await;
        let stopped = Stopped {
            all_shipped: stopped.iter().all(|stopped| stopped.all_shipped),
            left_rows: stopped.iter().map(|stopped| stopped.left_rows).sum(),
        };
        if self.members.are_followed() {
            patience.wait(tokio::time::sleep(FAREWELL)).await;
        }
        let (stop, serving) = self.listener;
        stop.cancel();
        patience.wait(serving).await;
        stopped
    }
}

/// Ends what is done for one log.
async fn end(stop: &mpsc::Sender<StopNode>, patience: &Arc<Patience>) -> Stopped {
    let (told, stopped) = oneshot::channel();
    let asked = stop.send((Arc::clone(patience), told)).await;
    match asked {
        // Each step of it has an end; only a takeover under way may have none, while the replica is away.
        Ok(()) => match patience.wait(stopped).await {
            Some(Ok(stopped)) => stopped,
            _ => Stopped::UNKNOWN,
        },
        Err(_) => Stopped::NOTHING_LEFT,
    }
}
