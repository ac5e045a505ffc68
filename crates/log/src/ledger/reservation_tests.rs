//! Plans, and what fills them: both sides must agree on every row, and nothing else is taken.

#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

use super::*;
use crate::ledger::request::NO_RUN;
use lakehook_base::codec::Codec;
use lakehook_base::record::{Identity, Origin, Rows};
use proptest::prelude::*;

fn outline(number: u64, rows: &[(u8, usize)]) -> Append {
    let mut all = Rows::default();
    for (index, (place, pad)) in rows.iter().enumerate() {
        let partition = all.partition(&format!("events/dt={place}"));
        let pad = "x".repeat(*pad);
        let text = format!("{{\"n\":\"{number}.{index}\",\"pad\":\"{pad}\"}}");
        all.bytes.extend_from_slice(text.as_bytes());
        let identity = Identity {
            tag: number << 32 | index as u64,
            content: 7,
        };
        let kind = match index % 5 {
            3 => RowKind::Quarantined,
            4 => RowKind::Refused,
            _ => RowKind::Record(identity),
        };
        all.finish_row(1, partition, kind);
    }
    Append {
        rows: all,
        dropped: 0,
        origin: Origin {
            received_at: Micros(1000 + number.cast_signed()),
            endpoint: "/".into(),
            request_id: "".into(),
            client: None,
        },
        run: NO_RUN,
        cursor: None,
    }
}

fn offer(left_out: Bits, packing: Packing) -> Offer {
    Offer {
        packing,
        first_lsn: Lsn(95),
        left_out,
        appended: Vec::new(),
    }
}

fn fill(appends: &[Append], offer: &Offer) -> Filling {
    Filler::default().fill(appends, offer)
}

/// What the owner finds of each section.
fn checked(appends: &[Append], offer: &Offer, filling: &Filling) -> Option<Vec<Sums>> {
    let outlines = appends.iter().cloned().map(|mut outline| {
        outline.rows.bytes = Vec::new();
        outline
    });
    let outlines: Vec<Append> = outlines.collect();
    let planned = plan(&outlines, &offer.left_out, &offer.packing);
    let mut lsn = offer.first_lsn;
    let sections = planned.iter().zip(filling.payloads());
    let sums = sections.map(|(section, payload)| {
        let sums = section.sums_of(&outlines, payload, lsn, &offer.packing);
        lsn.0 += section.count();
        sums
    });
    let sums = sums.collect::<Option<Vec<_>>>()?;
    (sums.len() == planned.len() && planned.len() == filling.ends.len()).then_some(sums)
}

fn packings() -> impl Strategy<Value = Packing> {
    let codecs = prop_oneof![Just(Codec::Zst), Just(Codec::Gz)];
    let sizes = (
        prop_oneof![Just(0_usize), Just(200)],
        prop_oneof![Just(300_usize), Just(1 << 20)],
    );
    (codecs, sizes).prop_map(|(codec, (least_bytes, most_bytes))| Packing {
        codec,
        least_bytes,
        most_bytes,
    })
}

proptest! {
    /// What one side fills is what the other one has planned, and every row that is not left out is in it once.
    #[test]
    fn both_sides_agree(
        requests in prop::collection::vec(prop::collection::vec((0_u8..3, 0_usize..90), 0..20), 1..8),
        left_out in prop::collection::vec(any::<bool>(), 160),
        packing in packings(),
    ) {
        let appends: Vec<Append> = requests.iter().zip(0..).map(|(rows, number)| outline(number, rows)).collect();
        let count: usize = requests.iter().map(Vec::len).sum();
        let mut bits = Bits::default();
        left_out.iter().take(count).for_each(|bit| bits.push(*bit));
        let offer = offer(bits, packing);
        let filling = fill(&appends, &offer);
        let sums = checked(&appends, &offer, &filling).unwrap();
        let kept = count - left_out.iter().take(count).filter(|bit| **bit).count();
        prop_assert_eq!(sums.iter().map(|sums| sums.count).sum::<u64>(), kept as u64);
        let planned = plan(&appends, &offer.left_out, &packing);
        for section in &planned {
            let received = section.received(&appends);
            prop_assert!(received.oldest <= received.newest);
            let counts = section.counts(&appends);
            prop_assert_eq!(counts.stored + counts.quarantined + counts.refused, section.count());
        }
    }

    /// A section with any other bit in its head, its row headers or its piece is refused.
    #[test]
    fn what_was_changed_on_its_way_is_refused(at in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let rows: Vec<(u8, usize)> = (0..40).map(|n| (0, n)).collect();
        let appends = [outline(1, &rows)];
        let packing = Packing { least_bytes: 100, ..Packing::of(Codec::Zst) };
        let offer = offer(Bits::default(), packing);
        let mut filling = fill(&appends, &offer);
        prop_assert!(Packed::is_one(&filling.bytes));
        let at = at.index(filling.bytes.len());
        filling.bytes[at] ^= 1 << bit;
        prop_assert_eq!(checked(&appends, &offer, &filling), None);
    }
}

#[test]
fn what_is_for_other_rows_or_lsns_is_refused() {
    let rows: Vec<(u8, usize)> = (0..40).map(|n| (n % 2, 50)).collect();
    let appends = [outline(1, &rows)];
    let packing = Packing {
        least_bytes: 100,
        ..Packing::of(Codec::Zst)
    };
    let right = offer(Bits::default(), packing);
    let filling = fill(&appends, &right);
    assert!(checked(&appends, &right, &filling).is_some());

    let mut later = right.clone();
    later.first_lsn.0 += 1;
    assert_eq!(checked(&appends, &right, &fill(&appends, &later)), None);
    let other = [outline(2, &rows)];
    assert_eq!(checked(&appends, &right, &fill(&other, &right)), None);
    let mut fewer = right.clone();
    (0..40).for_each(|n| fewer.left_out.push(n == 7));
    assert_eq!(checked(&appends, &right, &fill(&appends, &fewer)), None);
    let gz = offer(
        Bits::default(),
        Packing {
            least_bytes: 100,
            ..Packing::of(Codec::Gz)
        },
    );
    assert_eq!(checked(&appends, &right, &fill(&appends, &gz)), None);
    let mut cut = filling;
    cut.ends.pop();
    assert_eq!(checked(&appends, &right, &cut), None);
}

#[test]
fn bits_are_those_that_were_pushed() {
    let mut bits = Bits::default();
    assert!(bits.is_empty());
    for n in 0..19 {
        bits.push(n % 3 == 0);
    }
    assert_eq!((bits.len(), bits.bytes().len()), (19, 3));
    assert!((0..19).all(|n| bits.get(n) == (n % 3 == 0)));
    assert!(!bits.get(19) && !bits.get(1000));
    assert_eq!(Bits::of(bits.bytes(), 19), Some(bits.clone()));
    assert_eq!(Bits::of(bits.bytes(), 25), None);
    assert_eq!(Bits::of(bits.bytes(), 16), None);
}
