#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a failed unwrap is a failed test, and tests read their own files"
)]

use bytes::Bytes;
use parquet::record::{Field, Row};
use serde_json::{Value, json};

use parquet::file::reader::{FileReader as _, SerializedFileReader};

use super::*;
use lakehook_base::files::Disk;

const SCHEMA: &str = r#"{"properties":{"amount":{"type":"number"},"count":{"type":"integer"},
    "ok":{"type":"boolean"},"at":{"type":"string","format":"date-time"},"list":{"type":"array"}}}"#;

/// An object of these rows of events, read back: its rows, as their columns say.
fn read_back(rows: &[Value]) -> (Vec<Value>, SerializedFileReader<Bytes>) {
    let (rows, reader, _) = written(rows);
    (rows, reader)
}

/// The same, and the statistics that the encoder returns.
fn written(
    rows: &[Value],
) -> (
    Vec<Value>,
    SerializedFileReader<Bytes>,
    Vec<ColumnStatistics>,
) {
    let dir = tempfile::tempdir().unwrap();
    let table = Arc::new(Table::events([SCHEMA].into_iter()).unwrap());
    let path = dir.path().join("object.part");
    let count = rows.len() as u64;
    let mut encoder = Encoder::new(&table, count, Vec::new(), Disk, &path).unwrap();
    for (lsn, row) in rows.iter().enumerate() {
        encoder
            .row(Lsn(lsn as u64 + 1), row.to_string().as_bytes())
            .unwrap();
    }
    let (bytes, statistics, _) = encoder.finish().unwrap();
    let reader = SerializedFileReader::new(Bytes::from(bytes)).unwrap();
    let rows = reader.get_row_iter(None).unwrap();
    let rows = rows.map(|row| json_of(&row.unwrap())).collect();
    (rows, reader, statistics)
}

fn json_of(row: &Row) -> Value {
    let members = row.get_column_iter().map(|(name, field)| {
        let value = match field {
            Field::Str(text) => json!(text),
            Field::Long(number) | Field::TimestampMicros(number) => json!(number),
            Field::Double(number) => json!(number),
            Field::Bool(value) => json!(value),
            _ => Value::Null,
        };
        (name.clone(), value)
    });
    Value::Object(members.collect())
}

fn event(second: usize, properties: &Value) -> Value {
    json!({
        "event_id": format!("id-{second}"), "user_id": null, "user": null, "event_type": "click",
        "source": "web", "timestamp": format!("2026-11-25T00:00:{second:02}.000000Z"),
        "received_at": "2026-11-25T01:00:00.000000Z", "properties": properties, "extra": null,
    })
}

#[test]
fn rows_are_typed_and_sorted_by_time() {
    let (rows, reader) = read_back(&[
        event(
            9,
            &json!({"amount": 1, "count": 2.0, "ok": true, "at": "2026-01-01T00:00:00Z", "list": [1]}),
        ),
        event(3, &json!({"amount": "much", "more": "x"})),
    ]);
    assert_eq!(rows[0]["event_id"], "id-3");
    assert_eq!(rows[0]["p_amount"], Value::Null);
    assert_eq!(
        rows[0]["properties"],
        "{\"amount\":\"much\",\"more\":\"x\"}"
    );
    assert_eq!(
        (&rows[1]["lsn"], &rows[1]["p_count"]),
        (&json!(1), &json!(2))
    );
    assert_eq!(
        (&rows[1]["p_amount"], &rows[1]["p_ok"]),
        (&json!(1.0), &json!(true))
    );
    assert_eq!(
        (&rows[1]["p_list"], &rows[1]["extra"]),
        (&json!("[1]"), &Value::Null)
    );
    let group = reader.metadata().row_group(0);
    assert_eq!(group.sorting_columns().unwrap()[0].column_idx, 5);
    assert!(
        group.column(0).bloom_filter_offset().is_some(),
        "ids have a bloom filter"
    );
    assert!(group.column(3).bloom_filter_offset().is_none());
    assert!(group.column(5).statistics().is_some());
}

#[test]
fn what_has_no_column_or_does_not_fit_is_under_extra() {
    let mut row = event(1, &json!({}));
    row["extra"] = json!({"a": 1});
    row["unknown"] = json!([2]);
    row["user_id"] = json!(5);
    let (rows, _) = read_back(&[row]);
    assert_eq!(rows[0]["user_id"], Value::Null);
    let extra: Value = serde_json::from_str(rows[0]["extra"].as_str().unwrap()).unwrap();
    assert_eq!(extra, json!({"a": 1, "unknown": [2], "user_id": 5}));
}

#[test]
fn many_rows_make_several_row_groups() {
    let rows: Vec<Value> = (0..60)
        .map(|second| event(second, &json!({"text": "x".repeat(1 << 20)})))
        .collect();
    let (read, reader) = read_back(&rows);
    assert_eq!(read.len(), 60);
    assert!(reader.metadata().num_row_groups() > 1);
    let seconds: Vec<&str> = read
        .iter()
        .map(|row| row["event_id"].as_str().unwrap())
        .collect();
    assert_eq!(seconds[59], "id-59");
}

#[test]
fn an_object_without_rows_has_its_columns() {
    let (rows, reader) = read_back(&[]);
    assert_eq!(rows.len(), 0);
    let names = reader.metadata().file_metadata().schema_descr();
    assert_eq!(names.num_columns(), 15);
}

/// Over all row groups; a column without values has no bounds, and an object without rows has no nulls.
#[test]
fn statistics_are_those_of_the_values() {
    use super::super::statistics::Bound;

    let rows: Vec<Value> = (0..60)
        .map(|second| {
            let mut properties = json!({"text": "x".repeat(1 << 20), "count": second * 7 % 60});
            if second % 2 == 1 {
                properties["ok"] = json!(second == 1);
                properties["amount"] = json!(f64::from(second) / 2.0);
            }
            event(usize::try_from(second).unwrap(), &properties)
        })
        .collect();
    let (_, reader, statistics) = written(&rows);
    assert!(reader.metadata().num_row_groups() > 1);
    let of = |name: &str| {
        let found = statistics.iter().find(|column| column.column == name);
        let found = found.unwrap();
        (found.nulls, found.bounds.clone())
    };
    let text = |text: &str| Bound::Text(text.as_bytes().to_vec());
    assert_eq!(
        of("event_id"),
        (Some(0), Some((text("id-0"), text("id-9"))))
    );
    assert_eq!(of("user_id"), (Some(60), None));
    let whole = |lower, upper| Some((Bound::Whole(lower), Bound::Whole(upper)));
    assert_eq!(of("lsn"), (Some(0), whole(1, 60)));
    assert_eq!(of("p_count"), (Some(0), whole(0, 59)));
    let start = 1_795_564_800_000_000;
    assert_eq!(of("timestamp"), (Some(0), whole(start, start + 59_000_000)));
    let double = |value| Bound::Double(value);
    assert_eq!(
        of("p_amount"),
        (Some(30), Some((double(0.5), double(29.5))))
    );
    let boolean = (Bound::Boolean(false), Bound::Boolean(true));
    assert_eq!(of("p_ok"), (Some(30), Some(boolean)));
    let (_, _, none) = written(&[]);
    assert!(
        none.iter()
            .all(|column| (column.nulls, &column.bounds) == (Some(0), &None))
    );
}

#[test]
fn an_object_does_not_depend_on_the_memory_that_its_encoder_is_given() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("object.part");
    let events = Arc::new(Table::events([SCHEMA].into_iter()).unwrap());
    let others = Arc::new(Table::events(std::iter::empty()).unwrap());
    let encode = |table: &Arc<Table>, rows: std::ops::Range<usize>, memory: Memory| {
        let count = rows.len() as u64;
        let place = (Disk, path.as_path());
        let mut encoder = Encoder::with_memory(table, count, Vec::new(), place, memory).unwrap();
        for number in rows {
            let row = event(
                number % 60,
                &json!({"count": number, "note": format!("note {number}")}),
            );
            encoder
                .row(Lsn(number as u64 + 1), row.to_string().as_bytes())
                .unwrap();
        }
        let (bytes, _, memory) = encoder.finish().unwrap();
        (bytes, memory)
    };
    let mut memory = Memory::default();
    for (table, rows) in [
        (&events, 0..500),
        (&events, 500..700),
        (&others, 0..300),
        (&events, 0..0),
        (&events, 200..900),
    ] {
        let (bytes, left) = encode(table, rows.clone(), std::mem::take(&mut memory));
        let (alone, _) = encode(table, rows, Memory::default());
        assert!(bytes == alone);
        memory = left;
    }
}
