//! Slow, idle and many connections.

use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use super::{PATH, body, click, connect, head, post, setup};
use crate::support::http::{self, Connection};
use crate::support::process::Setup;

#[test]
fn a_slow_head_is_cut_off_in_time_and_an_idle_connection_lives() {
    let setup = setup("[server]\nheader_timeout = \"1s\"\nidle_timeout = \"4s\"\n");
    let _program = setup.start();
    let mut idle = connect(&setup);
    assert_eq!(
        idle.request("GET", "/health", &[], b"").unwrap().status,
        200
    );
    let start = Instant::now();
    let mut slow = connect(&setup);
    let trickle = b"GET /health HTTP/1.1\r\nhost: a-very-long-name-that-comes-letter-by-letter";
    for byte in trickle {
        if slow.send_raw(&[*byte]).is_err() {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(slow.read_answer(false).is_err());
    assert!(
        start.elapsed() < Duration::from_secs(4),
        "{:?}",
        start.elapsed()
    );
    // The connection is idle for longer than a head may take, is used again for a slow answer, and is then idle for too long.
    std::thread::sleep(Duration::from_millis(2500).saturating_sub(start.elapsed()));
    let whole = body(&[click(1)]);
    assert_eq!(idle.post_json(PATH, whole.as_bytes()).unwrap().status, 200);
    let start = Instant::now();
    assert!(idle.read_answer(false).is_err());
    let lived = start.elapsed();
    assert!(
        lived > Duration::from_secs(3) && lived < Duration::from_secs(8),
        "{lived:?}"
    );
}

/// Hundreds of clients send an endless head byte by byte, as many an endless body, and a hundred do not read their
/// answers. The time limits end all of these connections.
#[test]
fn a_thousand_slow_connections_do_not_keep_a_good_client_waiting() {
    let setup =
        setup("[server]\nheader_timeout = \"6s\"\nbody_timeout = \"6s\"\nidle_timeout = \"6s\"\n");
    let program = setup.start();
    let before = program.rss_bytes();
    let mut slow: Vec<Connection> = (0..1000).map(|n| slow_connection(&setup, n)).collect();
    // Clients that do not read have sent many requests at first; answering those is work, not slowness.
    let (mut spent, mut still) = (Duration::ZERO, 0);
    while still < 5 {
        let now = program.cpu_time();
        still = if now > spent + Duration::from_millis(10) {
            0
        } else {
            still + 1
        };
        spent = now;
        std::thread::sleep(Duration::from_millis(100));
    }
    let mut waits: Vec<Duration> = (0..50)
        .map(|number| {
            for connection in &mut slow[number * 20..number * 20 + 20] {
                let _cut_off = connection.send_raw(b"x");
            }
            let start = Instant::now();
            assert_eq!(post(&setup, body(&[click(number as u64)])).status, 200);
            start.elapsed()
        })
        .collect();
    waits.sort_unstable();
    println!("median {:?}, nine of ten {:?}", waits[25], waits[45]);
    // The median shows what the service does (under 1 ms on an idle machine). On a machine that also compiles and runs
    // tests, scheduling delays many requests. So the limit for nine of ten is generous, and the slowest tenth is
    // ignored; if requests had to queue, all of them would wait for seconds.
    assert!(waits[25] < Duration::from_millis(100), "{waits:?}");
    assert!(waits[45] < Duration::from_secs(1), "{waits:?}");
    let more = program.rss_bytes().saturating_sub(before);
    assert!(more < 64 << 20, "{} MiB for 1000 connections", more >> 20);
    let start = Instant::now();
    while program.sockets() > 20 {
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "{} are still open",
            program.sockets()
        );
        std::thread::sleep(Duration::from_millis(100));
    }
    drop(slow);
}

fn slow_connection(setup: &Setup, number: usize) -> Connection {
    let mut connection = connect(setup);
    let head =
        format!("POST {PATH} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n");
    let bytes = match number % 10 {
        // Some MiB of answers: more than sockets hold on the way.
        0 => "GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(300),
        1..5 => head,
        _ => format!("{head}content-length: 10000\r\n\r\n{{"),
    };
    connection.send_raw(bytes.as_bytes()).unwrap();
    connection
}

#[test]
fn when_all_connections_are_used_the_next_waits_for_its_turn() {
    let setup = setup("[server]\nmax_connections = 2\nidle_timeout = \"2s\"\n");
    let _program = setup.start();
    // The connection that asked for readiness may not have ended yet.
    std::thread::sleep(Duration::from_millis(200));
    let mut first = connect(&setup);
    let mut second = connect(&setup);
    assert_eq!(
        first.request("GET", "/health", &[], b"").unwrap().status,
        200
    );
    assert_eq!(
        second.request("GET", "/health", &[], b"").unwrap().status,
        200
    );
    let start = Instant::now();
    let mut third = connect(&setup);
    assert_eq!(
        third.request("GET", "/health", &[], b"").unwrap().status,
        200
    );
    let waited = start.elapsed();
    assert!(
        waited > Duration::from_secs(1) && waited < Duration::from_secs(10),
        "{waited:?}"
    );
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let setup = setup("");
    let _program = setup.start();
    let mut connection = connect(&setup);
    let mut all = String::new();
    for number in 1..=3 {
        let body = body(&(0..number).map(click).collect::<Vec<_>>());
        all.push_str(&head(body.len()));
        all.push_str(&body);
    }
    connection.send_raw(all.as_bytes()).unwrap();
    for known in 0..3 {
        let answer = connection.read_answer(false).unwrap().json();
        assert_eq!(
            (&answer["accepted"], &answer["duplicates"]),
            (&1.into(), &known.into())
        );
    }
}

/// A sender may close its side once the request is sent, and still gets its answer.
#[test]
fn who_only_listens_any_more_is_answered() {
    let setup = setup("");
    let _program = setup.start();
    let whole = body(&[click(1)]);
    let mut connection = connect(&setup);
    let request = head(whole.len()) + &whole;
    connection.send_raw(request.as_bytes()).unwrap();
    connection.stream().shutdown(Shutdown::Write).unwrap();
    let answer = connection.read_answer(false).unwrap();
    assert_eq!(
        (answer.status, &answer.json()["accepted"]),
        (200, &1.into())
    );
    assert!(
        connection.read_answer(false).is_err(),
        "the connection ends"
    );
}

/// A sender that goes away in the middle costs nothing but its connection.
#[test]
fn half_a_request_leaves_nothing() {
    let setup = setup("");
    let _program = setup.start();
    let whole = body(&[click(1)]);
    let mut connection = connect(&setup);
    let head = head(whole.len() + 1);
    connection.send_raw(head.as_bytes()).unwrap();
    connection.send_raw(whole.as_bytes()).unwrap();
    drop(connection);
    drop(TcpStream::connect(setup.address()).unwrap());
    assert_eq!(post(&setup, &whole).json()["accepted"], 1);
    assert_eq!(
        http::get(setup.address(), "/health").unwrap().json()["buffer_size"],
        1
    );
}
