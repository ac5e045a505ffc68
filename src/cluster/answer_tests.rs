use proptest::prelude::*;

use super::*;
use crate::clock::Micros;
use crate::cluster::target::LastFrame;
use crate::ids::NodeId;
use crate::mutated::mutations::{cases, changed, changes};
use crate::wal::request::{AppendError, Appended, NO_RUN};

fn any_standing() -> impl Strategy<Value = Standing> {
    let last =
        (any::<u64>(), any::<u32>()).prop_map(|(number, checksum)| LastFrame { number, checksum });
    (
        (any::<u16>(), any::<u64>(), any::<u64>()),
        (any::<bool>(), any::<bool>()),
        prop::option::of(last),
        (any::<i64>(), any::<i64>(), any::<u128>()),
    )
        .prop_map(|(log, is, last, (floor, now, configuration))| Standing {
            index: log.0,
            log: NodeId(log.1),
            epoch: log.2,
            is_owner: is.0,
            is_alive: is.1,
            last,
            floor: Micros(floor),
            now: Micros(now),
            configuration,
        })
}

fn any_outcome() -> impl Strategy<Value = Outcome> {
    let number = any::<u64>;
    let stored = (number(), number(), number(), number(), number()).prop_map(|counts| {
        Ok(Appended {
            accepted: counts.0,
            duplicates: counts.1,
            changed: counts.2,
            conflicts: counts.3,
            quarantined: counts.4,
            run: NO_RUN,
        })
    });
    let error = prop_oneof![
        Just(AppendError::Full),
        Just(AppendError::Late),
        Just(AppendError::NoSuchRun),
        Just(AppendError::Closed),
        (any::<usize>(), any::<usize>())
            .prop_map(|(bytes, max_bytes)| AppendError::TooLarge { bytes, max_bytes }),
        "[ -~é]{0,80}".prop_map(|text| AppendError::Storage(text.into())),
    ];
    prop_oneof![
        stored.prop_map(Outcome::Log),
        error.prop_map(|error| Outcome::Log(Err(error))),
        Just(Outcome::Ahead),
    ]
}

fn any_refusal() -> impl Strategy<Value = Refusal> {
    prop_oneof![
        any::<u64>().prop_map(|speaks| Refusal::Form { speaks }),
        any::<i64>().prop_map(|now| Refusal::Clock { now: Micros(now) }),
        Just(Refusal::Repeated),
        any_standing().prop_map(Refusal::Standing),
        Just(Refusal::NoSuchLog),
        "[ -~é]{0,80}".prop_map(|text| Refusal::Malformed(text.into())),
        any::<u64>().prop_map(|max_bytes| Refusal::TooLarge { max_bytes }),
        Just(Refusal::Busy),
    ]
}

fn any_answer() -> impl Strategy<Value = Answer> {
    let replies = (any_standing(), prop::collection::vec(any_outcome(), 0..9));
    prop_oneof![
        replies.prop_map(|(standing, outcomes)| Answer::Replies(Replies { standing, outcomes })),
        any_standing().prop_map(Answer::Standing),
        any_refusal().prop_map(Answer::Refusal),
    ]
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn an_answer_comes_back_as_it_was(answer in any_answer()) {
        prop_assert_eq!(Answer::decode(&answer.encode()), Ok(answer));
    }

    #[test]
    fn what_a_later_version_adds_at_the_end_is_ignored(answer in any_answer(), more in any::<[u8; 9]>()) {
        let mut bytes = answer.encode();
        bytes.extend_from_slice(&more);
        prop_assert_eq!(Answer::decode(&bytes), Ok(answer));
    }

    #[test]
    fn changed_and_cut_answers_end_in_an_error_or_an_answer(
        answer in any_answer(),
        changes in changes(&[b"\0", b"\xff\xff\xff\xff\x7f", b"\x02", b"\x01"]),
    ) {
        let bytes = answer.encode();
        let _error_or_answer = Answer::decode(&changed(&bytes, &changes));
        for length in 0..bytes.len() {
            prop_assert_ne!(Answer::decode(&bytes[..length]), Ok(answer.clone()));
        }
    }
}

#[test]
fn long_messages_are_cut_between_characters() {
    let text = "é".repeat(1000);
    let answer = Answer::Refusal(Refusal::Malformed(text.into()));
    let Ok(Answer::Refusal(Refusal::Malformed(text))) = Answer::decode(&answer.encode()) else {
        panic!("it is a refusal");
    };
    assert_eq!(text.len(), 512);
}
