//! A replicated log in a real bucket: the client of the program, over HTTP, against a server whose answers are
//! lost and whose puts are late.
//!
//! The client takes its credentials from the environment, so each test runs in a process of its own.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use lakehook::clock::{Clock, Micros};
use lakehook::files::Disk;
use lakehook::ids::Ids;
use lakehook::lake::keys::object_key;
use lakehook::lake::s3::{Endpoint, Location, ObjectOptions, S3};
use lakehook::record::{Identity, NO_RUN, Origin, RowKind, Rows};
use lakehook::replica::bucket::BucketEngine;
use lakehook::wal::batch::Limits;
use lakehook::wal::entry::Commit;
use lakehook::wal::helper::Background;
use lakehook::wal::journal::replica::cache::CachedFrames;
use lakehook::wal::journal::replica::engine::{Engine as _, Item};
use lakehook::wal::journal::replica::owner::ReplicaJournal;
use lakehook::wal::lateness::Calendar;
use lakehook::wal::recover::{self, OpenError, ReplicaStart};
use lakehook::wal::request::{Append, AppendError, Appended, Request, Settings};
use lakehook::wal::writer::Writer;
use tokio::runtime::Runtime;

use crate::support::s3::{BUCKET, Chances, Checksums, Fault, S3Server};

/// Runs a test in a process that has the server's credentials.
fn with_keys(name: &str, test: fn()) {
    crate::support::s3::with_keys(&format!("replica::{name}"), test);
}

/// A bucket, and machines that come and go.
struct Bench {
    server: S3Server,
    runtime: Runtime,
}

type Owner = Writer<ReplicaJournal<BucketEngine, Disk>, Disk>;

/// An owner, and the directory of its machine.
struct Machine {
    writer: Owner,
    dir: tempfile::TempDir,
}

fn settings() -> Settings {
    Settings {
        segment_bytes: 2 << 10,
        first_segment_bytes: 1 << 10,
        max_bytes: 16 << 20,
        dedup_window: 8000,
        max_ids: 100_000,
        filter_bytes: 16 << 10,
        ids_per_file: 100,
        limits: Limits {
            max_bytes: 1 << 20,
            max_records: 20,
            max_age: Duration::from_secs(3600),
            late_max_age: Duration::from_secs(3600),
            max_waiting_seals: 16,
        },
        calendar: Calendar::new(|_| vec![PARTITION.to_owned()]),
        lake: "s3://bucket".to_owned(),
        format: "ndjson".to_owned(),
        packing: None,
        object_key,
        conflict_row: |_, _, _| 1,
        conflict_partition: |_| PARTITION.to_owned(),
    }
}

const PARTITION: &str = "events/dt=2026-11-20";
const NOW: Micros = Micros(1_795_176_000_000_000);

impl Bench {
    fn new(seed: u64) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        Self {
            server: S3Server::start(seed),
            runtime,
        }
    }

    fn engine(&self) -> Result<BucketEngine, lakehook::lake::LakeError> {
        let location = Location {
            bucket: BUCKET.to_owned(),
            prefix: "log".to_owned(),
            endpoint: Some(Endpoint {
                url: self.server.endpoint(),
                named_by: "a test",
            }),
            region: None,
            path_style: None,
            options: ObjectOptions::default(),
        };
        let handle = self.runtime.handle().clone();
        let store = self.runtime.block_on(S3::new(location, handle));
        let unique = Ids::System.next().unwrap();
        BucketEngine::open(Box::new(store), "s3://lake/log".to_owned(), unique)
    }

    fn start(&self, patience: Duration) -> Result<Machine, OpenError> {
        let dir = tempfile::tempdir().unwrap();
        let writer = self.start_in(dir.path(), patience)?;
        Ok(Machine { writer, dir })
    }

    fn start_in(&self, dir: &Path, patience: Duration) -> Result<Owner, OpenError> {
        let engine = self.engine().unwrap();
        let start = ReplicaStart {
            keep_trying: Arc::new(move |failed, _| {
                std::thread::sleep(Duration::from_millis(20));
                Duration::from_millis(20) * failed < patience
            }),
            background: Background::Threads,
            owner: dir.display().to_string(),
            interval: Duration::ZERO,
            known: (0, 0),
            over: None,
        };
        let settings = settings();
        let (ids, place, trying) = (Ids::System, (&Disk, dir), start.keep_trying.clone());
        let node = recover::identify(&engine, place, &ids, &trying, &mut |_| Ok(()))?;
        let found = recover::find_replica(engine, place, node.id, (&settings, &ids), start)?;
        let effects = (Clock::manual(NOW), Ids::System);
        let opened = recover::open_journal(
            found,
            Disk,
            dir,
            node,
            settings,
            effects,
            Background::Threads,
        );
        opened.map(|(writer, _)| writer)
    }
}

/// An event of that id.
fn event(id: u64) -> Request {
    let mut rows = Rows::default();
    let partition = rows.partition(PARTITION);
    rows.bytes
        .extend_from_slice(format!("{{\"id\":{id}}}").as_bytes());
    // Real tags are hashes.
    let identity = Identity {
        tag: (id + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15),
        content: 0,
    };
    rows.finish_row(1, partition, RowKind::Record(identity));
    Request::Append(Box::new(Append {
        rows,
        dropped: 0,
        origin: Origin {
            received_at: NOW,
            endpoint: "/webhook/events".into(),
            request_id: "r".into(),
            client: None,
        },
        run: NO_RUN,
        cursor: None,
    }))
}

fn ask(writer: &mut Owner, request: Request) -> Result<Appended, AppendError> {
    let mut jobs = [(request, ())].into();
    loop {
        // While ids wait to be written, there may be no room.
        if let Some(((), reply)) = writer.turn(&mut jobs).replies.pop() {
            return reply;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn send(writer: &mut Owner, id: u64) -> Result<Appended, AppendError> {
    ask(writer, event(id))
}

/// Seals and commits everything, as if it were shipped, so that segments are trimmed.
fn ship(writer: &mut Owner) {
    ask(writer, Request::Flush).unwrap();
    let sealed: Vec<u64> = writer.state().sealed.keys().copied().collect();
    for seal in sealed {
        let commit = Commit {
            seal,
            ..Commit::default()
        };
        ask(writer, Request::Commit(commit)).unwrap();
    }
}

/// Sends many events and ships them, so that segments come and go.
fn work(writer: &mut Owner, ids: std::ops::Range<u64>) {
    for id in ids {
        assert_eq!(send(writer, id).unwrap().accepted, 1, "event {id}");
        if id % 10 == 9 {
            ship(writer);
        }
    }
    ship(writer);
    // What is trimmed is deleted beside the writer.
    send(writer, 1_000_000).ok();
}

const SHORT: Duration = Duration::from_millis(50);
const LONG: Duration = Duration::from_secs(20);

#[test]
fn a_lost_machine_goes_on_elsewhere_and_knows_every_id() {
    with_keys(
        "a_lost_machine_goes_on_elsewhere_and_knows_every_id",
        || {
            let bench = Bench::new(91);
            let mut first = bench.start(LONG).unwrap();
            work(&mut first.writer, 0..60);
            assert_eq!(
                send(&mut first.writer, 60).unwrap().accepted,
                1,
                "not shipped"
            );
            drop(first);
            let mut second = bench.start(LONG).unwrap();
            // That one, and the last one of the work.
            assert_eq!(second.writer.state().uncommitted_rows(), 2);
            for id in 0..=60 {
                assert_eq!(
                    send(&mut second.writer, id).unwrap().duplicates,
                    1,
                    "event {id}"
                );
            }
            // The same machine, too.
            let Machine { writer, dir } = second;
            drop(writer);
            let mut again = bench.start_in(dir.path(), LONG).unwrap();
            assert_eq!(send(&mut again, 7).unwrap().duplicates, 1);
        },
    );
}

#[test]
fn a_put_that_is_late_by_a_takeover_and_a_trim_is_not_answered() {
    with_keys(
        "a_put_that_is_late_by_a_takeover_and_a_trim_is_not_answered",
        || {
            let bench = Bench::new(92);
            let mut former = bench.start(SHORT).unwrap();
            send(&mut former.writer, 1).unwrap();
            let late = Fault::AppliedLater(Duration::from_secs(8));
            let others = [Some(Fault::Reset); 20];
            let began = Instant::now();
            bench
                .server
                .faults()
                .on_next_puts([Some(late)].into_iter().chain(others));
            let unknown = send(&mut former.writer, 2);
            assert!(
                matches!(unknown, Err(AppendError::Storage(_))),
                "{unknown:?}"
            );
            bench.server.faults().calm();

            let mut owner = bench.start(LONG).unwrap();
            work(&mut owner.writer, 100..140);
            assert!(
                began.elapsed() < Duration::from_secs(8),
                "too slow for this test"
            );
            std::thread::sleep(Duration::from_secs(9).saturating_sub(began.elapsed()));
            assert_eq!(bench.server.faults().counts().replaced, 0);
            drop(owner);
            let mut next = bench.start(LONG).unwrap();
            let again = send(&mut next.writer, 2).unwrap();
            assert_eq!(
                again.accepted, 1,
                "it was never acknowledged, and is not in the log"
            );
            assert_eq!(send(&mut next.writer, 139).unwrap().duplicates, 1);
        },
    );
}

#[test]
fn whoever_is_fenced_is_told_by_whom() {
    with_keys("whoever_is_fenced_is_told_by_whom", || {
        let bench = Bench::new(93);
        let mut former = bench.start(LONG).unwrap();
        send(&mut former.writer, 1).unwrap();
        let mut owner = bench.start(LONG).unwrap();
        let refused = send(&mut former.writer, 2).unwrap_err().to_string();
        let by = owner.dir.path().display().to_string();
        assert!(refused.contains(&by), "{refused}");
        assert!(send(&mut former.writer, 3).is_err(), "for good");
        assert_eq!(send(&mut owner.writer, 2).unwrap().accepted, 1);
    });
}

/// Errors, lost answers, late puts, resets and stalls: nothing that was acknowledged is lost, nothing is there
/// twice, and nothing is ever replaced.
#[test]
fn a_storm_loses_nothing() {
    with_keys("a_storm_loses_nothing", || {
        let bench = Bench::new(94);
        let mut acknowledged = Vec::new();
        let mut id = 0;
        for _ in 0..4 {
            let Ok(mut machine) = bench.start(LONG) else {
                continue;
            };
            bench.server.faults().set(Chances::storm(0.02));
            for _ in 0..30 {
                id += 1;
                match send(&mut machine.writer, id) {
                    Ok(appended) => {
                        assert_eq!(appended.accepted, 1);
                        acknowledged.push(id);
                    }
                    Err(_) => break,
                }
            }
            bench.server.faults().calm();
        }
        // What was late has arrived.
        std::thread::sleep(Duration::from_millis(1500));
        let mut last = bench.start(LONG).unwrap();
        assert!(acknowledged.len() > 30, "{} of {id}", acknowledged.len());
        for id in &acknowledged {
            assert_eq!(
                send(&mut last.writer, *id).unwrap().duplicates,
                1,
                "event {id}"
            );
        }
        assert_eq!(bench.server.faults().counts().replaced, 0);
    });
}

/// Trims delete frames and ids, and keep fences; the bucket holds what the log needs and no more.
#[test]
fn what_is_trimmed_is_deleted_and_fences_stay() {
    with_keys("what_is_trimmed_is_deleted_and_fences_stay", || {
        let bench = Bench::new(95);
        for start in 0..3 {
            let mut machine = bench.start(LONG).unwrap();
            work(&mut machine.writer, start * 100..start * 100 + 40);
        }
        let engine = bench.engine().unwrap();
        let frames = engine.frames(0).unwrap();
        assert_eq!(frames[0], 1, "the first fence");
        let newest = *frames.last().unwrap();
        assert!(newest > 120, "{newest}");
        assert!(frames.len() < 60, "{frames:?}");
        assert_eq!(engine.frames(newest).unwrap(), [newest]);
        assert!(engine.frames(newest + 1).unwrap().is_empty());
        assert!(engine.read(Item::Frame(2)).unwrap().is_none());
        assert!(engine.files().unwrap().contains(&"node".to_owned()));
    });
}

#[test]
fn a_store_that_cannot_fence_is_refused() {
    with_keys("a_store_that_cannot_fence_is_refused", || {
        let bench = Bench::new(96);
        bench.engine().unwrap();
        let faults = bench.server.faults();
        let refusal = || {
            bench
                .engine()
                .err()
                .map(|error| error.to_string())
                .unwrap_or_default()
        };
        faults.ignore_conditions(true);
        assert!(
            refusal().contains("it ignores If-None-Match"),
            "{}",
            refusal()
        );
        faults.ignore_conditions(false);
        // Then each item is read back.
        faults.checksums(Checksums::Ignored);
        assert!(bench.engine().unwrap().reads_back());
        faults.checksums(Checksums::Compared);
        assert!(!bench.engine().unwrap().reads_back());
    });
}

/// While the bucket is away, an append waits; it goes on when the bucket is back.
#[test]
fn an_append_waits_for_the_bucket() {
    with_keys("an_append_waits_for_the_bucket", || {
        let bench = Bench::new(97);
        let mut owner = bench.start(LONG).unwrap();
        bench.server.faults().down();
        let is_back = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(500));
                is_back.store(true, Ordering::SeqCst);
                bench.server.faults().up();
            });
            assert_eq!(send(&mut owner.writer, 1).unwrap().accepted, 1);
            assert!(
                is_back.load(Ordering::SeqCst),
                "nothing is answered without the bucket"
            );
        });
    });
}

#[test]
fn the_copies_are_read_back() {
    with_keys("the_copies_are_read_back", || {
        let bench = Bench::new(98);
        let mut owner = bench.start(LONG).unwrap();
        for id in 0..5 {
            send(&mut owner.writer, id).unwrap();
        }
        ask(&mut owner.writer, Request::Flush).unwrap();
        let frames: CachedFrames<BucketEngine, Disk> = owner.writer.frames();
        let reader = lakehook::wal::rows::BatchReader::of(frames);
        bench.server.faults().down();
        let (number, sealed) = owner.writer.state().sealed.first_key_value().unwrap();
        let seal = reader.seal(*number, sealed.at).unwrap();
        assert_eq!(seal.partition, PARTITION);
    });
}
