//! Damage and torn tails are found, distinguished, and never silently accepted.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use lakehook::wal::layout::segment_path;
use lakehook::wal::recover::{OpenError, Recovered};

use proptest::prelude::*;
use proptest::sample::Index;

use crate::chance::mix;
use crate::disk::{Crash, Fault, Op};
use crate::oracle;
use crate::senders::Outcome;
use crate::shape::Shape;
use crate::store::SimStore;
use crate::world::{WAL, World};

/// A log of a few segments; nothing of it is in the lake yet.
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

/// Opens a damaged log. If that is refused, no file may have changed.
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

/// Flips one bit in every 512 bytes of every file, and calls `judge` for each log that opened although
/// acknowledged rows are missing.
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

/// If the log does not say that nothing was in flight, damage to the very last frame looks like a torn tail
/// and is reported as one. Only damage to that frame can lose anything.
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

/// After a power cut in the middle of a frame, the torn tail is reported and set aside, and the log goes on.
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

/// The last acknowledged frame, followed by one that is torn in every way.
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
        // A crash while the last frame is being copied.
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

/// After a failed sync, reads show the frame although the disk does not have it. A start that trusted these
/// reads would answer `duplicates` for rows that are then lost.
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
            // The same rows are sent again, and acknowledged this time.
            world.resend_last();
            world.turn().unwrap();
            world.restart(Crash::Power).unwrap();
            world.drain().unwrap();
            oracle::check(&world).unwrap();
        }
    }
}

/// Runs this many cases, unless `PROPTEST_CASES` says otherwise.
fn cases(small: u32) -> ProptestConfig {
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => ProptestConfig::default(),
        None => ProptestConfig::with_cases(small),
    }
}

/// A change of a file's bytes: other bytes, a piece that is cut out, repeated or moved, or a missing end.
/// Usually the change hits a part of the file that has frames.
#[derive(Clone, Debug)]
enum Change {
    Set(Index, Vec<u8>),
    Remove(Index, usize),
    Repeat(Index, usize),
    Copy(Index, Index, usize),
    Cut(Index),
}

fn change() -> impl Strategy<Value = Change> {
    let length = prop_oneof![1_usize..64, Just(512), Just(4096)];
    prop_oneof![
        (any::<Index>(), prop::collection::vec(any::<u8>(), 1..16))
            .prop_map(|(at, bytes)| Change::Set(at, bytes)),
        (any::<Index>(), length.clone()).prop_map(|(at, n)| Change::Remove(at, n)),
        (any::<Index>(), length.clone()).prop_map(|(at, n)| Change::Repeat(at, n)),
        (any::<Index>(), any::<Index>(), length).prop_map(|(a, b, n)| Change::Copy(a, b, n)),
        any::<Index>().prop_map(Change::Cut),
    ]
}

/// The bytes after a change. Places are chosen among the bytes up to the last one that is not zero.
fn changed(bytes: &[u8], change: &Change) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let used = bytes
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(1, |at| at + 1);
    let piece = |bytes: &[u8], at: usize, n: usize| bytes[at..(at + n).min(bytes.len())].to_vec();
    match change {
        Change::Set(at, other) => {
            for (slot, byte) in bytes[at.index(used)..].iter_mut().zip(other) {
                *slot = *byte;
            }
        }
        Change::Remove(at, n) => {
            let at = at.index(used);
            bytes.drain(at..(at + n).min(bytes.len()));
        }
        Change::Repeat(at, n) => {
            let at = at.index(used);
            let piece = piece(&bytes, at, *n);
            bytes.splice(at..at, piece);
        }
        Change::Copy(from, to, n) => {
            let piece = piece(&bytes, from.index(used), *n);
            for (slot, byte) in bytes[to.index(used)..].iter_mut().zip(piece) {
                *slot = byte;
            }
        }
        Change::Cut(at) => bytes.truncate(at.index(used)),
    }
    bytes
}

proptest! {
    #![proptest_config(cases(256))]

    /// Whatever happens to a file of the log, either the log is refused and nothing is touched, or each row
    /// that is read was written with that LSN. Then only rows at the end are missing, and the end is reported
    /// as torn.
    #[test]
    fn a_changed_log_is_refused_or_gives_the_same_rows(
        closed in any::<bool>(), which in any::<Index>(), change in change(),
    ) {
        thread_local! {
            static WORLDS: [(World, BTreeMap<u64, Vec<u8>>); 2] = [false, true].map(|closed| {
                let world = grown(5, closed);
                let mut whole = copy_of(&world);
                whole.open().unwrap();
                whole.drain().unwrap();
                let rows = oracle::rows(&whole).unwrap();
                (world, rows)
            });
        }
        WORLDS.with(|worlds| {
            let (world, rows) = &worlds[usize::from(closed)];
            let paths = segments(world);
            let path = which.get(&paths);
            let bytes = &lasting(world)[path];
            let mut copy = copy_of(world);
            let other = changed(bytes, &change);
            copy.disk.plant(path, &other);
            let Ok(recovered) = open(&mut copy) else { return Ok(()) };
            let drained = copy.drain();
            prop_assert!(drained.is_ok(), "{:?}", drained);
            let left = oracle::rows(&copy).unwrap();
            for (lsn, row) in &left {
                prop_assert_eq!(rows.get(lsn), Some(row), "row {} is another", lsn);
            }
            let last = left.keys().next_back().copied().unwrap_or(0);
            let is_prefix = rows.range(..=last).count() == left.len();
            prop_assert!(is_prefix, "rows are missing in the middle");
            let is_whole = left.len() == rows.len();
            prop_assert!(is_whole || recovered.torn.is_some() || !closed, "{} rows of {}", left.len(), rows.len());
            Ok(())
        })?;
    }
}
