#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
use std::sync::Mutex;

use super::*;
use crate::ledger::request::{Appended, NO_RUN};
use crate::seat::{Asked, StandIn};
use lakehook_base::record::{Identity, Origin, RowKind, Rows};

/// Remembers how many rows it was asked to store, and how many of them had no identity.
type Heard = Arc<Mutex<Vec<(usize, usize)>>>;

struct Keeps(Heard);
struct IsAway;
struct IsSilent;

impl StandIn for Keeps {
    fn append(&self, append: Box<Append>, asked: Asked) {
        let rows = &append.rows.rows;
        let unknown = rows.iter().filter(|row| row.kind == RowKind::Quarantined);
        let unknown = unknown.count();
        self.0.lock().unwrap().push((rows.len(), unknown));
        asked.answer(Ok(Appended {
            accepted: (rows.len() - unknown) as u64,
            quarantined: unknown as u64,
            ..Appended::default()
        }));
    }

    fn refusal(&self) -> AppendError {
        AppendError::NoOwner("a owns it".into())
    }
}

impl StandIn for IsAway {
    fn append(&self, _: Box<Append>, asked: Asked) {
        asked.answer(Err(self.refusal()));
    }

    fn refusal(&self) -> AppendError {
        AppendError::NoOwner("nobody owns it".into())
    }
}

impl StandIn for IsSilent {
    fn append(&self, _: Box<Append>, asked: Asked) {
        asked.answer(Err(AppendError::Unanswered("it broke".into())));
    }

    fn refusal(&self) -> AppendError {
        AppendError::NoOwner("b owns it".into())
    }
}

/// A request with records of these tags, and one row of the quarantine.
fn append(tags: &[u64], is_partly_refused: bool) -> Append {
    let mut rows = Rows::default();
    let partition = rows.partition("events/dt=2026-11-20");
    let kinds = tags.iter().map(|tag| {
        RowKind::Record(Identity {
            tag: *tag,
            content: 1,
        })
    });
    for kind in kinds.chain(is_partly_refused.then_some(RowKind::Quarantined)) {
        rows.bytes.extend_from_slice(b"{}");
        rows.finish_row(1, partition, kind);
    }
    Append {
        rows,
        dropped: 0,
        origin: Origin {
            received_at: Micros(1),
            endpoint: "/".into(),
            request_id: "".into(),
            client: None,
        },
        run: NO_RUN,
        cursor: None,
    }
}

fn three(first: impl StandIn, second: impl StandIn, third: impl StandIn) -> Logs {
    let logs = [Log::unowned(), Log::unowned(), Log::unowned()];
    logs[0].stand_in(first).unwrap();
    logs[1].stand_in(second).unwrap();
    logs[2].stand_in(third).unwrap();
    Logs::new(logs.to_vec()).unwrap()
}

#[tokio::test]
async fn the_answer_is_the_sum() {
    let heard: [Heard; 3] = Default::default();
    let [a, b, c] = &heard;
    let logs = three(Keeps(a.clone()), Keeps(b.clone()), Keeps(c.clone()));
    let appended = logs.append(append(&[0, 1, 2, 4, 7], true)).await.unwrap();
    assert_eq!((appended.accepted, appended.quarantined), (5, 1));
    let heard = heard.map(|heard| heard.lock().unwrap().clone());
    assert_eq!(heard, [vec![(2, 1)], vec![(3, 0)], vec![(1, 0)]]);
    logs.all().iter().for_each(Log::close);
}

#[tokio::test]
async fn if_one_log_is_away_the_request_fails_and_nothing_is_stored_that_is_not_known_again() {
    let (first, second) = (Heard::default(), Heard::default());
    let logs = three(Keeps(first.clone()), Keeps(second.clone()), IsAway);
    let whole = append(&[0, 1, 2], true);
    let refused = logs.append(whole).await;
    let why = AppendError::NoOwner("log 2: nobody owns it".into());
    assert_eq!(refused, Err(why));
    // The record of log 1 is a duplicate when it comes again. Log 0 has not been asked.
    assert_eq!(*second.lock().unwrap(), [(1, 0)]);
    assert_eq!(*first.lock().unwrap(), []);
    // Without rows of the log that is away, nothing is refused.
    let appended = logs.append(append(&[0, 1], true)).await.unwrap();
    assert_eq!((appended.accepted, appended.quarantined), (2, 1));
    logs.all().iter().for_each(Log::close);
}

#[tokio::test]
async fn what_nobody_knows_is_not_called_refused() {
    let logs = three(IsAway, IsSilent, IsAway);
    for tags in [[0, 1, 2], [2, 1, 0]] {
        let told = logs.append(append(&tags, false)).await;
        let unknown = AppendError::Unanswered("log 1: it broke".into());
        assert_eq!(told, Err(unknown));
    }
    let owners = logs.owners_elsewhere().await;
    let expected = [
        "log 0: nobody owns it",
        "log 1: b owns it",
        "log 2: nobody owns it",
    ];
    assert_eq!(owners, expected);
    assert!(logs.are_elsewhere());
    logs.all().iter().for_each(Log::close);
}

#[tokio::test]
async fn a_request_is_received_no_earlier_than_any_log_allows() {
    let logs = three(IsAway, IsAway, IsAway);
    logs.all()[1].gauges().floor.store(50, Ordering::Relaxed);
    assert_eq!(logs.receipt(Micros(10)), Micros(50));
    assert_eq!(logs.receipt(Micros(60)), Micros(60));
    logs.all().iter().for_each(Log::close);
}
