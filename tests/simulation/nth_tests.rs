//! The N-th operation fails, or is the last one before a crash, for N = 1, 2, 3 … until a whole life of a log
//! has no such operation any more.

use std::io::ErrorKind;
use std::time::Duration;

use lakehook::codec::Codec;
use lakehook::lake::Trouble;
use lakehook::wal::request::Packing;

use crate::disk::{Crash, Fault, Op};
use crate::oracle;
use crate::shape::{JournalKind, Shape};
use crate::store::StoreFault;
use crate::world::{Violation, World};

/// Where the lake and the log are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Directory,
    Store,
    /// A store, with a journal in memory.
    Memory,
    /// A store, with a journal in an engine.
    Replica,
}

fn fresh(seed: u64, kind: Kind) -> World {
    let mut shape = Shape::small(kind == Kind::Directory);
    shape.settings.limits.max_age = Duration::from_secs(3);
    if kind == Kind::Directory {
        // Packed sections in one kind of world, rows as they are in the others.
        "ndjson.zst".clone_into(&mut shape.settings.format);
        shape.settings.packing = Some(Packing {
            codec: Codec::Zst,
            least_bytes: 0,
            most_bytes: 2000,
        });
    }
    if matches!(kind, Kind::Memory | Kind::Replica) {
        shape.journal = match kind {
            Kind::Replica => JournalKind::Replica,
            _ => JournalKind::Memory,
        };
        // Frames are not padded there, so that a segment would last for the whole life.
        shape.settings.segment_bytes = 2 << 10;
    }
    World::new(seed, shape)
}

/// A short life in which everything happens: starts, polls, new segments, seals, objects, commits, trims, a
/// clean end.
fn live(world: &mut World) -> Result<(), Violation> {
    world.restart(Crash::Kill)?;
    for turn in 0..9 {
        for _ in 0..3 {
            world.submit();
        }
        if world.shape.journal != JournalKind::Files {
            world.poll()?;
        }
        world.turn()?;
        if turn % 3 == 2 {
            world.flush();
            world.turn()?;
            world.ship(usize::MAX)?;
            world.turn()?;
        }
        world.clock.advance(Duration::from_secs(2));
        if world.is_down() {
            return Ok(());
        }
    }
    world.ship(usize::MAX)?;
    world.turn()?;
    world.close();
    Ok(())
}

/// Checks that after a start without faults everything acknowledged is there.
fn recover(world: &mut World, crash: Crash) -> Result<(), Violation> {
    world.calm();
    world.restart(crash)?;
    world.drain()?;
    oracle::check(world)
}

fn crash_everywhere(kind: Kind, crash: Crash) {
    for at in 1.. {
        let mut world = fresh(at, kind);
        world.faults_on = true;
        world.disk.faults(|faults| faults.crash_at = Some(at));
        let outcome = live_until_crash(&mut world).and_then(|untouched| {
            recover(&mut world, crash)?;
            Ok(untouched)
        });
        match outcome {
            Ok(false) => {}
            Ok(true) => return assert!(at > 30, "the life is too short: {at}"),
            Err(violation) => panic!("{kind:?}, {crash:?} at operation {at}: {violation}"),
        }
    }
}

/// Runs a life; returns whether there was no crash.
fn live_until_crash(world: &mut World) -> Result<bool, Violation> {
    if world.open().is_err() {
        return Ok(false);
    }
    live_on(world)?;
    Ok(!world.disk.has_crashed())
}

fn live_on(world: &mut World) -> Result<(), Violation> {
    for _ in 0..6 {
        for _ in 0..3 {
            world.submit();
        }
        world.turn()?;
        world.flush();
        world.turn()?;
        world.ship(usize::MAX)?;
        world.turn()?;
        world.clock.advance(Duration::from_secs(2));
        if world.is_down() {
            return Ok(());
        }
    }
    world.close();
    Ok(())
}

#[test]
fn a_power_cut_at_every_operation_with_a_directory() {
    crash_everywhere(Kind::Directory, Crash::Power);
}

#[test]
fn a_power_cut_at_every_operation_with_a_store() {
    crash_everywhere(Kind::Store, Crash::Power);
}

#[test]
fn a_power_cut_at_every_operation_with_a_replica() {
    crash_everywhere(Kind::Replica, Crash::Power);
    crash_everywhere(Kind::Replica, Crash::Kill);
}

#[test]
fn a_kill_at_every_operation() {
    crash_everywhere(Kind::Directory, Crash::Kill);
    crash_everywhere(Kind::Store, Crash::Kill);
    crash_everywhere(Kind::Memory, Crash::Kill);
}

fn fail_everywhere(error: ErrorKind, forever: bool) {
    for op in Op::ALL {
        for kind in [Kind::Directory, Kind::Store] {
            fail_each(kind, op, error, forever);
        }
    }
}

fn fail_each(kind: Kind, op: Op, error: ErrorKind, forever: bool) {
    for after in 0.. {
        {
            let mut world = fresh(after, kind);
            world.faults_on = true;
            // A batch that no seal can be written for grows older than it may be.
            world.disk_fails = true;
            let fault = Fault {
                op: Some(op),
                on: "",
                after,
                kind: error,
                forever,
            };
            world.disk.faults(|faults| faults.planned.push(fault));
            let lived = live(&mut world);
            let untouched = world.disk.count(op) <= after;
            let crash = [Crash::Kill, Crash::Power][usize::from(after % 2 == 0)];
            if let Err(violation) = lived.and_then(|()| recover(&mut world, crash)) {
                panic!(
                    "{kind:?}: {op:?} {after} fails with {error}, forever: {forever}: {violation}"
                );
            }
            if untouched {
                break;
            }
        }
    }
}

#[test]
fn every_operation_fails_once() {
    fail_everywhere(ErrorKind::Other, false);
}

#[test]
fn every_operation_fails_for_good() {
    fail_everywhere(ErrorKind::Other, true);
}

#[test]
fn every_operation_finds_the_disk_full_once() {
    fail_everywhere(ErrorKind::StorageFull, false);
}

#[test]
fn every_operation_finds_the_disk_full_for_good() {
    fail_everywhere(ErrorKind::StorageFull, true);
}

#[test]
fn every_frame_of_a_journal_in_memory_fails() {
    for forever in [false, true] {
        fail_each(Kind::Memory, Op::Write, ErrorKind::StorageFull, forever);
        fail_each(Kind::Memory, Op::Write, ErrorKind::Other, forever);
    }
}

#[test]
fn every_operation_of_a_replica_fails() {
    for op in Op::ALL {
        for error in [ErrorKind::StorageFull, ErrorKind::Other] {
            fail_each(Kind::Replica, op, error, false);
            fail_each(Kind::Replica, op, error, true);
        }
    }
}

/// Gives these faults to every put of an object in turn, until a life has no such put any more.
fn put_fails_everywhere(faults: &[StoreFault]) {
    for fault in faults {
        for forever in [false, true] {
            for after in 0.. {
                let times = if forever { 500 } else { 1 };
                let mut world = fresh(after, Kind::Store);
                world.faults_on = true;
                let mut script = vec![None; usize::try_from(after).unwrap()];
                script.extend(vec![Some(*fault); times]);
                world.store.faults(|faults| faults.script = script);
                let lived = live(&mut world);
                let mut left = 0;
                world.store.faults(|faults| left = faults.script.len());
                let crash = [Crash::Kill, Crash::Power][usize::from(after % 2 == 0)];
                if let Err(violation) = lived.and_then(|()| recover(&mut world, crash)) {
                    panic!("put {after}, {fault:?}, forever: {forever}: {violation}");
                }
                if left >= times {
                    assert!(after > 5, "only {after} puts");
                    break;
                }
            }
        }
    }
}

#[test]
fn every_put_fails() {
    put_fails_everywhere(&Trouble::ALL.map(StoreFault::Refused));
}

#[test]
fn every_put_gets_no_answer_or_acts_late() {
    put_fails_everywhere(&[StoreFault::LostAnswer, StoreFault::Late]);
}
