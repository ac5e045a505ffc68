//! The batcher against a naive model, and the coding of chunks.

use proptest::prelude::*;

use super::*;

fn chunk(segment: u64, block: u64, rows: u64, first_lsn: u64) -> Chunk {
    Chunk {
        frame: At::new(segment, block),
        offset: 12,
        bytes: rows * 100,
        rows,
        first_lsn: Lsn(first_lsn),
    }
}

fn limits() -> Limits {
    Limits {
        max_bytes: 1000,
        max_records: 10,
        max_age: Duration::from_secs(60),
        max_waiting_seals: 2,
    }
}

proptest! {
    #[test]
    fn varints_round_trip(value: u64, tail: Vec<u8>) {
        let mut bytes = Vec::new();
        put_varint(&mut bytes, value);
        bytes.extend_from_slice(&tail);
        let mut rest = bytes.as_slice();
        prop_assert_eq!(take_varint(&mut rest), Some(value));
        prop_assert_eq!(rest, tail.as_slice());
    }

    #[test]
    fn any_bytes_decode_without_panic(bytes: Vec<u8>) {
        let _count = Chunks::from_bytes(bytes).iter().count();
    }

    #[test]
    fn chunks_round_trip(steps in prop::collection::vec((0_u64..3, 1_u64..5000, 0_u64..9999, 1_u64..400), 0..50)) {
        let mut chunks = Chunks::default();
        let mut expected = Vec::new();
        let (mut segment, mut block, mut lsn) = (1, 0, 1);
        for (segments, blocks, at, rows) in steps {
            block = if segments == 0 { block + blocks } else { blocks };
            segment += segments;
            let chunk = Chunk { frame: At::new(segment, block), offset: at, bytes: rows * 7, rows, first_lsn: Lsn(lsn) };
            chunks.push(&chunk);
            expected.push(chunk);
            lsn += rows + at % 3;
        }
        let decoded = Chunks::from_bytes(chunks.as_bytes().to_vec());
        prop_assert_eq!(decoded.iter().collect::<Vec<_>>(), expected);
    }

    /// Rows are added one by one, seals are taken when due or before an overflow; the model is a
    /// plain list per partition.
    #[test]
    fn batches_hold_what_a_naive_model_holds(
        rows in prop::collection::vec((0_usize..3, 1_u64..600, 0_u64..30), 1..200),
    ) {
        let mut batches = Batches::new(limits());
        let mut model: [Vec<u64>; 3] = Default::default();
        let mut now = Duration::ZERO;
        for (lsn, (partition, bytes, seconds)) in rows.into_iter().enumerate() {
            now += Duration::from_secs(seconds);
            for (slot, _) in batches.due(now, 0) {
                let batch = batches.take(slot);
                let which: usize = batch.partition.parse().unwrap_or(0);
                prop_assert_eq!(batch.sums.count as usize, model[which].len());
                prop_assert!(batch.sums.count <= 10);
                model[which].clear();
            }
            let slot = batches.slot(&partition.to_string());
            if batches.overflows(slot, &Sums::default(), bytes).is_some() {
                let total: u64 = model[partition].iter().sum();
                prop_assert!(total + bytes > 1000 || model[partition].len() >= 10);
                prop_assert_eq!(batches.take(slot).sums.bytes, total);
                model[partition].clear();
            }
            let sums = Sums { count: 1, bytes, row_hash: 1, lsn_hash: 1 };
            let chunk = chunk(1, lsn as u64 + 1, 1, lsn as u64 + 1);
            batches.add(slot, &chunk, &sums, Micros(0), now);
            model[partition].push(bytes);
            prop_assert!(batches.get(slot).sums.bytes <= 1000);
            batches.forget_empty();
        }
    }
}

#[test]
fn age_counts_from_the_first_row_and_not_while_seals_wait() {
    let mut batches = Batches::new(limits());
    let slot = batches.slot("a");
    let sums = Sums {
        count: 1,
        bytes: 10,
        ..Sums::default()
    };
    batches.add(
        slot,
        &chunk(3, 1, 1, 1),
        &sums,
        Micros(9),
        Duration::from_secs(5),
    );
    batches.add(
        slot,
        &chunk(4, 2, 1, 2),
        &sums,
        Micros(7),
        Duration::from_secs(50),
    );
    assert_eq!(batches.next_due(0), Some(Duration::from_secs(65)));
    assert!(batches.due(Duration::from_secs(64), 0).is_empty());
    assert_eq!(
        batches.due(Duration::from_secs(65), 0),
        [(slot, SealReason::Age)]
    );
    assert!(batches.due(Duration::from_secs(65), 2).is_empty());
    assert_eq!(batches.next_due(2), None);
    assert!(batches.reaching_back_to(2).is_empty());
    assert_eq!(batches.reaching_back_to(3), [slot]);
    assert_eq!(batches.get(slot).oldest_received, Micros(7));
}

#[test]
fn a_row_over_the_limit_makes_a_batch_of_its_own() {
    let mut batches = Batches::new(limits());
    let slot = batches.slot("a");
    assert_eq!(batches.overflows(slot, &Sums::default(), 5000), None);
    let pending = Sums {
        count: 1,
        bytes: 5000,
        ..Sums::default()
    };
    assert_eq!(
        batches.overflows(slot, &pending, 1),
        Some(SealReason::Bytes)
    );
}
