//! Late batches, in simulated time, with the real ledger: how many objects they save, and that neither restarts,
//! clocks, stops nor a full log let them wait for longer than they may.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::time::Duration;

use lakehook::clock::{Clock, Micros};
use lakehook::ids::Ids;
use lakehook::record::{Identity, Origin, RowKind, Rows};
use lakehook::wal::batch::SealReason;
use lakehook::wal::entry::{Commit, Seal};
use lakehook::wal::helper::Background;
use lakehook::wal::lateness::{Calendar, Lateness};
use lakehook::wal::recover::{self, LocalWriter};
use lakehook::wal::request::{Append, NO_RUN, Request, Settings};
use lakehook::wal::rows::BatchReader;

use crate::chance::{Chance, mix};
use crate::disk::{Crash, SimDisk};
use crate::senders::partitions_of;
use crate::shape::Shape;
use crate::world::{START, WAL};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const MAX_AGE: Duration = Duration::from_secs(5 * MINUTE);
const LATE_MAX_AGE: Duration = Duration::from_secs(2 * HOUR);

/// A batch that was sealed.
struct Sealed {
    seal: Seal,
    at: Micros,
    reason: SealReason,
}

/// A node whose objects are in the lake as soon as they are sealed, if it ships.
struct Node {
    settings: Settings,
    disk: SimDisk,
    clock: Clock,
    writer: LocalWriter<SimDisk>,
    jobs: VecDeque<(Request, ())>,
    sealed: Vec<Sealed>,
    ships: bool,
    next_id: u64,
}

fn settings() -> Settings {
    let mut settings = Shape::small(true).settings;
    // Small ones are quick on the simulated disk.
    settings.segment_bytes = 128 << 10;
    settings.first_segment_bytes = 128 << 10;
    settings.max_bytes = 512 << 20;
    settings.dedup_window = 400_000;
    settings.filter_bytes = 8 << 20;
    settings.ids_per_file = 100_000;
    settings.max_ids = 10_000_000;
    settings.limits.max_records = 1_000_000;
    settings.limits.max_bytes = 64 << 20;
    settings.limits.max_age = MAX_AGE;
    settings.limits.late_max_age = LATE_MAX_AGE;
    settings.limits.max_waiting_seals = 64;
    settings
}

fn open(disk: &SimDisk, settings: &Settings, clock: &Clock, seed: u64) -> LocalWriter<SimDisk> {
    let (clock, ids) = (clock.clone(), Ids::seeded(seed));
    let (disk, settings) = (disk.clone(), settings.clone());
    let opened = recover::open(
        disk,
        Path::new(WAL),
        settings,
        clock,
        ids,
        Background::Inline,
    );
    opened.unwrap().0
}

fn day_of(time: Micros) -> String {
    partitions_of(time)[0].clone()
}

impl Node {
    fn new(seed: u64, settings: Settings) -> Self {
        let disk = SimDisk::new(seed);
        let clock = Clock::manual(START);
        Self {
            writer: open(&disk, &settings, &clock, seed),
            settings,
            disk,
            clock,
            jobs: VecDeque::new(),
            sealed: Vec::new(),
            ships: true,
            next_id: mix(seed) >> 1,
        }
    }

    /// The day that comes this many days after today.
    fn day(&self, days: i64) -> String {
        let days = Duration::from_secs(days.unsigned_abs() * DAY);
        let now = self.clock.wall();
        day_of(now.plus(days))
    }

    fn day_before(&self, days: u64) -> String {
        day_of(self.clock.wall().minus(Duration::from_secs(days * DAY)))
    }

    /// Queues rows for these partitions, of that many bytes each.
    fn send(&mut self, partitions: &[&str], bytes: usize) {
        let mut rows = Rows::default();
        for partition in partitions {
            self.next_id += 1;
            let partition = rows.partition(partition);
            rows.bytes.push(b'{');
            rows.bytes.extend(std::iter::repeat_n(b'x', bytes - 2));
            rows.bytes.push(b'}');
            let tag = mix(self.next_id);
            let identity = Identity { tag, content: 0 };
            rows.finish_row(1, partition, RowKind::Record(identity));
        }
        let received = self.clock.wall().max(self.writer.watermark());
        self.push(rows, received);
    }

    fn push(&mut self, rows: Rows, received_at: Micros) {
        let append = Append {
            rows,
            dropped: 0,
            origin: Origin {
                received_at,
                endpoint: "/webhook/events".into(),
                request_id: "r".into(),
                client: None,
            },
            run: NO_RUN,
            cursor: None,
        };
        self.jobs.push_back((Request::Append(Box::new(append)), ()));
    }

    fn turn(&mut self) {
        let turn = self.writer.turn(&mut self.jobs);
        assert!(turn.fatal.is_none(), "{:?}", turn.fatal);
        for ((number, at), reason) in turn.sealed.into_iter().zip(turn.reasons) {
            let reader = BatchReader::of(self.writer.frames());
            self.sealed.push(Sealed {
                seal: reader.seal(number, at).unwrap(),
                at: self.clock.wall(),
                reason,
            });
            if self.ships {
                let commit = Commit {
                    seal: number,
                    ..Commit::default()
                };
                self.jobs.push_back((Request::Commit(commit), ()));
            }
        }
    }

    /// Lets that time pass, a minute at a time.
    fn wait(&mut self, time: u64) {
        for _ in 0..time / MINUTE {
            self.clock.advance(Duration::from_secs(MINUTE));
            self.turn();
        }
    }

    fn restart(&mut self, crash: Crash) {
        self.disk.restart(crash);
        // A process has a monotonic clock of its own.
        self.clock = Clock::manual(self.clock.wall());
        self.jobs.clear();
        self.writer = open(&self.disk, &self.settings, &self.clock, 5);
        let waiting: Vec<u64> = self.writer.state().sealed.keys().copied().collect();
        for seal in waiting {
            let commit = Commit {
                seal,
                ..Commit::default()
            };
            self.jobs.push_back((Request::Commit(commit), ()));
        }
    }

    fn seals_of(&self, partition: &str) -> Vec<&Sealed> {
        let sealed = self.sealed.iter();
        sealed
            .filter(|sealed| sealed.seal.partition == partition)
            .collect()
    }

    /// The only seal of a partition: how long after `since`, and why.
    fn sealed_after(&self, partition: &str, since: Micros) -> (Duration, SealReason) {
        let seals = self.seals_of(partition);
        assert_eq!(seals.len(), 1, "of {partition}");
        (seals[0].at.since(since), seals[0].reason)
    }
}

/// Objects of one simulated day: rows of each, for late days and for all others.
fn day_of_objects(seed: u64, late_max_age: Duration) -> (Vec<u64>, Vec<u64>) {
    const STEP: u64 = 20;
    // Two nodes share five events a second.
    const EVENTS: usize = 50;
    let mut settings = settings();
    settings.limits.late_max_age = late_max_age;
    let mut node = Node::new(seed, settings);
    let mut chance = Chance::new(mix(seed));
    for _ in 0..DAY / STEP {
        let today = node.day(0);
        let before = [1, 2, 3].map(|days| node.day_before(days));
        let partitions: Vec<&str> = (0..EVENTS)
            .map(|_| match chance.below(100) {
                0..3 => &*before[chance.index(3)],
                _ => &*today,
            })
            .collect();
        node.send(&partitions, 300);
        node.turn();
        node.clock.advance(Duration::from_secs(STEP));
    }
    let (late, current): (Vec<_>, Vec<_>) = node.sealed.iter().partition(|sealed| {
        let an_hour_ago = day_of(sealed.at.minus(Duration::from_secs(HOUR)));
        sealed.seal.partition != day_of(sealed.at) && sealed.seal.partition != an_hour_ago
    });
    let rows = |sealed: Vec<&Sealed>| sealed.iter().map(|s| s.seal.sums.count).collect();
    (rows(late), rows(current))
}

/// What two nodes make of a day: objects, and the median of the rows of a late day's object.
fn two_nodes(late_max_age: Duration) -> (usize, u64) {
    let (mut late, mut current) = (Vec::new(), 0);
    for seed in [1, 2] {
        let (rows, others) = day_of_objects(seed, late_max_age);
        late.extend(rows);
        current += others.len();
    }
    late.sort_unstable();
    (late.len() + current, late[late.len() / 2])
}

#[test]
#[allow(clippy::print_stdout, reason = "figures are to be seen")]
fn a_day_with_late_events_makes_few_objects() {
    let (before, small) = two_nodes(MAX_AGE);
    let (after, large) = two_nodes(LATE_MAX_AGE);
    println!("late_max_age = max_age: {before} objects a day, {small} rows in a late day's object");
    println!("late_max_age = 2 h: {after} objects a day, {large} rows in a late day's object");
    assert!(before > 2000, "{before}");
    assert!(after <= 700, "{after}");
    assert!(large >= 10 * small, "{large} rows, {small} before");
}

/// One late event holds back the watermark of everything, and not the one of everything else.
#[test]
fn a_late_event_holds_back_one_watermark_of_two() {
    let mut node = Node::new(1, settings());
    let (today, late) = (node.day(0), node.day_before(3));
    node.send(&[&late], 300);
    node.turn();
    for _ in 0..60 {
        node.clock.advance(Duration::from_secs(MINUTE));
        node.send(&[&today], 300);
        node.turn();
        let waiting = node.writer.state().waiting();
        assert_eq!((waiting.oldest, waiting.late_rows), (START, 1));
        let oldest_current = node.clock.wall().since(waiting.oldest_current);
        assert!(oldest_current <= MAX_AGE, "{oldest_current:?}");
    }
    // What objects say of themselves counts everything.
    let mut of_today = node.seals_of(&today).into_iter();
    assert!(of_today.all(|sealed| sealed.seal.as_of.watermark <= START));
    node.wait(2 * HOUR);
    let waiting = node.writer.state().waiting();
    assert_eq!((waiting.oldest, waiting.late_rows), (Micros(i64::MAX), 0));
    assert_eq!(
        node.sealed_after(&late, START),
        (LATE_MAX_AGE, SealReason::Age)
    );
}

/// A sealed batch of late rows that waits for the lake is still left out of the second watermark.
#[test]
fn late_rows_count_as_waiting_until_they_are_in_the_lake() {
    let mut node = Node::new(2, settings());
    node.ships = false;
    let late = node.day_before(3);
    node.send(&[&late, &late], 300);
    node.turn();
    node.wait(3 * HOUR);
    assert_eq!(node.seals_of(&late).len(), 1);
    for _ in 0..2 {
        let state = node.writer.state();
        assert_eq!(state.uncommitted_rows(), 2);
        let waiting = state.waiting();
        assert_eq!((waiting.oldest, waiting.late_rows), (START, 2));
        assert_eq!(waiting.oldest_current, Micros(i64::MAX));
        node.restart(Crash::Power);
    }
    node.turn();
    assert_eq!(node.writer.state().waiting().late_rows, 0);
}

/// Late rows pin segments of the log, so they are closed before they keep more than that.
#[test]
fn late_rows_keep_at_most_a_tenth_of_the_log() {
    let mut settings = settings();
    settings.segment_bytes = 64 << 10;
    settings.first_segment_bytes = 64 << 10;
    settings.max_bytes = 40 * settings.segment_bytes;
    let mut node = Node::new(3, settings);
    let (today, late) = (node.day(0), node.day_before(3));
    let mut late_seals = 0;
    for step in 0..400 {
        if step % 10 == 0 {
            node.send(&[&late], 300);
        }
        node.send(&[&today], 8000);
        node.clock.advance(Duration::from_secs(1));
        node.turn();
        let state = node.writer.state();
        let newest = state.batches.open().map(|batch| batch.chunks.iter().last());
        let newest = newest.flatten().map(|chunk| chunk.frame.segment()).max();
        let late_since = state
            .batches
            .open()
            .filter(|batch| batch.lateness.is_late())
            .map(|batch| batch.first_segment)
            .min();
        if let (Some(newest), Some(since)) = (newest, late_since) {
            assert!(
                newest - since <= 4,
                "late rows keep {} segments",
                newest - since
            );
        }
        late_seals = node.seals_of(&late).len();
    }
    let reasons = node.seals_of(&late).into_iter().map(|sealed| sealed.reason);
    assert!(reasons.into_iter().all(|reason| reason == SealReason::Room));
    // Each holds what came in the meantime: it is no flood of objects.
    assert!((5..=20).contains(&late_seals), "{late_seals} seals");
}

/// A log that is filling up closes late batches like all others.
#[test]
fn a_log_that_is_short_of_room_closes_late_batches() {
    let mut settings = settings();
    settings.segment_bytes = 64 << 10;
    settings.first_segment_bytes = 64 << 10;
    settings.max_bytes = 4 * settings.segment_bytes;
    let mut node = Node::new(4, settings);
    let (today, late) = (node.day(0), node.day_before(3));
    node.send(&[&late], 300);
    for _ in 0..40 {
        node.send(&[&today], 8000);
        node.turn();
        node.clock.advance(Duration::from_millis(500));
    }
    assert_eq!(node.sealed_after(&late, START).1, SealReason::Room);
}

#[test]
fn a_flush_closes_late_batches() {
    let mut node = Node::new(5, settings());
    let late = [2, 3, 4].map(|days| node.day_before(days));
    let [a, b, c] = &late;
    node.send(&[a, b, c], 300);
    node.turn();
    node.jobs.push_back((Request::Flush, ()));
    node.turn();
    for partition in &late {
        let sealed = node.sealed_after(partition, START);
        assert_eq!(sealed, (Duration::ZERO, SealReason::Flush));
    }
    assert_eq!(node.writer.state().batches.open().count(), 0);
}

/// Whatever ends the process, and however often.
#[test]
fn a_late_batch_is_due_although_the_process_is_restarted_all_the_time() {
    for crash in [Crash::Kill, Crash::Power] {
        // The frame of the row is the last one, and is copied at each start; or others follow.
        for others_follow in [false, true] {
            let mut node = Node::new(6, settings());
            let (today, late) = (node.day(0), node.day_before(3));
            node.send(&[&late], 300);
            node.turn();
            while node.sealed.is_empty() || node.seals_of(&late).is_empty() {
                let age = node.clock.wall().since(START);
                assert!(age <= LATE_MAX_AGE, "{age:?} old");
                if others_follow {
                    node.send(&[&today], 300);
                }
                node.wait(20 * MINUTE);
                node.restart(crash);
            }
            assert_eq!(node.sealed_after(&late, START).0, LATE_MAX_AGE);
        }
    }
}

/// The same for today's.
#[test]
fn todays_batch_is_due_although_the_process_is_restarted_all_the_time() {
    let mut node = Node::new(7, settings());
    let today = node.day(0);
    node.send(&[&today], 300);
    node.turn();
    for _ in 0..6 {
        node.wait(MINUTE);
        node.restart(Crash::Kill);
    }
    assert_eq!(node.sealed_after(&today, START), (MAX_AGE, SealReason::Age));
}

/// What events claim moves nothing.
#[test]
fn an_event_dated_tomorrow_shifts_nothing() {
    let mut node = Node::new(8, settings());
    let (today, tomorrow) = (node.day(0), node.day(1));
    let quarantine = partitions_of(START)[3].clone();
    node.send(&[&tomorrow], 300);
    node.turn();
    node.send(&[&today, &quarantine], 300);
    node.turn();
    node.wait(3 * HOUR);
    assert_eq!(node.sealed_after(&today, START), (MAX_AGE, SealReason::Age));
    assert_eq!(
        node.sealed_after(&quarantine, START),
        (MAX_AGE, SealReason::Age)
    );
    assert_eq!(
        node.sealed_after(&tomorrow, START),
        (LATE_MAX_AGE, SealReason::Age)
    );
}

/// Yesterday is current for an hour, and a batch that was opened then is never late.
#[test]
fn yesterday_is_current_for_an_hour_after_midnight() {
    let mut node = Node::new(9, settings());
    let today = node.day(0);
    node.wait(12 * HOUR + 59 * MINUTE);
    let in_the_hour = node.clock.wall();
    node.send(&[&today], 300);
    node.turn();
    node.wait(5 * MINUTE);
    assert_eq!(
        node.sealed_after(&today, in_the_hour),
        (MAX_AGE, SealReason::Age)
    );
    node.sealed.clear();
    let after_it = node.clock.wall();
    node.send(&[&today], 300);
    node.turn();
    node.wait(3 * HOUR);
    assert_eq!(
        node.sealed_after(&today, after_it),
        (LATE_MAX_AGE, SealReason::Age)
    );
}

/// A partition of an hour is current for two: its own, and the next.
#[test]
fn an_hour_is_current_until_the_next_one_ends() {
    let mut settings = settings();
    let hour_of = |time: Micros| time.to_utc().unwrap().format("events/dt=%Y-%m-%d/hour=%H");
    settings.calendar = Calendar::new(move |time| vec![hour_of(time).to_string()]);
    let mut node = Node::new(10, settings);
    let hours = [0, 1, 2].map(|hours| START.minus(Duration::from_secs(hours * HOUR)));
    let [this, last, before] = hours.map(|time| hour_of(time).to_string());
    node.send(&[&this, &last, &before], 300);
    node.turn();
    node.wait(3 * HOUR);
    assert_eq!(node.sealed_after(&this, START).0, MAX_AGE);
    assert_eq!(node.sealed_after(&last, START).0, MAX_AGE);
    assert_eq!(node.sealed_after(&before, START).0, LATE_MAX_AGE);
}

/// A wall clock that is set a day ahead or back in the running process neither closes what is open nor keeps it
/// from being closed.
#[test]
fn a_clock_that_is_set_by_a_day_changes_no_age() {
    for ahead in [true, false] {
        let mut node = Node::new(11, settings());
        let (today, late) = (node.day(0), node.day_before(3));
        node.send(&[&today, &late], 300);
        node.turn();
        node.wait(MINUTE);
        let day = Duration::from_secs(DAY);
        let now = node.clock.wall();
        let set = if ahead { now.plus(day) } else { now.minus(day) };
        node.clock.jump_to(set);
        node.turn();
        assert!(node.sealed.is_empty(), "nothing is closed at once");
        node.wait(4 * MINUTE);
        assert_eq!(node.seals_of(&today).len(), 1);
        assert_eq!(node.seals_of(&late).len(), 0);
        node.wait(2 * HOUR - 6 * MINUTE);
        assert_eq!(node.seals_of(&late).len(), 0);
        node.wait(MINUTE);
        assert_eq!(node.seals_of(&late).len(), 1);
        assert_eq!(node.sealed.len(), 2);
    }
}

/// A start under a clock that is a day off: each open batch is closed once, or waits from that start on.
#[test]
fn a_start_under_a_wrong_clock_neither_freezes_nor_floods() {
    for ahead in [true, false] {
        let mut node = Node::new(12, settings());
        let late = [2, 3, 4].map(|days| node.day_before(days));
        let [a, b, c] = &late;
        node.send(&[a, b, c], 300);
        node.turn();
        let day = Duration::from_secs(DAY);
        let now = node.clock.wall();
        let set = if ahead { now.plus(day) } else { now.minus(day) };
        node.clock.jump_to(set);
        node.restart(Crash::Power);
        node.turn();
        assert_eq!(node.sealed.len(), if ahead { 3 } else { 0 });
        node.wait(2 * HOUR);
        assert_eq!(node.sealed.len(), 3);
    }
}

/// What is open, as the log's reader and its writer see it.
fn open_batches(node: &Node) -> BTreeMap<String, (Lateness, Micros, u64)> {
    let open = node.writer.state().batches.open();
    open.map(|batch| {
        let seen = (batch.lateness, batch.first_received, batch.sums.count);
        (batch.partition.to_string(), seen)
    })
    .collect()
}

/// Who reads the log decides what its writer has decided: over midnights, with rows for any day.
#[test]
fn the_log_alone_tells_which_batches_are_late() {
    for seed in 0..10 {
        let mut node = Node::new(seed, settings());
        let mut chance = Chance::new(mix(seed));
        for _ in 0..40 {
            let days = [
                node.day(0),
                node.day(1),
                node.day_before(1),
                node.day_before(2),
            ];
            let day = chance.index(4);
            node.send(&[&days[day]], 300);
            node.turn();
            if chance.percent(30) {
                let before = open_batches(&node);
                node.restart(Crash::Power);
                assert_eq!(open_batches(&node), before, "seed {seed}");
            }
            node.clock.advance(Duration::from_secs(chance.below(HOUR)));
            node.turn();
            for (partition, (lateness, first, _)) in open_batches(&node) {
                let age = node.clock.wall().since(first);
                let most = if lateness.is_late() {
                    LATE_MAX_AGE
                } else {
                    MAX_AGE
                };
                assert!(age < most, "seed {seed}: {partition} is {age:?} old");
                assert_ne!(lateness, Lateness::Overtaken, "seed {seed}: {partition}");
            }
        }
    }
}

#[test]
fn what_is_known_by_a_former_identity_is_a_duplicate() {
    let identity = |tag| Identity { tag, content: 7 };
    for restarts in [false, true] {
        let mut node = Node::new(3, settings());
        let send = |node: &mut Node, own: u64, former: Option<u64>| {
            let mut rows = Rows::default();
            let partition = rows.partition(&node.day(0));
            rows.bytes.extend_from_slice(b"{}");
            rows.finish_row(1, partition, RowKind::Record(identity(own)));
            rows.former.extend(former.map(identity));
            let received = node.clock.wall().max(node.writer.watermark());
            node.push(rows, received);
            node.turn();
            let totals = node.writer.state().totals;
            (totals.stored, totals.duplicate)
        };
        assert_eq!(send(&mut node, 11, None), (1, 0));
        if restarts {
            node.restart(Crash::Kill);
        }
        // The record was stored by an earlier version.
        assert_eq!(send(&mut node, 21, Some(11)), (1, 1));
        // The record is new, and so is its identity.
        assert_eq!(send(&mut node, 22, Some(12)), (2, 1));
        assert_eq!(send(&mut node, 22, Some(12)), (2, 2));
        assert_eq!(send(&mut node, 22, None), (2, 3));
    }
}
