//! Checking a signature while the body arrives, without keeping the body.

use super::algorithm::{SigningKey, Work};
use super::scheme::{Claim, Scheme, Unsigned};
use super::template::{Message, Part};

/// A signature that is being checked over a body that arrives in pieces.
pub struct Streamed<'s> {
    scheme: &'s Scheme,
    claim: &'s Claim<'s>,
    message: Message<'s>,
    work: Vec<Work<'s>>,
}

impl<'s> Streamed<'s> {
    /// Begins with a message, whose body is passed later. `None` if the scheme needs the whole body at once.
    pub fn begin(
        scheme: &'s Scheme,
        keys: impl IntoIterator<Item = &'s SigningKey>,
        claim: &'s Claim<'s>,
        message: Message<'s>,
    ) -> Option<Self> {
        if !scheme.template.has(&Part::Body) {
            return None;
        }
        let mut streamed = Self {
            scheme,
            claim,
            message,
            work: Vec::new(),
        };
        for key in keys {
            if !key.streams() {
                return None;
            }
            streamed.work.push(key.begin());
        }
        streamed.feed(|parts| parts.split(is_body).next());
        Some(streamed)
    }

    /// Takes the next bytes of the body.
    pub fn body(&mut self, bytes: &[u8]) {
        for work in &mut self.work {
            work.update(bytes);
        }
    }

    /// Decides, once the body has ended.
    pub fn finish(mut self) -> Result<(), Unsigned> {
        self.feed(|parts| parts.split(is_body).nth(1));
        let mut found = false;
        for work in self.work {
            found |= self.claim.holds(work);
        }
        found.then_some(()).ok_or(Unsigned::Invalid)
    }

    /// Feeds the parts on one side of the body.
    fn feed(&mut self, side: impl Fn(&'s [Part]) -> Option<&'s [Part]>) {
        let parts = side(self.scheme.template.parts()).unwrap_or_default();
        for work in &mut self.work {
            for part in parts {
                let mut take = |bytes: &[u8]| work.update(bytes);
                part.feed(&self.message, &self.claim.named(), &mut take);
            }
        }
    }
}

fn is_body(part: &Part) -> bool {
    *part == Part::Body
}
