//! HTTP/2: curl speaks it, and what else may come over it does no harm.

use std::process::{Command, Output};
use std::time::{Duration, Instant};

use super::{PATH, body, click, connect, metric, post as post_http1, setup};
use crate::arrival::STOP_LIMIT;
use crate::support::http2::{
    CONTINUATION, Connection, DATA, END_HEADERS, END_STREAM, HEADERS, Outcome, PING, PREFACE,
    RESET, SETTINGS, WINDOW_UPDATE, block, frame, post,
};
use crate::support::needs::Need;
use crate::support::process::Setup;
use crate::support::tls::{Authority, NAME};

/// Codes of errors (RFC 9113, 7).
const PROTOCOL_ERROR: u32 = 1;
const REFUSED_STREAM: u32 = 7;
const ENHANCE_YOUR_CALM: u32 = 11;

/// Whether there is a curl that speaks HTTP/2.
fn has_curl() -> bool {
    let asked = Command::new("curl").arg("--version").output();
    let has = asked.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("HTTP2"));
    if !has {
        Need::CurlHttp2.skip("there is no curl that speaks HTTP/2");
    }
    has
}

/// What curl prints: the body, the status and the version of HTTP.
fn curl(arguments: &[&str]) -> String {
    let Output { stdout, stderr, .. } = Command::new("curl")
        .args(["--silent", "--show-error", "--max-time", "20"])
        .args(["--write-out", " %{http_code} %{http_version}\n"])
        .args(arguments)
        .output()
        .unwrap();
    String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned()
}

fn open(setup: &Setup) -> Connection {
    Connection::open(setup.address(), Duration::from_secs(20)).unwrap()
}

fn is_well(setup: &Setup, number: u64) {
    let answer = post_http1(setup, body(&[click(number)]));
    assert_eq!(answer.json()["accepted"], 1, "{}", answer.text());
}

#[test]
fn curl_speaks_http_2_with_prior_knowledge_and_by_tls() {
    if !has_curl() {
        return;
    }
    let plain = setup("");
    let program = plain.start();
    let url = format!("http://{}{PATH}", plain.address());
    let json = ["--header", "content-type: application/json"];
    let events = body(&[click(1), click(2)]);
    let prior = ["--http2-prior-knowledge", "--data-binary"];
    let send = |body: &str, url: &str| curl(&[&prior[..], &[body], &json, &[url]].concat());
    let first = send(&events, &url);
    assert!(
        first.contains("\"accepted\":2") && first.ends_with(" 200 2\n"),
        "{first}"
    );
    let again = send(&events, &url);
    assert!(again.contains("\"duplicates\":2"), "{again}");
    let large = format!("@{}", plain.directory().join("large").display());
    std::fs::write(&large[1..], vec![b' '; 9 << 20]).unwrap();
    for (path, body, status) in [
        ("/nowhere", "{}", 404),
        (PATH, "no JSON", 400),
        (PATH, &large, 413),
        ("/health", "{}", 405),
    ] {
        let answer = send(body, &format!("http://{}{path}", plain.address()));
        assert!(answer.contains("urn:lakehook:problem:"), "{path}: {answer}");
        assert!(
            answer.contains(&format!(" {status} 2\n")),
            "{path}: {answer}"
        );
    }
    // Where a client only asks whether it might, it stays with HTTP/1.1.
    let upgrade = curl(
        &[
            &["--http2", "--data-binary", &body(&[click(4)])],
            &json[..],
            &[&url],
        ]
        .concat(),
    );
    assert!(upgrade.contains(" 200 1.1\n"), "{upgrade}");
    let metrics = curl(&[
        "--http2-prior-knowledge",
        &format!("http://{}/metrics", plain.address()),
    ]);
    assert!(metrics.contains("lakehook_http_connections") && metrics.ends_with(" 200 2\n"));
    assert!(program.stop(STOP_LIMIT).success(), "{}", plain.stderr());

    let secure = setup("[server]\ntls_cert_file = \"cert.pem\"\ntls_key_file = \"key.pem\"\n");
    let authority = Authority::new();
    authority.issue().write(secure.directory());
    let _program = secure.spawn();
    let start = Instant::now();
    while !secure.run(&["health"]).status.success() {
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "{}",
            secure.stderr()
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    let url = format!("https://{NAME}:{}{PATH}", secure.address().port());
    let resolve = format!("{NAME}:{}:127.0.0.1", secure.address().port());
    // The names in the certificates of tests satisfy rustls, and not OpenSSL.
    let own = ["--insecure", "--resolve", &resolve];
    for (version, said) in [("--http2", "2"), ("--http1.1", "1.1")] {
        let event = body(&[click(5)]);
        let answer = curl(
            &[
                &[version, "--data-binary", &event],
                &own[..],
                &json,
                &[&url],
            ]
            .concat(),
        );
        assert!(answer.ends_with(&format!(" 200 {said}\n")), "{answer}");
    }
}

#[test]
fn http_2_can_be_switched_off() {
    let setup = setup("[server]\nhttp2 = false\n");
    let _program = setup.start();
    let mut connection = open(&setup);
    connection.request(1, &post("/health", &[]), b"").unwrap();
    assert_eq!(connection.outcome(1), Outcome::Ended(None));
    is_well(&setup, 1);
}

/// One of eight connections may; the next ones are told to calm down.
#[test]
fn few_connections_may_speak_it_at_a_time() {
    let setup = setup("[server]\nmax_connections = 16\n");
    let _program = setup.start();
    let ask = |connection: &mut Connection, stream: u32| {
        let body = body(&[click(1)]);
        let _gone = connection.request(stream, &post(PATH, &[]), body.as_bytes());
        connection.outcome(stream)
    };
    let mut two = [open(&setup), open(&setup)];
    for connection in &mut two {
        assert!(matches!(ask(connection, 1), Outcome::Answered(_)));
    }
    let third = ask(&mut open(&setup), 1);
    assert_eq!(third, Outcome::Ended(Some(ENHANCE_YOUR_CALM)));
    is_well(&setup, 2);
    drop(two);
    let start = Instant::now();
    while !matches!(ask(&mut open(&setup), 1), Outcome::Answered(_)) {
        assert!(start.elapsed() < Duration::from_secs(10));
    }
}

#[test]
fn many_requests_share_a_connection_at_once() {
    let setup = setup("");
    let program = setup.start();
    let mut connection = open(&setup);
    let ids = || (0..90_u32).map(|number| 2 * number + 1);
    let head = block(&post(PATH, &[]));
    let heads: Vec<u8> = ids()
        .flat_map(|id| frame(HEADERS, END_HEADERS, id, &head))
        .collect();
    connection.send(&heads).unwrap();
    // Their bodies come in pieces, in turns.
    let bodies: Vec<String> = ids().map(|id| body(&[click(u64::from(id) / 4)])).collect();
    for part in 0..4 {
        let end = if part == 3 { END_STREAM } else { 0 };
        let frames = ids().zip(&bodies).flat_map(|(id, body)| {
            let length = body.len().div_ceil(4);
            let from = (part * length).min(body.len());
            let to = (from + length).min(body.len());
            frame(DATA, end, id, &body.as_bytes()[from..to])
        });
        let frames: Vec<u8> = frames.collect();
        connection.send(&frames).unwrap();
    }
    let mut counts = [0, 0];
    let mut open = ids().count();
    while open > 0 {
        let frame = connection.read().unwrap();
        if frame.kind == DATA {
            let text = String::from_utf8(frame.payload).unwrap();
            counts[0] += usize::from(text.contains("\"accepted\":1"));
            counts[1] += usize::from(text.contains("\"duplicates\":1"));
        }
        open -= usize::from(frame.flags & END_STREAM != 0 && matches!(frame.kind, DATA | HEADERS));
    }
    assert_eq!(counts, [45, 45]);
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
}

/// What could be read in two ways, once a proxy translates it to HTTP/1.1. Nothing of it is answered with success, and a
/// request after it on the same connection is not touched by it.
#[test]
fn requests_that_a_proxy_could_read_differently_are_refused() {
    let setup = setup(
        "[hook.open]\nauth = [{ type = \"none\" }]\n\
         [hook.product]\nscheme = \"posthog\"\nsecrets = [\"a key of tests\"]\n\
         [hook.notice]\nauth = [{ type = \"jwt\", in_body = true, secrets = [\"a shared secret\"] }]\n",
    );
    let _program = setup.start();
    for (path, media_type, body) in [
        (PATH, "application/json", "{\"events\":[]}"),
        ("/webhook/open", "application/json", "[{\"a\":1}]"),
        (
            "/webhook/open",
            "application/x-ndjson",
            "{\"a\":1}\n{\"a\":2}\n",
        ),
        (
            "/webhook/open",
            "application/x-www-form-urlencoded",
            "a=1&b=2&c=3",
        ),
        ("/webhook/open", "multipart/form-data; boundary=b", OF_B),
        ("/batch", "application/json", "{\"batch\":[]}"),
        ("/webhook/notice", "application/jwt", "e30.e30.e30"),
    ] {
        are_refused(&setup, (path, media_type), body.as_bytes());
    }
    let with = |more: &[(&'static str, &'static str)]| post(PATH, more);
    // The same host twice is no doubt; nor is one in a header alone.
    for fields in [with(&[("host", "localhost")]), {
        let mut fields = with(&[("host", "localhost")]);
        fields.retain(|(known, _)| *known != ":authority");
        fields
    }] {
        let mut connection = open(&setup);
        connection.request(1, &fields, b"{\"events\":[]}").unwrap();
        let Outcome::Answered(body) = connection.outcome(1) else {
            panic!("{fields:?}");
        };
        assert!(String::from_utf8_lossy(&body).contains("\"accepted\":0"));
    }
    // A request of HTTP/1.1 first: what follows is none of HTTP/2.
    let mut smuggling = connect(&setup);
    let both = [b"GET /health HTTP/1.1\r\nhost: a\r\n\r\n", PREFACE].concat();
    smuggling.send_raw(&both).unwrap();
    assert_eq!(smuggling.read_answer(false).unwrap().status, 200);
    assert!(smuggling.read_answer(false).is_err());
    assert_eq!(metric(&setup, "lakehook_events_accepted_total"), 0.0);
}

/// A form with one field.
const OF_B: &str = "--b\r\nContent-Disposition: form-data; name=a\r\n\r\n--b--\r\n";

/// Sends this body in every way that leaves a doubt.
fn are_refused(setup: &Setup, (path, media_type): (&'static str, &'static str), body: &[u8]) {
    let with = |more: &[(&'static str, &'static str)]| {
        let mut fields = post(path, more);
        for (name, value) in &mut fields {
            if *name == "content-type" {
                *value = media_type;
            }
        }
        fields
    };
    let without = |name: &str| {
        let fields = with(&[]).into_iter();
        fields
            .filter(|(known, _)| *known != name)
            .collect::<Vec<_>>()
    };
    let first = |more: &[(&'static str, &'static str)]| [more, &with(&[])].concat();
    for (what, fields) in [
        (
            "an encoding of HTTP/1.1",
            with(&[("transfer-encoding", "chunked")]),
        ),
        ("a connection", with(&[("connection", "close")])),
        ("an upgrade", with(&[("upgrade", "h2c")])),
        (
            "a proxy's connection",
            with(&[("proxy-connection", "close")]),
        ),
        ("keep-alive", with(&[("keep-alive", "1")])),
        ("te", with(&[("te", "gzip")])),
        ("a name in capitals", with(&[("X-A", "b")])),
        ("a name with a space", with(&[("x a", "b")])),
        ("a name with a colon", with(&[("x:a", "b")])),
        ("an empty name", with(&[("", "b")])),
        ("CR and LF in a value", with(&[("x", "b\r\nc: d")])),
        ("NUL in a value", with(&[("x", "b\0c")])),
        ("LF in a path", post("/health\n", &[])),
        ("a space in a path", post("/health HTTP/1.1", &[])),
        ("an empty path", post("", &[])),
        ("two paths", with(&[(":path", "/health")])),
        ("two methods", first(&[(":method", "GET")])),
        (
            "a field of the head that is none",
            first(&[(":protocol", "x")]),
        ),
        ("a field of an answer", first(&[(":status", "200")])),
        ("a field of the head behind others", {
            let mut fields = without(":path");
            fields.push((":path", path));
            fields
        }),
        ("no method", without(":method")),
        ("no path", without(":path")),
        ("no scheme", without(":scheme")),
        ("no host at all", without(":authority")),
        ("two hosts that differ", with(&[("host", "a")])),
        (
            "three hosts",
            with(&[("host", "localhost"), ("host", "localhost")]),
        ),
        (
            "a length that is too short",
            with(&[("content-length", "5")]),
        ),
        (
            "a length that is too long",
            with(&[("content-length", "500")]),
        ),
        ("a length that is none", with(&[("content-length", "x")])),
        (
            "two lengths",
            with(&[("content-length", "11"), ("content-length", "13")]),
        ),
        ("a negative length", with(&[("content-length", "-1")])),
    ] {
        let mut connection = open(setup);
        let _gone = connection.request(1, &fields, body);
        match connection.outcome(1) {
            Outcome::Answered(body) => {
                let body = String::from_utf8_lossy(&body);
                assert!(
                    body.is_empty() || body.contains("urn:lakehook:problem:"),
                    "{path} {media_type}, {what}: {body}"
                );
            }
            Outcome::Reset(code) => assert_eq!(code, PROTOCOL_ERROR, "{path}, {what}"),
            Outcome::Ended(code) => assert_eq!(code, Some(PROTOCOL_ERROR), "{path}, {what}"),
        }
    }
}

#[test]
fn floods_end_their_connection_and_nothing_else() {
    let setup = setup("");
    let program = setup.start();
    is_well(&setup, 1);
    let before = program.rss_bytes();
    let head = block(&post(PATH, &[]));
    let ids = || (0..100_000_u32).map(|number| 2 * number + 1);
    let resets: Vec<u8> = ids()
        .take(2000)
        .flat_map(|id| {
            let begin = frame(HEADERS, END_HEADERS, id, &head);
            [begin, frame(RESET, 0, id, &[0, 0, 0, 8])].concat()
        })
        .collect();
    let many = |bytes: Vec<u8>, times: usize| bytes.repeat(times);
    let endless_head = [
        frame(HEADERS, END_STREAM, 1, &head),
        many(frame(CONTINUATION, 0, 1, &block(&[("x", "y")])), 20_000),
    ]
    .concat();
    let empty_continuations = [
        frame(HEADERS, END_STREAM, 1, &head),
        many(frame(CONTINUATION, 0, 1, &[]), 50_000),
    ]
    .concat();
    let large = "x".repeat(14 << 10);
    let large_head = [
        frame(HEADERS, END_STREAM, 1, &head),
        many(frame(CONTINUATION, 0, 1, &block(&[("x", &large)])), 100),
    ]
    .concat();
    let empty_data = [
        frame(HEADERS, END_HEADERS, 1, &head),
        many(frame(DATA, 0, 1, &[]), 50_000),
    ]
    .concat();
    let half_closed = [
        frame(HEADERS, END_HEADERS | END_STREAM, 1, &head),
        many(frame(DATA, 0, 1, b"x"), 2000),
    ]
    .concat();
    for (what, flood) in [
        ("resets", resets),
        ("a head that does not end", endless_head),
        ("a head that goes on without anything", empty_continuations),
        ("a head that is far too large", large_head),
        ("data without anything", empty_data),
        ("data behind the end", half_closed),
        (
            "an increment of nothing",
            many(frame(WINDOW_UPDATE, 0, 0, &[0; 4]), 10),
        ),
        (
            "a window that overflows",
            many(frame(WINDOW_UPDATE, 0, 0, &[0x7f, 255, 255, 255]), 10),
        ),
        (
            "a frame that is too large",
            frame(DATA, 0, 1, &vec![0; 20 << 10]),
        ),
        (
            "a stream of even number",
            frame(HEADERS, END_HEADERS, 2, &head),
        ),
        (
            "a continuation of nothing",
            frame(CONTINUATION, END_HEADERS, 1, &head),
        ),
        ("data for no stream", frame(DATA, 0, 0, b"x")),
        ("settings of odd length", frame(SETTINGS, 0, 0, &[0; 5])),
    ] {
        let mut connection = open(&setup);
        let start = Instant::now();
        let _gone = connection.send(&flood);
        // Nobody is answered on stream 0: this waits for the end.
        let ended = connection.outcome(0);
        assert!(matches!(ended, Outcome::Ended(_)), "{what}: {ended:?}");
        assert!(start.elapsed() < Duration::from_secs(15), "{what}");
    }
    // These are answered one by one, and cost nothing that stays.
    for flood in [
        many(frame(PING, 0, 0, &[7; 8]), 100_000),
        many(frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 255, 255]), 50_000),
    ] {
        let mut connection = open(&setup);
        let _gone = connection.send(&flood);
    }
    is_well(&setup, 2);
    let more = program.rss_bytes().saturating_sub(before);
    assert!(more < 32 << 20, "{} MiB more", more >> 20);
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
}

#[test]
fn too_many_requests_at_a_time_are_refused_one_by_one() {
    let setup = setup("");
    let _program = setup.start();
    let mut connection = open(&setup);
    let head = block(&post(PATH, &[]));
    let ids = (0..101).map(|number| 2 * number + 1);
    let all: Vec<u8> = ids
        .flat_map(|id| frame(HEADERS, END_HEADERS, id, &head))
        .collect();
    connection.send(&all).unwrap();
    assert_eq!(connection.outcome(201), Outcome::Reset(REFUSED_STREAM));
    // The others go on.
    connection
        .send(&frame(DATA, END_STREAM, 1, b"{\"events\":[]}"))
        .unwrap();
    assert!(matches!(connection.outcome(1), Outcome::Answered(_)));
}

#[test]
fn connections_without_requests_end() {
    let setup = setup("[server]\nheader_timeout = \"1s\"\nidle_timeout = \"2s\"\n");
    let _program = setup.start();
    let lived = |mut connection: Connection| {
        let start = Instant::now();
        assert!(matches!(connection.outcome(0), Outcome::Ended(_)));
        start.elapsed()
    };
    // Never a request; half a head; a request, and then nothing.
    let silent = lived(open(&setup));
    let mut half = open(&setup);
    half.send(&frame(HEADERS, 0, 1, &block(&post(PATH, &[]))))
        .unwrap();
    let half = lived(half);
    let mut idle = open(&setup);
    idle.request(1, &post(PATH, &[]), b"{\"events\":[]}")
        .unwrap();
    assert!(matches!(idle.outcome(1), Outcome::Answered(_)));
    let idle = lived(idle);
    let limit = Duration::from_secs(8);
    assert!(silent < limit && half < limit, "{silent:?} {half:?}");
    assert!(
        idle > Duration::from_millis(1500) && idle < limit,
        "{idle:?}"
    );
}

/// Each connection sends as much as it may of bodies that are never read to their end, and of heads.
#[test]
fn what_hundreds_of_connections_hold_is_bounded() {
    let setup = setup("[server]\nbody_timeout = \"20s\"\n");
    let program = setup.start();
    is_well(&setup, 1);
    let before = program.rss_bytes();
    let cookie = "c".repeat(12 << 10);
    let fields = post(PATH, &[("cookie", &cookie), ("content-length", "1000000")]);
    let head = block(&fields);
    let mut connections = Vec::new();
    for _ in 0..250 {
        let mut connection = open(&setup);
        let mut bytes = Vec::new();
        for id in (0..16).map(|number| 2 * number + 1) {
            bytes.extend(frame(HEADERS, END_HEADERS, id, &head));
            bytes.extend(frame(DATA, 0, id, &[b' '; 15 << 10]));
        }
        let _refused = connection.send(&bytes);
        connections.push(connection);
    }
    std::thread::sleep(Duration::from_secs(1));
    let more = program.rss_bytes().saturating_sub(before);
    println!("{} MiB", more >> 20);
    // The memory for requests in flight, and a window for each connection.
    assert!(more < 160 << 20, "{} MiB for 250 connections", more >> 20);
    drop(connections);
    let start = Instant::now();
    while post_http1(&setup, body(&[click(2)])).status != 200 {
        assert!(start.elapsed() < Duration::from_secs(30));
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
}
