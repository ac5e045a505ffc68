//! Random worlds, in which everything happens in any order. At the end the lake is compared with what the
//! senders were answered.

use std::fmt::Write as _;
use std::ops::Range;
use std::time::Duration;

use crate::chance::{Chance, mix};
use crate::cluster::Cluster;
use crate::disk::Crash;
use crate::oracle;
use crate::owners;
use crate::shape::{JournalKind, Planted, Shape};
use crate::world::{Violation, World};

/// The number of steps of a world.
const STEPS: u64 = 45;
/// Seeds that once failed, with what they found then.
const REGRESSIONS: [u64; 10] = [
    0,      // a copied frame sealed its own rows, and the log was refused
    1,      // totals did not add up at a seal in the middle of a request
    11,     // large segments after the drain
    15,     // a row older than a published watermark
    17,     // a log that went on after a fatal error; a full disk at a rename was fatal
    92,     // a trim was forgotten by the copy of its frame
    118,    // a batch whose commit failed was never committed
    6614,   // the bound on the age of a batch forgot that a full log may not take a seal
    7820,   // the same, for a late partition
    15_312, // the bound on the log's size did not count the segments that a full disk cost
];

/// The same with a journal in memory.
const REGRESSIONS_IN_MEMORY: [u64; 1] = [
    140, // after the first frame of a segment found no space, the next one had no checkpoint
];

/// Runs one world, and returns a hash of everything that happened.
pub(crate) fn live(world: &mut World) -> Result<u64, Violation> {
    world.restart(Crash::Kill)?;
    for _ in 0..STEPS {
        step(world)?;
        owners::step(world)?;
        if world.is_down() {
            revive(world)?;
        }
    }
    world.drain()?;
    if world.shape.is_replicated() {
        owners::wake_all(world)?;
        world.drain()?;
    }
    world.turn()?;
    oracle::check(world)?;
    check_trimmed(world)?;
    world.close();
    world.restart(Crash::Power)?;
    world.drain()?;
    oracle::check(world)?;
    Ok(world.trace())
}

fn step(world: &mut World) -> Result<(), Violation> {
    for _ in 0..world.chance.below(3) {
        world.poll()?;
    }
    act(world)
}

/// Anything that may happen to a log, but for polls.
pub(crate) fn act(world: &mut World) -> Result<(), Violation> {
    match world.chance.weighted(&[40, 12, 8, 4, 16, 4, 4, 8]) {
        0 => {
            for _ in 0..world.chance.between(1, 4) {
                world.submit();
            }
            world.turn()
        }
        1 => {
            let millis = world.chance.below(4000);
            world.clock.advance(Duration::from_millis(millis));
            world.turn()
        }
        2 => {
            world.close();
            Ok(())
        }
        3 => {
            world.flush();
            world.turn()
        }
        4 => {
            let at_once = world.chance.index(2) + 1;
            world.ship(at_once)?;
            world.store_time();
            world.turn()
        }
        5 => {
            let crash = any_crash(world);
            world.restart(crash).map(drop)
        }
        6 => {
            let at = world.disk.ops() + 1 + world.chance.below(40);
            world.disk.faults(|faults| faults.crash_at = Some(at));
            Ok(())
        }
        _ => {
            trouble(world);
            Ok(())
        }
    }
}

pub(crate) fn any_crash(world: &mut World) -> Crash {
    if world.chance.percent(60) {
        Crash::Power
    } else {
        Crash::Kill
    }
}

/// Starts again after the process has ended; usually this crashes, too.
pub(crate) fn revive(world: &mut World) -> Result<(), Violation> {
    if world.chance.percent(20) {
        // A program that goes on after a fatal error must not accept anything.
        world.submit();
        world.turn()?;
    }
    let crash = any_crash(world);
    world.stop();
    if world.chance.percent(40) {
        world.disk.restart(crash);
        let at = world.disk.ops() + 1 + world.chance.below(25);
        world.disk.faults(|faults| faults.crash_at = Some(at));
        if world.open().is_ok() {
            return Ok(());
        }
    }
    let crash = any_crash(world);
    world.restart(crash).map(drop)
}

/// Lets things fail, or lets everything work again.
fn trouble(world: &mut World) {
    if world.faults_on && world.chance.percent(50) {
        world.calm();
        return;
    }
    world.faults_on = true;
    if world.shape.is_replicated() && world.chance.percent(60) {
        owners::trouble(world);
        return;
    }
    let kind = world.chance.below(4);
    world.disk_fails |= kind < 3;
    let used = world.disk.used();
    let chance = &mut world.chance;
    let (some, few) = (chance.between(10, 60), chance.between(2, 15));
    let spare = chance.below(200 << 10);
    match kind {
        0 => world.disk.faults(|faults| faults.enospc = some),
        1 => world.disk.faults(|faults| faults.eio = few),
        2 => world
            .disk
            .faults(|faults| faults.capacity = Some(used + spare)),
        _ => world.store.faults(|faults| {
            faults.errors = some;
            faults.lost_answers = 20;
            faults.late = 20;
            faults.damages = few;
            faults.strangers = few;
        }),
    }
}

/// Checks that rows in the lake no longer keep their segments.
pub(crate) fn check_trimmed(world: &mut World) -> Result<(), Violation> {
    for _ in 0..3 {
        world.clock.advance(Duration::from_secs(2));
        world.turn()?;
    }
    let Some(node) = &world.node else {
        return Ok(());
    };
    let state = node.writer.state();
    if state.uncommitted_rows() > 0 {
        return Err(format!("{} rows wait", state.uncommitted_rows()));
    }
    let settings = &world.shape.settings;
    let used = node.writer.used_bytes();
    // The current segment, which a large request may have enlarged, a spare, and the spare that is reserved
    // for shipping.
    let most = 3 * settings.segment_bytes.max(64 << 10) + (384 << 10);
    if used > most {
        return Err(format!("{used} bytes are kept of a log that is shipped"));
    }
    Ok(())
}

pub(crate) fn world_of(seed: u64) -> World {
    let shape = Shape::drawn(&mut Chance::new(mix(seed)));
    World::new(seed, shape)
}

/// Returns the hash of a world and the number of its crashes.
fn run(seed: u64) -> (u64, u64) {
    let mut world = world_of(seed);
    match live(&mut world) {
        Ok(trace) => (trace, world.crashes()),
        Err(violation) => panic!(
            "seed {seed}: {violation}\nreplay with: LAKEHOOK_SEED={seed} cargo test --test simulation replay"
        ),
    }
}

#[allow(clippy::print_stdout, reason = "a proof states its count")]
fn run_all(seeds: impl IntoIterator<Item = u64>) {
    let crashes: u64 = seeds.into_iter().map(|seed| run(seed).1).sum();
    println!("{crashes} crashes");
}

pub(crate) fn all_seeds() -> u64 {
    std::env::var("LAKEHOOK_SEEDS").map_or(1000, |seeds| seeds.parse().unwrap())
}

/// One of the ranges of seeds that run in parallel.
fn seeds(part: u64) -> Range<u64> {
    let all = all_seeds();
    all * part / 4..all * (part + 1) / 4
}

#[test]
fn seeds_of_the_first_quarter() {
    run_all(seeds(0));
}

#[test]
fn seeds_of_the_second_quarter() {
    run_all(seeds(1));
}

#[test]
fn seeds_of_the_third_quarter() {
    run_all(seeds(2));
}

#[test]
fn seeds_of_the_fourth_quarter() {
    run_all(seeds(3));
}

/// Returns the number of crashes of a world with a journal of another kind.
fn run_in_memory(seed: u64) -> u64 {
    let mut world = world_of(seed);
    world.shape.journal = JournalKind::Memory;
    let lived = live(&mut world);
    lived.unwrap_or_else(|violation| panic!("seed {seed}, in memory: {violation}"));
    world.crashes()
}

#[test]
#[allow(clippy::print_stdout, reason = "a proof states its count")]
fn seeds_with_a_journal_in_memory() {
    let seeds = 0..all_seeds().div_ceil(10);
    let crashes: u64 = seeds.map(run_in_memory).sum();
    println!("{crashes} crashes");
    assert!(crashes > 0, "nothing was interrupted");
}

/// The world of a replicated log, which several owners take from each other.
pub(crate) fn replicated(seed: u64) -> World {
    let mut chance = Chance::new(mix(seed));
    let shape = Shape::drawn(&mut chance).replicated(&mut chance);
    World::new(seed, shape)
}

/// Returns the number of takeovers and of fenced owners.
fn run_replicated(seed: u64) -> (u64, u64) {
    let mut world = replicated(seed);
    let lived = live(&mut world);
    lived.unwrap_or_else(|violation| panic!("seed {seed}, replicated: {violation}"));
    (world.takeovers, world.fenced)
}

#[allow(clippy::print_stdout, reason = "a proof states its count")]
fn run_all_replicated(part: u64) {
    let all = all_seeds().div_ceil(4);
    let counts = (all * part / 2..all * (part + 1) / 2).map(run_replicated);
    let (takeovers, fenced) = counts.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    println!("{takeovers} takeovers, {fenced} owners fenced");
    assert!(takeovers > 0 && fenced > 0, "nothing was interleaved");
}

#[test]
fn seeds_with_a_replicated_journal_of_the_first_half() {
    run_all_replicated(0);
}

#[test]
fn seeds_with_a_replicated_journal_of_the_second_half() {
    run_all_replicated(1);
}

#[test]
fn seeds_that_failed_once() {
    run_all(REGRESSIONS);
    for seed in REGRESSIONS_IN_MEMORY {
        run_in_memory(seed);
    }
}

#[test]
fn a_seed_replays_exactly() {
    for seed in [3, 500_000_017] {
        assert_eq!(run(seed), run(seed));
        let trace = || live(&mut replicated(seed));
        assert_eq!(trace(), trace());
    }
    assert_ne!(run(3), run(4));
}

/// Prints what happens in the world of `LAKEHOOK_SEED`: of one log, unless another variable says otherwise.
#[test]
fn replay() {
    let Ok(seed) = std::env::var("LAKEHOOK_SEED") else {
        return;
    };
    let seed_number = seed.parse().unwrap();
    if std::env::var_os("LAKEHOOK_SEVERAL").is_some() {
        let (text, outcome) = Cluster::new(seed_number, Planted::Nothing).live_aloud();
        panic!("{text}seed {seed}: {outcome:?}");
    }
    let is_replicated = std::env::var_os("LAKEHOOK_REPLICATED").is_some();
    let mut world = if is_replicated {
        replicated(seed_number)
    } else {
        world_of(seed_number)
    };
    world.log = Some(Vec::new());
    let outcome = live(&mut world);
    let mut text = String::new();
    for line in world.log.iter().flatten() {
        writeln!(text, "{line}").unwrap();
    }
    panic!("{text}seed {seed}: {outcome:?}");
}
