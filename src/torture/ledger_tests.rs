use super::*;
use crate::clock::Micros;

fn source() -> Source {
    Source::new(7, Micros(1_795_000_000_000_000))
}

/// A ledger, its first request of that kind, and what is dropped of it.
fn with(kind: RequestKind) -> (Ledger, u64, u64) {
    let mut ledger = Ledger::new(source());
    loop {
        let request = ledger.begin(false).unwrap();
        if source().kind(request) == kind {
            ledger.sends(request, Purpose::First, 0);
            let dropped = dropped_of(request);
            return (ledger, request, dropped);
        }
    }
}

fn all(dropped: u64) -> Said {
    Said {
        accepted: PER_REQUEST - dropped,
        dropped,
        ..Said::default()
    }
}

fn known(dropped: u64) -> Said {
    Said {
        accepted: 0,
        duplicates: PER_REQUEST - dropped,
        ..all(dropped)
    }
}

#[test]
fn right_answers_are_no_violations_and_are_remembered() {
    let (mut ledger, request, dropped) = with(RequestKind::Sound);
    assert!(dropped > 0);
    assert_eq!(ledger.entry(request).unwrap().answer, Answer::Open);
    ledger.answered(request, Purpose::First, 200, Some(all(dropped)), 0);
    ledger.answered(request, Purpose::Repeat, 200, Some(known(dropped)), 0);
    ledger.sends(request, Purpose::Contest, 0);
    let conflict = Said {
        quarantined: 1,
        ..Said::default()
    };
    ledger.answered(request, Purpose::Contest, 200, Some(conflict), 3);
    assert_eq!(ledger.violations, Violations::default());
    let entry = ledger.entry(request).unwrap();
    assert_eq!(
        (entry.answer, entry.contest),
        (Answer::Acknowledged, Answer::Acknowledged)
    );
    assert_eq!(ledger.acknowledged_events(), PER_REQUEST - dropped);
    for kind in [RequestKind::Invalid, RequestKind::Cut] {
        let (mut ledger, request, _) = with(kind);
        ledger.answered(request, Purpose::First, 400, None, 1);
        assert_eq!(ledger.violations, Violations::default());
        assert_eq!(ledger.entry(request).unwrap().answer, Answer::Refused);
        assert_eq!(ledger.acknowledged_events(), 0);
    }
}

#[test]
fn a_retry_may_be_known_as_a_whole_only() {
    let (mut ledger, request, dropped) = with(RequestKind::Sound);
    ledger.answered(request, Purpose::First, 200, Some(known(dropped)), 1);
    assert_eq!(ledger.violations.total, 0);
    let half = Said {
        accepted: 5,
        duplicates: PER_REQUEST - dropped - 5,
        ..all(dropped)
    };
    ledger.answered(request, Purpose::First, 200, Some(half), 1);
    assert_eq!(ledger.violations.total, 1);
}

#[test]
fn wrong_answers_are_named() {
    let (ledger, request, dropped) = with(RequestKind::Sound);
    let wrong = [
        (Purpose::First, 400, None),
        (Purpose::First, 200, None),
        (Purpose::First, 200, Some(known(dropped))),
        (
            Purpose::First,
            200,
            Some(Said {
                accepted: 1,
                ..all(dropped)
            }),
        ),
        // Stored again.
        (Purpose::Repeat, 200, Some(all(dropped))),
        (
            Purpose::Contest,
            200,
            Some(Said {
                accepted: 1,
                ..Said::default()
            }),
        ),
        (Purpose::First, 500, None),
    ];
    drop(ledger);
    for (purpose, status, said) in wrong {
        let (mut ledger, _, _) = with(RequestKind::Sound);
        ledger.answered(request, purpose, status, said, 0);
        assert_eq!(ledger.violations.total, 1, "{purpose:?} {status} {said:?}");
        let violation = &ledger.violations.shown[0];
        let id = source().event(Source::numbers(request).start).id;
        assert!(violation.what.contains(&id.to_string()), "{violation:?}");
        assert!(violation.answered.starts_with(&status.to_string()));
    }
    let (mut ledger, request, _) = with(RequestKind::Invalid);
    ledger.answered(request, Purpose::First, 200, Some(all(2)), 0);
    assert_eq!(ledger.violations.total, 1);
    assert_eq!(ledger.entry(request).unwrap().answer, Answer::Acknowledged);
}

#[test]
fn only_twenty_violations_are_kept() {
    let mut violations = Violations::default();
    for n in 0..15 {
        violations.add(n.to_string(), "200", "nothing");
    }
    violations.extend(violations.clone());
    assert_eq!((violations.total, violations.shown.len()), (30, MAX_SHOWN));
}
