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

#[test]
fn a_last_frame_that_seals_its_own_rows_is_copied_over_and_over() {
    for crash in [Crash::Kill, Crash::Power] {
        let mut world = node(2, 1000);
        for _ in 0..5 {
            world.submit();
        }
        world.flush();
        world.turn().unwrap();
        for _ in 0..3 {
            world.restart(crash).unwrap();
        }
        assert!(
            !world
                .node
                .as_ref()
                .unwrap()
                .writer
                .state()
                .sealed
                .is_empty()
        );
        world.drain().unwrap();
        oracle::check(&world).unwrap();
    }
}
