//! What was done to servers so far, and what they must not have done.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::ledger::Violations;

/// The faults that were injected so far.
#[derive(Clone, Debug, Default)]
pub struct Done {
    /// Kills by SIGKILL.
    pub kills: u64,
    /// Owners that were killed with their directory.
    pub machines_lost: u64,
    /// Pauses by SIGSTOP and SIGCONT.
    pub pauses: u64,
    /// Stops by SIGTERM.
    pub stops: u64,
    /// Outages of the lake.
    pub outages: u64,
    /// Outages in which the log filled up and was emptied again.
    pub full_logs: u64,
    /// How often another node owned the log after its owner was away.
    pub takeovers: u64,
    /// Longest time from the fault until another node owned the log.
    pub longest_takeover: Duration,
    /// Longest time from a start until the server was ready.
    pub longest_ready: Duration,
    /// What the server must not have done.
    pub violations: Violations,
}

/// The same, counted by several tasks.
#[derive(Debug, Default)]
pub struct Tally(Mutex<Done>);

impl Tally {
    /// The faults so far.
    pub fn done(&self) -> Done {
        self.with(|done| done.clone())
    }

    /// Changes the counts.
    pub fn with<T>(&self, change: impl FnOnce(&mut Done) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Adds a violation by a server.
    pub fn violation(&self, life: &str, found: String) {
        self.with(|done| done.violations.add(life, "", found));
    }

    /// Notes how long a server took until it was ready.
    pub fn ready(&self, took: Duration) {
        self.with(|done| done.longest_ready = done.longest_ready.max(took));
    }

    /// Counts a takeover.
    pub fn taken_over(&self, took: Duration) {
        self.with(|done| {
            done.takeovers += 1;
            done.longest_takeover = done.longest_takeover.max(took);
        });
    }
}
