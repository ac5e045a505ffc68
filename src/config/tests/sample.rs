//! The sample file shows every key with its default.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use figment::providers::{Format as _, Toml};
use figment::value::Dict;

use super::super::shape::Shape;
use super::{environment, load_in};

const SAMPLE: &str = include_str!("../../../lakehook.toml");

/// The sample with those keys switched on that have no default.
fn with_optional_keys() -> String {
    let lines = SAMPLE.lines().map(|line| {
        let setting = line.strip_prefix("# ").filter(|rest| {
            let name = rest.split(" = ").next().unwrap();
            rest.contains(" = ") && name.chars().all(|c| c.is_ascii_lowercase() || c == '_')
        });
        setting.unwrap_or(line)
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_sample_is_the_defaults() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sample = load_in(Some(&dir.join("lakehook.toml")), environment(&[]), dir).unwrap();
    assert_eq!(sample.warnings, Vec::<String>::new());
    let elsewhere = tempfile::tempdir().unwrap();
    let defaults = load_in(None, environment(&[]), elsewhere.path()).unwrap();
    let here = format!("{:?}", sample.config);
    let there = format!("{:?}", defaults.config);
    let there = there.replace(elsewhere.path().to_str().unwrap(), dir.to_str().unwrap());
    assert_eq!(here, there);
}

#[test]
fn the_sample_has_every_key() {
    let sections: BTreeMap<String, Dict> = Toml::from_str(&with_optional_keys()).unwrap();
    let sample: BTreeSet<String> = sections
        .iter()
        .flat_map(|(section, keys)| keys.keys().map(move |key| format!("{section}.{key}")))
        .collect();
    let shape = Shape::new().unwrap();
    let keys_of = |section: &str| {
        let parent = [section.to_owned()];
        let keys = shape.names(&parent);
        keys.map(|key| format!("{section}.{key}"))
            .collect::<Vec<_>>()
    };
    let known: BTreeSet<String> = shape.names(&[]).flat_map(keys_of).collect();
    assert!(known.contains("server.listen"), "{known:?}");
    assert_eq!(sample, known);
}

#[test]
fn the_sample_values_of_optional_keys_are_of_the_right_shape() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("tokens"), "0123456789abcdef\n").unwrap();
    std::fs::write(dir.path().join("console-token"), "0123456789abcdef\n").unwrap();
    std::fs::write(dir.path().join("cluster.secret"), "0123456789abcdef\n").unwrap();
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n";
    std::fs::write(dir.path().join("signing-secrets"), secret).unwrap();
    let text = with_optional_keys().replace("data/lake", "s3://bucket/prefix");
    let loaded = super::load_from(dir.path(), &text, &[]).unwrap();
    assert_eq!(loaded.config.server.tokens.len(), 1);
    assert!(loaded.config.lake.kms_key_id.is_some());
}

/// The sections of a poll, switched on and with keys that fit together.
fn poll_sections() -> String {
    sections_between("#[poll.users]", "# Rows that go out to an API")
}

/// The sections that are commented out, switched on.
fn sections_between(first: &str, last: &str) -> String {
    let from = SAMPLE.find(first).unwrap();
    let to = SAMPLE.find(last).unwrap();
    let lines = SAMPLE[from..to].lines();
    let settings = lines.filter_map(|line| line.strip_prefix('#').filter(|line| !line.is_empty()));
    settings.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_sample_has_every_key_of_a_poll_with_its_default() {
    let sample: Dict = Toml::from_str(&poll_sections()).unwrap();
    let shape = Shape::new().unwrap();
    let users = ["poll".to_owned(), "users".to_owned()];
    for section in [
        "",
        "auth",
        "pagination",
        "watermark",
        "window",
        "guards",
        "each",
    ] {
        let mut path = users.to_vec();
        let mut dict = sample["poll"].as_dict().unwrap()["users"]
            .as_dict()
            .unwrap();
        if !section.is_empty() {
            path.push(section.to_owned());
            dict = dict[section].as_dict().unwrap();
        }
        let shown: BTreeSet<&str> = dict.keys().map(String::as_str).collect();
        let known: BTreeSet<&str> = shape.names(&path).collect();
        assert_eq!(shown, known, "{section}");
    }
}

#[test]
fn the_sample_has_every_key_of_an_inbox_with_its_default() {
    let text = sections_between("#[files.claims]", "[log]");
    let sample: Dict = Toml::from_str(&text).unwrap();
    let files = sample["files"].as_dict().unwrap()["claims"]
        .as_dict()
        .unwrap();
    let shape = Shape::new().unwrap();
    let claims = ["files".to_owned(), "claims".to_owned()];
    for section in ["", "csv", "guards"] {
        let (mut path, mut dict) = (claims.to_vec(), files);
        if !section.is_empty() {
            path.push(section.to_owned());
            dict = dict[section].as_dict().unwrap();
        }
        let shown: BTreeSet<&str> = dict.keys().map(String::as_str).collect();
        let known: BTreeSet<&str> = shape.names(&path).collect();
        assert_eq!(shown, known, "{section}");
    }
    // Without the keys that have no default, the section is the default one.
    let optional = [
        "records",
        "schema",
        "id",
        "every",
        "cron",
        "ready",
        "min_records",
        "max_shrink",
        "service_date",
    ];
    let lines = text.lines().filter(|line| {
        let key = line.split(" = ").next().unwrap_or_default();
        !optional.contains(&key)
    });
    let lines: Vec<&str> = lines.collect();
    let dir = tempfile::tempdir().unwrap();
    let loaded = super::load_from(dir.path(), &lines.join("\n"), &[]).unwrap();
    let defaults = crate::config::Inbox {
        path: dir.path().join("inbox/claims/*.csv"),
        ..crate::config::Inbox::default()
    };
    let shown = format!("{:?}", loaded.config.files["claims"]);
    assert_eq!(shown, format!("{defaults:?}"));
}

#[test]
fn the_sample_has_every_key_of_an_api() {
    let text = sections_between("#[api.crm]", "#[poll.users]");
    let text: Vec<&str> = text.lines().filter(|line| !line.starts_with(' ')).collect();
    let sample: Dict = Toml::from_str(&text.join("\n")).unwrap();
    let api = sample["api"].as_dict().unwrap()["crm"].as_dict().unwrap();
    let shown: BTreeSet<&str> = api.keys().map(String::as_str).collect();
    let shape = Shape::new().unwrap();
    let path = ["api".to_owned(), "crm".to_owned()];
    let known: BTreeSet<&str> = shape.names(&path).collect();
    assert_eq!(shown, known);
}

#[test]
fn the_samples_defaults_of_a_poll_are_those_that_hold() {
    let text = poll_sections();
    let defaults = [
        "jitter",
        "time_zone",
        "mode",
        "rate_limit",
        "connect_timeout",
        "timeout",
        "budget",
        "max_pages",
        "max_bytes",
        "max_records",
        "max_record",
        "allow_hosts",
        "records",
        "records_as",
        "format",
        "empty",
    ];
    let lines = text.lines().take_while(|line| !line.contains(".auth]"));
    let kept = lines.filter(|line| {
        defaults
            .iter()
            .any(|key| line.starts_with(&format!("{key} = ")))
    });
    let kept: Vec<&str> = kept.collect();
    assert_eq!(kept.len(), defaults.len());
    let load = |more: &str| {
        let text = format!("[poll.users]\nurl = \"http://localhost/\"\n{more}");
        let dir = tempfile::tempdir().unwrap();
        let loaded = super::load_from(dir.path(), &text, &[]).unwrap();
        format!("{:?}", loaded.config.poll)
    };
    assert_eq!(load(&kept.join("\n")), load(""));
}

#[test]
fn the_sample_has_every_key_of_a_call_with_its_default() {
    let text = sections_between("#[call.ihc]", "# One section for each inbox");
    let sample: Dict = Toml::from_str(&text).unwrap();
    let call = sample["call"].as_dict().unwrap()["ihc"].as_dict().unwrap();
    let shown: BTreeSet<&str> = call.keys().map(String::as_str).collect();
    let shape = Shape::new().unwrap();
    let path = ["call".to_owned(), "ihc".to_owned()];
    let known: BTreeSet<&str> = shape.names(&path).collect();
    assert_eq!(shown, known);
    let defaults = [
        "settle",
        "method",
        "chunk",
        "missing",
        "max_calls",
        "max_answer",
        "timeout",
        "budget",
    ];
    let load = |more: &[&str]| {
        let more = more.join("\n");
        let text = format!(
            "[api.crm]\nurl = \"http://localhost/\"\n[call.ihc]\nrows = \"o\"\napi = \"crm\"\n{more}"
        );
        let dir = tempfile::tempdir().unwrap();
        let loaded = super::load_from(dir.path(), &text, &[]).unwrap();
        format!("{:?}", loaded.config.call).replace(dir.path().to_str().unwrap(), "")
    };
    let kept = text.lines().filter(|line| {
        let key = line.split(" = ").next().unwrap_or_default();
        defaults.contains(&key)
    });
    // An empty list of statuses is for lookups and other calls alike.
    let kept: Vec<&str> = kept.collect();
    assert_eq!(kept.len(), defaults.len());
    assert_eq!(load(&kept), load(&[]));
}

#[test]
fn the_sample_has_every_key_of_a_hook() {
    let sample: Dict = Toml::from_str(&sections_between("#[hook.github]", "[polls]")).unwrap();
    let hook = sample["hook"].as_dict().unwrap()["github"]
        .as_dict()
        .unwrap();
    let shown: BTreeSet<&str> = hook.keys().map(String::as_str).collect();
    let shape = Shape::new().unwrap();
    let path = ["hook".to_owned(), "github".to_owned()];
    let known: BTreeSet<&str> = shape.names(&path).collect();
    assert_eq!(shown, known);
}
