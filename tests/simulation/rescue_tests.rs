//! Logs that cannot go on: whatever is damaged, every row that can be read gets into the lake exactly once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use lakehook::ids::Ids;
use lakehook::wal::layout::BLOCK;
use lakehook::wal::recover::OpenError;
use lakehook::wal::rescue::{RescueError, finish, rebuild, survey};

use crate::chance::{Chance, mix};
use crate::damage_tests::{copy_of, grown, segments};
use crate::disk::Crash;
use crate::oracle;
use crate::store::SimStore;
use crate::world::{WAL, World};

/// A log some of whose batches are in the lake, with and without a commit.
fn partly_shipped(seed: u64) -> World {
    let mut world = grown(seed, false);
    let mut chance = Chance::new(seed);
    for _ in 0..4 {
        world.ship(1 + chance.index(3)).unwrap();
        world.turn().unwrap();
        world.submit();
        world.turn().unwrap();
    }
    // These batches are put, but the log does not know it.
    world.ship(2).unwrap();
    world
}

fn fork(world: &World) -> World {
    let mut fork = copy_of(world);
    fork.store = SimStore::new(fork.disk.clone(), 0);
    for (key, object) in world.store.objects() {
        fork.store.plant(&key, object);
    }
    // A rescue makes another node id, whatever seed made the first one.
    fork.ids = Ids::seeded(0x7e5c);
    fork
}

/// How often each row is in the lake.
fn in_lake(world: &World) -> BTreeMap<Vec<u8>, usize> {
    let mut rows = BTreeMap::new();
    for object in oracle::objects(world).unwrap() {
        for (_, row) in object.rows {
            *rows.entry(row).or_default() += 1;
        }
    }
    rows
}

/// All rows that the log and the lake hold together, by LSN.
fn everything(world: &World) -> BTreeMap<u64, Vec<u8>> {
    let dir = Path::new(WAL);
    let surveyed = survey(&world.disk, dir).unwrap();
    assert!(surveyed.damaged.is_empty(), "{:?}", surveyed.damaged);
    let mut all: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
    for object in oracle::objects(world).unwrap() {
        all.extend(object.rows);
    }
    surveyed
        .each_unshipped(&world.disk, dir, &mut |row| {
            all.insert(row.lsn.0, row.row.bytes.to_vec());
            Ok(())
        })
        .unwrap();
    all
}

/// The result of one attempt.
enum Attempt {
    /// The log was replaced; these LSNs can no longer be read.
    Rescued(BTreeSet<u64>),
    /// There was nothing to repair.
    Sound,
    /// A crash cut the attempt short.
    Crashed,
}

fn attempt(world: &World, adopt: bool) -> Attempt {
    let dir = Path::new(WAL);
    match finish(&world.disk, dir) {
        Ok(true) => return Attempt::Sound,
        Ok(false) => {}
        Err(_) => return Attempt::Crashed,
    }
    let Ok(surveyed) = survey(&world.disk, dir) else {
        return Attempt::Crashed;
    };
    if surveyed.damaged.is_empty() && !adopt {
        return Attempt::Sound;
    }
    let there: BTreeMap<u64, Vec<u8>> = oracle::objects(world)
        .unwrap()
        .into_iter()
        .flat_map(|object| object.rows)
        .collect();
    let unread = surveyed.unread.iter().cloned().flatten();
    let before = surveyed.unread_before.map_or(1, |lsn| lsn.0);
    let from = surveyed
        .unread_from
        .map_or(0..0, |lsn| lsn.0..lsn.0 + 10_000);
    let lost = unread
        .chain(1..before)
        .chain(from)
        .filter(|lsn| !there.contains_key(lsn));
    let rebuilt = rebuild(
        &world.disk,
        dir,
        &surveyed,
        &world.shape.settings,
        (&world.clock, &world.ids),
        &mut |row| {
            there
                .get(&row.lsn.0)
                .is_some_and(|there| there == row.row.bytes)
        },
        &mut |_| Ok(()),
    );
    match rebuilt.and_then(|_| Ok(finish(&world.disk, dir)?)) {
        Ok(_) => Attempt::Rescued(lost.collect()),
        Err(RescueError::Io(_) | RescueError::Open(_) | RescueError::Write(_)) => Attempt::Crashed,
        // After a crash of the disk there is no room either.
        Err(RescueError::Append(_)) if world.disk.has_crashed() => Attempt::Crashed,
        Err(error) => panic!("{error}"),
    }
}

/// Starts the log, ships everything, and compares the lake with the rows that there were before.
fn judge(world: &mut World, all: &BTreeMap<u64, Vec<u8>>, lost: &BTreeSet<u64>, what: &str) {
    world.restart(Crash::Power).unwrap();
    world.drain().unwrap();
    let mut there = in_lake(world);
    for (lsn, row) in all {
        let count = there.remove(row).unwrap_or(0);
        let expected = usize::from(!lost.contains(lsn));
        assert_eq!(count, expected, "{what}: LSN {lsn}, lost are {lost:?}");
    }
    assert!(
        there.is_empty(),
        "{what}: {} rows from nowhere",
        there.len()
    );
}

#[test]
fn whatever_is_damaged_the_rest_arrives_once() {
    let (mut repaired, mut lost_rows) = (0, 0);
    for seed in 0..3 {
        let mut world = partly_shipped(seed);
        world.stop();
        world.disk.restart(Crash::Kill);
        let all = everything(&world);
        for path in segments(&world) {
            let bytes = world.disk.tree(Path::new(WAL))[&path].len() as u64;
            for block in 0..bytes / BLOCK {
                let mut copy = fork(&world);
                let at = block * BLOCK + mix(seed ^ block) % 96;
                copy.disk.flip(&path, usize::try_from(at).unwrap(), 1);
                let what = format!("seed {seed}, {} byte {at}", path.display());
                match attempt(&copy, false) {
                    Attempt::Rescued(lost) => {
                        judge(&mut copy, &all, &lost, &what);
                        repaired += 1;
                        lost_rows += all.keys().filter(|lsn| lost.contains(lsn)).count();
                    }
                    // If a repair has nothing to do, the log must open.
                    _ => drop(copy.open().map_err(|error| panic!("{what}: {error}"))),
                }
            }
            // Nothing tells that the newest segment ever existed.
            if Some(&path) == segments(&world).last() {
                continue;
            }
            let mut copy = fork(&world);
            copy.disk.vanish(&path);
            if let Attempt::Rescued(lost) = attempt(&copy, false) {
                let what = format!("seed {seed}, without {}", path.display());
                judge(&mut copy, &all, &lost, &what);
                repaired += 1;
            }
        }
    }
    assert!(repaired > 100 && lost_rows > 100, "{repaired} {lost_rows}");
}

#[test]
fn a_log_that_is_adopted_loses_nothing_and_repeats_nothing() {
    for seed in 0..10 {
        let mut world = partly_shipped(seed);
        world.stop();
        world.disk.restart(Crash::Kill);
        let all = everything(&world);
        let Attempt::Rescued(lost) = attempt(&world, true) else {
            panic!("it was not adopted");
        };
        assert!(lost.is_empty());
        judge(&mut world, &all, &lost, &format!("seed {seed}"));
    }
}

/// A crash at every operation of a repair, both by kill and by power cut.
#[test]
fn a_repair_can_be_cut_short_anywhere() {
    let mut world = partly_shipped(7);
    world.stop();
    world.disk.restart(Crash::Kill);
    let all = everything(&world);
    let oldest = segments(&world).remove(0);
    world.disk.flip(&oldest, 4096 + 80, 3);
    let mut unfinished = 0;
    for crash in [Crash::Kill, Crash::Power] {
        for after in 1.. {
            let mut copy = fork(&world);
            let at = copy.disk.ops() + after;
            copy.disk.faults(|faults| faults.crash_at = Some(at));
            let first = attempt(&copy, false);
            copy.disk.restart(crash);
            copy.disk.faults(|faults| faults.crash_at = None);
            let what = format!("{crash:?} after {after} operations");
            if let Attempt::Rescued(lost) = first {
                assert!(after > 30, "{what}");
                judge(&mut copy, &all, &lost, &what);
                break;
            }
            // If the files were being exchanged already, that is completed, and the losses are those of the
            // first attempt.
            let lost = match copy.open() {
                Ok(_) => survey_lost(&world),
                Err(refused) => {
                    unfinished += u32::from(matches!(refused, OpenError::Unfinished { .. }));
                    match attempt(&copy, false) {
                        Attempt::Rescued(lost) => lost,
                        _ => survey_lost(&world),
                    }
                }
            };
            judge(&mut copy, &all, &lost, &what);
        }
    }
    assert!(unfinished > 20, "{unfinished}");
}

fn survey_lost(world: &World) -> BTreeSet<u64> {
    match attempt(&fork(world), false) {
        Attempt::Rescued(lost) => lost,
        _ => panic!("it was not repaired"),
    }
}

/// There are more rows than one piece holds, and id files that would be merged while they are written. No row
/// may be taken for a repetition.
#[test]
fn a_long_backlog_is_kept_whole() {
    let mut world = partly_shipped(3);
    world.shape.settings.ids_per_file = 400;
    for _ in 0..60 {
        for _ in 0..4 {
            world.submit();
        }
        while !world.node.as_ref().unwrap().jobs.is_empty() {
            world.turn().unwrap();
        }
    }
    world.stop();
    world.disk.restart(Crash::Kill);
    let all = everything(&world);
    assert!(
        segments(&world).len() > 6 && all.len() > 800,
        "{}",
        all.len()
    );
    let Attempt::Rescued(lost) = attempt(&world, true) else {
        panic!("it was not adopted");
    };
    assert!(lost.is_empty());
    judge(&mut world, &all, &lost, "a long backlog");
    let most = world.shape.settings.limits.max_records;
    for object in oracle::objects(&world).unwrap() {
        assert!(object.rows.len() as u64 <= most, "{}", object.rows.len());
    }
}

/// A log of which only id files are left is not empty, and must not begin again under the same name.
#[test]
fn a_log_that_has_lost_every_segment_is_refused_and_repaired() {
    let mut world = partly_shipped(5);
    world.stop();
    world.disk.restart(Crash::Kill);
    let shipped = in_lake(&world);
    for path in segments(&world) {
        world.disk.vanish(&path);
    }
    let refused = world.open().map(drop);
    assert!(
        matches!(refused, Err(OpenError::Missing { .. })),
        "{refused:?}"
    );
    assert!(matches!(attempt(&world, false), Attempt::Rescued(_)));
    world.restart(Crash::Kill).unwrap();
    world.drain().unwrap();
    assert_eq!(in_lake(&world), shipped);
}
