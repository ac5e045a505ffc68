#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
use proptest::prelude::*;

use super::*;
use lakehook_base::clock::Micros;
use lakehook_base::record::{Identity, Origin};

/// A row: its bytes, its partition, and its kind (0 is a row of the quarantine).
type Drawn = (Vec<u8>, u8, Option<u64>);

fn append(drawn: &[Drawn], has_former: bool) -> Append {
    let mut rows = Rows::default();
    for (number, (bytes, partition, tag)) in drawn.iter().enumerate() {
        let partition = rows.partition(&format!("events/dt=2026-11-2{partition}"));
        rows.bytes.extend_from_slice(bytes);
        let content = u32::try_from(number).unwrap();
        let kind = match tag {
            Some(tag) => RowKind::Record(Identity { tag: *tag, content }),
            None => RowKind::Quarantined,
        };
        if has_former && let Some(tag) = tag {
            let tag = tag.wrapping_mul(31);
            rows.former.push(Identity { tag, content });
        }
        rows.finish_row(0, partition, kind);
    }
    Append {
        rows,
        dropped: 7,
        origin: Origin {
            received_at: Micros(5),
            endpoint: "/webhook/events".into(),
            request_id: "r-1".into(),
            client: None,
        },
        run: NO_RUN,
        cursor: None,
    }
}

/// What is stored of a row: bytes, partition, kind, former identity.
type Stored = (Vec<u8>, String, RowKind, Option<Identity>);

fn stored(append: &Append) -> Vec<Stored> {
    let mut former = append.rows.former.iter();
    let rows = append.rows.iter().map(|(row, bytes)| {
        let is_record = matches!(row.kind, RowKind::Record(_));
        (
            bytes.to_vec(),
            append.rows.partitions[row.partition as usize].clone(),
            row.kind,
            is_record.then(|| former.next().copied()).flatten(),
        )
    });
    rows.collect()
}

fn any_row() -> impl Strategy<Value = Drawn> {
    let bytes = prop::collection::vec(any::<u8>(), 1..20);
    // Mostly records, some of them more than once.
    let tag = prop_oneof![
        4 => any::<u64>().prop_map(Some),
        2 => (0_u64..5).prop_map(Some),
        1 => Just(None),
    ];
    (bytes, 0_u8..4, tag)
}

proptest! {
    #[test]
    fn every_row_is_in_one_log_and_their_order_stays(
        drawn in prop::collection::vec(any_row(), 0..40),
        logs in 1_usize..9,
        has_former: bool,
    ) {
        let whole = append(&drawn, has_former);
        let expected = stored(&whole);
        let origin = whole.origin.clone();
        let parts = split(whole, logs);
        let all: Vec<&(usize, Append)> = parts.first.iter().chain(&parts.last).collect();
        prop_assert!(!all.is_empty());
        let mut numbers: Vec<usize> = all.iter().map(|(log, _)| *log).collect();
        numbers.sort_unstable();
        numbers.dedup();
        prop_assert_eq!(numbers.len(), all.len(), "each log is asked once");
        for (log, part) in &all {
            prop_assert!(*log < logs);
            prop_assert_eq!(&part.origin, &origin);
            // Exactly the rows that belong there, in the order of the request.
            let own: Vec<Stored> = expected
                .iter()
                .filter(|(_, _, kind, _)| *log == match kind {
                    RowKind::Record(identity) => log_of(identity.tag, logs),
                    _ => 0,
                })
                .cloned()
                .collect();
            prop_assert_eq!(stored(part), own);
        }
        let rows: usize = all.iter().map(|(_, part)| part.rows.rows.len()).sum();
        prop_assert_eq!(rows, expected.len());
        let dropped: u64 = all.iter().map(|(_, part)| part.dropped).sum();
        prop_assert_eq!(dropped, 7);
        // What nothing would recognise again waits for all others.
        let is_unknown = |part: &Append| part.rows.rows.iter().any(|row| row.kind == RowKind::Quarantined);
        if parts.first.len() + usize::from(parts.last.is_some()) > 1 {
            prop_assert!(parts.first.iter().all(|(_, part)| !is_unknown(part)));
        }
    }

    #[test]
    fn logs_are_chosen_evenly_and_by_the_tag_alone(tags in prop::collection::vec(any::<u64>(), 1..50), logs in 1_usize..65) {
        for tag in tags {
            let log = log_of(tag, logs);
            prop_assert!(log < logs);
            prop_assert_eq!(log_of(tag, logs), log);
        }
    }
}

#[test]
fn what_belongs_to_one_log_is_not_copied() {
    let drawn: Vec<Drawn> = (0..9).map(|n| (vec![1; 100], 0, Some(n * 3 + 2))).collect();
    let whole = append(&drawn, false);
    let at = whole.rows.bytes.as_ptr();
    let parts = split(whole, 3);
    assert!(parts.last.is_none());
    let [(2, only)] = &parts.first[..] else {
        panic!("{parts:?}");
    };
    assert_eq!(only.rows.bytes.as_ptr(), at);
    assert_eq!(only.dropped, 7);
}

#[test]
fn many_tags_spread_over_all_logs() {
    let key = lakehook_base::ids::HashKey([7; 16]);
    let fingerprint = lakehook_base::record::Fingerprint::new(key);
    let mut counts = [0_u32; 3];
    for number in 0..3_000 {
        let tag = fingerprint.tag("events", format!("id-{number}").as_bytes());
        counts[log_of(tag, 3)] += 1;
    }
    assert!(counts.iter().all(|count| *count > 900), "{counts:?}");
}
