//! A log of format 2 is taken over: what is in it is shipped, whatever fails on the way, and everything
//! new is in format 3.

use std::collections::BTreeMap;
use std::path::Path;

use lakehook::checksum::crc32c;
use lakehook::codec::Codec;
use lakehook::wal::layout::{BLOCK, FORMAT, FrameHeader, SegmentHeader};
use lakehook::wal::request::Packing;

use crate::damage_tests::segments;
use crate::disk::{Crash, SimDisk};
use crate::oracle;
use crate::shape::Shape;
use crate::world::{Violation, WAL, World};

/// Turns the log into one that the former program has written. It wrote the same bytes, except that it
/// packed nothing, and except for the number of the format; all checksums follow from that.
pub(crate) fn to_format_2(disk: &SimDisk, paths: &[std::path::PathBuf]) {
    let mut renewed = BTreeMap::new();
    let renew = |bytes: &mut [u8], at: usize, renewed: &BTreeMap<u32, u32>| {
        let before = u32_at(bytes, at);
        let after = renewed.get(&before).copied().unwrap_or(before);
        bytes[at..at + 4].copy_from_slice(&after.to_le_bytes());
    };
    for path in paths {
        let mut bytes = disk.tree(path).remove(path).unwrap();
        bytes[12..16].copy_from_slice(&2_u32.to_le_bytes());
        renew(&mut bytes, 72, &renewed);
        let crc = crc32c(&bytes[12..96]);
        bytes[8..12].copy_from_slice(&crc.to_le_bytes());
        let block = usize::try_from(BLOCK).unwrap();
        for at in (block..bytes.len()).step_by(block) {
            let Some(header) = FrameHeader::decode(&bytes[at..]) else {
                continue;
            };
            let Some(frame) = bytes.get_mut(at..at + header.bytes()) else {
                continue;
            };
            if !header.matches(frame) {
                continue;
            }
            frame[52..56].copy_from_slice(&2_u32.to_le_bytes());
            renew(frame, 28, &renewed);
            let crc = crc32c(&frame[8..]);
            frame[4..8].copy_from_slice(&crc.to_le_bytes());
            renewed.insert(header.crc, crc);
        }
        disk.vanish(path);
        disk.plant(path, &bytes);
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

/// The formats of the segments, in order.
fn formats(world: &World) -> Vec<u32> {
    let files = world.disk.tree(Path::new(WAL));
    let formats = segments(world).into_iter().map(|path| {
        let bytes = &files[&path];
        let block: &[u8; BLOCK as usize] = bytes[..4096].try_into().unwrap();
        assert!(SegmentHeader::decode(block).is_ok(), "{}", path.display());
        u32_at(bytes, 12)
    });
    formats.collect()
}

/// A log of the former program as a kill leaves it: with open batches, with batches that are sealed and not
/// in the lake, and with a run that goes on.
fn former(directory: bool, codec: Codec) -> World {
    let mut shape = Shape::small(directory);
    shape.settings.format = match codec {
        Codec::Gz => "ndjson.gz".to_owned(),
        _ => "ndjson.zst".to_owned(),
    };
    shape.settings.packing = None;
    let mut world = World::new(7, shape);
    world.restart(Crash::Kill).unwrap();
    for turn in 0..10 {
        for _ in 0..3 {
            world.submit();
        }
        for _ in 0..4 {
            world.poll().unwrap();
        }
        world.turn().unwrap();
        if turn == 4 {
            world.flush();
            world.turn().unwrap();
            world.ship(1).unwrap();
            world.turn().unwrap();
        }
    }
    let state = world.node.as_ref().unwrap().writer.state();
    assert!(!state.sealed.is_empty(), "some batches wait");
    assert!(state.batches.open().count() > 2, "some batches are open");
    assert!(state.runs.open().count() > 0, "a run goes on");
    world.stop();
    world.disk.restart(Crash::Kill);
    to_format_2(&world.disk, &segments(&world));
    assert!(formats(&world).iter().all(|format| *format == 2));
    let settings = &mut world.shape.settings;
    settings.packing = Some(Packing {
        codec,
        least_bytes: 0,
        most_bytes: 2000,
    });
    world
}

/// A short life of the new program with the former one's log.
fn live(world: &mut World) -> Result<(), Violation> {
    for _ in 0..3 {
        for _ in 0..3 {
            world.submit();
        }
        world.poll()?;
        world.turn()?;
        world.ship(1)?;
        world.turn()?;
        if world.is_down() {
            return Ok(());
        }
    }
    Ok(())
}

fn finish(world: &mut World, crash: Crash) -> Result<(), Violation> {
    world.calm();
    world.restart(crash)?;
    world.drain()?;
    oracle::check(world)
}

#[test]
fn a_log_of_the_former_format_is_taken_over() {
    for directory in [false, true] {
        for codec in [Codec::Zst, Codec::Gz] {
            let mut world = former(directory, codec);
            world.restart(Crash::Kill).unwrap();
            let formats = formats(&world);
            assert_eq!(formats.last(), Some(&FORMAT), "{formats:?}");
            assert!(
                formats.contains(&2),
                "no older file is rewritten: {formats:?}"
            );
            live(&mut world).unwrap();
            finish(&mut world, Crash::Power).unwrap();
        }
    }
}

#[test]
fn a_takeover_may_be_cut_anywhere() {
    for directory in [false, true] {
        for at in 1.. {
            let crash = [Crash::Kill, Crash::Power][usize::from(at % 2 == 0)];
            let mut world = former(directory, Codec::Zst);
            world.faults_on = true;
            let cut = world.disk.ops() + at;
            world.disk.faults(|faults| faults.crash_at = Some(cut));
            let lived = match world.open() {
                Ok(_) => live(&mut world),
                Err(_) => Ok(()),
            };
            let untouched = !world.disk.has_crashed();
            let outcome = lived.and_then(|()| finish(&mut world, crash));
            if let Err(violation) = outcome {
                panic!("{crash:?} at operation {at}, directory {directory}: {violation}");
            }
            if untouched {
                assert!(at > 20, "the life is too short: {at}");
                break;
            }
        }
    }
}
