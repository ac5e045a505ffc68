//! The log alone, one way to fail at a time.

use crate::disk::Crash;
use crate::oracle;
use crate::world::{Shape, World};

/// A node that is up, with those many records to a batch.
fn node(seed: u64, max_records: u64) -> World {
    let mut shape = Shape::small(true);
    shape.settings.limits.max_records = max_records;
    let mut world = World::new(seed, shape);
    world.restart(Crash::Kill).unwrap();
    world
}

#[test]
fn totals_add_up_at_a_seal_in_the_middle_of_a_request() {
    let mut world = node(1, 3);
    for _ in 0..20 {
        world.submit();
    }
    world.turn().unwrap();
    world.drain().unwrap();
    oracle::check(&world).unwrap();
}
