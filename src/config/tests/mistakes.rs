//! Typical mistakes of those who write their first configuration: each is answered with the place, the rule, and the way
//! out.

use super::{errors, load_in};

/// A mistake, and what the answer must say.
struct Mistake {
    text: &'static str,
    place: &'static str,
    rule: &'static str,
    way_out: &'static str,
}

const fn mistake(
    text: &'static str,
    place: &'static str,
    rule: &'static str,
    way_out: &'static str,
) -> Mistake {
    Mistake {
        text,
        place,
        rule,
        way_out,
    }
}

/// A poll that would be right with further settings.
const POLL: &str = "[poll.users]\nurl = \"https://api.example.com/users\"\n";

#[rustfmt::skip]
const MISTAKES: &[Mistake] = &[
    // Keys that people guess.
    mistake("[server]\nport = 4000", "server.port (line 2)", "unknown key", "listen = \"0.0.0.0:4000\""),
    mistake("[lake]\nbucket = \"my-lake\"", "lake.bucket (line 2)", "unknown key", "url = \"s3://bucket/prefix\""),
    mistake("[lake]\naccess_key_id = \"x\"", "lake.access_key_id (line 2)", "unknown key", "AWS_ACCESS_KEY_ID"),
    mistake("[webhook]\npath = \"/x\"", "webhook (line 1)", "unknown key", "[hook.NAME]"),
    mistake("[retention]\ndays = 30", "retention (line 1)", "unknown key", "`lakehook retain --older-than 400d`"),
    mistake("[sinks.lake]\ntype = \"s3\"", "sinks", "unknown key", "[lake]"),
    mistake("[polls.users]\nurl = \"https://x.example.com\"", "polls.users (line 1)", "unknown key", "[poll.users]"),
    mistake("[hook.github]\nprovider = \"github\"", "hook.github.provider (line 2)", "unknown key", "scheme = \"github\""),
    mistake("[poll.users]\nurl = \"https://x.example.com\"\ntoken = \"x\"", "poll.users.token (line 3)", "unknown key", "type = \"bearer\""),
    mistake("[files.orders]\ndir = \"inbox\"", "files.orders.dir (line 2)", "unknown key", "path = \"inbox/orders/*.csv\""),
    mistake("[files.orders]\npath = \"in/*.csv\"\ndelimiter = \";\"", "files.orders.delimiter (line 3)", "unknown key", "[files.NAME.csv]"),
    mistake("[Lake]\nurl = \"x\"", "Lake (line 1)", "unknown key", "did you mean `lake`?"),
    // Texts that are not TOML.
    mistake("[lake]\nurl = s3://my-lake", "line 2, column 7", "not TOML", "put text in quotes"),
    mistake("server:\n  listen: 127.0.0.1:4000", "line 1, column 7", "not TOML", "key = value instead of key: value"),
    mistake("{\"server\": {}}", "line 1, column 1", "not TOML", "this looks like JSON"),
    mistake("[lake]\nurl = \u{201c}data\u{201d}", "line 2, column 7", "not TOML", "straight quotes"),
    mistake("[wal]\ndir = \"C:\\data\"", "line 2, column", "not TOML", "a backslash is written twice"),
    mistake("[server]\nmax_events = 5\n[log]\nlevel = \"info\"\n[server]\nlisten = \"[::]:80\"", "line 5", "duplicate key `server`", "each section once"),
    // Values of another kind.
    mistake("[lake]\nurl = \"~/lake\"", "lake.url (line 2)", "~ is not replaced", "the whole path"),
    mistake("[wal]\ndir = \"$HOME/wal\"", "wal.dir (line 2)", "$HOME is not replaced", "the whole path"),
    mistake("[lake]\nurl = \"arn:aws:s3:::my-lake\"", "lake.url (line 2)", "must be written", "s3://bucket/prefix"),
    mistake("[lake]\nurl = \"https://my-lake.s3.amazonaws.com\"", "lake.url (line 2)", "must be a directory or s3://", "lake.endpoint"),
    mistake("[server]\nlisten = \":4000\"", "server.listen (line 2)", "must be an IP address with a port", "0.0.0.0:4000"),
    mistake("[batch]\nmax_age = \"5 minutes\"", "batch.max_age (line 2)", "is not a duration", "such as \"300s\""),
    mistake("[batch]\nmax_bytes = \"1,5 MiB\"", "batch.max_bytes (line 2)", "is not a size", "such as \"8 MiB\""),
    mistake("[batch]\nformat = \"PARQUET\"", "batch.format (line 2)", "must be one of", "did you mean \"parquet\"?"),
    mistake("[events]\npartition = \"day\"", "events.partition (line 2)", "names no part of the time", "dt=%Y-%m-%d"),
    mistake("[server]\nhttp2 = \"true\"", "server.http2 (line 2)", "must be true or false", "without quotes"),
    mistake("[server]\ntls_cert_file = \"cert.pem\"", "server.tls_cert_file (line 2)", "TLS needs both", "set server.tls_cert_file and server.tls_key_file"),
    mistake("[hook.a]\nscheme = \"githb\"\nsecrets = [\"0123456789abcdef\"]", "hook.a.scheme (line 2)", "must be one of", "did you mean \"github\"?"),
];

#[test]
fn typical_mistakes_are_answered_with_place_rule_and_way_out() {
    let mut wrong = Vec::new();
    for Mistake {
        text,
        place,
        rule,
        way_out,
    } in MISTAKES
    {
        let said = errors(text, &[]);
        let (first, _) = said.split_once('\n').unwrap();
        for part in ["there is 1 error", place, rule, way_out] {
            if !said.contains(part) || part.starts_with("there") && !first.contains(part) {
                wrong.push(format!("{text}\n  lacks {part:?}: {said}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert!(MISTAKES.len() >= 20);
}

#[test]
fn times_of_polls_are_answered_with_the_field_that_is_wrong() {
    for (setting, rule, way_out) in [
        (
            "cron = \"0 3 * *\"",
            "it has 4 fields",
            "minute, hour, day of the month",
        ),
        (
            "cron = \"60 * * * *\"",
            "the minute \"60\"",
            "it takes 0 to 59",
        ),
        (
            "cron = \"0 3 * * MONDAY\"",
            "the day of the week \"MONDAY\"",
            "SUN to SAT",
        ),
        (
            "cron = \"0 3 * * *\"\ntime_zone = \"UTC+1\"",
            "is no time zone",
            "\"Europe/Berlin\"",
        ),
    ] {
        let said = errors(&format!("{POLL}{setting}"), &[]);
        for part in ["poll.users.", "(line ", rule, way_out] {
            assert!(said.contains(part), "{setting}: {said}");
        }
    }
}

#[test]
fn a_file_in_another_encoding_is_told_so() {
    let dir = tempfile::tempdir().unwrap();
    let bytes: Vec<u8> = "[server]\n"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let bytes = [&[0xff, 0xfe], &bytes[..]].concat();
    std::fs::write(dir.path().join("lakehook.toml"), bytes).unwrap();
    let error = load_in(None, std::iter::empty(), dir.path()).unwrap_err();
    let error = error.to_string();
    assert!(
        error.contains("lakehook.toml: cannot be read") && error.contains("save it in UTF-8"),
        "{error}"
    );
}
