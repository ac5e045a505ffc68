//! Collects what the judge finds wrong.
//!
//! The fast pass only needs to know that something is wrong; the slow pass lists the errors, up to a bound. So
//! faults are passed as closures, which only the slow pass evaluates.

use crate::quarantine::FieldError;

/// A collection of faults.
pub(super) trait Faults {
    /// Adds a fault. The pointer is relative to the event.
    fn add(
        &mut self,
        code: &'static str,
        pointer: impl FnOnce() -> String,
        detail: impl FnOnce() -> String,
    );

    /// The number of faults so far.
    fn total(&self) -> usize;
}

/// Counts faults, for the fast pass.
#[derive(Default)]
pub(super) struct Counted(usize);

impl Faults for Counted {
    fn add(
        &mut self,
        _code: &'static str,
        _pointer: impl FnOnce() -> String,
        _detail: impl FnOnce() -> String,
    ) {
        self.0 += 1;
    }

    fn total(&self) -> usize {
        self.0
    }
}

/// Lists the first faults and counts all, for the slow pass.
#[derive(Debug)]
pub(super) struct Errors {
    prefix: String,
    max_listed: usize,
    listed: Vec<FieldError>,
    total: usize,
}

impl Errors {
    /// Lists at most `max_listed` errors, whose pointers are below `prefix`.
    pub(super) fn below(prefix: String, max_listed: usize) -> Self {
        Self {
            prefix,
            max_listed,
            listed: Vec::new(),
            total: 0,
        }
    }

    /// Appends another list, up to the bound, and adds its count.
    pub(super) fn append(&mut self, other: &Self) {
        let room = self.room().min(other.listed.len());
        self.listed.extend_from_slice(&other.listed[..room]);
        self.total += other.total;
    }

    /// How many more errors can be listed.
    pub(super) fn room(&self) -> usize {
        self.max_listed - self.listed.len()
    }

    /// Sorts the listed errors by their pointers.
    pub(super) fn sort(&mut self) {
        self.listed.sort();
    }

    /// The listed errors.
    pub(super) fn listed(&self) -> &[FieldError] {
        &self.listed
    }

    /// The listed errors and the total number.
    pub(super) fn into_parts(self) -> (Vec<FieldError>, usize) {
        (self.listed, self.total)
    }
}

impl Faults for Errors {
    fn add(
        &mut self,
        code: &'static str,
        pointer: impl FnOnce() -> String,
        detail: impl FnOnce() -> String,
    ) {
        self.total += 1;
        if self.room() > 0 {
            let pointer = format!("{}{}", self.prefix, pointer());
            let detail = detail();
            self.listed.push(FieldError {
                pointer,
                code,
                detail,
            });
        }
    }

    fn total(&self) -> usize {
        self.total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_errors_are_listed_and_all_are_counted() {
        let mut all = Errors::below(String::new(), 3);
        for event in 0..2 {
            let mut errors = Errors::below(format!("/events/{event}"), all.room());
            errors.add("b", || "/b".to_owned(), String::new);
            errors.add("a", || "/a".to_owned(), String::new);
            errors.sort();
            all.append(&errors);
        }
        let (listed, total) = all.into_parts();
        let pointers: Vec<&str> = listed.iter().map(|error| &*error.pointer).collect();
        assert_eq!(pointers, ["/events/0/a", "/events/0/b", "/events/1/b"]);
        assert_eq!(total, 4);
    }
}
