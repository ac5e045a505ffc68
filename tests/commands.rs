//! The command line: what each command says, and its exit code.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests may fail, read files and live in real time"
)]

mod help;
mod find;
mod find_in_bucket;
mod replay;
mod replay_polls;
mod replay_hooks;
mod erase;
mod retain;
mod init;
mod log;
mod quarantine;
mod rescue;
mod demo;

use std::path::Path;
use std::process::Output;
use std::time::Duration;

use crate::arrival::STOP_LIMIT;
use crate::http::{body, click, post};
use crate::support::duckdb::{Lake, Reading};
use crate::support::process::{Setup, free_address};
use crate::support::s3::{Checksums, S3Server};

const DIRECTORY: &str = "[lake]\nurl = \"lake\"\n[wal]\nmax_bytes = \"64 MiB\"\n";

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What it printed, and its exit code.
fn said(output: &Output) -> String {
    let code = output.status.code().unwrap();
    format!("{}{}exit code {code}", stdout(output), stderr(output))
}

/// `docs/data-dictionary.md` is what `lakehook sql dictionary` prints for the shipped schemas.
#[test]
fn the_data_dictionary_is_the_one_that_is_published() {
    let setup = Setup::new(DIRECTORY);
    let sample = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/analytics/sample/lakehook.toml"
    );
    let printed = stdout(&setup.run(&["sql", "dictionary", "--config", sample]));
    let published = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/data-dictionary.md");
    assert_eq!(printed, std::fs::read_to_string(published).unwrap());
}

/// `docs/replica.md` shows what `lakehook wal cost` prints.
#[test]
fn what_a_log_costs_is_what_the_page_says() {
    let setup = Setup::new(DIRECTORY);
    let printed = stdout(&setup.run(&["wal", "cost"]));
    assert!(
        printed.lines().all(|line| line.chars().count() <= 80),
        "{printed}"
    );
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/replica.md");
    let page = std::fs::read_to_string(page).unwrap();
    assert!(
        page.contains(&format!("```text\n{printed}```")),
        "{printed}"
    );
    let asked = [
        "wal",
        "cost",
        "--json",
        "--rate",
        "20000",
        "--nodes",
        "1",
        "--s3-put-price",
        "0.01",
    ];
    let json: serde_json::Value = serde_json::from_slice(&setup.run(&asked).stdout).unwrap();
    assert_eq!(json["assumptions"]["s3"]["s3_put_price"], 0.01);
    let estimates = json["estimates"].as_array().unwrap();
    assert_eq!(estimates.len(), 3);
    let bucket = estimates.iter().find(|one| one["engine"] == "s3").unwrap();
    let dollars = bucket["dollars_per_month"].as_f64().unwrap();
    assert!(
        (103.0..110.0).contains(&dollars),
        "twice the price: {bucket}"
    );
    let wrong = setup.run(&["wal", "cost", "--rate", "0"]);
    assert_eq!(wrong.status.code(), Some(2), "{}", stderr(&wrong));
}

#[test]
fn the_version_tells_commit_and_format() {
    let output = Setup::new(DIRECTORY).run(&["--version"]);
    let text = stdout(&output);
    let commit = text.strip_prefix("lakehook 0.1.0 (commit ").unwrap();
    let commit = commit
        .strip_suffix(", write-ahead log format 3)\n")
        .unwrap();
    assert!(
        commit.len() >= 7 && commit.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "{text}"
    );
}

#[test]
fn wrong_usage_and_wrong_configuration_end_with_2() {
    let setup = Setup::new(DIRECTORY);
    for wrong in [
        &[][..],
        &["sevre"],
        &["serve", "--port", "1"],
        &["wal"],
        &["demo", "--duration", "soon"],
    ] {
        let output = setup.run(wrong);
        assert_eq!(
            output.status.code(),
            Some(2),
            "{wrong:?}: {}",
            said(&output)
        );
        assert!(
            stdout(&output).is_empty() && !stderr(&output).is_empty(),
            "{wrong:?}"
        );
    }
    setup.configure(
        "[server]\nmax_bdy = \"1 MiB\"\nmax_events = 0\n[lake]\nurl = \"gs://x\"\n[wall]\n",
    );
    for command in ["serve", "check", "health"] {
        let output = setup.run(&[command]);
        assert_eq!(
            output.status.code(),
            Some(2),
            "{command}: {}",
            said(&output)
        );
        let text = stderr(&output);
        for key in ["max_bdy", "max_body", "max_events", "lake.url", "wall"] {
            assert!(
                text.contains(key),
                "{command} doesn't tell of {key}: {text}"
            );
        }
    }
    let output = setup.run(&["serve", "--config", "nowhere.toml"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("nowhere.toml"),
        "{}",
        said(&output)
    );
}

#[test]
fn check_is_content_with_a_directory() {
    let setup = Setup::new(DIRECTORY);
    let output = setup.run(&["check"]);
    let here = setup.directory().display().to_string();
    insta::assert_snapshot!(said(&output).replace(&here, "<here>"), @r#"
ok       configuration (<here>/lakehook.toml)
ok       schemas for like, purchase, share, view
ok       write-ahead log (<here>/data/wal will be made)
ok       lake <here>/lake
exit code 0
"#);
    // It has accepted nothing, so there is nothing to be found but what the probe leaves.
    assert!(!setup.directory().join("data/wal").exists());
    assert!(setup.start().stop(STOP_LIMIT).success());
    assert_eq!(setup.run(&["check"]).status.code(), Some(0));
}

#[test]
fn check_names_a_directory_that_cannot_be() {
    let setup = Setup::new(DIRECTORY);
    std::fs::write(setup.directory().join("lake"), "a file").unwrap();
    let output = setup.run(&["check"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(
        stdout(&output).contains("problem  lake"),
        "{}",
        said(&output)
    );
}

#[test]
fn check_names_schemas_that_are_none() {
    let schemas = "[events]\nschemas = \"schemas\"\n";
    let setup = Setup::new(&format!("{schemas}{DIRECTORY}"));
    let dir = setup.directory().join("schemas");
    std::fs::create_dir(&dir).unwrap();
    std::fs::write(dir.join("click.json"), "{\"type\":7}").unwrap();
    let output = setup.run(&["check"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(stdout(&output).contains("click.json"), "{}", said(&output));
    // For the service these are part of its configuration.
    assert_eq!(setup.run(&["serve"]).status.code(), Some(2));
}

#[test]
fn check_reaches_the_store() {
    let server = S3Server::start(71);
    server.faults().checksums(Checksums::Compared);
    let config =
        |endpoint: &str| format!("[lake]\nurl = \"s3://lake/x\"\nendpoint = \"{endpoint}\"\n");
    let setup = Setup::new(&config(&server.endpoint()));
    let good = setup.run(&["check"]);
    assert_eq!(good.status.code(), Some(0), "{}", said(&good));
    assert!(
        stdout(&good).contains("ok       lake s3://lake/x"),
        "{}",
        said(&good)
    );
    assert!(!stdout(&good).contains("warning"), "{}", said(&good));

    server.faults().ignore_conditions(true);
    let weak = setup.run(&["check"]);
    assert_eq!(weak.status.code(), Some(0), "{}", said(&weak));
    assert!(
        stdout(&weak).contains("warning  this store ignores If-None-Match"),
        "{}",
        said(&weak)
    );

    server.faults().calm();
    server.faults().deny(true);
    let denied = setup.run(&["check"]);
    assert_eq!(denied.status.code(), Some(1), "{}", said(&denied));
    assert!(
        stdout(&denied).contains("problem  lake s3://lake/x"),
        "{}",
        said(&denied)
    );

    setup.configure(&config(&format!("http://{}", free_address())));
    let start = std::time::Instant::now();
    let away = setup.run(&["check"]);
    assert_eq!(away.status.code(), Some(1), "{}", said(&away));
    assert!(
        stdout(&away).contains("problem  lake s3://lake/x"),
        "{}",
        said(&away)
    );
    assert!(
        start.elapsed() < Duration::from_mins(1),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn the_schema_of_the_default_configuration_is_the_published_one() {
    let setup = Setup::new(DIRECTORY);
    let published = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/event.json");
    let output = setup.run(&["check", "--schema"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(stdout(&output) == std::fs::read_to_string(published).unwrap());
    setup.configure("[events]\ntypes = [\"knock\"]\ndrop = []\n");
    assert!(stdout(&setup.run(&["check", "--schema"])).contains("\"knock\""));
}

/// What somebody types before there is anything to see, or almost right, says what is missing.
#[test]
fn commands_that_come_too_early_say_so() {
    let setup = Setup::new(DIRECTORY);
    for (arguments, words) in [
        (&["wal", "info"][..], "there is no log in "),
        (&["audit"], "There is nothing in the lake yet: "),
        (
            &["retain", "--older-than", "30"],
            "a number alone is seconds",
        ),
        (&["find", "x"], "no objects of events in the lake yet"),
    ] {
        let text = said(&setup.run(arguments));
        assert!(text.contains(words), "{arguments:?}: {text}");
    }
}

#[test]
fn health_asks_a_running_service() {
    let setup = Setup::new(DIRECTORY);
    let nobody = setup.run(&["health"]);
    assert_eq!(nobody.status.code(), Some(1), "{}", said(&nobody));
    let expected = format!("no answer from http://{}/ready: ", setup.address());
    let text = said(&nobody);
    assert!(
        text.contains(&expected) && text.contains("is `lakehook serve` running"),
        "{text}"
    );
    assert!(!text.contains("error sending request"), "{text}");
    let program = setup.start();
    insta::assert_snapshot!(said(&setup.run(&["health"])), @r#"
{"status":"ready"}
exit code 0
"#);
    let url = format!("http://{}/", setup.address());
    assert_eq!(setup.run(&["health", "--url", &url]).status.code(), Some(0));
    assert!(program.stop(STOP_LIMIT).success());
}

#[test]
fn a_second_signal_leaves_the_rest_to_the_log() {
    let server = S3Server::start(72);
    let setup = Setup::new(&format!(
        "[lake]\nurl = \"s3://lake\"\nendpoint = \"{}\"\n[wal]\nmax_bytes = \"64 MiB\"\n",
        server.endpoint()
    ));
    let mut program = setup.start();
    server.faults().down();
    assert_eq!(post(&setup, body(&[click(1), click(2)])).status, 200);
    program.terminate();
    assert!(
        program.wait(Duration::from_secs(2)).is_none(),
        "it waits for the lake"
    );
    program.terminate();
    let status = program.wait(Duration::from_secs(8));
    assert!(
        status.is_some_and(|status| status.success()),
        "{status:?}: {}",
        setup.stderr()
    );
    assert!(
        setup.stderr().contains("the rest is safe in the log"),
        "{}",
        setup.stderr()
    );
    server.faults().up();
    assert!(setup.start().stop(STOP_LIMIT).success());
    let count = Lake::s3("s3://lake", &server.endpoint()).count(Reading::Typed);
    assert_eq!((count.rows, count.distinct_event_ids), (2, 2));
}
