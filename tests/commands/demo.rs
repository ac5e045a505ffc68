//! `lakehook demo`: its summary adds up, and DuckDB counts the same.

use std::process::Command;

use super::{DIRECTORY, said, stderr, stdout};
use crate::support::duckdb::{Lake, Reading};
use crate::support::process::Setup;
use crate::support::python::python;

/// The number on the line of the summary that begins with `name`.
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
    for line in stdout(&first).lines() {
        assert!(line.chars().count() <= 80, "wider than 80 columns: {line}");
    }
    suggested_commands_work(&setup, &stdout(&first));
    let count = add_up(&setup, &stdout(&first));
    let second = demo("2s");
    assert_eq!(second.status.code(), Some(0), "{}", said(&second));
    assert!(add_up(&setup, &stdout(&second)) < count);
}

/// The commands that the demo prints, as they are printed; DuckDB is that of the tests.
fn suggested_commands_work(setup: &Setup, summary: &str) {
    let (_, commands) = summary.split_once("Query it with DuckDB:\n").unwrap();
    let has_duckdb = |line: &&str| !line.contains("pip install");
    let commands: Vec<_> = commands
        .lines()
        .take_while(|line| line.starts_with("  "))
        .filter(has_duckdb)
        .collect();
    let bin = python().parent().unwrap().to_owned();
    let commands = commands
        .join("\n")
        .replace(".duckdb/bin/", &format!("{}/", bin.display()));
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let output = Command::new("sh")
        .args(["-euc", &commands])
        .current_dir(setup.directory())
        .env("PATH", path)
        .output()
        .unwrap();
    assert!(output.status.success(), "{commands}\n{}", said(&output));
    assert!(stdout(&output).contains("purchase"), "{}", said(&output));
}

/// Checks that the summary adds up and that DuckDB counts the same.
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
    let lake = Lake::directory(&setup.directory().join("lakehook-demo/lake"));
    for (stream, id, records) in [
        ("users", "user_id", 10_000),
        ("content", "content_id", 1000),
    ] {
        let runs = lake.runs(stream, id);
        runs.check();
        assert_eq!(runs.runs[0].rows, records);
        assert_eq!(figure(&format!("{stream} polled")), records, "{summary}");
    }
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
