#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use super::*;
use crate::record::{BadRecord, ReadRecord};
use crate::table_row::RowScratch;
use proptest::prelude::*;

struct Slow<'a>(&'a [u8], usize);

impl Read for Slow<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let count = out.len().min(self.0.len()).min(self.1);
        out[..count].copy_from_slice(&self.0[..count]);
        self.0 = &self.0[count..];
        Ok(count)
    }
}

fn rows_by(body: &[u8], parcel: usize, form: &TableForm) -> Result<Vec<String>, String> {
    let mut all = Vec::new();
    let mut stream = Slow(body, parcel);
    let columns = TableColumns::default();
    let read = read(&mut stream, form, &columns, 40, &mut |part| {
        let refused = |bad: &BadRecord| format!("{}: {} {}", bad.line, bad.error.code, bad.bytes);
        match part {
            Part::Record(_) => panic!("a table has rows"),
            Part::Rows(rows) => all.extend(rows.rows().map(|row| {
                match ReadRecord::of_row(row, &mut RowScratch::default()) {
                    Ok(record) => format!("{}: {}", record.line, record.json),
                    Err(bad) => refused(&bad),
                }
            })),
            Part::Bad(bad) => all.push(refused(&bad)),
            Part::Blank => all.push("blank".to_owned()),
        }
        Ok(())
    });
    match read {
        Ok(()) => Ok(all),
        Err(ReadStop::Wrong(what)) => Err(what),
        Err(other) => Err(format!("{other:?}")),
    }
}

fn rows(body: &[u8]) -> Result<Vec<String>, String> {
    let form = TableForm::default();
    let all = rows_by(body, body.len().max(1), &form);
    for parcel in [1, 2, 3, 7] {
        assert_eq!(rows_by(body, parcel, &form), all, "by {parcel}");
    }
    all
}

#[test]
fn rows_are_read_whatever_their_line_ends_and_quotes() {
    let body = b"id, name\r\n1,Ann\r\n\r\n2,\"a \"\"b\"\",\r\nc\"\r3,5\" pipe\n4,\"x\"y\n\n5,";
    let expected = [
        r#"2: {"id":"1","name":"Ann"}"#,
        "blank",
        r#"4: {"id":"2","name":"a \"b\",\r\nc"}"#,
        r#"6: {"id":"3","name":"5\" pipe"}"#,
        r#"7: {"id":"4","name":"xy"}"#,
        "blank",
        r#"9: {"id":"5","name":""}"#,
    ];
    assert_eq!(rows(body).unwrap(), expected);
    assert_eq!(rows(b"id,name\n").unwrap(), Vec::<String>::new());
    assert_eq!(rows(b"id").unwrap(), Vec::<String>::new());
}

#[test]
fn a_row_that_does_not_fit_is_refused_alone() {
    let long = "x".repeat(50);
    let body = format!(
        "a,b\n1\n1,2,3\n{long},1\n\"{long}\n\",2\n\"{}\n\",2\n3,4\n",
        "y".repeat(300)
    );
    let expected = [
        "2: csv 1",
        "3: csv 5",
        "4: too_long 52",
        "5: too_long 55",
        "7: too_long 305",
        r#"9: {"a":"3","b":"4"}"#,
    ];
    assert_eq!(rows(body.as_bytes()).unwrap(), expected);
    assert_eq!(
        rows(b"a\n\xff\n1\n").unwrap(),
        ["2: csv 1", r#"3: {"a":"1"}"#]
    );
}

#[test]
fn what_is_no_table_says_why() {
    for (body, words) in [
        (&b""[..], "the file is empty"),
        (b"\n\n", "the file is empty"),
        (
            b"a,b\n1,2\n3,\"4\n5,6\n",
            "begins on line 3 is never closed",
        ),
        (b"a, A\n", "one name"),
        (b"\xff\n", "not UTF-8"),
    ] {
        let error = rows(body).unwrap_err();
        assert!(error.contains(words), "{error}");
    }
    let open = format!("a\n\"{}", "x\n".repeat(200));
    let error = rows(open.as_bytes()).unwrap_err();
    assert!(error.contains("line 2 is never closed"), "{error}");
    let long = format!("{}\n", "h".repeat(50));
    assert!(rows(long.as_bytes()).unwrap_err().contains("first row"));
}

#[test]
fn a_table_may_have_no_header_and_other_delimiters() {
    let form = TableForm {
        delimiter: b'\t',
        header: false,
        ..TableForm::default()
    };
    let found = rows_by(b"1\t2,5\n\n3\t4", 2, &form).unwrap();
    let expected = [
        r#"1: {"column1":"1","column2":"2,5"}"#,
        "blank",
        r#"3: {"column1":"3","column2":"4"}"#,
    ];
    assert_eq!(found, expected);
    assert_eq!(rows_by(b"", 1, &form).unwrap(), Vec::<String>::new());
}

/// A value as an export writes it.
fn quoted(value: &str) -> String {
    if value.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", value.replace('"', "\"\""))
    } else {
        value.to_owned()
    }
}

proptest! {
    #[test]
    fn what_an_export_writes_is_read_back(
        table in proptest::collection::vec(proptest::collection::vec("[ab,\"\n\r é]{0,5}", 3), 0..8),
        end in prop_oneof![Just("\n"), Just("\r\n"), Just("\r")],
        parcel in 1_usize..9,
    ) {
        let mut body = format!("a,b,c{end}");
        for row in &table {
            let cells: Vec<String> = row.iter().map(|cell| quoted(cell)).collect();
            body.push_str(&cells.join(","));
            body.push_str(end);
        }
        let found = rows_by(body.as_bytes(), parcel, &TableForm::default());
        let found = found.map_err(TestCaseError::fail)?;
        let expected: Vec<String> = table
            .iter()
            .map(|row| serde_json::json!({"a": row[0], "b": row[1], "c": row[2]}).to_string())
            .collect();
        let found: Vec<&str> = found.iter().filter_map(|row| Some(row.split_once(": ")?.1)).collect();
        prop_assert_eq!(found, expected);
    }
}
