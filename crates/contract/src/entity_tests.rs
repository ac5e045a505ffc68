#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use serde_json::{Value, json};

use super::*;
use lakehook_base::ids::HashKey;

const SCHEMA: &str = r#"{"type":"object","required":["name"],
    "properties":{"user_id":{"type":"string"},"name":{"type":"string"},"age":{"type":["integer","null"]}}}"#;

fn origin() -> Origin {
    Origin {
        received_at: Micros(0),
        endpoint: "users".into(),
        request_id: "run".into(),
        client: None,
    }
}

fn entities(schema: Option<&str>, id: Option<&str>) -> Entities {
    let key = Fingerprint::new(HashKey([1; 16]));
    let schema = schema.map(|text| ("test", text));
    Entities::new(
        "users",
        schema,
        id.map(FieldPath::new),
        None,
        key,
        ColumnSettings::default(),
    )
    .unwrap()
}

fn target(is_snapshot: bool) -> Target<'static> {
    Target {
        partition: "users/dt=1970-01-01",
        quarantine: "quarantine/users/dt=1970-01-01",
        is_snapshot,
        may_be_older: false,
    }
}

/// The row that a record becomes, and what `take` returned.
fn row<'a>(entities: &Entities, raw: &'a str) -> (String, Taken<'a>, RowKind) {
    let mut rows = Rows::default();
    let taken = entities.take(raw, &origin(), target(false), &mut rows);
    assert_eq!(rows.rows.len(), 1);
    let text = String::from_utf8(rows.bytes).unwrap();
    assert!(!text.contains('\n'));
    (text, taken, rows.rows[0].kind)
}

#[test]
fn declared_columns_come_in_the_order_of_the_schema() {
    let entities = entities(Some(SCHEMA), Some("user_id"));
    let (text, taken, _) = row(
        &entities,
        "{\"name\":\"A\", \"more\":\n[1],\"user_id\":\"u1\"}",
    );
    insta::assert_snapshot!(text, @r#"{"received_at":"1970-01-01T00:00:00.000000Z","user_id":"u1","name":"A","age":null,"extra":{"more":[1]}}"#);
    assert!(matches!(taken, Taken::Row { id: Some(_), .. }));
    let (text, _, _) = row(&entities, r#"{"user_id":"u1","name":"A","age":3}"#);
    insta::assert_snapshot!(text, @r#"{"received_at":"1970-01-01T00:00:00.000000Z","user_id":"u1","name":"A","age":3,"extra":null}"#);
}

#[test]
fn without_a_schema_a_records_own_keys_are_the_columns() {
    let entities = entities(None, None);
    let (text, _, _) = row(&entities, r#"{"b":1,"LSN":2,"a":{"x":null}}"#);
    insta::assert_snapshot!(text, @r#"{"received_at":"1970-01-01T00:00:00.000000Z","b":1,"a":{"x":null},"extra":{"LSN":2}}"#);
}

#[test]
fn the_lsn_goes_behind_the_time_and_the_time_can_be_set() {
    let mut rows = Rows::default();
    let entities = entities(Some(SCHEMA), None);
    for raw in [r#"{"name":"A"}"#, r#"{"name":1}"#] {
        entities.take(raw, &origin(), target(true), &mut rows);
    }
    stamp(&mut rows, Micros(1_000_000));
    for (row, bytes) in rows.iter() {
        let mut bytes = bytes.to_vec();
        let at = row.lsn_at as usize;
        bytes.splice(at..at, b"\"lsn\":7,".iter().copied());
        let value: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(value["lsn"], 7);
        assert_eq!(value["received_at"], "1970-01-01T00:00:01.000000Z");
    }
    assert_eq!(rows.rows[0].kind, RowKind::Snapshot);
    assert_eq!(rows.rows[1].kind, RowKind::Quarantined);
    assert_eq!(rows.partitions.len(), 2);
}

#[test]
fn what_breaks_the_contract_is_kept_with_the_reason() {
    let with_id = entities(Some(SCHEMA), Some("user_id"));
    for (raw, code, pointer) in [
        ("[1]", "type", ""),
        (r#"{"user_id":"a"}"#, "schema_required", "/name"),
        (r#"{"user_id":"a","name":5}"#, "schema_type", "/name"),
        (r#"{"name":"A"}"#, "id", "/user_id"),
        (r#"{"name":"A","user_id":""}"#, "id", "/user_id"),
        (r#"{"name":"A","b":1,"B":2}"#, "duplicate_key", "/B"),
        (
            r#"{"name":"\ud800","user_id":"a"}"#,
            "lone_surrogate",
            "/name",
        ),
    ] {
        let (text, taken, kind) = row(&with_id, raw);
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(kind, RowKind::Quarantined, "{raw}");
        assert!(matches!(taken, Taken::Invalid { .. }));
        assert_eq!(value["reason"], "invalid_record");
        assert_eq!(value["raw"], raw);
        assert_eq!(value["errors"][0]["code"], code, "{raw}: {text}");
        assert_eq!(value["errors"][0]["pointer"], pointer, "{raw}: {text}");
    }
}

#[test]
fn a_changed_record_is_another_and_the_same_is_the_same() {
    let entities = entities(Some(SCHEMA), Some("user_id"));
    let identity = |raw| match row(&entities, raw).2 {
        RowKind::Record(identity) => identity,
        other => unreachable!("{other:?}"),
    };
    let first = identity(r#"{"user_id":"a","name":"A"}"#);
    assert_eq!(first, identity(r#"{ "name":"A", "user_id":"a" }"#));
    assert_ne!(first.tag, identity(r#"{"user_id":"a","name":"B"}"#).tag);
}

#[test]
fn neither_the_way_of_writing_nor_the_schema_makes_a_record_new() {
    let raw = r#"{"user_id":"a","name":"A/A","n":[1.0,{"x":1,"y":2}]}"#;
    let again = r#"{"n" : [1, {"y":2,"x":1.0}], "name":"A\/A", "user_id":"a"}"#;
    let narrow = r#"{"properties":{"name":{}}}"#;
    let identity = |schema, raw| row(&entities(schema, Some("user_id")), raw).2;
    let first = identity(None, raw);
    for schema in [None, Some(SCHEMA), Some(narrow)] {
        assert_eq!(identity(schema, raw), first);
        assert_eq!(identity(schema, again), first);
    }
}

#[test]
fn what_an_earlier_version_has_stored_is_known_by_its_former_identity() {
    let entities = entities(Some(SCHEMA), Some("user_id"));
    let mut rows = Rows::default();
    let target = Target {
        may_be_older: true,
        ..target(false)
    };
    for raw in [r#"{"user_id":"a","name":"A"}"#, r#"{"name":1}"#] {
        entities.take(raw, &origin(), target, &mut rows);
    }
    // As version 0.1.0 gave it to this record.
    let former = Identity {
        tag: 4_709_809_201_187_735_229,
        content: 2_637_708_557,
    };
    assert_eq!(rows.former, [former]);
}

#[test]
fn paths_lead_to_nested_fields() {
    let raw = json!({"a": {"b/c": 5}, "~": "x"}).to_string();
    let Members(members) = serde_json::from_str(&raw).unwrap();
    assert_eq!(FieldPath::new("/a/b~1c").find(&members), Some("5"));
    assert_eq!(FieldPath::new("~").find(&members), Some("\"x\""));
    assert_eq!(FieldPath::new("/a/d").find(&members), None);
    assert_eq!(FieldPath::new("/a/b~1c").pointer(), "/a/b~1c");
}

#[test]
fn columns_that_would_clash_are_refused() {
    let key = Fingerprint::new(HashKey([1; 16]));
    for schema in [
        r#"{"properties":{"lsn":{}}}"#,
        r#"{"properties":{"a":{},"A":{}}}"#,
    ] {
        let error = Entities::new(
            "users",
            Some(("x", schema)),
            None,
            None,
            key,
            ColumnSettings::default(),
        )
        .unwrap_err();
        assert!(
            error.to_string().contains("would be a column twice"),
            "{error}"
        );
    }
}
