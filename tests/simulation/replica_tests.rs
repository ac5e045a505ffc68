//! What may happen to a replicated log, step by step: each attack that `docs/adr/0020-replicated-log.md` names
//! and the seeds cannot be relied on to meet.

use std::io;
use std::path::Path;
use std::time::Duration;

use lakehook::clock::{Micros, Now};
use lakehook::files::create_dir_durably;
use lakehook::ids::{Ids, NodeId};
use lakehook::record::Lsn;
use lakehook::wal::helper::Background;
use lakehook::wal::journal::local::OpenFile;
use lakehook::wal::journal::replica::engine::{Engine as _, Item, PutVerdict};
use lakehook::wal::journal::replica::found::FoundReplica;
use lakehook::wal::journal::replica::owner::{ReplicaJournal, ReplicaSettings};
use lakehook::wal::journal::seam::{
    At, Found as _, Frames as _, Heading, Journal as _, JournalError, Purpose,
};
use lakehook::wal::layout::FRAME_HEADER;
use lakehook::wal::recover::{self, OpenError, ReplicaStart};
use lakehook::wal::request::Request;

use crate::disk::{Crash, Fault, Op, SimDisk};
use crate::engine::{RESERVE, SimEngine, give_up};
use crate::oracle;
use crate::owners;
use crate::shape::{JournalKind, Shape};
use crate::world::{WAL, World};

const NOW: Now = Now {
    wall: Micros(1_795_176_000_000_000),
    mono: Duration::from_secs(1),
};

type Found = FoundReplica<SimEngine, SimDisk>;
type Journal = ReplicaJournal<SimEngine, SimDisk>;

fn heading() -> Heading {
    Heading {
        first_lsn: Lsn(1),
        rows: 0,
        written_at: NOW.wall,
    }
}

fn framed(body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; FRAME_HEADER];
    bytes.extend_from_slice(body);
    bytes
}

fn find(engine: &SimEngine, disk: &SimDisk, log: u64) -> Result<Found, OpenError> {
    let dir = Path::new(WAL);
    create_dir_durably(disk, dir, true).unwrap();
    let settings = ReplicaSettings {
        segment_bytes: 200,
        max_bytes: 1 << 20,
        log: NodeId(log),
        ids: Ids::System,
        background: Background::Inline,
        keep_trying: give_up(),
        owner: "a test".to_owned(),
        interval: Duration::ZERO,
        known: (0, 0),
        over: None,
    };
    FoundReplica::open(engine.clone(), disk.clone(), dir, settings)
}

fn read_all(found: &mut Found, first: u64) -> Result<Vec<Vec<u8>>, OpenError> {
    let mut bodies = Vec::new();
    found.read(first, &mut |frame| {
        bodies.push(frame.body().to_vec());
        Ok(())
    })?;
    Ok(bodies)
}

fn go_on(found: Found, after: u64) -> Result<Journal, OpenError> {
    found.go_on(after, heading(), &mut framed(b"fence"), NOW)
}

/// A log of its own, on a new machine.
fn begin(engine: &SimEngine) -> Journal {
    go_on(find(engine, &SimDisk::new(1), 7).unwrap(), 0).unwrap()
}

fn append(journal: &mut Journal, body: &[u8]) -> Result<At, JournalError> {
    let mut frame = framed(body);
    let need = frame.len() as u64;
    if journal.room(Purpose::Shipping) < need {
        assert!(journal.begin_segment(need, Purpose::Shipping, 0, NOW)?);
    }
    journal.append(heading(), &mut frame)
}

/// Appends until segment `last` has begun; every frame fills about half a segment.
fn fill(journal: &mut Journal, last: u64) {
    while journal.next().segment() < last {
        append(journal, &[7; 60]).unwrap();
    }
    append(journal, &[8; 60]).unwrap();
}

fn engine() -> SimEngine {
    SimEngine::new(SimDisk::new(0), 0)
}

fn is_contended<T>(outcome: &Result<T, OpenError>) -> bool {
    matches!(
        outcome,
        Err(OpenError::Contended { .. } | OpenError::Lost { .. })
    )
}

/// A start is paused between its list and its fence; meanwhile the owner trims the number that the fence
/// gets. The fence is stored, and nobody would ever read what follows it.
#[test]
fn a_fence_below_the_newest_frame_does_not_count() {
    let engine = engine();
    let mut owner = begin(&engine);
    let mut paused = find(&engine, &SimDisk::new(2), 7).unwrap();
    read_all(&mut paused, 1).unwrap();
    fill(&mut owner, 6);
    owner.trim(6);
    assert!(!engine.numbers().contains(&2), "{:?}", engine.numbers());
    let refused = go_on(paused, 1);
    assert!(engine.numbers().contains(&2), "the fence was stored");
    assert!(is_contended(&refused), "{:?}", refused.map(drop));

    // The owner never learns of it, and the next start removes it.
    append(&mut owner, b"after the pause").unwrap();
    let mut next = find(&engine, &SimDisk::new(3), 7).unwrap();
    let newest = next.newest().unwrap();
    let bodies = read_all(&mut next, 6).unwrap();
    assert_eq!(bodies.last().unwrap(), b"after the pause");
    next.trim(6).unwrap();
    // As every start does once it owns the log.
    go_on(next, newest).unwrap().trim(6);
    assert!(!engine.numbers().contains(&2), "{:?}", engine.numbers());
}

/// A start is paused while it reads, and the owner trims what it wants to read.
#[test]
fn frames_that_are_deleted_while_they_are_read_end_the_start() {
    let engine = engine();
    let mut owner = begin(&engine);
    fill(&mut owner, 3);
    let mut paused = find(&engine, &SimDisk::new(2), 7).unwrap();
    fill(&mut owner, 6);
    owner.trim(6);
    let refused = read_all(&mut paused, 3);
    assert!(is_contended(&refused), "{refused:?}");
}

/// The put of a former owner arrives after the new one has trimmed its number.
#[test]
fn a_put_that_arrives_after_a_takeover_and_a_trim_is_refused_by_the_fence() {
    let engine = engine();
    let mut former = begin(&engine);
    append(&mut former, b"durable").unwrap();
    let mut next = find(&engine, &SimDisk::new(2), 7).unwrap();
    read_all(&mut next, 1).unwrap();
    let mut owner = go_on(next, 1).unwrap();
    fill(&mut owner, 6);
    owner.trim(6);
    assert_eq!(
        engine.numbers()[..2],
        [1, 3],
        "both fences are kept, and nothing else"
    );
    let late = append(&mut former, b"too late");
    assert!(
        matches!(late, Err(JournalError::Fenced { number: 3, .. })),
        "{late:?}"
    );
}

/// The answer to the former owner's put is lost, and it asks again after the frame was folded and trimmed.
#[test]
fn a_frame_of_a_former_owner_that_was_folded_is_not_lost() {
    let engine = engine();
    let mut former = begin(&engine);
    engine.faults(|faults| faults.lost_answers = 100);
    let unknown = append(&mut former, b"in truth stored");
    assert!(
        matches!(unknown, Err(JournalError::Unknown(_))),
        "{unknown:?}"
    );
    engine.faults(|faults| faults.lost_answers = 0);
    let mut next = find(&engine, &SimDisk::new(2), 7).unwrap();
    assert_eq!(
        read_all(&mut next, 1).unwrap(),
        [b"fence".to_vec(), b"in truth stored".to_vec()]
    );
}

/// The machine is the same, and the engine has lost the newest frames.
#[test]
fn an_engine_that_went_back_in_time_is_refused() {
    let (engine, disk) = (engine(), SimDisk::new(1));
    let mut owner = go_on(find(&engine, &disk, 7).unwrap(), 0).unwrap();
    append(&mut owner, b"first").unwrap();
    let before = engine.remember();
    append(&mut owner, b"durable").unwrap();
    drop(owner);
    let now = engine.remember();
    engine.go_back(before);
    for _ in 0..2 {
        // The copies stay, whatever happens.
        let refused = find(&engine, &disk, 7).map(drop);
        assert!(
            matches!(refused, Err(OpenError::Unreadable { .. })),
            "{refused:?}"
        );
    }
    engine.go_back(now);
    find(&engine, &disk, 7).unwrap();
}

/// Somebody, or a rule of the store, deletes what is needed.
#[test]
fn a_needed_frame_that_is_gone_is_an_error() {
    let engine = engine();
    let mut owner = begin(&engine);
    fill(&mut owner, 4);
    engine.vanish(Item::Frame(3));
    let mut next = find(&engine, &SimDisk::new(2), 7).unwrap();
    let refused = read_all(&mut next, 1);
    assert!(
        matches!(refused, Err(OpenError::Unreadable { .. })),
        "{refused:?}"
    );
}

/// Something that is no frame lies under the next number.
#[test]
fn a_stranger_under_the_next_number_is_not_taken_for_a_frame() {
    let engine = engine();
    let mut owner = begin(&engine);
    engine.plant(Item::Frame(2), b"somebody's notes");
    let fenced = append(&mut owner, b"a frame");
    assert!(
        matches!(fenced, Err(JournalError::Fenced { number: 2, .. })),
        "{fenced:?}"
    );
    let refused = find(&engine, &SimDisk::new(2), 7).map(drop);
    let message = refused.unwrap_err().to_string();
    assert!(
        message.contains("frame 2: it is not a whole frame"),
        "{message}"
    );
    // Once it is gone, the log goes on.
    engine.vanish(Item::Frame(2));
    let mut next = find(&engine, &SimDisk::new(2), 7).unwrap();
    read_all(&mut next, 1).unwrap();
    go_on(next, 1).unwrap();
}

#[test]
fn the_frames_of_another_log_are_refused() {
    let engine = engine();
    begin(&engine);
    let refused = find(&engine, &SimDisk::new(2), 8).map(drop);
    assert!(
        matches!(refused, Err(OpenError::Unreadable { .. })),
        "{refused:?}"
    );
}

/// A copy cannot be written: the frame counts, is read from the engine, and no request is taken until the
/// copy could be written.
#[test]
fn a_frame_without_a_copy_counts_and_is_read_from_the_engine() {
    let (engine, disk) = (engine(), SimDisk::new(1));
    let mut owner = go_on(find(&engine, &disk, 7).unwrap(), 0).unwrap();
    let fault = Fault {
        op: Some(Op::Write),
        on: ".frames",
        after: 0,
        kind: io::ErrorKind::StorageFull,
        forever: false,
    };
    disk.faults(|faults| faults.planned.push(fault));
    let at = append(&mut owner, b"without a copy").unwrap();
    assert_eq!(owner.room(Purpose::Requests), 0);
    assert!(owner.room(Purpose::Shipping) > 0 && owner.is_short_of_space());
    let frames = owner.frames();
    let read = || {
        let frame = frames.frame(at).unwrap().unwrap();
        let mut part = [0; 4];
        frames
            .read(&mut OpenFile::default(), at, 10, &mut part)
            .unwrap();
        (frame.body().to_vec(), part)
    };
    assert_eq!(read(), (b"without a copy".to_vec(), *b"copy"));
    engine.faults(|faults| faults.errors = 100);
    assert!(
        frames.frame(at).is_err(),
        "there is nowhere else to read it"
    );
    owner.tend(NOW);
    assert!(owner.is_short_of_space(), "nothing could be mended");
    engine.faults(|faults| faults.errors = 0);
    owner.tend(NOW);
    assert!(owner.room(Purpose::Requests) > 0);
    engine.faults(|faults| faults.errors = 100);
    assert_eq!(read(), (b"without a copy".to_vec(), *b"copy"));
}

/// A frame with rows that does not fit is refused, and so are requests after it; what frees space is stored with the
/// help of the reserve; requests are taken again once the reserve is back, and more.
#[test]
fn a_full_engine_takes_what_frees_space_and_nothing_else() {
    let engine = engine();
    let mut owner = begin(&engine);
    append(&mut owner, b"before").unwrap();
    engine.faults(|faults| faults.space = Some(100));
    let rows = Heading {
        rows: 1,
        ..heading()
    };
    let refused = owner.append(rows, &mut framed(&[1; 300]));
    assert!(
        matches!(refused, Err(JournalError::NoSpace(_))),
        "{refused:?}"
    );
    assert_eq!(owner.room(Purpose::Requests), 0);
    assert!(owner.is_short_of_space());
    assert!(!owner.begin_segment(100, Purpose::Requests, 0, NOW).unwrap());
    append(&mut owner, b"a commit").unwrap();
    let later = |seconds| Now {
        mono: NOW.mono + Duration::from_secs(seconds),
        ..NOW
    };
    owner.tend(later(10));
    assert!(owner.is_short_of_space(), "the reserve does not fit");
    engine.faults(|faults| faults.space = Some(RESERVE + 100));
    owner.tend(later(20));
    assert!(owner.is_short_of_space(), "the reserve alone is not enough");
    engine.faults(|faults| faults.space = Some(RESERVE + 100));
    owner.tend(later(20));
    assert!(owner.is_short_of_space(), "it is looked once a second");
    owner.tend(later(30));
    assert!(!owner.is_short_of_space());
    assert!(owner.begin_segment(100, Purpose::Requests, 0, NOW).unwrap());
    append(&mut owner, b"after").unwrap();
}

/// A start needs space for its fence, and for ids.
#[test]
fn a_full_engine_is_taken_over_with_the_help_of_the_reserve() {
    let engine = engine();
    let mut owner = begin(&engine);
    fill(&mut owner, 4);
    engine.faults(|faults| faults.space = Some(0));
    let mut found = find(&engine, &SimDisk::new(2), 7).unwrap();
    read_all(&mut found, 1).unwrap();
    let newest = found.newest().unwrap();
    let mut second = go_on(found, newest).unwrap();
    append(&mut second, b"goes on").unwrap();
    let fenced = append(&mut owner, b"late");
    assert!(
        matches!(fenced, Err(JournalError::Fenced { .. })),
        "{fenced:?}"
    );
}

fn settings() -> lakehook::wal::request::Settings {
    Shape::small(false).settings
}

fn find_log(engine: &SimEngine, disk: &SimDisk) -> Result<u64, OpenError> {
    let start = ReplicaStart {
        keep_trying: give_up(),
        background: Background::Inline,
        owner: "a test".to_owned(),
        interval: Duration::ZERO,
        known: (0, 0),
        over: None,
    };
    let place = (disk, Path::new(WAL));
    let (ids, trying) = (Ids::System, start.keep_trying.clone());
    let node = recover::identify(engine, place, &ids, &trying, &mut |_| Ok(()))?;
    let settings = settings();
    recover::find_replica(engine.clone(), place, node.id, (&settings, &ids), start)?;
    Ok(node.id.0)
}

/// The engine has the log's identity, and a directory knows which one it belongs to.
#[test]
fn a_directory_and_an_engine_that_do_not_belong_together_are_refused() {
    let (one, other) = (engine(), engine());
    let disk = SimDisk::new(1);
    let log = find_log(&one, &disk).unwrap();
    assert_eq!(
        find_log(&one, &SimDisk::new(2)).unwrap(),
        log,
        "on any machine"
    );
    // The engine is empty: the address is wrong, or everything is lost.
    let refused = find_log(&other, &disk).unwrap_err().to_string();
    assert!(refused.contains("it has no log"), "{refused}");
    assert!(other.names().is_empty(), "nothing was founded");
    find_log(&other, &SimDisk::new(3)).unwrap();
    let refused = find_log(&other, &disk).unwrap_err().to_string();
    assert!(refused.contains("belongs to log"), "{refused}");
}

/// Whoever is second to found a log joins the first.
#[test]
fn a_log_is_founded_once() {
    let engine = engine();
    engine.faults(|faults| faults.late = 100);
    assert!(find_log(&engine, &SimDisk::new(1)).is_err());
    engine.faults(|faults| faults.late = 0);
    let log = find_log(&engine, &SimDisk::new(2)).unwrap();
    engine.deliver_late();
    assert_eq!(find_log(&engine, &SimDisk::new(1)).unwrap(), log);
}

#[test]
fn an_item_is_never_replaced() {
    let engine = engine();
    let put = |bytes| engine.put_new(Item::File("a"), bytes).unwrap();
    assert_eq!(
        [put(b"1"), put(b"2")],
        [PutVerdict::Stored, PutVerdict::Taken]
    );
    assert_eq!(engine.read(Item::File("a")).unwrap().unwrap(), b"1");
}

fn world() -> World {
    let mut shape = Shape::small(false);
    shape.journal = JournalKind::Replica;
    shape.settings.segment_bytes = 2 << 10;
    World::new(5, shape)
}

fn take_over(world: &mut World, dir: &str) {
    let dir = Path::new(dir);
    let found = world.find(dir).unwrap();
    let (node, _) = world.open_found(found, dir).unwrap();
    world.succeed(node);
}

/// The owner appends while another machine reads: what came in is read, and the log is taken over behind it.
#[test]
fn a_log_is_taken_from_an_owner_that_goes_on() {
    let mut world = world();
    world.restart(Crash::Kill).unwrap();
    for _ in 0..30 {
        world.submit_one();
        world.turn().unwrap();
    }
    let dir = Path::new("/data/patient");
    let found = world.find(dir).unwrap();
    // Some of it in the segment that was the newest, some in later ones.
    for _ in 0..40 {
        world.submit_one();
        world.turn().unwrap();
    }
    let (node, _) = world.open_found(found, dir).unwrap();
    world.succeed(node);
    let waiting = world
        .node
        .as_ref()
        .unwrap()
        .writer
        .state()
        .uncommitted_rows();
    assert_eq!(waiting, 70);
    owners::wake_all(&mut world).unwrap();
    assert_eq!(world.fenced, 1);
    for _ in 0..3 {
        world.resend_last();
        world.turn().unwrap();
    }
    world.drain().unwrap();
    oracle::check(&world).unwrap();
}

/// The machine is lost after segments were trimmed: the next one knows their ids.
#[test]
fn duplicates_are_known_on_a_machine_that_never_saw_them() {
    let mut world = world();
    world.restart(Crash::Kill).unwrap();
    for _ in 0..80 {
        world.submit_one();
        world.turn().unwrap();
    }
    world.drain().unwrap();
    let ids = world
        .engine
        .names()
        .into_iter()
        .filter(|name| name.strip_suffix(".ids").is_some());
    assert!(ids.count() > 1, "{:?}", world.engine.names());
    world.dir = "/data/elsewhere".into();
    world.restart(Crash::Power).unwrap();
    world.resend_last();
    world.turn().unwrap();
    world.drain().unwrap();
    oracle::check(&world).unwrap();

    // Without the ids of a segment, the log is refused.
    let name = world
        .engine
        .names()
        .into_iter()
        .find(|name| name.strip_suffix(".ids").is_some());
    world.engine.vanish(Item::File(&name.unwrap()));
    world.dir = "/data/third".into();
    let refused = world.restart(Crash::Kill).unwrap_err();
    assert!(refused.contains("the ids of segment"), "{refused}");
}

/// A start reads the newest segment, the owner goes on in it, and the start stands back: what it has seen of
/// the segment must not pass for all of its ids.
#[test]
fn ids_of_a_segment_that_still_grows_are_not_kept() {
    let mut world = world();
    world.shape.settings.segment_bytes = 4 << 10;
    world.restart(Crash::Kill).unwrap();
    world.submit_one();
    world.turn().unwrap();
    let dir = Path::new("/data/stands-back");
    let found = world.find(dir).unwrap();
    world.submit_one();
    world.turn().unwrap();
    take_over(&mut world, "/data/faster");
    let before = world.engine.names();
    let stood_back = world.open_found(found, dir).map(drop);
    assert!(is_contended(&stood_back), "{stood_back:?}");
    assert_eq!(world.engine.names(), before);
    for _ in 0..60 {
        world.submit_one();
        world.turn().unwrap();
    }
    world.drain().unwrap();
    // The machine that stood back gets the log after all.
    world.dir = dir.into();
    world.stop();
    world.open().unwrap();
    let now = world.clock.now().wall;
    let node = world.node.as_mut().unwrap();
    for sent in &world.senders.sent {
        let mut append = sent.append();
        append.origin.received_at = now;
        let mut jobs = [(Request::Append(Box::new(append)), ())].into();
        let turn = node.writer.turn(&mut jobs);
        let reply = turn.replies[0].1.as_ref().unwrap();
        assert_eq!((reply.accepted, reply.duplicates), (0, 1), "{}", sent.name);
    }
}
