use proptest::prelude::*;

use super::*;

fn stamp() -> Stamp {
    Stamp {
        node: NodeId(0xab),
        seal: 7,
        nonce: 9,
        partition: "events/dt=2026-11-20".to_owned(),
        first_lsn: Lsn(3),
        last_lsn: Lsn(12),
        count: 8,
        row_hash: 0x1234_5678_9abc_def0_1234_5678_9abc_def0,
        lsn_hash: u128::MAX,
        crc: 0xabc,
        as_of: LogState {
            lsn: Lsn(14),
            lsn_hash: 15,
            open: CountedLsns { count: 2, hash: 3 },
            void: CountedLsns { count: 1, hash: 16 },
            watermark: "2026-11-20T12:00:00.000000Z".to_owned(),
            totals: RunningTotals {
                received: 21,
                stored: 11,
                dropped: 5,
                duplicate: 4,
                quarantined: 1,
                refused: 6,
            },
        },
        erased: None,
        parcel_of: None,
    }
}

fn lines(metadata: &Metadata) -> String {
    let lines = metadata
        .iter()
        .map(|(name, value)| format!("{name}: {value}"));
    lines.collect::<Vec<_>>().join("\n")
}

/// Every existing lake contains these bytes.
#[test]
fn metadata_of_objects_is_as_documented() {
    insta::assert_snapshot!(lines(&stamp().to_metadata()), @r"
    lakehook-as-of-lsn: 14
    lakehook-as-of-lsn-hash: 0000000000000000000000000000000f
    lakehook-as-of-open: 2 00000000000000000000000000000003
    lakehook-as-of-void: 1 00000000000000000000000000000010
    lakehook-as-of-watermark: 2026-11-20T12:00:00.000000Z
    lakehook-count: 8
    lakehook-crc32c: 00000abc
    lakehook-first-lsn: 3
    lakehook-last-lsn: 12
    lakehook-lsn-hash: ffffffffffffffffffffffffffffffff
    lakehook-node: 00000000000000ab
    lakehook-nonce: 00000000000000000000000000000009
    lakehook-partition: events/dt=2026-11-20
    lakehook-row-hash: 123456789abcdef0123456789abcdef0
    lakehook-seal: 7
    lakehook-total-dropped: 5
    lakehook-total-duplicate: 4
    lakehook-total-quarantined: 1
    lakehook-total-received: 21
    lakehook-total-refused: 6
    lakehook-total-stored: 11
    ");
}

#[test]
fn an_erased_object_says_what_is_gone_and_keeps_the_rest() {
    let whole = stamp();
    let erased = Stamp {
        crc: 0xdef,
        erased: Some(Erased {
            erasure: 5,
            rows: 3,
            lsn_hash: 4,
        }),
        ..whole.clone()
    };
    assert_eq!(
        (erased.rows_left(), erased.lsn_hash_left()),
        (5, u128::MAX - 4)
    );
    let (before, after) = (whole.to_metadata(), erased.to_metadata());
    let changed: Metadata = after
        .into_iter()
        .filter(|(name, value)| before.get(name) != Some(value))
        .collect();
    insta::assert_snapshot!(lines(&changed), @r"
    lakehook-crc32c: 00000def
    lakehook-erased-lsn-hash: 00000000000000000000000000000004
    lakehook-erased-rows: 3
    lakehook-erasure: 00000000000000000000000000000005
    ");
    let mut part = changed;
    part.extend(before);
    part.remove(ERASED_ROWS);
    assert_eq!(
        Stamp::from_metadata(&part),
        Err(StampError::Missing(ERASED_ROWS))
    );
}

#[test]
fn metadata_of_notes_and_markers_is_as_documented() {
    let note = TextStamp::of_note(NodeId(0xab), b"{}\n");
    insta::assert_snapshot!(lines(&note.to_metadata()), @r"
    lakehook-crc32c: f01f9d27
    lakehook-node: 00000000000000ab
    lakehook-nonce: 7809095c382d5f77daa13e4f205dc5ba
    lakehook-row-hash: 7809095c382d5f77daa13e4f205dc5ba
    ");
    let marker = TextStamp::of_marker(NodeId(0xab), Lsn(5), 9, b"{}\n");
    insta::assert_snapshot!(lines(&marker.to_metadata()), @r"
    lakehook-crc32c: f01f9d27
    lakehook-node: 00000000000000ab
    lakehook-nonce: 00000000000000000000000000000009
    lakehook-row-hash: 7809095c382d5f77daa13e4f205dc5ba
    lakehook-run: 5
    ");
}

#[test]
fn what_is_missing_or_unreadable_is_named() {
    let whole = stamp().to_metadata();
    assert_eq!(
        Stamp::from_metadata(&Metadata::new()),
        Err(StampError::Foreign)
    );
    for name in whole.keys() {
        let mut metadata = whole.clone();
        metadata.remove(name);
        let error = Stamp::from_metadata(&metadata).map_err(|error| error.to_string());
        let expected = match name.as_str() {
            NODE => "it is foreign: it carries no metadata of lakehook".to_owned(),
            name => format!("its metadata has no {name}"),
        };
        assert_eq!(error, Err(expected));
        if [PARTITION, AS_OF_WATERMARK].contains(&name.as_str()) {
            continue;
        }
        metadata.insert(name.clone(), "x".to_owned());
        let error = Stamp::from_metadata(&metadata).map_err(|error| error.to_string());
        assert_eq!(error, Err(format!("its metadata {name} cannot be read")));
    }
    let mut metadata = whole;
    metadata.insert(SEAL.to_owned(), "0".to_owned());
    let error = Stamp::from_metadata(&metadata);
    assert_eq!(error, Err(StampError::Unreadable(SEAL)));
}

fn counted() -> impl Strategy<Value = CountedLsns> {
    (any::<u64>(), any::<u128>()).prop_map(|(count, hash)| CountedLsns { count, hash })
}

fn log_state() -> impl Strategy<Value = LogState> {
    let totals = any::<[u64; 6]>().prop_map(RunningTotals::of_values);
    let numbers = (any::<u64>(), any::<u128>());
    (numbers, counted(), counted(), ".*", totals).prop_map(
        |((lsn, lsn_hash), open, void, watermark, totals)| LogState {
            lsn: Lsn(lsn),
            lsn_hash,
            open,
            void,
            watermark,
            totals,
        },
    )
}

fn any_stamp() -> impl Strategy<Value = Stamp> {
    let numbers = (any::<u64>(), 1..=u64::MAX, any::<[u64; 3]>(), any::<u32>());
    let hashes = any::<[u128; 3]>();
    let erased = (any::<u128>(), 1..=u64::MAX, any::<u128>());
    let erased = proptest::option::of(erased.prop_map(|(erasure, rows, lsn_hash)| Erased {
        erasure,
        rows,
        lsn_hash,
    }));
    (numbers, hashes, ".*", log_state(), erased).prop_map(
        |((node, seal, [first, last, count], crc), hashes, partition, as_of, erased)| {
            let [nonce, row_hash, lsn_hash] = hashes;
            Stamp {
                node: NodeId(node),
                seal,
                nonce,
                partition,
                first_lsn: Lsn(first),
                last_lsn: Lsn(last),
                count,
                row_hash,
                lsn_hash,
                crc,
                as_of,
                erased,
                parcel_of: None,
            }
        },
    )
}

proptest! {
    #[test]
    fn a_stamp_is_read_as_it_was_written(stamp in any_stamp()) {
        prop_assert_eq!(Stamp::from_metadata(&stamp.to_metadata()), Ok(stamp));
    }
}

#[test]
fn a_parcel_says_its_run_and_nothing_of_the_log() {
    let parcel = ParcelStamp {
        node: NodeId(0xab),
        run: Lsn(7),
        number: 2,
        nonce: 9,
        partition: "claims/dt=2026-11-20/run=r".to_owned(),
        count: 3,
        row_hash: 11,
        crc: 5,
    };
    let stamp = Stamp::from(parcel);
    let metadata = stamp.to_metadata();
    assert!(!metadata.contains_key(SEAL) && !metadata.contains_key(AS_OF_LSN));
    assert_eq!(Stamp::from_metadata(&metadata), Ok(stamp.clone()));
    let key = "claims/dt=2026-11-20/run=r/00000000000000ab-00000000000000000002.parquet";
    assert!(stamp.is_at(key));
}
