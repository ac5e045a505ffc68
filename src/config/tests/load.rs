//! Where settings come from, which source wins, and what errors look like.

use std::path::{Path, PathBuf};

use insta::assert_snapshot;

use super::super::Argument;
use super::super::{ByteSize, Config, LakeUrl};
use super::{environment, errors, load, load_from, load_in};

#[test]
fn without_a_file_the_defaults_hold() {
    let dir = tempfile::tempdir().unwrap();
    let loaded = load_from(dir.path(), "", &[]).unwrap();
    assert_eq!(loaded.source, None);
    assert_eq!(loaded.warnings, Vec::<String>::new());
    let mut expected = Config::default();
    expected.wal.dir = dir.path().join("data/wal");
    expected.polls.dir = dir.path().join("data/polls");
    expected.lake.url = LakeUrl::Directory(dir.path().join("data/lake"));
    assert_eq!(format!("{:?}", loaded.config), format!("{expected:?}"));
}

#[test]
fn the_defaults_make_the_contract_of_the_defaults() {
    let config = Config::default();
    let rules = crate::contract::Rules::default();
    assert_eq!(
        format!("{:?}", config.rules().unwrap()),
        format!("{rules:?}")
    );
    assert!(config.events.read_schemas().is_ok());
    assert_eq!(config.wal.segment_size(), ByteSize::mib(64));
}

#[test]
fn all_errors_come_at_once() {
    let text = r#"
        listen = "0.0.0.0:80"
        [server]
        lissten = "127.0.0.1:4000"
        listen = "localhost"
        max_body = "64 Mib"
        max_events = "many"
        max_event = "100 MiB"
        [lake]
        url = "gs://my-lake"
        [batch]
        format = "ndjson.zstd"
        max_age = "0s"
        max_bits = 1
        [events]
        types = ["click", 5, ""]
        drop = ["signup"]
        [wall]
        dir = "x"
    "#;
    let variables = [
        ("LAKEHOOK_SERVER__HEADER_TIMEOUT", "1 minute"),
        ("LAKEHOOK_SERVER__TOKENS", "abc"),
        ("LAKEHOOK_WAL__MAX_BYTES", "1 MiB"),
        ("LAKEHOOK_WAL__MAXBYTES", "1 GiB"),
        ("LAKEHOOK_WALL__DIR", "y"),
    ];
    assert_snapshot!(errors(text, &variables), @r#"
    there are 18 errors in the configuration:
      lakehook.toml: batch.format (line 12): must be one of "ndjson.zst", "ndjson.gz", "ndjson", "parquet"; did you mean "ndjson.zst"?
      lakehook.toml: batch.max_bits (line 14): unknown key `batch.max_bits`; did you mean `max_bytes`?
      lakehook.toml: events.types (line 16): entry 2 must be text in quotes
      lakehook.toml: events.types (line 16): entry 3 must not be empty
      lakehook.toml: lake.url (line 10): must be a directory or s3://bucket/prefix; Google Cloud Storage is reached as s3:// with lake.endpoint = "https://storage.googleapis.com"
      environment variable LAKEHOOK_SERVER__HEADER_TIMEOUT: "1 minute" is not a duration; write a whole number and one of ms, s, m, h, d, such as "300s"
      lakehook.toml: server.listen (line 5): must be an IP address with a port, such as "127.0.0.1:4000", "[::1]:4000", or "0.0.0.0:4000" for all addresses
      lakehook.toml: server.max_events (line 7): must be a whole number
      environment variable LAKEHOOK_SERVER__TOKENS: must be a list, such as ["a", "b"]
      lakehook.toml: server.lissten (line 4): unknown key `server.lissten`; did you mean `listen`?
      environment variable LAKEHOOK_WAL__MAXBYTES: unknown key `wal.maxbytes`; did you mean `max_bytes`?
      lakehook.toml: listen (line 2): unknown key `listen`; did you mean `server.listen`?
      environment variable LAKEHOOK_WALL__DIR: unknown key `wall`; did you mean `wal`?
      lakehook.toml: wall (line 18): unknown key `wall`; did you mean `wal`?
      lakehook.toml: batch.max_age (line 13): must be between "1s" and "7d"
      environment variable LAKEHOOK_WAL__MAX_BYTES: must be at least 16 MiB
      lakehook.toml: server.max_event (line 8): server.max_event = 100 MiB must be more than 0 and at most server.max_body = 64 MiB
      lakehook.toml: server.max_body (line 6): server.memory = 64 MiB must be at least four times server.max_body = 64 MiB: a body as sent, decompressed, and its rows are in memory at the same time
    "#);
}

#[test]
fn a_file_that_is_no_toml_is_refused_by_line_and_column_and_not_quoted() {
    let text = "[server]\ntokens = [\"correct horse battery\"\nlisten = 1\n";
    let variables = [("LAKEHOOK_SERVER__LISTN", "x")];
    assert_snapshot!(errors(text, &variables), @r#"
    there are 2 errors in the configuration:
      lakehook.toml: line 3, column 1: not TOML: invalid array, expected `]`
      environment variable LAKEHOOK_SERVER__LISTN: unknown key `server.listn`; did you mean `listen`?
    "#);
}

#[test]
fn secrets_are_not_printed() {
    let secret = "correct-horse-battery-staple";
    let texts = [
        format!("server.tokens = [\"{secret}\"]\nlog.level = 1"),
        format!("server.tokens = \"{secret}\""),
        format!("server.tokens = [\"{secret} \"]"),
        format!("server.tokens = [[\"{secret}\"]]"),
        format!("server.tokens = {{ a = \"{secret}\" }}"),
        format!("server.tokens = [\"{secret}\""),
        format!("server.tokens = [{secret}]"),
        format!("lake.url = \"s3://key:{secret}@my-lake\""),
        format!("lake.url = \"s3://my-lake\"\nlake.endpoint = \"http://key:{secret}@localhost\""),
    ];
    for text in texts {
        let errors = errors(&text, &[]);
        assert!(!errors.contains("horse"), "{errors}");
    }
    let variables = [("LAKEHOOK_SERVER__TOKENS", format!("[\"{secret}\"]"))];
    let variables = variables
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    let loaded = load("", &variables).unwrap();
    assert!(!format!("{loaded:?}").contains("horse"));
    assert_eq!(loaded.config.server.tokens[0].expose(), secret);
}

#[test]
fn the_environment_wins() {
    let text = "[server]\nlisten = \"127.0.0.1:1\"\nmax_events = 5\n[wal]\ndir = \"a\"\n";
    let loaded = load(
        text,
        &[
            ("LAKEHOOK_SERVER__LISTEN", "[::1]:2"),
            ("LAKEHOOK_SERVER__MEMORY", "67108865"),
            ("LAKEHOOK_SERVER__MAX_CONNECTIONS", "\t7"),
            ("LAKEHOOK_LAKE__URL", "s3://my-lake/{x}"),
            ("LAKEHOOK_LAKE__REGION", "12"),
            ("LAKEHOOK_LAKE__PATH_STYLE", "true"),
            ("LAKEHOOK_LAKE__KMS_KEY_ID", "\"quoted\""),
            ("LAKEHOOK_EVENTS__SOURCES", "[\"a\", \"b\"]"),
            ("LAKEHOOK_EVENTS__PARTITION_BY", "received_at"),
            ("LAKEHOOK_BATCH__MAX_AGE", "5m"),
        ],
    );
    let config = loaded.unwrap().config;
    assert_eq!(config.server.listen, "[::1]:2".parse().unwrap());
    assert_eq!(config.server.memory.bytes(), 67_108_865);
    assert_eq!(config.server.max_connections, 7);
    assert_eq!(config.server.max_events, 5);
    let crate::lake::destination::Destination::Bucket(location) = config.lake.destination() else {
        panic!()
    };
    assert_eq!((&*location.bucket, &*location.prefix), ("my-lake", "{x}"));
    assert_eq!(location.region.as_deref(), Some("12"));
    assert_eq!(location.path_style, Some(true));
    assert_eq!(config.lake.kms_key_id.as_deref(), Some("quoted"));
    assert_eq!(config.events.sources, ["a", "b"]);
    assert_eq!(config.batch.max_age.duration().as_secs(), 300);
    assert!(config.wal.dir.ends_with("a"));
}

#[test]
fn only_variables_with_two_underscores_are_configuration() {
    let variables = [
        ("LAKEHOOK_PORT", "tcp://10.0.0.1:4000"),
        ("LAKEHOOK_SERVICE_HOST", "10.0.0.1"),
        ("LAKEHOOK_CONFIG", ""),
        ("OTHER_SERVER__LISTEN", "x"),
        ("lakehook_server__listen", "x"),
    ];
    assert!(load("", &variables).is_ok());
    let variables = [
        ("LAKEHOOK_SERVER__LISSTEN", "127.0.0.1:1"),
        ("LAKEHOOK_SERVER__", "x"),
        ("LAKEHOOK___", "x"),
        ("LAKEHOOK_SERVER__LISTEN__PORT", "1"),
        ("LAKEHOOK_A__B__C__D__E__F__G__H__I", "1"),
    ];
    assert_snapshot!(errors("", &variables), @r#"
    there are 5 errors in the configuration:
      environment variable LAKEHOOK_A__B__C__D__E__F__G__H__I: names no key: it has 9 parts
      environment variable LAKEHOOK_SERVER__LISTEN__PORT: must be text in quotes
      environment variable LAKEHOOK_SERVER__: unknown key `server.`; known are allow_unauthenticated, body_timeout, console_hosts, console_listen, console_show_values, console_token_file, cors_origins, drain_delay, header_timeout, http2, idle_timeout, listen, max_body, max_connections, max_event, max_events, memory, metrics_listen, rate_burst, rate_limit, shutdown_grace, tls_cert_file, tls_key_file, tokens, tokens_file, trusted_proxies
      environment variable LAKEHOOK_SERVER__LISSTEN: unknown key `server.lissten`; did you mean `listen`?
      environment variable LAKEHOOK___: unknown key ``; known are api, batch, call, cluster, dedup, events, files, hook, lake, log, poll, polls, quarantine, server, wal
    "#);
}

#[test]
fn one_underscore_in_place_of_two_is_an_error_with_the_right_name() {
    let variables = [
        ("LAKEHOOK_BATCH_MAX_AGE", "60s"),
        ("LAKEHOOK_POLL_MY_USERS_AUTH_TOKEN_FILE", "x"),
        ("LAKEHOOK_POLL_USERS", "x"),
        ("LAKEHOOK_PORT_4000_TCP_ADDR", "10.0.0.1"),
        ("LAKEHOOK_METRICS_SERVICE_PORT_HTTP", "80"),
    ];
    assert_snapshot!(errors("", &variables), @r"
    there are 2 errors in the configuration:
      environment variable LAKEHOOK_BATCH_MAX_AGE: names no key, since section and key are separated by two underscores; for `batch.max_age` write LAKEHOOK_BATCH__MAX_AGE, otherwise remove it
      environment variable LAKEHOOK_POLL_MY_USERS_AUTH_TOKEN_FILE: names no key, since section and key are separated by two underscores; for `poll.my_users.auth.token_file` write LAKEHOOK_POLL__MY_USERS__AUTH__TOKEN_FILE, otherwise remove it
    ");
    let strays = [("LAKEHOOK_TYPO", "1"), ("LAKEHOOK_BATCH", "1")];
    let loaded = load("", &strays).unwrap();
    assert_eq!(
        loaded.warnings,
        [
            "these variables of the environment name no key, and nothing reads them: LAKEHOOK_BATCH, \
          LAKEHOOK_TYPO"
        ]
    );
}

#[test]
fn an_argument_overrules_the_environment_and_is_named_in_errors() {
    let dir = tempfile::tempdir().unwrap();
    let with = |value: &str| {
        let argument = Argument {
            name: "--listen",
            key: "server.listen",
            value: value.to_owned(),
        };
        let variables = environment(&[("LAKEHOOK_SERVER__LISTEN", "127.0.0.1:1")]);
        super::load_all(None, variables, &[argument], dir.path())
    };
    let listen = with("127.0.0.1:2").unwrap().config.server.listen;
    assert_eq!(listen.port(), 2);
    let said = with("here").unwrap_err().to_string();
    assert!(
        said.contains("argument --listen: must be an IP address"),
        "{said}"
    );
}

#[test]
fn a_variable_that_is_not_utf8_is_refused() {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt as _;
    let variable = ("LAKEHOOK_WAL__DIR".into(), OsString::from_vec(vec![0xff]));
    let dir = tempfile::tempdir().unwrap();
    let errors = load_in(None, [variable].into_iter(), dir.path()).unwrap_err();
    let expected = "environment variable LAKEHOOK_WAL__DIR: is not UTF-8";
    assert_eq!(errors.problems[0].to_string(), expected);
}

#[test]
fn paths_are_relative_to_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write(
        "etc/a.toml",
        "[wal]\ndir = \"../wal\"\n[events]\nschemas = \"./s\"\n",
    );
    write("etc/b.toml", "wal.dir = \"/somewhere/else\"");
    let wal_dir = |explicit: Option<&str>, variables: &[(&str, &str)]| {
        let loaded = load_in(explicit.map(Path::new), environment(variables), dir.path()).unwrap();
        (loaded.config.wal.dir.clone(), loaded)
    };
    let (wal, loaded) = wal_dir(Some("etc/a.toml"), &[("LAKEHOOK_CONFIG", "etc/b.toml")]);
    assert_eq!(wal, dir.path().join("wal"));
    assert_eq!(loaded.source, Some(dir.path().join("etc/a.toml")));
    assert_eq!(loaded.config.events.schemas, Some(dir.path().join("etc/s")));
    let lake = LakeUrl::Directory(dir.path().join("etc/data/lake"));
    assert_eq!(loaded.config.lake.url, lake);

    let (wal, _) = wal_dir(None, &[("LAKEHOOK_CONFIG", "etc/b.toml")]);
    assert_eq!(wal, PathBuf::from("/somewhere/else"));
    let (wal, _) = wal_dir(None, &[("LAKEHOOK_WAL__DIR", "w")]);
    assert_eq!(wal, dir.path().join("w"));
}

#[test]
fn a_named_file_must_be_there() {
    let dir = tempfile::tempdir().unwrap();
    let explicit = load_in(Some(Path::new("none.toml")), environment(&[]), dir.path());
    let named = load_in(
        None,
        environment(&[("LAKEHOOK_CONFIG", "none.toml")]),
        dir.path(),
    );
    for errors in [explicit.unwrap_err(), named.unwrap_err()] {
        let text = errors.problems[0].to_string();
        assert!(text.starts_with("none.toml: cannot be read: "), "{text}");
    }
}

#[test]
fn variables_of_aws_stand_in_for_the_endpoint() {
    let bucket = "[lake]\nurl = \"s3://my-lake\"\n";
    let endpoint = |text: &str, variables: &[(&str, &str)]| {
        let lake = load(text, variables).unwrap().config.lake;
        lake.endpoint.map(|url| (lake.endpoint_named_by, url))
    };
    let (s3, any) = (
        ("AWS_ENDPOINT_URL_S3", "http://s3:1"),
        ("AWS_ENDPOINT_URL", "http://any:1"),
    );
    let named = |name, url: &str| Some((name, url.to_owned()));
    assert_eq!(
        endpoint(bucket, &[any, s3]),
        named("AWS_ENDPOINT_URL_S3", "http://s3:1")
    );
    assert_eq!(
        endpoint(bucket, &[any]),
        named("AWS_ENDPOINT_URL", "http://any:1")
    );
    let ignored = ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true");
    assert_eq!(endpoint(bucket, &[any, s3, ignored]), None);
    assert_eq!(endpoint(bucket, &[("AWS_ENDPOINT_URL_S3", "")]), None);
    assert_eq!(endpoint("", &[any, s3]), None);
    let own = format!("{bucket}endpoint = \"http://own:1\"\n");
    assert_eq!(
        endpoint(&own, &[any, s3]),
        named("lake.endpoint", "http://own:1")
    );
    let errors = load(bucket, &[("AWS_ENDPOINT_URL_S3", "s3:1")]).unwrap_err();
    assert!(errors.contains("AWS_ENDPOINT_URL_S3"), "{errors}");
}

#[test]
fn a_schema_that_validates_nothing_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let schemas = dir.path().join("schemas");
    std::fs::create_dir(&schemas).unwrap();
    std::fs::write(schemas.join("purchse.json"), "{\"type\":\"object\"}").unwrap();
    let warnings = |text: &str| {
        load_from(dir.path(), text, &[])
            .unwrap()
            .warnings
            .join("\n")
    };
    let said = warnings("[events]\nschemas = \"schemas\"");
    assert!(
        said.contains("purchse.json is the schema of no event type") && said.contains("purchase"),
        "{said}"
    );
    let named = "[events]\nschemas = \"schemas\"\ntypes = [\"purchse\"]\ndrop = []";
    assert_eq!(warnings(named), "");
}
