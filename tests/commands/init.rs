//! `lakehook init poll`, on the real program: what it writes passes `lakehook check`, and polls the whole API.

use serde_json::{Value, json};
use wiremock::ResponseTemplate;

use super::{said, stdout};
use crate::support::api::{Api, number, param};
use crate::support::duckdb::Lake;
use crate::support::process::Setup;

const RECORDS: usize = 25;
const PER_PAGE: usize = 10;

fn record(id: usize) -> Value {
    json!({"id": id, "name": format!("n-{id}"), "updated_at": "2026-01-02T03:04:05Z"})
}

/// Pages by a cursor, for those who have the token.
fn api() -> Api {
    Api::start(|request, _| {
        let token = request
            .headers
            .get("authorization")
            .map(|value| value.to_str().unwrap().to_owned());
        if token.as_deref() != Some("Bearer s3cret") {
            return ResponseTemplate::new(401);
        }
        let first = param(request, "cursor").map_or(0, |_| number(request, "cursor"));
        let page: Vec<_> = (first..RECORDS.min(first + PER_PAGE)).map(record).collect();
        let next = first + PER_PAGE;
        let next = if next < RECORDS {
            json!(next.to_string())
        } else {
            Value::Null
        };
        ResponseTemplate::new(200)
            .set_body_json(json!({"things": page, "meta": {"next_cursor": next}}))
    })
}

#[test]
fn it_writes_a_configuration_that_is_sound_and_never_over_another() {
    let setup = Setup::new("");
    let dir = setup.directory();
    let here = dir.join("lakehook.toml");
    // The configuration of these tests is there already.
    let before = std::fs::read_to_string(&here).unwrap();
    let refused = setup.run(&["init"]);
    assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
    assert!(
        said(&refused).contains("is there already"),
        "{}",
        said(&refused)
    );
    assert_eq!(std::fs::read_to_string(&here).unwrap(), before);

    std::fs::write(dir.join("tokens"), "a-token-of-these-tests\n").unwrap();
    std::fs::write(
        dir.join("stripe.secrets"),
        "whsec_a-secret-of-these-tests\n",
    )
    .unwrap();
    for (number, arguments) in [
        &[][..],
        &["--all"],
        &[
            "--lake",
            "lake",
            "--contract",
            "open",
            "--format",
            "parquet",
        ],
        &[
            "--listen",
            "0.0.0.0:4000",
            "--hook",
            "stripe",
            "--hook",
            "stripe",
        ],
    ]
    .into_iter()
    .enumerate()
    {
        let file = format!("made-{number}.toml");
        let made = setup.run(&[&["init", "--config", &file], arguments].concat());
        assert_eq!(made.status.code(), Some(0), "{}", said(&made));
        assert!(stdout(&made).contains("lakehook check"), "{}", said(&made));
        let shown = setup.run(&["config", "--set", "--config", &file]);
        assert_eq!(
            shown.status.code(),
            Some(0),
            "{arguments:?}: {}",
            said(&shown)
        );
        let printed = setup.run(&[&["init", "--print"], arguments].concat());
        let text = std::fs::read_to_string(dir.join(&file)).unwrap();
        assert_eq!(stdout(&printed), text);
        for value in arguments
            .iter()
            .filter(|argument| !argument.starts_with("--"))
        {
            assert!(text.contains(value), "{value}: {text}");
        }
    }
    let unknown = setup.run(&["init", "--print", "--hook", "stripes"]);
    assert_eq!(unknown.status.code(), Some(2), "{}", said(&unknown));
    assert!(said(&unknown).contains("stripe, "), "{}", said(&unknown));
}

#[test]
fn what_it_writes_is_checked_and_polled() {
    let api = api();
    let setup = Setup::new("[lake]\nurl = \"lake\"\n");
    let dir = setup.directory();
    let token = dir.join("things.token");
    std::fs::write(&token, "s3cret\n").unwrap();
    let url = format!("{}/v1/things", api.url());
    let with_token = ["--token-file", "things.token"];
    let init = |more: &[&str]| setup.run(&[["init", "poll", &url].as_slice(), more].concat());

    let refused = init(&[]);
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    assert!(
        said(&refused).contains("--token-file"),
        "{}",
        said(&refused)
    );
    let before = std::fs::read_to_string(dir.join("lakehook.toml")).unwrap();
    let printed = init(&with_token);
    assert!(printed.status.success(), "{}", said(&printed));
    assert_eq!(
        std::fs::read_to_string(dir.join("lakehook.toml")).unwrap(),
        before
    );
    // What is printed can be appended as it is, comments included.
    let text = stdout(&printed);
    assert!(!text.contains("s3cret"), "{text}");
    std::fs::write(dir.join("printed.toml"), format!("{before}{text}")).unwrap();
    let check = setup.run(&["check", "--config", "printed.toml"]);
    assert!(check.status.success(), "{}", said(&check));

    let written = init(&[with_token.as_slice(), &["--write"]].concat());
    assert!(written.status.success(), "{}", said(&written));
    let check = setup.run(&["check"]);
    assert!(check.status.success(), "{}", said(&check));
    let polled = setup.run(&["poll"]);
    assert!(polled.status.success(), "{}", said(&polled));
    let found = Lake::directory(&dir.join("lake")).stream("things", "id");
    assert_eq!((found.rows, found.ids), (RECORDS as u64, RECORDS as u64));

    // Nothing is replaced.
    let again = init(&[with_token.as_slice(), &["--write"]].concat());
    assert_eq!(again.status.code(), Some(2), "{}", said(&again));
    let other = init(&[with_token.as_slice(), &["--write", "--name", "Things"]].concat());
    assert_eq!(other.status.code(), Some(2), "{}", said(&other));
}

#[test]
fn what_cannot_be_read_is_said() {
    let api = Api::start(|request, _| match request.url.path() {
        "/html" => ResponseTemplate::new(200).set_body_raw("<html>", "text/html"),
        "/away" => {
            ResponseTemplate::new(302).insert_header("location", "http://elsewhere.invalid/x")
        }
        _ => ResponseTemplate::new(404),
    });
    let setup = Setup::new("[lake]\nurl = \"lake\"\n");
    for (path, expected) in [
        ("/html", "not one JSON value"),
        ("/away", "cannot be read"),
        ("/none", "check the URL"),
    ] {
        let output = setup.run(&["init", "poll", &format!("{}{path}", api.url())]);
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        assert!(said(&output).contains(expected), "{}", said(&output));
    }
    let header = setup.run(&["init", "poll", "http://localhost:1/x", "--header", "s3cret"]);
    assert_eq!(header.status.code(), Some(2), "{}", said(&header));
    assert!(!said(&header).contains("s3cret"), "{}", said(&header));
}
