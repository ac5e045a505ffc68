//! What is read of a file: every form that exports have, each refused record with its place, and files that are no
//! files.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;

use super::Inbox;

#[test]
fn a_table_is_taken_with_types_places_and_refused_records() {
    for format in ["ndjson", "parquet"] {
        let inbox = Inbox::in_format(format, "id = \"id\"\nguards = { max_refused = \"50 %\" }");
        inbox.put(
            "a.csv",
            "\u{feff}ID, Name ,price,note\r\n1,\"Ann\r\nB\",1.50,x\r\n\r\n2,,,\r\nthree,C,1,\r\n1,\"Ann\r\nB\",1.50,x\r\n2,other,,\r\n4,D,2,\r\n5,E,3,",
        );
        let said = inbox.take_well();
        assert!(
            said.contains("4 rows, 1 repeats, 2 quarantined, 1 blank lines"),
            "{said}"
        );
        assert!(
            said.contains("a.csv, line 6: schema_type at \"/id\""),
            "{said}"
        );
        let rows = inbox.query(
            "SELECT id, name, price, extra->>'note', lsn, line, run IS NOT NULL FROM claims ORDER BY id",
        );
        let expected = json!([
            [1, "Ann\r\nB", 1.5, "x", null, 2, true],
            [2, null, null, null, null, 5, true],
            [4, "D", 2.0, null, null, 10, true],
            [5, "E", 3.0, null, null, 11, true],
        ]);
        assert_eq!(rows, expected, "{format}");
        let expected = json!([
            ["a.csv", 6, "schema_type", "three,C,1,"],
            ["a.csv", 9, "id_conflict", "2,other,,"],
        ]);
        assert_eq!(inbox.refused(), expected);
        let audit = inbox.audit();
        let lines = "files: 8 lines read = 4 rows + 1 repeats + 2 quarantined + 1 blank, in 1 objects of 1 runs";
        assert!(audit.contains(lines), "{audit}");
        // Nothing is new.
        let said = inbox.take_well();
        assert!(
            said.contains("0 files in") && said.contains("1 files known already"),
            "{said}"
        );
        assert_eq!(inbox.rows().as_array().unwrap().len(), 4);
    }
}

#[test]
fn ids_are_known_across_files_and_lives() {
    let inbox = Inbox::new("id = \"id\"\nguards = { max_refused = \"50 %\" }");
    inbox.put("a.csv", "id,name\n1,A\n2,B\n");
    inbox.take_well();
    inbox.put("b.csv", "name,id\nA,1\nC,3\nX,2\n");
    let said = inbox.take_well();
    assert!(said.contains("1 rows, 1 repeats, 1 quarantined"), "{said}");
    let expected = json!([["a.csv", 2, 1], ["a.csv", 3, 2], ["b.csv", 3, 3]]);
    assert_eq!(inbox.rows(), expected);
    assert_eq!(inbox.refused(), json!([["b.csv", 4, "id_conflict", "X,2"]]));
    inbox.audit();
}

#[test]
fn packed_files_and_other_charsets_are_read() {
    let inbox = Inbox::new("");
    let gzip = |text: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    };
    let members = [gzip(b"id,name\n1,A\n"), gzip(b"2,B\n")].concat();
    inbox.put("gzip.csv", members);
    inbox.put(
        "zstd.csv",
        zstd::encode_all(&b"id,name\n3,C"[..], 3).unwrap(),
    );
    let wide: Vec<u8> = "\u{feff}id,name\n4,é\n"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    inbox.put("wide.csv", wide);
    inbox.put("empty.csv", "id,name\n");
    inbox.take_well();
    let rows = inbox.query("SELECT id, name FROM claims ORDER BY id");
    assert_eq!(rows, json!([[1, "A"], [2, "B"], [3, "C"], [4, "é"]]));
}

#[test]
fn control_characters_and_strange_ends_stay_what_they_are() {
    for format in ["ndjson", "parquet"] {
        let inbox = Inbox::in_format(format, "");
        inbox.put("nul.csv", "id,name\r1,a\0b\r2,\"tab\there\"\r");
        inbox.put(
            "wide.csv",
            "id,name\n3,\u{1f600}\u{85}\u{2028}\n4,\"a \"\"b\"\"\"\n",
        );
        inbox.put("last.csv", "id,name\n5,\"");
        let said = inbox.fails(&["last.csv: a quote in the row that begins on line 2"]);
        assert!(said.contains("4 rows"), "{said}");
        let rows = inbox.query("SELECT id, name FROM claims ORDER BY id");
        let expected = json!([
            [1, "a\0b"],
            [2, "tab\there"],
            [3, "\u{1f600}\u{85}\u{2028}"],
            [4, "a \"b\""],
        ]);
        assert_eq!(rows, expected, "{format}");
    }
}

#[test]
fn a_file_that_is_wrong_fails_alone_and_is_not_tried_again() {
    let inbox = Inbox::new("max_record = \"1 KiB\"");
    inbox.put("good.csv", "id,name\n1,A\n");
    inbox.put("twice.csv", "id,ID\n1,2\n");
    inbox.put("open.csv", "id,name\n1,\"A\n2,B\n");
    inbox.put("zero.csv", "");
    inbox.put("refused.csv", "id,name\n1,A\nx,B\ny,C\n");
    let lines = format!("id,name\n{}", "1,A\n".repeat(50_000));
    let mut cut = zstd::encode_all(lines.as_bytes(), 3).unwrap();
    cut.truncate(cut.len() - 3);
    inbox.put("cut.csv", cut);
    let said = inbox.fails(&[
        "twice.csv: the columns 1 and 2 have one name",
        "open.csv: a quote in the row that begins on line 2 is never closed",
        "zero.csv: the file is empty",
        "refused.csv: 2 of 3 records are refused, more than 10 %: 2 × schema_type at \"/id\"",
        "cut.csv: the file is cut off",
        "5 files failed",
    ]);
    assert!(said.contains("1 files in"), "{said}");
    assert_eq!(inbox.rows(), json!([["good.csv", 2, 1]]));
    // What a person needs to see why is there.
    let refused = inbox.refused();
    assert_eq!(refused[0], json!(["refused.csv", 3, "schema_type", "x,B"]));
    inbox.audit();
    // They are known to be wrong.
    let said = inbox.take_well();
    assert!(said.contains("6 files known already"), "{said}");
    // A person may say otherwise; and a mended file is another one.
    inbox.put("open.csv", "id,name\n7,\"A\"\n2,B\n");
    let (said, code) = super::said(&inbox.setup.run(&["files", "--accept"]));
    assert_eq!(code, Some(1), "{said}");
    let expected = json!([
        ["good.csv", 2, 1],
        ["open.csv", 2, 7],
        ["open.csv", 3, 2],
        ["refused.csv", 2, 1],
    ]);
    assert_eq!(inbox.rows(), expected);
    inbox.audit();
}

#[test]
fn a_dry_run_reads_all_and_writes_nothing() {
    let inbox = Inbox::new("id = \"id\"\nguards = { max_refused = \"50 %\" }");
    inbox.put("a.csv", "id,name\n1,A\nx,B\n");
    let (said, code) = super::said(&inbox.setup.run(&["files", "--dry-run"]));
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("1 files in 0.0ns: 1 rows, 1 quarantined"),
        "{said}"
    );
    assert!(!inbox.setup.directory().join("lake").exists());
    assert!(!inbox.setup.directory().join("data/polls/node").exists());
}

#[test]
fn each_json_file_is_a_record_and_bad_ones_go_to_the_quarantine() {
    let inbox = Inbox::of("*.json", "ndjson", "format = \"json\"");
    for number in 0..50 {
        inbox.put(
            &format!("{number:03}.json"),
            format!("{{\"id\": {number}}}\n"),
        );
    }
    inbox.put("bad.json", "{\"id\": 1");
    inbox.put("._mac.json", [0, 5, 22, 7]);
    inbox.put("same.json", "{\"id\": 7}\n");
    inbox.take_well();
    let counts = inbox.query("SELECT count(*), count(DISTINCT file) FROM claims");
    assert_eq!(counts, json!([[51, 51]]));
    assert_eq!(
        inbox.refused(),
        json!([["bad.json", 1, "json", "{\"id\": 1"]])
    );
    let audit = inbox.audit();
    assert!(
        audit.contains("52 lines read = 51 rows + 0 repeats + 1 quarantined"),
        "{audit}"
    );
}

#[test]
fn a_document_may_hold_a_list_of_records() {
    for (records, body) in [
        (
            "/items",
            "{\"items\": [\n{\"id\": 1},\n{\"id\": \"x\"},\n{\"id\": 2}]}",
        ),
        ("", "[\n{\"id\": 1},\n{\"id\": \"x\"},\n{\"id\": 2}]"),
    ] {
        let settings = format!(
            "format = \"json\"\nrecords = \"{records}\"\nguards = {{ max_refused = \"50 %\" }}"
        );
        let inbox = Inbox::of("*.json", "ndjson", &settings);
        inbox.put("a.json", body);
        inbox.take_well();
        assert_eq!(inbox.rows(), json!([["a.json", 2, 1], ["a.json", 4, 2]]));
        let expected = json!([["a.json", 3, "schema_type", "{\"id\": \"x\"}"]]);
        assert_eq!(inbox.refused(), expected);
    }
}
