//! The release: its workflow runs what is there, its scripts do what they say, and the Debian package holds files that
//! exist.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::{parsed, repository, said, sh, stand_in, text_of};

const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Programs that the runners of the workflow have, or that an earlier step has installed.
const TOOLS: [&str; 10] = [
    "apt-get",
    "cargo",
    "docker",
    "echo",
    "gh",
    "git",
    "helm",
    "printf",
    "sh",
    "version=$(sh",
];

fn text(value: &Value) -> &str {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value} is no text"))
}

#[test]
fn the_workflow_runs_what_is_there() {
    let workflow = &parsed(&repository().join(".github/workflows/release.yml"))[0];
    assert_eq!(workflow["on"]["push"]["tags"][0], "v*");
    let jobs = workflow["jobs"].as_object().unwrap();
    let mut uploads = BTreeSet::new();
    for (name, job) in jobs {
        let needs = match &job["needs"] {
            Value::Null => Vec::new(),
            Value::Array(needs) => needs.iter().map(text).collect(),
            one => vec![text(one)],
        };
        for need in &needs {
            assert!(jobs.contains_key(*need), "{name} needs {need}");
        }
        let whole = job.to_string();
        for (at, _) in whole.match_indices("needs.") {
            let rest = &whole[at + "needs.".len()..];
            let other = rest.split('.').next().unwrap();
            assert!(
                needs.contains(&other),
                "{name} asks for {other} without needing it"
            );
        }
        for step in job["steps"].as_array().unwrap() {
            match (&step["uses"], &step["run"]) {
                (uses, Value::Null) => {
                    let (action, version) = text(uses).split_once('@').unwrap();
                    assert!(
                        action.starts_with("actions/") && version.starts_with('v'),
                        "{action}"
                    );
                    if action == "actions/upload-artifact" {
                        uploads.insert(text(&step["with"]["name"]).to_owned());
                    }
                }
                (_, run) => check_commands(name, text(run)),
            }
        }
    }
    assert_eq!(uploads.len(), 2, "{uploads:?}");
}

/// Each command begins with a known tool, and each script of this repository is there. The shell reads all of it.
fn check_commands(job: &str, run: &str) {
    // What the runner puts in before the shell sees it.
    let mut plain = run.to_owned();
    while let Some((before, rest)) = plain.split_once("${{") {
        let (_, after) = rest.split_once("}}").unwrap();
        plain = format!("{before}x{after}");
    }
    let syntax = sh(&["-n", "-c", &plain]);
    assert!(syntax.status.success(), "{job}: {run}\n{}", said(&syntax));
    for line in plain
        .lines()
        .flat_map(|line| line.split("&&"))
        .flat_map(|line| line.split(" | "))
    {
        let first = line.split_whitespace().next().unwrap();
        assert!(TOOLS.contains(&first), "{job} runs {first:?}");
        for word in line
            .split([' ', '(', ')'])
            .filter(|word| word.starts_with("deploy/"))
        {
            assert!(repository().join(word).exists(), "{job} runs {word}");
        }
    }
}

#[test]
fn the_version_has_its_changes_and_its_way_of_upgrading() {
    let version = sh(&["deploy/release/version.sh", &format!("v{VERSION}")]);
    assert_eq!(String::from_utf8_lossy(&version.stdout).trim(), VERSION);
    let other = sh(&["deploy/release/version.sh", "v99.0.0"]);
    assert_eq!(other.status.code(), Some(1), "{}", said(&other));

    let notes = sh(&["deploy/release/notes.sh", VERSION]);
    assert!(notes.status.success(), "{}", said(&notes));
    assert!(said(&notes).contains("### Upgrading"), "{}", said(&notes));
    let none = sh(&["deploy/release/notes.sh", "99.0.0"]);
    assert_eq!(none.status.code(), Some(1), "{}", said(&none));
    let upgrading = text_of("docs/upgrade.md");
    assert!(
        upgrading.contains(&format!("## To {VERSION}")),
        "{upgrading}"
    );
}

#[test]
fn an_archive_holds_the_program_and_its_papers_and_is_the_same_each_time() {
    let dir = tempfile::tempdir().unwrap();
    let program = stand_in(dir.path());
    let pack = |into: &Path| {
        let arguments = [
            "deploy/release/archive.sh",
            program.to_str().unwrap(),
            VERSION,
            "x86_64-unknown-linux-gnu",
            into.to_str().unwrap(),
        ];
        let output = sh(&arguments);
        assert!(output.status.success(), "{}", said(&output));
        let path = into.join(format!(
            "lakehook-{VERSION}-x86_64-unknown-linux-gnu.tar.gz"
        ));
        assert_eq!(
            String::from_utf8_lossy(&output.stdout).trim(),
            path.to_str().unwrap()
        );
        path
    };
    let first = pack(&dir.path().join("first"));
    let second = pack(&dir.path().join("second"));
    assert_eq!(
        std::fs::read(&first).unwrap(),
        std::fs::read(second).unwrap()
    );
    let checked = Command::new("sha256sum")
        .args(["--check", "--quiet"])
        .arg(format!("{}.sha256", first.display()))
        .current_dir(first.parent().unwrap())
        .output()
        .unwrap();
    assert!(checked.status.success(), "{}", said(&checked));
    let unpacked = Command::new("tar")
        .args(["--extract", "--gzip", "--strip-components=1", "--file"])
        .arg(&first)
        .current_dir(dir.path())
        .status();
    assert!(unpacked.unwrap().success());
    for file in [
        "README.md",
        "LICENSE",
        "docs/operations.md",
        "man/lakehook-serve.1",
        "completions/_lakehook",
        "deploy/lakehook.service",
    ] {
        assert!(dir.path().join(file).exists(), "{file} is missing");
    }
    let version = Command::new(dir.path().join("lakehook"))
        .arg("--version")
        .stdin(Stdio::null())
        .output();
    assert!(said(&version.unwrap()).contains(VERSION));
}

#[test]
fn what_the_debian_package_holds_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let program = stand_in(dir.path());
    let prepared = dir.path().join("package");
    let made = sh(&[
        "deploy/release/prepare.sh",
        program.to_str().unwrap(),
        prepared.to_str().unwrap(),
    ]);
    assert!(made.status.success(), "{}", said(&made));

    let deb = &parsed(&repository().join("Cargo.toml"))["package"]["metadata"]["deb"];
    let mut targets = Vec::new();
    for asset in deb["assets"].as_array().unwrap() {
        let (source, target) = (text(&asset[0]), text(&asset[1]));
        targets.push(format!("/{target}"));
        if source == "target/release/lakehook" {
            continue;
        }
        let place = match source.strip_prefix("target/package/") {
            Some(made) => prepared.join(made),
            None => repository().join(source),
        };
        let (parent, pattern) = (
            place.parent().unwrap(),
            place.file_name().unwrap().to_str().unwrap(),
        );
        let (begin, end) = pattern.split_once('*').unwrap_or((pattern, ""));
        let entries = std::fs::read_dir(parent).unwrap_or_else(|error| panic!("{source}: {error}"));
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let found = names
            .filter(|name| name.starts_with(begin) && name.ends_with(end))
            .count();
        assert!(found > 0, "{source} is not there");
    }
    for file in deb["conf-files"].as_array().unwrap() {
        assert!(
            targets.contains(&text(file).to_owned()),
            "{file} is in no asset"
        );
    }
    assert!(prepared.join("systemd/lakehook.service").exists());
    assert_eq!(
        deb["systemd-units"]["unit-scripts"],
        "target/package/systemd"
    );
    for script in std::fs::read_dir(repository().join(text(&deb["maintainer-scripts"]))).unwrap() {
        let path = script.unwrap().path();
        let content = std::fs::read_to_string(&path).unwrap();
        assert!(content.contains("\n#DEBHELPER#\n"), "{}", path.display());
        let syntax = sh(&["-n", path.to_str().unwrap()]);
        assert!(syntax.status.success(), "{}", said(&syntax));
    }
}

#[test]
fn the_release_is_small_and_the_package_can_be_found() {
    let cargo = parsed(&repository().join("Cargo.toml"));
    assert_eq!(cargo["profile"]["release"]["strip"], true);
    assert_eq!(cargo["profile"]["profiling"]["strip"], false);
    for list in ["keywords", "categories"] {
        assert!(
            !cargo["package"][list].as_array().unwrap().is_empty(),
            "{list}"
        );
    }
}
