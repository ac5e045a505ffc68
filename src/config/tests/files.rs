//! The rules of inboxes; each has a case that breaks it.

use super::errors;
use super::rules::{refused, taken};

/// An inbox with further settings.
fn inbox(settings: &str) -> String {
    format!("[files.claims]\npath = \"in/*.csv\"\n{settings}")
}

fn refuse(cases: &[(&str, &str, &str)]) {
    for (settings, key, words) in cases {
        refused(&[(&inbox(settings), &format!("files.claims.{key}"), words)]);
    }
}

#[test]
fn names_are_those_of_streams_and_of_nothing_else() {
    for name in ["events", "quarantine", "Claims", "2nd", "_x"] {
        let error = errors(&format!("[files.{name}]\npath = \"in/*\""), &[]);
        assert!(error.contains("stream"), "{name}: {error}");
    }
    let poll = "\n[poll.users]\nurl = \"http://localhost/\"";
    for name in ["users", "users_runs", "users_all_runs"] {
        let text = format!("[files.{name}]\npath = \"in/*\"{poll}");
        let error = errors(&text, &[]);
        assert!(error.contains("another stream or view"), "{name}: {error}");
    }
    let both = "[files.a]\npath = \"in/*\"\n[files.a_runs]\npath = \"in/*\"";
    assert!(errors(both, &[]).contains("another stream or view"));
    let call =
        "\n[api.crm]\nurl = \"http://localhost/\"\n[call.ihc]\nrows = \"o/*\"\napi = \"crm\"";
    for name in ["ihc", "ihc_sent", "ihc_current"] {
        let error = errors(&format!("[files.{name}]\npath = \"in/*\"{call}"), &[]);
        assert!(error.contains("another stream"), "{name}: {error}");
    }
    taken(&["[files.claim_2]\npath = \"in/*\""]);
}

#[test]
fn values_fit_together() {
    refuse(&[
        ("every = \"1m\"\ncron = \"0 * * * *\"", "every", "both set"),
        ("id = []", "id", "empty"),
        (
            "changed = \"replace\"\nmode = \"snapshot\"",
            "changed",
            "for mode = \"append\"",
        ),
        ("ready = \"x.ok\"", "ready", "{name}"),
        ("ready = \"a/{name}\"", "ready", "{name}"),
        (
            "guards = { max_shrink = \"5 %\" }",
            "guards.max_shrink",
            "snapshots",
        ),
        ("records = \"/x\"", "records", "json"),
        (
            "format = \"json\"\nrecords = \"x\"",
            "records",
            "JSON Pointer",
        ),
        (
            "csv = { delimiter = \"ab\" }",
            "csv.delimiter",
            "one ASCII character",
        ),
        (
            "csv = { delimiter = \"\\\"\" }",
            "csv.delimiter",
            "one ASCII character",
        ),
        (
            "csv = { encoding = \"klingon\" }",
            "csv.encoding",
            "charset",
        ),
    ]);
    refused(&[(
        "[files.claims]\npath = \"s3://bucket\"",
        "files.claims.path",
        "a bucket and objects",
    )]);
    let nowhere = errors("[files.claims]\nformat = \"csv\"", &[]);
    assert!(nowhere.contains("must name files"), "{nowhere}");
    taken(&[
        &inbox("cron = \"0 * * * *\"\ntime_zone = \"Europe/Berlin\""),
        &inbox("format = \"json\"\nrecords = \"\""),
        &inbox("ready = \"{name}.ok\"\nafter = \"move\""),
        "[files.claims]\npath = \"s3://bucket/in/*.csv\"\nafter = \"delete\"",
    ]);
}
