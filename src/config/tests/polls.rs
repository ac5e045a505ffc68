//! The rules of polls; each has a case that breaks it.

use super::rules::{refused, taken};
use super::{error, errors, load, load_from, poll, refuse_poll as refuse};
use crate::poll::definition::{AuthKind, Mode, PaginationKind};

#[test]
fn a_poll_is_read_whole() {
    let text = poll(
        r#"records = "/users"
        total = "/total"
        every = "15m"
        mode = "append"
        schema = "user.json"
        headers = { X-Team = "a b" }
        auth = { type = "oauth2", user = "me", password_file = "pw", token_url = "https://id.example.com/t" }
        pagination = { type = "cursor", next = "/next", limit = 200 }
        watermark = { field = "updated_at", param = "since", lag = "5m" }"#,
    );
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("pw"), "s3cret\n").unwrap();
    let variables = [("LAKEHOOK_POLL__USERS__QUERY__KEY", "k")];
    let loaded = load_from(dir.path(), &text, &variables).unwrap();
    let users = &loaded.config.poll["users"];
    assert_eq!(users.mode, Mode::Append);
    assert_eq!(users.auth.r#type, AuthKind::OAuth2);
    assert_eq!(users.auth.password.as_ref().unwrap().expose(), "s3cret");
    assert_eq!(users.pagination.r#type, PaginationKind::Cursor);
    assert_eq!(users.query["key"].expose(), "k");
    assert_eq!(
        users.schema.as_ref().unwrap(),
        &dir.path().join("user.json")
    );
    let shown = format!("{loaded:?}");
    assert!(
        !shown.contains("s3cret") && !shown.contains("a b"),
        "{shown}"
    );
}

#[test]
fn names_are_those_of_streams() {
    for name in ["events", "quarantine", "Users", "2nd", "\"a.b\"", "_x"] {
        let text = format!("[poll.{name}]\nurl = \"http://localhost/\"");
        let error = errors(&text, &[]);
        assert!(error.contains("stream"), "{name}: {error}");
    }
    let view = "[poll.a]\nurl = \"http://localhost/\"\n[poll.a_runs]\nurl = \"http://localhost/\"";
    assert!(errors(view, &[]).contains("a view of the snapshot"));
    taken(&["[poll.user_2]\nurl = \"http://localhost/\""]);
}

#[test]
fn urls_and_hosts() {
    for (url, words) in [
        ("", "must be a URL"),
        ("api.example.com", "must be a URL"),
        ("ftp://api.example.com/", "http or https"),
        ("https://me:pw@api.example.com/", "must not hold a user"),
        ("https://api.example.com/#x", "fragment"),
    ] {
        let text = format!("[poll.users]\nurl = \"{url}\"");
        refused(&[(&text, "poll.users.url", words)]);
    }
    refuse(&[("allow_hosts = [\"https://a\"]", "allow_hosts", "entry 1")]);
    let plain =
        "[poll.users]\nurl = \"http://a.example/\"\nauth = { type = \"bearer\", token = \"t\" }";
    let warnings = load(plain, &[]).unwrap().warnings;
    assert!(warnings[0].contains("unencrypted"), "{warnings:?}");
}

#[test]
fn keys_that_do_not_go_together() {
    refuse(&[
        ("every = \"1m\"\ncron = \"* * * * *\"", "every", "both set"),
        ("every = \"10ms\"", "every", "at least"),
        ("cron = \"whenever\"", "cron", "no cron expression"),
        ("time_zone = \"Mars\"", "time_zone", "no time zone"),
        (
            "headers = { Host = \"x\" }",
            "headers",
            "set by the program",
        ),
        (
            "headers = { \"a b\" = \"x\" }",
            "headers",
            "no name of a header",
        ),
        ("auth.token = \"t\"", "auth.token", "set auth.type"),
        (
            "watermark = { field = \"a\", param = \"b\" }",
            "watermark",
            "for mode",
        ),
        (
            "mode = \"append\"\nwatermark = { field = \"a\" }",
            "watermark",
            "set both",
        ),
        ("budget = \"0s\"", "budget", "more than 0"),
        ("max_record = \"1 GiB\"", "max_record", "at most 15 MiB"),
        ("max_pages = 0", "max_pages", "at least 1"),
        ("id = \"\"", "id", "must not be empty"),
    ]);
    let missing = error(&poll("auth = { type = \"bearer\" }"));
    assert!(missing.contains("poll.users.auth.token") && missing.contains("must be set"));
    let both = errors(
        &poll("auth = { type = \"bearer\", token = \"a\", token_file = \"b\" }"),
        &[],
    );
    assert!(both.contains("both set"), "{both}");
}

#[test]
fn directories_lie_apart() {
    let text = poll("[polls]\ndir = \"data/wal/polls\"");
    refused(&[(&text, "polls.dir", "side by side")]);
    let text = poll("[polls]\ndir = \"data/lake/polls\"");
    refused(&[(&text, "polls.dir", "side by side")]);
    let text = poll("[polls]\nmax_bytes = \"1 MiB\"");
    refused(&[(&text, "polls.max_bytes", "at least 16 MiB")]);
}

#[test]
fn placeholders_must_be_able_to_have_a_value() {
    let post = "method = \"POST\"\n";
    refuse(&[
        (
            "query = { a = \"{curser}\" }",
            "query",
            "known are cursor, offset",
        ),
        (
            "query = { a = \"{cursor}\" }",
            "query",
            "needs pagination.type = \"cursor\"",
        ),
        (
            "headers = { a = \"{mark}\" }",
            "headers",
            "needs mode = \"append\"",
        ),
        ("query = { a = \"{until}\" }", "query", "needs a window"),
        ("body = { a = 1 }", "body", "a GET request has no body"),
        ("form = { a = \"1\" }", "form", "a GET request has no body"),
        (
            "headers = { a = \"\\u0000{now}\" }",
            "headers",
            "no header may have",
        ),
        ("method = \"get\"", "method", "must be one of \"GET\""),
        (
            &format!("{post}body = {{ a = [{{ b = \"{{page}}\" }}] }}"),
            "body",
            "needs pagination.type = \"page\"",
        ),
        (
            &format!("{post}body = {{ a = 1 }}\nform = {{ b = \"2\" }}"),
            "body",
            "one body",
        ),
        (
            "query = { p = \"{page}\" }\npagination = { type = \"page\", param = \"p2\" }\nid = \"id\"",
            "pagination.param",
            "{page} both say",
        ),
    ]);
    let url = |url: &str, more: &str| {
        format!("[poll.users]\nurl = \"https://{url}\"\nid = \"id\"\n{more}")
    };
    let append = "mode = \"append\"\nwatermark = { field = \"at\" }";
    let cursor = "pagination = { type = \"cursor\", next = \"/next\" }\nrecords = \"/users\"";
    for (text, words) in [
        (
            url("{now}.example.com/", ""),
            "in its path and its query only",
        ),
        (url("a.example/{mark}", append), "set watermark.start"),
        (
            url("a.example/{cursor}", cursor),
            "may not stand in the path",
        ),
    ] {
        refused(&[(&text, "poll.users.url", words)]);
    }
    taken(&[
        &url("a.example/x?since={mark}&a={{b}}&c={ d }", append),
        &poll("method = \"POST\"\nbody = { query = \"{ users { id } }\", at = \"{now}\" }"),
    ]);
}

/// Checks that each text is refused at a key, with an error that contains these words.
fn refuse_at(cases: &[(&str, &str, &str)]) {
    for (text, key, words) in cases {
        refused(&[(text, key, words)]);
    }
}

#[test]
fn a_poll_has_all_that_its_api_says() {
    let text = r#"[api.crm]
        url = "https://api.example.com/v2/"
        query = { tenant = "7", a = "1" }
        headers = { X-Team = "t" }
        auth = { type = "bearer", token = "s3cret" }
        rate_limit = "100/m"
        ca_file = "ca.pem"
        [poll.users]
        api = "crm"
        path = "/users/{now}"
        id = "id"
        query = { a = "2" }
        [poll.alone]
        url = "https://b.example/"
        rate_limit = 5"#;
    let loaded = load(text, &[]).unwrap();
    let config = &loaded.config;
    let api = &config.api["crm"];
    let users = config.poll["users"].definition(Some(api));
    assert_eq!(users.request.url, "https://api.example.com/v2/users/{now}");
    assert_eq!(users.request.query["tenant"].expose(), "7");
    assert_eq!(users.request.query["a"].expose(), "2");
    assert_eq!(users.request.headers["X-Team"].expose(), "t");
    assert_eq!(users.request.credentials.kind, AuthKind::Bearer);
    assert_eq!(users.request.pace.as_millis(), 600);
    assert_eq!(users.request.api.as_deref(), Some("crm"));
    assert!(users.request.connection.ca_file.unwrap().is_absolute());
    let alone = config.poll["alone"].definition(None);
    assert_eq!(alone.request.pace.as_millis(), 200);
    assert!(!format!("{loaded:?}").contains("s3cret"));
}

#[test]
fn an_api_and_its_polls_say_each_thing_once() {
    let api = |more: &str, poll: &str| {
        format!(
            "[api.crm]\nurl = \"https://a.example/v2\"\n{more}\n[poll.users]\napi = \"crm\"\npath = \"/users\"\nid = \"id\"\n{poll}"
        )
    };
    refuse_at(&[
        (
            &api("", "url = \"https://b.example/\""),
            "poll.users.url",
            "set path instead",
        ),
        (
            &api("", "rate_limit = 5"),
            "poll.users.rate_limit",
            "set api.crm.rate_limit",
        ),
        (
            &api("", "auth = { type = \"bearer\", token = \"t\" }"),
            "poll.users.auth",
            "set api.crm.auth",
        ),
        (
            &api("rate_limit = \"100/x\"", ""),
            "api.crm.rate_limit",
            "\"100/m\"",
        ),
        (
            &api("proxy = \"proxy\"", ""),
            "api.crm.proxy",
            "must be a URL",
        ),
        (
            &api("client_cert_file = \"c.pem\"", ""),
            "api.crm.client_cert_file",
            "needs its key",
        ),
        (
            &api("headers = { Host = \"x\" }", ""),
            "api.crm.headers",
            "no name of a header",
        ),
        (
            &api("", "").replace("path = \"/users\"", "path = \"users\""),
            "poll.users.path",
            "start with a slash",
        ),
        (
            &api("", "").replace("api = \"crm\"", "api = \"cmr\""),
            "poll.users.api",
            "known are crm",
        ),
        (
            &api("", "").replace("/v2\"", "/v2?a=1\""),
            "api.crm.url",
            "neither parameters",
        ),
        (&poll("path = \"/x\""), "poll.users.path", "set api"),
        (
            &api("", "query = { a = \"{mark}\" }"),
            "poll.users.query",
            "{mark} never has",
        ),
    ]);
    let unused = load("[api.crm]\nurl = \"https://a.example\"", &[]).unwrap();
    assert!(
        unused.warnings[0].contains("no poll or call belongs"),
        "{:?}",
        unused.warnings
    );
}

#[test]
fn credentials_need_their_own_keys_and_no_others() {
    let oauth = |more: &str| {
        format!(
            "auth = {{ type = \"oauth2\", user = \"me\", token_url = \"https://id.example.com/t\", {more} }}"
        )
    };
    let signed = "auth = { type = \"signature\", token = \"k\", template = ";
    for (settings, key, words) in [
        (
            oauth("password = \"p\", refresh_token = \"r\""),
            "auth.refresh_token",
            "this auth.grant",
        ),
        (
            oauth("password = \"p\", claims = { a = \"b\" }"),
            "auth.claims",
            "this auth.grant",
        ),
        (
            oauth("grant = \"implicit\""),
            "auth.grant",
            "must be one of",
        ),
        (
            format!("{signed}\"{{bdoy}}\" }}"),
            "auth.template",
            "no part {bdoy}",
        ),
        (
            format!("{signed}\"{{timestamp}}\" }}"),
            "auth.template",
            "timestamp_header",
        ),
        (
            format!("{signed}\"{{body}}\", param = \"p\", header = \"X-H\" }}"),
            "auth.header",
            "both set",
        ),
        (
            format!("{signed}\"{{body}}\", header = \"Host\" }}"),
            "auth.header",
            "must be the name",
        ),
    ] {
        refuse(&[(&settings, key, words)]);
    }
    for (settings, key) in [
        (oauth("grant = \"refresh-token\""), "refresh_token"),
        (oauth("grant = \"jwt-bearer\""), "private_key_file"),
        (
            "auth = { type = \"query\", token = \"t\" }".to_owned(),
            "param",
        ),
    ] {
        let missing = error(&poll(&settings));
        let full = format!("poll.users.auth.{key} (not set): must be set");
        assert!(missing.contains(&full), "{missing}");
    }
    taken(&[
        &poll(&oauth("grant = \"refresh-token\", refresh_token = \"r\"")),
        &poll("auth = { type = \"query\", token = \"t\", param = \"key\" }"),
        &poll(&format!(
            "{signed}\"{{timestamp}}{{body}}\", timestamp_header = \"X-Time\", timestamp = \"ms\" }}"
        )),
    ]);
}
