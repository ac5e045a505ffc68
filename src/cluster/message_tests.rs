use proptest::prelude::*;
use proptest::sample::Index;

use super::*;
use crate::mutated::mutations::{cases, changed, changes};
use crate::record::Lsn;

/// Requests of every kind that can be forwarded.
pub(crate) fn any_append() -> impl Strategy<Value = Append> {
    let kind = prop_oneof![
        4 => (any::<u64>(), any::<u32>())
            .prop_map(|(tag, content)| RowKind::Record(Identity { tag, content })),
        1 => Just(RowKind::Quarantined),
        1 => Just(RowKind::Refused),
    ];
    let row = (
        prop::collection::vec(any::<u8>(), 0..80),
        any::<Index>(),
        any::<Index>(),
        kind,
    );
    let client = prop_oneof![
        Just(None),
        any::<[u8; 4]>().prop_map(|octets| Some(IpAddr::from(octets))),
        any::<[u8; 16]>().prop_map(|octets| Some(IpAddr::from(octets))),
    ];
    (
        prop::collection::btree_set("[a-z/=0-9-]{1,30}", 1..5),
        prop::collection::vec(row, 0..30),
        any::<u64>(),
        (any::<i64>(), "[ -~é]{0,40}", "[ -~]{0,40}", client),
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(
            |(partitions, drawn, dropped, origin, has_former, changed)| {
                let mut rows = Rows {
                    partitions: partitions.into_iter().collect(),
                    changed_is_duplicate: changed,
                    ..Rows::default()
                };
                for (bytes, lsn_at, partition, kind) in drawn {
                    rows.bytes.extend_from_slice(&bytes);
                    let lsn_at = u32::try_from(lsn_at.index(bytes.len() + 1)).unwrap();
                    let partition = u32::try_from(partition.index(rows.partitions.len())).unwrap();
                    rows.finish_row(lsn_at, partition, kind);
                    if let (true, RowKind::Record(Identity { tag, content })) = (has_former, kind) {
                        rows.former.push(Identity {
                            tag: !tag,
                            content: !content,
                        });
                    }
                }
                let (received_at, endpoint, request_id, client) = origin;
                Append {
                    rows,
                    dropped,
                    origin: Origin {
                        received_at: Micros(received_at),
                        endpoint: endpoint.into(),
                        request_id: request_id.into(),
                        client,
                    },
                    run: NO_RUN,
                    cursor: None,
                }
            },
        )
}

fn one() -> Append {
    let mut rows = Rows::default();
    let partition = rows.partition("events/dt=2026-11-20");
    rows.bytes.extend_from_slice(b"{\"event_id\":\"a\"}");
    let identity = Identity { tag: 1, content: 2 };
    rows.finish_row(1, partition, RowKind::Record(identity));
    Append {
        rows,
        dropped: 1,
        origin: Origin {
            received_at: Micros(1_795_176_000_000_000),
            endpoint: "/webhook/events".into(),
            request_id: "0123456789abcdef".into(),
            client: Some(IpAddr::from([127, 0, 0, 1])),
        },
        run: NO_RUN,
        cursor: None,
    }
}

fn is_same(one: &Append, other: &Append) -> bool {
    one.rows == other.rows
        && one.dropped == other.dropped
        && one.origin == other.origin
        && one.run == other.run
        && one.cursor == other.cursor
}

/// The two parts of a message, as they are sent.
fn sent(message: &Message) -> (Entry, Vec<u8>, Vec<u8>) {
    let mut messages = Messages::default();
    messages.push(message.clone());
    let body = Vec::from(messages.whole()).concat();
    let (table, parts) = body[COUNT_BYTES..].split_at(ENTRY_BYTES);
    let entry = entries(table, parts.len()).unwrap()[0];
    let (about, rows) = parts.split_at(entry.about);
    (entry, about.to_vec(), rows.to_vec())
}

fn decoded(message: &Message) -> Result<Append, Malformed> {
    let (entry, about, rows) = sent(message);
    decode(entry, &about, rows)
}

/// The same with the checksum that these parts have.
fn decode_anew(about: &[u8], rows: &[u8]) -> Result<Append, Malformed> {
    let mut crc = Crc32c::default();
    crc.update(about);
    crc.update(rows);
    let entry = Entry {
        about: about.len(),
        rows: rows.len(),
        crc: crc.value(),
    };
    decode(entry, about, rows.to_vec())
}

/// What the log relies on.
fn check_sound(append: &Append) {
    let mut start = 0;
    for row in &append.rows.rows {
        assert!(start <= row.end && row.lsn_at as usize <= row.end - start);
        assert!((row.partition as usize) < append.rows.partitions.len());
        start = row.end;
    }
    assert_eq!(start, append.rows.bytes.len());
    let rows = append.rows.rows.iter();
    let records = rows.filter(|row| matches!(row.kind, RowKind::Record(_)));
    let former = append.rows.former.len();
    assert!(former == 0 || former == records.count());
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn a_request_comes_back_as_it_was(append in any_append()) {
        let message = Message::of(append.clone()).unwrap();
        let (entry, about, rows) = sent(&message);
        prop_assert_eq!(message.len(), about.len() + rows.len());
        prop_assert_eq!((entry.about, entry.rows), (about.len(), rows.len()));
        prop_assert!(is_same(&decoded(&message).unwrap(), &append));
    }

    #[test]
    fn changed_bytes_are_found(append in any_append(), changes in changes(&[b"\0", b"\x01\0"])) {
        let message = Message::of(append).unwrap();
        let (entry, about, rows) = sent(&message);
        let before = [about, rows].concat();
        let bytes = changed(&before, &changes);
        if bytes != before {
            let (about, rows) = bytes.split_at(entry.about.min(bytes.len()));
            prop_assert!(decode(entry, about, rows.to_vec()).is_err());
        }
    }

    /// Somebody who has the secret may compute checksums too.
    #[test]
    fn what_passes_with_a_checksum_of_its_own_is_sound(
        append in any_append(),
        changes in changes(&[b"\0", b"\x01\0", b"\xff\xff\xff\xff", b"\x80\x80\x80\x80\x10"]),
    ) {
        let message = Message::of(append).unwrap();
        let (_, about, rows) = sent(&message);
        let about = changed(&about, &changes);
        if let Ok(append) = decode_anew(&about, &rows) {
            check_sound(&append);
        }
    }

    #[test]
    fn tables_of_contents_never_promise_more_than_there_is(
        numbers in prop::collection::vec(any::<u32>(), 0..12),
        left in 0_usize..1000,
    ) {
        let table: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        if let Ok(entries) = entries(&table, left) {
            let sum: usize = entries.iter().map(|entry| entry.about + entry.rows).sum();
            prop_assert_eq!(sum, left);
        }
    }
}

#[test]
fn every_byte_counts() {
    let message = Message::of(one()).unwrap();
    let (entry, about, rows) = sent(&message);
    let all = [about.clone(), rows.clone()].concat();
    for at in 0..all.len() {
        for bit in 0..8 {
            let mut bytes = all.clone();
            bytes[at] ^= 1 << bit;
            let (about, rows) = bytes.split_at(entry.about);
            let found = decode(entry, about, rows.to_vec());
            let malformed = Malformed("the checksum of a message");
            assert_eq!(found.map(|_| ()), Err(malformed), "{at} {bit}");
        }
    }
    for length in 0..about.len() {
        assert!(decode_anew(&about[..length], &rows).is_err(), "{length}");
    }
}

#[test]
fn later_fields_are_ignored_unless_they_must_not_be() {
    let message = Message::of(one()).unwrap();
    let (_, about, rows) = sent(&message);
    let with = |field: &[u8]| decode_anew(&[&about, field].concat(), &rows);
    assert!(is_same(&with(&[2, 3, 1, 2, 3, 4, 0]).unwrap(), &one()));
    assert!(with(&[2, 3, 1, 2]).is_err());
    let must = with(&[3, 0]).unwrap_err();
    assert!(must.to_string().contains("upgrade this node"), "{must}");
}

#[test]
fn a_decoded_request_takes_hardly_more_memory_than_its_bytes() {
    assert!(size_of::<Row>() <= 2 * ROW_BYTES);
    assert!(size_of::<Identity>() <= 2 * IDENTITY_BYTES);
    let mut about = Message::of(one()).unwrap().about.to_vec();
    about.truncate(8 + 1 + 1 + 16 + 17 + 5);
    // A count that no body has bytes for.
    about.extend_from_slice(&[1, 1, b'a']);
    put_varint(&mut about, u64::MAX);
    let malformed = Malformed("the rows of a request");
    assert_eq!(decode_anew(&about, b"").map(|_| ()), Err(malformed));
}

#[test]
fn what_belongs_to_a_run_is_not_forwarded() {
    let mut append = one();
    append.run = Lsn(7);
    assert!(Message::of(append).is_none());
    let mut append = one();
    append.rows.rows[0].kind = RowKind::Snapshot;
    assert!(Message::of(append).is_none());
}
