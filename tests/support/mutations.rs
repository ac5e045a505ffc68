//! Changes to valid bytes, drawn at random; the unit tests of several packages include this file.
//!
//! Random bytes seldom get past the first check. So these tests start from valid inputs, and change them:
//! flipped bits, other bytes, words of the format where they don't belong, pieces that are cut out,
//! repeated or swapped.

use proptest::prelude::*;
use proptest::sample::Index;

/// This many cases, unless `PROPTEST_CASES` says otherwise.
pub(crate) fn cases(small: u32) -> ProptestConfig {
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => ProptestConfig::default(),
        None => ProptestConfig::with_cases(small),
    }
}

/// One change; places are relative to the length at that time.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Flip(Index, u8),
    Set(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    Repeat(Index, usize),
    Cut(Index),
    Swap(Index, Index, usize),
}

/// One to four changes, with these words among what is inserted.
pub(crate) fn changes(words: &'static [&'static [u8]]) -> impl Strategy<Value = Vec<Change>> {
    let word = prop::sample::select(words).prop_map(<[u8]>::to_vec);
    let inserted = prop_oneof![3 => word, 1 => prop::collection::vec(any::<u8>(), 1..9)];
    let interesting = prop::sample::select(vec![0, 1, 0x7f, 0x80, 0xff, b'"', b'\\', b'{', b'}']);
    let one = prop_oneof![
        (any::<Index>(), 0_u8..8).prop_map(|(at, bit)| Change::Flip(at, bit)),
        (any::<Index>(), prop_oneof![any::<u8>(), interesting])
            .prop_map(|(at, byte)| Change::Set(at, byte)),
        (any::<Index>(), inserted).prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        (any::<Index>(), 1_usize..40).prop_map(|(at, bytes)| Change::Remove(at, bytes)),
        (any::<Index>(), 1_usize..200).prop_map(|(at, bytes)| Change::Repeat(at, bytes)),
        any::<Index>().prop_map(Change::Cut),
        (any::<Index>(), any::<Index>(), 1_usize..20).prop_map(|(a, b, n)| Change::Swap(a, b, n)),
    ];
    prop::collection::vec(one, 1..5)
}

/// The bytes with these changes, in order.
pub(crate) fn changed(bytes: &[u8], changes: &[Change]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for change in changes {
        if bytes.is_empty() {
            break;
        }
        let length = bytes.len();
        match change {
            Change::Flip(at, bit) => bytes[at.index(length)] ^= 1 << bit,
            Change::Set(at, byte) => bytes[at.index(length)] = *byte,
            Change::Insert(at, more) => {
                let at = at.index(length);
                bytes.splice(at..at, more.iter().copied());
            }
            Change::Remove(at, count) => {
                let at = at.index(length);
                bytes.drain(at..(at + count).min(length));
            }
            Change::Repeat(at, count) => {
                let at = at.index(length);
                let piece = bytes[at..(at + count).min(length)].to_vec();
                bytes.splice(at..at, piece);
            }
            Change::Cut(at) => bytes.truncate(at.index(length)),
            Change::Swap(one, other, count) => {
                let (one, other) = (one.index(length), other.index(length));
                for step in 0..*count {
                    bytes.swap((one + step) % length, (other + step) % length);
                }
            }
        }
    }
    bytes
}
