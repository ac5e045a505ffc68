//! Properties that every journal must have: in files on a real disk, in files on the simulated disk, in
//! memory, and in an engine that several machines reach: a simulated one, and three real servers of NATS.
//!
//! Frames hold arbitrary bytes here, and a model knows which of them a reader must find.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use lakehook::clock::{Micros, Now};
use lakehook::files::{Disk, Files, create_dir_durably, remove_if_there};
use lakehook::ids::{Ids, NodeId};
use lakehook::record::Lsn;
use lakehook::replica::NatsAccess;
use lakehook::replica::nats::StreamPlace;
use lakehook::replica::stream::StreamEngine;
use lakehook::wal::helper::Background;
use lakehook::wal::journal::local::{FoundFiles, LocalSettings};
use lakehook::wal::journal::replica::found::FoundReplica;
use lakehook::wal::journal::replica::owner::ReplicaSettings;
use lakehook::wal::journal::seam::{
    At, Found, Frame, Frames, Heading, Journal, JournalError, Purpose,
};
use lakehook::wal::layout::FRAME_HEADER;

use crate::chance::{Chance, mix};
use crate::disk::{Crash, Fault, Op, SimDisk};
use crate::engine::{SimEngine, give_up};
use crate::memory::MemoryStore;
use crate::support::nats::{Nats, NatsPlan};
use crate::world::WAL;

const SEGMENT_BYTES: u64 = 64 << 10;
const MAX_BYTES: u64 = 16 << 20;
const NOW: Now = Now {
    wall: Micros(1_795_176_000_000_000),
    mono: Duration::from_secs(1),
};

/// A journal that can be opened again and again.
struct Bench<'a, J> {
    find: Box<dyn Fn() -> J + 'a>,
    /// The disk on which faults are planned; the real disk has none.
    disk: Option<SimDisk>,
}

impl<J> Bench<'_, J> {
    /// Ends the process.
    fn crash(&self, crash: Crash) {
        if let Some(disk) = &self.disk {
            disk.restart(crash);
        }
    }

    /// Lets the next append fail with this error.
    fn fail_next(&self, kind: io::ErrorKind) {
        let fault = Fault {
            op: Some(Op::Write),
            on: "",
            after: 0,
            kind,
            forever: false,
        };
        if let Some(disk) = &self.disk {
            disk.faults(|faults| faults.planned.push(fault));
        }
    }
}

fn heading(lsn: u64) -> Heading {
    Heading {
        first_lsn: Lsn(lsn),
        rows: 0,
        written_at: NOW.wall,
    }
}

fn framed(body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; FRAME_HEADER];
    bytes.extend_from_slice(body);
    bytes
}

/// The frames that a reader must find.
#[derive(Clone, Debug, Default)]
struct Model {
    frames: Vec<(At, Vec<u8>)>,
    /// The first segment that has not been trimmed.
    first: u64,
    appended: u64,
}

impl Model {
    fn check(&self, read: &[Frame]) {
        let found: Vec<_> = read.iter().map(|f| (f.at, f.body().to_vec())).collect();
        assert_eq!(found, self.frames);
        for pair in read.windows(2) {
            assert_eq!(pair[0].header.number + 1, pair[1].header.number);
            assert_eq!(pair[0].header.crc, pair[1].header.previous_crc);
            assert!(pair[0].at < pair[1].at);
        }
    }

    /// Opens the journal. A frame whose outcome is unknown may be there or not.
    fn open<J: Found>(
        &mut self,
        bench: &Bench<'_, J>,
        unknown: Option<(At, Vec<u8>)>,
    ) -> J::Journal {
        let mut found = (bench.find)();
        let mut read = Vec::new();
        let after = found.newest().unwrap_or(0);
        if after > 0 {
            found
                .read(self.first, &mut |frame| {
                    read.push(frame);
                    Ok(())
                })
                .unwrap();
        }
        if read.len() > self.frames.len() {
            self.frames.extend(unknown);
        }
        self.check(&read);
        let before_trimmed = self.first.checked_sub(1).filter(|first| *first > 0);
        // A crash may bring back what was trimmed before. A trim at a start is complete when it returns.
        found.trim(self.first).unwrap();
        if let Some(gone) = before_trimmed {
            assert!(
                found.read(gone, &mut |_| Ok(())).is_err(),
                "segment {gone} was trimmed"
            );
            found.read(self.first, &mut |_| Ok(())).unwrap();
        }
        // A last frame that may not be durable is written again, into the new segment.
        let body = match self.frames.last() {
            Some(_) if !found.last_is_durable() => self.frames.pop().unwrap().1,
            _ => b"begin".to_vec(),
        };
        let at = found.next(after);
        let mut frame = framed(&body);
        let journal = found
            .go_on(after, heading(self.appended), &mut frame, NOW)
            .unwrap();
        self.first = self.first.max(1);
        self.frames.push((at, body));
        self.check_all(&journal);
        journal
    }

    /// Checks that every way to read returns the same frames.
    fn check_all<J: Journal>(&self, journal: &J) {
        let mut read = Vec::new();
        journal
            .read(&mut |frame| {
                read.push(frame);
                Ok(())
            })
            .unwrap();
        self.check(&read);
        let frames = journal.frames();
        let mut open = Default::default();
        for (at, body) in &self.frames {
            assert_eq!(frames.frame(*at).unwrap().unwrap().body(), body);
            let from = body.len() / 2;
            let mut part = vec![0; body.len() - from];
            frames.read(&mut open, *at, from as u64, &mut part).unwrap();
            assert_eq!(part, body[from..]);
        }
    }

    fn append<J: Journal>(&mut self, journal: &mut J, body: &[u8]) -> Result<(), JournalError> {
        let mut frame = framed(body);
        let need = frame.len() as u64;
        if journal.room(Purpose::Shipping) < need {
            let before = journal.next();
            assert!(journal.begin_segment(need, Purpose::Shipping, 0, NOW)?);
            assert!(
                journal.room(Purpose::Shipping) >= need,
                "that was asked for"
            );
            let segments = before.segment()..=before.segment() + 1;
            assert!(segments.contains(&journal.next().segment()), "no gaps");
        }
        assert!(journal.room(Purpose::Requests) <= journal.room(Purpose::Shipping));
        let expected = journal.next();
        self.appended += 1;
        let at = journal.append(heading(self.appended), &mut frame)?;
        assert_eq!(at, expected, "the position is known before");
        assert!(journal.next() > at);
        self.frames.push((at, body.to_vec()));
        Ok(())
    }
}

/// Performs random operations, and checks after each crash what a reader finds.
fn agrees_with_the_model<J: Found>(bench: &Bench<'_, J>, seed: u64) {
    let mut chance = Chance::new(mix(seed));
    let mut model = Model::default();
    let mut journal = model.open(bench, None);
    for step in 0..60_u64 {
        journal.tend(NOW);
        let length = [1, 100, 5000, 30_000][chance.index(4)];
        let body: Vec<u8> = (0..length).map(|at| (at + step) as u8).collect();
        match chance.weighted(&[50, 10, 10, 12, 9, 9]) {
            0 => model.append(&mut journal, &body).unwrap(),
            1 => {
                let before = journal.next();
                let beside = MAX_BYTES;
                let begun = journal.begin_segment(100, Purpose::Requests, beside, NOW);
                assert!(!begun.unwrap(), "it is over its bound");
                assert_eq!(journal.next(), before);
                assert!(
                    journal
                        .begin_segment(100, Purpose::Shipping, beside, NOW)
                        .unwrap()
                );
                model.append(&mut journal, &body).unwrap();
            }
            2 => {
                let used = journal.used();
                let current = journal.next().segment();
                let last = model.frames.last().map_or(current, |(at, _)| at.segment());
                model.first = last.min(current);
                journal.trim(model.first);
                model.frames.retain(|(at, _)| at.segment() >= model.first);
                assert!(journal.used() <= used);
                model.check_all(&journal);
            }
            3 => {
                drop(journal);
                bench.crash([Crash::Kill, Crash::Power][chance.index(2)]);
                journal = model.open(bench, None);
            }
            4 if bench.disk.is_some() => {
                bench.fail_next(io::ErrorKind::StorageFull);
                let refused = model.clone().append(&mut journal, b"there is no space");
                if let Err(error) = refused {
                    assert!(matches!(error, JournalError::NoSpace(_)), "{error:?}");
                    model.check_all(&journal);
                } else {
                    // The fault hit a segment that was being prepared, and a second attempt succeeded.
                    drop(journal);
                    bench.crash(Crash::Kill);
                    let at = lost_append(bench);
                    journal = model.open(bench, at);
                }
            }
            5 if bench.disk.is_some() => {
                let at = journal.next();
                if journal.room(Purpose::Shipping) < 200 {
                    continue;
                }
                bench.fail_next(io::ErrorKind::Other);
                let failed = model.clone().append(&mut journal, b"unknown");
                assert!(
                    matches!(failed, Err(JournalError::Unknown(_))),
                    "{failed:?}"
                );
                drop(journal);
                bench.crash(Crash::Power);
                journal = model.open(bench, Some((at, b"unknown".to_vec())));
            }
            _ => {}
        }
    }
    model.check_all(&journal);
}

/// The last frame, which was appended without the model's knowledge.
fn lost_append<J: Found>(bench: &Bench<'_, J>) -> Option<(At, Vec<u8>)> {
    let mut found = (bench.find)();
    let mut last = None;
    let newest = found.newest()?;
    let each = &mut |frame: Frame| {
        last = Some((frame.at, frame.body().to_vec()));
        Ok(())
    };
    found.read(newest, each).unwrap();
    last
}

fn local<F: Files>(files: &F, dir: &Path) -> FoundFiles<F> {
    let settings = LocalSettings {
        segment_bytes: SEGMENT_BYTES,
        first_segment_bytes: 16 << 10,
        max_bytes: MAX_BYTES,
        node: NodeId(7),
        ids: Ids::System,
        background: Background::Inline,
    };
    create_dir_durably(files, dir, true).unwrap();
    FoundFiles::open(files.clone(), dir, settings).unwrap()
}

#[test]
fn a_journal_in_files() {
    for seed in 0..3 {
        let dir = tempfile::tempdir().unwrap();
        let bench = Bench {
            find: Box::new(|| local(&Disk, dir.path())),
            disk: None,
        };
        agrees_with_the_model(&bench, seed);
    }
}

#[test]
fn a_journal_in_files_of_the_simulated_disk() {
    for seed in 0..40 {
        let disk = SimDisk::new(seed);
        let bench = Bench {
            find: Box::new(|| local(&disk, Path::new(WAL))),
            disk: Some(disk.clone()),
        };
        agrees_with_the_model(&bench, seed);
    }
}

#[test]
fn a_journal_in_memory() {
    for seed in 0..40 {
        let disk = SimDisk::new(seed);
        let store = MemoryStore::new(disk.clone());
        let bench = Bench {
            find: Box::new(|| store.find(SEGMENT_BYTES, MAX_BYTES)),
            disk: Some(disk),
        };
        agrees_with_the_model(&bench, seed);
    }
}

fn replica_settings() -> ReplicaSettings {
    ReplicaSettings {
        segment_bytes: SEGMENT_BYTES,
        max_bytes: MAX_BYTES,
        log: NodeId(7),
        ids: Ids::System,
        background: Background::Inline,
        keep_trying: give_up(),
        owner: "a test".to_owned(),
        interval: Duration::ZERO,
        known: (0, 0),
        over: None,
    }
}

fn replica<F: Files>(engine: &SimEngine, files: &F, dir: &Path) -> FoundReplica<SimEngine, F> {
    create_dir_durably(files, dir, true).unwrap();
    FoundReplica::open(engine.clone(), files.clone(), dir, replica_settings()).unwrap()
}

#[test]
fn a_journal_in_an_engine() {
    for seed in 0..40 {
        let disk = SimDisk::new(seed);
        let engine = SimEngine::new(disk.clone(), seed);
        let bench = Bench {
            find: Box::new(|| replica(&engine, &disk, Path::new(WAL))),
            disk: Some(disk.clone()),
        };
        agrees_with_the_model(&bench, seed);
    }
}

#[test]
fn a_journal_in_an_engine_with_copies_on_a_real_disk() {
    for seed in 0..3 {
        let dir = tempfile::tempdir().unwrap();
        let engine = SimEngine::new(SimDisk::new(seed), seed);
        let bench = Bench {
            find: Box::new(|| replica(&engine, &Disk, dir.path())),
            disk: None,
        };
        agrees_with_the_model(&bench, seed);
    }
}

/// Every start is on a machine that has never seen the log.
#[test]
fn a_journal_in_an_engine_whose_machine_is_lost_again_and_again() {
    for seed in 0..10 {
        let engine = SimEngine::new(SimDisk::new(seed), seed);
        let find = || {
            let disk = SimDisk::new(seed);
            replica(&engine, &disk, Path::new(WAL))
        };
        let bench = Bench {
            find: Box::new(find),
            disk: None,
        };
        agrees_with_the_model(&bench, seed);
    }
}

fn in_stream(engine: &StreamEngine, dir: &Path) -> FoundReplica<StreamEngine, Disk> {
    let settings = ReplicaSettings {
        background: Background::Threads,
        keep_trying: Arc::new(|failed, _| {
            std::thread::sleep(Duration::from_millis(50));
            failed < 200
        }),
        ..replica_settings()
    };
    FoundReplica::open(engine.clone(), Disk, dir, settings).unwrap()
}

/// In three real servers. Messages are small there, so that most frames are in parts.
#[test]
fn a_journal_in_a_stream_of_nats() {
    let plan = NatsPlan {
        max_payload: 16 << 10,
        ..NatsPlan::default()
    };
    let Some(nats) = Nats::planned(plan) else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let open = |name: &str| {
        let place = StreamPlace {
            access: NatsAccess {
                servers: nats.urls(),
                ..NatsAccess::default()
            },
            stream: format!("lakehook-{name}-events"),
            root: format!("lakehook.{name}.events"),
            needed: 2 * MAX_BYTES,
        };
        // On a busy machine, a server may not know the leader yet.
        for _ in 0..200 {
            if let Ok(engine) = StreamEngine::open(place.clone(), runtime.handle().clone(), 7) {
                return engine;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("the stream cannot be opened");
    };
    for seed in 0..2 {
        let engine = open(&format!("seed-{seed}"));
        let dir = tempfile::tempdir().unwrap();
        let lost = |seed| {
            // Every second life is on a machine that has never seen the log.
            if seed % 2 == 1 {
                for entry in Disk.list(dir.path()).unwrap() {
                    remove_if_there(&Disk, &dir.path().join(entry.name)).unwrap();
                }
            }
        };
        let lives = std::cell::Cell::new(0_u64);
        let bench = Bench {
            find: Box::new(|| {
                lives.set(lives.get() + 1);
                lost(lives.get());
                in_stream(&engine, dir.path())
            }),
            disk: None,
        };
        agrees_with_the_model(&bench, seed);
    }
    let engine = open("fenced");
    let machines = std::cell::RefCell::new(Vec::new());
    is_fenced(&Bench {
        find: Box::new(|| {
            let dir = tempfile::tempdir().unwrap();
            let found = in_stream(&engine, dir.path());
            machines.borrow_mut().push(dir);
            found
        }),
        disk: None,
    });
}

/// Two processes open the same journal. The one that opens it later takes it over, and the other one is
/// fenced.
#[test]
fn whoever_lost_a_journal_is_fenced() {
    let disk = SimDisk::new(1);
    let store = MemoryStore::new(disk.clone());
    is_fenced(&Bench {
        find: Box::new(|| store.find(SEGMENT_BYTES, MAX_BYTES)),
        disk: Some(disk),
    });
    let engine = SimEngine::new(SimDisk::new(1), 1);
    is_fenced(&Bench {
        find: Box::new(|| replica(&engine, &SimDisk::new(2), Path::new(WAL))),
        disk: None,
    });
}

fn is_fenced<J: Found>(bench: &Bench<'_, J>) {
    let mut model = Model::default();
    let mut first = model.open(bench, None);
    model.append(&mut first, b"by the first").unwrap();
    let mut second = model.open(bench, None);
    let refused = model.clone().append(&mut first, b"by the first, too late");
    assert!(
        matches!(refused, Err(JournalError::Fenced { number: 3, .. })),
        "{refused:?}"
    );
    model.append(&mut second, b"by the second").unwrap();
    model.check_all(&second);
}
