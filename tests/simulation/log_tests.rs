//! The log alone, with one failure at a time.

use std::io;
use std::path::Path;
use std::time::Duration;

use lakehook::files::Files as _;
use lakehook::wal::request::AppendError;

use crate::disk::{Crash, Fault, Op};
use crate::oracle;
use crate::senders::{Outcome, Sent};
use crate::shape::Shape;
use crate::world::{WAL, World};

/// A running node whose batches hold at most this many records.
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

/// Fills some segments and ships their rows; the commits wait in the queue.
fn filled(seed: u64) -> World {
    filled_with(seed, None)
}

fn filled_with(seed: u64, fault: Option<Fault>) -> World {
    let mut world = node(seed, 1000);
    world.disk.faults(|faults| faults.planned.extend(fault));
    for _ in 0..25 {
        for _ in 0..5 {
            world.submit();
        }
        world.turn().unwrap();
    }
    world.flush();
    world.turn().unwrap();
    world.ship(usize::MAX).unwrap();
    assert!(segments(&world) > 2, "the log is too short for this test");
    world
}

fn segments(world: &World) -> usize {
    let files = world.disk.tree(Path::new(WAL));
    let names = files.keys().filter_map(|path| path.extension());
    names.filter(|suffix| *suffix == "wal").count()
}

fn fault(op: Op, on: &'static str, kind: io::ErrorKind, forever: bool) -> Fault {
    Fault {
        op: Some(op),
        on,
        after: 0,
        kind,
        forever,
    }
}

#[test]
fn a_trim_that_is_the_last_frame_is_not_forgotten_by_its_copy() {
    let ids = fault(Op::Create, ".ids", io::ErrorKind::Other, true);
    let mut world = filled_with(3, Some(ids));
    world.turn().unwrap();
    let before = segments(&world);
    world.calm();
    // The id files are made late, so that the trim has a frame of its own.
    world.clock.advance(Duration::from_secs(2));
    world.turn().unwrap();
    world.turn().unwrap();
    assert!(segments(&world) < before);
    for _ in 0..3 {
        world.restart(Crash::Power).unwrap();
    }
    world.drain().unwrap();
    oracle::check(&world).unwrap();
}

#[test]
fn unlinked_only_once_the_checkpoint_is_durable() {
    for steps in 1..60 {
        let mut world = filled(4);
        // The process is killed before the frame with commits and trim is durable: the kernel has it, but the
        // disk does not.
        let sync_of_the_frame = world.disk.ops() + 2;
        world
            .disk
            .faults(|faults| faults.crash_at = Some(sync_of_the_frame));
        world.turn().unwrap();
        assert!(world.is_down());
        world.stop();
        world.disk.restart(Crash::Kill);
        let at = world.disk.ops() + steps;
        world.disk.faults(|faults| faults.crash_at = Some(at));
        let _started_or_crashed = world.open();
        world.restart(Crash::Power).unwrap();
        world.drain().unwrap();
        oracle::check(&world).unwrap();
    }
}

#[test]
fn a_log_that_cannot_go_on_takes_nothing_more() {
    for op in [Op::Write, Op::Sync] {
        let mut world = node(5, 1000);
        world.submit();
        let failing = fault(op, "spare-0", io::ErrorKind::Other, false);
        world.disk.faults(|faults| faults.planned.push(failing));
        world.turn().unwrap();
        for _ in 0..3 {
            world.submit();
            world.turn().unwrap();
            assert!(world.node.as_mut().unwrap().writer.close().is_err());
        }
        let all_unknown = |sent: &Sent| sent.outcome == Outcome::Unknown;
        assert!(world.senders.sent.iter().all(all_unknown));
        world.restart(Crash::Kill).unwrap();
        world.drain().unwrap();
        oracle::check(&world).unwrap();
    }
}

#[test]
fn no_row_is_older_than_a_watermark_that_was_published() {
    let mut world = node(6, 3);
    world.submit();
    world.flush();
    let mut late = Vec::new();
    for _ in 0..8 {
        let now = world.clock.now().wall;
        let request = world.senders.send(&mut world.chance, now);
        world.senders.sent[request].received_at = now.minus(Duration::from_secs(20));
        world.queue(request);
        late.push(request);
    }
    world.turn().unwrap();
    world.restart(Crash::Power).unwrap();
    let now = world.clock.now().wall;
    let request = world.senders.send(&mut world.chance, now);
    world.senders.sent[request].received_at = now.minus(Duration::from_secs(20));
    world.queue(request);
    late.push(request);
    world.turn().unwrap();
    for request in late {
        let outcome = &world.senders.sent[request].outcome;
        assert_eq!(*outcome, Outcome::Refused(AppendError::Late));
    }
    world.drain().unwrap();
    oracle::check(&world).unwrap();
}

/// A full disk may be noticed at any operation while a new segment begins.
#[test]
fn a_full_disk_is_survived_wherever_it_shows() {
    for op in Op::ALL {
        for after in 0..12 {
            let mut world = node(7, 1000);
            let mut failing = fault(op, "/data/wal", io::ErrorKind::StorageFull, false);
            failing.after = after;
            world.disk.faults(|faults| faults.planned.push(failing));
            for _ in 0..20 {
                for _ in 0..4 {
                    world.submit();
                }
                world.turn().unwrap();
                assert!(!world.is_down(), "{op:?} {after}");
                // The log tries again after a second to make a spare that it could not make.
                world.clock.advance(Duration::from_secs(1));
            }
            let acknowledged = |sent: &&Sent| matches!(sent.outcome, Outcome::Acknowledged(_));
            let count = world.senders.sent.iter().filter(acknowledged).count();
            assert!(count >= 70, "{op:?} {after}: {count} of 80 were taken");
            world.calm();
            world.restart(Crash::Power).unwrap();
            world.drain().unwrap();
            oracle::check(&world).unwrap();
        }
    }
}

#[test]
fn without_space_for_a_spare_requests_are_refused_and_shipping_goes_on() {
    for seed in 8..16 {
        let mut world = node(seed, 1000);
        world.stop();
        world.shape.settings.segment_bytes = 256 << 10;
        world.restart(Crash::Kill).unwrap();
        for turn in 0..300 {
            if turn == seed {
                let failing = fault(Op::Create, "spare", io::ErrorKind::StorageFull, true);
                world.disk.faults(|faults| faults.planned.push(failing));
            }
            world.submit();
            world.turn().unwrap();
            world.clock.advance(Duration::from_millis(300));
        }
        let full = Outcome::Refused(AppendError::Full);
        assert!(world.senders.sent.iter().any(|sent| sent.outcome == full));
        let held = world.node.as_ref().unwrap().writer.used_bytes();
        ship_everything(&mut world);
        assert!(world.node.as_ref().unwrap().writer.used_bytes() < held);
        world.calm();
        world.clock.advance(Duration::from_secs(2));
        let request = world.submit();
        world.turn().unwrap();
        let outcome = &world.senders.sent[request].outcome;
        assert!(matches!(outcome, Outcome::Acknowledged(_)), "{outcome:?}");
        world.drain().unwrap();
        oracle::check(&world).unwrap();
    }
}

/// A segment ends when it has its share of ids. What it did not need of its bytes is zeros, which cost time to write
/// and count as part of the log.
#[test]
fn segments_that_end_before_they_are_full_are_followed_by_smaller_ones() {
    let mut world = node(5, 1000);
    world.stop();
    world.shape.settings.segment_bytes = 256 << 10;
    world.shape.settings.dedup_window = 100;
    world.shape.settings.max_bytes = 64 << 20;
    world.restart(Crash::Kill).unwrap();
    for _ in 0..400 {
        world.submit();
        world.turn().unwrap();
    }
    let files = world.disk.list(Path::new(WAL)).unwrap();
    let is_segment = |name: &str| Path::new(name).extension().is_some_and(|end| end == "wal");
    let segments = files.iter().filter(|entry| is_segment(&entry.name));
    let sizes: Vec<u64> = segments.map(|entry| entry.bytes).collect();
    let usual = sizes.len() as u64 * world.shape.settings.segment_bytes;
    assert!(
        sizes.len() > 20 && sizes.iter().sum::<u64>() < usual / 2,
        "{sizes:?}"
    );
    world.restart(Crash::Power).unwrap();
    world.drain().unwrap();
    oracle::check(&world).unwrap();
}

/// Seals, ships and commits everything, whatever is set to fail.
fn ship_everything(world: &mut World) {
    for _ in 0..20 {
        world.flush();
        world.turn().unwrap();
        world.ship(usize::MAX).unwrap();
        world.turn().unwrap();
        world.turn().unwrap();
    }
    let state = world.node.as_ref().unwrap().writer.state();
    assert_eq!(state.uncommitted_rows(), 0);
}

/// A frame that outgrew its segment would be acknowledged but never read again.
#[test]
fn a_frame_never_outgrows_its_segment() {
    for seed in 0..6 {
        let mut shape = Shape::small(false);
        let settings = &mut shape.settings;
        settings.lake = format!("s3://{}", "bucket/".repeat(100));
        settings.limits.max_records = [1, 2, 1000][usize::try_from(seed % 3).unwrap()];
        settings.limits.max_bytes = [100, 50_000][usize::try_from(seed % 2).unwrap()];
        settings.max_bytes = 64 << 20;
        let mut world = World::new(seed, shape);
        world.restart(Crash::Kill).unwrap();
        for turn in 0..3 {
            // Many partitions with long names, and few bytes in each of them.
            for _ in 0..400 {
                let now = world.clock.now().wall;
                let request = world.senders.send_one(&mut world.chance, now);
                for (index, row) in world.senders.sent[request].rows.iter_mut().enumerate() {
                    row.partition =
                        format!("events/{}={turn}/{request}/{index}", "long".repeat(20));
                }
                world.queue(request);
            }
            while !world.node.as_ref().unwrap().jobs.is_empty() {
                world.turn().unwrap();
            }
        }
        world.restart(Crash::Power).unwrap();
        world.drain().unwrap();
        oracle::check_acknowledged(&world).unwrap();
    }
}
