use std::pin::pin;
use std::task::{Context, Waker};

use tokio::sync::oneshot;

use super::*;
use crate::clock::Micros;
use crate::cluster::message::Message;
use crate::cluster::target::Target;
use crate::ids::NodeId;
use crate::record::{Identity, Origin, RowKind, Rows};
use crate::wal::request::{Append, NO_RUN};

const PATIENCE: Duration = Duration::from_secs(10);
/// Longer than any lull.
const LONG: Duration = Duration::from_secs(10);

/// Bytes of a body that is followed by a pause.
const SMALL: usize = 1000;

/// A request without rows whose sender waits for ever.
fn request() -> Waiting {
    with_rows(Rows::default())
}

fn with_rows(rows: Rows) -> Waiting {
    let append = Append {
        rows,
        dropped: 1,
        origin: Origin {
            received_at: Micros(0),
            endpoint: "/webhook/events".into(),
            request_id: "0".into(),
            client: None,
        },
        run: NO_RUN,
        cursor: None,
    };
    let (waiter, answer) = oneshot::channel();
    std::mem::forget(answer);
    Waiting {
        target: Target {
            index: 0,
            log: NodeId(1),
            epoch: 1,
            configuration: 0,
        },
        message: Message::of(append).unwrap(),
        since: Instant::now(),
        ticket: Ticket::of(Box::new(waiter)),
    }
}

fn push(gathering: &Gathering, count: usize) {
    for _ in 0..count {
        assert!(gathering.push(request()).is_ok());
    }
}

/// How many requests the next body has; `None` if somebody else sends them, or there are none.
fn next(gathering: &Gathering) -> Option<usize> {
    gathering.next_batch(PATIENCE).map(|batch| batch.len())
}

/// Somebody has so many requests under way.
fn sending(count: usize) -> Gathering {
    let gathering = Gathering::default();
    push(&gathering, count);
    assert!(matches!(gathering.begin(), Some(Start::Now)));
    assert_eq!(next(&gathering), Some(count));
    gathering
}

#[test]
fn the_slower_the_answers_are_the_longer_requests_are_gathered() {
    let paces = [0, 9, 30, 60, 10_000].map(|millis| pace(Duration::from_millis(millis)));
    assert_eq!(paces.map(|pace| pace.as_millis()), [5, 5, 15, 25, 25]);
    let lulls = [0, 9, 30, 60, 10_000].map(|millis| lull(Duration::from_millis(millis)));
    assert_eq!(lulls.map(|lull| lull.as_millis()), [1, 9, 10, 10, 10]);
}

#[tokio::test]
async fn the_next_requests_of_many_that_were_answered_go_together() {
    let gathering = sending(MANY);
    let coming = async {
        for _ in 0..MANY {
            push(&gathering, 1);
            assert!(
                gathering.begin().is_none(),
                "somebody waits for all of them"
            );
        }
    };
    tokio::join!(gathering.wait_for_as_many(MANY, SMALL, LONG), coming);
    assert_eq!(next(&gathering), Some(MANY));
}

#[tokio::test]
async fn those_who_do_not_come_again_are_not_waited_for_long() {
    let gathering = sending(MANY);
    let began = Instant::now();
    let coming = async { push(&gathering, MANY - 1) };
    tokio::join!(gathering.wait_for_as_many(MANY, SMALL, LONG), coming);
    assert!(began.elapsed() < LONG / 2);
    assert_eq!(next(&gathering), Some(MANY - 1));
    gathering.wait_for_as_many(MANY - 1, SMALL, LONG).await;
    assert_eq!(next(&gathering), None);
    // Nobody is under way any more, so the next one is sent at once.
    push(&gathering, 1);
    assert!(matches!(gathering.begin(), Some(Start::Now)));
}

#[tokio::test]
async fn whoever_is_answered_meanwhile_leaves_them_to_the_one_who_waits() {
    let gathering = sending(MANY);
    // A second body, beside the first.
    push(&gathering, 1);
    let Some(start) = gathering.begin() else {
        panic!("nobody gathers");
    };
    gathering.wait_to_start(start).await;
    assert_eq!(next(&gathering), Some(1));
    let other = async {
        gathering.wait_for_as_many(1, SMALL, LONG).await;
        push(&gathering, MANY);
        assert_eq!(next(&gathering), None);
        // All that were under way are waited for, and not only those of the first body.
        assert!(gathering.begin().is_none());
        push(&gathering, 1);
    };
    tokio::join!(gathering.wait_for_as_many(MANY, SMALL, LONG), other);
    assert_eq!(next(&gathering), Some(MANY + 1));
    gathering.wait_for_as_many(1, SMALL, LONG).await;
    assert_eq!(next(&gathering), None);
    push(&gathering, 1);
    assert!(matches!(gathering.begin(), Some(Start::Now)));
}

#[test]
fn as_many_as_wait_already_are_not_waited_for() {
    let gathering = sending(2 * MANY);
    push(&gathering, 2 * MANY);
    let mut waiting = pin!(gathering.wait_for_as_many(2 * MANY, SMALL, LONG));
    let mut context = Context::from_waker(Waker::noop());
    assert!(waiting.as_mut().poll(&mut context).is_ready());
    assert_eq!(next(&gathering), Some(2 * MANY));
}

#[tokio::test]
async fn so_many_bytes_are_enough() {
    let gathering = sending(MANY);
    let mut large = Rows::default();
    let partition = large.partition("events/dt=2026-11-20");
    large.bytes.resize(ENOUGH_BYTES, b' ');
    let identity = Identity { tag: 1, content: 2 };
    large.finish_row(1, partition, RowKind::Record(identity));
    let mut waiting = pin!(gathering.wait_for_as_many(MANY, SMALL, LONG));
    let mut context = Context::from_waker(Waker::noop());
    assert!(waiting.as_mut().poll(&mut context).is_pending());
    assert!(gathering.push(with_rows(large)).is_ok());
    assert!(waiting.as_mut().poll(&mut context).is_ready());
    assert_eq!(next(&gathering), Some(1));
}

#[test]
fn nothing_is_waited_for_after_a_large_body() {
    let gathering = sending(MANY);
    let mut waiting = pin!(gathering.wait_for_as_many(MANY, ENOUGH_BYTES, LONG));
    let mut context = Context::from_waker(Waker::noop());
    assert!(waiting.as_mut().poll(&mut context).is_ready());
    assert_eq!(next(&gathering), None);
}

#[tokio::test]
async fn those_who_come_beyond_what_is_expected_do_not_shorten_the_next_pause() {
    let gathering = sending(MANY);
    let coming = async { push(&gathering, MANY + 3) };
    tokio::join!(gathering.wait_for_as_many(MANY, SMALL, LONG), coming);
    assert_eq!(next(&gathering), Some(MANY + 3));
    let mut waiting = pin!(gathering.wait_for_as_many(MANY + 3, SMALL, LONG));
    let mut context = Context::from_waker(Waker::noop());
    assert!(waiting.as_mut().poll(&mut context).is_pending());
}
