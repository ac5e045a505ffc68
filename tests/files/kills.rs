//! SIGKILL at every stage of a run. Afterwards every file is visible once, and whole.

use std::time::Duration;

use serde_json::json;

use super::Inbox;

fn counts(inbox: &Inbox) -> serde_json::Value {
    inbox.query("SELECT count(*), count(DISTINCT (file, line)), count(DISTINCT file) FROM claims")
}

#[test]
fn every_file_is_visible_once_and_whole_wherever_the_program_is_killed() {
    let inbox = Inbox::new("id = \"id\"\nafter = \"move\"\nguards = { max_refused = \"50 %\" }");
    let rows = 300;
    let files = 40;
    for number in 0..files {
        let lines = (0..rows).map(|row| format!("{},name {row}\n", number * rows + row));
        let lines = lines.collect::<Vec<_>>().concat();
        inbox.put(
            &format!("{number:02}.csv"),
            format!("id,name\nx,bad\n{lines}"),
        );
    }
    // A file that is read in portions.
    let name = "y".repeat(20);
    let large = (0..200_000).map(|row| format!("{},{name}\n", 1_000_000 + row));
    let large = large.collect::<Vec<_>>().concat();
    inbox.put("large.csv", format!("id,name\n{large}"));
    for pause in [5, 20, 40, 80, 120, 200, 300, 450, 700, 1000, 1500] {
        let mut child = inbox
            .setup
            .command(&["files"])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(pause));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let said = inbox.take_well();
    let total = files * rows + 200_000;
    assert_eq!(counts(&inbox), json!([[total, total, files + 1]]), "{said}");
    let refused = inbox.query("SELECT count(*), count(DISTINCT file) FROM quarantine");
    assert_eq!(refused, json!([[files, files]]));
    inbox.audit();
    assert_eq!(
        std::fs::read_dir(inbox.path("done")).unwrap().count(),
        files + 1
    );
    let said = inbox.take_well();
    assert!(said.contains("0 files in"), "{said}");
}

#[test]
fn a_service_and_a_command_share_the_work() {
    let inbox = Inbox::new("every = \"1h\"\nid = \"id\"");
    inbox.put("a.csv", "id,name\n1,A\n");
    let program = inbox.setup.start();
    inbox.take_well();
    inbox.put("b.csv", "id,name\n2,B\n");
    let said = inbox.take_well();
    assert!(said.contains("1 files in"), "{said}");
    assert!(program.stop(Duration::from_secs(30)).success());
    assert_eq!(inbox.rows(), json!([["a.csv", 2, 1], ["b.csv", 2, 2]]));
    inbox.audit();
}
