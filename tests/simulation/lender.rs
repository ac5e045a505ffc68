//! Senders that pack their rows themselves: most fill what they have reserved, some never, and some wrongly.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use lakehook::wal::packed::PACKED;
use lakehook::wal::request::Append;
use lakehook::wal::reservation::{Bits, Filler, Filling, Lender, Offer, Reservation};

use crate::chance::Chance;

/// What becomes of a reservation.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Filled,
    /// Nobody hears of the sender any more.
    Lost,
    /// The sender packs with other LSNs than it was offered.
    OtherLsns,
    /// A bit of the packed section that arrives first is another one. Rows that are not packed have no checksum of their
    /// own here; the request that brings them has one.
    Flipped(u64),
    /// The last section is missing.
    Cut,
    /// Rows that are in the log already come all the same.
    NothingLeftOut,
}

#[derive(Debug)]
struct SimLender {
    append: Append,
    fate: Fate,
    filling: Mutex<Option<Filling>>,
}

/// A reservation for the rows of a request.
pub(crate) fn reservation(append: Append, chance: &mut Chance) -> Reservation {
    let fate = match chance.below(40) {
        0 | 1 => Fate::Lost,
        2 => Fate::OtherLsns,
        3 => Fate::Flipped(chance.next()),
        4 => Fate::Cut,
        5 => Fate::NothingLeftOut,
        _ => Fate::Filled,
    };
    let mut outline = append.clone();
    outline.rows.bytes = Vec::new();
    Reservation {
        outlines: Arc::new(vec![outline]),
        lender: Arc::new(SimLender {
            append,
            fate,
            filling: Mutex::default(),
        }),
    }
}

impl Lender for SimLender {
    fn offer(&self, mut offer: Offer) {
        match self.fate {
            Fate::Lost => return,
            Fate::OtherLsns => offer.first_lsn.0 += 1,
            Fate::NothingLeftOut => offer.left_out = Bits::default(),
            Fate::Filled | Fate::Flipped(_) | Fate::Cut => {}
        }
        let appends = std::slice::from_ref(&self.append);
        let mut filling = Filler::default().fill(appends, &offer);
        match self.fate {
            Fate::Flipped(number) if filling.bytes.first() == Some(&PACKED) => {
                let at = usize::try_from(number).unwrap() % filling.ends[0];
                filling.bytes[at] ^= 1 << (number % 8);
            }
            Fate::Cut => drop(filling.ends.pop()),
            _ => {}
        }
        *self.filling.lock().unwrap() = Some(filling);
    }

    fn filling(&self, _: Duration) -> Option<Filling> {
        self.filling.lock().unwrap().take()
    }
}
