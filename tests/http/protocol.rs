//! Media types, credentials, paths, methods, and everything else that concerns HTTP rather than events.

use super::{PATH, connect, metric, problem, request, setup};
use crate::support::http::{self, Answer};
use crate::support::process::{Setup, free_address};

fn post_with(setup: &Setup, headers: &[(&str, &str)]) -> Answer {
    connect(setup)
        .request("POST", PATH, headers, b"{\"events\":[]}")
        .unwrap()
}

#[test]
fn other_media_types_and_encodings_are_refused_with_those_understood() {
    let setup = setup("");
    let _program = setup.start();
    insta::assert_snapshot!(problem(&post_with(&setup, &[])), @r#"
415
{"type":"urn:lakehook:problem:media-type","title":"Unsupported media type or encoding","status":415,"detail":"send the events as JSON, with `Content-Type: application/json`","supported":["application/json","text/plain"]}
"#);
    let form = "application/x-www-form-urlencoded";
    insta::assert_snapshot!(problem(&post_with(&setup, &[("content-type", form)])), @r#"
415
{"type":"urn:lakehook:problem:media-type","title":"Unsupported media type or encoding","status":415,"detail":"send the events as JSON, with `Content-Type: application/json`","supported":["application/json","text/plain"]}
"#);
    let latin = "application/json; charset=iso-8859-1";
    insta::assert_snapshot!(problem(&post_with(&setup, &[("content-type", latin)])), @r#"
415
{"type":"urn:lakehook:problem:charset","title":"Unsupported media type or encoding","status":415,"detail":"JSON is sent in UTF-8; leave the charset parameter out","supported":["utf-8"]}
"#);
    let json = ("content-type", "application/json");
    insta::assert_snapshot!(problem(&post_with(&setup, &[json, ("content-encoding", "br")])), @r#"
415
{"type":"urn:lakehook:problem:content-encoding","title":"Unsupported media type or encoding","status":415,"detail":"one Content-Encoding at most, and one of those supported","supported":["identity","gzip","deflate","zstd"]}
"#);
    for refused in [
        &[json, ("content-encoding", "gzip, zstd")][..],
        &[
            json,
            ("content-encoding", "gzip"),
            ("content-encoding", "gzip"),
        ],
        &[json, json],
        &[("content-type", "application/jsonx")],
        &[("content-type", "text/json")],
        &[("content-type", "")],
    ] {
        let answer = post_with(&setup, refused);
        assert_eq!(answer.status, 415, "{refused:?}");
        problem(&answer);
    }
}

#[test]
fn credentials_are_needed_where_there_are_any() {
    let token = "a-token-that-nobody-guesses";
    let setup = setup(&format!("[server]\ntokens = [\"{token}\"]\n"));
    let _program = setup.start();
    let json = ("content-type", "application/json");
    insta::assert_snapshot!(problem(&post_with(&setup, &[json])), @r#"
401
www-authenticate: Bearer
{"type":"urn:lakehook:problem:unauthorized","title":"Bad or missing credentials","status":401,"detail":"send a valid token as `Authorization: Bearer <token>`"}
"#);
    let good = format!("Bearer {token}");
    assert_eq!(
        post_with(&setup, &[json, ("authorization", &good)]).status,
        200
    );
    for bad in [
        format!("Bearer {token}x"),
        format!("Bearer {}", &token[1..]),
        format!("Basic {token}"),
        token.to_owned(),
        "Bearer".to_owned(),
    ] {
        assert_eq!(
            post_with(&setup, &[json, ("authorization", &bad)]).status,
            401,
            "{bad}"
        );
    }
    // Without credentials a client learns nothing else.
    assert_eq!(post_with(&setup, &[]).status, 401);
}

#[test]
fn unknown_paths_and_methods_are_problems() {
    let setup = setup("");
    let _program = setup.start();
    insta::assert_snapshot!(problem(&request(&setup, "GET", "/", &[])), @r#"
404
{"type":"urn:lakehook:problem:not-found","title":"Not found","status":404,"detail":"there is nothing at this path"}
"#);
    insta::assert_snapshot!(problem(&request(&setup, "GET", PATH, &[])), @r#"
405
allow: POST
{"type":"urn:lakehook:problem:method-not-allowed","title":"Method not allowed","status":405,"detail":"this path takes POST"}
"#);
    insta::assert_snapshot!(problem(&request(&setup, "POST", "/health", &[])), @r#"
405
allow: GET, HEAD
{"type":"urn:lakehook:problem:method-not-allowed","title":"Method not allowed","status":405,"detail":"this path takes GET, HEAD"}
"#);
    for (method, path, status) in [
        ("POST", "/webhook", 404),
        ("POST", "/webhook/events/x", 404),
        ("POST", "//webhook/events", 404),
        ("PUT", "/webhook/events/", 405),
        ("OPTIONS", PATH, 405),
        ("DELETE", "/metrics", 405),
        ("BREW", "/ready", 405),
    ] {
        let answer = request(&setup, method, path, &[]);
        assert_eq!(answer.status, status, "{method} {path}");
        problem(&answer);
        assert_eq!(
            answer.header("allow").is_some(),
            status == 405,
            "{method} {path}"
        );
    }
}

#[test]
fn health_tells_how_it_is() {
    let setup = setup("");
    let _program = setup.start();
    let health = request(&setup, "GET", "/health", &[]);
    assert_eq!(health.header("content-type"), Some("application/json"));
    let json = health.json();
    assert_eq!(json["status"], "healthy");
    assert_eq!(
        (&json["batch_size"], &json["buffer_size"]),
        (&1_000_000.into(), &0.into())
    );
    for path in ["/health", "/ready", "/metrics"] {
        let head = request(&setup, "HEAD", path, &[]);
        assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
    }
    let metrics = request(&setup, "GET", "/metrics", &[]);
    assert!(
        metrics
            .header("content-type")
            .unwrap()
            .starts_with("text/plain; version=0.0.4")
    );
}

#[test]
fn a_request_has_an_id() {
    let setup = setup("");
    let _program = setup.start();
    let id_for = |given: &[(&str, &str)]| {
        let answer = request(&setup, "GET", "/nowhere", given);
        answer.header("x-request-id").unwrap().to_owned()
    };
    assert_eq!(
        id_for(&[("x-request-id", "a-request:7/b")]),
        "a-request:7/b"
    );
    let (first, second) = (id_for(&[]), id_for(&[]));
    assert_ne!(first, second);
    assert_eq!(first.len(), 16);
    let endless = "x".repeat(129);
    for insane in ["", "two words", "ümlaut", &endless] {
        assert_eq!(id_for(&[("x-request-id", insane)]).len(), 16, "{insane}");
    }
}

fn answer_to(setup: &Setup, bytes: &[u8]) -> Option<Answer> {
    let mut connection = connect(setup);
    connection.send_raw(bytes).unwrap();
    connection.read_answer(false).ok()
}

#[test]
fn ambiguous_requests_are_refused_and_their_connection_ends() {
    let setup = setup("");
    let _program = setup.start();
    let no_host = answer_to(&setup, b"GET /health HTTP/1.1\r\n\r\n").unwrap();
    insta::assert_snapshot!(problem(&no_host), @r#"
400
connection: close
{"type":"urn:lakehook:problem:bad-request","title":"Bad request","status":400,"detail":"a request has exactly one Host header"}
"#);
    let two = answer_to(
        &setup,
        b"GET /health HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n",
    )
    .unwrap();
    assert_eq!(problem(&two), problem(&no_host));
    let both =
        b"POST /webhook/events HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
                 transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n";
    insta::assert_snapshot!(problem(&answer_to(&setup, both).unwrap()), @r#"
400
connection: close
{"type":"urn:lakehook:problem:bad-request","title":"Bad request","status":400,"detail":"the only Transfer-Encoding is chunked"}
"#);
    // Old clients send no Host, which is allowed.
    assert_eq!(
        answer_to(&setup, b"GET /health HTTP/1.0\r\n\r\n")
            .unwrap()
            .status,
        200
    );
}

#[test]
fn what_is_not_http_1_is_refused() {
    let setup = setup("");
    let _program = setup.start();
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let head = format!(
        "GET /health HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n",
        "x".repeat(64 << 10)
    );
    let strange: [&[u8]; 8] = [
        preface,
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03 a TLS client",
        b"GET /health\r\n\r\n",
        b"GET /health HTTP/1.1\r\nhost : a\r\n\r\n",
        b"GET /health HTTP/1.1\r\nhost: a\r\n folded: b\r\n\r\n",
        b"POST /webhook/events HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n{}",
        b"POST /webhook/events HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n{}",
        head.as_bytes(),
    ];
    for bytes in strange {
        let answer = answer_to(&setup, bytes);
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(60)]);
        let status = answer.map(|answer| answer.status);
        assert!(
            matches!(status, None | Some(400 | 431)),
            "{shown}: {status:?}"
        );
    }
}

#[test]
fn a_head_that_cannot_be_read_is_answered_as_everything_else() {
    let setup = setup("");
    let _program = setup.start();
    let get = |lines: &str| format!("GET /health HTTP/1.1\r\nhost: a\r\n{lines}\r\n");
    let many = answer_to(&setup, get(&"x: y\r\n".repeat(100)).as_bytes()).unwrap();
    insta::assert_snapshot!(problem(&many), @r#"
431
connection: close
{"type":"urn:lakehook:problem:head-too-large","title":"The head is too large","status":431,"detail":"a request has at most 100 header lines, and a head of at most 32768 bytes; send fewer or shorter headers, such as cookies","limit":32768}
"#);
    assert!(
        many.header("date")
            .is_some_and(|date| date.ends_with(" GMT")),
        "{many:?}"
    );
    // A large one is still being sent when it is refused: the answer is not lost.
    let long = format!("cookie: {}\r\n", "x".repeat(1 << 20));
    for _ in 0..10 {
        let large = answer_to(&setup, get(&long).as_bytes()).unwrap();
        assert_eq!(problem(&large), problem(&many));
    }
    let broken = answer_to(&setup, get("a line without a colon\r\n").as_bytes()).unwrap();
    insta::assert_snapshot!(problem(&broken), @r#"
400
connection: close
{"type":"urn:lakehook:problem:bad-request","title":"Bad request","status":400,"detail":"the head is not sound HTTP/1.1: a request line, then lines of `Name: value`, and an empty line"}
"#);
    let (first, second) = (many.header("x-request-id"), broken.header("x-request-id"));
    assert!(first.is_some() && first != second);
    // As many as are allowed; and a refused head behind a request that was answered.
    let most = answer_to(&setup, get(&"x: y\r\n".repeat(99)).as_bytes()).unwrap();
    assert_eq!(most.status, 200);
    let mut connection = connect(&setup);
    let both = [get(""), get(&"x: y\r\n".repeat(100))].concat();
    connection.send_raw(both.as_bytes()).unwrap();
    assert_eq!(connection.read_answer(false).unwrap().status, 200);
    let refused = connection.read_answer(false).unwrap();
    assert_eq!(problem(&refused), problem(&many));
    assert_eq!(
        metric(
            &setup,
            "lakehook_http_request_duration_seconds_count{status=\"4xx\"}"
        ),
        13.0
    );
}

#[test]
fn browsers_may_send_only_from_configured_origins() {
    let origin = "https://app.example.com";
    let asked = [
        ("origin", origin),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "content-type"),
    ];
    let closed = setup("");
    let program = closed.start();
    let answer = request(&closed, "OPTIONS", PATH, &asked);
    assert_eq!(answer.status, 403);
    assert_eq!(answer.header("access-control-allow-origin"), None);
    drop(program);

    let open = setup(&format!("[server]\ncors_origins = [\"{origin}\"]\n"));
    let _program = open.start();
    let answer = request(&open, "OPTIONS", PATH, &asked);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("access-control-allow-origin"), Some(origin));
    assert!(
        answer
            .header("access-control-allow-headers")
            .unwrap()
            .contains("content-type")
    );
    let json = ("content-type", "application/json");
    let sent = post_with(&open, &[json, ("origin", origin)]);
    assert_eq!(
        (sent.status, sent.header("access-control-allow-origin")),
        (200, Some(origin))
    );
    // What is refused must be readable for the page, too.
    let refused = connect(&open)
        .request("POST", PATH, &[json, ("origin", origin)], b"[]")
        .unwrap();
    assert_eq!(refused.header("access-control-allow-origin"), Some(origin));
    let other = post_with(&open, &[json, ("origin", "https://evil.example.com")]);
    assert_eq!(other.header("access-control-allow-origin"), None);
}

#[test]
fn metrics_may_have_an_address_of_their_own() {
    let metrics = free_address();
    let setup = setup(&format!("[server]\nmetrics_listen = \"{metrics}\"\n"));
    let _program = setup.start();
    assert_eq!(request(&setup, "GET", "/metrics", &[]).status, 404);
    let answer = http::get(metrics, "/metrics").unwrap();
    assert!(answer.text().contains("lakehook_events_received_total"));
    assert_eq!(http::get(metrics, PATH).unwrap().status, 404);
}

#[test]
fn version_6_of_the_internet_protocol_works() {
    let port = free_address().port();
    let address = std::net::SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, port));
    // The variable comes later, so it wins.
    let setup = setup("").env("LAKEHOOK_SERVER__LISTEN", &address.to_string());
    let _program = setup.spawn();
    let start = std::time::Instant::now();
    while !http::get(address, "/ready").is_ok_and(|answer| answer.status == 200) {
        assert!(
            start.elapsed() < std::time::Duration::from_secs(20),
            "{}",
            setup.stderr()
        );
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert_eq!(
        http::post_json(address, PATH, b"{\"events\":[]}")
            .unwrap()
            .status,
        200
    );
}
