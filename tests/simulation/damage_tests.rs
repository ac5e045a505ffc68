//! Damage and torn tails: found, told apart, and never silently wrong.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use lakehook::wal::layout::segment_path;
use lakehook::wal::recover::{OpenError, Recovered};

use crate::chance::mix;
use crate::disk::{Crash, Fault, Op};
use crate::oracle;
use crate::senders::Outcome;
use crate::shape::Shape;
use crate::store::SimStore;
use crate::world::{WAL, World};

/// A log of some segments, nothing of it in the lake.
pub(crate) fn grown(seed: u64, closed: bool) -> World {
    let mut shape = Shape::small(false);
    shape.settings.limits.max_records = 10;
    shape.settings.limits.max_waiting_seals = 1000;
    let mut world = World::new(seed, shape);
    world.restart(Crash::Kill).unwrap();
    for _ in 0..14 {
        for _ in 0..4 {
            world.submit();
        }
        while !world.node.as_ref().unwrap().jobs.is_empty() {
            world.turn().unwrap();
        }
    }
    if closed {
        world.close();
    }
    world
}

pub(crate) fn segments(world: &World) -> Vec<PathBuf> {
    let files = world.disk.tree(Path::new(WAL)).into_keys();
    files
        .filter(|path| path.extension().is_some_and(|suffix| suffix == "wal"))
        .collect()
}

/// The same world on a copy of its disk, without a process.
pub(crate) fn copy_of(world: &World) -> World {
    let mut copy = World::new(0, world.shape.clone());
    copy.disk = world.disk.fork();
    copy.store = SimStore::new(copy.disk.clone(), 0);
    copy.senders = world.senders.clone();
    copy
}

fn lasting(world: &World) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = world.disk.tree(Path::new(WAL));
    files.retain(|path, _| path.extension().is_none_or(|suffix| suffix != "tmp"));
    files
}

/// Opens a damaged log: `Some` if it was refused, and then nothing may have changed.
fn open(world: &mut World) -> Result<Recovered, OpenError> {
    let before = lasting(world);
    let opened = world.open();
    if opened.is_err() {
        let after = lasting(world);
        for (path, bytes) in before {
            assert!(
                after.get(&path) == Some(&bytes),
                "{} was changed",
                path.display()
            );
        }
    }
    opened
}

/// Flips one bit in every 512 bytes of every file, and calls `judge` for logs that were opened and
/// lack something.
fn flip_everywhere(world: &World, mut judge: impl FnMut(&Path, usize, &Recovered)) -> (u32, u32) {
    let (mut refused, mut harmless) = (0, 0);
    for (path, bytes) in lasting(world) {
        for sector in 0..bytes.len().div_ceil(512) {
            let spread = usize::try_from(mix(sector as u64) % 512).unwrap();
            let at = (sector * 512 + spread).min(bytes.len() - 1);
            let mut copy = copy_of(world);
            copy.disk.flip(&path, at, u8::try_from(spread % 8).unwrap());
            match open(&mut copy) {
                Err(_) => refused += 1,
                Ok(recovered) => {
                    let there = copy
                        .drain()
                        .and_then(|()| oracle::check_acknowledged(&copy));
                    match there {
                        Ok(()) => harmless += 1,
                        Err(_) => judge(&path, at, &recovered),
                    }
                }
            }
        }
    }
    (refused, harmless)
}

#[test]
fn bit_flips_in_a_log_that_was_closed_are_found_or_harmless() {
    let world = grown(1, true);
    assert!(segments(&world).len() > 2);
    let (refused, harmless) = flip_everywhere(&world, |path, at, recovered| {
        panic!("{} byte {at}: {recovered:?}", path.display());
    });
    assert!(refused > 50 && harmless > 50, "{refused} {harmless}");
}

/// Without the note that nothing was in flight, damage to the very last frame looks like a torn tail:
/// it is reported as one, and it is the only one that can cost anything.
#[test]
fn bit_flips_in_a_log_that_was_killed_are_found_or_reported_as_torn() {
    let world = grown(2, false);
    let newest = segments(&world).pop().unwrap();
    let mut torn = 0;
    flip_everywhere(&world, |path, at, recovered| {
        assert_eq!(path, newest, "byte {at}");
        let tail = recovered.torn.as_ref().unwrap();
        assert!(tail.offset <= at as u64);
        torn += 1;
    });
    assert!(torn > 0);
}

#[test]
fn damage_in_the_middle_is_refused_by_name() {
    let world = grown(3, false);
    for number in [1, 2] {
        let path = segment_path(Path::new(WAL), number);
        let mut copy = copy_of(&world);
        copy.disk.flip(&path, 4096 + 80, 3);
        let said = open(&mut copy).unwrap_err().to_string();
        let name = path.display().to_string();
        assert!(
            said.contains(&name) && said.contains("at byte 4096"),
            "{said}"
        );
        assert!(
            said.contains("LSN") && said.contains("Nothing was changed"),
            "{said}"
        );
    }
}

#[test]
fn a_segment_that_is_missing_is_refused_by_name() {
    let world = grown(4, true);
    let path = segment_path(Path::new(WAL), 2);
    let mut copy = copy_of(&world);
    copy.disk.vanish(&path);
    let said = open(&mut copy).unwrap_err().to_string();
    assert!(said.contains(&path.display().to_string()), "{said}");
}

/// A power cut in the middle of a frame: reported, kept aside, and the log goes on.
#[test]
fn a_torn_tail_is_not_damage() {
    let mut torn = 0;
    for seed in 0..60 {
        let mut world = grown(seed, false);
        for _ in 0..10 {
            world.submit();
        }
        let sync = world.disk.ops() + 2;
        world.disk.faults(|faults| faults.crash_at = Some(sync));
        world.turn().unwrap();
        let recovered = world.restart(Crash::Power).unwrap();
        if recovered.torn.is_some() {
            torn += 1;
            let kept = world.disk.tree(Path::new(WAL)).into_keys();
            let kept = kept.filter(|path| path.display().to_string().contains("torn-"));
            assert_eq!(kept.count(), 1);
        }
        world.drain().unwrap();
        oracle::check(&world).unwrap();
    }
    assert!(torn > 10, "{torn}");
}

/// The last acknowledged frame, with one behind it that is torn in every way.
#[test]
fn an_acknowledged_last_frame_survives_whatever_is_torn_behind_it() {
    for seed in 0..100 {
        let mut world = grown(seed, false);
        let acknowledged = world.submit_one();
        world.turn().unwrap();
        world.submit();
        let at = world.disk.ops() + 1 + seed % 4;
        world.disk.faults(|faults| faults.crash_at = Some(at));
        world.turn().unwrap();
        // And a crash while the last frame is being copied.
        world.stop();
        world.disk.restart(Crash::Power);
        let at = world.disk.ops() + 1 + seed % 25;
        world.disk.faults(|faults| faults.crash_at = Some(at));
        let _started_or_crashed = world.open();
        world.restart(Crash::Power).unwrap();
        world.drain().unwrap();
        oracle::check(&world).unwrap();
        let outcome = &world.senders.sent[acknowledged].outcome;
        assert!(matches!(outcome, Outcome::Acknowledged(_)));
    }
}

/// After a failed sync the cache shows the frame and the disk does not have it: a start that trusted
/// the cache would acknowledge a duplicate of nothing.
#[test]
fn a_failed_sync_that_lies_later_costs_nothing() {
    for seed in 0..60 {
        for kind in [ErrorKind::Other, ErrorKind::StorageFull] {
            let mut world = grown(seed, false);
            world.submit();
            world.faults_on = true;
            let fault = Fault {
                op: Some(Op::Sync),
                on: "/data/wal",
                after: 0,
                kind,
                forever: false,
            };
            world.disk.faults(|faults| faults.planned.push(fault));
            world.turn().unwrap();
            world.calm();
            if world.is_down() {
                world.restart(Crash::Kill).unwrap();
            }
            // The same rows again, acknowledged now.
            world.resend_last();
            world.turn().unwrap();
            world.restart(Crash::Power).unwrap();
            world.drain().unwrap();
            oracle::check(&world).unwrap();
        }
    }
}
