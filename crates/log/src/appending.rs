//! Stores rows for somebody who can wait until the log takes them.

use lakehook_base::clock::{Clock, Micros};
use lakehook_base::record::Rows;

use crate::ledger::request::{Append, AppendError, FULL_PAUSE, Reply};
use crate::log::Log;

impl Log {
    /// Stores a request, and tries again while the log is full.
    ///
    /// The rows count as received when the log takes them: each attempt has a new time of receipt, never before a
    /// watermark that was published, and `stamp` writes it into the rows. It ends when the rows are durable, and with
    /// any error but [`AppendError::Full`] and [`AppendError::Late`]. It has no limit of time: a caller that has one
    /// drops the future, and then does not know whether the rows were stored.
    pub async fn append_when_possible(
        &self,
        mut append: Append,
        clock: &Clock,
        stamp: fn(&mut Rows, Micros),
    ) -> Reply {
        loop {
            let received_at = self.gauges().receipt(clock.now().wall);
            stamp(&mut append.rows, received_at);
            append.origin.received_at = received_at;
            match self.append(append.clone()).await {
                // A seal may have published a later watermark meanwhile.
                Err(AppendError::Full | AppendError::Late) => {
                    tokio::time::sleep(FULL_PAUSE).await;
                }
                reply => return reply,
            }
        }
    }
}

#[cfg(test)]
#[path = "appending_tests.rs"]
mod tests;
