//! A test of the simulation: bugs are planted between the parts, and the seeds must find each of them.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::chance::{Chance, mix};
use crate::cluster::Cluster;
use crate::disk::Lies;
use crate::engine::EngineLie;
use crate::seeds::{live, replicated};
use crate::shape::{JournalKind, Planted, Shape};
use crate::store::{Conditions, Proofs, StoreLie};
use crate::world::World;

/// Each bug must be found within this many seeds, …
const SEEDS: u64 = 90;
/// … by at least this many of them.
const ENOUGH: usize = 3;

/// Where a bug is planted.
#[derive(Clone, Copy)]
enum Where {
    /// Between the parts of the program.
    Program(Planted),
    /// Into the disk.
    Disk(Lies),
    /// Into the object store.
    Store(Conditions, StoreLie),
}

/// A bug: its description, its place, and the kinds of lakes in which it is planted.
struct Bug(&'static str, Where, &'static [bool]);

const BOTH: &[bool] = &[false, true];
/// In a store only, or in a directory only.
const STORE: &[bool] = &[false];
const DIRECTORY: &[bool] = &[true];

const HONEST: Lies = Lies {
    sync: false,
    sync_dir: false,
    failed_sync: false,
    late_rename: false,
};

#[rustfmt::skip]
const BUGS: [Bug; 24] = [
    Bug("a sync that does nothing", Where::Disk(Lies { sync: true, ..HONEST }), BOTH),
    Bug("a failed sync that is taken for one that is done", Where::Disk(Lies { failed_sync: true, ..HONEST }), BOTH),
    Bug("a sync of a directory that does nothing", Where::Disk(Lies { sync_dir: true, ..HONEST }), BOTH),
    Bug("a rename that is reported before it is durable", Where::Disk(Lies { late_rename: true, ..HONEST }), BOTH),
    Bug("a 2xx before the outcome of the write", Where::Program(Planted::EarlyAnswer), DIRECTORY),
    Bug("a commit before the put", Where::Program(Planted::EarlyCommit), BOTH),
    Bug("a segment that is removed before its rows are in the lake", Where::Program(Planted::EarlyRemoval), BOTH),
    Bug("ids that are forgotten before their window ends", Where::Program(Planted::ShortWindow), BOTH),
    Bug("a run that is visible before all of its objects are", Where::Program(Planted::EarlyMarker), BOTH),
    Bug("a poll's position that is noted before its rows", Where::Program(Planted::CursorFirst), BOTH),
    Bug("an age that counts from the restart", Where::Program(Planted::AgeFromRestart), BOTH),
    Bug("a day that an event dated tomorrow has begun", Where::Program(Planted::DayAsClaimed), BOTH),
    Bug("a section that is copied twice", Where::Program(Planted::CopiedTwice), BOTH),
    Bug("a section that is copied from the place of another", Where::Program(Planted::WrongPlace), BOTH),
    Bug("a seal that cuts a section before its last row", Where::Program(Planted::CutWrongly), BOTH),
    Bug("a bit that flips between the log and the lake", Where::Program(Planted::FlippedBit), BOTH),
    Bug("an object that is compressed otherwise than its key says", Where::Program(Planted::CodecMixed), BOTH),
    Bug("a store that honours conditions for the probe only", Where::Store(Conditions::OnlyForProbe, StoreLie::Nothing), STORE),
    Bug("a put that is reported, and did not happen", Where::Store(Conditions::Honoured, StoreLie::Forgets), STORE),
    Bug("an object that is cut, and reported as whole", Where::Store(Conditions::Honoured, StoreLie::Cuts), STORE),
    Bug("an object with the metadata of another", Where::Store(Conditions::Honoured, StoreLie::MixesUp), STORE),
    Bug("a retry that puts under a key of its own", Where::Store(Conditions::Honoured, StoreLie::Copies), STORE),
    Bug("a 200 that is believed without proof", Where::Store(Conditions::Honoured, StoreLie::BelievedStranger), STORE),
    Bug("a checksum that is not compared", Where::Store(Conditions::Honoured, StoreLie::ChecksumNotCompared), STORE),
];

impl Where {
    fn spoil(self, world: &mut World) {
        match self {
            Self::Program(planted) => {
                world.shape.planted = planted;
                if planted == Planted::ShortWindow {
                    world.shape.settings.dedup_window = 40;
                    world.shape.settings.max_ids = 1;
                }
                if matches!(planted, Planted::AgeFromRestart | Planted::DayAsClaimed) {
                    // A world lives for seconds only.
                    let limits = &mut world.shape.settings.limits;
                    limits.max_records = 1000;
                    limits.max_age = Duration::from_millis(1500);
                    limits.late_max_age = Duration::from_millis(3000);
                }
            }
            Self::Disk(lies) => world.disk.faults(|faults| faults.lies = lies),
            Self::Store(conditions, lie) => world.store.faults(|faults| {
                faults.conditions = conditions;
                faults.lie = lie;
                faults.proofs = Proofs::Crc32c;
            }),
        }
    }
}

/// The seeds that find a bug in a world of this kind, and what the first of them reported.
fn found(directory: bool, memory: bool, bug: Where) -> (Vec<u64>, String) {
    let mut first = String::new();
    let finds = |seed: &u64| {
        let mut shape = Shape::drawn(&mut Chance::new(mix(*seed)));
        shape.settings.lake = Shape::small(directory).settings.lake;
        shape.directory = directory;
        if memory {
            shape.journal = JournalKind::Memory;
        }
        let mut world = World::new(*seed, shape);
        bug.spoil(&mut world);
        let lived = live(&mut world);
        if let (Err(violation), true) = (&lived, first.is_empty()) {
            violation.clone_into(&mut first);
        }
        lived.is_err()
    };
    let seeds = (0..SEEDS).filter(finds).take(ENOUGH).collect();
    (seeds, first)
}

fn lakes(bug: &Bug) -> &'static str {
    match *bug.2 {
        [true] => "directory",
        [false] => "store",
        _ => "directory, store",
    }
}

/// Prints which seeds find which bug, and checks that `docs/RELIABILITY.md` has the same table.
#[test]
fn each_planted_bug_is_found() {
    let tries: Vec<(&Bug, bool)> = BUGS
        .iter()
        .flat_map(|bug| bug.2.iter().map(move |directory| (bug, *directory)))
        .collect();
    let next = AtomicUsize::new(0);
    let work = || {
        let mut outcomes = Vec::new();
        while let Some((bug, directory)) = tries.get(next.fetch_add(1, Ordering::Relaxed)) {
            outcomes.push((bug.0, *directory, found(*directory, false, bug.1)));
        }
        outcomes
    };
    let outcomes = std::thread::scope(|scope| {
        let threads = [scope.spawn(work), scope.spawn(work)];
        threads.map(|thread| thread.join().unwrap()).concat()
    });
    for (bug, directory, (seeds, first)) in &outcomes {
        let lake = if *directory { "directory" } else { "store" };
        println!("{bug} ({lake}): seeds {seeds:?}: {first:.300}");
    }
    for (bug, directory, (seeds, _)) in &outcomes {
        assert_eq!(seeds.len(), ENOUGH, "{bug}, directory: {directory}");
    }
    let mut table = String::from("| planted bug | lakes | found by |\n|---|---|---|\n");
    for bug in &BUGS {
        writeln!(table, "| {} | {} | simulation |", bug.0, lakes(bug)).unwrap();
    }
    let page = include_str!("../../docs/RELIABILITY.md");
    assert!(
        page.contains(&table),
        "docs/RELIABILITY.md must have:\n{table}"
    );
}

/// Bugs of the program are found with every kind of journal.
#[test]
fn bugs_are_found_on_a_journal_in_memory() {
    for bug in [
        Planted::EarlyAnswer,
        Planted::EarlyCommit,
        Planted::EarlyRemoval,
        Planted::ShortWindow,
        Planted::CursorFirst,
        Planted::AgeFromRestart,
    ] {
        let (seeds, first) = found(true, true, Where::Program(bug));
        assert_eq!(seeds.len(), ENOUGH, "{bug:?}: {first}");
    }
}

/// A bug of a replicated log: its description, and where it is planted.
struct ReplicaBug(&'static str, Planted, EngineLie);

#[rustfmt::skip]
const REPLICA_BUGS: [ReplicaBug; 10] = [
    ReplicaBug("a fence that a trim deletes", Planted::Nothing, EngineLie::FencesTrimmed),
    ReplicaBug("a number that is taken, believed to be ours", Planted::Nothing, EngineLie::TakenIsOurs),
    ReplicaBug("a fence that counts without a new list", Planted::Nothing, EngineLie::OldList),
    ReplicaBug("a takeover that does not fold what is there", Planted::BlindTakeover, EngineLie::Nothing),
    ReplicaBug("a 2xx before the verdict of the engine", Planted::EarlyAnswer, EngineLie::Nothing),
    ReplicaBug("a trim before the commit", Planted::EarlyRemoval, EngineLie::Nothing),
    ReplicaBug("a commit before the put", Planted::EarlyCommit, EngineLie::Nothing),
    ReplicaBug("an append that is reported, and did not happen", Planted::Nothing, EngineLie::Forgets),
    ReplicaBug("reserved LSNs that are taken for stored rows", Planted::ReservedIsStored, EngineLie::Nothing),
    ReplicaBug("ids that are only on the disk of a lost machine", Planted::Nothing, EngineLie::ForgetsIds),
];

/// Prints which seeds find which bug of a replicated log, and checks that `docs/RELIABILITY.md` has the same
/// table.
#[test]
fn each_bug_of_a_replicated_log_is_found() {
    let find = |bug: &ReplicaBug| {
        let mut first = String::new();
        let finds = |seed: &u64| {
            let mut world = replicated(*seed);
            world.shape.planted = bug.1;
            world.engine.faults(|faults| faults.lie = bug.2);
            let lived = live(&mut world);
            if let (Err(violation), true) = (&lived, first.is_empty()) {
                violation.clone_into(&mut first);
            }
            lived.is_err()
        };
        let seeds: Vec<u64> = (0..SEEDS).filter(finds).take(ENOUGH).collect();
        (seeds, first)
    };
    let mut table = String::from("| planted bug of a replicated log | found by |\n|---|---|\n");
    let mut missed = Vec::new();
    for bug in &REPLICA_BUGS {
        let (seeds, first) = find(bug);
        println!("{}: seeds {seeds:?}: {first:.300}", bug.0);
        if seeds.len() < ENOUGH {
            missed.push(bug.0);
        }
        writeln!(table, "| {} | simulation |", bug.0).unwrap();
    }
    assert!(missed.is_empty(), "not found: {missed:?}");
    let page = include_str!("../../docs/RELIABILITY.md");
    assert!(
        page.contains(&table),
        "docs/RELIABILITY.md must have:\n{table}"
    );
}

/// Bugs of a cluster with several logs.
#[rustfmt::skip]
const CLUSTER_BUGS: [(&str, Planted); 3] = [
    ("a split that sends the rows of one id to two logs", Planted::SplitOtherwise),
    ("a forwarder that counts a lost answer as stored", Planted::LostIsStored),
    ("a 2xx after the first of several logs has stored its part", Planted::FirstAnswers),
];

/// Prints which seeds find which bug of a cluster with several logs, and checks that `docs/RELIABILITY.md` has the same
/// table.
#[test]
fn each_bug_of_several_logs_is_found() {
    let mut table = String::from("| planted bug of several logs | found by |\n|---|---|\n");
    let mut missed = Vec::new();
    for (bug, planted) in CLUSTER_BUGS {
        let mut first = String::new();
        let finds = |seed: &u64| {
            let lived = Cluster::new(*seed, planted).live();
            if let (Err(violation), true) = (&lived, first.is_empty()) {
                violation.clone_into(&mut first);
            }
            lived.is_err()
        };
        let seeds: Vec<u64> = (0..SEEDS).filter(finds).take(ENOUGH).collect();
        println!("{bug}: seeds {seeds:?}: {first:.300}");
        if seeds.len() < ENOUGH {
            missed.push(bug);
        }
        writeln!(table, "| {bug} | simulation |").unwrap();
    }
    assert!(missed.is_empty(), "not found: {missed:?}");
    let page = include_str!("../../docs/RELIABILITY.md");
    assert!(
        page.contains(&table),
        "docs/RELIABILITY.md must have:\n{table}"
    );
}

#[test]
fn nothing_is_found_where_nothing_is_planted() {
    let nothing = Where::Program(Planted::Nothing);
    for directory in [false, true] {
        assert_eq!(
            found(directory, false, nothing),
            (Vec::new(), String::new())
        );
    }
}
