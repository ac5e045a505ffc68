//! A shape that grows while records are read: one for each stream without a schema, shared by those who read
//! records and those who write objects.
//!
//! What has grown is written down durably before rows are logged that need it ([`LiveShape::keep`]), and types
//! are settled before an object is written ([`LiveShape::settle`]), as they were proposed to others before
//! ([`LiveShape::proposed`]). A crash between leaves columns without rows, which harm nobody.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::sync::{Mutex, PoisonError, RwLock};

use super::shape::{FoundColumn, Noted, Settled, Shape};

/// Writes the columns of a shape down, durably.
pub type Keep = Box<dyn Fn(&[FoundColumn]) -> io::Result<()> + Send + Sync>;

/// A shape that grows.
pub struct LiveShape {
    state: RwLock<State>,
    /// The number of the state that was written down last.
    kept: Mutex<u64>,
    keep: Keep,
}

#[derive(Debug, Default)]
struct State {
    shape: Shape,
    /// Counts changes.
    number: u64,
}

impl LiveShape {
    /// A shape as it was written down, and what writes it down from now on.
    pub fn new(shape: Shape, keep: Keep) -> Self {
        Self {
            state: RwLock::new(State { shape, number: 0 }),
            kept: Mutex::new(0),
            keep,
        }
    }

    /// Keeps a name for a column of another kind.
    pub fn reserve(&self, name: &str) {
        self.change(|shape| {
            shape.reserve(name);
            false
        });
    }

    /// Notes the members of a record, which grow the shape where that is needed. Returns the columns that one of
    /// the values does not fit.
    pub fn note<'m>(
        &self,
        members: &(impl Iterator<Item = (Cow<'m, str>, &'m str)> + Clone),
    ) -> Vec<u32> {
        let mut unfit = Vec::new();
        let mut grows = false;
        {
            let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
            let mut next = 0;
            for (name, raw) in members.clone() {
                match state.shape.look_from(&mut next, &name, raw) {
                    Noted::Fits => {}
                    Noted::Grows => grows = true,
                    Noted::Unfit(column) => unfit.push(column),
                }
            }
        }
        if grows {
            self.change(|shape| {
                let mut has_grown = false;
                for (name, raw) in members.clone() {
                    has_grown |= shape.grow(&name, raw) == Noted::Grows;
                }
                has_grown
            });
        }
        unfit
    }

    /// Name and type of a column, for messages.
    pub fn column(&self, index: u32) -> Option<FoundColumn> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        state.shape.columns().get(index as usize).cloned()
    }

    /// The shape as it is now.
    pub fn shape(&self) -> Shape {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        state.shape.clone()
    }

    /// Takes over columns that objects of the lake have; [`LiveShape::keep`] writes them down.
    pub fn adopt(&self, columns: &[FoundColumn]) {
        self.change(|shape| shape.adopt(columns));
    }

    /// Writes down durably what has changed since the last time.
    pub fn keep(&self) -> io::Result<()> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let (columns, number) = {
            let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
            if state.number == *kept {
                return Ok(());
            }
            (state.shape.columns().to_vec(), state.number)
        };
        (self.keep)(&columns)?;
        *kept = number;
        Ok(())
    }

    /// The shape as it would be if all types were settled now. Nothing is settled by that: others may have to
    /// agree first.
    pub fn proposed(&self, settled: Settled) -> Shape {
        let mut shape = self.shape();
        shape.settle(settled);
        shape
    }

    /// Settles the types of the columns of a shape that was proposed, durably: an object with these columns is about
    /// to be written. What was found meanwhile is not settled, and a type that has widened is that of the shape
    /// again.
    pub fn settle(&self, shape: &Shape) -> io::Result<()> {
        self.adopt(shape.columns());
        self.keep()
    }

    /// Changes the shape, and counts that if `change` says that it has changed.
    fn change(&self, change: impl FnOnce(&mut Shape) -> bool) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if change(&mut state.shape) {
            state.number += 1;
        }
    }
}

impl fmt::Debug for LiveShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        state.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use std::sync::Arc;

    use super::*;

    fn members<'a>(
        values: &'a [(&'a str, &'a str)],
    ) -> impl Iterator<Item = (Cow<'a, str>, &'a str)> + Clone {
        values
            .iter()
            .map(|(name, raw)| (Cow::Borrowed(*name), *raw))
    }

    #[test]
    fn what_has_grown_is_written_down_once_and_a_failure_is_made_up_for() {
        let written = Arc::new(Mutex::new((Vec::new(), true)));
        let into = Arc::clone(&written);
        let shape = LiveShape::new(
            Shape::default(),
            Box::new(move |columns: &[FoundColumn]| {
                let mut into = into.lock().unwrap();
                if into.1 {
                    return Err(io::Error::other("full"));
                }
                into.0.push(columns.len());
                Ok(())
            }),
        );
        shape.keep().unwrap();
        shape.note(&members(&[("a", "1"), ("b", "null")]));
        assert!(shape.keep().is_err());
        written.lock().unwrap().1 = false;
        shape.keep().unwrap();
        shape.keep().unwrap();
        shape.note(&members(&[("a", "2"), ("b", "null")]));
        shape.keep().unwrap();
        assert_eq!(written.lock().unwrap().0, [1]);
        let proposed = shape.proposed(Settled::Yes);
        assert_eq!(proposed.columns()[0].settled, Settled::Yes);
        // Nothing is settled until then, and what has widened meanwhile is settled as it was proposed.
        assert!(shape.note(&members(&[("a", "1.5")])).is_empty());
        shape.settle(&proposed).unwrap();
        assert_eq!(shape.note(&members(&[("a", "\"x\""), ("b", "1")])), [0]);
        shape.settle(&shape.proposed(Settled::Yes)).unwrap();
        assert_eq!(written.lock().unwrap().0, [1, 1, 2]);
        assert_eq!(shape.column(0).unwrap().kind.to_string(), "integer");
    }
}
