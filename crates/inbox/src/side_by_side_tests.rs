#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a failed unwrap is a failed test, and tests make their own files"
)]

use super::*;
use crate::definition::{FilesDefinition, Picking};
use lakehook_base::ids::HashKey;
use lakehook_base::record::Fingerprint;

/// A plan for files below a directory, with a schema.
fn plan_of(dir: &std::path::Path, workers: usize) -> FilesPlan {
    let schema = dir.join("schema.json");
    std::fs::write(&schema, r#"{"properties": {"id": {"type": "integer"}}}"#).unwrap();
    let files = FilesDefinition {
        path: dir.join("*.csv"),
        schema: Some(schema),
        id: vec!["id".to_owned()],
        picking: Picking {
            workers,
            ..Picking::default()
        },
        ..FilesDefinition::default()
    };
    FilesPlan::new("things", &files, Fingerprint::new(HashKey([7; 16]))).unwrap()
}

fn put(dir: &std::path::Path, files: usize) {
    for number in 0..files {
        let rows = (0..50).map(|row| format!("{}\n", number * 50 + row));
        let rows: String = rows.collect();
        std::fs::write(dir.join(format!("{number:03}.csv")), format!("id\n{rows}")).unwrap();
    }
}

#[test]
fn a_round_has_as_many_files_as_its_workers_and_its_run_take() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), 100);
    let listed = |workers| {
        let plan = plan_of(dir.path(), workers);
        let listing = plan.inbox.list().unwrap();
        (plan, listing.files)
    };
    for (workers, room, expected) in [(1, 1000, 1), (2, 1000, 32), (64, 1000, 100), (64, 7, 7)] {
        let (plan, mut files) = listed(workers);
        let next: Vec<_> = files.iter().collect();
        assert_eq!(length(&plan, &next, room), expected);
        files[5].bytes = MAX_SMALL + 1;
        let next: Vec<_> = files.iter().collect();
        assert_eq!(length(&plan, &next, room), expected.min(5));
        assert_eq!(length(&plan, &next[5..], room), 1);
    }
}

#[test]
fn a_round_holds_no_more_rows_than_it_may_and_leaves_out_the_last_files() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), 100);
    let plan = plan_of(dir.path(), 8);
    let files = plan.inbox.list().unwrap().files;
    let files: Vec<_> = files.iter().collect();
    let state = tempfile::tempdir().unwrap();
    let ids = KnownIds::open(state.path(), 0, true).unwrap();
    let ledger = Ledger::open(state.path(), 0).unwrap();
    let of = RunOrigin::nowhere("things");
    // Fifty rows of a number and what every row has.
    let file_bytes = 50 * 150;
    for (is_typed, max_rows) in [(false, 100_000), (true, 100_000), (true, usize::MAX)] {
        let round = Round {
            judging: Judging {
                plan: &plan,
                accept: false,
                before: None,
            },
            of: &of,
            table: is_typed.then(|| plan.table.now()),
            ids: &ids,
            ledger: &ledger,
            max_rows,
        };
        let read = round.read(&files).unwrap();
        let held: usize = read.iter().flatten().map(|read| read.got.bytes()).sum();
        // Each worker may have begun a batch of rows when the last byte was spent, which is a whole file here.
        assert!(held <= max_rows.saturating_add(8 * file_bytes), "{held}");
        let is_read = |read: &Option<ReadFile>| {
            let ended = read.as_ref().and_then(|read| read.ended.as_ref());
            matches!(ended, Some(Ended::Taken(_)))
        };
        let whole = read.iter().filter(|read| is_read(read)).count();
        let first_gap = read.iter().position(Option::is_none).unwrap_or(read.len());
        assert!(read[first_gap..].iter().all(Option::is_none));
        if max_rows == usize::MAX {
            assert_eq!((whole, first_gap), (100, 100));
        } else {
            assert!(
                (1..80).contains(&whole) && first_gap < 100,
                "{whole} {first_gap}"
            );
        }
    }
}
