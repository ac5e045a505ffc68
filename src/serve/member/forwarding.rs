//! Answers requests in the place of the log's owner: it forwards them, once.

use std::sync::Arc;

use tokio::runtime::Handle;

use super::state::{OtherNode, Role, State};
use crate::cluster::{ForwardError, Refusal, Waiter};
use crate::wal::request::{Append, AppendError, Appended};
use crate::wal::seat::{Asked, StandIn};

/// Forwards what a node receives that does not own the log.
pub(super) struct Forwarding {
    pub(super) state: Arc<State>,
    pub(super) runtime: Handle,
}

impl StandIn for Forwarding {
    fn append(&self, append: Box<Append>, asked: Asked) {
        let Role::Following(other) = self.state.role() else {
            asked.answer(Err(self.refusal()));
            return;
        };
        let waiting = Box::new(Waiting {
            state: Arc::clone(&self.state),
            other: Arc::clone(&other),
            asked,
        });
        // Whoever calls need not be within a runtime.
        let _entered = self.runtime.enter();
        other.peer.begin(other.target, *append, waiting);
    }

    fn flush(&self, asked: Asked) {
        let Role::Following(other) = self.state.role() else {
            asked.answer(Err(self.refusal()));
            return;
        };
        self.runtime.spawn(async move {
            let flushed = other.peer.flush(other.target).await;
            asked.answer(flushed.map(|()| Appended::default()).map_err(reply_of));
        });
    }

    fn refusal(&self) -> AppendError {
        let why = match self.state.role() {
            Role::Following(other) => format!("{} owns it", other.owner).into(),
            Role::Looking(why) => why,
            Role::TakingOver | Role::Owning(_) => "this node is about to take it over".into(),
            Role::Left => return AppendError::Closed,
        };
        AppendError::NoOwner(why)
    }
}

/// A request that waits for the answer of the owner.
struct Waiting {
    state: Arc<State>,
    other: Arc<OtherNode>,
    asked: Asked,
}

impl Waiter for Waiting {
    fn answer(self: Box<Self>, answer: Result<Appended, ForwardError>) {
        let Self {
            state,
            other,
            asked,
        } = *self;
        if let Some(standing) = other.peer.standing(state.index()) {
            state.hear(&standing);
        }
        let of_cluster = state.metrics.cluster(state.index());
        asked.answer(match answer {
            Ok(appended) => {
                of_cluster.forwarded.increment(1);
                Ok(appended)
            }
            Err(error) => {
                of_cluster.not_forwarded.increment(1);
                if !matches!(error, ForwardError::Log(_)) {
                    state.doubts.notify_one();
                }
                Err(reply_of(error))
            }
        });
    }

    fn is_gone(&self) -> bool {
        self.asked.is_gone()
    }
}

/// What the sender is told. Only an outcome that is certain is called one.
fn reply_of(error: ForwardError) -> AppendError {
    let is_certain = error.is_certain();
    match error {
        ForwardError::Log(AppendError::Closed) => {
            AppendError::NoOwner("the node that owns it is stopping".into())
        }
        ForwardError::Log(error) => error,
        ForwardError::Refused(Refusal::TooLarge { max_bytes }) => {
            let max_bytes = usize::try_from(max_bytes).unwrap_or(usize::MAX);
            let bytes = max_bytes.saturating_add(1);
            AppendError::TooLarge { bytes, max_bytes }
        }
        error if is_certain => AppendError::NoOwner(error.to_string().into()),
        error => AppendError::Unanswered(error.to_string().into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_not_called_refused() {
        for error in [
            ForwardError::Unknown("it broke".into()),
            ForwardError::Refused(Refusal::Repeated),
        ] {
            let told = reply_of(error);
            assert!(matches!(told, AppendError::Unanswered(_)), "{told}");
        }
        let full = ForwardError::Log(AppendError::Full);
        assert_eq!(reply_of(full), AppendError::Full);
        for error in [
            ForwardError::Unsent("no route".into()),
            ForwardError::Refused(Refusal::Busy),
            ForwardError::Log(AppendError::Closed),
        ] {
            let told = reply_of(error);
            assert!(matches!(told, AppendError::NoOwner(_)), "{told}");
        }
    }
}
