use super::*;
use crate::clock::Micros;
use crate::torture::ledger::{Purpose, Said};

const REQUESTS: u64 = 60;
const KEY: &str = "events/dt=2026-11-20/a.ndjson.zst";

fn source() -> Source {
    Source::new(7, Micros(1_795_000_000_000_000))
}

/// A ledger of requests that were all answered as they must be; one contested, one never sent.
fn ledger() -> Ledger {
    let source = source();
    let mut ledger = Ledger::new(source);
    for request in 0..REQUESTS {
        assert_eq!(ledger.begin(request % 2 == 0), Some(request));
        ledger.sends(request, Purpose::First, 0);
        if source.kind(request) == RequestKind::Sound {
            let dropped = Source::numbers(request)
                .filter(|number| source.event(*number).is_dropped())
                .count() as u64;
            let said = Said {
                accepted: PER_REQUEST - dropped,
                dropped,
                ..Said::default()
            };
            ledger.answered(request, Purpose::First, 200, Some(said), 0);
        } else {
            ledger.answered(request, Purpose::First, 400, None, 0);
        }
    }
    ledger.sends(contested(), Purpose::Contest, 0);
    let said = Said {
        quarantined: 1,
        ..Said::default()
    };
    ledger.answered(contested(), Purpose::Contest, 200, Some(said), 0);
    assert_eq!(ledger.violations.total, 0);
    ledger
}

fn contested() -> u64 {
    (0..REQUESTS)
        .find(|request| source().is_contested(*request))
        .unwrap()
}

fn refused() -> u64 {
    (0..REQUESTS)
        .find(|request| source().kind(*request) == RequestKind::Invalid)
        .unwrap()
}

fn object(value: &Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

/// The rows that a lake must then have, by number.
fn rows() -> Vec<(u64, Map<String, Value>)> {
    let source = source();
    let sound = (0..REQUESTS).filter(|request| source.kind(*request) == RequestKind::Sound);
    let numbers = sound.flat_map(Source::numbers);
    let stored = numbers.filter(|number| !source.event(*number).is_dropped());
    let row = |number: u64| {
        let heavy = (number / PER_REQUEST).is_multiple_of(2);
        let mut row = object(&source.event(number).row(heavy));
        row.insert("lsn".to_owned(), Value::from(number + 1));
        (number, row)
    };
    stored.map(row).collect()
}

fn kept(reason: Reason, raw: &str) -> Kept {
    Kept {
        received_at: String::new(),
        lsn: 9,
        reason: reason.as_str().to_owned(),
        stream: "events".to_owned(),
        endpoint: String::new(),
        request_id: String::new(),
        client: None,
        errors: Vec::new(),
        errors_total: 1,
        raw: raw.to_owned(),
        raw_encoding: "utf-8".to_owned(),
        raw_bytes: raw.len() as u64,
        raw_xxh3: String::new(),
        request: crate::replay::kept::KeptRequest::default(),
        place: crate::replay::kept::KeptPlace::default(),
    }
}

fn quarantine() -> Vec<Kept> {
    let contest = row_of(source().contest(contested())).to_string();
    let body = source().body(refused(), refused().is_multiple_of(2));
    vec![
        kept(Reason::IdConflict, &contest),
        kept(Reason::RefusedRequest, &String::from_utf8(body).unwrap()),
    ]
}

fn judge(ledger: &Ledger, rows: &[(u64, Map<String, Value>)], quarantine: &[Kept]) -> Verdict {
    let mut judge = Judge::new(source(), ledger);
    for (_, row) in rows {
        judge.event(KEY, row);
    }
    for row in quarantine {
        judge.kept("quarantine/a", row);
    }
    judge.finish()
}

/// That exactly one violation is found, and that it names the id and says so.
fn only(verdict: &Verdict, id: &str, found: &str) {
    assert_eq!(verdict.violations.total, 1, "{:?}", verdict.violations);
    let violation = &verdict.violations.shown[0];
    assert!(violation.what.contains(id), "{violation:?}, not {id}");
    assert!(violation.found.contains(found), "{violation:?}");
}

fn id_of(number: u64) -> String {
    source().event(number).id.to_string()
}

#[test]
fn a_lake_as_it_must_be_is_found_in_order() {
    let verdict = judge(&ledger(), &rows(), &quarantine());
    assert_eq!(verdict.violations, Violations::default());
    assert_eq!(verdict.events, ledger().acknowledged_events());
    assert_eq!((verdict.conflicts, verdict.refused_copies), (1, 1));
}

#[test]
fn in_columns_objects_are_text() {
    let mut rows = rows();
    for (_, row) in &mut rows {
        for member in ["properties", "user"] {
            let value = row[member].clone();
            if value.is_object() {
                row.insert(member.to_owned(), Value::from(value.to_string()));
            }
        }
    }
    let verdict = judge(&ledger(), &rows, &quarantine());
    assert_eq!(verdict.violations, Violations::default());
}

#[test]
fn a_lost_event_is_named() {
    let mut rows = rows();
    let (number, _) = rows.remove(100);
    let verdict = judge(&ledger(), &rows, &quarantine());
    assert_eq!(verdict.violations.total, 2, "{:?}", verdict.violations);
    let lost = &verdict.violations.shown[0];
    assert_eq!(
        (lost.what.as_str(), lost.answered.as_str()),
        (id_of(number).as_str(), "200")
    );
    assert!(lost.found.contains("lost"), "{lost:?}");
    // And the sum is too small.
    assert_eq!(verdict.violations.shown[1].what, "events");
}

#[test]
fn a_doubled_event_is_named() {
    let mut rows = rows();
    rows.push(rows[100].clone());
    let id = id_of(rows[100].0);
    only(&judge(&ledger(), &rows, &quarantine()), &id, "twice");
}

#[test]
fn an_altered_event_is_named_with_the_member() {
    for member in MEMBERS.into_iter().skip(1) {
        let mut rows = rows();
        rows[100].1.insert(member.to_owned(), Value::from("else"));
        let id = id_of(rows[100].0);
        only(&judge(&ledger(), &rows, &quarantine()), &id, member);
    }
}

#[test]
fn a_refused_event_that_is_there_is_named() {
    let number = Source::numbers(refused()).find(|number| !source().event(*number).is_dropped());
    let mut rows = rows();
    let row = object(&source().event(number.unwrap()).row(false));
    rows.push((number.unwrap(), row));
    let verdict = judge(&ledger(), &rows, &quarantine());
    only(&verdict, &id_of(number.unwrap()), "to be refused");
    assert_eq!(verdict.violations.shown[0].answered, "400");
}

#[test]
fn a_dropped_event_that_is_there_is_named() {
    let request = contested();
    let number = Source::numbers(request).find(|number| source().event(*number).is_dropped());
    let number = number.unwrap();
    let mut rows = rows();
    rows.push((number, object(&source().event(number).row(false))));
    only(
        &judge(&ledger(), &rows, &quarantine()),
        &id_of(number),
        "dropped",
    );
}

#[test]
fn an_event_that_nobody_sent_is_named() {
    let mut rows = rows();
    let unsent = REQUESTS * PER_REQUEST;
    rows.push((unsent, object(&source().event(unsent).row(false))));
    only(
        &judge(&ledger(), &rows, &quarantine()),
        &id_of(unsent),
        "nobody sent",
    );
}

#[test]
fn a_conflict_that_is_missing_altered_or_uncaused_is_named() {
    let quarantine = quarantine();
    let id = id_of(Source::contested(contested()));
    let verdict = judge(&ledger(), &rows(), &quarantine[1..]);
    let shown = &verdict.violations.shown;
    assert!(
        shown[0].what == id && shown[0].found.contains("not in the quarantine"),
        "{shown:?}"
    );

    let altered = row_of(source().event(Source::contested(contested())).sent).to_string();
    let altered = [kept(Reason::IdConflict, &altered), quarantine[1].clone()];
    only(
        &judge(&ledger(), &rows(), &altered),
        &id,
        "another properties",
    );

    let other = (0..REQUESTS)
        .find(|request| *request != contested() && source().kind(*request) == RequestKind::Sound)
        .unwrap();
    let uncaused = row_of(source().contest(other)).to_string();
    let uncaused = kept(Reason::IdConflict, &uncaused);
    let verdict = judge(
        &ledger(),
        &rows(),
        &[quarantine.clone(), vec![uncaused]].concat(),
    );
    let shown = &verdict.violations.shown;
    assert!(shown[0].found.contains("nobody caused"), "{shown:?}");
}

#[test]
fn a_refused_request_that_is_kept_otherwise_is_named() {
    let [conflict, refused] = &quarantine()[..] else {
        unreachable!()
    };
    let altered = kept(Reason::RefusedRequest, &refused.raw.replace("fax", "tax"));
    let verdict = judge(&ledger(), &rows(), &[conflict.clone(), altered]);
    only(&verdict, "LSN 9", "not sent so");
    let foreign = kept(Reason::InvalidEvent, "{}");
    let verdict = judge(&ledger(), &rows(), &[conflict.clone(), foreign]);
    only(&verdict, "LSN 9", "invalid_event");
}

#[test]
fn a_request_without_an_answer_is_a_violation_and_its_events_are_not() {
    let mut ledger = ledger();
    let sound =
        (REQUESTS..2 * REQUESTS).find(|request| source().kind(*request) == RequestKind::Sound);
    let request = sound.unwrap();
    while ledger.begin(false) != Some(request) {}
    ledger.sends(request, Purpose::First, 0);
    let mut rows = rows();
    let number = Source::contested(request);
    rows.push((number, object(&source().event(number).row(false))));
    let verdict = judge(&ledger, &rows, &quarantine());
    only(
        &verdict,
        &id_of(Source::numbers(request).start),
        "never answered",
    );
    assert_eq!(verdict.unanswered_events, 1);
}
