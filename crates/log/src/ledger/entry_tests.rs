//! Round trips of entries, and arbitrary bytes against the decoder.

#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

use proptest::prelude::*;

use super::*;
use crate::journal::seam::At;
use crate::ledger::batch::{Chunk, Chunks, Sums};

fn seal() -> Seal {
    let mut chunks = Chunks::default();
    for block in 1..4 {
        let first_lsn = Lsn(block * 10);
        chunks.push(&Chunk {
            frame: At::new(2, block),
            offset: 9,
            bytes: 300,
            rows: 3,
            first_lsn,
        });
    }
    Seal {
        number: 7,
        nonce: u128::MAX - 1,
        partition: "events/dt=2026-11-20".into(),
        key: "events/dt=2026-11-20/00000000000000aa-00000000000000000010.ndjson.zst".into(),
        format: "ndjson.zst".into(),
        lake: "s3://bucket/prefix".into(),
        first_lsn: Lsn(10),
        last_lsn: Lsn(32),
        sums: Sums {
            count: 9,
            bytes: 900,
            row_hash: 1 << 100,
            lsn_hash: 5,
        },
        chunks,
        as_of: AsOf {
            lsn: Lsn(40),
            watermark: Micros(-1),
            ..AsOf::default()
        },
    }
}

#[test]
fn every_entry_round_trips() {
    let mut payload = Vec::new();
    let identity = Identity { tag: 3, content: 4 };
    put_row(&mut payload, RowKind::Record(identity), 2, b"{\"a\":1}");
    put_row(&mut payload, RowKind::Quarantined, 0, b"");
    put_row(&mut payload, RowKind::Snapshot, 1, b"{}");
    let rows = RowsEntry {
        run: NO_RUN,
        partition: "events/dt=2026-11-20",
        received: Span {
            oldest: Micros(5),
            newest: Micros(9),
        },
        count: 3,
        payload: &payload,
        payload_at: 40,
    };
    let mut before = Vec::new();
    Entry::Rows(rows).put(&mut before);
    // Tag, length, run (2), partition (21), two times, count.
    let rows_at = before.len() + 1 + 1 + 2 + 21 + 16 + 1;
    let of_run = RowsEntry {
        run: Lsn(300),
        payload_at: rows_at,
        ..rows
    };
    let run = Lsn(300);
    let end = RunEnd {
        run,
        poll: "users".into(),
        cursor: b"{}".to_vec(),
        nonce: 1 << 90,
        format: "ndjson".into(),
        lake: "s3://bucket".into(),
        marker: "_lakehook/runs/users/x.json".into(),
        about: b"{\"run\":\"x\"".to_vec(),
        pieces: vec![crate::runs::RunObject {
            key: "users/dt=2026-11-20/run=x/y.ndjson".into(),
            first_lsn: Lsn(301),
            count: 9,
        }],
    };
    let entries = [
        Entry::Rows(rows),
        Entry::Rows(of_run),
        Entry::RunBegin { run, poll: "users" },
        Entry::Cut {
            run,
            partition: "users/dt=2026-11-20/run=x",
        },
        Entry::RunEnd(Box::new(end)),
        Entry::RunAbandoned(Abandoned {
            run,
            void: LsnSet { count: 3, hash: 9 },
            ..Abandoned::default()
        }),
        Entry::Published { run },
        Entry::Cursor {
            poll: "users",
            cursor: b"{}",
        },
        Entry::Counts(Counts {
            received: 300,
            dropped: 2,
            duplicate: 1,
        }),
        Entry::Seal(Box::new(seal())),
        Entry::Commit(Commit {
            seal: 7,
            bytes: 1 << 40,
            crc: u32::MAX,
        }),
        Entry::Void {
            first: Lsn(9),
            count: 4,
        },
        Entry::Checkpoint(Checkpoint {
            oldest_segment: 3,
            ..Checkpoint::default()
        }),
        Entry::Close,
    ];
    let mut body = Vec::new();
    for entry in &entries {
        entry.put(&mut body);
    }
    let decoded: Vec<_> = Entry::all(&body).map(Result::unwrap).collect();
    assert_eq!(decoded, entries);

    let mut rest = payload.as_slice();
    let first = StoredRow::take(&mut rest).unwrap();
    assert_eq!((first.kind, first.lsn_at), (RowKind::Record(identity), 2));
    assert_eq!(StoredRow::take(&mut rest).unwrap().bytes, b"");
    assert_eq!(StoredRow::take(&mut rest).unwrap().kind, RowKind::Snapshot);
    assert_eq!(StoredRow::take(&mut rest), None);
}

proptest! {
    #[test]
    fn any_bytes_decode_without_panic(body: Vec<u8>) {
        for entry in Entry::all(&body).flatten() {
            if let Entry::Rows(rows) = entry {
                let mut payload = rows.payload;
                while StoredRow::take(&mut payload).is_some() {}
            }
        }
    }

    #[test]
    fn a_cut_body_is_malformed_or_shorter(cut in 0_usize..200) {
        let mut body = Vec::new();
        Entry::Seal(Box::new(seal())).put(&mut body);
        let cut = cut.min(body.len() - 1);
        let whole = Entry::all(&body[..cut]).flatten().count();
        prop_assert_eq!(whole, 0);
    }
}
