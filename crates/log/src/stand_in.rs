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
    /// Answers an append, now or later. The thread of the caller runs this, perhaps for a moment longer than the stand-in
    /// has the seat.
    fn append(&self, append: Box<Append>, asked: Asked);

    /// Has the owner seal every open batch, now or later.
    fn flush(&self, asked: Asked) {
        asked.answer(Err(self.refusal()));
    }

    /// Why something is refused that only an owner can do.
    fn refusal(&self) -> AppendError;
}

/// Whether a stand-in may answer the append: rows of a run are stored by the process that owns the log alone.
pub(crate) fn is_for_stand_in(append: &Append) -> bool {
    append.run == NO_RUN && append.cursor.is_none()
}
