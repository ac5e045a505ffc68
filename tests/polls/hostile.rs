//! A malicious or broken API: every run ends in bounded memory with an error that says what was wrong, and
//! the webhook is not affected.

use std::io::{BufWriter, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;

use super::{poll_in_vain, setup};
use crate::support::api::{Api, RawApi, number, page, things, write_head};
use crate::support::http;
use crate::support::process::Setup;

/// A bound on the memory of the whole process. A service takes about 190 MiB before it has polled anything,
/// 152 MiB of them for the tables of identities.
const MAX_RESIDENT: u64 = 240 << 20;
const LIMIT: Duration = Duration::from_secs(60);

/// Lets a service poll once. Returns what `/health` says about it, and the peak of resident memory.
fn polled(setup: &Setup) -> (serde_json::Value, u64) {
    let program = setup.start();
    let start = Instant::now();
    loop {
        let health = http::get(setup.address(), "/health").unwrap().json();
        let state = health["polls"]["streams"]["things"].clone();
        if !state["last_error"].is_null() || !state["last_success"].is_null() {
            assert_eq!(http::get(setup.address(), "/ready").unwrap().status, 200);
            let peak = program.peak_rss_bytes();
            assert!(program.stop(LIMIT).success());
            return (state, peak);
        }
        assert!(start.elapsed() < LIMIT, "it does not end: {health}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Lets a service poll, which must fail with these words in bounded memory.
fn fails(url: &str, settings: &str, words: &[&str]) {
    let setup = setup(url, &format!("every = \"1h\"\n{settings}"));
    let (state, peak) = polled(&setup);
    let error = state["last_error"]["error"].as_str().unwrap_or_default();
    for word in words {
        assert!(error.contains(word), "{word:?} is missing in: {state}");
    }
    assert!(peak < MAX_RESIDENT, "{} MiB were resident", peak >> 20);
    let runs = super::lake(&setup).runs("things", "id");
    assert_eq!((runs.runs.len(), runs.unmarked.len()), (0, 0));
}

/// Writes records until `bytes` bytes are written or the other side has closed the connection.
fn write_records(out: &mut impl Write, bytes: usize) -> std::io::Result<()> {
    let mut written = out.write(b"{\"things\":[")?;
    let mut id = 0;
    while written < bytes {
        let comma = if id == 0 { "" } else { "," };
        let record = format!("{comma}{{\"id\":{id},\"text\":\"{}\"}}", "x".repeat(1000));
        out.write_all(record.as_bytes())?;
        written += record.len();
        id += 1;
    }
    out.write_all(b"]}")?;
    out.flush()
}

/// Writes a body that is much larger once it is decompressed.
type Bomb = fn(&mut GzEncoder<&mut TcpStream>);

fn write_again_and_again(stream: &mut impl Write, bytes: &[u8]) {
    while stream.write_all(bytes).is_ok() {}
}

#[test]
fn pages_without_end() {
    let api = Api::start(|request, _| {
        let at = number(request, "cursor");
        page(json!({"things": things(at..at + 1), "next": (at + 1).to_string()}))
    });
    let settings = "max_pages = 20\npagination = { type = \"cursor\", next = \"/next\" }";
    let words = ["page 20: the pages do not end", "at most 20 (max_pages)"];
    poll_in_vain(&setup(&api.url(), settings), &words);
    let settings = "max_records = 7\npagination = { type = \"cursor\", next = \"/next\" }";
    let words = ["page 8: more than 7 records (max_records)"];
    poll_in_vain(&setup(&api.url(), settings), &words);
}

#[test]
fn a_body_of_ten_gigabytes() {
    let api = RawApi::start(|_, _, stream| {
        write_head(stream, "content-length: 10000000000");
        let _gone = write_records(&mut BufWriter::new(stream), 10_000_000_000);
    });
    let words = ["page 1: the bodies of this run are longer than max_bytes allows"];
    fails(&api.url(), "max_bytes = \"24 MiB\"", &words);
}

#[test]
fn a_record_without_end_and_a_body_without_records() {
    let too_many = "page 1: the bodies of this run are longer than max_bytes allows";
    for (begin, again, words) in [
        ("{\"things\":[{\"id\":\"", "xxxxxxxx", too_many),
        ("{\"things\":[{\"a\":", "[[[[[[[[", too_many),
        (
            "{\"other\":\"",
            "xxxxxxxx",
            "page 1: what is not a record is longer",
        ),
        (
            "{\"things\":[",
            "        ",
            "page 1: more than 1048576 bytes of white space",
        ),
    ] {
        let api = RawApi::start(move |_, _, stream| {
            write_head(stream, "connection: close");
            let _gone = stream.write_all(begin.as_bytes());
            write_again_and_again(stream, again.repeat(1000).as_bytes());
        });
        fails(&api.url(), "max_bytes = \"24 MiB\"", &[words]);
    }
}

#[test]
fn a_record_over_the_limit_goes_to_the_quarantine_and_the_run_goes_on() {
    let long = format!("{{\"id\":2,\"text\":\"{}\"}}", "x".repeat(3 << 20));
    let bytes = long.len();
    let body = format!("{{\"things\":[{{\"id\":1}},{long},{{\"id\":3}}]}}");
    let api = RawApi::start(move |_, _, stream| {
        write_head(stream, &format!("content-length: {}", body.len()));
        let _gone = stream.write_all(body.as_bytes());
    });
    let setup = setup(&api.url(), "guards.max_refused = \"50 %\"");
    let (said, runs) = super::poll_well(&setup);
    assert!(
        said.contains("page 1, record 1: too_long at \"\": a record of at most 1048576 bytes"),
        "{said}"
    );
    assert_eq!((runs.runs[0].rows, runs.runs[0].refused), (2, 1));
    let shown = setup.run(&["quarantine", "show", "--json"]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    let row: serde_json::Value = serde_json::from_str(shown.lines().next().unwrap()).unwrap();
    assert_eq!(row["raw_bytes"], bytes);
    assert!(
        row["raw"]
            .as_str()
            .unwrap()
            .starts_with("{\"id\":2,\"text\":\"xxx")
    );
    // The next run sees the same, and says so.
    let (_, runs) = super::poll_well(&setup);
    assert!(runs.runs[1].same_as.is_some());
}

#[test]
fn a_large_record_is_a_row_in_every_format_and_a_refused_one_is_cut() {
    let text = "\\u0001".repeat(2 << 20);
    let body = format!("{{\"things\":[{{\"id\":1,\"text\":\"{text}\"}},{{\"text\":\"{text}\"}}]}}");
    let api = RawApi::start(move |_, _, stream| {
        write_head(stream, &format!("content-length: {}", body.len()));
        let _gone = stream.write_all(body.as_bytes());
    });
    for format in ["ndjson", "parquet"] {
        let settings = format!(
            "max_record = \"15 MiB\"\nguards.max_refused = \"60 %\"\nschema = \"thing.json\"\n\
             [batch]\nformat = \"{format}\""
        );
        let setup = setup(&api.url(), &settings);
        let schema = r#"{"properties":{"id":{"type":"integer"},"text":{"type":"string"}}}"#;
        std::fs::write(setup.directory().join("thing.json"), schema).unwrap();
        let (said, runs) = super::poll_well(&setup);
        assert_eq!((runs.runs[0].rows, runs.runs[0].refused), (1, 1), "{said}");
    }
}

#[test]
fn gzip_bombs() {
    let bombs: [(Bomb, &str); 2] = [
        (
            |gzip| {
                let _gone = gzip.write_all(b"{\"other\":\"");
                write_again_and_again(gzip, &vec![b' '; 1 << 16]);
            },
            "page 1: what is not a record is longer",
        ),
        (
            |gzip| {
                let _gone = write_records(gzip, usize::MAX);
            },
            "page 1: the bodies of this run are longer than max_bytes allows",
        ),
    ];
    for (bomb, words) in bombs {
        let api = RawApi::start(move |_, _, stream| {
            write_head(stream, "content-encoding: gzip\r\nconnection: close");
            bomb(&mut GzEncoder::new(stream, Compression::fast()));
        });
        fails(&api.url(), "max_bytes = \"24 MiB\"", &[words]);
    }
}

#[test]
fn bodies_that_are_not_what_they_say() {
    let cases: [(&str, &[u8], &str); 5] = [
        (
            "content-encoding: gzip",
            b"{\"things\":[]}",
            "cannot be decoded",
        ),
        (
            "content-encoding: br",
            b"{\"things\":[]}",
            "a Content-Encoding that was not asked for",
        ),
        (
            "x: y",
            b"{\"things\":[{\"id\":\"\xff\xfe\"}]}",
            "page 1: not UTF-8 at byte 18",
        ),
        ("x: y", b"<html>sign in</html>", "page 1: not JSON"),
        (
            "x: y",
            b"{\"things\":[]} and more",
            "page 1: not JSON: 'a' at byte 14; expected the end of the body",
        ),
    ];
    for (header, body, words) in cases {
        let api = RawApi::start(move |_, _, stream| {
            write_head(
                stream,
                &format!("{header}\r\ncontent-length: {}", body.len()),
            );
            let _gone = stream.write_all(body);
        });
        poll_in_vain(&setup(&api.url(), ""), &[words]);
    }
}

#[test]
fn a_link_that_cannot_be_read_is_not_the_end() {
    let api = RawApi::start(|_, _, stream| {
        let _gone = stream.write_all(
            b"HTTP/1.1 200 OK\r\nlink: </\xff>; rel=\"next\"\r\ncontent-length: 13\r\n\r\n",
        );
        let _gone = stream.write_all(b"{\"things\":[]}");
    });
    let settings = "pagination = { type = \"link-header\" }";
    poll_in_vain(
        &setup(&api.url(), settings),
        &["page 1: its Link header is not UTF-8"],
    );
}

#[test]
fn an_answer_that_drips_for_ever_ends_with_the_budget() {
    let api = RawApi::start(|_, _, stream| {
        write_head(stream, "connection: close");
        let _gone = stream.write_all(b"{\"things\":[");
        while stream.write_all(b" ").is_ok() {
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    let settings = "timeout = \"1s\"\nbudget = \"2s\"";
    poll_in_vain(&setup(&api.url(), settings), &["page 1", "budget of 2s"]);
}

#[test]
fn a_deep_record_goes_to_the_quarantine() {
    let deep = format!(
        "{{\"id\":1,\"x\":{}{}}}",
        "[".repeat(50_000),
        "]".repeat(50_000)
    );
    let body = format!("{{\"things\":[{deep},{{\"id\":2}}]}}");
    let api = RawApi::start(move |_, _, stream| {
        write_head(stream, &format!("content-length: {}", body.len()));
        let _gone = stream.write_all(body.as_bytes());
    });
    let (said, runs) = super::poll_well(&setup(&api.url(), "guards = { max_refused = \"50 %\" }"));
    assert!(said.contains("too_deep"), "{said}");
    assert_eq!((runs.runs[0].rows, runs.runs[0].refused), (1, 1));
}

/// The size of the single page in the next test, which `LAKEHOOK_PAGE_MIB` can raise to gigabytes.
fn page_bytes() -> usize {
    let mebibytes = std::env::var("LAKEHOOK_PAGE_MIB").ok();
    mebibytes.and_then(|text| text.parse().ok()).unwrap_or(96) << 20
}

/// Polls one large page into objects of the configured format, in bounded memory.
fn takes_a_large_page(bytes: usize, format: &str, batch: &str, max_resident: u64) {
    let api = RawApi::start(move |_, _, stream| {
        write_head(stream, "connection: close");
        let _gone = write_records(&mut BufWriter::new(stream), bytes);
    });
    let settings = format!(
        "every = \"1h\"\nmode = \"append\"\nschema = \"thing.json\"\nmax_bytes = \"100 GiB\"\n\
         max_records = 100_000_000\nbudget = \"1h\"\n[batch]\nformat = \"{format}\"\n[polls.batch]\n{batch}"
    );
    let setup = setup(&api.url(), &settings);
    let text = super::config(&api.url(), &settings);
    // The log of polls holds a batch until the batch is in the lake.
    setup.configure(&text.replacen(
        "[polls]\nmax_bytes = \"64 MiB\"",
        "[polls]\nmax_bytes = \"512 MiB\"",
        1,
    ));
    let schema = r#"{"properties":{"id":{"type":"integer"},"text":{"type":"string"}}}"#;
    std::fs::write(setup.directory().join("thing.json"), schema).unwrap();
    let (state, peak) = polled(&setup);
    assert!(state["last_error"].is_null(), "{state}");
    println!(
        "a page of {} MiB: {} MiB were resident",
        bytes >> 20,
        peak >> 20
    );
    assert!(peak < max_resident, "{} MiB were resident", peak >> 20);
    let found = super::lake(&setup).stream("things", "id");
    assert_eq!((found.rows, found.ids), (found.lsns, found.rows));
    assert!(found.rows as usize > bytes / 1100, "{found:?}");
}

#[test]
fn a_large_page_is_read_as_it_arrives() {
    takes_a_large_page(
        page_bytes(),
        "ndjson.zst",
        "max_bytes = \"16 MiB\"",
        MAX_RESIDENT,
    );
}

/// A batch that fits neither into the memory for sorting nor into a single row group.
#[test]
fn a_large_batch_becomes_columns_in_bounded_memory() {
    let batch = "max_bytes = \"1 GiB\"\nmax_age = \"1h\"";
    takes_a_large_page(page_bytes(), "parquet", batch, MAX_RESIDENT);
}
