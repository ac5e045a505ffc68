#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use super::*;

const NAME: &str = "00000000000000ab-00000000000000000001.ndjson";

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

fn run(date: &str, node: u64, lsn: u64) -> RunId {
    RunId {
        stream: "users".to_owned(),
        name: format!("{date}T000000Z-{node:016x}-{lsn:020}"),
    }
}

fn object_of(id: &RunId) -> String {
    let day = id.day().unwrap();
    format!("{}/dt={day}/run={}/{NAME}", id.stream, id.name)
}

/// Markers of runs; each with the run that it names.
fn lake(runs: &[(&RunId, Option<&RunId>)]) -> (Vec<String>, BTreeMap<RunId, Option<RunMarker>>) {
    let mut keys = Vec::new();
    let mut markers = BTreeMap::new();
    for (id, same_as) in runs {
        let same_as = same_as.map(|run| run.name.clone());
        if same_as.is_none() {
            keys.push(object_of(id));
        }
        let run = id.name.clone();
        markers.insert((*id).clone(), Some(RunMarker { run, same_as }));
    }
    (keys, markers)
}

fn expiring_runs(
    (keys, markers): &(Vec<String>, BTreeMap<RunId, Option<RunMarker>>),
    noted: &[&RunId],
) -> Vec<RunId> {
    let stock = Stocktaking {
        keys: keys.iter().map(String::as_str).collect(),
        markers: markers.clone(),
        noted_runs: noted.iter().map(|run| (*run).clone()).collect(),
    };
    let plan = stock.plan(day("2026-06-01"));
    let runs = plan.expiring.into_iter().map(|expiring| match expiring {
        Expiring::Run(run) => run.id,
        Expiring::Object(key) => panic!("{key}"),
    });
    runs.collect()
}

#[test]
fn a_day_expires_when_all_of_it_is_old_enough() {
    let now = Micros(crate::rfc3339::parse("2026-11-20T12:00:00Z").unwrap().0);
    let age = Duration::from_hours(48);
    assert_eq!(first_kept_day(now, age), Some(day("2026-11-18")));
    assert_eq!(
        last_day_of("events/dt=2026-11-17/x"),
        Some(day("2026-11-17"))
    );
    assert_eq!(
        last_day_of("events/dt=2026-11-17/hour=03/x"),
        Some(day("2026-11-17"))
    );
    assert_eq!(
        last_day_of("events/dt=2026-11-17-23/x"),
        Some(day("2026-11-17"))
    );
    assert_eq!(last_day_of("events/dt=2024-02/x"), Some(day("2024-02-29")));
    for other in [
        "events/x",
        "events/dt=2026-11-171/x",
        "events/dt=today/x",
        "events/year=2026/x",
    ] {
        assert_eq!(last_day_of(other), None, "{other}");
    }
}

#[test]
fn events_quarantine_and_appending_polls_expire_by_day() {
    let old = [
        "events/dt=2026-05-31",
        "quarantine/events/dt=2026-05-31",
        "orders/dt=2026-01-01",
    ];
    let kept = [
        "events/dt=2026-06-01",
        "quarantine/events/dt=2026-06-01",
        "orders/dt=2026-07-01",
    ];
    let undated = "events/year=2025";
    let key = |folder: &&str| format!("{folder}/{NAME}");
    let mut keys: Vec<String> = old.iter().chain(&kept).chain([&undated]).map(key).collect();
    // Nobody's.
    keys.extend([
        "events/dt=2026-01-01/stray".to_owned(),
        "_lakehook/probe".to_owned(),
    ]);
    let stock = Stocktaking {
        keys: keys.iter().map(String::as_str).collect(),
        ..Stocktaking::default()
    };
    let plan = stock.plan(day("2026-06-01"));
    let expected: Vec<Expiring> = old.iter().map(|it| Expiring::Object(key(it))).collect();
    assert_eq!(plan.expiring, expected);
    assert_eq!(plan.undated, [key(&undated)]);
}

#[test]
fn a_run_that_a_kept_marker_needs_stays() {
    let (r1, r2, r3, r4) = (
        run("20260101", 1, 10),
        run("20260102", 1, 20),
        run("20260103", 1, 30),
        run("20260701", 1, 40),
    );
    // The newest one is new and complete.
    let all = lake(&[(&r1, None), (&r2, None), (&r3, Some(&r2)), (&r4, None)]);
    assert_eq!(
        expiring_runs(&all, &[]),
        [r3.clone(), r2.clone(), r1.clone()]
    );
    // It says that nothing has changed since the second one.
    let all = lake(&[(&r1, None), (&r2, None), (&r3, Some(&r2)), (&r4, Some(&r2))]);
    assert_eq!(expiring_runs(&all, &[]), [r3.clone(), r1.clone()]);
    // A poll that was paused longer than that: its newest run stays, with what it names.
    let all = lake(&[(&r1, None), (&r2, None), (&r3, Some(&r2))]);
    assert_eq!(expiring_runs(&all, &[]), std::slice::from_ref(&r1));
    let all = lake(&[(&r1, None), (&r2, None)]);
    assert_eq!(expiring_runs(&all, &[]), std::slice::from_ref(&r1));
    // Each node has a newest one.
    let other = run("20260101", 2, 1);
    let all = lake(&[(&r1, None), (&other, None), (&r4, None)]);
    assert_eq!(expiring_runs(&all, &[]), [r1]);
}

#[test]
fn a_run_without_a_marker_stays_unless_a_retention_has_listed_it() {
    let (r1, r4) = (run("20260101", 1, 10), run("20260701", 1, 40));
    let mut all = lake(&[(&r1, None), (&r4, None)]);
    all.1.remove(&r1);
    assert_eq!(expiring_runs(&all, &[]), []);
    assert_eq!(expiring_runs(&all, &[&r1]), [r1]);
}

#[test]
fn a_marker_that_cannot_be_read_keeps_all_runs_of_its_stream() {
    let (r1, r4) = (run("20260101", 1, 10), run("20260701", 1, 40));
    let mut all = lake(&[(&r1, None), (&r4, None)]);
    assert_eq!(expiring_runs(&all, &[]), [r1]);
    all.1.insert(r4, None);
    assert_eq!(expiring_runs(&all, &[]), []);
}
