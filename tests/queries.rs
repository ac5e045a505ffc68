//! What `lakehook sql` prints makes the lake queryable: in every format, in a directory and on S3, before the
//! first object, across a change of format, and as schemas grow.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use crate::arrival::STOP_LIMIT;
use crate::support::api::{Api, page};
use crate::support::day::begin_early_in_the_day;
use crate::support::duckdb::Lake;
use crate::support::http;
use crate::support::process::{Program, Setup};
use crate::support::s3::S3Server;

/// A history has one snapshot for each day, and these tests want one.
const A_TEST: Duration = Duration::from_mins(1);

/// Users, one of whom is older in each run.
fn users() -> Api {
    Api::start(|_, n| {
        page(json!({"users": [
            {"user_id": "u1", "age": 30 + n, "more": {"a": 1}},
            {"user_id": "u2", "age": null},
        ]}))
    })
}

fn config(lake: &str, format: &str, api: &Api) -> String {
    format!(
        "[lake]\n{lake}\n[batch]\nformat = \"{format}\"\n[wal]\nmax_bytes = \"64 MiB\"\n\
         [polls]\nmax_bytes = \"64 MiB\"\n[events]\nschemas = \"schemas\"\ntypes = [\"purchase\", \"view\", \"refund\"]\ndrop = []\n\
         [poll.users]\nurl = \"{}/users\"\nrecords = \"/users\"\nid = \"user_id\"\nschema = \"user.json\"\nguards = {{ max_refused = \"50 %\" }}\n",
        api.url()
    )
}

const PURCHASE: &str = r#"{"properties":{"amount":{"type":"number"},"product":{"type":"string"}}}"#;

fn write_schemas(setup: &Setup, purchase: &str) {
    let dir = setup.directory().join("schemas");
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("purchase.json"), purchase).unwrap();
    let user = r#"{"properties":{"user_id":{"type":"string"},"age":{"type":["integer","null"]}}}"#;
    std::fs::write(setup.directory().join("user.json"), user).unwrap();
}

/// What `lakehook sql duckdb` prints, in a file.
fn statements(setup: &Setup) -> PathBuf {
    let output = setup.run(&["sql", "duckdb", "--no-secret"]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let path = setup.directory().join("views.sql");
    std::fs::write(&path, output.stdout).unwrap();
    path
}

/// Sends one event of now; its answer's status.
fn send(program: &Program<'_>, setup: &Setup, number: u32, kind: &str, properties: &Value) -> u16 {
    assert!(program.id() > 0);
    let now: chrono::DateTime<chrono::Utc> = std::time::SystemTime::now().into();
    let event = json!({
        "event_id": format!("00000000-0000-4000-8000-{number:012}"), "user_id": format!("u{}", number % 2 + 1),
        "event_type": kind, "source": "web", "timestamp": now.to_rfc3339_opts(chrono::SecondsFormat::Micros, true),
        "properties": properties,
    });
    let body = json!({"events": [event]}).to_string();
    http::post_json(setup.address(), "/webhook/events", body.as_bytes())
        .unwrap()
        .status
}

/// One life: three events, one of them broken, and a run of the poll.
fn live(setup: &Setup, first: u32) {
    let program = setup.start();
    let properties = [
        json!({"amount": 9.5, "product": "p"}),
        json!({"amount": 1, "note": "\u{fc}"}),
        json!({"amount": "much"}),
    ];
    let statuses: Vec<u16> = (first..)
        .zip(&properties)
        .map(|(number, properties)| send(&program, setup, number, "purchase", properties))
        .collect();
    assert_eq!(statuses, [200, 200, 400]);
    let polled = setup.run(&["poll"]);
    assert!(polled.status.success(), "{polled:?}");
    assert!(program.stop(STOP_LIMIT).success());
}

const EVENTS: &str = "SELECT event_type, source, p_amount, p_product, properties->>'note', extra, \
     dt = timestamp::DATE, received_at >= timestamp FROM events ORDER BY lsn";

/// Values that fit their columns or don't, of an API without and one with a schema: the same in every format.
#[test]
fn what_does_not_fit_is_nowhere_lost_in_any_format() {
    let mut answers = Vec::new();
    for format in ["ndjson", "parquet"] {
        let api = Api::start(|_, _| {
            page(json!({"users": [
                {"user_id": "a", "age": 1.5, "Filename": "f", "odd~/name": true, "*": 1, "": 2, "big": 9_007_199_254_740_993_u64, "when": "x"},
                {"user_id": "b", "age": 2.0, "odd~/name": "yes", "big": 3, "when": "2026-11-25T01:00:00+01:00"},
            ]}))
        });
        let free = format!(
            "[poll.free]\nurl = \"{}/users\"\nrecords = \"/users\"\nid = \"user_id\"\n",
            api.url()
        );
        let setup = Setup::new(&(config("url = \"lake\"", format, &api) + &free));
        write_schemas(&setup, PURCHASE);
        // No schema says what a value must be: only columns do.
        let schema = r#"{"properties":{"user_id":{},"age":{"type":["number","null"]},"odd~/name":{"type":["boolean","string"]},
            "*":{"type":"number"},"":{"type":"number"},"Filename":{"type":"string"},"big":{"type":"number"}}}"#;
        std::fs::write(setup.directory().join("user.json"), schema).unwrap();
        let polled = setup.run(&["poll"]);
        assert!(polled.status.success(), "{polled:?}");
        let sql = statements(&setup);
        let lake = Lake::directory(&setup.directory().join("lake"));
        let users = "SELECT user_id->>'$', age, filename, \"odd~/name\", \"*\", extra->>'/', big, extra->>'when', extra->>'big' FROM users ORDER BY 1";
        let free = "SELECT user_id, age, big, \"odd~/name\"::VARCHAR, \"when\", extra->>'/' FROM free ORDER BY 1";
        answers.push((lake.query(&sql, users), lake.query(&sql, free)));
    }
    assert_eq!(answers[0], answers[1]);
    let (users, free) = &answers[0];
    let a = json!([
        "a",
        1.5,
        "f",
        "true",
        1.0,
        "2",
        null,
        "x",
        "9007199254740993"
    ]);
    let b = json!([
        "b",
        2.0,
        null,
        "\"yes\"",
        null,
        null,
        3.0,
        "2026-11-25T01:00:00+01:00",
        null
    ]);
    assert_eq!(*users, json!([a, b]));
    assert_eq!(
        *free,
        json!([
            ["a", 1.5, 9_007_199_254_740_993_u64, "true", "x", "2"],
            ["b", 2.0, 3, "\"yes\"", "2026-11-25T01:00:00+01:00", null]
        ])
    );
}

#[test]
fn a_new_pattern_of_partitions_shows_beside_the_old_one() {
    let api = users();
    let setup = Setup::new(&config("url = \"lake\"", "parquet", &api));
    write_schemas(&setup, PURCHASE);
    live(&setup, 1);
    let text = config("url = \"lake\"", "ndjson", &api);
    setup.configure(&text.replace(
        "[events]\n",
        "[events]\npartition = \"dt=%Y-%m-%d/hour=%H\"\n",
    ));
    live(&setup, 11);
    let lake = Lake::directory(&setup.directory().join("lake"));
    let sql = statements(&setup);
    let hours = "SELECT count(*), count(*) FILTER (hour = date_part('hour', timestamp)), count(DISTINCT dt), typeof(any_value(hour)) FROM events";
    assert_eq!(lake.query(&sql, hours), json!([[4, 4, 1, "BIGINT"]]));
}

/// Months and days under the same name: `dt` means what the pattern in force says, for every row.
#[test]
fn months_under_the_name_of_days_can_be_queried_and_so_can_days_under_that_of_months() {
    for format in ["parquet", "ndjson"] {
        let api = users();
        let by_day = config("url = \"lake\"", format, &api);
        let by_month = by_day.replace("[events]\n", "[events]\npartition = \"dt=%Y-%m\"\n");
        let setup = Setup::new(&by_month);
        write_schemas(&setup, PURCHASE);
        live(&setup, 1);
        setup.configure(&by_day);
        live(&setup, 11);
        let lake = Lake::directory(&setup.directory().join("lake"));
        let sql = statements(&setup);
        let days = "SELECT typeof(any_value(dt)), count(*) FILTER (dt = timestamp::DATE), count(*) FROM events \
                    WHERE dt >= current_date - 1";
        assert_eq!(lake.query(&sql, days), json!([["DATE", 4, 4]]));
        // A day without rows still leaves out what is told by the path.
        assert_eq!(files_read(&lake, &sql, "dt = DATE '2020-01-01'"), 1);

        setup.configure(&by_month);
        let sql = statements(&setup);
        let months = "SELECT typeof(any_value(dt)), count(*) FILTER (dt = strftime(timestamp, '%Y-%m')), count(*) FROM events";
        assert_eq!(lake.query(&sql, months), json!([["VARCHAR", 4, 4]]));
        let athena = setup.run(&["sql", "athena"]);
        let athena = String::from_utf8_lossy(&athena.stdout).into_owned();
        assert!(
            athena.contains("TABLE IF NOT EXISTS `events_earlier`"),
            "{athena}"
        );
        assert!(
            athena.contains("ADD IF NOT EXISTS\n    PARTITION (`dt` = '20"),
            "{athena}"
        );
    }
}

/// Views that are made before a stream has an object show its rows once there are some.
#[test]
fn views_that_are_made_before_the_first_object_show_what_comes() {
    begin_early_in_the_day(A_TEST);
    for format in ["ndjson.zst", "parquet"] {
        let server = S3Server::start(32);
        let api = users();
        let place = format!(
            "url = \"s3://lake/raw\"\nendpoint = \"{}\"",
            server.endpoint()
        );
        let setup = Setup::new(&config(&place, format, &api));
        write_schemas(&setup, PURCHASE);
        let lake = Lake::s3("s3://lake/raw", &server.endpoint());
        let streams = [
            "events",
            "users",
            "users_runs",
            "users_history",
            "quarantine",
        ];
        let counts = |sql: &std::path::Path| {
            let counts = streams.map(|stream| format!("(SELECT count(*) FROM {stream})"));
            lake.query(sql, &format!("SELECT {}", counts.join(", ")))
        };
        assert!(setup.run(&["check"]).status.success());
        let sql = statements(&setup);
        assert_eq!(counts(&sql), json!([[0, 0, 0, 0, 0]]));
        live(&setup, 1);
        assert_eq!(counts(&sql), json!([[2, 2, 1, 2, 1]]));
        let rows = "SELECT p_amount, typeof(p_amount), typeof(dt), dt = timestamp::DATE FROM events ORDER BY lsn";
        let rows = lake.query(&sql, rows);
        assert_eq!(
            rows,
            json!([[9.5, "DOUBLE", "DATE", true], [1.0, "DOUBLE", "DATE", true]])
        );
        // Also where only other formats were there.
        let other = if format == "parquet" {
            "ndjson"
        } else {
            "parquet"
        };
        setup.configure(&config(&place, other, &api));
        let sql = statements(&setup);
        assert_eq!(counts(&sql), json!([[2, 2, 1, 2, 1]]));
        live(&setup, 11);
        assert_eq!(counts(&sql), json!([[4, 2, 2, 2, 2]]));
    }
}

/// How many objects the lake of the test below has.
fn many() -> usize {
    let given = std::env::var("LAKEHOOK_OBJECTS").ok();
    given.map_or(300, |given| given.parse().unwrap())
}

/// Of many objects over thirty days, a query for one day opens those of that day.
#[test]
fn a_day_that_is_not_asked_for_is_not_opened() {
    const DAYS: usize = 30;
    for format in ["parquet", "ndjson"] {
        let server = S3Server::start(33);
        let api = users();
        let place = format!(
            "url = \"s3://lake/raw\"\nendpoint = \"{}\"",
            server.endpoint()
        );
        let setup = Setup::new(&config(&place, format, &api));
        write_schemas(&setup, PURCHASE);
        live(&setup, 1);
        let key = server.keys("raw/events/").remove(0);
        let bytes = server.object(&key).unwrap().bytes;
        for number in 0..many() {
            let day = number % DAYS + 1;
            let key = format!(
                "raw/events/dt=2026-09-{day:02}/{:016}-{number:020}.{format}",
                1
            );
            server.put_foreign(&key, bytes.clone(), std::collections::HashMap::new());
        }
        let lake = Lake::s3("s3://lake/raw", &server.endpoint());
        let sql = statements(&setup);
        let requests = |query: &str| {
            let before = server.faults().counts().requests;
            let rows = lake.query(&sql, query);
            (rows, server.faults().counts().requests - before)
        };
        let direct = format!(
            "SELECT count(*), count(lsn) FROM read_{}('s3://lake/raw/events/dt=2026-09-07/*.{format}')",
            if format == "parquet" {
                "parquet"
            } else {
                "json"
            }
        );
        let view = "SELECT count(*), count(lsn) FROM events WHERE dt = DATE '2026-09-07'";
        let (_, idle) = requests("SELECT 1");
        let (of_view, asked_by_view) = requests(view);
        let (of_files, asked_directly) = requests(&direct);
        let of_day = (0..many()).filter(|number| number % DAYS + 1 == 7).count();
        assert_eq!(of_view, json!([[2 * of_day, 2 * of_day]]));
        assert_eq!(of_view, of_files);
        // Lists come in pages of a thousand keys; nothing else is asked for.
        let (more, fewer) = (asked_by_view - idle, asked_directly - idle);
        let pages = (many() / 1000 + 2) as u64;
        println!(
            "{format}: {idle} for the views, {more} by view, {fewer} directly, of {} objects",
            many()
        );
        assert!(
            more <= fewer + pages,
            "{format}: {more} requests, directly {fewer}"
        );
        assert!(
            more >= of_day as u64,
            "{format}: {more} requests for {of_day} objects"
        );

        let took = lake.seconds(&sql, &[view, &direct]);
        println!("{format}: {took:?} seconds");
        assert!(took[0] <= 3.0 * took[1] + 0.02, "{format}: {took:?}");
    }
}

/// Of many runs, the latest is shown whole; in Parquet only its objects are opened.
#[test]
fn runs_that_are_not_asked_for_are_not_opened() {
    begin_early_in_the_day(A_TEST);
    for format in ["parquet", "ndjson"] {
        let server = S3Server::start(34);
        // The third user goes to the quarantine, which is another object of the run.
        let api = Api::start(|_, n| {
            page(json!({"users": [
                {"user_id": "u1", "age": 30 + n},
                {"user_id": "u2", "age": null},
                {"user_id": "u3", "age": "old"},
            ]}))
        });
        let place = format!(
            "url = \"s3://lake/raw\"\nendpoint = \"{}\"",
            server.endpoint()
        );
        let setup = Setup::new(&config(&place, format, &api));
        write_schemas(&setup, PURCHASE);
        for _ in 0..6 {
            assert!(setup.run(&["poll"]).status.success());
        }
        assert_eq!(server.keys("raw/users/").len(), 6);
        let lake = Lake::s3("s3://lake/raw", &server.endpoint());
        let sql = statements(&setup);
        for view in ["users", "users_history"] {
            let query = format!("SELECT count(*), max(age), count(DISTINCT run) FROM {view}");
            assert_eq!(lake.query(&sql, &query), json!([[2, 35, 1]]), "{view}");
        }
        assert_eq!(files_of(&lake, &sql, "users_all_runs"), 6);
        // Six markers, and one object. DuckDB compares the names of lines only with constants.
        let expected = if format == "parquet" { 7 } else { 12 };
        assert_eq!(files_of(&lake, &sql, "users"), expected);
    }
}

#[test]
fn the_address_of_a_store_may_come_from_the_environment() {
    let server = S3Server::start(35);
    let setup = Setup::new("[lake]\nurl = \"s3://lake/raw\"\npath_style = true\n")
        .env("AWS_ENDPOINT_URL_S3", &server.endpoint());
    let output = setup.run(&["sql", "duckdb"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        said.contains(&format!(
            "ENDPOINT '{}',\n    USE_SSL false,\n    URL_STYLE 'path'",
            server.address()
        )),
        "{said}"
    );
}

/// What every format must answer.
fn check(setup: &Setup, lake: &Lake) {
    let sql = statements(setup);
    assert_eq!(
        lake.query(&sql, "SELECT count(*) FROM events"),
        json!([[0]])
    );
    assert_eq!(lake.query(&sql, "SELECT * FROM users"), json!([]));
    assert_eq!(lake.query(&sql, "SELECT * FROM users_history"), json!([]));
    assert_eq!(lake.query(&sql, "SELECT * FROM lake_watermark"), json!([]));

    live(setup, 1);
    live(setup, 11);
    let sql = statements(setup);
    let rows = json!([
        ["purchase", "web", 9.5, "p", null, null, true, true],
        ["purchase", "web", 1.0, null, "\u{fc}", null, true, true],
        ["purchase", "web", 9.5, "p", null, null, true, true],
        ["purchase", "web", 1.0, null, "\u{fc}", null, true, true],
    ]);
    assert_eq!(lake.query(&sql, EVENTS), rows);
    let users = "SELECT user_id, age, extra->>'$.more.a' FROM users ORDER BY 1";
    assert_eq!(
        lake.query(&sql, users),
        json!([["u1", 31, "1"], ["u2", null, null]])
    );
    let history = "SELECT count(*), count(DISTINCT run) FROM users_history";
    assert_eq!(lake.query(&sql, history), json!([[2, 1]]));
    let runs = "SELECT count(*), sum(records)::BIGINT FROM users_runs";
    assert_eq!(lake.query(&sql, runs), json!([[2, 4]]));
    let all = "SELECT count(*) FROM users_all_runs";
    assert_eq!(lake.query(&sql, all), json!([[4]]));
    let refused = "SELECT reason, stream, errors->0->>'code', raw_bytes > 10 FROM quarantine";
    let refused = lake.query(&sql, refused);
    let expected = json!(["refused_request", "events", "schema_type", true]);
    assert_eq!(refused, json!([expected, expected]));
    let types = "SELECT typeof(event_id), typeof(timestamp), typeof(p_amount), typeof(properties), typeof(dt) \
                 FROM events LIMIT 1";
    let types = lake.query(&sql, types);
    assert_eq!(
        types,
        json!([[
            "VARCHAR",
            "TIMESTAMP WITH TIME ZONE",
            "DOUBLE",
            "JSON",
            "DATE"
        ]])
    );
    // A day that is not asked for is not read.
    let today = files_read(lake, &sql, "dt >= DATE '2020-01-02'");
    let long_ago = files_read(lake, &sql, "dt = DATE '2020-01-01'");
    assert_eq!((today, long_ago), (2, 0));
}

/// How many objects of events DuckDB reads for a condition.
fn files_read(lake: &Lake, sql: &std::path::Path, condition: &str) -> u64 {
    files_of(lake, sql, &format!("events WHERE {condition}"))
}

/// How many objects DuckDB reads.
fn files_of(lake: &Lake, sql: &std::path::Path, rows: &str) -> u64 {
    let query = format!("EXPLAIN ANALYZE SELECT * FROM {rows}");
    let plan = lake.query(sql, &query)[0][1].as_str().unwrap().to_owned();
    let counts = plan.split("Total Files Read:").skip(1);
    let counts = counts.map(|rest| {
        rest.split_whitespace()
            .next()
            .unwrap()
            .parse::<u64>()
            .unwrap()
    });
    counts.sum()
}

#[test]
fn every_format_in_a_directory_answers_the_same() {
    for format in ["ndjson.zst", "ndjson.gz", "ndjson", "parquet"] {
        let api = users();
        let setup = Setup::new(&config("url = \"lake\"", format, &api));
        write_schemas(&setup, PURCHASE);
        let lake = Lake::directory(&setup.directory().join("lake"));
        check(&setup, &lake);
        let sql = statements(&setup);
        let watermark = "SELECT count(*), max(watermark) <= now()::TIMESTAMPTZ FROM lake_watermark";
        assert_eq!(lake.query(&sql, watermark), json!([[1, true]]));
    }
}

#[test]
fn every_format_on_s3_answers_the_same() {
    for format in ["ndjson.zst", "parquet"] {
        let server = S3Server::start(31);
        let api = users();
        let place = format!(
            "url = \"s3://lake/raw\"\nendpoint = \"{}\"",
            server.endpoint()
        );
        let setup = Setup::new(&config(&place, format, &api));
        write_schemas(&setup, PURCHASE);
        check(&setup, &Lake::s3("s3://lake/raw", &server.endpoint()));
    }
}

#[test]
fn schemas_grow_and_formats_change_and_one_view_shows_it_all() {
    let api = users();
    let setup = Setup::new(&config("url = \"lake\"", "parquet", &api));
    write_schemas(&setup, PURCHASE);
    let lake = Lake::directory(&setup.directory().join("lake"));
    live(&setup, 1);

    // A new property, and a new event type with the property of another.
    let more = r#"{"properties":{"amount":{"type":"number"},"product":{"type":"string"},"count":{"type":"integer"}}}"#;
    write_schemas(&setup, more);
    let refund = r#"{"properties":{"amount":{"type":"integer"},"at":{"type":"string","format":"date-time"}}}"#;
    std::fs::write(setup.directory().join("schemas/refund.json"), refund).unwrap();
    let program = setup.start();
    let at = "2026-11-25T00:00:00Z";
    let statuses = [
        send(
            &program,
            &setup,
            21,
            "purchase",
            &json!({"amount": 2, "count": 3}),
        ),
        send(
            &program,
            &setup,
            22,
            "refund",
            &json!({"amount": 4, "at": at}),
        ),
        send(&program, &setup, 23, "view", &json!({"amount": "free"})),
        // What a column cannot hold is refused, with the place and the rule.
        send(
            &program,
            &setup,
            24,
            "purchase",
            &json!({"count": 9_223_372_036_854_775_808_u64}),
        ),
        send(&program, &setup, 25, "refund", &json!({"at": "yesterday"})),
    ];
    assert_eq!(statuses, [200, 200, 200, 400, 400]);
    assert!(program.stop(STOP_LIMIT).success());
    let sql = statements(&setup);
    let rows = "SELECT event_type, p_amount, p_count, p_at::VARCHAR, properties->>'amount' FROM events ORDER BY lsn";
    let grown = json!([
        ["purchase", 9.5, null, null, "9.5"],
        ["purchase", 1.0, null, null, "1"],
        ["purchase", 2.0, 3, null, "2"],
        ["refund", 4.0, null, "2026-11-25 00:00:00+00", "4"],
        // Its type has no schema: the value stays whole where it was sent.
        ["view", null, null, null, "free"],
    ]);
    assert_eq!(lake.query(&sql, rows), grown);
    let codes = "SELECT errors->0->>'code' FROM quarantine ORDER BY lsn";
    assert_eq!(
        lake.query(&sql, codes),
        json!([["schema_type"], ["column"], ["column"]])
    );

    // A column never changes its type.
    let other = more.replace("\"number\"", "\"string\"");
    write_schemas(&setup, &other);
    let refused = setup.run(&["serve"]);
    assert_eq!(refused.status.code(), Some(2));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        said.contains("events.p_amount is double in objects") && said.contains("another name"),
        "{said}"
    );
    let checked = setup.run(&["check"]);
    assert_eq!(checked.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&checked.stdout).contains("problem  events.p_amount is double")
    );

    // From Parquet to lines: the same view shows both.
    write_schemas(&setup, more);
    setup.configure(&config("url = \"lake\"", "ndjson.gz", &api));
    live(&setup, 31);
    let sql = statements(&setup);
    let both = "SELECT count(*), sum(p_amount), count(DISTINCT lsn) FROM events";
    assert_eq!(lake.query(&sql, both), json!([[7, 27.0, 7]]));
    let users = "SELECT user_id, age FROM users ORDER BY 1";
    assert_eq!(lake.query(&sql, users), json!([["u1", 31], ["u2", null]]));
}
