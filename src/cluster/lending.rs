//! Packs the rows of requests before they are sent to the owner of their log, who only gives them LSNs.
//!
//! That takes two requests in place of one, and most of the work from the owner. Where there is little to pack, or where
//! the owner declines, requests are sent whole.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::answer::{Answer, Offered};
use super::error::ForwardError;
use super::head::{FILL, RESERVE};
use super::limits::Timing;
use super::line::Line;
use super::message::Messages;
use super::refusal::Refusal;
use super::reserved;
use super::target::Target;
use crate::wal::reservation::{Filler, Filling};

/// Fewer bytes of rows are not worth a second request: a section of so few is not packed.
const LEAST_BYTES: usize = 32 << 10;
/// How long an owner of an earlier version, which knows no reservations, is not asked for one.
const UNKNOWN_FOR: Duration = Duration::from_secs(60);
/// How long an owner who has declined is not asked again.
const DECLINED_FOR: Duration = Duration::from_millis(250);

/// Packs rows for one other node.
pub(super) struct Lending {
    timing: Timing,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The node has declined, or is of an earlier version.
    not_before: Option<Instant>,
    /// Those whose buffers are not in use.
    idle: Vec<Filler>,
}

/// What became of requests whose rows were to be packed.
pub(super) enum Sent {
    Answer(Answer),
    /// Nothing was stored, and never will be: they may be sent whole.
    Declined(Messages),
}

impl Lending {
    pub(super) fn new(timing: Timing) -> Self {
        Self {
            timing,
            state: Mutex::default(),
        }
    }

    /// Has the owner of a log store requests whose rows are packed here.
    pub(super) async fn send(
        &self,
        line: &Line,
        target: Target,
        messages: Messages,
    ) -> Result<Sent, ForwardError> {
        let parts = VecDeque::from([messages.outlines()]);
        let began = Instant::now();
        let asking = line.ask(target, RESERVE, parts, self.timing.answer);
        let offered = match asking.await.map_err(nothing_sent)? {
            Answer::Offer(offered) => offered,
            Answer::Refusal(Refusal::Form { .. }) => {
                return Ok(self.declined(UNKNOWN_FOR, messages));
            }
            Answer::Declined => return Ok(self.declined(DECLINED_FOR, messages)),
            answer => return Ok(Sent::Answer(answer)),
        };
        let reservation = offered.reservation;
        let (filling, messages) = self.fill(*offered, messages).await?;
        let parts = reserved::encode(reservation, filling).into();
        let left = self.timing.answer.saturating_sub(began.elapsed());
        match line.ask(target, FILL, parts, left).await? {
            Answer::Declined => Ok(self.declined(DECLINED_FOR, messages)),
            answer => Ok(Sent::Answer(answer)),
        }
    }

    fn declined(&self, time: Duration, messages: Messages) -> Sent {
        self.state().not_before = Some(Instant::now() + time);
        Sent::Declined(messages)
    }

    /// Whether these are enough rows, and the owner has not declined just now.
    pub(super) fn is_worth_it(&self, messages: &Messages) -> bool {
        let not_before = self.state().not_before;
        messages.row_bytes() >= LEAST_BYTES && not_before.is_none_or(|time| time <= Instant::now())
    }

    /// Packs the rows, on a thread for work that takes long.
    async fn fill(
        &self,
        offered: Offered,
        messages: Messages,
    ) -> Result<(Filling, Messages), ForwardError> {
        let mut filler = self.state().idle.pop().unwrap_or_default();
        let packing = tokio::task::spawn_blocking(move || {
            let filling = filler.fill(&messages.appends, &offered.offer);
            (filler, filling, messages)
        });
        let packed = packing.await;
        let (filler, filling, messages) =
            packed.map_err(|error| ForwardError::Unsent(error.to_string().into()))?;
        self.state().idle.push(filler);
        Ok((filling, messages))
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whatever became of a request for LSNs: without sections, nothing is stored.
fn nothing_sent(error: ForwardError) -> ForwardError {
    match error {
        ForwardError::Unknown(why) => ForwardError::Unsent(why),
        error => error,
    }
}
