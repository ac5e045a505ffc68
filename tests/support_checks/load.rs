//! The load, against a service of a few lines that forgets answers and goes away.

use std::collections::{BTreeSet, HashMap};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lakehook::clock::Micros;

use crate::support::load::{Load, Plan, Source, TYPES};
use crate::support::random::Random;

/// The ids that the small service stored, in a set as a lake should be.
type Stored = Arc<Mutex<BTreeSet<String>>>;

/// Answers one request after another; hangs up on one in five, before or after it stored.
fn serve(stream: TcpStream, stored: &Stored, random: &Random) {
    let mut stream = BufReader::new(stream);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).unwrap();
        if random.chance(0.1) {
            return;
        }
        let answer = store(&body, stored);
        if random.chance(0.1) {
            return;
        }
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n",
            answer.len()
        );
        stream
            .get_mut()
            .write_all((head + &answer).as_bytes())
            .unwrap();
    }
}

fn store(body: &[u8], stored: &Stored) -> String {
    let body: serde_json::Value = serde_json::from_slice(body).unwrap();
    let (mut accepted, mut dropped, mut duplicates) = (0, 0, 0);
    for event in body["events"].as_array().unwrap() {
        let id = event["event_id"].as_str().unwrap().to_owned();
        if event["event_type"] == "signup" {
            dropped += 1;
        } else if stored.lock().unwrap().insert(id) {
            accepted += 1;
        } else {
            duplicates += 1;
        }
    }
    format!(
        r#"{{"accepted":{accepted},"dropped":{dropped},"duplicates":{duplicates},"quarantined":0}}"#
    )
}

#[test]
fn what_is_acknowledged_is_known_through_lost_answers() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let stored = Stored::default();
    let ids = Arc::clone(&stored);
    std::thread::spawn(move || {
        let random = Random::new(5);
        while let Ok((stream, _)) = listener.accept() {
            let (stored, random) = (Arc::clone(&ids), random.clone());
            std::thread::spawn(move || serve(stream, &stored, &random));
        }
    });
    let pause = Duration::from_millis(1);
    let plan = Plan {
        max_requests: Some(200),
        events_per_request: 14,
        pause,
        ..Plan::new(address, 3)
    };
    let report = Load::start(plan).complete(Duration::from_secs(30));
    assert_eq!(report.violations, Vec::<String>::new());
    assert_eq!(report.acknowledged().count(), 2800);
    assert_eq!(report.unacknowledged().count(), 0);
    assert!(
        report.totals.unanswered > 10 && report.totals.duplicates > 0,
        "{:?}",
        report.totals
    );
    let mut lake: Vec<String> = stored.lock().unwrap().iter().cloned().collect();
    assert_eq!(lake.len(), 2400, "one type of seven is dropped");
    assert_eq!(report.compare(&lake, &["signup"]).lost, []);
    let by_type = report.expected(&["signup"]);
    assert_eq!(
        by_type.values().flat_map(|day| day.values()).sum::<u64>(),
        2400
    );

    let lost = lake.pop().unwrap();
    lake.push(lake[0].clone());
    lake.push("stranger".to_owned());
    let difference = report.compare(&lake, &["signup"]);
    assert_eq!(
        difference
            .lost
            .iter()
            .map(|event| &event.id)
            .collect::<Vec<_>>(),
        [&lost]
    );
    assert_eq!(difference.twice, [lake[0].clone()]);
    assert_eq!(difference.unexplained, ["stranger"]);
}

#[test]
fn a_load_ends_when_nobody_answers() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let plan = Plan {
        timeout: Duration::from_millis(50),
        ..Plan::new(listener.local_addr().unwrap(), 3)
    };
    let load = Load::start(plan);
    std::thread::sleep(Duration::from_millis(100));
    let report = load.finish(Duration::from_millis(100));
    assert_eq!(report.acknowledged().count(), 0);
    assert_eq!(report.unacknowledged().count(), 800);
}

#[test]
fn events_are_valid_distinct_and_the_same_for_a_seed() {
    let now = Micros(1_795_000_000_000_000);
    let source = Source {
        seed: 1,
        now,
        days: 3,
    };
    assert_eq!(source.body(0..700), source.body(0..700));
    let body: serde_json::Value = serde_json::from_slice(&source.body(0..700)).unwrap();
    let events = body["events"].as_array().unwrap();
    let ids: BTreeSet<_> = events
        .iter()
        .map(|event| event["event_id"].as_str().unwrap())
        .collect();
    assert_eq!(ids.len(), 700);
    let mut types: HashMap<&str, u32> = HashMap::new();
    for (number, event) in events.iter().enumerate() {
        let expected = source.event(number as u64);
        assert_eq!(event["event_id"], expected.id);
        assert!(
            event["timestamp"]
                .as_str()
                .unwrap()
                .starts_with(&expected.day)
        );
        *types.entry(expected.kind).or_default() += 1;
    }
    assert!(TYPES.iter().all(|name| types[name] == 100));
    let other = Source { seed: 2, ..source };
    assert!((0..700).all(|number| !ids.contains(other.event(number).id.as_str())));
}
