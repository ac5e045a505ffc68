//! Which files are taken, and what becomes of them: files that change, grow, vanish, come again, and go.

use std::os::unix::fs::symlink;
use std::time::Duration;

use serde_json::json;

use super::Inbox;
use crate::support::http;

#[test]
fn a_known_name_with_other_bytes_is_refused_or_taken() {
    for (settings, takes) in [("", false), ("changed = \"take\"", true)] {
        let inbox = Inbox::new(settings);
        inbox.put("a.csv", "id,name\n1,A\n");
        inbox.take_well();
        // The same bytes, written again, are the same file.
        inbox.put("a.csv", "id,name\n1,A\n");
        inbox.take_well();
        assert_eq!(inbox.rows(), json!([["a.csv", 2, 1]]));
        inbox.put("a.csv", "id,name\n2,B\n");
        if takes {
            inbox.take_well();
            assert_eq!(inbox.rows(), json!([["a.csv", 2, 1], ["a.csv", 2, 2]]));
        } else {
            inbox.fails(&["a.csv: a file of this name was taken before, with other bytes"]);
            assert_eq!(inbox.rows(), json!([["a.csv", 2, 1]]));
            inbox.take_well();
        }
        inbox.audit();
    }
}

#[test]
fn a_file_takes_the_place_of_the_one_before() {
    for format in ["ndjson", "parquet"] {
        let inbox = Inbox::in_format(
            format,
            "changed = \"replace\"\nid = \"id\"\nremember = \"1ms\"",
        );
        inbox.put("a.csv", "id,name\n1,A\n2,B\n2,B\n");
        inbox.put("b.csv", "id,name\n1,of another file\n");
        inbox.take_well();
        let first = json!([["a.csv", 2, 1], ["a.csv", 3, 2], ["b.csv", 2, 1]]);
        assert_eq!(inbox.rows(), first);
        // One that is refused replaces nothing.
        inbox.put("a.csv", "id,name\nx,A\ny,B\n");
        inbox.fails(&["a.csv: 2 of 2 records are refused"]);
        assert_eq!(inbox.rows(), first);
        inbox.put("a.csv", "id,name\n1,A\n3,C\n");
        inbox.take_well();
        let second = json!([["a.csv", 2, 1], ["a.csv", 3, 3], ["b.csv", 2, 1]]);
        assert_eq!(inbox.rows(), second);
        // A file that was away for long is still the same file.
        std::fs::remove_file(inbox.path("a.csv")).unwrap();
        inbox.take_well();
        std::thread::sleep(Duration::from_millis(20));
        inbox.take_well();
        inbox.put("a.csv", "id,name\n9,Z\n");
        inbox.take_well();
        assert_eq!(inbox.rows(), json!([["a.csv", 2, 9], ["b.csv", 2, 1]]));
        let all = inbox.query("SELECT count(*) FROM claims_all_runs");
        assert_eq!(all, json!([[6]]), "{format}");
        inbox.audit();
    }
}

#[test]
fn equal_files_of_different_names_are_two_files_or_one() {
    for (settings, rows) in [("", 3), ("same_content = \"skip\"", 1)] {
        let inbox = Inbox::new(settings);
        inbox.put("a.csv", "id,name\n1,A\n");
        inbox.put("b.csv", "id,name\n1,A\n");
        inbox.take_well();
        inbox.put("c.csv", "id,name\n1,A\n");
        inbox.take_well();
        assert_eq!(inbox.rows().as_array().unwrap().len(), rows, "{settings}");
    }
}

#[test]
fn files_are_moved_once_they_are_visible_and_nothing_is_replaced() {
    let inbox = Inbox::new("after = \"move\"\nchanged = \"take\"");
    inbox.put("a.csv", "id,name\n1,A\n");
    inbox.put("bad.csv", "");
    inbox.fails(&["bad.csv"]);
    let there = |name: &str| inbox.path(name).exists();
    assert!(there("done/a.csv") && there("failed/bad.csv"));
    assert!(!there("a.csv") && !there("bad.csv"));
    inbox.put("a.csv", "id,name\n2,B\n");
    inbox.take_well();
    assert!(there("done/a.csv") && there("done/a.csv.1"));
    let first = std::fs::read_to_string(inbox.path("done/a.csv")).unwrap();
    assert_eq!(first, "id,name\n1,A\n");
    assert_eq!(inbox.rows().as_array().unwrap().len(), 2);
    let deleting = Inbox::new("after = \"delete\"");
    deleting.put("a.csv", "id,name\n1,A\n");
    deleting.put("bad.csv", "");
    deleting.fails(&["bad.csv"]);
    assert!(!deleting.path("a.csv").exists() && deleting.path("bad.csv").exists());
}

#[test]
fn only_complete_files_are_taken() {
    let inbox = Inbox::new("ready = \"{name}.ok\"");
    inbox.put("a.csv", "id,name\n1,A\n");
    inbox.put("b.csv.part", "id,name\n2,B\n");
    inbox.put(".c.csv", "id,name\n3,C\n");
    let said = inbox.take_well();
    assert!(said.contains("1 files not complete yet"), "{said}");
    inbox.put("a.csv.ok", "");
    inbox.take_well();
    assert_eq!(inbox.rows(), json!([["a.csv", 2, 1]]));
}

#[test]
fn a_file_that_appears_slowly_is_taken_once_it_stands_still() {
    let inbox = Inbox::new("every = \"1s\"\nsettle = \"2s\"");
    let program = inbox.setup.start();
    for line in ["id,name\n", "1,A\n", "2,", "B\n"] {
        let mut file = std::fs::File::options()
            .create(true)
            .append(true)
            .open(inbox.path("slow.csv"))
            .unwrap();
        std::io::Write::write_all(&mut file, line.as_bytes()).unwrap();
        std::thread::sleep(Duration::from_millis(900));
    }
    let markers = inbox.setup.directory().join("lake/_lakehook/runs/claims");
    let start = std::time::Instant::now();
    while !std::fs::read_dir(&markers).is_ok_and(|mut markers| markers.next().is_some()) {
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "{}",
            inbox.setup.stderr()
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    let health = http::get(inbox.setup.address(), "/health").unwrap().json();
    assert_eq!(
        health["polls"]["streams"]["claims"]["last_success"]["records"],
        2
    );
    program.kill();
    assert_eq!(
        inbox.rows(),
        json!([["slow.csv", 2, 1], ["slow.csv", 3, 2]])
    );
}

#[test]
fn a_file_that_changes_while_it_is_read_counts_as_it_is_at_the_end() {
    let inbox = Inbox::new("changed = \"replace\"");
    let mut rows = 20_000;
    let lines = (0..rows).map(|row| format!("{row},n\n"));
    inbox.put("a.csv", format!("id,name\n{}", lines.collect::<String>()));
    inbox.put("gone.csv", "id,name\n-1,G\n");
    for pause in [20, 100, 200, 300, 500] {
        let mut look = inbox.setup.command(&["files"]);
        look.stdout(std::process::Stdio::null());
        let mut look = look.stderr(std::process::Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(pause));
        let mut file = std::fs::File::options()
            .append(true)
            .open(inbox.path("a.csv"))
            .unwrap();
        std::io::Write::write_all(&mut file, format!("{rows},late\n").as_bytes()).unwrap();
        rows += 1;
        // What vanishes is either there whole, or was never there.
        let _gone_before = std::fs::remove_file(inbox.path("gone.csv"));
        assert!(look.wait().unwrap().success());
    }
    inbox.take_well();
    let found = inbox
        .query("SELECT count(*), count(DISTINCT id), max(line) FROM claims WHERE file = 'a.csv'");
    assert_eq!(found, json!([[rows, rows, rows + 1]]));
    inbox.audit();
}

#[test]
fn links_and_pipes_are_passed_over_and_a_missing_inbox_says_so() {
    let inbox = Inbox::new("");
    std::fs::write(inbox.setup.directory().join("secret.csv"), "id,name\n1,A\n").unwrap();
    symlink("../secret.csv", inbox.path("link.csv")).unwrap();
    let fifo = inbox.path("fifo.csv");
    let made = std::process::Command::new("mkfifo")
        .arg(&fifo)
        .status()
        .unwrap();
    assert!(made.success());
    inbox.put("new\nline.csv", "id,name\n1,A\n");
    let said = inbox.take_well();
    assert!(
        said.contains("2 names in the inbox fit and are passed over"),
        "{said}"
    );
    assert_eq!(inbox.rows(), json!([["new\nline.csv", 2, 1]]));
    std::fs::rename(inbox.path(""), inbox.setup.directory().join("away")).unwrap();
    inbox.fails(&["the inbox: ", "No such file or directory"]);
}

#[test]
fn the_newest_file_is_the_table_of_a_snapshot() {
    let inbox = Inbox::new("mode = \"snapshot\"\nid = \"id\"\nguards = { max_shrink = \"50 %\" }");
    let put = |name: &str, body: &str, age: u64| {
        inbox.put(name, body);
        let file = std::fs::File::options()
            .write(true)
            .open(inbox.path(name))
            .unwrap();
        let time = std::time::SystemTime::now() - Duration::from_secs(age);
        file.set_modified(time).unwrap();
    };
    put("a.csv", "id,name\n1,A\n2,B\n3,C\n", 500);
    put("b.csv", "id,name\n1,A\n2,B\n4,D\n", 400);
    inbox.take_well();
    let expected = json!([["b.csv", 2, 1], ["b.csv", 3, 2], ["b.csv", 4, 4]]);
    assert_eq!(inbox.rows(), expected);
    // An older file that comes late changes nothing, and one that is too small replaces nothing.
    put("late.csv", "id,name\n9,Z\n8,Y\n7,X\n", 450);
    put("small.csv", "id,name\n1,A\n", 300);
    inbox.fails(&["small.csv: 1 records are valid and the run before had 3"]);
    assert_eq!(inbox.rows(), expected);
    put("c.csv", "id,name\n1,A\n5,E\n", 200);
    inbox.take_well();
    assert_eq!(inbox.rows(), json!([["c.csv", 2, 1], ["c.csv", 3, 5]]));
    inbox.audit();
}

#[test]
fn many_small_files_share_few_runs_and_objects() {
    let inbox = Inbox::of("*.json", "ndjson", "format = \"json\"");
    let count = 2_500;
    for number in 0..count {
        inbox.put(
            &format!("{number}.json"),
            format!("{{\"id\": {}}}", number / 2),
        );
    }
    let said = inbox.take_well();
    assert!(
        said.contains("2500 files") && said.contains("3 runs"),
        "{said}"
    );
    let counts =
        inbox.query("SELECT count(*), count(DISTINCT file), count(DISTINCT run) FROM claims");
    assert_eq!(counts, json!([[count, count, 3]]));
    let said = inbox.take_well();
    assert!(said.contains("2500 files known already"), "{said}");
    inbox.audit();
}

#[test]
fn a_service_looks_at_once_when_a_file_comes_and_again_when_it_is_complete() {
    for settle in ["0s", "1s"] {
        let inbox = Inbox::new(&format!("every = \"1h\"\nsettle = \"{settle}\""));
        let program = inbox.setup.start();
        let markers = inbox.setup.directory().join("lake/_lakehook/runs/claims");
        let visible = |count: usize| {
            let end = std::time::Instant::now() + Duration::from_secs(40);
            while std::fs::read_dir(&markers).map_or(0, Iterator::count) < count {
                assert!(std::time::Instant::now() < end, "{}", inbox.setup.stderr());
                std::thread::sleep(Duration::from_millis(50));
            }
        };
        // Once the first look is over, only the schedule and the directory cause others.
        inbox.put("a.csv", "id,name\n1,A\n");
        visible(1);
        std::thread::sleep(Duration::from_millis(500));
        inbox.put("b.csv", "id,name\n2,B\n");
        visible(2);
        assert!(program.stop(Duration::from_secs(30)).success());
        assert_eq!(inbox.rows(), json!([["a.csv", 2, 1], ["b.csv", 2, 2]]));
        inbox.audit();
    }
}
