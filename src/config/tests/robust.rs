//! Whatever is in the file or the environment, loading answers.

use proptest::prelude::*;

use super::load;

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

fn variable_of(key: &str) -> String {
    format!("LAKEHOOK_{}", key.replace('.', "__").to_uppercase())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

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
