//! The way from a seal to a commit, with one failure at a time.

use std::io;
use std::path::Path;

use lakehook::lake::{NONCE, Trouble};
use lakehook::wal::layout::segment_path;

use crate::disk::{Crash, Fault, Op};
use crate::oracle;
use crate::shape::Shape;
use crate::store::{Conditions, Proofs, SimStore, StoreFault, Stored};
use crate::world::{LAKE, WAL, World};

/// A node with one sealed batch.
fn sealed(seed: u64, directory: bool) -> World {
    let mut shape = Shape::small(directory);
    shape.settings.first_segment_bytes = 64 << 10;
    shape.settings.limits.max_records = 1000;
    shape.settings.limits.max_bytes = 1 << 20;
    let mut world = World::new(seed, shape);
    world.restart(Crash::Kill).unwrap();
    world.submit_one();
    world.turn().unwrap();
    world.flush();
    world.turn().unwrap();
    assert_eq!(waiting(&world), 1);
    world
}

fn waiting(world: &World) -> usize {
    world.node.as_ref().unwrap().writer.state().sealed.len()
}

fn finish(mut world: World) {
    world.drain().unwrap();
    oracle::check(&world).unwrap();
}

#[test]
fn a_batch_whose_commit_failed_is_committed_again() {
    for directory in [false, true] {
        let mut world = sealed(1, directory);
        world.ship(1).unwrap();
        let no_space = Fault {
            op: Some(Op::Sync),
            on: "spare",
            after: 0,
            kind: io::ErrorKind::StorageFull,
            forever: false,
        };
        world.disk.faults(|faults| faults.planned.push(no_space));
        world.turn().unwrap();
        assert_eq!(waiting(&world), 1);
        finish(world);
    }
}

#[test]
fn a_spool_file_that_was_cleaned_away_is_written_again() {
    for directory in [false, true] {
        let mut world = sealed(2, directory);
        let on = if directory { "events" } else { "no such path" };
        let planned = Fault {
            op: Some(Op::Link),
            on,
            after: 0,
            kind: io::ErrorKind::Other,
            forever: false,
        };
        world.disk.faults(|faults| faults.planned.push(planned));
        world.store.faults(|faults| {
            faults.script = vec![Some(StoreFault::Refused(Trouble::Server))];
        });
        world.ship(1).unwrap();
        let spooled = world.disk.tree(Path::new("/"));
        let spooled = spooled
            .keys()
            .find(|path| path.extension().is_some_and(|e| e == "part"));
        // An object of lines for a store is sent from the log, without a file.
        assert_eq!(spooled.is_some(), directory);
        if let Some(path) = spooled {
            world.disk.vanish(path);
        }
        finish(world);
    }
}

fn script(world: &World, faults: &[StoreFault]) {
    let script = faults.iter().copied().map(Some).collect();
    world.store.faults(|state| state.script = script);
}

#[test]
fn a_put_whose_answer_was_lost_is_recognised() {
    for forgets_metadata in [false, true] {
        let mut world = sealed(3, false);
        world
            .store
            .faults(|faults| faults.forgets_metadata = forgets_metadata);
        script(&world, &[StoreFault::LostAnswer]);
        world.ship(1).unwrap();
        assert!(
            world.node.as_ref().unwrap().jobs.is_empty(),
            "committed without an answer"
        );
        world.restart(Crash::Power).unwrap();
        world.ship(1).unwrap();
        world.turn().unwrap();
        assert_eq!(waiting(&world), 0);
        if !forgets_metadata {
            finish(world);
        }
    }
}

#[test]
fn a_put_that_arrives_after_its_client_crashed_changes_nothing() {
    for arrives_first in [false, true] {
        let mut world = sealed(4, false);
        script(&world, &[StoreFault::Late]);
        world.ship(1).unwrap();
        world.restart(Crash::Power).unwrap();
        if arrives_first {
            world.store.deliver_late();
        }
        world.ship(1).unwrap();
        world.turn().unwrap();
        assert_eq!(waiting(&world), 0);
        let before = world.store.objects();
        world.store.deliver_late();
        assert_eq!(world.store.objects(), before);
        finish(world);
    }
}

#[test]
fn no_error_is_a_verdict() {
    for kind in Trouble::ALL {
        let mut world = sealed(5, false);
        script(&world, &[StoreFault::Refused(kind); 3]);
        for _ in 0..3 {
            world.ship(1).unwrap();
            world.turn().unwrap();
            assert_eq!(waiting(&world), 1);
        }
        finish(world);
    }
}

#[test]
fn a_store_without_conditions_is_asked_first() {
    for conditions in [Conditions::Ignored, Conditions::Refused] {
        let mut world = sealed(6, false);
        world.store.faults(|faults| faults.conditions = conditions);
        script(&world, &[StoreFault::LostAnswer]);
        world.ship(1).unwrap();
        finish(world);
    }
}

/// The key under which the sealed batch will be put, and the length of its object.
fn key_of(world: &World) -> (String, usize) {
    let mut copy = World::new(0, world.shape.clone());
    copy.disk = world.disk.fork();
    copy.store = SimStore::new(copy.disk.clone(), 0);
    copy.restart(Crash::Kill).unwrap();
    copy.ship(1).unwrap();
    copy.turn().unwrap();
    let objects = oracle::lengths(&copy).unwrap();
    objects.into_iter().next().unwrap()
}

#[test]
fn a_foreign_object_under_our_key_stops_shipping() {
    for directory in [false, true] {
        // An object of another length, and one of exactly the same length.
        for same_length in [false, true] {
            let mut world = sealed(7, directory);
            let key = key_of(&world);
            let length = key.1;
            let key = key.0;
            let bytes = vec![b'x'; if same_length { length } else { 3 }];
            let path = Path::new(LAKE).join(&key);
            world.disk.plant(&path, &bytes);
            let metadata = [(NONCE.to_owned(), "another".to_owned())].into();
            world
                .store
                .plant(&key, Stored::new(bytes.clone(), metadata));
            let said = world.ship(1).unwrap_err();
            assert!(said.contains("it is not ours"), "{said}");
            assert_eq!(waiting(&world), 1);
            assert_eq!(world.store.objects()[&key].bytes, bytes);
            assert_eq!(world.disk.tree(&path)[&path], bytes);
        }
    }
}

/// Everything that can happen to a put on its way without causing an error.
const ON_THE_WAY: [StoreFault; 3] = [StoreFault::Flips, StoreFault::Cuts, StoreFault::Stranger];

#[test]
fn what_is_damaged_on_its_way_is_put_again_before_the_commit() {
    for proofs in Proofs::ALL {
        for conditions in [
            Conditions::Honoured,
            Conditions::Ignored,
            Conditions::Refused,
        ] {
            for first in ON_THE_WAY {
                for forgets_metadata in [false, true] {
                    let mut world = sealed(9, false);
                    world.store.faults(|faults| {
                        faults.proofs = proofs;
                        faults.conditions = conditions;
                        faults.forgets_metadata = forgets_metadata;
                    });
                    script(&world, &[first, StoreFault::Flips, StoreFault::Cuts]);
                    let (key, length) = key_of(&world);
                    world.drain().unwrap();
                    assert_eq!(world.store.objects()[&key].bytes.len(), length);
                    if !forgets_metadata {
                        finish(world);
                    }
                }
            }
        }
    }
}

#[test]
fn a_damaged_object_whose_answer_was_lost_is_put_again() {
    for proofs in [
        Proofs::NamedCrc32c,
        Proofs::RepeatedCrc32c,
        Proofs::Etag,
        Proofs::Nothing,
    ] {
        let mut world = sealed(10, false);
        world.store.faults(|faults| faults.proofs = proofs);
        script(&world, &[StoreFault::LostAnswer]);
        let key = key_of(&world).0;
        world.ship(1).unwrap();
        let mut objects = world.store.objects();
        let mut object = objects.remove(&key).unwrap();
        object.bytes[0] ^= 1;
        world.store.plant_damaged(&key, object);
        finish(world);
    }
}

#[test]
fn a_seal_whose_rows_are_gone_asks_the_lake_first() {
    for directory in [false, true] {
        for was_put in [true, false] {
            let mut world = sealed(8, directory);
            let at = world.node.as_ref().unwrap().writer.state().sealed[&1].at;
            if was_put {
                world.ship(1).unwrap();
                let node = world.node.as_mut().unwrap();
                node.jobs.clear();
                node.committing.clear();
                node.shipments.clear();
            }
            let segment = segment_path(Path::new(WAL), at.segment());
            // The row is in the frame before the frame of its seal.
            let offset = usize::try_from(at.within() * 4096).unwrap() - 4096 + 64 + 100;
            world.disk.flip(&segment, offset, 0);
            let shipped = world.ship(1);
            assert_eq!(shipped.is_ok(), was_put, "{shipped:?}");
            world.turn().unwrap();
            assert_eq!(waiting(&world), usize::from(!was_put));
        }
    }
}

/// Whatever part of a put survives a power cut, the next start makes one object of it.
#[test]
fn a_put_into_a_directory_may_be_cut_anywhere() {
    for (seed, steps) in (0..3).flat_map(|seed| (1..40).map(move |steps| (seed, steps))) {
        for crash in [Crash::Kill, Crash::Power] {
            let mut world = sealed(seed, true);
            let at = world.disk.ops() + steps;
            world.disk.faults(|faults| faults.crash_at = Some(at));
            world.ship(1).unwrap();
            world.restart(crash).unwrap();
            finish(world);
        }
    }
}
