//! What the views say.

use std::io::{Read as _, Write as _};
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

#[test]
fn figures_go_on_while_a_page_is_open_and_end_with_the_service() {
    let stage = Stage::new("");
    let program = stage.setup.start();
    let open = || {
        let mut stream = std::net::TcpStream::connect(stage.address).unwrap();
        let request = format!(
            "GET /live/overview HTTP/1.1\r\nhost: {}\r\n\r\n",
            stage.address
        );
        stream.write_all(request.as_bytes()).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        let (mut text, begin) = (String::new(), Instant::now());
        while !(text.contains("data: {") && text.contains("\"lines\":{")) {
            let mut bytes = [0; 4096];
            let read = stream.read(&mut bytes).unwrap();
            let is_late = begin.elapsed() > Duration::from_secs(20);
            assert!(read > 0 && !is_late, "{text}");
            text += &String::from_utf8_lossy(&bytes[..read]);
        }
        stream
    };
    let streams: Vec<_> = (0..16).map(|_| open()).collect();
    // More than a few are refused.
    assert_eq!(stage.ask("GET", "/live/overview", &[], "").status, 503);
    let begin = Instant::now();
    assert!(program.stop(Duration::from_secs(10)).success());
    for mut stream in streams {
        stream.read_to_string(&mut String::new()).unwrap();
    }
    assert!(begin.elapsed() < Duration::from_secs(10));
}
