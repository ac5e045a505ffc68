/// An object as it was written before columns had field ids.
fn put_object_without_ids(lake: &Path, day: &str, schema: &Value, amounts: &[f64]) {
    let table = Table::events([schema.to_string().as_str()].into_iter()).unwrap();
    let path = lake.join(format!(
        "events/{day}/00000000000000aa-00000000000000000001.parquet"
    ));
    let file = std::fs::File::create(&path).unwrap();
    let (table, none) = (Arc::new(table), BTreeMap::new());
    let rows = amounts.len() as u64;
    let spool = lake.join("object.part");
    let mut encoder = Encoder::new((&table, &none), rows, file, Disk, &spool).unwrap();
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

#[test]
fn objects_with_and_without_field_ids_are_read_together() {
    let setup = Setup::new(&config("parquet"));
    let schema = json!({"properties": {"amount": {"type": "number"}}});
    live(&setup, &schema, 1, &[json!({"amount": 9.5}), json!({"amount": 1})]);
    let lake = setup.directory().join("data/lake");
    let objects = crate::readable::objects(&lake.join("events"));
    let new = objects[0].file_name().unwrap().to_str().unwrap();
    let day = objects[0].parent().unwrap().file_name().unwrap().to_str().unwrap();
    put_object_without_ids(&lake, day, &schema, &[2.0, 4.0, 0.5]);
    // A column that comes later gets the next number, and the others keep theirs.
    let grown = json!({"properties": {"amount": {"type": "number"}, "count": {"type": "integer"}}});
    live(&setup, &grown, 11, &[json!({"amount": 3, "count": 7})]);

    let answers = answers(script(".venv-readers", "field_ids.py").arg(lake.join("events")));
    assert_eq!(answers["pyarrow"], json!([6, 20.0]));
    assert_eq!(answers["polars"], json!([6, 20.0]));
    let rows = crate::support::duckdb::Lake::directory(&lake).rows();
    assert_eq!(rows.len(), 6, "DuckDB");

    let ids = answers["ids"].as_object().unwrap();
    assert_eq!(ids.len(), 3, "{ids:?}");
    let (first, other): (Vec<_>, Vec<_>) = ids.iter().partition(|(name, _)| *name == new);
    let first = first[0].1.as_object().unwrap();
    let numbers: BTreeSet<i64> = first.values().map(|id| id.as_i64().unwrap()).collect();
    let columns = i64::try_from(first.len()).unwrap();
    assert_eq!(numbers, (1..=columns).collect(), "{first:?}");
    for (name, ids) in other {
        let ids = ids.as_object().unwrap();
        if name.starts_with("00000000000000aa") {
            assert!(ids.is_empty(), "{ids:?}");
            continue;
        }
        assert_eq!(ids["p_count"], json!(columns + 1));
        assert!(first.iter().all(|(column, id)| ids[column] == *id), "{ids:?}");
        assert_eq!(ids.len(), first.len() + 1);
    }
}

