//! The command line: what each command says, and its exit code.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::too_many_lines,
    reason = "tests may fail, read files and live in real time; the help of all commands is long"
)]

use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use crate::arrival::STOP_LIMIT;
use crate::http::{body, click, event, post, unavailable::damage};
use crate::support::duckdb::{Lake, Reading};
use crate::support::http;
use crate::support::process::{Setup, free_address};
use crate::support::s3::S3Server;

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

#[test]
fn help_is_there_for_the_program_and_each_command() {
    let setup = Setup::new(DIRECTORY);
    let help = |command: &[&str]| said(&setup.run(&[command, &["--help"]].concat()));
    insta::assert_snapshot!(help(&[]), @r#"
Takes webhooks and lands them in a data lake: a 2xx is durable, and in the lake exactly once

Usage: lakehook [OPTIONS] <COMMAND>

Commands:
  serve     Run the service: webhook, batches, lake
  demo      See it work, with no set-up: a sample sender, the service and a local lake in one
            process
  upstream  Run only the sample system that the demo uses
  check     Validate configuration and schemas, reach the lake, and say what is wrong
  wal       Look into a write-ahead log; changes nothing
  health    Ask a running service whether it is ready
  help      Print this message or the help of the given subcommand(s)

Options:
  -c, --config <FILE>  The configuration [default: $LAKEHOOK_CONFIG, else ./lakehook.toml if it is
                       there]
  -h, --help           Print help
  -V, --version        Print version
exit code 0
"#);
    insta::assert_snapshot!(help(&["serve"]), @r#"
Run the service: webhook, batches, lake

Usage: lakehook serve [OPTIONS]

Options:
  -c, --config <FILE>  The configuration [default: $LAKEHOOK_CONFIG, else ./lakehook.toml if it is
                       there]
  -h, --help           Print help
exit code 0
"#);
    insta::assert_snapshot!(help(&["demo"]), @r#"
See it work, with no set-up: a sample sender, the service and a local lake in one process

Usage: lakehook demo [OPTIONS]

Options:
  -c, --config <FILE>    The configuration [default: $LAKEHOOK_CONFIG, else ./lakehook.toml if it is
                         there]
      --duration <TIME>  End by itself after this time, such as 30s
      --dir <DIR>        Where the lake and the log go; what an earlier demo left there is removed
                         [default: ./lakehook-demo]
      --rate <N>         Events a second, about [default: 100]
  -h, --help             Print help
exit code 0
"#);
    insta::assert_snapshot!(help(&["upstream"]), @r#"
Run only the sample system that the demo uses

Usage: lakehook upstream [OPTIONS]

Options:
  -c, --config <FILE>     The configuration [default: $LAKEHOOK_CONFIG, else ./lakehook.toml if it
                          is there]
      --listen <ADDRESS>  Where to listen [default: 127.0.0.1:9090]
      --webhook <URL>     Push events to this webhook, such as http://127.0.0.1:4000/webhook/events
      --rate <N>          Events a second, instead of 1-10 every 2-5 seconds
      --seed <SEED>       Users and content are the same for the same seed [default: 1]
  -h, --help              Print help
exit code 0
"#);
    insta::assert_snapshot!(help(&["check"]), @r#"
Validate configuration and schemas, reach the lake, and say what is wrong

Usage: lakehook check [OPTIONS]

Options:
  -c, --config <FILE>  The configuration [default: $LAKEHOOK_CONFIG, else ./lakehook.toml if it is
                       there]
      --schema         Only print the JSON Schema of an event, as this configuration accepts it
  -h, --help           Print help
exit code 0
"#);
    insta::assert_snapshot!(help(&["wal"]), @r#"
Look into a write-ahead log; changes nothing

Usage: lakehook wal [OPTIONS] <COMMAND>

Commands:
  info    What the log holds
  verify  Read everything and check it; exit code 1 if anything is wrong
  help    Print this message or the help of the given subcommand(s)

Options:
  -c, --config <FILE>  The configuration [default: $LAKEHOOK_CONFIG, else ./lakehook.toml if it is
                       there]
  -h, --help           Print help
exit code 0
"#);
    insta::assert_snapshot!(help(&["wal", "info"]), @r#"
What the log holds

Usage: lakehook wal info [OPTIONS]

Options:
  -c, --config <FILE>  The configuration [default: $LAKEHOOK_CONFIG, else ./lakehook.toml if it is
                       there]
      --dir <DIR>      The log's directory [default: `wal.dir` of the configuration]
  -h, --help           Print help
exit code 0
"#);
    insta::assert_snapshot!(help(&["wal", "verify"]), @r#"
Read everything and check it; exit code 1 if anything is wrong

Usage: lakehook wal verify [OPTIONS]

Options:
  -c, --config <FILE>  The configuration [default: $LAKEHOOK_CONFIG, else ./lakehook.toml if it is
                       there]
      --dir <DIR>      The log's directory [default: `wal.dir` of the configuration]
  -h, --help           Print help
exit code 0
"#);
    insta::assert_snapshot!(help(&["health"]), @r#"
Ask a running service whether it is ready

Usage: lakehook health [OPTIONS]

Options:
  -c, --config <FILE>  The configuration [default: $LAKEHOOK_CONFIG, else ./lakehook.toml if it is
                       there]
      --url <URL>      The service [default: `server.listen` of the configuration]
  -h, --help           Print help
exit code 0
"#);
}

#[test]
fn the_version_tells_commit_and_format() {
    let output = Setup::new(DIRECTORY).run(&["--version"]);
    let text = stdout(&output);
    let commit = text.strip_prefix("lakehook 0.1.0 (commit ").unwrap();
    let commit = commit
        .strip_suffix(", write-ahead log format 1)\n")
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

/// A log with rows that are not in the lake; the lake is away.
fn used_log() -> Setup {
    let endpoint = format!("http://{}", free_address());
    let setup = Setup::new(&format!(
        "[lake]\nurl = \"s3://lake\"\nendpoint = \"{endpoint}\"\n[wal]\nmax_bytes = \"64 MiB\"\n"
    ));
    let program = setup.start();
    for number in 0..3 {
        let marked = event(
            number,
            "click",
            &format!("{{\"mark\":\"number {number}\"}}"),
        );
        assert_eq!(
            post(&setup, body(&[marked, event(9, "signup", "{}")])).status,
            200
        );
    }
    assert_eq!(post(&setup, "oops").status, 400);
    program.kill();
    setup
}

fn segments(setup: &Setup) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = std::fs::read_dir(setup.directory().join("data/wal")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|end| end == "wal"))
        .map(|path| (path.clone(), std::fs::read(path).unwrap()))
        .collect();
    found.sort();
    found
}

#[test]
fn a_used_log_tells_what_it_holds() {
    let setup = used_log();
    let info = setup.run(&["wal", "info"]);
    let text = stdout(&info);
    assert_eq!(info.status.code(), Some(0), "{}", said(&info));
    let received = "received 6 = stored 3 + dropped 3 + duplicate 0 + quarantined 0; copies of refused requests 1";
    assert!(text.contains(received), "{text}");
    assert!(text.contains("4 rows not yet in the lake"), "{text}");
    let verify = setup.run(&["wal", "verify", "--dir", "data/wal"]);
    assert!(
        stdout(&verify).ends_with("no damage found\n"),
        "{}",
        said(&verify)
    );
    assert!(stdout(&verify).contains("4 rows"), "{}", said(&verify));
    assert_eq!(verify.status.code(), Some(0));
    let nothing = setup.run(&["wal", "verify", "--dir", "nowhere"]);
    assert_eq!(nothing.status.code(), Some(1), "{}", said(&nothing));
    assert!(stderr(&nothing).contains("nowhere"), "{}", said(&nothing));
}

#[test]
fn damage_is_named_and_nothing_is_deleted() {
    let setup = used_log();
    let path = damage(&setup, "number 1").display().to_string();
    let before = segments(&setup);
    let verify = setup.run(&["wal", "verify"]);
    let serve = setup.run(&["serve"]);
    let check = setup.run(&["check"]);
    let name = path.rsplit('/').next().unwrap();
    for output in [&verify, &serve, &check] {
        let text = said(output);
        assert_eq!(output.status.code(), Some(1), "{text}");
        for word in [name, "byte ", "LSN"] {
            assert!(text.contains(word), "no {word}: {text}");
        }
    }
    assert!(segments(&setup) == before);
}

#[test]
fn a_torn_tail_is_told_and_does_not_matter() {
    let setup = used_log();
    // The last frame, as a crash in the middle of its write may leave it.
    damage(&setup, "oops");
    let verify = setup.run(&["wal", "verify"]);
    assert_eq!(verify.status.code(), Some(0), "{}", said(&verify));
    assert!(
        stdout(&verify).contains("a write that nobody was told of"),
        "{}",
        said(&verify)
    );
    let program = setup.start();
    assert!(setup.stderr().contains("torn tail"), "{}", setup.stderr());
    assert_eq!(
        http::get(setup.address(), "/health").unwrap().json()["buffer_size"],
        3
    );
    program.kill();
}

#[test]
fn health_asks_a_running_service() {
    let setup = Setup::new(DIRECTORY);
    let nobody = setup.run(&["health"]);
    assert_eq!(nobody.status.code(), Some(1), "{}", said(&nobody));
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

/// The number on the line of the summary that begins with this name.
fn figure(summary: &str, name: &str) -> u64 {
    let line = summary
        .lines()
        .rfind(|line| line.trim_start().starts_with(name))
        .unwrap();
    let rest = line.trim_start().strip_prefix(name).unwrap();
    rest.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn the_demo_adds_up_and_starts_afresh() {
    let setup = Setup::new(DIRECTORY);
    let demo = |time: &str| setup.run(&["demo", "--duration", time]);
    let first = demo("8s");
    assert_eq!(first.status.code(), Some(0), "{}", said(&first));
    let count = add_up(&setup, &stdout(&first));
    let second = demo("2s");
    assert_eq!(second.status.code(), Some(0), "{}", said(&second));
    assert!(add_up(&setup, &stdout(&second)) < count);
}

/// The summary in itself, and against what DuckDB counts.
fn add_up(setup: &Setup, summary: &str) -> u64 {
    let figure = |name: &str| figure(summary, name);
    let classes = [
        "accepted",
        "dropped",
        "duplicates",
        "quarantined",
        "refused  ",
        "unanswered",
    ];
    let sum: u64 = classes.into_iter().map(figure).sum();
    assert_eq!(figure("events sent"), sum, "{summary}");
    assert!(
        figure("accepted") > 50 && figure("dropped") > 0,
        "{summary}"
    );
    assert!(summary.contains("It adds up"), "{summary}");
    let count =
        Lake::directory(&setup.directory().join("lakehook-demo/lake")).count(Reading::Typed);
    assert_eq!(figure("records in the lake"), count.rows, "{summary}");
    assert_eq!(figure("in objects"), count.objects, "{summary}");
    assert_eq!(
        (count.rows, count.rows),
        (count.distinct_event_ids, count.distinct_lsns)
    );
    let refused = count
        .quarantine
        .get("refused_request")
        .copied()
        .unwrap_or(0);
    assert_eq!(figure("refused requests kept"), refused, "{summary}");
    let kept_aside: u64 = count.quarantine.values().sum();
    assert_eq!(figure("quarantined"), kept_aside - refused, "{summary}");
    count.rows
}

#[test]
fn the_demo_leaves_other_peoples_directories_alone() {
    let setup = Setup::new(DIRECTORY);
    let dir = setup.directory().join("mine");
    std::fs::create_dir(&dir).unwrap();
    std::fs::write(dir.join("thesis.txt"), "years of work").unwrap();
    let output = setup.run(&["demo", "--duration", "1s", "--dir", "mine"]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(stderr(&output).contains("mine"), "{}", said(&output));
    assert_eq!(
        std::fs::read_to_string(dir.join("thesis.txt")).unwrap(),
        "years of work"
    );
}
