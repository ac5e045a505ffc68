//! Who has logged in, and what a form must prove: that a page of this console made it.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use subtle::ConstantTimeEq as _;

use crate::ids::Ids;
use crate::secret::{HmacKey, Secret};

/// More people do not look at a time; the oldest has to log in again.
const MAX_SESSIONS: usize = 64;
/// After this time, one has to log in again.
const LASTS: Duration = Duration::from_secs(12 * 3600);

/// The number in the cookie of a browser: 128 random bits, in hex.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Visitor(String);

impl Visitor {
    /// A new one; `None` if the system has no randomness.
    pub(super) fn new(ids: &Ids) -> Option<Self> {
        let number = ids.next_u128().ok()?;
        Some(Self(format!("{number:032x}")))
    }

    /// The visitor that a cookie names, if it has the form of one.
    pub(super) fn named(text: &str) -> Option<Self> {
        let is_hex = text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        (text.len() == 32 && is_hex).then(|| Self(text.to_owned()))
    }

    /// The text for the cookie.
    pub(super) fn text(&self) -> &str {
        &self.0
    }
}

/// The sessions of a console.
pub(super) struct Sessions {
    key: HmacKey,
    known: Mutex<VecDeque<(Visitor, Duration)>>,
}

impl Sessions {
    /// Starts without any. `secret` must be random.
    pub(super) fn new(secret: u128) -> Self {
        Self {
            key: HmacKey::new(&Secret::new(format!("{secret:032x}"))),
            known: Mutex::default(),
        }
    }

    /// Lets a visitor in, from now on.
    pub(super) fn open(&self, visitor: Visitor, now: Duration) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() == MAX_SESSIONS {
            known.pop_front();
        }
        known.push_back((visitor, now));
    }

    /// Forgets a visitor.
    pub(super) fn close(&self, visitor: &Visitor) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|(other, _)| other != visitor);
    }

    /// Whether a visitor has logged in, not too long ago.
    pub(super) fn has(&self, visitor: &Visitor, now: Duration) -> bool {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|(_, since)| now.saturating_sub(*since) < LASTS);
        let is = |other: &Visitor| bool::from(other.0.as_bytes().ct_eq(visitor.0.as_bytes()));
        known.iter().any(|(other, _)| is(other))
    }

    /// What a form of this visitor must hold.
    pub(super) fn proof(&self, visitor: &Visitor) -> String {
        self.key.hex(visitor.0.as_bytes())
    }

    /// Whether a form holds it.
    pub(super) fn is_proof(&self, visitor: &Visitor, given: &str) -> bool {
        bool::from(self.proof(visitor).as_bytes().ct_eq(given.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;

    #[test]
    fn sessions_end_and_are_bounded() {
        let (sessions, ids) = (Sessions::new(7), Ids::seeded(1));
        let first = Visitor::new(&ids).unwrap();
        assert!(!sessions.has(&first, Duration::ZERO));
        sessions.open(first.clone(), Duration::ZERO);
        assert!(sessions.has(&first, LASTS / 2));
        assert!(!sessions.has(&first, LASTS));
        for _ in 0..2 * MAX_SESSIONS {
            sessions.open(Visitor::new(&ids).unwrap(), LASTS);
        }
        assert_eq!(sessions.known.lock().unwrap().len(), MAX_SESSIONS);
    }

    #[test]
    fn a_proof_is_of_one_visitor_and_one_start() {
        let (sessions, ids) = (Sessions::new(7), Ids::seeded(1));
        let (one, other) = (Visitor::new(&ids).unwrap(), Visitor::new(&ids).unwrap());
        let proof = sessions.proof(&one);
        assert!(sessions.is_proof(&one, &proof));
        assert!(!sessions.is_proof(&other, &proof) && !sessions.is_proof(&one, ""));
        assert!(!Sessions::new(8).is_proof(&one, &proof));
    }

    #[test]
    fn a_cookie_of_another_form_names_nobody() {
        let digits = "0123456789abcdef".repeat(2);
        assert_eq!(Visitor::named(&digits).unwrap().text(), digits);
        for text in [
            "",
            "0123",
            &digits.to_uppercase(),
            &"g".repeat(32),
            &"0".repeat(33),
        ] {
            assert_eq!(Visitor::named(text), None, "{text}");
        }
    }
}
