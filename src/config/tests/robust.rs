//! Loading always returns a configuration or errors, whatever is in the file or the environment.

use proptest::prelude::*;

use super::load;
use crate::mutated::mutations::{cases, changed, changes};

/// A file with most of its sections.
const CONFIG: &str = r#"
[server]
listen = "127.0.0.1:4000"
max_body = "8 MiB"
tokens = ["0123456789abcdef"]
[lake]
url = "s3://bucket/prefix"
endpoint = "http://localhost:4566"
[batch]
max_age = "300s"
format = "parquet"
[events]
types = ["click", "view"]
partition = "dt=%Y-%m-%d/hour=%H"
[hook.github]
scheme = "github"
secrets = ["a long enough secret"]
[poll.users]
url = "https://api.example.com/users"
records = "/users"
id = "user_id"
every = "15m"
pagination = { type = "offset", limit = 200, more = "/has_more" }
auth = { type = "header", name = "X-Key", value = "0123456789abcdef" }
"#;

/// Something that looks like a value, right or wrong.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>().prop_map(|number| format!("{number:?}")),
        any::<bool>().prop_map(|value| value.to_string()),
        "[0-9]{0,20} ?[a-zA-Z]{0,3}".prop_map(|text| format!("{text:?}")),
        "\\PC{0,20}".prop_map(|text| format!("{text:?}")),
        "(s3|http|gs)://[a-z:@/?.]{0,10}".prop_map(|text| format!("{text:?}")),
        prop::collection::vec("[a-z/]{0,3}", 0..3).prop_map(|items| format!("{items:?}")),
        Just("{ a = 1, b = { c = [] } }".to_owned()),
        Just("2026-11-20T00:00:00Z".to_owned()),
    ]
}

fn key() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "server.listen",
        "server.max_body",
        "server.max_events",
        "server.header_timeout",
        "server.tokens",
        "server.tokens_file",
        "server.cors_origins",
        "lake.url",
        "lake.endpoint",
        "lake.path_style",
        "wal.dir",
        "wal.max_bytes",
        "wal.segment_bytes",
        "dedup.max_ids",
        "dedup.ignore",
        "batch.max_age",
        "batch.format",
        "events.path",
        "events.types",
        "events.drop",
        "events.partition",
        "events.schemas",
        "log.level",
        "log",
        "unknown.key",
    ])
}

/// Words of the format, and values of the wrong kind.
const TOML: &[&[u8]] = &[
    b"[",
    b"]",
    b"[[",
    b"\"",
    b"'''",
    b"=",
    b".",
    b"{",
    b"}",
    b"\n",
    b"\\u",
    b"-1",
    b"inf",
    b"nan",
    b"1e400",
    b"99999999999999999999",
    b"[poll.x]\n",
    b"[hook.\"../x\"]\n",
    b"\"%\"",
    b"\"30 6 * * *\"",
    b"\"9 EiB\"",
    b"\xc3\xa9",
    b"\0",
    b"#",
    b"true",
    b"2026-11-20T00:00:00Z",
];

fn variable_of(key: &str) -> String {
    format!("LAKEHOOK_{}", key.replace('.', "__").to_uppercase())
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn no_settings_panic(
        file in prop::collection::btree_map(key(), value(), 0..6),
        variables in prop::collection::btree_map(key(), value(), 0..4),
    ) {
        let lines: Vec<String> =
            file.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
        let variables: Vec<(String, String)> = variables
            .into_iter()
            .map(|(key, value)| (variable_of(key), value.replace('\0', "")))
            .collect();
        let variables: Vec<(&str, &str)> =
            variables.iter().map(|(name, value)| (&**name, &**value)).collect();
        if let Err(errors) = load(&lines.concat(), &variables) {
            prop_assert!(!errors.contains("please report"), "{}", errors);
        }
    }

    /// A file is loaded or refused with errors, and no error is that of a bug.
    #[test]
    fn a_changed_file_is_read_or_its_errors_are_named(changes in changes(TOML)) {
        let text = changed(CONFIG.as_bytes(), &changes);
        if let Err(errors) = load(&String::from_utf8_lossy(&text), &[]) {
            prop_assert!(!errors.is_empty() && !errors.contains("please report"), "{}", errors);
        }
    }

    #[test]
    fn no_text_panics(
        text in "[\\[\\]{}a-z.=\"'\\\\ \n#0-9é]{0,60}",
        name in "[A-Z_]{0,12}",
        value in "[\\[\\]{}a-z=,\"'\\\\ 0-9é]{0,40}",
    ) {
        _ = load(&text, &[(&format!("LAKEHOOK_{name}"), &value)]);
        _ = load("", &[("LAKEHOOK_EVENTS__TYPES", &value)]);
    }
}

#[test]
fn deep_nesting_is_no_danger() {
    for (open, close) in [("[", "]"), ("{a=", "}")] {
        let deep = format!("{}1{}", open.repeat(100_000), close.repeat(100_000));
        assert!(load(&format!("events.types = {deep}"), &[]).is_err());
        assert!(load("", &[("LAKEHOOK_EVENTS__TYPES", &deep)]).is_err());
        assert!(load("", &[("LAKEHOOK_EVENTS__TYPES", &open.repeat(100_000))]).is_err());
    }
    let parts = "A__".repeat(10_000);
    assert!(load("", &[(&format!("LAKEHOOK_{parts}B"), "1")]).is_err());
}
