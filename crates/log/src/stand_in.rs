//! Who answers in the place of another process that owns the log.

use crate::jobs::Ticket;
use crate::ledger::request::{Append, AppendError, Reply};
use lakehook_base::record::NO_RUN;

/// Where the answer to a request goes.
pub struct Asked(Ticket);

impl Asked {
    pub(crate) fn new(ticket: Ticket) -> Self {
        Self(ticket)
    }

    /// Whether nobody waits for the answer any more.
    pub fn is_gone(&self) -> bool {
        self.0.is_gone()
    }

    /// Gives the answer.
    pub fn answer(self, reply: Reply) {
        self.0.answer(reply);
    }
}

/// Answers in the place of a log's owner.
pub trait StandIn: Send + Sync + 'static {
    /// Answers an append, now or later. It is called by whoever has the request, also for a moment after somebody else
    /// has begun to answer.
    fn append(&self, append: Box<Append>, asked: Asked);

    /// Has the owner seal every open batch, now or later.
    fn flush(&self, asked: Asked) {
        asked.answer(Err(self.refusal()));
    }

    /// Why something is refused that only an owner can do.
    fn refusal(&self) -> AppendError;
}

/// Whether an owner need not have the log itself for it: the append belongs to no run.
pub(crate) fn is_for_stand_in(append: &Append) -> bool {
    append.run == NO_RUN && append.cursor.is_none()
}
