//! What the views say.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::Stage;
use crate::http::{body, click, event, post};

#[test]
fn the_overview_follows_what_happens() {
    let stage = Stage::new("");
    let _program = stage.setup.start();
    let page = stage.page("/");
    assert!(
        page.contains("Ready") && page.contains("of 64.0\u{a0}MiB"),
        "{page}"
    );
    assert!(page.contains("data-live=\"accepted\">0<"), "{page}");
    post(
        &stage.setup,
        body(&[click(1), click(2), event(3, "signup", "{}")]),
    );
    post(&stage.setup, body(&[click(1)]));
    let page = stage.page("/");
    for (name, number) in [
        ("accepted", 2),
        ("duplicate", 1),
        ("dropped", 1),
        ("quarantined", 0),
        ("rows", 2),
    ] {
        assert!(
            page.contains(&format!("data-live=\"{name}\">{number}<")),
            "{name}: {page}"
        );
    }
}

#[test]
fn sources_say_how_to_send_the_first_event_and_what_came() {
    let stage = Stage::new("[hook.github]\nsecrets = [\"0123456789abcdef\"]\nscheme = \"github\"");
    let _program = stage.setup.start();
    let page = stage.page("/sources");
    assert_eq!(page.matches("Waiting for the first event.").count(), 2);
    assert!(
        page.contains("lakehook hook sign github") && !page.contains("0123456789abcdef"),
        "{page}"
    );
    // What the page says to send is taken as it is.
    let command = page
        .split("<code>curl ")
        .nth(1)
        .unwrap()
        .split("</code>")
        .next()
        .unwrap();
    let command = command
        .replace("&quot;", "\"")
        .replace("&amp;", "&")
        .replace("&lt;", "<");
    let sent = std::process::Command::new("sh")
        .arg("-c")
        .arg(format!("curl {command}"))
        .output()
        .unwrap();
    let answer = String::from_utf8_lossy(&sent.stdout).into_owned();
    assert!(answer.contains("\"accepted\":1"), "{answer}\n{command}");
    let page = stage.page("/sources");
    assert_eq!(page.matches("Waiting for the first event.").count(), 1);
    assert!(page.contains("1 stored"), "{page}");
    let refused =
        crate::support::http::post_json(stage.setup.address(), "/webhook/github", b"{}").unwrap();
    assert_eq!(refused.status, 401);
    stage.page_until("/sources", |page| {
        page.contains("1\u{a0}request was refused")
    });
}

/// Opens what goes on; nothing if there is no place for it.
fn open(stage: &Stage, path: &str) -> Option<TcpStream> {
    let mut stream = TcpStream::connect(stage.address).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: {}\r\n\r\n", stage.address);
    stream.write_all(request.as_bytes()).unwrap();
    let limit = Some(Duration::from_secs(20));
    stream.set_read_timeout(limit).unwrap();
    let mut status = [0; 12];
    stream.read_exact(&mut status).unwrap();
    match &status {
        b"HTTP/1.1 200" => Some(stream),
        b"HTTP/1.1 503" => None,
        other => panic!("{}", String::from_utf8_lossy(other)),
    }
}

/// Opens figures, and waits for the first of them.
fn figures(stage: &Stage) -> TcpStream {
    let mut stream = open(stage, "/live/overview").unwrap();
    let (mut text, begin) = (String::new(), Instant::now());
    while !(text.contains("data: {") && text.contains("\"lines\":{")) {
        let mut bytes = [0; 4096];
        let read = stream.read(&mut bytes).unwrap();
        let is_late = begin.elapsed() > Duration::from_secs(20);
        assert!(read > 0 && !is_late, "{text}");
        text += &String::from_utf8_lossy(&bytes[..read]);
    }
    stream
}

#[test]
fn what_goes_on_shares_some_places_and_ends_with_the_service() {
    let stage = Stage::new("");
    let program = stage.setup.start();
    let mut streams: Vec<_> = (0..15).map(|_| figures(&stage)).collect();
    let tail = open(&stage, "/live/events").unwrap();
    // More than a few are refused, whatever they are.
    for path in ["/live/overview", "/live/events"] {
        assert!(open(&stage, path).is_none(), "{path}");
    }
    // Whoever leaves gives the place back.
    drop(tail);
    let begin = Instant::now();
    let tail = loop {
        if let Some(tail) = open(&stage, "/live/events") {
            break tail;
        }
        assert!(begin.elapsed() < Duration::from_secs(40), "no place");
        std::thread::sleep(Duration::from_millis(50));
    };
    streams.push(tail);
    let begin = Instant::now();
    assert!(program.stop(Duration::from_secs(10)).success());
    for mut stream in streams {
        stream.read_to_string(&mut String::new()).unwrap();
    }
    assert!(begin.elapsed() < Duration::from_secs(10));
}
