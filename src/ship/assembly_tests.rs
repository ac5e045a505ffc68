//! Objects of pieces and of what is between them, in memory and in a file; and damage to a piece.

#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

use std::io::Read as _;

use super::*;
use crate::clock::Micros;
use crate::encode::ndjson::decoder;
use crate::files::{Disk, read_whole};
use crate::record::{Lsn, RowKind};
use crate::wal::frame::Section;
use crate::wal::journal::seam::{At, Frame};
use crate::wal::packed::{Head, Packing, SectionPacker};

/// A log whose only frame has these bytes.
#[derive(Clone)]
struct OneFrame(Arc<Vec<u8>>);

impl Frames for OneFrame {
    type Open = ();

    fn frame(&self, _: At) -> io::Result<Option<Frame>> {
        Ok(None)
    }

    fn read(&self, (): &mut (), _: At, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(offset).unwrap();
        let bytes = self.0.get(start..start + buffer.len());
        buffer.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn name(&self) -> String {
        "log".to_owned()
    }

    fn name_of_segment(&self, _: u64) -> String {
        self.name()
    }

    fn name_of(&self, _: At) -> String {
        self.name()
    }
}

const ROWS: u64 = 500;

fn row(lsn: u64) -> Vec<u8> {
    format!("{{\"a\":{},\"text\":\"{:x}\"}}", lsn % 7, lsn * lsn).into_bytes()
}

fn line(lsn: u64) -> String {
    let row = String::from_utf8(row(lsn)).unwrap();
    format!("{{\"lsn\":{lsn},{}\n", &row[1..])
}

/// Sections of these LSNs each, packed one behind the other, and their pieces.
fn packed(codec: Codec, first_lsns: &[u64]) -> (Vec<u8>, Vec<Piece>) {
    let (mut bytes, mut pieces) = (Vec::new(), Vec::new());
    let packing = Packing {
        least_bytes: 0,
        ..Packing::of(codec)
    };
    for first in first_lsns {
        let mut section = Section::default();
        for lsn in *first..*first + ROWS {
            section.push(RowKind::Snapshot, 1, &row(lsn), Micros(1));
        }
        let mut sections = SectionPacker::default();
        let packed = sections.pack(&packing, section.payload(), Lsn(*first), &section.sums);
        let packed = packed.unwrap();
        let head = Head::decode(packed).unwrap();
        pieces.push(Piece {
            frame: At::default(),
            offset: (bytes.len() + head.stored_at()) as u64,
            head,
        });
        bytes.extend_from_slice(packed);
    }
    (bytes, pieces)
}

/// Rows, a piece, more rows, two pieces, and `rows_at_end` rows.
fn build<'a>(
    codec: Codec,
    frames: OneFrame,
    pieces: &[Piece],
    path: &'a Path,
    rows_at_end: u64,
) -> io::Result<Assembling<'a, Disk, OneFrame>> {
    let mut building = Underway::Pieces(Assembling::new(Disk, frames, path));
    let rows = |building: Underway<'a, Disk, OneFrame>, lsns: std::ops::Range<u64>| {
        let mut lines = building.lines(codec)?;
        for lsn in lsns {
            lines.row(Lsn(lsn), 1, &row(lsn))?;
        }
        Ok::<_, io::Error>(Underway::Lines(lines))
    };
    let piece = |building: Underway<'a, Disk, OneFrame>, index: usize| {
        let mut assembling = building.pieces()?;
        assembling.piece(pieces[index])?;
        Ok::<_, io::Error>(Underway::Pieces(assembling))
    };
    building = rows(building, 1..4)?;
    building = piece(building, 0)?;
    building = rows(building, 900..1000)?;
    building = piece(building, 1)?;
    building = piece(building, 2)?;
    rows(building, 5000..5000 + rows_at_end)?.pieces()
}

fn expected(rows_at_end: u64) -> String {
    let lsns = (1..4)
        .chain(10..10 + ROWS)
        .chain(900..1000)
        .chain(1000..1000 + ROWS)
        .chain(3000..3000 + ROWS)
        .chain(5000..5000 + rows_at_end);
    lsns.map(line).collect()
}

fn decoded(codec: Codec, bytes: &[u8]) -> String {
    let mut text = String::new();
    decoder(codec, bytes)
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    text
}

#[test]
fn an_object_is_its_parts_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("spool/object.part");
    for codec in [Codec::Zst, Codec::Gz] {
        let (log, pieces) = packed(codec, &[10, 1000, 3000]);
        let frames = OneFrame(Arc::new(log));
        for into_file in [false, true] {
            let object = build(codec, frames.clone(), &pieces, &path, 5).unwrap();
            let (found, assembled) = object.finish(into_file).unwrap();
            assert_eq!(assembled.is_none(), into_file);
            let bytes = match assembled {
                Some(assembled) => {
                    // Each attempt reads it from the beginning.
                    let mut bytes = Vec::new();
                    Arc::clone(&assembled)
                        .open()
                        .read_to_end(&mut bytes)
                        .unwrap();
                    let mut again = Vec::new();
                    assembled.open().read_to_end(&mut again).unwrap();
                    assert_eq!(bytes, again);
                    bytes
                }
                None => read_whole(&Disk, &path, 1 << 30).unwrap(),
            };
            assert_eq!(found.bytes, bytes.len() as u64);
            assert_eq!(found.crc, crc32c(&bytes));
            assert_eq!(decoded(codec, &bytes), expected(5));
        }
    }
}

#[test]
fn what_is_too_much_for_memory_is_in_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("object.part");
    let (log, pieces) = packed(Codec::Gz, &[10, 1000, 3000]);
    let rows_at_end = 200_000;
    let object = build(
        Codec::Gz,
        OneFrame(Arc::new(log)),
        &pieces,
        &path,
        rows_at_end,
    )
    .unwrap();
    let (found, assembled) = object.finish(false).unwrap();
    assert!(assembled.is_none());
    let bytes = read_whole(&Disk, &path, 1 << 30).unwrap();
    assert!(bytes.len() > MOST_MADE);
    assert_eq!(found.bytes, bytes.len() as u64);
    assert_eq!(found.crc, crc32c(&bytes));
    assert_eq!(decoded(Codec::Gz, &bytes), expected(rows_at_end));
}

#[test]
fn a_piece_that_is_not_as_it_was_is_never_given_away_whole() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("object.part");
    let (log, pieces) = packed(Codec::Zst, &[10, 1000, 3000]);
    for at in [
        0,
        pieces[1].head.stored_bytes / 2,
        pieces[1].head.stored_bytes - 1,
    ] {
        let mut log = log.clone();
        log[usize::try_from(pieces[1].offset).unwrap() + at] ^= 4;
        let frames = OneFrame(Arc::new(log));
        let object = build(Codec::Zst, frames.clone(), &pieces, &path, 5).unwrap();
        let (found, assembled) = object.finish(false).unwrap();
        let mut read = Vec::new();
        let error = assembled
            .unwrap()
            .open()
            .read_to_end(&mut read)
            .unwrap_err();
        assert!(is_damage(&error), "{error}");
        assert!(error.to_string().contains("LSN 1000 to 1499"), "{error}");
        assert!((read.len() as u64) < found.bytes);
        let object = build(Codec::Zst, frames, &pieces, &path, 5).unwrap();
        assert!(is_damage(&object.finish(true).unwrap_err()));
    }
    // A log that has become shorter.
    let short = OneFrame(Arc::new(log[..log.len() / 2].to_vec()));
    let object = build(Codec::Zst, short, &pieces, &path, 5).unwrap();
    let (_, assembled) = object.finish(false).unwrap();
    let error = assembled
        .unwrap()
        .open()
        .read_to_end(&mut Vec::new())
        .unwrap_err();
    assert!(is_damage(&error), "{error}");
}
