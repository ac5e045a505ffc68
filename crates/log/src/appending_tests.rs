#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
use std::time::Duration;

use super::*;
use crate::helper::Background;
use crate::ledger::batch::Limits;
use crate::ledger::lateness::Calendar;
use crate::ledger::request::{NO_RUN, Settings};
use crate::log::Listeners;
use crate::recover;
use lakehook_base::files::Disk;
use lakehook_base::ids::{Ids, NodeId};
use lakehook_base::record::{Identity, Lsn, Origin, RowKind};

fn key(partition: &str, node: NodeId, lsn: Lsn, format: &str) -> String {
    format!("{partition}/{node}-{}.{format}", lsn.0)
}

fn settings() -> Settings {
    Settings {
        segment_bytes: 64 << 10,
        first_segment_bytes: 16 << 10,
        max_bytes: 1 << 20,
        dedup_window: 1000,
        max_ids: 1000,
        filter_bytes: 16 << 10,
        ids_per_file: 100,
        limits: Limits {
            max_bytes: 1 << 20,
            max_records: 1000,
            max_age: Duration::from_secs(30),
            late_max_age: Duration::from_secs(60),
            max_waiting_seals: 16,
        },
        calendar: Calendar::empty(),
        lake: "dir:/lake".to_owned(),
        format: "ndjson".to_owned(),
        packing: None,
        object_key: key,
        conflict_row: |_, _, _| 0,
        conflict_partition: |_| "conflicts".to_owned(),
    }
}

const HOUR: Duration = Duration::from_hours(1);

thread_local! {
    /// The times that were written into rows.
    static STAMPED: std::cell::RefCell<Vec<Micros>> = const { std::cell::RefCell::new(Vec::new()) };
}

fn stamp(_: &mut Rows, received_at: Micros) {
    STAMPED.with_borrow_mut(|stamped| stamped.push(received_at));
}

fn log(dir: &std::path::Path, clock: &Clock) -> Log {
    let (time, ids) = (clock.clone(), Ids::seeded(1));
    let opened = recover::open(Disk, dir, settings(), time, ids, Background::Inline);
    let (writer, _) = opened.unwrap();
    let listeners = Listeners {
        sealed: Box::new(|_| {}),
        complete: Box::new(|_| {}),
        failed: Box::new(|error| panic!("{error}")),
        written: Box::new(|_| {}),
    };
    Log::start(writer, clock.clone(), listeners).unwrap()
}

/// A request with one row, which has that number of bytes.
fn request(number: u64, bytes: usize, received_at: Micros) -> Append {
    let mut rows = Rows::default();
    rows.bytes.push(b'{');
    rows.bytes.resize(bytes, b' ');
    rows.bytes.extend_from_slice(b"}\n");
    let partition = rows.partition("things/dt=2026-11-20");
    let kind = RowKind::Record(Identity {
        tag: number,
        content: 1,
    });
    rows.finish_row(1, partition, kind);
    Append {
        rows,
        dropped: 0,
        origin: Origin {
            received_at,
            endpoint: "things".into(),
            request_id: "r".into(),
            client: None,
        },
        run: NO_RUN,
        cursor: None,
    }
}

#[tokio::test]
async fn a_clock_that_was_set_back_makes_nothing_wait() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::manual(Micros(1_790_000_000_000_000));
    let log = log(dir.path(), &clock);
    let before = clock.now().wall;
    log.append(request(1, 10, before)).await.unwrap();
    let sealing = log.clone();
    let sealed = tokio::task::spawn_blocking(move || sealing.flush());
    sealed.await.unwrap().unwrap();
    clock.jump_to(before.minus(HOUR));
    let now = clock.now().wall;
    assert_eq!(
        log.append(request(2, 10, now)).await,
        Err(AppendError::Late)
    );
    let appended = log.append_when_possible(request(2, 10, now), &clock, stamp);
    assert_eq!(appended.await.unwrap().accepted, 1);
    // The row has the time that the log has of it, and no earlier one.
    let stamped = STAMPED.with_borrow(Clone::clone);
    assert_eq!(stamped, [log.gauges().receipt(now)]);
    assert!(stamped[0] > now);
    log.close();
}

#[tokio::test]
async fn a_full_log_is_waited_for_until_it_ends() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::manual(Micros(1_790_000_000_000_000));
    let log = log(dir.path(), &clock);
    let now = clock.now().wall;
    let mut number = 0;
    while log.append(request(number, 20 << 10, now)).await != Err(AppendError::Full) {
        number += 1;
        assert!(number < 1000, "a log of 1 MiB gets full");
    }
    let more = log.append_when_possible(request(number, 20 << 10, now), &clock, stamp);
    tokio::pin!(more);
    // It goes on trying.
    let some_attempts = tokio::time::timeout(FULL_PAUSE * 3, &mut more).await;
    assert!(some_attempts.is_err(), "{some_attempts:?}");
    assert!(STAMPED.with_borrow(Vec::len) > 1);
    log.close();
    assert_eq!(more.await, Err(AppendError::Closed));
}
