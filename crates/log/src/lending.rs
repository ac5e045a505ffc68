//! Reserved rows between the thread of a log and whoever sends them.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::jobs::{Begun, lost};
use crate::ledger::request::{Append, AppendError, Reply, Request};
use crate::ledger::reservation::{Filling, Lender, Offer, Reservation};
use crate::log::Log;

/// A reservation that has LSNs, and waits for its sections.
pub struct Reserved {
    sections: SyncSender<Filling>,
    begun: Begun,
}

impl Reserved {
    /// Fills the reservation; success means that the rows are durable.
    pub async fn fill(self, filling: Filling) -> Reply {
        // If nobody waits for it any more, the answer says so.
        let _late = self.sections.try_send(filling);
        self.begun.answer().await
    }
}

impl Log {
    /// Reserves LSNs for the rows of requests whose bytes come later. Where this fails, nothing is
    /// stored.
    pub async fn reserve(&self, outlines: Vec<Append>) -> Result<(Offer, Reserved), AppendError> {
        let (offers, offered) = oneshot::channel();
        let (sections, filling) = sync_channel(1);
        let lender = Channel {
            offers: Mutex::new(Some(offers)),
            filling: Mutex::new(filling),
        };
        let begun = self.begin(Request::Reserve(Reservation {
            outlines: Arc::new(outlines),
            lender: Arc::new(lender),
        }));
        match offered.await {
            Ok(offer) => Ok((offer, Reserved { sections, begun })),
            // The reservation is gone without an offer.
            Err(_gone) => Err(begun.answer().await.err().unwrap_or_else(lost)),
        }
    }
}

#[derive(Debug)]
struct Channel {
    offers: Mutex<Option<oneshot::Sender<Offer>>>,
    filling: Mutex<Receiver<Filling>>,
}

impl Lender for Channel {
    fn offer(&self, offer: Offer) {
        let mut offers = self.offers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(offers) = offers.take() {
            let _gone = offers.send(offer);
        }
    }

    fn filling(&self, patience: Duration) -> Option<Filling> {
        let filling = self.filling.lock().unwrap_or_else(PoisonError::into_inner);
        filling.recv_timeout(patience).ok()
    }
}
