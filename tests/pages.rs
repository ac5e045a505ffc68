//! What pages say to type: every configuration on them is sound, every command is one that the program takes, and those
//! that need nothing but a service are run.
//!
//! README is played by `first_hour.rs`, providers and APIs by the tests of their pages, readers by `readers.rs`.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::Value;

use crate::http::{body, event};
use crate::support::http::Connection;
use crate::support::process::Setup;
use crate::support::python::{python, repository};

/// Programs that pages name and that these tests do not run.
const OTHERS: [&str; 22] = [
    "apt",
    "cargo",
    "cp",
    "curl",
    "docker",
    "duckdb",
    "helm",
    "install",
    "journalctl",
    "kubectl",
    "make",
    "openssl",
    "python3",
    "sh",
    "sha256sum",
    "sudo",
    "systemctl",
    "tar",
    ".duckdb/bin/pip",
    ".duckdb/bin/python",
    "mkdir",
    "rm",
];
/// Pages whose commands are run beside a service.
const RUN: [&str; 5] = ["querying", "operations", "recipes", "hooks", "privacy"];
const EVENT_ID: &str = "7f1f9a0e-4a4f-4d7a-9c57-0d3b8a6c1e11";
const REQUEST_ID: &str = "0d3b8a6c1e117f1f";

/// README and the pages of `docs/`, by name, with their text.
fn pages() -> Vec<(String, String)> {
    let root = repository();
    let docs = std::fs::read_dir(root.join("docs")).unwrap();
    let mut paths: Vec<PathBuf> = docs.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "md"));
    paths.push(root.join("README.md"));
    paths.sort();
    let read = |path: PathBuf| {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        (name, std::fs::read_to_string(path).unwrap())
    };
    paths.into_iter().map(read).collect()
}

/// The blocks of a language on a page.
fn blocks<'t>(text: &'t str, language: &str) -> Vec<&'t str> {
    let begin = format!("```{language}\n");
    let parts = text.split(&begin).skip(1);
    parts
        .map(|part| part.split("```").next().unwrap())
        .collect()
}

/// Makes the files of secrets that a configuration names.
fn make_files(dir: &Path, text: &str) {
    let names = text.match_indices("_file = \"").map(|(at, key)| {
        let rest = &text[at + key.len()..];
        rest.split('"').next().unwrap()
    });
    for name in names {
        let path = dir.join(name);
        std::fs::write(&path, "0123456789abcdef0123456789abcdef\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
}

/// A part of a section, as pages show it, is one of a poll or of files.
fn as_a_whole(page: &str, block: &str) -> String {
    let block = block.replace("/etc/lakehook/", "");
    let first = block
        .lines()
        .find(|line| !line.is_empty() && !line.starts_with('#'));
    if first.is_none_or(|line| line.starts_with('[')) {
        return block;
    }
    match page {
        "files" => format!("[files.part]\npath = \"inbox/*.csv\"\nid = \"none\"\n{block}"),
        _ => format!("[poll.part]\nurl = \"https://api.example.com/part\"\n{block}"),
    }
}

/// What a part of a configuration may lack, since another part has it.
const ELSEWHERE: [&str; 3] = [
    "must be a URL such as",
    "there is no API",
    "needs a path, which follows the url of the API",
];

#[test]
fn every_configuration_on_a_page_is_sound() {
    let (mut checked, mut wrong) = (0, Vec::new());
    for (page, text) in pages() {
        // Those of providers are read with keys of their own, by another test.
        if page == "hooks" {
            continue;
        }
        for block in blocks(&text, "toml") {
            let block = as_a_whole(&page, block);
            let setup = Setup::new(&block);
            make_files(setup.directory(), &block);
            let output = setup.run(&["config"]);
            checked += 1;
            let said = said(&output);
            let is_elsewhere = |line: &str| ELSEWHERE.iter().any(|words| line.contains(words));
            let mut problems = said.lines().filter(|line| line.starts_with("  "));
            if !output.status.success() && !problems.all(is_elsewhere) {
                wrong.push(format!("{page}:\n{block}\n{said}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert!(checked > 35, "{checked}");
}

fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

/// A program of this name in a directory.
fn put_program(dir: &Path, name: &str, text: &str) {
    let path = dir.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, format!("#!/bin/bash\n{text}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// Types a block where nobody else is in PATH.
fn type_in(dir: &Path, path: &str, block: &str) -> Output {
    Command::new("/bin/bash")
        .args(["-euo", "pipefail", "-c", block])
        .current_dir(dir)
        .env_clear()
        .env("PATH", path)
        .env("HOME", dir)
        .output()
        .unwrap()
}

#[test]
fn every_command_on_a_page_is_one_that_there_is() {
    let dir = tempfile::tempdir().unwrap();
    let bin = dir.path().join("bin");
    for name in OTHERS {
        let home = if name.contains('/') { dir.path() } else { &bin };
        put_program(home, name, "exit 0");
    }
    // The arguments are read before the help is printed.
    let program = env!("CARGO_BIN_EXE_lakehook");
    put_program(&bin, "lakehook", &format!("exec {program} \"$@\" --help"));
    for dir_of_home in [
        ".local/share/bash-completion/completions",
        ".local/share/man/man1",
    ] {
        std::fs::create_dir_all(dir.path().join(dir_of_home)).unwrap();
    }
    let (mut typed, mut wrong) = (0, Vec::new());
    for (page, text) in pages() {
        for block in blocks(&text, "sh") {
            let output = type_in(dir.path(), bin.to_str().unwrap(), block);
            typed += 1;
            if !output.status.success() {
                wrong.push(format!("{page}:\n{block}\n{}", said(&output)));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert!(typed > 30, "{typed}");
}

/// A service that has what the pages ask for, and its configuration in its directory.
fn prepared() -> Setup {
    let setup = Setup::new(
        "[batch]\nmax_age = \"1s\"\n[events]\non_invalid = \"quarantine\"\n\
         [hook.github]\nscheme = \"github\"\nsecrets = [\"0123456789abcdef\"]\n\
         [poll.users]\nurl = \"http://127.0.0.1:9/users\"\n[polls]\nmax_bytes = \"64 MiB\"\n[wal]\nmax_bytes = \"64 MiB\"\n",
    );
    setup.env("LAKEHOOK_LOG__LEVEL", "warn")
}

fn send(setup: &Setup) {
    let own = event(1, "purchase", r#"{"amount":9.5,"product_id":"p-1"}"#);
    let own = own.replace(&crate::http::id(1), EVENT_ID);
    let unknown = event(2, "clack", "{}");
    let large = event(3, "purchase", r#"{"amount":1e300,"product_id":"p-1"}"#);
    let headers = [
        ("content-type", "application/json"),
        ("x-request-id", REQUEST_ID),
    ];
    let mut connection = Connection::open(setup.address(), Duration::from_secs(20)).unwrap();
    let text = body(&[own, unknown, large]);
    let answer = connection.request("POST", crate::http::PATH, &headers, text.as_bytes());
    assert_eq!(answer.unwrap().status, 200);
}

#[test]
fn commands_that_need_a_service_alone_are_run() {
    let setup = prepared();
    let program = setup.start();
    send(&setup);
    let path = format!(
        "{}:{}:{}",
        Path::new(env!("CARGO_BIN_EXE_lakehook"))
            .parent()
            .unwrap()
            .display(),
        python().parent().unwrap().display(),
        std::env::var("PATH").unwrap()
    );
    let lake = setup.directory().join("data/lake/quarantine");
    while !lake.exists() {
        std::thread::sleep(Duration::from_millis(100));
    }
    let all = pages();
    for wanted in RUN {
        let (_, text) = all.iter().find(|(page, _)| page == wanted).unwrap();
        for block in blocks(text, "sh") {
            let block = format!("export LAKEHOOK_SERVER__CONSOLE_LISTEN=off\n{block}");
            let output = type_in(setup.directory(), &path, &block);
            assert!(
                output.status.success(),
                "{wanted}:\n{block}\n{}",
                said(&output)
            );
        }
    }
    assert!(program.stop(Duration::from_secs(30)).success());
}

/// The page about own events: what it has one type is accepted, and answered as it says.
#[test]
fn the_event_of_the_page_about_own_events_is_accepted_as_typed() {
    let setup = Setup::new("[wal]\nmax_bytes = \"64 MiB\"\n[events]\ncontract = \"open\"\n");
    let program = setup.start();
    let all = pages();
    let (_, text) = all.iter().find(|(page, _)| page == "own-events").unwrap();
    let typed = blocks(text, "sh");
    let command = typed
        .iter()
        .find(|block| block.starts_with("curl "))
        .unwrap();
    let command = command.replace("127.0.0.1:4000", &setup.address().to_string());
    let path = std::env::var("PATH").unwrap();
    let output = type_in(setup.directory(), &path, &command);
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let promised: Value = serde_json::from_str(blocks(text, "json")[0]).unwrap();
    for (name, value) in promised.as_object().unwrap() {
        if name == "event_ids" {
            assert_eq!(answer[name].as_array().unwrap().len(), 1, "{answer}");
        } else {
            assert_eq!(answer[name], *value, "{name}: {answer}");
        }
    }
    assert!(program.stop(Duration::from_secs(30)).success());
}
