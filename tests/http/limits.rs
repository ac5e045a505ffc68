//! 413, 408 and 429: limits of size, time and number, each named.

use std::time::{Duration, Instant};

use super::accepted::{compressed, gzip};
use super::{PATH, body, click, connect, event, head, post, problem, setup};
use crate::support::http::{Answer, Connection};
use crate::support::process::Setup;

const HEAD: &str =
    "POST /webhook/events HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
const GIB: usize = 1 << 30;

#[test]
fn a_body_that_announces_too_much_is_refused_before_it_comes() {
    let setup = setup("");
    let _program = setup.start();
    let mut connection = connect(&setup);
    let head = head((8 << 20) + 1);
    connection.send_raw(head.as_bytes()).unwrap();
    insta::assert_snapshot!(problem(&connection.read_answer(false).unwrap()), @r#"
413
connection: close
{"type":"urn:lakehook:problem:body-too-large","title":"Too large","status":413,"detail":"the body has more than 8388608 bytes, as sent or decompressed","limit":8388608}
"#);
    assert!(!connection.is_usable());
    // A client that sends all of it first learns the same.
    let answer = post(&setup, vec![b' '; 20 << 20]);
    assert_eq!(answer.status, 413);
    // The limit itself is allowed.
    let mut largest = body(&[click(1)]).into_bytes();
    largest.resize(8 << 20, b' ');
    assert_eq!(post(&setup, &largest).status, 200);
}

#[test]
fn a_chunked_body_is_refused_when_it_has_become_too_large() {
    let setup = setup("[server]\nmax_body = \"1 MiB\"\n");
    let _program = setup.start();
    let mut connection = connect(&setup);
    let head = format!("{HEAD}transfer-encoding: chunked\r\n\r\n");
    connection.send_raw(head.as_bytes()).unwrap();
    let chunk = [b"10000\r\n".as_slice(), &vec![b' '; 65_536], b"\r\n"].concat();
    for _ in 0..64 {
        if connection.send_raw(&chunk).is_err() {
            break;
        }
    }
    insta::assert_snapshot!(problem(&connection.read_answer(false).unwrap()), @r#"
413
connection: close
{"type":"urn:lakehook:problem:body-too-large","title":"Too large","status":413,"detail":"the body has more than 1048576 bytes, as sent or decompressed","limit":1048576}
"#);
}

fn post_encoded(setup: &Setup, encoding: &str, bytes: &[u8]) -> Answer {
    let headers = [
        ("content-type", "application/json"),
        ("content-encoding", encoding),
    ];
    connect(setup)
        .request("POST", PATH, &headers, bytes)
        .unwrap()
}

#[test]
fn a_bomb_costs_no_memory() {
    let setup = setup("");
    let program = setup.start();
    let zeros = vec![b' '; GIB];
    let bombs = [
        ("gzip", compressed(&zeros, flate2::Compression::default())),
        ("zstd", zstd::encode_all(zeros.as_slice(), 1).unwrap()),
    ];
    drop(zeros);
    let before = program.peak_rss_bytes();
    for (encoding, bomb) in bombs {
        assert!(bomb.len() < 8 << 20, "{} bytes of {encoding}", bomb.len());
        let start = Instant::now();
        let answer = post_encoded(&setup, encoding, &bomb);
        assert_eq!(answer.status, 413, "{encoding}: {}", answer.text());
        assert!(
            start.elapsed() < Duration::from_secs(2),
            "{:?}",
            start.elapsed()
        );
    }
    let more = program.peak_rss_bytes() - before;
    assert!(more < 48 << 20, "{} MiB for a limit of 8", more >> 20);
    assert_eq!(post(&setup, body(&[click(1)])).status, 200);
}

/// Ten gigabytes, compressed: the same member over and over, sent without a length as it is generated. With gzip that
/// exceeds the limit of the body as sent; with zstd it is under a MiB.
#[test]
fn a_bomb_of_ten_gigabytes_is_refused_as_it_comes() {
    const MEMBERS: usize = 160;
    let setup = setup("");
    let program = setup.start();
    let zeros = vec![b' '; GIB / 16];
    let bombs = [
        ("gzip", compressed(&zeros, flate2::Compression::best())),
        ("zstd", zstd::encode_all(zeros.as_slice(), 1).unwrap()),
    ];
    drop(zeros);
    let before = program.rss_bytes();
    for (encoding, member) in bombs {
        let start = Instant::now();
        let mut connection = connect(&setup);
        let head =
            format!("{HEAD}content-encoding: {encoding}\r\ntransfer-encoding: chunked\r\n\r\n");
        connection.send_raw(head.as_bytes()).unwrap();
        let size = format!("{:x}\r\n", member.len());
        let chunk = [size.as_bytes(), &member, b"\r\n"].concat();
        let sent = (0..MEMBERS).take_while(|_| connection.send_raw(&chunk).is_ok());
        let (sent, _) = (sent.count(), connection.send_raw(b"0\r\n\r\n"));
        let answer = connection.read_answer(false).unwrap();
        assert_eq!(answer.status, 413, "{encoding}: {}", answer.text());
        println!(
            "{encoding}: {sent} of {MEMBERS} members of {} bytes, {:?}",
            member.len(),
            start.elapsed()
        );
        // Only the peak counts; if the start had a higher one, it cannot hide a peak of that size.
        let more = program.peak_rss_bytes().saturating_sub(before);
        assert!(more < 64 << 20, "{encoding}: {} MiB", more >> 20);
    }
    assert_eq!(post(&setup, body(&[click(1)])).status, 200);
}

#[test]
fn a_broken_encoding_is_a_bad_request() {
    let setup = setup("");
    let _program = setup.start();
    let plain = body(&[click(1)]);
    insta::assert_snapshot!(problem(&post_encoded(&setup, "gzip", plain.as_bytes())), @r#"
400
{"type":"urn:lakehook:problem:bad-encoding","title":"The body cannot be decompressed","status":400,"detail":"the body is not valid gzip"}
"#);
    insta::assert_snapshot!(problem(&post_encoded(&setup, "zstd", plain.as_bytes())), @r#"
400
{"type":"urn:lakehook:problem:bad-encoding","title":"The body cannot be decompressed","status":400,"detail":"the body is not valid zstd"}
"#);
    let whole = gzip(plain.as_bytes());
    let mut flipped = whole.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0x20;
    let followed = [whole.as_slice(), b"and more"].concat();
    let zstd = zstd::encode_all(plain.as_bytes(), 3).unwrap();
    for (encoding, bytes) in [
        ("gzip", &whole[..whole.len() - 5]),
        ("gzip", &flipped[..]),
        ("gzip", &followed[..]),
        ("gzip", b"".as_slice()),
        ("zstd", &zstd[..zstd.len() - 3]),
    ] {
        let answer = post_encoded(&setup, encoding, bytes);
        assert_eq!(
            answer.status,
            400,
            "{encoding}, {} bytes: {}",
            bytes.len(),
            answer.text()
        );
    }
}

#[test]
fn too_many_and_too_large_events_are_refused() {
    let setup = setup("[server]\nmax_events = 3\nmax_event = \"1 KiB\"\n");
    let _program = setup.start();
    let clicks = |count: u64| body(&(1..=count).map(click).collect::<Vec<_>>());
    assert_eq!(post(&setup, clicks(3)).json()["accepted"], 3);
    insta::assert_snapshot!(problem(&post(&setup, clicks(4))), @r#"
413
{"type":"urn:lakehook:problem:too-many-events","title":"Too large","status":413,"detail":"a request may hold at most 3 events","limit":3}
"#);
    let large = event(9, "click", &format!("{{\"a\":\"{}\"}}", "x".repeat(1024)));
    insta::assert_snapshot!(problem(&post(&setup, body(&[click(8), large]))), @r#"
413
{"type":"urn:lakehook:problem:event-too-large","title":"Too large","status":413,"detail":"event 1 has more than 1024 bytes","limit":1024}
"#);
}

/// Bodies that do not end take up all memory. The next request is refused at once, and accepted when they are gone.
#[test]
fn bodies_in_flight_share_a_bounded_memory() {
    let setup = setup("[server]\nmemory = \"32 MiB\"\n");
    let program = setup.start();
    let head = head(8 << 20);
    let open_end = || {
        let mut connection = connect(&setup);
        connection.send_raw(head.as_bytes()).unwrap();
        connection.send_raw(&vec![b' '; (8 << 20) - 1]).unwrap();
        connection
    };
    let bodies = [open_end(), open_end(), open_end(), open_end()];
    std::thread::sleep(Duration::from_millis(500));
    insta::assert_snapshot!(problem(&post(&setup, body(&[click(1)]))), @r#"
503
retry-after: 5
connection: close
{"type":"urn:lakehook:problem:busy","title":"Not available now","status":503,"detail":"too many requests are in flight"}
"#);
    assert!(program.peak_rss_bytes() < 256 << 20);
    drop(bodies);
    let start = Instant::now();
    while post(&setup, body(&[click(1)])).status != 200 {
        assert!(
            start.elapsed() < Duration::from_secs(5),
            "the memory did not come back"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_slow_body_times_out() {
    let setup = setup("[server]\nbody_timeout = \"1s\"\n");
    let _program = setup.start();
    let mut connection = connect(&setup);
    let head = head(100);
    connection.send_raw(head.as_bytes()).unwrap();
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(900) {
        connection.send_raw(b" ").unwrap();
        std::thread::sleep(Duration::from_millis(50));
    }
    insta::assert_snapshot!(problem(&connection.read_answer(false).unwrap()), @r#"
408
connection: close
{"type":"urn:lakehook:problem:timeout","title":"The body came too slowly","status":408,"detail":"the body did not arrive within 1 seconds"}
"#);
    assert!(!connection.is_usable());
}

const TOKENS: [&str; 2] = ["first-token-of-the-tests", "second-token-of-the-tests"];

fn post_as(connection: &mut Connection, token: &str) -> Answer {
    let authorization = format!("Bearer {token}");
    let headers = [
        ("content-type", "application/json"),
        ("authorization", &*authorization),
    ];
    connection
        .request("POST", PATH, &headers, b"{\"events\":[]}")
        .unwrap()
}

#[test]
fn each_token_has_a_rate_of_its_own() {
    let [first, second] = TOKENS;
    let limits =
        format!("[server]\ntokens = [\"{first}\", \"{second}\"]\nrate_limit = 1\nrate_burst = 2\n");
    let setup = setup(&limits);
    let _program = setup.start();
    let mut connection = connect(&setup);
    assert_eq!(post_as(&mut connection, first).status, 200);
    assert_eq!(post_as(&mut connection, first).status, 200);
    let refused = post_as(&mut connection, first);
    assert_eq!(
        (
            refused.header("ratelimit-policy"),
            refused.header("ratelimit")
        ),
        (Some("\"requests\";q=2;w=2"), Some("\"requests\";r=0;t=1"))
    );
    insta::assert_snapshot!(problem(&refused), @r#"
429
retry-after: 1
{"type":"urn:lakehook:problem:too-many-requests","title":"Too many requests","status":429,"detail":"this client sends more requests than it may"}
"#);
    // The other is not held up, and the first may come back when it was told to.
    assert_eq!(post_as(&mut connection, second).status, 200);
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(post_as(&mut connection, first).status, 200);
    // Guessing is limited by address.
    let guesses: Vec<u16> = (0..4)
        .map(|_| post_as(&mut connection, "a-guess-of-a-token").status)
        .collect();
    assert_eq!(guesses, [401, 401, 429, 429]);
    // Health is not.
    for _ in 0..5 {
        assert_eq!(
            connection
                .request("GET", "/ready", &[], b"")
                .unwrap()
                .status,
            200
        );
    }
}

#[test]
fn without_tokens_an_address_is_a_client() {
    let setup = setup("[server]\nrate_limit = 1\nrate_burst = 1\n");
    let _program = setup.start();
    assert_eq!(post(&setup, "{\"events\":[]}").status, 200);
    let refused = post(&setup, "{\"events\":[]}");
    assert_eq!(
        (refused.status, refused.header("retry-after")),
        (429, Some("1"))
    );
}
