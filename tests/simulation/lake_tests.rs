//! The way from a seal to a commit, one way to fail at a time.

use std::io;
use std::path::Path;

use lakehook::lake::Trouble;

use crate::disk::{Crash, Fault, Op};
use crate::oracle;
use crate::store::StoreFault;
use crate::world::{Shape, World};

/// A node with one sealed batch.
fn sealed(seed: u64, directory: bool) -> World {
    let mut shape = Shape::small(directory);
    shape.settings.limits.max_records = 1000;
    shape.settings.limits.max_bytes = 1 << 20;
    let mut world = World::new(seed, shape);
    world.restart(Crash::Kill).unwrap();
    world.submit_one();
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
        world.disk.vanish(spooled.unwrap());
        finish(world);
    }
}
