#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use super::*;

const SCHEMA: &str = r#"{"properties":{"amount":{"type":"number"},"count":{"type":"integer"},"ok":{"type":"boolean"},
    "day":{"x-lakehook-type":"date"},"price":{"x-lakehook-type":"decimal(12,2)"},
    "wide":{"x-lakehook-type":"decimal(30,2)"},"list":{"type":"array"},"text":{"type":"string"}}}"#;

fn table() -> Arc<Table> {
    Arc::new(Table::events([SCHEMA].into_iter()).unwrap())
}

/// The cells of a line: the name of the column, and the value in words.
fn cells_of(reader: &mut CellReader, line: &str) -> Vec<String> {
    let columns = reader.table().columns.clone();
    let (_, cells) = reader.read(line.as_bytes()).unwrap();
    let mut left = CellsLeft(cells);
    assert_eq!(left.number(), Some(line.len()));
    let mut found = Vec::new();
    while !left.0.is_empty() {
        let column = &columns[left.number().unwrap()];
        let value = match column.kind {
            Kind::Text | Kind::Json => String::from_utf8(left.text().unwrap().to_vec()).unwrap(),
            Kind::Date => i32::from_le_bytes(left.array().unwrap()).to_string(),
            Kind::Decimal(size) if size.is_wide() => {
                i128::from_le_bytes(left.array().unwrap()).to_string()
            }
            Kind::Time | Kind::Integer | Kind::Decimal(_) => {
                i64::from_le_bytes(left.array().unwrap()).to_string()
            }
            Kind::Double => f64::from_le_bytes(left.array().unwrap()).to_string(),
            Kind::Boolean => left.array().map(|[byte]| byte).unwrap().to_string(),
        };
        found.push(format!("{}={value}", column.name));
    }
    found
}

#[test]
fn every_type_has_a_cell_and_null_has_none() {
    let mut reader = CellReader::new(&table());
    let line = r#"{"event_id":"a\u00e9\n","user_id":null,"user":{"b": 1},"timestamp":"1970-01-01T00:00:01.000000Z","properties":{
        "amount":1.5,"count":3.0,"ok":true,"day":"1970-01-03","price":1.5,"wide":-12345678901234567890.25,"list":[1, 2],"text":"x"},"extra":null}"#;
    let cells = cells_of(&mut reader, line);
    let properties = &line[line.find(r#"s":{"#).unwrap() + 3..line.find(r#","extra"#).unwrap()];
    assert_eq!(
        cells,
        [
            "event_id=aé\n",
            "user={\"b\": 1}",
            "timestamp=1000000",
            "p_amount=1.5",
            "p_count=3",
            "p_ok=1",
            "p_day=2",
            "p_price=150",
            "p_wide=-1234567890123456789025",
            "p_list=[1, 2]",
            "p_text=x",
            &format!("properties={properties}"),
        ]
    );
}

/// Whatever rows came before: keys are looked for where they were in the row before.
#[test]
fn keys_may_be_in_any_order() {
    let lines = [
        r#"{"event_id":"1","event_type":"a","properties":{"text":"x","ok":false},"extra":null}"#,
        r#"{"event_type":"b","event_id":"2","properties":{"ok":true},"extra":{}}"#,
        r#"{"event_id":"3","new":[1],"event_type":"c","extra":{"a":{"b":2}}}"#,
        r#"{"\u0065vent_id":"4","event_id":"5","event_type":6,"properties":{"text":7,"text":"y"}}"#,
        "{}",
    ];
    let expected: [&[&str]; 5] = [
        &[
            "event_id=1",
            "event_type=a",
            "p_text=x",
            "p_ok=0",
            r#"properties={"text":"x","ok":false}"#,
        ],
        &[
            "event_type=b",
            "event_id=2",
            "p_ok=1",
            r#"properties={"ok":true}"#,
        ],
        &[
            "event_id=3",
            "event_type=c",
            r#"extra={"new":[1],"a":{"b":2}}"#,
        ],
        &[
            "event_id=4",
            "p_text=y",
            r#"properties={"text":7,"text":"y"}"#,
            r#"extra={"event_id":"5","event_type":6}"#,
        ],
        &[],
    ];
    let mut reader = CellReader::new(&table());
    for order in [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [3, 0, 2, 4, 1]] {
        for index in order {
            assert_eq!(cells_of(&mut reader, lines[index]), expected[index]);
        }
    }
}

#[test]
fn rows_are_sorted_by_their_time_or_before_all_others() {
    let mut reader = CellReader::new(&table());
    for (line, expected) in [
        (r#"{"timestamp":"1970-01-01T00:00:00.000007Z"}"#, 7),
        (r#"{"timestamp":"yesterday"}"#, i64::MIN),
        (r#"{"received_at":"1970-01-01T00:00:00.000007Z"}"#, i64::MIN),
    ] {
        let (time, _) = reader.read(line.as_bytes()).unwrap();
        assert_eq!(time, Micros(expected), "{line}");
    }
    for line in [&b"[1]"[..], b"", b"{\"a\":1", b"{\"a\":\"\xff\"}"] {
        assert!(reader.read(line).is_err());
    }
}

#[test]
fn numbers_are_read_as_they_were_written() {
    for number in [0, 1, 127, 128, 300, usize::MAX >> 1, usize::MAX] {
        let mut bytes = Vec::new();
        put_number(&mut bytes, number);
        assert_eq!(CellsLeft(&bytes).number(), Some(number));
        bytes.pop();
        assert_eq!(CellsLeft(&bytes).number(), None);
    }
    assert_eq!(CellsLeft(&[0xff; 12]).number(), None);
    assert_eq!(CellsLeft(&[3, b'a', b'b']).text(), None);
}
