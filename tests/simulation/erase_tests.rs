//! Erasing from an object, one way to fail at a time: kills at every operation, puts that get lost, arrive
//! late or are damaged, and the shipping thread that tries its own put again.

use std::collections::BTreeMap;
use std::path::Path;

use lakehook::checksum::crc32c;
use lakehook::clock::Micros;
use lakehook::erase::condition::RowCondition;
use lakehook::erase::eraser::{ErasedObject, Eraser};
use lakehook::erase::standing::{LogSeals, Standing};
use lakehook::lake::stamp::{ERASURE, Stamp};
use lakehook::lake::{LakeError, Metadata, Trouble};
use lakehook::record::Lsn;

use crate::disk::Crash;
use crate::shape::Shape;
use crate::store::{Conditions, Proofs, StoreFault, Stored};
use crate::world::{LAKE, World, internal};

const ID: u128 = 0xe1;
/// Enough that a partition gets several.
const EVENTS: u64 = 12;

/// What the lake has under a key: bytes and metadata, as a reader of sidecars takes them.
type Seen = (Vec<u8>, Metadata);

/// A node whose events are all in sealed batches, one for each partition.
fn sealed(seed: u64, directory: bool, format: &str) -> World {
    let mut shape = Shape::small(directory);
    shape.settings.first_segment_bytes = 64 << 10;
    shape.settings.limits.max_records = 1000;
    shape.settings.limits.max_bytes = 1 << 20;
    format.clone_into(&mut shape.settings.format);
    let mut world = World::new(seed, shape);
    world.restart(Crash::Kill).unwrap();
    for _ in 0..EVENTS {
        world.submit_one();
    }
    world.turn().unwrap();
    world.flush();
    world.turn().unwrap();
    world
}

/// The same, in the lake and committed.
fn landed(seed: u64, directory: bool, format: &str) -> World {
    let mut world = sealed(seed, directory, format);
    world.drain().unwrap();
    world
}

fn seen(world: &World) -> BTreeMap<String, Seen> {
    if !world.shape.directory {
        let objects = world.store.objects().into_iter();
        return objects
            .filter(|(key, _)| !key.starts_with("_lakehook/"))
            .map(|(key, object)| (key, (object.bytes, object.metadata)))
            .collect();
    }
    let tree = world.disk.tree(Path::new(LAKE));
    let data = tree
        .iter()
        .filter(|(path, _)| !path.starts_with(internal()));
    data.map(|(path, bytes)| {
        let key = path.strip_prefix(LAKE).unwrap().display().to_string();
        let sidecar = &tree[&internal().join("meta").join(format!("{key}.json"))];
        let sidecar: serde_json::Value = serde_json::from_slice(sidecar).unwrap();
        let fits = |claims: &serde_json::Value| {
            claims["bytes"] == bytes.len() && claims["crc32c"] == format!("{:08x}", crc32c(bytes))
        };
        // One of them must fit, whenever the process ends.
        let claims = [&sidecar, &sidecar["next"]]
            .into_iter()
            .find(|claims| fits(claims));
        let claims = claims.unwrap_or_else(|| panic!("{key} fits no claims: {sidecar}"));
        let metadata = serde_json::from_value(claims["metadata"].clone()).unwrap();
        (key, (bytes.clone(), metadata))
    })
    .collect()
}

fn lines(key: &str, bytes: &[u8]) -> Vec<String> {
    let mut lines = Vec::new();
    let reader = lakehook::encode::ObjectReader::of_key(key).unwrap();
    let mut take = |row: serde_json::Value| {
        lines.push(row.to_string());
        Ok(true)
    };
    reader.each(bytes.to_vec(), &mut take).unwrap();
    lines
}

/// An object of several rows, and the condition that means the first of them.
fn victim(world: &World) -> (String, RowCondition) {
    let objects = seen(world);
    let (key, (bytes, _)) = objects
        .iter()
        .find(|(key, (bytes, _))| lines(key, bytes).len() > 2)
        .unwrap();
    let row: serde_json::Value = serde_json::from_str(&lines(key, bytes)[0]).unwrap();
    let condition = format!("says={}", row["says"].as_str().unwrap());
    (key.clone(), condition.parse().unwrap())
}

/// Every seal is confirmed.
fn confirmed(world: &World) -> Standing {
    let node = world.node.as_ref().unwrap().writer.node();
    let seals = LogSeals {
        last: u64::MAX,
        ..LogSeals::default()
    };
    Standing {
        logs: [(node, seals)].into(),
        newest: BTreeMap::new(),
        now: Micros(0),
    }
}

/// What a process does that runs the command: it ends at the first error of the disk.
fn attempt(
    world: &World,
    standing: &Standing,
    (key, condition): &(String, RowCondition),
) -> Result<ErasedObject, LakeError> {
    let lake = world.lake();
    lake.check_rewritable()?;
    let eraser = Eraser {
        files: world.disk.clone(),
        lake: &lake,
        erasure: ID,
        condition,
        standing,
        dry_run: false,
        before: &|| Ok(()),
    };
    eraser.object(key)
}

/// Until it works.
fn erase(world: &World, standing: &Standing, target: &(String, RowCondition)) -> ErasedObject {
    for _ in 0..20 {
        match attempt(world, standing, target) {
            Ok(outcome) => return outcome,
            Err(LakeError::Retry { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
    panic!("it never works");
}

/// The object has all rows but the first one, its stamp says so, and the others are as they were.
fn check(before: &BTreeMap<String, Seen>, world: &World, key: &str) {
    let mut after = seen(world);
    let (bytes, metadata) = after.remove(key).unwrap();
    let (old_bytes, old_metadata) = &before[key];
    assert_eq!(lines(key, &bytes), lines(key, old_bytes)[1..], "{key}");
    let (old, new) = (
        Stamp::from_metadata(old_metadata).unwrap(),
        Stamp::from_metadata(&metadata).unwrap(),
    );
    let erased = new.erased.unwrap();
    assert_eq!((erased.erasure, erased.rows), (ID, 1));
    assert_eq!(new.crc, crc32c(&bytes));
    let sums = lakehook::encode::ObjectReader::of_key(key)
        .unwrap()
        .sums(bytes)
        .unwrap();
    assert_eq!(
        (sums.count, sums.lsn_hash),
        (new.rows_left(), new.lsn_hash_left())
    );
    let as_before = Stamp {
        crc: old.crc,
        erased: None,
        parcel_of: None,
        ..new
    };
    assert_eq!(as_before, old);
    let mut others = before.clone();
    others.remove(key);
    assert_eq!(after, others);
}

#[test]
fn rows_are_erased_and_a_second_run_changes_nothing() {
    for directory in [false, true] {
        for format in ["ndjson", "ndjson.gz", "ndjson.zst"] {
            let world = landed(1, directory, format);
            let (before, target) = (seen(&world), victim(&world));
            let standing = confirmed(&world);
            assert_eq!(erase(&world, &standing, &target), ErasedObject::Erased(1));
            check(&before, &world, &target.0);
            let after = world.disk.tree(Path::new("/"));
            assert_eq!(erase(&world, &standing, &target), ErasedObject::Before(1));
            assert_eq!(world.disk.tree(Path::new("/")), after);
            check(&before, &world, &target.0);
        }
    }
}

/// The put was stored, its answer got lost, rows were erased, and the put is tried again.
#[test]
fn a_put_that_is_tried_again_finds_an_erased_object_to_be_ours() {
    for directory in [false, true] {
        for crash in [None, Some(Crash::Kill), Some(Crash::Power)] {
            let mut world = sealed(2, directory, "ndjson.zst");
            world.ship(usize::MAX).unwrap();
            if let Some(crash) = crash {
                // The commits were in the queue.
                world.restart(crash).unwrap();
            }
            let (before, target) = (seen(&world), victim(&world));
            let standing = confirmed(&world);
            assert_eq!(erase(&world, &standing, &target), ErasedObject::Erased(1));
            world.drain().unwrap();
            assert!(
                world
                    .node
                    .as_ref()
                    .unwrap()
                    .writer
                    .state()
                    .sealed
                    .is_empty()
            );
            check(&before, &world, &target.0);
        }
    }
}

/// And the object was damaged since: what is erased does not come back with the repair.
#[test]
fn an_erased_object_is_never_repaired() {
    let mut world = sealed(3, false, "ndjson");
    world.ship(usize::MAX).unwrap();
    world.restart(Crash::Kill).unwrap();
    let target = victim(&world);
    erase(&world, &confirmed(&world), &target);
    let mut object = world.store.objects().remove(&target.0).unwrap();
    object.bytes[0] ^= 1;
    world.store.plant(&target.0, object.clone());
    world.drain().unwrap();
    assert_eq!(world.store.objects()[&target.0].bytes, object.bytes);
    assert!(
        world
            .node
            .as_ref()
            .unwrap()
            .writer
            .state()
            .sealed
            .is_empty()
    );
}

#[test]
fn a_store_that_ignores_conditions_is_refused() {
    for conditions in [Conditions::Ignored, Conditions::Refused] {
        let world = landed(4, false, "ndjson");
        let (before, target) = (seen(&world), victim(&world));
        world.store.faults(|faults| faults.conditions = conditions);
        let outcome = attempt(&world, &confirmed(&world), &target);
        assert!(
            matches!(outcome, Err(LakeError::Unusable(_))),
            "{outcome:?}"
        );
        assert_eq!(seen(&world), before);
    }
}

/// The rewriting put is lost, late, damaged or answered by a stranger, and the next one may be, too.
#[test]
fn whatever_becomes_of_the_put_the_object_ends_up_whole() {
    let faults = [
        StoreFault::Refused(Trouble::Server),
        StoreFault::LostAnswer,
        StoreFault::Late,
        StoreFault::Flips,
        StoreFault::Cuts,
        StoreFault::Stranger,
    ];
    for proofs in Proofs::ALL {
        for first in faults {
            for second in faults {
                let world = landed(5, false, "ndjson");
                let (before, target) = (seen(&world), victim(&world));
                world.store.faults(|state| {
                    state.proofs = proofs;
                    state.script = vec![Some(first), Some(second)];
                });
                let outcome = erase(&world, &confirmed(&world), &target);
                let is_done = matches!(outcome, ErasedObject::Erased(1) | ErasedObject::Before(1));
                assert!(is_done, "{proofs:?} {first:?} {second:?}: {outcome:?}");
                check(&before, &world, &target.0);
                world.store.deliver_late();
                check(&before, &world, &target.0);
                assert!(world.store.replaced().is_empty());
            }
        }
    }
}

/// The store keeps damaged bytes, and the command is killed before it notices.
#[test]
fn what_was_damaged_before_a_kill_is_put_again_by_the_next_run() {
    for proofs in Proofs::ALL {
        let mut world = landed(6, false, "ndjson");
        let (before, target) = (seen(&world), victim(&world));
        world.store.faults(|state| state.proofs = proofs);
        // Some stores refuse a checksum or two before they take the put.
        let is_put = (0..3).any(|refused| {
            world.store.faults(|state| {
                state.script = vec![None; refused];
                state.script.push(Some(StoreFault::LostAnswer));
            });
            attempt(&world, &confirmed(&world), &target).unwrap_err();
            world.store.objects()[&target.0]
                .metadata
                .contains_key(ERASURE)
        });
        assert!(is_put, "{proofs:?}");
        let mut object: Stored = world.store.objects().remove(&target.0).unwrap();
        object.bytes[3] ^= 1;
        world.store.plant_damaged(&target.0, object);
        world.restart(Crash::Power).unwrap();
        let outcome = erase(&world, &confirmed(&world), &target);
        assert_eq!(outcome, ErasedObject::Before(1), "{proofs:?}");
        check(&before, &world, &target.0);
    }
}

/// A second process erases something else from the same object.
#[test]
fn two_erasures_at_once_keep_what_both_have_done() {
    let world = landed(7, false, "ndjson");
    let (before, target) = (seen(&world), victim(&world));
    let standing = confirmed(&world);
    let last = lines(&target.0, &before[&target.0].0).pop().unwrap();
    let last: serde_json::Value = serde_json::from_str(&last).unwrap();
    let other: RowCondition = format!("says={}", last["says"].as_str().unwrap())
        .parse()
        .unwrap();
    // The put of the first one arrives after the second one is done.
    world
        .store
        .faults(|state| state.script = vec![Some(StoreFault::Late)]);
    attempt(&world, &standing, &target).unwrap_err();
    let second = (target.0.clone(), other);
    assert_eq!(erase(&world, &standing, &second), ErasedObject::Erased(1));
    world.store.deliver_late();
    assert_eq!(erase(&world, &standing, &target), ErasedObject::Erased(1));
    let (bytes, metadata) = &seen(&world)[&target.0];
    let all = lines(&target.0, &before[&target.0].0);
    assert_eq!(lines(&target.0, bytes), all[1..all.len() - 1]);
    let erased = Stamp::from_metadata(metadata).unwrap().erased.unwrap();
    assert_eq!(erased.rows, 2);
}

/// At every operation of the disk, by a kill or a power cut: a reader finds the old or the new object, the
/// shipping thread finds its own, and the next run finishes.
#[test]
fn an_exchange_in_a_directory_may_be_cut_anywhere() {
    let mut cuts = 0;
    for steps in 1..60 {
        for crash in [Crash::Kill, Crash::Power] {
            let mut world = sealed(8 + steps, true, "ndjson");
            world.ship(usize::MAX).unwrap();
            let (before, target) = (seen(&world), victim(&world));
            let standing = confirmed(&world);
            let at = world.disk.ops() + steps;
            world.disk.faults(|faults| faults.crash_at = Some(at));
            let outcome = attempt(&world, &standing, &target);
            cuts += u64::from(outcome.is_err());
            world.restart(crash).unwrap();
            // The put of the batch is tried again before the erasure is.
            world.drain().unwrap();
            let (bytes, _) = &seen(&world)[&target.0];
            let old = &before[&target.0].0;
            let all = lines(&target.0, old);
            assert!([&all[..], &all[1..]].contains(&&lines(&target.0, bytes)[..]));
            let outcome = erase(&world, &standing, &target);
            let is_done = matches!(outcome, ErasedObject::Erased(1) | ErasedObject::Before(1));
            assert!(is_done, "{steps} {crash:?}: {outcome:?}");
            check(&before, &world, &target.0);
            // No claims but those of the new object are left.
            let sidecar = internal().join("meta").join(format!("{}.json", target.0));
            let sidecar = &world.disk.tree(&sidecar)[&sidecar];
            assert!(!String::from_utf8_lossy(sidecar).contains("\"next\""));
        }
    }
    assert!(cuts > 20, "only {cuts} runs were cut short");
}

#[test]
fn an_object_whose_commit_is_not_confirmed_stays_as_it_is() {
    let mut world = sealed(9, false, "ndjson");
    world.ship(usize::MAX).unwrap();
    let (before, target) = (seen(&world), victim(&world));
    let state = world.node.as_ref().unwrap().writer.state();
    let node = world.node.as_ref().unwrap().writer.node();
    let waiting = LogSeals {
        last: state.last_seal,
        waiting: state.sealed.keys().copied().collect(),
    };
    let standing = Standing {
        logs: [(node, waiting)].into(),
        ..Standing::default()
    };
    let outcome = erase(&world, &standing, &target);
    assert!(matches!(outcome, ErasedObject::Left(_)), "{outcome:?}");
    // Without its log, the newest object of a node may not be committed either.
    let elsewhere = Standing::default();
    let outcome = erase(&world, &elsewhere, &target);
    assert!(matches!(outcome, ErasedObject::Left(_)), "{outcome:?}");
    assert_eq!(seen(&world), before);
    let followed = Standing {
        newest: [(node, Lsn(u64::MAX))].into(),
        ..Standing::default()
    };
    assert_eq!(erase(&world, &followed, &target), ErasedObject::Erased(1));
}

/// Somebody edited an object: it is not rewritten, and so does not get a stamp that fits.
#[test]
fn a_damaged_object_stays_as_it_is() {
    for directory in [false, true] {
        let world = landed(10, directory, "ndjson");
        let target = victim(&world);
        if directory {
            world.disk.flip(&Path::new(LAKE).join(&target.0), 10, 0);
        } else {
            let mut object = world.store.objects().remove(&target.0).unwrap();
            object.bytes[10] ^= 1;
            world.store.plant(&target.0, object);
        }
        let outcome = erase(&world, &confirmed(&world), &target);
        assert!(matches!(outcome, ErasedObject::Left(_)), "{outcome:?}");
    }
}
