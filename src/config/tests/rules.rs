//! Each rule has a case that breaks it, and one at the edge that does not.

use super::{error, load};

/// Checks that each text has exactly one error, at this key and with these words.
pub(super) fn refused(cases: &[(&str, &str, &str)]) {
    for (text, key, words) in cases {
        let error = error(text);
        assert!(
            error.contains(&format!("lakehook.toml: {key} (line ")),
            "{text}: {error}"
        );
        assert!(error.contains(words), "{text}: {error}");
    }
}

/// Checks that all texts are accepted without a warning.
pub(super) fn taken(texts: &[&str]) {
    for text in texts {
        let loaded = load(text, &[]).unwrap();
        assert_eq!(loaded.warnings, Vec::<String>::new(), "{text}");
    }
}

/// Checks that each text is accepted with one warning, which contains these words.
fn warned(cases: &[(&str, &str)]) {
    for (text, words) in cases {
        let warnings = load(text, &[]).unwrap().warnings;
        assert_eq!(warnings.len(), 1, "{text}: {warnings:?}");
        assert!(warnings[0].contains(words), "{text}: {warnings:?}");
    }
}

#[test]
fn shapes() {
    refused(&[
        ("server = 5", "server", "must be a section"),
        (
            "server.listen = 5",
            "server.listen",
            "must be text in quotes",
        ),
        (
            "server.listen = \"localhost:80\"",
            "server.listen",
            "127.0.0.1:4000",
        ),
        (
            "server.max_events = 1.5",
            "server.max_events",
            "must be a whole number",
        ),
        (
            "server.max_events = 0",
            "server.max_events",
            "must be at least 1",
        ),
        (
            "server.max_events = 1e30",
            "server.max_events",
            "must be a whole number",
        ),
        (
            "server.max_connections = 0",
            "server.max_connections",
            "at least 1",
        ),
        (
            "server.rate_limit = 1_000_001",
            "server.rate_limit",
            "at most 1000000",
        ),
        ("server.rate_burst = 0", "server.rate_burst", "at least 1"),
        (
            "server.max_body = -1",
            "server.max_body",
            "must be at least 0",
        ),
        (
            "server.max_body = true",
            "server.max_body",
            "must be a size",
        ),
        (
            "server.body_timeout = []",
            "server.body_timeout",
            "must be a duration",
        ),
        (
            "server.body_timeout = \"1x\"",
            "server.body_timeout",
            "is not a duration",
        ),
        ("server.tokens = \"x\"", "server.tokens", "must be a list"),
        (
            "server.tokens = [1]",
            "server.tokens",
            "entry 1 must be text",
        ),
        (
            "lake.path_style = \"yes\"",
            "lake.path_style",
            "must be true or false",
        ),
        ("lake.url = \"\"", "lake.url", "must not be empty"),
        ("wal.dir = \"\"", "wal.dir", "must not be empty"),
        ("dedup.max_ids = 0", "dedup.max_ids", "at least 1"),
        ("batch.max_records = 0", "batch.max_records", "at least 1"),
        (
            "batch.format = \"parket\"",
            "batch.format",
            "must be one of \"ndjson.zst\"",
        ),
        ("events.types = []", "events.types", "must not be empty"),
        ("events.sources = []", "events.sources", "must not be empty"),
        (
            "events.sources = [\"\"]",
            "events.sources",
            "must not be empty",
        ),
        (
            "log.level = \"warning\"",
            "log.level",
            "did you mean \"warn\"?",
        ),
    ]);
    taken(&[
        "server.max_events = 1e3",
        "server.max_body = 1048576",
        "log.format = \"text\"",
    ]);
}

#[test]
fn timeouts() {
    for key in ["header_timeout", "body_timeout", "idle_timeout"] {
        let key = format!("server.{key}");
        refused(&[(&format!("{key} = 0"), &key, "must be more than 0")]);
        taken(&[&format!("{key} = \"1ms\"")]);
    }
    refused(&[(
        "events.max_age = \"0s\"",
        "events.max_age",
        "must be more than 0",
    )]);
    taken(&["events.max_ahead = 0", "server.shutdown_grace = 0"]);
}

#[test]
fn request_sizes() {
    refused(&[
        (
            "server.max_event = \"9 MiB\"",
            "server.max_event",
            "at most server.max_body",
        ),
        (
            "server.max_event = 0",
            "server.max_event",
            "must be more than 0",
        ),
        (
            "server.memory = \"31 MiB\"",
            "server.memory",
            "at least four times server.max_body",
        ),
        (
            "server.max_body = \"13 MiB\"",
            "server.max_body",
            "lower server.max_body or",
        ),
        (
            "server.max_events = 26_500",
            "server.max_events",
            "lower server.max_body or",
        ),
    ]);
    taken(&[
        "server.max_event = \"8 MiB\"",
        "server.memory = \"32 MiB\"",
        "server.max_body = \"12 MiB\"",
        "server.max_events = 26_000",
    ]);
    warned(&[(
        "wal.max_bytes = \"24 MiB\"",
        "never have room for a request",
    )]);
}

#[test]
fn lakes() {
    let s3 = "lake.url = \"s3://my-lake\"\n";
    for endpoint in [
        "localhost:4566",
        "ftp://localhost",
        "http://",
        "http://me:pw@localhost",
        "http://localhost/?x",
        "http://localhost:99999",
        "",
    ] {
        let text = format!("{s3}lake.endpoint = \"{endpoint}\"");
        refused(&[(
            &text,
            "lake.endpoint",
            "must be the http:// or https:// address",
        )]);
    }
    let endpoint = "lake.endpoint = \"http://localhost:4566\"\n";
    refused(&[
        (endpoint, "lake.endpoint", "needs a bucket"),
        ("lake.url = \"file:///x\"", "lake.url", "plain path"),
        ("lake.url = \"s3://x\"", "lake.url", "must name a bucket"),
        (
            "lake.url = \"s3://my-lake/source=web\"",
            "lake.url",
            "must not have source=… in its path",
        ),
        ("lake.url = \"data/DT=1\"", "lake.url", "the column dt of"),
        (
            "lake.url = \"data/hour=1\"\nevents.partition = \"dt=%Y-%m-%d/hour=%H\"",
            "lake.url",
            "the column hour of",
        ),
    ]);
    taken(&[
        s3,
        "lake.url = \"data/env=prod\"",
        &format!("{s3}{endpoint}lake.region = \"x\"\nlake.path_style = false"),
    ]);
    warned(&[
        (
            "lake.region = \"x\"",
            "lakehook.toml: lake.region (line 1): has no effect",
        ),
        ("lake.path_style = true", "has no effect"),
        ("lake.kms_key_id = \"x\"", "has no effect"),
    ]);
}

#[test]
fn logs() {
    refused(&[
        (
            "wal.max_bytes = 16_777_215",
            "wal.max_bytes",
            "must be at least 16 MiB",
        ),
        (
            "wal.segment_bytes = \"1000 KiB\"",
            "wal.segment_bytes",
            "must be at least 1 MiB",
        ),
        (
            "wal.segment_bytes = \"3 GiB\"",
            "wal.segment_bytes",
            "at least 4 segments",
        ),
    ]);
    let small =
        "server.max_body = \"1 MiB\"\nserver.max_events = 1000\nwal.max_bytes = \"16 MiB\"\n";
    taken(&[
        small,
        &format!("{small}wal.segment_bytes = \"4 MiB\""),
        "wal.segment_bytes = \"2560 MiB\"",
    ]);
    let segment = |text: &str| load(text, &[]).unwrap().config.wal.segment_size().bytes();
    assert_eq!(segment(small), 1 << 20);
    assert_eq!(segment("wal.max_bytes = \"512 MiB\""), 32 << 20);
    assert_eq!(segment("wal.segment_bytes = \"2 MiB\""), 2 << 20);
}

#[test]
fn directories() {
    refused(&[
        (
            "wal.dir = \"data/lake\"",
            "wal.dir",
            "must not be the same directory",
        ),
        (
            "wal.dir = \"x/../data/lake/wal\"",
            "wal.dir",
            "must not contain one another",
        ),
        (
            "lake.url = \"data/wal/lake\"",
            "lake.url",
            "must not contain one another",
        ),
        (
            "lake.url = \".\"",
            "lake.url",
            "must not contain one another",
        ),
    ]);
    taken(&[
        "wal.dir = \"data/lake-wal\"",
        "lake.url = \"s3://my-lake\"\nwal.dir = \".\"",
    ]);
}

#[test]
fn identities_batches_and_quarantine() {
    refused(&[
        (
            "dedup.ignore = [\"sent_at\"]",
            "dedup.ignore",
            "starts with a slash",
        ),
        (
            "batch.max_bytes = 1023",
            "batch.max_bytes",
            "at least 1 KiB",
        ),
        (
            "batch.max_age = \"999ms\"",
            "batch.max_age",
            "between \"1s\" and \"7d\"",
        ),
        (
            "batch.max_age = \"169h\"",
            "batch.max_age",
            "between \"1s\" and \"7d\"",
        ),
        (
            "batch.late_max_age = \"999ms\"",
            "batch.late_max_age",
            "between \"1s\" and \"24h\"",
        ),
        (
            "batch.late_max_age = \"25h\"",
            "batch.late_max_age",
            "between \"1s\" and \"24h\"",
        ),
        (
            "batch.late_max_age = \"299s\"",
            "batch.late_max_age",
            "at least batch.max_age",
        ),
        (
            "quarantine.max_row = \"5 MiB\"",
            "quarantine.max_row",
            "at most 4 MiB",
        ),
    ]);
    taken(&[
        "dedup.ignore = [\"/sent_at\"]",
        "dedup.max_ids = 1_000_000",
        "batch.max_bytes = 1024",
        "batch.max_age = \"1s\"",
        "batch.max_age = \"7d\"",
        "batch.late_max_age = \"300s\"",
        "batch.late_max_age = \"24h\"",
    ]);
    warned(&[("dedup.max_ids = 999_999", "so few identities")]);
}

#[test]
fn events() {
    let types = "events.types = [\"a\", \"signup\"]\n";
    refused(&[
        (
            "events.types = [\"signup\", \"a\", \"a\"]",
            "events.types",
            "\"a\" is listed twice",
        ),
        (
            "events.sources = [\"a\", \"a\"]",
            "events.sources",
            "\"a\" is listed twice",
        ),
        (
            "events.drop = [\"like\", \"like\"]",
            "events.drop",
            "\"like\" is listed twice",
        ),
        (
            "events.drop = [\"unlike\"]",
            "events.drop",
            "not among events.types",
        ),
        (
            "events.path = \"/health\"",
            "events.path",
            "must not be /health",
        ),
        (
            "events.path = \"/ready\"",
            "events.path",
            "answers there itself",
        ),
        (
            "events.path = \"/metrics\"",
            "events.path",
            "answers there itself",
        ),
        (
            "events.partition = \"dt=today\"",
            "events.partition",
            "names no part of the time",
        ),
        (
            "events.partition = \"dt=%s\"",
            "events.partition",
            "may only use",
        ),
    ]);
    for path in [
        "", "/", "events", "/events/", "//events", "/{id}", "/a/*b", "/a?b", "/../a",
    ] {
        let text = format!("events.path = \"{path}\"");
        refused(&[(&text, "events.path", "must start with a slash")]);
    }
    taken(&[
        "events.types = [\"a\"]",
        "events.types = [\"*\"]\nevents.drop = [\"b\"]",
    ]);
    taken(&["events.contract = \"open\"\nevents.drop = [\"b\"]"]);
    taken(&[types, "events.drop = []", "events.path = \"/v1/my-events\""]);
}

#[test]
fn options_of_objects_are_checked() {
    let bucket = "[lake]\nurl = \"s3://my-lake\"\n";
    let arn = "[lake]\nurl = \"s3://arn:aws:s3:eu-west-1:123456789012:accesspoint/x/raw\"\n";
    for (text, words) in [
        (
            format!("{bucket}acl = \"public\""),
            "must be one of private",
        ),
        (
            format!("{bucket}storage_class = \"DEEP_ARCHIVE\""),
            "must not be an archive",
        ),
        (
            format!("{bucket}storage_class = \"standard\""),
            "must be a storage class",
        ),
        (
            format!("{bucket}tags = {{ \"\" = \"x\" }}"),
            "at most 10 tags",
        ),
        (
            format!("{bucket}sse_s3 = true\nkms_key_id = \"x\""),
            "exclude each other",
        ),
        (
            format!("{arn}endpoint = \"http://x:1\""),
            "an access point is reached at AWS",
        ),
        (
            format!("{arn}path_style = true"),
            "an access point is in the host name",
        ),
    ] {
        let errors = load(&text, &[]).unwrap_err();
        assert!(errors.contains(words), "{text}: {errors}");
    }
    let region = |text: &str| match load(text, &[]).unwrap().config.lake.destination() {
        crate::lake::destination::Destination::Bucket(location) => location.region,
        crate::lake::destination::Destination::Directory(_) => None,
    };
    assert_eq!(region(arn).as_deref(), Some("eu-west-1"));
    assert_eq!(region(bucket), None);
}
