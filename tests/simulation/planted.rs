//! A test of the test: bugs are put between the parts, and the seeds must find each of them.

use crate::chance::{Chance, mix};
use crate::disk::Lies;
use crate::seeds::live;
use crate::shape::{Planted, Shape};
use crate::store::Conditions;
use crate::world::World;

/// Each bug must be found within so many seeds.
const SEEDS: u64 = 60;

/// The seeds that find a bug, of a world with a lake of that kind.
fn found(directory: bool, planted: Planted, spoil: impl Fn(&World)) -> Vec<u64> {
    let finds = |seed: &u64| {
        let mut shape = Shape::drawn(&mut Chance::new(mix(*seed)));
        shape.settings.lake = Shape::small(directory).settings.lake;
        shape.directory = directory;
        shape.planted = planted;
        let mut world = World::new(*seed, shape);
        spoil(&world);
        live(&mut world).is_err()
    };
    (0..SEEDS).filter(finds).take(3).collect()
}

fn found_on_disk(directory: bool, lies: Lies) -> Vec<u64> {
    found(directory, Planted::Nothing, |world| {
        world.disk.faults(|faults| faults.lies = lies);
    })
}

#[test]
fn a_sync_that_does_nothing_is_found() {
    for directory in [false, true] {
        let lies = Lies {
            sync: true,
            ..Lies::default()
        };
        assert_eq!(found_on_disk(directory, lies).len(), 3);
    }
}

#[test]
fn a_directory_sync_that_does_nothing_is_found() {
    for directory in [false, true] {
        let lies = Lies {
            sync_dir: true,
            ..Lies::default()
        };
        assert_eq!(found_on_disk(directory, lies).len(), 3);
    }
}

#[test]
fn a_rename_that_is_reported_before_it_happens_is_found() {
    for directory in [false, true] {
        let lies = Lies {
            late_rename: true,
            ..Lies::default()
        };
        assert_eq!(found_on_disk(directory, lies).len(), 3);
    }
}

#[test]
fn an_answer_before_the_outcome_is_found() {
    assert_eq!(found(true, Planted::EarlyAnswer, |_| {}).len(), 3);
}

#[test]
fn a_commit_before_the_put_is_found() {
    for directory in [false, true] {
        assert_eq!(found(directory, Planted::EarlyCommit, |_| {}).len(), 3);
    }
}

#[test]
fn a_marker_before_its_objects_is_found() {
    for directory in [false, true] {
        assert_eq!(found(directory, Planted::EarlyMarker, |_| {}).len(), 3);
    }
}

#[test]
fn a_cursor_ahead_of_its_rows_is_found() {
    for directory in [false, true] {
        assert_eq!(found(directory, Planted::CursorFirst, |_| {}).len(), 3);
    }
}

#[test]
fn a_store_that_only_pretends_conditions_is_found() {
    let spoil = |world: &World| {
        world.store.faults(|faults| {
            faults.conditions = Conditions::OnlyForProbe;
        });
    };
    assert_eq!(found(false, Planted::Nothing, spoil).len(), 3);
}

#[test]
fn nothing_is_found_where_nothing_is_planted() {
    assert_eq!(found(true, Planted::Nothing, |_| {}), Vec::<u64>::new());
    assert_eq!(found(false, Planted::Nothing, |_| {}), Vec::<u64>::new());
}
