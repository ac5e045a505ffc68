//! The way from the log to the lake: what a simulated node ships, and what must hold once it is committed.

use std::path::Path;
use std::time::Duration;

use lakehook::lake::LakeError;
use lakehook::ship::{ShipError, Shipment};
use lakehook::wal::entry::Commit;
use lakehook::wal::log::OWNED_FOR;
use lakehook::wal::request::Request;
use lakehook::wal::state::SealAt;

use crate::disk::Crash;
use crate::polls::PollTicket;
use crate::shape::Planted;
use crate::world::{LAKE, Ticket, Violation, World, internal};

impl World {
    /// Checks that a committed batch is in the lake for good.
    pub(crate) fn check_committed(&mut self, seal: u64) -> Result<(), Violation> {
        self.committed.entry(seal).or_default();
        if !self.shape.directory || self.disk.all_is_durable(Path::new(LAKE)) {
            return Ok(());
        }
        let paths = self.disk.not_durable(Path::new(LAKE));
        for path in paths.iter().filter(|path| !path.starts_with(internal())) {
            if self.seal_of_object(path) == Some(seal) {
                let path = path.display();
                return Err(format!(
                    "seal {seal} is committed, and {path} is not durable"
                ));
            }
        }
        Ok(())
    }

    /// The seal of an object in the directory, according to its sidecar.
    fn seal_of_object(&self, path: &Path) -> Option<u64> {
        let key = path.strip_prefix(LAKE).ok()?;
        let sidecar = internal()
            .join("meta")
            .join(format!("{}.json", key.display()));
        let text = lakehook::files::read_whole(&self.disk, &sidecar, 1 << 20).ok()?;
        let value: serde_json::Value = serde_json::from_slice(&text).ok()?;
        value["metadata"]["lakehook-seal"].as_str()?.parse().ok()
    }

    /// Tries to ship up to `at_once` batches, in any order, and queues their commits.
    pub(crate) fn ship(&mut self, at_once: usize) -> Result<(), Violation> {
        self.prove()?;
        // After a fatal error the process ends. Seals in the frame that failed do not count.
        let Some(node) = self.node.as_mut().filter(|node| !node.fatal) else {
            return Ok(());
        };
        let sealed: Vec<(u64, SealAt)> = {
            let sealed = node.writer.state().sealed.iter();
            let waiting = sealed.filter(|(number, _)| !node.committing.contains(number));
            waiting
                .map(|(number, sealed)| (*number, sealed.at))
                .collect()
        };
        let complete = node.writer.state().runs.ended();
        let early = self.shape.planted == Planted::EarlyMarker;
        let complete: Vec<_> = complete
            .filter(|(_, ended)| ended.is_complete() || early)
            .map(|(run, ended)| (run, ended.at))
            .collect();
        for (run, at) in complete {
            let outcome = node.shipper.publish(run, at);
            match &outcome {
                Ok(()) => {
                    let ticket = Ticket::Poll(PollTicket::Published);
                    node.jobs.push_back((Request::Published(run), ticket));
                }
                Err(
                    ShipError::Lake(LakeError::Retry { .. })
                    | ShipError::Spool(_)
                    | ShipError::NotOurs,
                ) => {}
                Err(_) if self.disk.has_crashed() => {}
                Err(error) => return Err(format!("marker of run {run}: {error}")),
            }
        }
        let mut waiting = sealed;
        for _ in 0..at_once {
            if waiting.is_empty() {
                break;
            }
            let (number, at) = waiting.swap_remove(self.chance.index(waiting.len()));
            self.ship_one(number, at)?;
        }
        Ok(())
    }

    /// The owner of a replicated log writes something before it puts an object, if it has not done so for long.
    fn prove(&mut self) -> Result<(), Violation> {
        if !self.shape.is_replicated() || self.shape.planted == Planted::StaleOwner {
            return Ok(());
        }
        let now = self.clock.boot();
        let Some(node) = self.node.as_mut().filter(|node| !node.fatal) else {
            return Ok(());
        };
        if now.saturating_sub(node.writer.owned_at()) < OWNED_FOR {
            return Ok(());
        }
        node.jobs.push_back((Request::Prove, Ticket::Flush));
        self.turn()
    }

    fn ship_one(&mut self, number: u64, at: SealAt) -> Result<(), Violation> {
        let Some(node) = &mut self.node else {
            return Ok(());
        };
        let shipment = node.shipments.entry(number);
        let shipment = shipment.or_insert_with(|| Shipment::new(number, at));
        let outcome = if self.shape.planted == Planted::EarlyCommit {
            Ok(Commit {
                seal: number,
                ..Commit::default()
            })
        } else {
            node.shipper.attempt(shipment)
        };
        match &outcome {
            Ok(commit) => {
                node.committing.insert(number);
                let job = (Request::Commit(*commit), Ticket::Commit(number));
                node.jobs.push_back(job);
            }
            Err(
                ShipError::Lake(LakeError::Retry { .. }) | ShipError::Spool(_) | ShipError::NotOurs,
            ) => {}
            Err(_) if self.disk.has_crashed() => {}
            Err(error) => return Err(format!("seal {number}: {error}")),
        }
        self.note(|| format!("ship {number}: {outcome:?}"));
        Ok(())
    }

    /// Now and then delivers requests that were on their way.
    pub(crate) fn store_time(&mut self) {
        if self.chance.percent(30) {
            self.store.deliver_late();
        }
    }

    /// Seals, ships and commits everything, without faults.
    pub(crate) fn drain(&mut self) -> Result<(), Violation> {
        self.calm();
        self.store.deliver_late();
        self.engine.deliver_late();
        if self.is_down() {
            self.restart(Crash::Kill)?;
        }
        for _ in 0..200 {
            // A fence that arrived late takes the log away from a node that is fine.
            if self.shape.is_replicated() && self.is_down() {
                self.restart(Crash::Kill)?;
            }
            if let (Some((request, ticket)), Some(node)) = (self.polls.give_up(), &mut self.node) {
                node.jobs.push_back((request, Ticket::Poll(ticket)));
            }
            self.clock.advance(Duration::from_secs(2));
            self.flush();
            self.turn()?;
            self.ship(usize::MAX)?;
            self.turn()?;
            let Some(node) = &self.node else {
                break;
            };
            let state = node.writer.state();
            let open = state.batches.open().count();
            let published = state.runs.ended().next().is_none();
            if open == 0 && state.sealed.is_empty() && published && node.jobs.is_empty() {
                return Ok(());
            }
        }
        Err("not everything could be shipped".to_owned())
    }
}
