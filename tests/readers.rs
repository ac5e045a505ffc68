//! Other engines read the lake: each recipe of `docs/readers.md`, the statements for Athena by Hive's own parser,
//! and those that can only be parsed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use lakehook::encode::parquet::Encoder;
use lakehook::files::Disk;
use lakehook::record::Lsn;
use lakehook::tables::Table;
use serde_json::{Value, json};

use crate::arrival::STOP_LIMIT;
use crate::support::api::{Api, page};
use crate::support::duckdb::Lake;
use crate::support::http;
use crate::support::process::Setup;
use crate::support::python::repository;

/// A script of `tests/python` in one of the environments that `make setup` makes.
fn script(venv: &str, name: &str) -> Command {
    let python = repository().join(venv).join("bin/python");
    assert!(
        python.exists(),
        "there is no {}: run make setup",
        python.display()
    );
    let mut command = Command::new(python);
    command.arg(repository().join("tests/python").join(name));
    command
}

/// What a script printed.
fn said(command: &mut Command) -> Vec<u8> {
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{errors}\n(Spark needs Java; on Debian 12: apt-get install openjdk-17-jre-headless)"
    );
    output.stdout
}

fn answers(command: &mut Command) -> BTreeMap<String, Value> {
    serde_json::from_slice(&said(command)).unwrap()
}

fn config(format: &str) -> String {
    format!(
        "[lake]\nurl = \"data/lake\"\n[batch]\nformat = \"{format}\"\n[wal]\nmax_bytes = \"64 MiB\"\n\
         [events]\nschemas = \"schemas\"\ntypes = [\"purchase\"]\ndrop = []\n"
    )
}

/// One life of the service with these events; the schema of their properties is replaced before.
fn live(setup: &Setup, schema: &Value, first: u32, events: &[Value]) {
    let dir = setup.directory().join("schemas");
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("purchase.json"), schema.to_string()).unwrap();
    let program = setup.start();
    let now: chrono::DateTime<chrono::Utc> = std::time::SystemTime::now().into();
    let events: Vec<Value> = (first..)
        .zip(events)
        .map(|(number, properties)| {
            json!({
                "event_id": format!("00000000-0000-4000-8000-{number:012}"), "user_id": "u1",
                "event_type": "purchase", "source": "web",
                "timestamp": now.to_rfc3339_opts(chrono::SecondsFormat::Micros, true), "properties": properties,
            })
        })
        .collect();
    let body = json!({"events": events}).to_string();
    let reply = http::post_json(setup.address(), "/webhook/events", body.as_bytes()).unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert!(program.stop(STOP_LIMIT).success());
}

/// A lake in a format, whose schema has grown: amounts of 12.5, counts of 3.
fn grown(format: &str) -> Setup {
    let setup = Setup::new(&config(format));
    let schema = json!({"properties": {"amount": {"type": "number"}}});
    live(
        &setup,
        &schema,
        1,
        &[json!({"amount": 9.5}), json!({"amount": 1})],
    );
    let schema =
        json!({"properties": {"amount": {"type": "number"}, "count": {"type": "integer"}}});
    live(&setup, &schema, 11, &[json!({"amount": 2, "count": 3})]);
    setup
}

fn page_of_readers() -> PathBuf {
    repository().join("docs/readers.md")
}

#[test]
fn the_recipes_of_the_readers_page_see_every_row_and_every_column() {
    let (columns, gz, zst) = (grown("parquet"), grown("ndjson.gz"), grown("ndjson.zst"));
    let place = |section: &str, setup: &Setup| format!("{section}={}", setup.directory().display());
    let mut command = script(".venv-readers", "recipes.py");
    command.arg("run").arg(page_of_readers()).arg("--others");
    command.args([
        place("Parquet", &columns),
        place("Lines", &gz),
        place("Lines#zst", &zst),
    ]);
    let mut answers = answers(&mut command);
    // Of zstd the page promises less.
    for (engine, reads) in [
        ("pandas", false),
        ("DataFusion", false),
        ("polars", true),
        ("ClickHouse", true),
    ] {
        let answer = answers.remove(&format!("Lines#zst/{engine}")).unwrap();
        assert_eq!(
            answer == json!({"said": "12.5 3"}),
            reads,
            "{engine}: {answer}"
        );
    }
    assert_eq!(answers.len(), 9, "{answers:?}");
    for (recipe, answer) in answers {
        assert_eq!(answer, json!({"said": "12.5 3"}), "{recipe}");
    }
}

/// A life of the service in which each of these many requests is a frame of the log, so that the object has
/// as many pieces; returns the object.
fn object_in_pieces(setup: &Setup, requests: u64) -> PathBuf {
    let dir = setup.directory().join("schemas");
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("purchase.json"), "{}").unwrap();
    let program = setup.start();
    let now: chrono::DateTime<chrono::Utc> = std::time::SystemTime::now().into();
    for request in 0..requests {
        let events = (0..EVENTS).map(|number| {
            let number = request * EVENTS + number;
            json!({
                "event_id": format!("00000000-0000-4000-8000-{number:012}"), "user_id": format!("u{}", number % 97),
                "event_type": "purchase", "source": "web",
                "timestamp": now.to_rfc3339_opts(chrono::SecondsFormat::Micros, true),
                "properties": {"amount": number, "note": format!("{number:064x}")},
            })
        });
        let body = json!({"events": events.collect::<Vec<_>>()}).to_string();
        let reply = http::post_json(setup.address(), "/webhook/events", body.as_bytes()).unwrap();
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
    let objects = crate::readable::objects(&setup.directory().join("data/lake/events"));
    assert_eq!(objects.len(), 1, "{objects:?}");
    objects[0].clone()
}

/// Events of a request.
const EVENTS: u64 = 100;

#[test]
fn every_engine_reads_an_object_of_many_pieces_in_full() {
    const REQUESTS: u64 = 40;
    for (format, magic) in [
        ("ndjson.gz", [0x1f, 0x8b, 0x08].as_slice()),
        ("ndjson.zst", &[0x28, 0xb5, 0x2f, 0xfd]),
    ] {
        let setup = Setup::new(&config(format));
        let object = object_in_pieces(&setup, REQUESTS);
        let bytes = std::fs::read(&object).unwrap();
        let pieces = bytes.windows(magic.len()).filter(|at| *at == magic).count();
        assert!(pieces as u64 >= REQUESTS, "{format}: {pieces} pieces");
        let rows = REQUESTS * EVENTS;
        let expected = json!([rows, rows * (rows + 1) / 2]);
        let answers = answers(script(".venv-readers", "frames.py").arg(&object));
        let engines = [
            "ClickHouse",
            "DataFusion",
            "Python",
            "pandas",
            "polars",
            "pyarrow",
        ];
        assert_eq!(answers.keys().collect::<Vec<_>>(), engines);
        for (engine, answer) in answers {
            assert_eq!(answer, expected, "{engine}, {format}");
        }
        let lake = crate::support::duckdb::Lake::directory(&setup.directory().join("data/lake"));
        let lsns: u64 = lake
            .rows()
            .iter()
            .map(|row| row["lsn"].as_u64().unwrap())
            .sum();
        assert_eq!(
            json!([lake.rows().len(), lsns]),
            expected,
            "DuckDB, {format}"
        );
    }
}

/// An object as it was written before columns had field ids.
fn put_object_without_ids(lake: &Path, day: &str, schema: &Value, amounts: &[f64]) {
    let table = Arc::new(Table::events([schema.to_string().as_str()].into_iter()).unwrap());
    let key = format!("events/{day}/00000000000000aa-00000000000000000001.parquet");
    let file = std::fs::File::create(lake.join(key)).unwrap();
    let rows = amounts.len() as u64;
    let spool = lake.join("object.part");
    let mut encoder = Encoder::new(&table, rows, file, Disk, &spool).unwrap();
    for (lsn, amount) in (1..).zip(amounts) {
        let row = json!({
            "event_id": format!("00000000-0000-4000-9000-{lsn:012}"), "user_id": "u1", "user": null,
            "event_type": "purchase", "source": "web", "timestamp": "2026-11-25T00:00:00.000000Z",
            "received_at": "2026-11-25T01:00:00.000000Z", "properties": {"amount": amount}, "extra": null,
        });
        encoder.row(Lsn(lsn), row.to_string().as_bytes()).unwrap();
    }
    encoder.finish().unwrap();
}

/// The numbers of the columns of an object.
fn numbers(object: &Value) -> BTreeMap<String, u64> {
    serde_json::from_value(object.clone()).unwrap()
}

#[test]
fn objects_with_and_without_field_ids_are_read_together() {
    let setup = Setup::new(&config("parquet"));
    let schema = json!({"properties": {"amount": {"type": "number"}}});
    live(
        &setup,
        &schema,
        1,
        &[json!({"amount": 9.5}), json!({"amount": 1})],
    );
    let lake = setup.directory().join("data/lake");
    let objects = crate::readable::objects(&lake.join("events"));
    let first = objects[0].file_name().unwrap().to_str().unwrap();
    let day = objects[0]
        .parent()
        .unwrap()
        .file_name()
        .unwrap()
        .to_str()
        .unwrap();
    put_object_without_ids(&lake, day, &schema, &[2.0, 4.0, 0.5]);
    // A column that comes later gets the next number, and the others keep theirs.
    let grown = json!({"properties": {"count": {"type": "integer"}, "amount": {"type": "number"}}});
    live(&setup, &grown, 11, &[json!({"amount": 3, "count": 7})]);

    let answers = answers(script(".venv-readers", "field_ids.py").arg(lake.join("events")));
    for engine in ["pyarrow", "polars"] {
        assert_eq!(answers[engine], json!([6, 20.0]), "{engine}");
    }
    assert_eq!(Lake::directory(&lake).rows().len(), 6, "DuckDB");
    let ids = answers["ids"].as_object().unwrap();
    assert_eq!(ids.len(), 3, "{ids:?}");
    let own = numbers(&ids[first]);
    let count = own.len() as u64;
    assert!(count > 5, "{own:?}");
    assert_eq!(
        own.values().copied().collect::<BTreeSet<u64>>(),
        (1..=count).collect()
    );
    for (name, found) in ids {
        let found = numbers(found);
        if name.starts_with("00000000000000aa") {
            assert!(found.is_empty(), "{found:?}");
        } else if name != first {
            let expected = own
                .clone()
                .into_iter()
                .chain([("p_count".to_owned(), count + 1)]);
            assert_eq!(found, expected.collect());
        }
    }
}

#[test]
fn the_recipes_for_spark_see_every_row_and_every_column() {
    let (columns, gz, zst) = (grown("parquet"), grown("ndjson.gz"), grown("ndjson.zst"));
    let place = |section: &str, setup: &Setup| format!("{section}={}", setup.directory().display());
    let mut command = script(".venv-spark", "recipes.py");
    let options = "--master local[1] --conf spark.ui.enabled=false --conf spark.sql.shuffle.partitions=1 pyspark-shell";
    command
        .env("PYSPARK_SUBMIT_ARGS", options)
        .env("SPARK_LOCAL_IP", "127.0.0.1");
    command.arg("run").arg(page_of_readers()).arg("--spark");
    command.args([
        place("Parquet", &columns),
        place("Lines", &gz),
        place("Lines#zst", &zst),
    ]);
    let answers = answers(&mut command);
    assert_eq!(answers["Parquet/Spark"], json!({"said": "12.5 3"}));
    assert_eq!(answers["Lines/Spark"], json!({"said": "12.5 3"}));
    let why = answers["Lines#zst/Spark"]["error"]
        .as_str()
        .unwrap_or_default();
    assert!(why.contains("zStandard"), "{answers:?}");
}

#[test]
fn statements_of_the_readers_page_and_for_trino_can_be_parsed() {
    let api = Api::start(|_, _| page(json!([])));
    let poll = format!(
        "[poll.users]\nurl = \"{}\"\nrecords = \"\"\nid = \"user_id\"\n",
        api.url()
    );
    let setup = Setup::new(&(config("parquet") + &poll));
    let schema = json!({"properties": {"order": {"type": "string"}, "it's": {"type": "string"}}});
    std::fs::create_dir_all(setup.directory().join("schemas")).unwrap();
    std::fs::write(
        setup.directory().join("schemas/purchase.json"),
        schema.to_string(),
    )
    .unwrap();
    let output = setup.run(&["sql", "trino"]);
    assert!(output.status.success(), "{output:?}");
    let statements = setup.directory().join("trino.sql");
    std::fs::write(&statements, &output.stdout).unwrap();
    let mut command = script(".venv-readers", "recipes.py");
    let parsed = answers(command.args(["dialect", "trino"]).arg(&statements));
    let kinds: Vec<&str> = parsed["trino"]
        .as_array()
        .unwrap()
        .iter()
        .map(|kind| kind.as_str().unwrap())
        .collect();
    let count = |wanted: &str| kinds.iter().filter(|kind| **kind == wanted).count();
    // Schema, events, all runs, runs, latest, and two tables of the quarantine; then a call for each table of days.
    assert_eq!((count("Create"), kinds.len()), (7, 11), "{kinds:?}");

    let parsed = answers(
        script(".venv-readers", "recipes.py")
            .arg("parse")
            .arg(page_of_readers()),
    );
    let pages = ["BigQuery", "Snowflake", "Trino"];
    assert_eq!(parsed.keys().collect::<Vec<_>>(), pages);
    for (heading, kinds) in parsed {
        let kinds = kinds.as_array().unwrap();
        assert!(
            kinds.len() == 2 && kinds.iter().all(|kind| kind != "Command"),
            "{heading}: {kinds:?}"
        );
    }
}

/// Every word that means something to Hive is the name of a property and of a column of a poll.
#[test]
fn hive_parses_the_statements_for_athena_whatever_names_are_called() {
    let words = said(script(".venv-spark", "hive.py").arg("keywords"));
    let mut words: Vec<String> = String::from_utf8(words)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect();
    assert!(
        words.len() > 200 && words.contains(&"order".to_owned()),
        "{words:?}"
    );
    words.extend(["_id", "2nd", "to", "date"].map(str::to_owned));
    words.sort();
    words.dedup();
    // Names of partition keys and of our own columns are refused elsewhere.
    words.retain(|word| !["extra", "lsn", "received_at", "dt", "run"].contains(&word.as_str()));
    let properties: serde_json::Map<_, _> = words
        .iter()
        .map(|word| (word.clone(), json!({"type": "string"})))
        .collect();
    let schema = json!({"properties": properties});
    let record: serde_json::Map<_, _> = words
        .iter()
        .map(|word| (word.clone(), json!(word)))
        .collect();
    let record = Value::Object(record);
    for format in ["ndjson", "parquet"] {
        let shown = record.clone();
        let api = Api::start(move |_, _| page(json!([shown])));
        let poll = format!(
            "[poll.table]\nurl = \"{}\"\nrecords = \"\"\nid = \"_id\"\nschema = \"table.json\"\n",
            api.url()
        );
        let setup = Setup::new(&(config(format) + &poll));
        std::fs::write(setup.directory().join("table.json"), schema.to_string()).unwrap();
        live(&setup, &schema, 1, std::slice::from_ref(&record));
        let polled = setup.run(&["poll"]);
        assert!(
            polled.status.success(),
            "{}",
            String::from_utf8_lossy(&polled.stderr)
        );
        let output = setup.run(&["sql", "athena"]);
        assert!(output.status.success(), "{output:?}");
        let statements = setup.directory().join("athena.sql");
        std::fs::write(&statements, &output.stdout).unwrap();
        let tables = answers(
            script(".venv-spark", "hive.py")
                .arg("columns")
                .arg(&statements),
        );
        let names: Vec<&str> = tables.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            ["events", "quarantine", "table_all_runs", "table_runs"]
        );
        if format == "parquet" {
            for word in &words {
                assert_eq!(tables["events"][format!("p_{word}")], "string", "{word}");
                assert_eq!(tables["table_all_runs"][word], "string");
            }
            continue;
        }
        // What the table maps is what the rows have.
        let event = first_row(&setup.directory().join("data/lake/events"));
        assert_eq!(
            tables["events"]["properties"]
                .as_object()
                .unwrap()
                .keys()
                .collect::<Vec<_>>(),
            words.iter().collect::<Vec<_>>()
        );
        assert_eq!(event["properties"], record);
        let row = first_row(&setup.directory().join("data/lake/table"));
        for word in &words {
            assert_eq!(tables["table_all_runs"][word], "string", "{word}");
            assert_eq!(row[word], *word);
        }
    }
}

/// The first row of the first object below a directory.
fn first_row(dir: &Path) -> Value {
    let mut left = vec![dir.to_owned()];
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(
                std::fs::read_dir(&path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        } else {
            let text = std::fs::read_to_string(&path).unwrap();
            return serde_json::from_str(text.lines().next().unwrap()).unwrap();
        }
    }
    panic!("nothing is in {}", dir.display());
}

/// What `check --for` says of an engine, and its exit code.
fn judged(config: &str, engine: &str) -> (Option<i32>, String) {
    let setup = Setup::new(config);
    let output = setup.run(&["check", "--for", engine]);
    let lines = String::from_utf8(output.stdout).unwrap();
    let own: Vec<&str> = lines
        .lines()
        .filter(|line| {
            line.contains(&format!("{engine}:")) || line.contains(&format!("{engine} can"))
        })
        .collect();
    (output.status.code(), own.join("\n"))
}

#[test]
fn check_judges_a_configuration_for_an_engine() {
    let directory =
        |format: &str| format!("[lake]\nurl = \"lake\"\n[batch]\nformat = \"{format}\"\n");
    let (code, said) = judged(&directory("ndjson.zst"), "spark");
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("warning  spark: batch.format: Spark 3.5 cannot read .ndjson.zst"),
        "{said}"
    );
    for format in ["ndjson.gz", "ndjson", "parquet"] {
        let (code, said) = judged(&directory(format), "spark");
        assert_eq!(
            (code, said.as_str()),
            (
                Some(0),
                format!("ok       spark can read {format}").as_str()
            )
        );
    }
    for engine in ["athena", "bigquery", "snowflake"] {
        let (code, said) = judged(&directory("parquet"), engine);
        assert_eq!(code, Some(1), "{said}");
        assert!(
            said.contains(&format!("problem  {engine}: lake.url: ")) && !said.contains("can read"),
            "{said}"
        );
    }
    let (code, said) = judged(&directory("ndjson.zst"), "bigquery");
    assert_eq!(code, Some(1));
    assert!(
        said.contains("not .ndjson.zst; set \"ndjson.gz\" or \"parquet\""),
        "{said}"
    );
}
