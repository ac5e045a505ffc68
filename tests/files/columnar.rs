//! Parquet files as pyarrow writes them: their types, nested values, several row groups, and damage.

use std::process::Command;

use serde_json::json;

use super::Inbox;
use crate::support::python::repository;

/// Writes one file with every kind of column, compressed in this way, and one of the kind of `claim.json`.
const WRITE: &str = r#"
import datetime, decimal, sys
import pyarrow as pa, pyarrow.parquet as pq
folder, codec = sys.argv[1:]
zone = datetime.timezone.utc
at = datetime.datetime(2026, 1, 31, 12, 30, 0, 123456)
rows = [{"id": 1, "name": "Ann", "price": 1.5, "amount": decimal.Decimal("12345678901234.50"), "day": at.date(),
         "at": at.replace(tzinfo=zone), "naive": at, "exact": at, "clock": at.time(), "raw": b"\xff\x00", "text": b"plain",
         "list": [1, None, 3], "nested": {"a": {"b": "x"}, "c": None}, "map": [("k", 1)], "big": 2**64 - 1},
        {"id": 2, "price": float("inf")}]
schema = pa.schema([("id", pa.int32()), ("name", pa.string()), ("price", pa.float64()), ("amount", pa.decimal128(20, 2)),
    ("day", pa.date32()), ("at", pa.timestamp("us", tz="UTC")), ("naive", pa.timestamp("ms")), ("exact", pa.timestamp("ns")),
    ("clock", pa.time64("us")), ("raw", pa.binary()), ("text", pa.binary()), ("list", pa.list_(pa.int64())),
    ("nested", pa.struct([("a", pa.struct([("b", pa.string())])), ("c", pa.int64())])), ("map", pa.map_(pa.string(), pa.int64())),
    ("big", pa.uint64())])
pq.write_table(pa.Table.from_pylist(rows, schema), folder + "/all.parquet", compression=codec)
many = pa.table({"id": pa.array(range(100, 5100), pa.int64()), "name": [f"n{i}" for i in range(5000)]})
pq.write_table(many, folder + "/many.parquet", row_group_size=700, compression=codec)
"#;

fn write(inbox: &Inbox, codec: &str) {
    let python = repository().join(".venv-readers/bin/python");
    assert!(python.exists(), "run make setup");
    let output = Command::new(python)
        .args(["-c", WRITE])
        .args([inbox.path("").to_str().unwrap(), codec])
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
}

#[test]
fn rows_of_parquet_files_are_taken_with_every_type() {
    let settings = "format = \"parquet\"\nid = \"id\"\nguards = { max_refused = \"60 %\" }";
    let inbox = Inbox::of("*.parquet", "parquet", settings);
    write(&inbox, "snappy");
    let said = inbox.take_well();
    // Infinity is no number of JSON.
    assert!(
        said.contains("2 files") && said.contains("5001 rows, 1 quarantined"),
        "{said}"
    );
    assert!(
        said.contains("all.parquet, line 2: schema_type at \"/price\""),
        "{said}"
    );
    let rows = inbox.query("SELECT id, name, price, file, line, extra FROM claims WHERE id = 1");
    let extra: serde_json::Value = serde_json::from_str(rows[0][5].as_str().unwrap()).unwrap();
    assert_eq!(
        rows[0].as_array().unwrap()[..5],
        [
            json!(1),
            json!("Ann"),
            json!(1.5),
            json!("all.parquet"),
            json!(1)
        ]
    );
    let time = "2026-01-31T12:30:00.123456Z";
    let expected = json!({
        "amount": 12_345_678_901_234.5, "day": "2026-01-31", "at": time, "naive": "2026-01-31T12:30:00.123000Z",
        "exact": time, "clock": "12:30:00.123456", "raw": "/wA=", "text": "plain", "list": [1, null, 3],
        "nested": {"a": {"b": "x"}, "c": null}, "map": {"k": 1}, "big": u64::MAX,
    });
    assert_eq!(extra, expected);
    let text = rows[0][5].as_str().unwrap();
    for digits in [":12345678901234.50", ":18446744073709551615"] {
        assert!(text.contains(digits), "{text}");
    }
    let many = "SELECT count(*), sum(id), max(line) FROM claims WHERE file = 'many.parquet'";
    let sum: u64 = (100..5100).sum();
    assert_eq!(inbox.query(many), json!([[5000, sum, 5000]]));
    inbox.audit();
}

#[test]
fn parquet_files_are_read_however_they_are_compressed() {
    let inbox = Inbox::of("*.parquet", "parquet", "format = \"parquet\"");
    let codecs = ["gzip", "lz4", "none", "snappy", "zstd"];
    for codec in codecs {
        write(&inbox, codec);
        std::fs::remove_file(inbox.path("all.parquet")).unwrap();
        let name = inbox.path(&format!("{codec}.parquet"));
        std::fs::rename(inbox.path("many.parquet"), name).unwrap();
    }
    inbox.take_well();
    let sums = "SELECT file, count(*), sum(id) FROM claims GROUP BY file ORDER BY file";
    let sum: u64 = (100..5100).sum();
    let expected = codecs.map(|codec| json!([format!("{codec}.parquet"), 5000, sum]));
    assert_eq!(inbox.query(sums), json!(expected));
}

#[test]
fn a_parquet_file_that_is_cut_or_none_fails_and_another_is_taken() {
    let inbox = Inbox::of("*.parquet", "ndjson", "format = \"parquet\"");
    write(&inbox, "snappy");
    std::fs::remove_file(inbox.path("all.parquet")).unwrap();
    let whole = std::fs::read(inbox.path("many.parquet")).unwrap();
    inbox.put("cut.parquet", &whole[..whole.len() - 20]);
    inbox.put("table.parquet", "id,name\n1,A and so on\n");
    let mut damaged = whole.clone();
    damaged[30..400].fill(0x55);
    inbox.put("damaged.parquet", damaged);
    let said = inbox.fails(&[
        "cut.parquet: the file is not Parquet: it does not end with PAR1",
        "table.parquet: the file is not Parquet",
        "damaged.parquet: ",
        "3 files failed",
    ]);
    assert!(said.contains("1 files in"), "{said}");
    assert_eq!(inbox.rows().as_array().unwrap().len(), 5000);
    let probed = inbox.setup.run(&[
        "files",
        "--probe",
        inbox.path("many.parquet").to_str().unwrap(),
    ]);
    let probed = String::from_utf8(probed.stdout).unwrap();
    assert!(
        probed.contains("format = \"parquet\"")
            && probed.contains("\"id\": {\"type\":[\"integer\",\"null\"]}"),
        "{probed}"
    );
}
