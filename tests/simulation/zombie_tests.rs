//! An owner that was paused for long, and does not know that it has lost the log.

use std::path::Path;
use std::time::Duration;

use lakehook::lake::store::ObjectStore as _;

use crate::disk::Crash;
use crate::shape::{JournalKind, Planted, Shape};
use crate::world::World;

/// What is in the lake after a paused owner has woken up, which had sealed a batch: the next owner has put the
/// batch, and it has been removed meanwhile.
fn after_the_pause(planted: Planted) -> Vec<String> {
    let mut shape = Shape::small(false);
    shape.journal = JournalKind::Replica;
    shape.planted = planted;
    let mut world = World::new(11, shape);
    world.restart(Crash::Kill).unwrap();
    for _ in 0..5 {
        world.submit_one();
        world.turn().unwrap();
    }
    world.flush();
    world.turn().unwrap();
    let dir = Path::new("/data/next");
    let found = world.find(dir).unwrap();
    let (node, _) = world.open_found(found, dir).unwrap();
    world.succeed(node);
    world.drain().unwrap();
    let data = |world: &World| -> Vec<String> {
        let keys = world.store.objects().into_keys();
        keys.filter(|key| key.starts_with("events/")).collect()
    };
    assert!(!data(&world).is_empty());
    for key in data(&world) {
        world.store.delete(&key).unwrap();
    }
    world.clock.advance(Duration::from_secs(61));
    let paused = world.zombies.remove(0);
    let owner = world.node.replace(paused);
    world.ship(1).unwrap();
    world.node = owner;
    data(&world)
}

#[test]
fn a_paused_owner_puts_nothing_back_that_was_removed() {
    assert_eq!(after_the_pause(Planted::Nothing), Vec::<String>::new());
    // Without the rule, it would.
    assert!(!after_the_pause(Planted::StaleOwner).is_empty());
}

/// An owner that is idle for long proves that it still is the owner, and goes on.
#[test]
fn an_idle_owner_ships_after_all() {
    let mut shape = Shape::small(false);
    shape.journal = JournalKind::Replica;
    let mut world = World::new(12, shape);
    world.restart(Crash::Kill).unwrap();
    world.submit_one();
    world.flush();
    world.turn().unwrap();
    world.clock.advance(Duration::from_secs(3600));
    let frames = world.engine.numbers().len();
    world.ship(1).unwrap();
    assert_eq!(world.engine.numbers().len(), frames + 1, "an empty frame");
    let keys = world.store.objects().into_keys();
    assert_eq!(keys.filter(|key| key.starts_with("events/")).count(), 1);
}
