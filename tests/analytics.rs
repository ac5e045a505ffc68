//! The dbt project: on a small lake whose marts were worked out by hand, and on the lake of a demo.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::process::Setup;

const ANALYTICS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/analytics");

/// Runs the project over the lake of a configuration; marts go to `dir`.
fn run(config: &Path, files: &Path, dir: &Path) -> Output {
    let python = concat!(env!("CARGO_MANIFEST_DIR"), "/.venv-analytics/bin/python");
    assert!(
        Path::new(python).exists(),
        "there is no {python}: run make setup"
    );
    Command::new(python)
        .arg(Path::new(ANALYTICS).join("run.py"))
        .args(["--config", config.to_str().unwrap()])
        .args(["--lakehook", env!("CARGO_BIN_EXE_lakehook")])
        .args(["--database", dir.join("analytics.duckdb").to_str().unwrap()])
        .args(["--files", files.to_str().unwrap()])
        .args(["--csv", dir.to_str().unwrap()])
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    let both = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    String::from_utf8_lossy(&both).into_owned()
}

#[test]
fn the_marts_of_the_sample_are_those_that_were_worked_out_by_hand() {
    let dir = tempfile::tempdir().unwrap();
    let sample = PathBuf::from(ANALYTICS).join("sample");
    let output = run(
        &sample.join("lakehook.toml"),
        &sample.join("csv"),
        dir.path(),
    );
    assert!(output.status.success(), "{}", said(&output));
    let expected: Vec<_> = std::fs::read_dir(sample.join("expected"))
        .unwrap()
        .collect();
    assert_eq!(expected.len(), 6);
    for file in expected {
        let path = file.unwrap().path();
        let mart = std::fs::read_to_string(dir.path().join(path.file_name().unwrap())).unwrap();
        assert_eq!(
            mart,
            std::fs::read_to_string(&path).unwrap(),
            "{}",
            path.display()
        );
    }
}

#[test]
fn the_marts_of_a_demo_are_built_and_tested() {
    let setup = Setup::new("");
    let demo = setup.run(&["demo", "--duration", "4s", "--rate", "300"]);
    assert!(demo.status.success(), "{}", said(&demo));
    let config = setup.directory().join("lakehook-demo/lakehook.toml");
    let output = run(&config, setup.directory(), setup.directory());
    assert!(output.status.success(), "{}", said(&output));
    let top = setup.directory().join("top_5_engaged_prayer_types.csv");
    let top = std::fs::read_to_string(top).unwrap();
    // A line for the names, and five for each of six groups at most.
    assert!(
        top.lines().count() > 10 && top.lines().count() <= 31,
        "{top}"
    );
    assert!(
        top.starts_with("age_group,prayer_type,event_count,age_group_rank\n18-24,"),
        "{top}"
    );
}
