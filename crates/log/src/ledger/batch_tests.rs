//! The batcher against a naive model, and the coding of chunks.

use proptest::prelude::*;

use super::super::coding::{put_varint, take_varint};
use super::*;
use crate::journal::seam::At;

fn chunk(segment: u64, block: u64, rows: u64, first_lsn: u64) -> Chunk {
    Chunk {
        frame: At::new(segment, block),
        offset: 12,
        bytes: rows * 100,
        rows,
        first_lsn: Lsn(first_lsn),
    }
}

fn limits() -> Limits {
    Limits {
        max_bytes: 1000,
        max_records: 10,
        max_age: Duration::from_secs(60),
        late_max_age: Duration::from_secs(7200),
        max_waiting_seals: 2,
    }
}

proptest! {
    #[test]
    fn varints_round_trip(value: u64, tail: Vec<u8>) {
        let mut bytes = Vec::new();
        put_varint(&mut bytes, value);
        bytes.extend_from_slice(&tail);
        let mut rest = bytes.as_slice();
        prop_assert_eq!(take_varint(&mut rest), Some(value));
        prop_assert_eq!(rest, tail.as_slice());
    }

    #[test]
    fn any_bytes_decode_without_panic(bytes: Vec<u8>) {
        let _count = Chunks::from_bytes(bytes).iter().count();
    }

    #[test]
    fn chunks_round_trip(steps in prop::collection::vec((0_u64..3, 1_u64..5000, 0_u64..9999, 1_u64..400), 0..50)) {
        let mut chunks = Chunks::default();
        let mut expected = Vec::new();
        let (mut segment, mut block, mut lsn) = (1, 0, 1);
        for (segments, blocks, at, rows) in steps {
            block = if segments == 0 { block + blocks } else { blocks };
            segment += segments;
            let chunk = Chunk { frame: At::new(segment, block), offset: at, bytes: rows * 7, rows, first_lsn: Lsn(lsn) };
            chunks.push(&chunk);
            expected.push(chunk);
            lsn += rows + at % 3;
        }
        let decoded = Chunks::from_bytes(chunks.as_bytes().to_vec());
        prop_assert_eq!(decoded.iter().collect::<Vec<_>>(), expected);
    }

    /// Rows are added one by one, seals are taken when due or before an overflow, and now and then all is read
    /// again; the model is a plain list of rows per partition.
    #[test]
    fn batches_hold_what_a_naive_model_holds(
        steps in prop::collection::vec((days_before(), 1_u64..600, step_seconds(), 0_u32..12), 1..200),
    ) {
        let mut batches = Batches::new(limits(), calendar());
        let mut model = Model::default();
        let (mut now, mut started) = (NEARLY_MIDNIGHT, NEARLY_MIDNIGHT);
        for (lsn, (days_before, bytes, seconds, chance)) in steps.into_iter().enumerate() {
            now += seconds;
            if chance == 0 {
                started = now;
                batches = model.read_again();
                batches.count_ages(Micros(now * SECOND), Duration::ZERO);
            }
            let mono = Duration::from_secs((now - started).unsigned_abs());
            let clock = Micros(now * SECOND);
            batches.follow(clock);
            let mut due = Vec::new();
            for (slot, _) in batches.due(mono, 0) {
                let batch = batches.take(slot);
                prop_assert_eq!(batch.sums.count as usize, model.of(&batch.partition).count());
                prop_assert!(batch.sums.count <= 10);
                due.push(batch.partition.to_string());
            }
            due.sort();
            prop_assert_eq!(&due, &model.due(now), "at {}", now);
            for partition in &due {
                model.take(partition);
            }
            let day = now.div_euclid(DAY) - days_before;
            let partition = day.to_string();
            let slot = batches.slot(&partition);
            if batches.overflows(slot, &Sums::default(), bytes).is_some() {
                let total: u64 = model.of(&partition).map(|row| row.bytes).sum();
                prop_assert!(total + bytes > 1000 || model.of(&partition).count() >= 10);
                prop_assert_eq!(batches.take(slot).sums.bytes, total);
                model.take(&partition);
            }
            let row = Row { partition, bytes, received: now, lsn: lsn as u64 + 1 };
            row.add_to(&mut batches, mono);
            model.rows.push(row);
            prop_assert!(batches.get(slot).sums.bytes <= 1000);
            batches.forget_empty();
            let (next, earliest) = (batches.next_due(0), model.next_due(now));
            let expected = earliest.map(|due| Duration::from_secs((due.max(started) - started).unsigned_abs()));
            prop_assert_eq!(next, expected);
        }
    }
}

const SECOND: i64 = lakehook_base::clock::MICROS_PER_SECOND;
const DAY: i64 = 86_400;
/// 2026-11-20, an hour before midnight.
const NEARLY_MIDNIGHT: i64 = 1_795_132_800 + 23 * 3600;

/// A partition is a day, by its number.
fn calendar() -> Calendar {
    Calendar::new(|time| vec![time.0.div_euclid(DAY * SECOND).to_string()])
}

/// Of today, tomorrow, yesterday, or some days ago.
fn days_before() -> impl Strategy<Value = i64> {
    prop_oneof![Just(0), Just(-1), Just(1), Just(5)]
}

/// Mostly seconds, now and then hours.
fn step_seconds() -> impl Strategy<Value = i64> {
    prop_oneof![4 => 0_i64..30, 2 => 0_i64..400, 1 => 0_i64..9000]
}

#[derive(Clone)]
struct Row {
    partition: String,
    bytes: u64,
    received: i64,
    lsn: u64,
}

impl Row {
    fn add_to(&self, batches: &mut Batches, now: Duration) {
        let slot = batches.slot(&self.partition);
        let sums = Sums {
            count: 1,
            bytes: self.bytes,
            row_hash: 1,
            lsn_hash: 1,
        };
        let received = Micros(self.received * SECOND);
        let chunk = chunk(1, self.lsn, 1, self.lsn);
        batches.add(slot, &chunk, &sums, received, received, now);
    }

    fn is_current_at(&self, time: i64) -> bool {
        let begin: i64 = self.partition.parse::<i64>().unwrap_or(0) * DAY;
        begin <= time && time < begin + DAY + 3600
    }
}

/// The open rows, in the order of the log.
#[derive(Default)]
struct Model {
    rows: Vec<Row>,
}

impl Model {
    fn of<'a>(&'a self, partition: &'a str) -> impl Iterator<Item = &'a Row> {
        let rows = self.rows.iter();
        rows.filter(move |row| row.partition == partition)
    }

    fn take(&mut self, partition: &str) {
        self.rows.retain(|row| row.partition != partition);
    }

    /// When the batch of a partition is due; it is asked at `now`.
    fn due_at(&self, partition: &str, now: i64) -> Option<i64> {
        let first = self.of(partition).next()?;
        let late = !self
            .of(partition)
            .any(|row| row.is_current_at(row.received));
        if late && first.is_current_at(now) {
            return Some(i64::MIN);
        }
        Some(first.received + if late { 7200 } else { 60 })
    }

    fn due(&self, now: i64) -> Vec<String> {
        let partitions: std::collections::BTreeSet<&str> =
            self.rows.iter().map(|row| &*row.partition).collect();
        let is_due = |partition: &&str| {
            let bytes: u64 = self.of(partition).map(|row| row.bytes).sum();
            let is_full = bytes >= 1000 || self.of(partition).count() >= 10;
            is_full || self.due_at(partition, now).is_some_and(|due| due <= now)
        };
        let due = partitions.into_iter().filter(is_due);
        due.map(str::to_owned).collect()
    }

    fn next_due(&self, now: i64) -> Option<i64> {
        let rows = self.rows.iter();
        rows.filter_map(|row| self.due_at(&row.partition, now))
            .min()
    }

    fn read_again(&self) -> Batches {
        let mut batches = Batches::new(limits(), calendar());
        for row in &self.rows {
            row.add_to(&mut batches, Duration::ZERO);
        }
        batches
    }
}

#[test]
fn age_counts_from_the_first_row_and_not_while_seals_wait() {
    let mut batches = Batches::new(limits(), Calendar::new(|_| vec!["a".to_owned()]));
    let slot = batches.slot("a");
    let sums = Sums {
        count: 1,
        bytes: 10,
        ..Sums::default()
    };
    batches.add(
        slot,
        &chunk(3, 1, 1, 1),
        &sums,
        Micros(9),
        Micros(9),
        Duration::from_secs(5),
    );
    batches.add(
        slot,
        &chunk(4, 2, 1, 2),
        &sums,
        Micros(7),
        Micros(9),
        Duration::from_secs(50),
    );
    assert_eq!(batches.next_due(0), Some(Duration::from_secs(65)));
    assert!(batches.due(Duration::from_secs(64), 0).is_empty());
    assert_eq!(
        batches.due(Duration::from_secs(65), 0),
        [(slot, SealReason::Age)]
    );
    assert!(batches.due(Duration::from_secs(65), 2).is_empty());
    assert_eq!(batches.next_due(2), None);
    assert!(batches.reaching_back_to(2).is_empty());
    assert_eq!(batches.reaching_back_to(3), [slot]);
    assert_eq!(batches.get(slot).oldest_received, Micros(7));
}

#[test]
fn a_row_over_the_limit_makes_a_batch_of_its_own() {
    let mut batches = Batches::new(limits(), Calendar::new(|_| vec!["a".to_owned()]));
    let slot = batches.slot("a");
    assert_eq!(batches.overflows(slot, &Sums::default(), 5000), None);
    let pending = Sums {
        count: 1,
        bytes: 5000,
        ..Sums::default()
    };
    assert_eq!(
        batches.overflows(slot, &pending, 1),
        Some(SealReason::Bytes)
    );
}

/// What an event claims shifts nothing, and a partition that has not begun is late until it begins.
#[test]
fn a_partition_of_the_future_waits_until_it_begins() {
    let mut batches = Batches::new(limits(), calendar());
    let midnight = (NEARLY_MIDNIGHT / DAY + 1) * DAY;
    let [today, tomorrow] = [midnight / DAY - 1, midnight / DAY].map(|day| day.to_string());
    let row = |partition: &str, received, lsn| Row {
        partition: partition.to_owned(),
        bytes: 1,
        received,
        lsn,
    };
    let mono = |time: i64| Duration::from_secs((time - NEARLY_MIDNIGHT).unsigned_abs());
    row(&tomorrow, midnight - 10, 1).add_to(&mut batches, mono(midnight - 10));
    row(&today, midnight - 10, 2).add_to(&mut batches, mono(midnight - 10));
    let slots = [&tomorrow, &today].map(|partition| batches.slot(partition));
    let lateness = slots.map(|slot| batches.get(slot).lateness);
    assert_eq!(lateness, [Lateness::Late, Lateness::Current]);
    batches.follow(Micros((midnight - 1) * SECOND));
    assert!(batches.due(mono(midnight - 1), 0).is_empty());
    // Its day has begun: it is closed before rows of that day come.
    batches.follow(Micros(midnight * SECOND));
    let due = batches.due(mono(midnight), 0);
    assert_eq!(due, [(slots[0], SealReason::Age)]);
    assert!(batches.get(slots[0]).lateness.is_late());
    // If there was no room for its seal, it counts as current from its first row on.
    row(&tomorrow, midnight, 3).add_to(&mut batches, mono(midnight));
    assert!(!batches.get(slots[0]).lateness.is_late());
    let in_a_minute = midnight - 10 + 60;
    assert!(batches.due(mono(in_a_minute - 1), 0).is_empty());
    assert_eq!(batches.due(mono(in_a_minute), 0).len(), 2);
}

/// A clock that is a day off at a restart neither freezes a batch nor makes one that is young look old
/// for longer than that start.
#[test]
fn age_counts_from_the_log_whatever_the_clock_says() {
    let late = (NEARLY_MIDNIGHT / DAY - 3).to_string();
    let row = Row {
        partition: late,
        bytes: 1,
        received: NEARLY_MIDNIGHT,
        lsn: 1,
    };
    let due_after = |clock: i64| {
        let mut batches = Batches::new(limits(), calendar());
        row.add_to(&mut batches, Duration::ZERO);
        batches.count_ages(Micros(clock * SECOND), Duration::from_secs(5));
        batches.next_due(0).map(|due| due.as_secs())
    };
    assert_eq!(due_after(NEARLY_MIDNIGHT + 3600), Some(5 + 3600));
    assert_eq!(due_after(NEARLY_MIDNIGHT + 7200), Some(5));
    assert_eq!(due_after(NEARLY_MIDNIGHT + DAY), Some(5));
    assert_eq!(due_after(NEARLY_MIDNIGHT - DAY), Some(5 + 7200));
}
