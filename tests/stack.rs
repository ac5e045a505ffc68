//! What is shipped around the program: container, compose file, unit, policy and alerts name only things that
//! are there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::http;
use crate::support::process::Setup;
use crate::support::python::{python, repository};

pub(crate) fn read(path: &str) -> String {
    std::fs::read_to_string(repository().join(path)).unwrap()
}

/// A YAML file, as JSON.
pub(crate) fn yaml(path: &str) -> Value {
    let code = "import json, sys, yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1]))))";
    let output = std::process::Command::new(python())
        .args(["-c", code, repository().join(path).to_str().unwrap()])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

pub(crate) fn texts(list: &Value) -> Vec<String> {
    let list = list.as_array().into_iter().flatten();
    list.map(|text| text.as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_stacks_configuration_is_sound_but_for_the_lake_that_is_not_there() {
    let compose = yaml("docker-compose.yml");
    let services = &compose["services"];
    for service in ["localstack", "lakehook", "data_server", "dbt_pipeline"] {
        assert!(services[service].is_object(), "{service}");
        for mount in texts(&services[service]["volumes"]) {
            let source = mount.split(':').next().unwrap();
            let is_file = source.starts_with("./");
            assert!(!is_file || repository().join(source).exists(), "{mount}");
            assert!(
                is_file || compose["volumes"].get(source).is_some(),
                "{mount}"
            );
        }
    }
    assert_eq!(
        services["localstack"]["image"],
        "localstack/localstack:4.14"
    );
    let setup = Setup::new("");
    // As in the container: the mounted file, and the environment of the service over it.
    let dir = setup.directory().to_str().unwrap().to_owned();
    let mut setup = setup;
    for (name, value) in services["lakehook"]["environment"].as_object().unwrap() {
        if name.contains("__") {
            setup = setup.env(name, value.as_str().unwrap());
        }
    }
    std::fs::create_dir(setup.directory().join("schemas")).unwrap();
    for name in ["user.json", "content.json"] {
        let text = read(&format!("schemas/{name}"));
        std::fs::write(setup.directory().join("schemas").join(name), text).unwrap();
    }
    let config = read("deploy/compose/lakehook.toml").replace("/data/", &format!("{dir}/"));
    setup.configure(&config.replace("http://localstack:4566", "http://127.0.0.1:9"));
    let checked = setup.run(&["check"]);
    let said = String::from_utf8(checked.stdout).unwrap();
    let problems: Vec<&str> = said
        .lines()
        .filter(|line| line.starts_with("problem"))
        .collect();
    assert_eq!(problems.len(), 1, "{said}");
    assert!(problems[0].contains("lake s3://lake/raw"), "{said}");
    assert!(said.contains("ok       polls content, users"), "{said}");
}

/// What the services run is in the folders that they mount, with the options that it has.
#[test]
fn the_stacks_commands_are_there() {
    let compose = yaml("docker-compose.yml");
    let service = &compose["services"]["data_server"];
    assert_eq!(texts(&service["volumes"]), ["./examples/hallow:/hallow:ro"]);
    let command = texts(&service["command"]).join(" ");
    let script = read("localstack/make-bucket.sh");
    for text in [command.as_str(), script.as_str()] {
        let words = text.split(|c: char| c.is_whitespace() || c == '"');
        let files: Vec<&str> = words
            .filter_map(|word| word.strip_prefix("/hallow/"))
            .collect();
        assert!(!files.is_empty(), "{text}");
        for file in files {
            let path = repository().join("examples/hallow").join(file);
            let help = std::process::Command::new(python())
                .args([path.to_str().unwrap(), "--help"])
                .output()
                .unwrap();
            let help = String::from_utf8(help.stdout).unwrap();
            let own = text.split("&&").find(|part| part.contains(file)).unwrap();
            for option in own.split(' ').filter(|word| word.starts_with("--")) {
                assert!(
                    text == script || help.contains(option),
                    "{option} of {file}"
                );
            }
        }
    }
    let mounts = texts(&compose["services"]["localstack"]["volumes"]);
    assert!(mounts.contains(&"./examples/hallow:/hallow:ro".to_owned()));
}

/// What the images copy is there, and is sent to the build.
#[test]
fn the_images_copy_only_what_there_is() {
    let sent = read(".dockerignore");
    for (dockerfile, copies) in [("Dockerfile", 2), ("analytics/Dockerfile", 1)] {
        let text = read(dockerfile);
        let copied = text.lines().filter_map(|line| line.strip_prefix("COPY "));
        let copied: Vec<&str> = copied
            .filter(|line| !line.starts_with("--from"))
            .filter_map(|line| line.split(' ').next())
            .collect();
        assert_eq!(copied.len(), copies, "{dockerfile}");
        for path in copied.into_iter().filter(|path| *path != ".") {
            assert!(repository().join(path).exists(), "{path}");
            let is_sent = sent.lines().any(|line| {
                line.strip_prefix('!')
                    .is_some_and(|kept| Path::new(path).starts_with(kept))
            });
            assert!(is_sent, "{path}");
        }
    }
    let project = read("analytics/pyproject.toml");
    let pinned = read("analytics/requirements.txt");
    let wanted: Vec<&str> = project
        .lines()
        .filter_map(|line| line.trim().strip_prefix('"')?.strip_suffix("\","))
        .collect();
    assert!(wanted.len() >= 4, "{wanted:?}");
    for package in wanted {
        assert!(pinned.lines().any(|line| line == package), "{package}");
    }
}

#[test]
fn the_images_configuration_holds() {
    let setup = Setup::new("").env("LAKEHOOK_SERVER__LISTEN", "0.0.0.0:4000");
    let dir = setup.directory().to_str().unwrap().to_owned();
    let config = read("deploy/image/lakehook.toml");
    setup.configure(&config.replace("/data/", &format!("{dir}/data/")));
    // It listens beyond its container, so it wants tokens.
    let refused = setup.run(&["check"]);
    assert_eq!(refused.status.code(), Some(2));
    let setup = setup.env("LAKEHOOK_SERVER__TOKENS", "[\"0123456789abcdef\"]");
    let checked = setup.run(&["check"]);
    let said = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(checked.status.success(), "{said}");
    assert!(!said.contains("warning"), "{said}");
    let dockerfile = read("Dockerfile");
    for line in [
        "COPY deploy/image/lakehook.toml /etc/lakehook/lakehook.toml",
        "LAKEHOOK_CONFIG=/etc/lakehook/lakehook.toml",
        "LAKEHOOK_VOLUME=/data",
        "USER nonroot",
        "VOLUME /data",
        "[\"/lakehook\", \"health\"]",
    ] {
        assert!(dockerfile.contains(line), "{line}");
    }
}

#[test]
fn a_mounted_configuration_leaves_no_rows_behind_in_the_volume() {
    let setup = Setup::new("");
    let volume = setup.directory().join("volume");
    let former = volume.join("wal");
    let config = |dir: &Path| {
        format!(
            "[lake]\nurl = \"lake\"\n[wal]\nmax_bytes = \"64 MiB\"\ndir = \"{}\"\n",
            dir.display()
        )
    };
    let setup = setup.env("LAKEHOOK_VOLUME", volume.to_str().unwrap());
    setup.configure(&config(&former));
    let program = setup.start();
    let answer = crate::http::post(&setup, crate::http::body(&[crate::http::click(1)]));
    assert_eq!(answer.json()["accepted"], 1, "{}", answer.text());
    program.kill();
    setup.configure(&config(&setup.directory().join("elsewhere")));
    let refused = setup.run(&["serve"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    let expected = format!(
        "1 rows in {} are not in the lake yet, and wal.dir is",
        former.display()
    );
    assert!(said.contains(&expected), "{said}");
    setup.configure(&config(&former));
    let program = setup.start();
    assert!(program.stop(crate::arrival::STOP_LIMIT).success());
    setup.configure(&config(&setup.directory().join("elsewhere")));
    drop(setup.start());
}

#[test]
fn what_the_image_is_built_of_is_sent_to_the_build() {
    let sent = read(".dockerignore");
    let manifest = read("Cargo.toml");
    let paths = manifest
        .lines()
        .filter_map(|line| line.strip_prefix("path = \""));
    let mut checked = 0;
    for path in paths.map(|path| path.trim_end_matches('"')) {
        let first = path.split('/').next().unwrap();
        let is_sent = sent.lines().any(|line| {
            line == format!("!{first}")
                || (line == "!tests/*.rs" && first == "tests" && path.matches('/').count() == 1)
        });
        assert!(is_sent, "{path}");
        checked += 1;
    }
    assert!(checked >= 5, "{checked}");
    assert!(manifest.contains("members = [\"crates/*\"]"));
    assert!(sent.lines().any(|line| line == "!crates"));
}

#[test]
fn alerts_name_metrics_that_there_are() {
    let setup = Setup::new("[poll.things]\nurl = \"http://127.0.0.1:9/\"\n");
    let program = setup.start();
    let metrics = http::get(setup.address(), "/metrics").unwrap().text();
    drop(program);
    let known: BTreeSet<&str> = metrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .filter_map(|line| line.split(' ').next())
        .collect();
    let rules = yaml("deploy/prometheus-rules.yml");
    let rules = rules["groups"][0]["rules"].as_array().unwrap();
    assert!(rules.len() >= 10);
    for rule in rules {
        let expression = rule["expr"].as_str().unwrap();
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let words = expression.split(|c| !is_part(c));
        for word in words.filter(|word| word.starts_with("lakehook_")) {
            let base = word.trim_end_matches("_count").trim_end_matches("_bucket");
            assert!(
                known.contains(word) || known.contains(base),
                "{word} of {}",
                rule["alert"]
            );
        }
    }
}

#[test]
fn the_policy_lets_nothing_be_deleted() {
    let policy: Value = serde_json::from_str(&read("deploy/iam-policy.json")).unwrap();
    let statements = policy["Statement"].as_array().unwrap();
    let mut actions = BTreeSet::new();
    for statement in statements {
        assert_eq!(statement["Effect"], "Allow");
        match &statement["Action"] {
            Value::String(action) => _ = actions.insert(action.clone()),
            list => actions.extend(texts(list)),
        }
    }
    let expected = ["s3:GetObject", "s3:ListBucket", "s3:PutObject"];
    assert_eq!(actions, expected.map(str::to_owned).into());
}

/// Retention removes rows and markers of runs; what proves the rest is out of its reach.
#[test]
fn the_policy_of_erasure_and_retention_reaches_no_notes() {
    let policy: Value = serde_json::from_str(&read("deploy/iam-policy-erase.json")).unwrap();
    let statements = policy["Statement"].as_array().unwrap();
    let deletes: Vec<&Value> = statements
        .iter()
        .filter(|statement| statement["Action"] == "s3:DeleteObject")
        .collect();
    let [statement] = deletes[..] else {
        panic!("{deletes:?}");
    };
    let prefixes = texts(&statement["Resource"]);
    let prefixes: Vec<&str> = prefixes
        .iter()
        .map(|text| text.strip_prefix("arn:aws:s3:::my-lake/raw/").unwrap())
        .collect();
    let expected = ["events/*", "quarantine/*", "users/*", "_lakehook/runs/*"];
    assert_eq!(prefixes, expected);
}

#[test]
fn the_unit_starts_commands_that_there_are() {
    let unit = read("deploy/lakehook.service");
    let setup = Setup::new("");
    let commands = unit.lines().filter_map(|line| {
        let (key, command) = line.split_once('=')?;
        key.starts_with("ExecStart").then_some(command)
    });
    let mut seen = Vec::new();
    for command in commands {
        let words: Vec<&str> = command.split(' ').collect();
        assert_eq!(Path::new(words[0]).file_name(), Some("lakehook".as_ref()));
        assert!(
            setup.run(&[words[1], "--help"]).status.success(),
            "{command}"
        );
        seen.push(words[1]);
    }
    assert_eq!(seen, ["serve"]);
    let config = read("deploy/lakehook.toml");
    setup.configure(&config.replace("/var/lib/lakehook", setup.directory().to_str().unwrap()));
    let checked = setup.run(&["check"]);
    assert!(
        checked.status.success(),
        "{}",
        String::from_utf8_lossy(&checked.stdout)
    );
    for line in [
        "DynamicUser=yes",
        "ProtectSystem=strict",
        "NoNewPrivileges=yes",
        "MemoryDenyWriteExecute=yes",
    ] {
        assert!(unit.contains(line), "{line}");
    }
    let script = PathBuf::from("localstack/make-bucket.sh");
    assert!(read(script.to_str().unwrap()).contains("create-bucket --bucket lake"));
}
