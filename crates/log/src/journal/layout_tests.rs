//! The bytes of headers and of a frame, as snapshots; `docs/wal-format.md` shows the same ones.

use std::fmt::Write as _;

use super::*;
use crate::dedup::id_files::{ids_path, ids_range_of};
use crate::entry::{AsOf, Commit, Counts, Entry, LsnSet, NO_RUN, Seal, Totals};
use crate::frame::{FrameBuilder, Section};
use crate::journal::seam::At;
use crate::ledger::batch::{Chunk, Chunks, Sums};
use lakehook_base::record::{Identity, RowKind, row_hash};

/// 2026-11-20T17:00:00Z.
const RECEIVED: Micros = Micros(1_795_194_000_000_000);
const PARTITION: &str = "events/dt=2026-11-20";
const ROW: &[u8] = b"{\"a\":1}";
const PAGE: &str = include_str!("../../../../docs/wal-format.md");

/// Sixteen bytes a line: offset, hex, and what is printable.
fn dump(bytes: &[u8]) -> String {
    let mut text = String::new();
    for (line, chunk) in bytes.chunks(16).enumerate() {
        let hex: Vec<String> = chunk.iter().map(|byte| format!("{byte:02x}")).collect();
        let printable = |byte: &u8| byte.is_ascii_graphic() || *byte == b' ';
        let plain = chunk
            .iter()
            .map(|byte| if printable(byte) { *byte } else { b'.' } as char);
        let plain: String = plain.collect();
        let written = writeln!(text, "{:04x}  {:<47}  {}", line * 16, hex.join(" "), plain);
        assert!(written.is_ok());
    }
    text
}

/// The page shows exactly these bytes.
fn assert_on_page(dump: &str) {
    assert!(
        PAGE.contains(dump),
        "docs/wal-format.md should contain\n{dump}"
    );
}

fn segment_header() -> SegmentHeader {
    SegmentHeader {
        number: 2,
        id: 0x1122_3344_5566_7788,
        bytes: 64 << 20,
        node: NodeId(0xab),
        previous: SegmentEnd {
            segment_id: 0x0102_0304_0506_0708,
            frame_number: 6,
            offset: 0x7000,
            crc: 0xaabb_ccdd,
        },
        created_at: RECEIVED,
    }
}

fn seal(chunk: &Chunk) -> Seal {
    let mut chunks = Chunks::default();
    chunks.push(chunk);
    let lsn = chunk.first_lsn;
    let lsn_hash = lsn.hash();
    Seal {
        number: 1,
        nonce: 0x0f0e_0d0c_0b0a_0908_0706_0504_0302_0100,
        partition: PARTITION.into(),
        key: format!(
            "{PARTITION}/00000000000000ab-{lsn:020}.ndjson.zst",
            lsn = lsn.0
        ),
        format: "ndjson.zst".into(),
        lake: "dir:/lake".into(),
        first_lsn: lsn,
        last_lsn: lsn,
        sums: Sums {
            count: 1,
            bytes: ROW.len() as u64 + 1,
            row_hash: row_hash(ROW),
            lsn_hash,
        },
        chunks,
        as_of: AsOf {
            lsn,
            lsn_hash,
            open: LsnSet::default(),
            void: LsnSet::default(),
            totals: Totals {
                received: 3,
                stored: 1,
                dropped: 1,
                duplicate: 1,
                ..Totals::default()
            },
            watermark: RECEIVED.minus(std::time::Duration::from_secs(5)),
        },
    }
}

/// The second frame of that segment: one row, the counts of its request, the seal of its batch, and a
/// commit.
fn frame() -> Vec<u8> {
    let identity = Identity {
        tag: 0x8877_6655_4433_2211,
        content: 0xddcc_bbaa,
    };
    let mut section = Section::default();
    section.push(RowKind::Record(identity), 1, ROW, RECEIVED);
    let mut frame = FrameBuilder::new(Lsn(1));
    let at = frame.put_section(NO_RUN, PARTITION, &section, None);
    frame.put(&Entry::Counts(Counts {
        received: 3,
        dropped: 1,
        duplicate: 1,
    }));
    let chunk = Chunk {
        frame: At::new(2, 2),
        offset: at,
        bytes: section.payload().len() as u64,
        rows: 1,
        first_lsn: Lsn(1),
    };
    frame.put(&Entry::Seal(Box::new(seal(&chunk))));
    frame.put(&Entry::Commit(Commit {
        seal: 1,
        bytes: 300,
        crc: 0x0102_0304,
    }));
    let header = FrameHeader {
        crc: 0,
        segment_id: segment_header().id,
        number: 8,
        body_bytes: 0,
        previous_crc: 0x5566_7788,
        first_lsn: frame.first_lsn,
        rows: frame.rows,
        written_at: RECEIVED,
    };
    header.seal(frame.bytes_mut());
    frame.bytes_mut().to_vec()
}

#[test]
fn a_segment_header_has_these_bytes() {
    let block = segment_header().encode();
    assert!(block[SEGMENT_HEADER..].iter().all(|byte| *byte == 0));
    assert_eq!(SegmentHeader::decode(&block), Ok(segment_header()));
    let dump = dump(&block[..SEGMENT_HEADER]);
    insta::assert_snapshot!(dump, @r#"
    0000  4c 48 57 41 4c 53 45 47 7e c0 a0 72 03 00 00 00  LHWALSEG~..r....
    0010  02 00 00 00 00 00 00 00 88 77 66 55 44 33 22 11  .........wfUD3".
    0020  00 00 00 04 00 00 00 00 ab 00 00 00 00 00 00 00  ................
    0030  08 07 06 05 04 03 02 01 06 00 00 00 00 00 00 00  ................
    0040  00 70 00 00 00 00 00 00 dd cc bb aa 00 00 00 00  .p..............
    0050  00 44 ac 2c b8 60 06 00 00 00 00 00 00 00 00 00  .D.,.`..........
    "#);
    assert_on_page(&dump);
}

#[test]
fn any_damage_to_a_segment_header_is_found() {
    let whole = segment_header().encode();
    for at in 0..SEGMENT_HEADER {
        let mut block = whole;
        block[at] ^= 1;
        assert!(SegmentHeader::decode(&block).is_err(), "byte {at}");
    }
}

#[test]
fn a_newer_format_is_refused_by_name() {
    let mut block = segment_header().encode();
    block[12] = 4;
    assert_eq!(SegmentHeader::decode(&block), Err(HeaderError::Newer(4)));
}

#[test]
fn the_formats_before_are_read() {
    for format in [1, 2] {
        let mut block = segment_header().encode();
        block[12] = format;
        let crc = crc32c(&block[12..SEGMENT_HEADER]);
        block[8..12].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(SegmentHeader::decode(&block), Ok(segment_header()));
        let mut frame = frame();
        frame[52] = format;
        let crc = crc32c(&frame[8..]);
        frame[4..8].copy_from_slice(&crc.to_le_bytes());
        assert!(FrameHeader::decode(&frame).is_some_and(|header| header.matches(&frame)));
    }
    let mut frame = frame();
    frame[52] = 4;
    assert_eq!(FrameHeader::decode(&frame), None);
}

/// The same frame, as the program of format 2 has written it.
const FORMAT_2: &str = "\
    4c 48 46 31 69 78 18 7b 88 77 66 55 44 33 22 11
    08 00 00 00 00 00 00 00 3c 01 00 00 88 77 66 55
    01 00 00 00 00 00 00 00 00 44 ac 2c b8 60 06 00
    01 00 00 00 02 00 00 00 00 00 00 00 00 00 00 00
    01 3c 14 65 76 65 6e 74 73 2f 64 74 3d 32 30 32
    36 2d 31 31 2d 32 30 00 44 ac 2c b8 60 06 00 00
    44 ac 2c b8 60 06 00 01 00 11 22 33 44 55 66 77
    88 aa bb cc dd 01 07 7b 22 61 22 3a 31 7d 02 03
    03 01 01 03 ed 01 01 00 01 02 03 04 05 06 07 08
    09 0a 0b 0c 0d 0e 0f 14 65 76 65 6e 74 73 2f 64
    74 3d 32 30 32 36 2d 31 31 2d 32 30 45 65 76 65
    6e 74 73 2f 64 74 3d 32 30 32 36 2d 31 31 2d 32
    30 2f 30 30 30 30 30 30 30 30 30 30 30 30 30 30
    61 62 2d 30 30 30 30 30 30 30 30 30 30 30 30 30
    30 30 30 30 30 30 31 2e 6e 64 6a 73 6f 6e 2e 7a
    73 74 0a 6e 64 6a 73 6f 6e 2e 7a 73 74 09 64 69
    72 3a 2f 6c 61 6b 65 01 01 01 08 fb 70 fa 62 71
    13 b7 b6 a1 f5 ac 63 16 14 8c 3c a2 f8 4d 99 21
    dc 08 bc 4d 26 da 2e ce 4b c9 bd 06 02 02 28 16
    01 01 01 a2 f8 4d 99 21 dc 08 bc 4d 26 da 2e ce
    4b c9 bd 00 00 00 00 00 00 00 00 00 00 00 00 00
    00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
    00 00 00 00 00 03 01 01 01 00 00 c0 f8 5f 2c b8
    60 06 00 04 07 01 ac 02 84 86 88 08
";

#[test]
fn a_frame_of_format_2_says_the_same() {
    let bytes = FORMAT_2.split_ascii_whitespace();
    let bytes: Option<Vec<u8>> = bytes
        .map(|byte| u8::from_str_radix(byte, 16).ok())
        .collect();
    let Some(bytes) = bytes else {
        panic!("the bytes are hex");
    };
    assert!(FrameHeader::decode(&bytes).is_some_and(|header| header.matches(&bytes)));
    let ours = frame();
    let entries = |frame| Entry::all(frame).collect::<Vec<_>>();
    assert_eq!(
        entries(&bytes[FRAME_HEADER..]),
        entries(&ours[FRAME_HEADER..])
    );
    assert!(entries(&bytes[FRAME_HEADER..]).iter().all(Result::is_ok));
}

#[test]
fn a_frame_has_these_bytes() {
    let frame = frame();
    let dump = dump(&frame);
    insta::assert_snapshot!(dump, @r#"
    0000  4c 48 46 31 12 98 14 dd 88 77 66 55 44 33 22 11  LHF1.....wfUD3".
    0010  08 00 00 00 00 00 00 00 3c 01 00 00 88 77 66 55  ........<....wfU
    0020  01 00 00 00 00 00 00 00 00 44 ac 2c b8 60 06 00  .........D.,.`..
    0030  01 00 00 00 03 00 00 00 00 00 00 00 00 00 00 00  ................
    0040  01 3c 14 65 76 65 6e 74 73 2f 64 74 3d 32 30 32  .<.events/dt=202
    0050  36 2d 31 31 2d 32 30 00 44 ac 2c b8 60 06 00 00  6-11-20.D.,.`...
    0060  44 ac 2c b8 60 06 00 01 00 11 22 33 44 55 66 77  D.,.`....."3DUfw
    0070  88 aa bb cc dd 01 07 7b 22 61 22 3a 31 7d 02 03  .......{"a":1}..
    0080  03 01 01 03 ed 01 01 00 01 02 03 04 05 06 07 08  ................
    0090  09 0a 0b 0c 0d 0e 0f 14 65 76 65 6e 74 73 2f 64  ........events/d
    00a0  74 3d 32 30 32 36 2d 31 31 2d 32 30 45 65 76 65  t=2026-11-20Eeve
    00b0  6e 74 73 2f 64 74 3d 32 30 32 36 2d 31 31 2d 32  nts/dt=2026-11-2
    00c0  30 2f 30 30 30 30 30 30 30 30 30 30 30 30 30 30  0/00000000000000
    00d0  61 62 2d 30 30 30 30 30 30 30 30 30 30 30 30 30  ab-0000000000000
    00e0  30 30 30 30 30 30 31 2e 6e 64 6a 73 6f 6e 2e 7a  0000001.ndjson.z
    00f0  73 74 0a 6e 64 6a 73 6f 6e 2e 7a 73 74 09 64 69  st.ndjson.zst.di
    0100  72 3a 2f 6c 61 6b 65 01 01 01 08 fb 70 fa 62 71  r:/lake.....p.bq
    0110  13 b7 b6 a1 f5 ac 63 16 14 8c 3c a2 f8 4d 99 21  ......c...<..M.!
    0120  dc 08 bc 4d 26 da 2e ce 4b c9 bd 06 02 02 28 16  ...M&...K.....(.
    0130  01 01 01 a2 f8 4d 99 21 dc 08 bc 4d 26 da 2e ce  .....M.!...M&...
    0140  4b c9 bd 00 00 00 00 00 00 00 00 00 00 00 00 00  K...............
    0150  00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00  ................
    0160  00 00 00 00 00 03 01 01 01 00 00 c0 f8 5f 2c b8  ............._,.
    0170  60 06 00 04 07 01 ac 02 84 86 88 08              `...........
    "#);
    assert_on_page(&dump);
}

#[test]
fn any_damage_to_a_frame_is_found() {
    let whole = frame();
    let is_whole =
        |frame: &[u8]| FrameHeader::decode(frame).is_some_and(|header| header.matches(frame));
    assert!(is_whole(&whole));
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        assert!(!is_whole(&damaged), "byte {at}");
    }
    assert!(!is_whole(&whole[..whole.len() - 1]));
}

#[test]
fn names_are_twenty_digits() {
    let dir = Path::new("wal");
    insta::assert_snapshot!(segment_path(dir, 7).display(), @"wal/00000000000000000007.wal");
    insta::assert_snapshot!(ids_path(dir, (7, 7)).display(), @"wal/00000000000000000007.ids");
    insta::assert_snapshot!(ids_path(dir, (7, 12)).display(), @"wal/00000000000000000007-00000000000000000012.ids");
    for range in [(7, 7), (7, 12)] {
        let path = ids_path(dir, range);
        let name = path.file_name().and_then(|name| name.to_str());
        assert_eq!(name.and_then(ids_range_of), Some(range));
    }
    assert_eq!(number_of("00000000000000000007.wal", ".wal"), Some(7));
    assert_eq!(number_of("7.wal", ".wal"), None);
}
