//! Where a request ends: if a proxy in front of us could read it differently, the request is refused or the connection
//! ends with the answer, so that bytes after it are never read as a request of their own.
//!
//! Each head below is followed by a second request in the same bytes. It is smuggled if it is answered.

use super::{PATH, connect, setup};
use crate::support::process::Setup;

const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
const JSON: &str = "host: localhost\r\ncontent-type: application/json\r\n";

/// The statuses of all answers until the connection ends; it must end by itself.
fn answers(setup: &Setup, bytes: &[u8]) -> Vec<u16> {
    let mut connection = connect(setup);
    // A server that has refused may close before everything is sent.
    let _refused = connection.send_raw(bytes);
    let mut statuses = Vec::new();
    while let Ok(answer) = connection.read_answer(false) {
        statuses.push(answer.status);
    }
    statuses
}

/// `POST` with these headers and what comes after the empty line.
fn post(headers: &str, rest: &str) -> String {
    format!("POST {PATH} HTTP/1.1\r\n{JSON}{headers}\r\n{rest}")
}

fn refused_heads() -> Vec<(&'static str, String)> {
    let chunks = "d\r\n{\"events\":[]}\r\n0\r\n\r\n";
    let te = |value: &str| post(&format!("transfer-encoding:{value}\r\n"), chunks);
    let length = |value: &str| post(&format!("content-length:{value}\r\n"), "{\"events\":[]}");
    let get = |rest: &str| format!("GET /health HTTP/1.1\r\n{rest}\r\n");
    vec![
        ("no Host", get("")),
        ("two Hosts", get("host: a\r\nhost: b\r\n")),
        ("the same Host twice", get("host: a\r\nhost: a\r\n")),
        ("gzip, chunked", te(" gzip, chunked")),
        ("chunked, gzip", te(" chunked, gzip")),
        ("chunked, chunked", te(" chunked, chunked")),
        ("chunked,", te(" chunked,")),
        (", chunked", te(" , chunked")),
        ("identity", te(" identity")),
        ("an empty encoding", te("")),
        ("xchunked", te(" xchunked")),
        ("chunked;q=1", te(" chunked;q=1")),
        ("quoted", te(" \"chunked\"")),
        ("a vertical tab", te(" \u{b}chunked")),
        (
            "two encodings",
            post(
                "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n",
                chunks,
            ),
        ),
        (
            "chunked in two lines",
            post(
                "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
                chunks,
            ),
        ),
        (
            "chunked in HTTP/1.0",
            te(" chunked").replacen("HTTP/1.1", "HTTP/1.0", 1),
        ),
        (
            "two lengths",
            post(
                "content-length: 13\r\ncontent-length: 5\r\n",
                "{\"events\":[]}",
            ),
        ),
        ("a list of lengths", length(" 13, 5")),
        ("a list of one length", length(" 13, 13")),
        ("a negative length", length(" -1")),
        ("a signed length", length(" +13")),
        ("a length in hexadecimal", length(" 0xd")),
        ("a length with a point", length(" 13.0")),
        ("no length at all", length("")),
        ("a length beyond 64 bits", length(" 18446744073709551629")),
        ("a length with a tail", length(" 13 5")),
        ("a folded line", get("host: a\r\nx: b\r\n folded: c\r\n")),
        ("a line that folds at first", get(" x: b\r\nhost: a\r\n")),
        ("space before the colon", get("host : a\r\n")),
        ("tab before the colon", get("host\t: a\r\n")),
        ("a line without colon", get("host: a\r\nx\r\n")),
        ("a name that is empty", get("host: a\r\n: x\r\n")),
        ("NUL in a value", get("host: a\r\nx: b\0c\r\n")),
        ("NUL in a name", get("host: a\r\nx\0y: b\r\n")),
        ("CR in a value", get("host: a\r\nx: b\rc: d\r\n")),
        (
            "a space in the path",
            "GET /he alth HTTP/1.1\r\nhost: a\r\n\r\n".to_owned(),
        ),
        (
            "a version of the future",
            "GET /health HTTP/1.2\r\nhost: a\r\n\r\n".to_owned(),
        ),
        (
            "two digits of version",
            "GET /health HTTP/1.10\r\nhost: a\r\n\r\n".to_owned(),
        ),
        ("HTTP/0.9", "GET /health\r\n\r\n".to_owned()),
    ]
}

#[test]
fn whatever_can_be_read_in_two_ways_is_refused_and_ends_the_connection() {
    let setup = setup("[server]\nidle_timeout = \"5s\"\n");
    let _program = setup.start();
    for (what, head) in refused_heads() {
        let statuses = answers(&setup, format!("{head}{SMUGGLED}").as_bytes());
        assert_eq!(statuses, [400], "{what}");
    }
    // Whoever begins in HTTP/2 gets no answer of HTTP/1.1.
    let preface = format!("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{SMUGGLED}");
    assert_eq!(answers(&setup, preface.as_bytes()), Vec::<u16>::new());
}

/// Whoever is refused before the body is read: the body is never taken for a request, on any path.
#[test]
fn the_body_of_a_refused_request_is_no_request() {
    let setup = setup(
        "[server]\nidle_timeout = \"2s\"\n[hook.own]\nauth = [{ type = \"bearer\", secrets = [\"a bearer token\"] }]\n\
         [hook.product]\nscheme = \"posthog\"\nsecrets = [\"a key of tests\"]\n\
         [hook.token]\nauth = [{ type = \"jwt\", secrets = [\"a shared secret\"] }]\n\
         [hook.notice]\nauth = [{ type = \"jwt\", in_body = true, secrets = [\"a shared secret\"] }]\n\
         [hook.mail]\nscheme = \"hmac\"\nsecrets = [\"a shared secret\"]\nmember = \"/signature\"\n\
         signed = \"{member:/token}\"\n",
    );
    let _program = setup.start();
    let length = format!("content-length: {}\r\n", SMUGGLED.len());
    let chunked = "transfer-encoding: chunked\r\n";
    let chunks = format!("{:x}\r\n{SMUGGLED}\r\n0\r\n\r\n", SMUGGLED.len());
    let foreign = "origin: https://evil.example.com\r\n";
    for (path, headers, status) in [
        ("/webhook/own", "", 401),
        ("/batch", "", 401),
        (
            "/webhook/token",
            "authorization: Bearer e30.e30.e30\r\n",
            401,
        ),
        ("/webhook/notice", "", 401),
        ("/webhook/mail", "", 401),
        ("/batch", foreign, 403),
        (PATH, foreign, 403),
        (PATH, "content-encoding: br\r\n", 415),
        ("/nowhere", "", 404),
        ("/health", "", 405),
    ] {
        for (framing, body) in [(&*length, SMUGGLED), (chunked, &*chunks)] {
            let request = format!("POST {path} HTTP/1.1\r\n{JSON}{headers}{framing}\r\n{body}");
            let statuses = answers(&setup, request.as_bytes());
            assert_eq!(statuses, [status], "{path} {headers} {framing}");
        }
    }
}

/// A body of any kind ends where its frame ends, wherever its own form may end.
#[test]
fn what_stands_in_a_body_is_no_request() {
    let setup =
        setup("[server]\nidle_timeout = \"2s\"\n[hook.open]\nauth = [{ type = \"none\" }]\n");
    let _program = setup.start();
    let form = "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--b--\r\n";
    let of_b = "multipart/form-data; boundary=b";
    for (media_type, body) in [
        (of_b, format!("{form}{SMUGGLED}")),
        (of_b, format!("{SMUGGLED}{form}")),
        (
            of_b,
            form.replace("\r\n1\r\n", &format!("\r\n{SMUGGLED}\r\n")),
        ),
        (of_b, format!("{form}0\r\n\r\n{SMUGGLED}")),
        (
            "application/x-ndjson",
            format!("{{\"a\":1}}\r\n\r\n{SMUGGLED}"),
        ),
        (
            "application/x-www-form-urlencoded",
            format!("a=1\r\n0\r\n\r\n{SMUGGLED}"),
        ),
        ("application/json", format!("{{\"a\":1}}\r\n\r\n{SMUGGLED}")),
        ("text/plain", format!("[]\r\n\r\n{SMUGGLED}")),
    ] {
        let counted = format!("content-length: {}\r\n\r\n{body}", body.len());
        let chunks = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
        let chunked = format!("transfer-encoding: chunked\r\n\r\n{chunks}");
        for rest in [counted, chunked] {
            let head = format!(
                "POST /webhook/open HTTP/1.1\r\nhost: localhost\r\ncontent-type: {media_type}\r\n"
            );
            let statuses = answers(&setup, format!("{head}{rest}").as_bytes());
            assert!(
                matches!(statuses[..], [200 | 400]),
                "{media_type}: {statuses:?}: {body}"
            );
        }
    }
}

/// Chunks that break their framing: the request is refused, and what follows is not read as a request.
#[test]
fn chunks_out_of_frame_are_refused_and_end_the_connection() {
    let setup = setup("[server]\nidle_timeout = \"5s\"\n");
    let _program = setup.start();
    let long_extension = format!("d;{}\r\n", "x".repeat(64 << 10));
    let many_trailers = format!("0\r\n{}\r\n", "x: y\r\n".repeat(4000));
    for (what, chunks) in [
        ("a size beyond 64 bits", "fffffffffffffffff\r\n{}"),
        (
            "a size that wraps around to 13",
            "1000000000000000d\r\n{\"events\":[]}\r\n0\r\n\r\n",
        ),
        ("a negative size", "-d\r\n{\"events\":[]}\r\n0\r\n\r\n"),
        ("a signed size", "+d\r\n{\"events\":[]}\r\n0\r\n\r\n"),
        ("a size with 0x", "0xd\r\n{\"events\":[]}\r\n0\r\n\r\n"),
        ("no size", "\r\n{\"events\":[]}\r\n0\r\n\r\n"),
        ("a size that ends in LF", "d\n{\"events\":[]}\r\n0\r\n\r\n"),
        ("LF in an extension", "d;x\n{\"events\":[]}\r\n0\r\n\r\n"),
        (
            "more data than the size",
            "c\r\n{\"events\":[]}\r\n0\r\n\r\n",
        ),
        ("an endless extension", long_extension.as_str()),
        ("thousands of trailers", many_trailers.as_str()),
    ] {
        let head = post("transfer-encoding: chunked\r\n", chunks);
        let statuses = answers(&setup, format!("{head}{SMUGGLED}").as_bytes());
        assert!(matches!(statuses[..], [] | [400]), "{what}: {statuses:?}");
    }
}

/// What the standard lets a server read in its own way (RFC 9112), and why that is safe here.
#[test]
fn what_is_tolerated_smuggles_nothing() {
    let setup = setup("[server]\nidle_timeout = \"5s\"\n");
    let _program = setup.start();
    // 6.1: with both, the chunks count, and the connection ends: what a proxy that counts bytes would
    // have sent behind them is never read. The length here covers the second request.
    let chunks = "d\r\n{\"events\":[]}\r\n0\r\n\r\n";
    for headers in [
        "content-length: 200\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 200\r\n",
        "transfer-encoding: chunked\r\ncontent-length: x\r\n",
        "content-length: 3\r\ntransfer-encoding: Chunked\r\n",
    ] {
        let request = post(headers, chunks);
        let statuses = answers(&setup, format!("{request}{SMUGGLED}").as_bytes());
        assert_eq!(statuses, [200], "{headers}");
    }
    // These leave no doubt about the end of the request; two answers are right. White space around the
    // value is none of it (5.1), a bare LF may end a line of the head (2.2), the same length twice is
    // one (6.3), an extension of a chunk is skipped (7.1.1), and the host of an absolute form counts
    // instead of the header (3.2.2); no path here depends on either.
    let get = |rest: &str| format!("GET /health HTTP/1.1\r\n{rest}");
    for (what, request) in [
        (
            "white space",
            post("transfer-encoding: \t chunked \t \r\n", chunks),
        ),
        ("case", post("TRANSFER-ENCODING:cHuNkEd\r\n", chunks)),
        (
            "an extension",
            post(
                "transfer-encoding: chunked\r\n",
                "d;x=\"y\"\r\n{\"events\":[]}\r\n0\r\nx: y\r\n\r\n",
            ),
        ),
        (
            "the same length twice",
            post(
                "content-length: 13\r\ncontent-length: 13\r\n",
                "{\"events\":[]}",
            ),
        ),
        (
            "zeros before a length",
            post("content-length: 0013\r\n", "{\"events\":[]}"),
        ),
        ("bare LF", get("host: a\nx: b\n\n")),
        (
            "an empty line first",
            format!("\r\n{}", get("host: a\r\n\r\n")),
        ),
        (
            "absolute form",
            "GET http://b/health HTTP/1.1\r\nhost: a\r\n\r\n".to_owned(),
        ),
    ] {
        let statuses = answers(&setup, format!("{request}{SMUGGLED}").as_bytes());
        assert_eq!(statuses, [200, 404], "{what}");
    }
}
