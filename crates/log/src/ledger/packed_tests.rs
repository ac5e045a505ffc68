//! Packed sections: round trips, damage to every byte, and what is not worth packing.

#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

use super::*;
use crate::ledger::frame::{Section, sums_of};
use lakehook_base::clock::Micros;
use lakehook_base::record::Identity;

const CODECS: [Codec; 2] = [Codec::Gz, Codec::Zst];

fn packing(codec: Codec) -> Packing {
    Packing {
        least_bytes: 100,
        ..Packing::of(codec)
    }
}

fn kind_of(n: u64) -> RowKind {
    match n % 4 {
        0 => RowKind::Record(Identity {
            tag: n << 40,
            content: 7,
        }),
        1 => RowKind::Snapshot,
        2 => RowKind::Quarantined,
        _ => RowKind::Refused,
    }
}

fn row_of(n: u64) -> Vec<u8> {
    let name = "x".repeat(usize::try_from(n % 90).unwrap());
    format!("{{\"n\":{n},\"name\":\"{name}\"}}").into_bytes()
}

fn section(rows: u64) -> Section {
    let mut section = Section::default();
    for n in 0..rows {
        let lsn_at = u32::try_from(1 + n % 4).unwrap();
        section.push(kind_of(n), lsn_at, &row_of(n), Micros(9));
    }
    section
}

fn packed(codec: Codec, rows: u64, first_lsn: Lsn) -> Vec<u8> {
    let section = section(rows);
    let mut sections = SectionPacker::default();
    let packed = sections.pack(&packing(codec), section.payload(), first_lsn, &section.sums);
    packed.unwrap().to_vec()
}

type Read = Result<Vec<(Lsn, RowKind, usize, Vec<u8>)>, SectionError<()>>;

fn read(payload: &[u8], first_lsn: Lsn) -> Read {
    let mut rows = Vec::new();
    let sums = SectionReader::default().for_each(payload, first_lsn, &mut |lsn, row| {
        rows.push((lsn, row.kind, row.lsn_at, row.bytes.to_vec()));
        Ok(())
    })?;
    let mut expected = Sums::default();
    for (.., bytes) in &rows {
        expected.add(&sums_of(bytes));
    }
    assert_eq!(sums, expected);
    Ok(rows)
}

#[test]
fn rows_come_back_as_they_were_pushed() {
    for codec in CODECS {
        let first = Lsn(95);
        let payload = packed(codec, 200, first);
        assert!(
            payload.len() < section(200).payload().len() / 2,
            "{codec:?}"
        );
        let rows = read(&payload, first).unwrap();
        assert_eq!(rows, read(section(200).payload(), first).unwrap());
        for (n, (lsn, kind, lsn_at, bytes)) in (0..).zip(rows) {
            assert_eq!((lsn, kind), (Lsn(95 + n), kind_of(n)));
            assert_eq!((lsn_at as u64, bytes), (1 + n % 4, row_of(n)));
        }
        let kinds: Vec<_> = (0..200).map(kind_of).collect();
        assert_eq!(kinds_of(&payload).collect::<Vec<_>>(), kinds);
        assert_eq!(kinds_of(section(200).payload()).collect::<Vec<_>>(), kinds);
        let head = Packed::parse(&payload).unwrap().head;
        assert_eq!(head.sums, section(200).sums);
        assert_eq!(head.first_lsn, first);
    }
}

#[test]
fn any_damage_to_a_section_is_found() {
    for codec in CODECS {
        let whole = packed(codec, 30, Lsn(5));
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            assert!(read(&damaged, Lsn(5)).is_err(), "{codec:?}: byte {at}");
        }
        for length in 0..whole.len() {
            let cut = read(&whole[..length], Lsn(5));
            assert!(cut.is_err() || length == 0, "{codec:?}: {length} bytes");
        }
    }
}

#[test]
fn a_section_at_another_place_is_found() {
    let section = packed(Codec::Zst, 30, Lsn(5));
    assert!(read(&section, Lsn(6)).is_err());
    assert!(read(&section, Lsn(5)).is_ok());
}

/// The head's checksum is right here, and so is that of the piece: only the rows themselves tell.
#[test]
fn a_section_that_says_other_than_it_has_is_found() {
    for codec in CODECS {
        let payload = packed(codec, 30, Lsn(5));
        let Packed {
            head,
            headers,
            stored,
        } = Packed::parse(&payload).unwrap();
        let other = |head: Head| {
            let mut bytes = head.encode(headers).to_vec();
            bytes.extend_from_slice(headers);
            bytes.extend_from_slice(stored);
            bytes
        };
        assert_eq!(other(head), payload);
        let mut sums = head.sums;
        sums.row_hash ^= 1;
        assert!(read(&other(Head { sums, ..head }), Lsn(5)).is_err());
        let first_lsn = Lsn(6);
        assert!(read(&other(Head { first_lsn, ..head }), first_lsn).is_err());
        for line_bytes in [0, head.line_bytes - 1, head.line_bytes + 1, MAX_FRAME] {
            let other = other(Head { line_bytes, ..head });
            assert!(read(&other, Lsn(5)).is_err(), "{line_bytes}");
        }
        let line_bytes = MAX_FRAME + 1;
        assert!(Packed::parse(&other(Head { line_bytes, ..head })).is_none());
    }
}

#[test]
fn what_packing_does_not_make_smaller_stays_as_it_is() {
    let mut sections = SectionPacker::default();
    let few = section(2);
    let packing = packing(Codec::Zst);
    let packed = sections.pack(&packing, few.payload(), Lsn(1), &few.sums);
    assert!(packed.is_none(), "too few");
    // Bytes that no codec makes smaller, like the encrypted fields of some providers.
    let mut noise = Section::default();
    let mut state = 1_u64;
    for n in 0..50 {
        let bytes: Vec<u8> = (0..100)
            .map(|_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                (state >> 56) as u8
            })
            .collect();
        noise.push(kind_of(n), 1, &bytes, Micros(9));
    }
    let packed = sections.pack(&packing, noise.payload(), Lsn(1), &noise.sums);
    assert!(packed.is_none(), "incompressible");
    let many = section(50);
    let plain = Packing::of(Codec::Plain);
    let packed = sections.pack(&plain, many.payload(), Lsn(1), &many.sums);
    assert!(packed.is_none(), "plain");
}
