#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that fails may panic, and reads and writes files"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::*;
use crate::files::Disk;
use crate::ids::NodeId;
use crate::lake::Lake;
use crate::lake::directory::Directory;
use crate::tables::Tables;

const PARTITION: &str = "events/dt=2026-11-20";

/// What a node ships with that does not know the others.
fn shipper(dir: &Path, node: u64) -> Shipper<Disk> {
    let lake = Arc::new(Lake::Directory(Directory::new(Disk, &dir.join("lake"))));
    let tables = Arc::new(Tables::new(std::iter::empty::<(String, Table)>()));
    Shipper::new(Disk, &dir.join("wal"), NodeId(node), lake, tables)
}

/// A table with these columns for properties.
fn table(columns: &[String]) -> Table {
    let properties: serde_json::Map<_, _> = columns
        .iter()
        .map(|name| (name.clone(), serde_json::json!({"type": "integer"})))
        .collect();
    let schema = serde_json::json!({"properties": properties}).to_string();
    Table::events([schema.as_str()].into_iter()).unwrap()
}

fn numbers(table: &Table) -> BTreeMap<String, i32> {
    let columns = table.columns.iter();
    columns
        .map(|column| (column.name.clone(), column.field_id.unwrap()))
        .collect()
}

/// What a node reads that comes later, in a table with these columns.
fn of_another(dir: &Path, columns: &[String]) -> Arc<Table> {
    shipper(dir, 9)
        .with_field_ids(PARTITION, &table(columns))
        .unwrap()
}

fn assigned(shipper: &Shipper<Disk>, columns: &[&str]) -> BTreeMap<String, i32> {
    let columns: Vec<String> = columns.iter().map(|&name| name.to_owned()).collect();
    let table = table(&columns);
    // As when shipping: what other nodes do at the moment, such as probing the directory, is waited for.
    let attempts = (0..100).map(|_| shipper.with_field_ids(PARTITION, &table));
    numbers(&attempts.flatten().next().unwrap())
}

#[test]
fn nodes_give_a_column_the_same_number_and_no_number_twice() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (shipper(dir.path(), 1), shipper(dir.path(), 2));
    let first = assigned(&one, &["a"]);
    let all: BTreeSet<i32> = first.values().copied().collect();
    assert_eq!(all, (1..=i32::try_from(first.len()).unwrap()).collect());
    let second = assigned(&two, &["b"]);
    assert_eq!(second["lsn"], first["lsn"]);
    assert!(!all.contains(&second["p_b"]));
    // A column that was left out for a while still has its number, and one that differs in case only is the same.
    let third = assigned(&one, &["A", "c", "b"]);
    assert_eq!((third["p_A"], third["p_b"]), (first["p_a"], second["p_b"]));
    assert!(third["p_c"] > third["p_b"]);
    let notes = dir.path().join("lake/_lakehook/fields/events");
    assert_eq!(std::fs::read_dir(&notes).unwrap().count(), 3);
    assert_eq!(
        assigned(&shipper(dir.path(), 3), &["c"])["p_c"],
        third["p_c"]
    );
    assert_eq!(
        std::fs::read_dir(&notes).unwrap().count(),
        3,
        "nothing is new"
    );
}

#[test]
fn nodes_may_come_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let of_node = |node: u64| {
        let shipper = shipper(dir.path(), node);
        move || {
            let all = (0..12).map(|n| {
                assigned(
                    &shipper,
                    &["all", &format!("of_{node}_{n}"), &format!("both_{n}")],
                )
            });
            all.collect::<Vec<_>>()
        }
    };
    let found: Vec<BTreeMap<String, i32>> = std::thread::scope(|scope| {
        let threads = [1, 2, 3].map(|node| scope.spawn(of_node(node)));
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    });
    let (mut by_name, mut by_number) = (BTreeMap::new(), BTreeMap::new());
    for (name, number) in found.into_iter().flatten() {
        assert_eq!(
            *by_name.entry(name.clone()).or_insert(number),
            number,
            "{name}"
        );
        assert_eq!(
            *by_number.entry(number).or_insert(name.clone()),
            name,
            "{number}"
        );
    }
    let own = by_name.keys().filter(|name| name.starts_with("p_")).count();
    assert_eq!(own, 1 + 3 * 12 + 12);
}

#[test]
fn many_columns_take_several_notes() {
    let dir = tempfile::tempdir().unwrap();
    let columns: Vec<String> = (0..1200).map(|n| format!("c{n:040}")).collect();
    let found = numbers(
        &shipper(dir.path(), 1)
            .with_field_ids(PARTITION, &table(&columns))
            .unwrap(),
    );
    let all: BTreeSet<i32> = found.values().copied().collect();
    assert_eq!(all.len(), found.len());
    let notes = dir.path().join("lake/_lakehook/fields/events");
    assert_eq!(std::fs::read_dir(notes).unwrap().count(), 4);
    assert_eq!(numbers(&of_another(dir.path(), &columns)), found);
}

#[test]
fn a_note_that_cannot_be_read_is_not_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir
        .path()
        .join("lake")
        .join(keys::field_ids_key("events", 1));
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let clash = r#"{"version":1,"stream":"events","node":"","fields":{"lsn":1,"p_a":1}}"#;
    for text in [
        "<html>",
        clash,
        r#"{"version":2,"stream":"events","node":"","fields":{}}"#,
    ] {
        std::fs::write(&path, text).unwrap();
        let refused = shipper(dir.path(), 1).with_field_ids(PARTITION, &table(&[]));
        assert!(matches!(refused, Err(LakeError::Retry { .. })), "{text}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    }
}
