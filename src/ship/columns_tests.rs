#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that fails may panic, and reads and writes files"
)]

use std::borrow::Cow;
use std::io;
use std::path::Path;

use super::*;
use crate::columns::Kinds;
use crate::files::Disk;
use crate::ids::NodeId;
use crate::lake::Lake;
use crate::lake::directory::Directory;
use crate::tables::{LiveShape, Shape, Tables};

const PARTITION: &str = "orders/dt=2026-11-20";

/// What a node has written down of the columns; nothing more once its disk is full.
#[derive(Clone, Default)]
struct Kept(Arc<std::sync::Mutex<(Vec<FoundColumn>, bool)>>);

impl Kept {
    fn columns(&self) -> Vec<FoundColumn> {
        self.0.lock().unwrap().0.clone()
    }

    fn is_full(&self, full: bool) {
        self.0.lock().unwrap().1 = full;
    }
}

/// A process of a node that polls `orders` and ships it.
struct Node {
    shipper: Shipper<Disk>,
    live: Arc<LiveShape>,
    kept: Kept,
}

impl Node {
    fn new(dir: &Path, node: u64) -> Self {
        Self::restarted(dir, node, &Kept::default())
    }

    /// The same node in another process.
    fn restarted(dir: &Path, node: u64, kept: &Kept) -> Self {
        let into = kept.clone();
        let keep = move |columns: &[FoundColumn]| {
            let mut into = into.0.lock().unwrap();
            if into.1 {
                return Err(io::Error::other("full"));
            }
            into.0 = columns.to_vec();
            Ok(())
        };
        let live = Arc::new(LiveShape::new(Shape::new(kept.columns()), Box::new(keep)));
        let growing = GrowingTable::new(Arc::clone(&live), &[], Kinds::default());
        let streams = [("orders".to_owned(), StreamTable::Growing(growing))];
        let tables = Arc::new(Tables::new(streams.into_iter()));
        let lake = Arc::new(Lake::Directory(Directory::new(Disk, &dir.join("lake"))));
        let wal = dir.join(format!("wal-{node}"));
        Self {
            shipper: Shipper::new(Disk, &wal, NodeId(node), lake, tables),
            live,
            kept: kept.clone(),
        }
    }

    /// A record is read.
    fn find(&self, name: &str, raw: &str) -> Vec<u32> {
        let members = [(Cow::Borrowed(name), raw)];
        let unfit = self.live.note(&members.into_iter());
        self.live.keep().unwrap();
        unfit
    }

    /// The columns of an object that is written now, with their types, besides those of every row.
    fn ship(&self, settled: Settled) -> Result<Vec<String>, ShipError> {
        let mut attempt = self.shipper.table_of(PARTITION, settled);
        for _ in 0..20 {
            // As when shipping: what is only refused for now is tried again.
            if !matches!(attempt, Err(ShipError::Lake(LakeError::Retry { .. }))) {
                break;
            }
            attempt = self.shipper.table_of(PARTITION, settled);
        }
        let table = attempt?;
        let own = table.columns.iter();
        let own = own.filter(|column| !crate::tables::RESERVED.contains(&column.name.as_str()));
        Ok(own
            .map(|column| format!("{} {}", column.name, column.kind))
            .collect())
    }

    fn shipped(&self) -> Vec<String> {
        self.ship(Settled::Typed).unwrap()
    }
}

fn notes(dir: &Path) -> usize {
    let notes = dir.join("lake/_lakehook/columns/orders");
    std::fs::read_dir(notes).map_or(0, Iterator::count)
}

#[test]
fn two_nodes_that_run_give_a_column_one_type() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (Node::new(dir.path(), 1), Node::new(dir.path(), 2));
    // Both have read the notes long ago.
    for node in [&one, &two] {
        node.find("id", "1");
        assert_eq!(node.shipped(), ["id integer"]);
    }
    one.find("amount", "10");
    assert_eq!(one.shipped(), ["id integer", "amount integer"]);
    two.find("amount", "9.99");
    assert_eq!(two.shipped(), ["id integer", "amount integer"]);
    assert_eq!(two.find("amount", "9.99"), [1], "it stands under `extra`");
    assert_eq!(two.kept.columns(), one.kept.columns());
    assert_eq!(notes(dir.path()), 2);
}

#[test]
fn no_type_is_settled_before_the_note_is_there_and_none_changes_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let kept = Kept::default();
    let one = Node::restarted(dir.path(), 1, &kept);
    one.find("price", "1");
    // The lake takes no note.
    let notes_of_all = dir.path().join("lake/_lakehook/columns");
    std::fs::create_dir_all(notes_of_all.parent().unwrap()).unwrap();
    std::fs::write(&notes_of_all, "").unwrap();
    assert!(one.ship(Settled::Typed).is_err());
    assert_eq!(kept.columns()[0].settled, Settled::No);
    // Another node is first, and then this one is killed and starts again.
    std::fs::remove_file(&notes_of_all).unwrap();
    let two = Node::new(dir.path(), 2);
    two.find("price", "2.5");
    assert_eq!(two.shipped(), ["price double"]);
    let one = Node::restarted(dir.path(), 1, &kept);
    assert_eq!(one.shipped(), ["price double"]);
    // A note is there, and then the node is killed before it has written down what it settled.
    one.find("flag", "true");
    kept.is_full(true);
    assert!(one.ship(Settled::Typed).is_err());
    kept.is_full(false);
    let one = Node::restarted(dir.path(), 1, &kept);
    one.find("flag", "\"yes\"");
    assert_eq!(one.shipped(), ["price double", "flag boolean"]);
    two.find("flag", "7");
    assert_eq!(two.shipped(), ["price double", "flag boolean"]);
}

#[test]
fn a_note_is_put_for_new_columns_only_whatever_others_have_noted() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (Node::new(dir.path(), 1), Node::new(dir.path(), 2));
    for column in 0..250 {
        one.find(&format!("a{column}"), "1");
        two.find(&format!("b{column}"), "1");
    }
    for _ in 0..4 {
        one.shipped();
        two.shipped();
    }
    assert!(notes(dir.path()) <= 2, "{} notes", notes(dir.path()));
    let again = Node::restarted(dir.path(), 2, &two.kept);
    again.shipped();
    assert!(notes(dir.path()) <= 2, "{} notes", notes(dir.path()));
}

#[test]
fn a_column_that_differs_in_case_only_gives_way_to_the_one_that_was_noted() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (Node::new(dir.path(), 1), Node::new(dir.path(), 2));
    one.find("Id", "1");
    assert_eq!(one.shipped(), ["Id integer"]);
    two.find("id", "\"x\"");
    for _ in 0..4 {
        assert_eq!(two.shipped(), ["Id integer"]);
    }
    assert_eq!(notes(dir.path()), 1);
}

#[test]
fn a_note_that_cannot_be_read_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let one = Node::new(dir.path(), 1);
    one.find("price", "1");
    one.shipped();
    let path = dir.path().join("lake").join(keys::columns_key("orders", 1));
    let text = std::fs::read_to_string(&path).unwrap();
    let two = Node::new(dir.path(), 2);
    two.find("price", "2.5");
    for other in [
        "<html>".to_owned(),
        String::new(),
        text.replace("orders", "ordres"),
        text.replace("price", "prize"),
    ] {
        std::fs::write(&path, &other).unwrap();
        let refused = two.shipper.table_of(PARTITION, Settled::Typed);
        let refused = matches!(refused, Err(ShipError::Lake(LakeError::Retry { .. })));
        assert!(refused, "{other}");
    }
    std::fs::write(&path, &text).unwrap();
    assert_eq!(two.shipped(), ["price integer"]);
    assert_eq!(notes(dir.path()), 1);
}

/// What versions before this one could leave: two nodes with two types for one column.
#[test]
fn the_column_of_typed_objects_counts_more_than_one_without_types() {
    let dir = tempfile::tempdir().unwrap();
    let typed = |kind: &str, settled: &str| -> Kept {
        let column =
            format!("{{\"name\":\"price\",\"type\":\"{kind}\",\"settled\":\"{settled}\"}}");
        let kept = Kept::default();
        kept.0
            .lock()
            .unwrap()
            .0
            .push(serde_json::from_str(&column).unwrap());
        kept
    };
    let one = Node::restarted(dir.path(), 1, &typed("integer", "yes"));
    assert_eq!(one.ship(Settled::Yes).unwrap(), ["price integer"]);
    let two = Node::restarted(dir.path(), 2, &typed("text", "typed"));
    assert_eq!(two.shipped(), ["price text"]);
    assert_eq!(notes(dir.path()), 2);
    let one = Node::restarted(dir.path(), 1, &one.kept);
    assert_eq!(one.shipped(), ["price text"]);
    // Two types in typed objects: no note can mend it, and none is put.
    let three = Node::restarted(dir.path(), 3, &typed("double", "typed"));
    for _ in 0..3 {
        assert_eq!(three.shipped(), ["price double"]);
    }
    assert_eq!(notes(dir.path()), 2);
}
