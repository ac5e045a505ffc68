//! What lies in the log and in the lake: entries of frames, rows of the quarantine, columns, metadata.

use bytes::Bytes;
use proptest::prelude::*;

use super::mutations::{cases, changed, changes};
use crate::audit::{AuditedObject, Waiting, judge};
use crate::clock::Micros;
use crate::codec::Codec;
use crate::encode::parquet_read;
use crate::lake::Metadata;
use crate::lake::stamp::Stamp;
use crate::quarantine::{FieldError, Reason, Refused};
use crate::record::{Lsn, Origin, RowKind};
use crate::replay::kept::rows;
use crate::wal::entry::{Counts, Entry, RowsEntry, Span, put_row};
use crate::wal::frame::Section;
use crate::wal::layout::{BLOCK, FrameHeader, SegmentHeader};
use crate::wal::packed::{Packing, SectionPacker, SectionReader, kinds_of};

/// More than the lines of the packed rows below have.
const PACKED_LINES: usize = 60 * 40;

const WORDS: &[&[u8]] = &[
    b"\0",
    b"\x01",
    b"\x7f",
    b"\x80",
    b"\xff",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80",
    b"\0\0\0\0",
    b"events/dt=2026-11-20",
    b"{\"",
];

fn body() -> Vec<u8> {
    let mut payload = Vec::new();
    put_row(&mut payload, RowKind::Snapshot, 2, b"{\"a\":1}");
    put_row(&mut payload, RowKind::Quarantined, 1, b"{\"b\":[]}");
    let mut body = Vec::new();
    let mut rows = RowsEntry {
        run: crate::wal::entry::NO_RUN,
        partition: "events/dt=2026-11-20",
        received: Span::EMPTY.including(Micros(1)),
        count: 2,
        payload: &payload,
        payload_at: 0,
    };
    rows.put(&mut body);
    let mut section = Section::default();
    for _ in 0..60 {
        section.push(RowKind::Snapshot, 2, b"{\"a\":1}", Micros(1));
    }
    let packing = Packing {
        least_bytes: 0,
        ..Packing::of(Codec::Zst)
    };
    let mut sections = SectionPacker::default();
    let packed = sections.pack(&packing, section.payload(), Lsn(3), &section.sums);
    rows.payload = packed.unwrap();
    rows.count = 60;
    rows.put(&mut body);
    Entry::RunBegin {
        run: Lsn(3),
        poll: "users",
    }
    .put(&mut body);
    Entry::Cursor {
        poll: "users",
        cursor: b"{\"x\":1}",
    }
    .put(&mut body);
    Entry::Counts(Counts {
        received: 300,
        dropped: 2,
        duplicate: 1,
    })
    .put(&mut body);
    Entry::Void {
        first: Lsn(9),
        count: 4,
    }
    .put(&mut body);
    Entry::Close.put(&mut body);
    body
}

/// An object of the quarantine, line by line.
fn refused() -> Vec<u8> {
    let origin = Origin {
        received_at: Micros(1_764_000_000_000_000),
        endpoint: "/webhook/events".into(),
        request_id: "r".into(),
        client: None,
    };
    let errors = [FieldError {
        pointer: "/events/0".into(),
        code: "missing",
        detail: "a".into(),
    }];
    let mut all = Vec::new();
    for raw in [b"{\"a\":1".as_slice(), b"\xff\xfe"] {
        let mut row = Vec::new();
        let refused = Refused {
            reason: Reason::RefusedRequest,
            stream: "events",
            origin: &origin,
            errors: &errors,
            errors_total: 1,
            raw,
            max_raw_bytes: 100,
            hook: None,
            place: None,
        };
        let at = refused.write(&mut row) as usize;
        row.splice(at..at, b"\"lsn\":7,".iter().copied());
        all.extend_from_slice(&row);
        all.push(b'\n');
    }
    all
}

/// An object with this metadata, as a store gives it back.
fn seen(pairs: &[(&str, Vec<u8>)]) -> AuditedObject {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let pairs = pairs.iter();
    let metadata: Metadata = pairs
        .map(|(name, value)| (format!("lakehook-{name}"), text(value)))
        .collect();
    AuditedObject {
        key: "events/dt=2026-11-25/00000000000000ab-00000000000000000001.ndjson".to_owned(),
        bytes: 100,
        declared: Some(100),
        stamp: Stamp::from_metadata(&metadata),
        expired: false,
    }
}

const METADATA: [(&str, &str); 21] = [
    ("node", "00000000000000ab"),
    ("seal", "1"),
    ("nonce", "00000000000000000000000000000009"),
    ("row-hash", "0000000000000000000000000000002c"),
    ("crc32c", "0000002d"),
    ("partition", "events/dt=2026-11-25"),
    ("first-lsn", "1"),
    ("last-lsn", "3"),
    ("count", "3"),
    ("lsn-hash", "0000000000000000000000000000002a"),
    ("as-of-lsn", "4"),
    ("as-of-lsn-hash", "0000000000000000000000000000002b"),
    ("as-of-open", "1 00000000000000000000000000000001"),
    ("as-of-void", "0 00000000000000000000000000000000"),
    ("as-of-watermark", "2026-11-25T00:00:00.000000Z"),
    ("total-received", "4"),
    ("total-stored", "4"),
    ("total-dropped", "0"),
    ("total-duplicate", "0"),
    ("total-quarantined", "0"),
    ("total-refused", "0"),
];

proptest! {
    #![proptest_config(cases(512))]

    /// Entries and the rows in them are decoded, or the body is malformed; no row is longer than it.
    #[test]
    fn a_frame_is_decoded_or_malformed(changes in changes(WORDS)) {
        let body = changed(&body(), &changes);
        for entry in Entry::all(&body).flatten() {
            if let Entry::Rows(rows) = entry {
                let _kinds = kinds_of(rows.payload).count();
                let mut longest = 0;
                let _read = SectionReader::default().for_each(rows.payload, Lsn(3), &mut |_, row| {
                    longest = longest.max(row.bytes.len());
                    Ok::<_, ()>(())
                });
                prop_assert!(longest <= body.len().max(PACKED_LINES));
            }
        }
    }

    /// Headers are decoded or not; a frame that was changed does not match its checksum.
    #[test]
    fn headers_are_decoded_or_refused(seed in any::<[u8; 32]>(), changes in changes(WORDS)) {
        let bytes = seed.repeat(BLOCK as usize / seed.len());
        let block: &[u8; BLOCK as usize] = bytes.as_slice().try_into().unwrap();
        prop_assert!(SegmentHeader::decode(block).is_err());
        if let Some(header) = FrameHeader::decode(&changed(&bytes[..200], &changes)) {
            prop_assert!(!header.matches(&bytes));
        }
    }

    /// Rows of the quarantine in every format: given back, or an error.
    #[test]
    fn a_row_of_the_quarantine_is_read_or_refused(changes in changes(WORDS), format in 0_usize..4) {
        let whole = refused();
        let (suffix, bytes) = match format {
            0 => ("ndjson", whole),
            1 => ("ndjson.zst", zstd::encode_all(whole.as_slice(), 3).unwrap()),
            2 => ("ndjson.gz", gzip(&whole)),
            _ => ("parquet", parquet()),
        };
        let mut count = 0;
        let bytes = changed(&bytes, &changes);
        let _read = rows(&format!("quarantine/events/dt=2026-11-25/x.{suffix}"), bytes, &mut |kept| {
            let _bytes = kept.bytes();
            count += 1;
            count < 1000
        });
    }

    /// Columns: an error or values, from a footer that lies too.
    #[test]
    fn columns_are_read_or_refused(changes in changes(WORDS)) {
        let bytes = Bytes::from(changed(&parquet(), &changes));
        let _lsns = parquet_read::lsns_of(bytes.clone());
        let mut count = 0;
        let _rows = parquet_read::rows_as_json(bytes, &mut |_row| {
            count += 1;
            Ok(count < 1000)
        });
    }

    /// Metadata that was changed is judged, and never makes more of a lake than there is.
    #[test]
    fn metadata_is_judged(which in 0..METADATA.len(), changes in changes(&[b" ", b"-", b"0", b"18446744073709551615", b"ff", b"\xff"])) {
        let pairs: Vec<(&str, Vec<u8>)> = METADATA
            .iter()
            .enumerate()
            .map(|(at, (name, value))| {
                let value = value.as_bytes();
                (*name, if at == which { changed(value, &changes) } else { value.to_vec() })
            })
            .collect();
        let objects = [seen(&pairs), seen(&METADATA.map(|(name, value)| (name, value.as_bytes().to_vec())))];
        // Two objects with one seal, or one that cannot be read: it never adds up.
        let (_, problems) = judge(&objects, &Waiting::default());
        prop_assert!(!problems.is_empty());
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A real object in columns, made once.
fn parquet() -> Vec<u8> {
    static MADE: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    MADE.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let table = crate::tables::Table::events(std::iter::empty::<&str>()).unwrap();
        let table = std::sync::Arc::new(table);
        let path = dir.path().join("object.part");
        let mut encoder =
            crate::encode::parquet::Encoder::new(&table, 3, Vec::new(), crate::files::Disk, &path).unwrap();
        for lsn in 1..4 {
            let row = serde_json::json!({
                "event_id": format!("id-{lsn}"), "user_id": null, "user": null, "event_type": "click",
                "source": "web", "timestamp": "2026-11-25T00:00:00.000000Z",
                "received_at": "2026-11-25T01:00:00.000000Z", "properties": {"a": lsn}, "extra": null,
            });
            encoder.row(Lsn(lsn), row.to_string().as_bytes()).unwrap();
        }
        encoder.finish().unwrap().0
    })
    .clone()
}
