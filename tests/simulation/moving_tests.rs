//! A log moves from a disk into an engine and back, killed at every operation: it is never lost, never in two
//! places, and goes on with its LSNs, its ids and its totals.

use std::path::Path;
use std::time::Duration;

use lakehook::files::write_durably;
use lakehook::side_files::SideFiles;
use lakehook::wal::helper::Background;
use lakehook::wal::journal::replica::engine::Item;
use lakehook::wal::journal::replica::sides::EngineSides;
use lakehook::wal::moving::{MoveError, Moved, Moving};
use lakehook::wal::recover::{self, OpenError, ReplicaStart};

use crate::disk::{Crash, SimDisk};
use crate::engine::{SimEngine, give_up};
use crate::oracle;
use crate::shape::{JournalKind, Shape};
use crate::world::{WAL, World};

const COLUMNS: &str = "columns-1.json";
const KEY: &str = "erasure.key";

fn world(journal: JournalKind) -> World {
    let mut shape = Shape::small(false);
    shape.journal = journal;
    shape.settings.segment_bytes = 8 << 10;
    shape.settings.first_segment_bytes = 8 << 10;
    let mut world = World::new(7, shape);
    world.restart(Crash::Kill).unwrap();
    for _ in 0..40 {
        world.submit_one();
        world.turn().unwrap();
    }
    world.flush();
    world.turn().unwrap();
    world.drain().unwrap();
    // Commits, and then what they release.
    world.turn().unwrap();
    world.turn().unwrap();
    world
}

fn moving(world: &World) -> Moving<'static, SimEngine, SimDisk> {
    Moving {
        engine: world.engine.clone(),
        files: world.disk.clone(),
        dir: Path::new(WAL),
        settings: world.shape.settings.clone(),
        clock: world.clock.clone(),
        ids: world.ids.clone(),
        start: ReplicaStart {
            keep_trying: give_up(),
            background: Background::Inline,
            owner: "a move".to_owned(),
            interval: Duration::ZERO,
            known: (0, 0),
            over: None,
        },
        beside: vec![COLUMNS.to_owned()],
        once: vec![KEY.to_owned()],
    }
}

/// Crashes at that operation; `None` if the move ended before.
fn cut(world: &World, after: u64, act: impl FnOnce() -> Result<Moved, MoveError>) -> Option<()> {
    let at = world.disk.ops() + after;
    world.disk.faults(|faults| faults.crash_at = Some(at));
    let moved = act();
    world.disk.faults(|faults| faults.crash_at = None);
    if world.disk.has_crashed() {
        let crash = if after.is_multiple_of(2) {
            Crash::Kill
        } else {
            Crash::Power
        };
        world.disk.restart(crash);
        return Some(());
    }
    moved.unwrap();
    None
}

/// Whether a start on the disk would take the directory for a log, on a copy of the disk.
fn starts_on_disk(world: &World) -> Result<(), OpenError> {
    let (settings, effects) = (
        world.shape.settings.clone(),
        (world.clock.clone(), world.ids.clone()),
    );
    let disk = world.disk.fork();
    let opened = recover::open(
        disk,
        Path::new(WAL),
        settings,
        effects.0,
        effects.1,
        Background::Inline,
    );
    opened.map(drop)
}

/// Whether a start elsewhere would use the engine; it takes nothing over.
fn starts_elsewhere(world: &World) -> Result<(), OpenError> {
    let disk = SimDisk::new(3);
    let dir = Path::new("/elsewhere");
    let (ids, trying) = (world.ids.clone(), give_up());
    let place = (&disk, dir);
    // A start that finds nothing would found a log; here that is only looked at.
    let names = world.engine.names();
    if !names.iter().any(|name| name == "node") {
        return Ok(());
    }
    recover::identify(&world.engine, place, &ids, &trying, &mut |_| Ok(()))?;
    EngineSides::take_over(
        world.engine.clone(),
        &SideFiles::of(disk.clone(), dir),
        trying,
    )?;
    Ok(())
}

fn write_sides(world: &World) {
    for (name, bytes) in [(COLUMNS, &b"{}"[..]), (KEY, b"key")] {
        write_durably(&world.disk, &Path::new(WAL).join(name), bytes).unwrap();
    }
}

/// Goes on in the new place, where everything is known and adds up.
fn goes_on(world: &mut World, journal: JournalKind, dir: &str) {
    world.shape.journal = journal;
    world.dir = dir.into();
    world.stop();
    world.open().unwrap();
    let now = world.clock.now().wall;
    let node = world.node.as_mut().unwrap();
    for sent in &world.senders.sent {
        let mut append = sent.append();
        append.origin.received_at = now;
        let request = lakehook::wal::request::Request::Append(Box::new(append));
        let mut jobs = [(request, ())].into();
        let turn = node.writer.turn(&mut jobs);
        let reply = turn.replies[0].1.as_ref().unwrap();
        assert_eq!((reply.accepted, reply.duplicates), (0, 1), "{}", sent.name);
    }
    for _ in 0..10 {
        world.submit_one();
        world.turn().unwrap();
    }
    world.drain().unwrap();
    oracle::check_acknowledged(world).unwrap();
}

#[test]
fn a_log_moves_into_an_engine_and_may_be_cut_anywhere() {
    let mut cuts = 0;
    for after in 1.. {
        let mut world = world(JournalKind::Files);
        write_sides(&world);
        world.stop();
        let moves = moving(&world);
        let was_cut = cut(&world, after, || moves.into_engine()).is_some();
        if was_cut {
            cuts += 1;
            let (here, there) = (starts_on_disk(&world), starts_elsewhere(&world));
            let is_there = !world.engine.numbers().is_empty();
            assert!(!is_there || here.is_err(), "cut {after}: in two places");
            let is_founded = world.engine.names().iter().any(|name| name == "node");
            assert!(
                is_there || !is_founded || there.is_err(),
                "cut {after}: the engine would begin a new log"
            );
            moves.into_engine().unwrap();
        }
        assert!(starts_on_disk(&world).is_err(), "cut {after}");
        assert_eq!(moves.into_engine().unwrap(), Moved::Before);
        let dir = if after.is_multiple_of(2) {
            WAL
        } else {
            "/data/other"
        };
        goes_on(&mut world, JournalKind::Replica, dir);
        let names = world.engine.names();
        assert!(names.iter().any(|name| name == KEY), "{names:?}");
        let side = format!("side/{COLUMNS}@");
        assert!(
            names.iter().any(|name| name.starts_with(&side)),
            "{names:?}"
        );
        if !was_cut {
            break;
        }
    }
    assert!(cuts > 30, "{cuts}");
}

#[test]
fn a_log_moves_out_of_an_engine_and_may_be_cut_anywhere() {
    let mut cuts = 0;
    for after in 1.. {
        let mut world = world(JournalKind::Replica);
        world.stop();
        let moves = moving(&world);
        // Some machine has it, not always this one.
        world.dir = WAL.into();
        world.open().unwrap();
        world.stop();
        world.engine.plant(Item::File(KEY), b"key");
        let was_cut = cut(&world, after, || moves.out_of_engine()).is_some();
        if was_cut {
            cuts += 1;
            let (here, there) = (starts_on_disk(&world), starts_elsewhere(&world));
            assert!(
                here.is_err() || there.is_err(),
                "cut {after}: in two places"
            );
            moves.out_of_engine().unwrap();
        }
        assert!(starts_elsewhere(&world).is_err(), "cut {after}");
        starts_on_disk(&world).unwrap();
        assert_eq!(moves.out_of_engine().unwrap(), Moved::Before);
        goes_on(&mut world, JournalKind::Files, WAL);
        assert!(
            world
                .disk
                .paths(Path::new(WAL))
                .iter()
                .any(|path| path.ends_with(KEY))
        );
        if !was_cut {
            break;
        }
    }
    assert!(cuts > 20, "{cuts}");
}

#[test]
fn what_is_not_shipped_does_not_move() {
    let mut world = world(JournalKind::Files);
    world.submit_one();
    world.turn().unwrap();
    world.stop();
    let refused = moving(&world).into_engine();
    assert!(
        matches!(refused, Err(MoveError::NotShipped { rows: 1, .. })),
        "{refused:?}"
    );
    assert!(world.engine.names().is_empty());
    starts_on_disk(&world).unwrap();
}

/// A move out of the engine, while another machine goes on: the log stays there.
#[test]
fn a_log_that_is_used_elsewhere_does_not_move_out() {
    let mut world = world(JournalKind::Replica);
    world.dir = WAL.into();
    world.stop();
    world.open().unwrap();
    world.submit_one();
    world.turn().unwrap();
    let refused = moving(&world).out_of_engine();
    assert!(
        matches!(refused, Err(MoveError::NotShipped { .. })),
        "{refused:?}"
    );
    starts_elsewhere(&world).unwrap();
}
