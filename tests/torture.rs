//! `lakehook torture`: that it runs through, that its report says what it did, and that its judge is not blind
//! on a real lake.

use std::path::{Path, PathBuf};
use std::time::Duration;

use lakehook::clock::Clock;
use lakehook::files::Disk;
use lakehook::lake::reader::{LakeReader, keys_below};
use lakehook::torture::events::Source;
use lakehook::torture::lake::{Examined, examine};
use lakehook::torture::ledger::{Ledger, Violation};
use lakehook::torture::senders::Senders;
use lakehook::wal::inspect::inspect;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::arrival::STOP_LIMIT;
use crate::support::process::Setup;
use crate::support::s3::S3Server;

fn figure(report: &Value, name: &str) -> u64 {
    let figure = report[name].as_u64();
    figure.unwrap_or_else(|| panic!("no {name} in {report}"))
}

#[test]
fn it_runs_through_and_its_figures_add_up() {
    let setup = Setup::new("");
    let output = setup.run(&["torture", "--duration", "10s", "--seed", "7", "--json"]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let report: Value = serde_json::from_str(&said).unwrap();
    let figure = |name: &str| figure(&report, name);
    assert_eq!(report["holds"], true);
    assert_eq!(figure("seed"), 7);
    assert!(figure("kills") > 3, "{said}");
    assert!(figure("outages") > figure("full_logs"), "{said}");
    assert!(figure("full_logs") > 0 && figure("log_full") > 0, "{said}");
    // The last one, at least.
    assert!(figure("stops") > 0, "{said}");
    let answered = &report["answered"];
    let of = |status: &str| answered[status].as_u64().unwrap();
    // Every request has one final answer; every other attempt was sent again.
    assert_eq!(of("200") + of("400"), figure("requests"), "{said}");
    assert_eq!(
        of("503") + figure("unanswered"),
        figure("retried"),
        "{said}"
    );
    assert_eq!(answered.as_object().unwrap().len(), 3, "{said}");
    assert!(of("400") > 0 && figure("unanswered") > 0, "{said}");
    assert!(figure("events_acknowledged") > 1000, "{said}");
    assert_eq!(figure("events_in_the_lake"), figure("events_acknowledged"));
    assert!(
        figure("duplicates_recognised") > 0 && figure("conflicts_kept") > 0,
        "{said}"
    );
    assert_eq!(report["audit"]["adds_up"], true);
    assert!(report["audit"]["objects"].as_u64().unwrap() > 5, "{said}");
    assert!(!setup.directory().join("lakehook-torture").exists());
}

#[test]
fn a_cluster_loses_its_owners_and_nothing_else() {
    let server = S3Server::start(8);
    let setup = Setup::new("");
    let endpoint = server.endpoint();
    let cluster = ["--nodes", "3", "--replica", "s3://lake/tried"];
    let more = ["--endpoint", &endpoint, "--duration", "1s", "--seed", "7"];
    let arguments = [&["torture", "--json"][..], &cluster, &more].concat();
    let output = setup.run(&arguments);
    let said = String::from_utf8_lossy(&output.stdout);
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}{complaints}");
    let report: Value = serde_json::from_str(&said).unwrap();
    let figure = |name: &str| figure(&report, name);
    assert_eq!((&report["holds"], figure("nodes")), (&true.into(), 3));
    // Each kind of fault has been there, and three of them take the log from its owner.
    assert!(
        figure("machines_lost") > 0 && figure("pauses") > 0,
        "{said}"
    );
    assert!(figure("kills") > 0 && figure("stops") > 3, "{said}");
    assert!(figure("takeovers") >= 3, "{said}");
    let slowest = report["longest_takeover_seconds"].as_f64().unwrap();
    assert!(slowest > 0.0 && slowest < 20.0, "{said}");
    assert!(figure("events_acknowledged") > 500, "{said}");
    assert_eq!(figure("events_in_the_lake"), figure("events_acknowledged"));
    assert!(figure("duplicates_recognised") > 0, "{said}");
    assert_eq!(report["audit"]["adds_up"], true, "{said}");
    assert!(!setup.directory().join("lakehook-torture").exists());
    assert_eq!(server.keys(""), Vec::<String>::new(), "it leaves something");
}

#[test]
fn what_a_cluster_cannot_be_is_refused() {
    let setup = Setup::new("");
    let nats = "nats://127.0.0.1:1";
    let nowhere = [
        "--replica",
        "s3://lake/x",
        "--endpoint",
        "http://127.0.0.1:1",
    ];
    for (arguments, code, words) in [
        (&["--nodes", "3"][..], 2, "--replica"),
        (&["--replica", nats], 2, "--nodes"),
        (
            &["--nodes", "3", "--replica", "here"],
            2,
            "must be s3://bucket/prefix, or nats://",
        ),
        (
            &["--nodes", "1", "--replica", "s3://lake/x"],
            2,
            "between 2 and 9",
        ),
        (
            &["--nodes", "3", "--replica", nats],
            2,
            "name it with --lake s3://bucket/prefix",
        ),
        (
            &[&["--nodes", "3"], &nowhere[..]].concat(),
            1,
            "127.0.0.1:1",
        ),
    ] {
        let output = setup.run(&[&["torture"], arguments].concat());
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
}

#[test]
fn a_signal_ends_it_early_with_a_report() {
    let setup = Setup::new("");
    let torture = setup
        .command(&["torture", "--duration", "1h", "--dir", "here"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_secs(4));
    let pid = Pid::from_raw(i32::try_from(torture.id()).unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    let output = torture.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.starts_with("seed "), "{said}");
    assert!(
        said.contains("It holds: every acknowledged event"),
        "{said}"
    );
    assert!(!setup.directory().join("here").exists());
}

/// The promise broken from outside: an object is removed behind the server's back.
#[test]
fn a_lake_that_loses_an_object_is_found_out_and_kept() {
    let setup = Setup::new("");
    let torture = setup
        .command(&[
            "torture",
            "--duration",
            "8s",
            "--seed",
            "5",
            "--dir",
            "here",
        ])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let lake = setup.directory().join("here/lake-itself");
    let start = std::time::Instant::now();
    // The first of several is committed, and never put again.
    let oldest = loop {
        let keys = keys_below(&lake, "events").unwrap_or_default();
        let first = |key: &String| key.rsplit_once('/').unwrap().1.to_owned();
        if keys.len() >= 8 {
            break keys.into_iter().min_by_key(first).unwrap();
        }
        assert!(start.elapsed() < STOP_LIMIT, "only {keys:?}");
        std::thread::sleep(Duration::from_millis(20));
    };
    std::fs::remove_file(lake.join(&oldest)).unwrap();
    let output = torture.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("(answered: 200): it is lost"), "{said}");
    assert!(said.contains("does not add up"), "{said}");
    assert!(said.contains("It does not hold: "), "{said}");
    assert!(setup.directory().join("here/server.log").exists());
}

#[test]
fn other_peoples_directories_are_left_alone() {
    let setup = Setup::new("");
    let output = setup.run(&["torture", "--dir", "."]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("is not empty"), "{said}");
    assert!(setup.directory().join("lakehook.toml").exists());
}

/// A real lake, with what its senders know.
struct Filled {
    setup: Setup,
    source: Source,
    ledger: Ledger,
}

impl Filled {
    fn new() -> Self {
        let setup =
            Setup::new("[lake]\nurl = \"lake\"\n[batch]\nformat = \"ndjson\"\nmax_records = 300\n");
        let program = setup.start();
        let source = Source::new(3, Clock::system().now().wall);
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let url = format!("http://{}/webhook/events", setup.address());
        let ledger = runtime.block_on(async {
            let senders = Senders::start(vec![url], source).unwrap();
            while senders.shared.ledger().entries().len() < 200 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            senders.finish(STOP_LIMIT).await.take_ledger()
        });
        assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
        Self {
            setup,
            source,
            ledger,
        }
    }

    fn lake(&self) -> PathBuf {
        self.setup.directory().join("lake")
    }

    fn examine(&self) -> Examined {
        let wal = self.setup.directory().join("data/wal");
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let lake = LakeReader::Directory(self.lake());
        let log = inspect(&Disk, &wal).unwrap();
        let examined = examine(&lake, log, self.source, &self.ledger);
        runtime.block_on(examined).unwrap()
    }

    /// The first object of events.
    fn object(&self) -> PathBuf {
        let keys = keys_below(&self.lake(), "events").unwrap();
        assert!(keys.len() > 3, "{keys:?}");
        self.lake().join(&keys[0])
    }

    fn violations(&self) -> (u64, Vec<Violation>) {
        let violations = self.examine().verdict.violations;
        (violations.total, violations.shown)
    }
}

fn rows(object: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(object).unwrap();
    text.lines().map(str::to_owned).collect()
}

fn id_of(row: &str) -> String {
    let row: Value = serde_json::from_str(row).unwrap();
    row["event_id"].as_str().unwrap().to_owned()
}

#[test]
fn the_judge_sees_what_is_done_to_a_real_lake() {
    let filled = Filled::new();
    let examined = filled.examine();
    assert_eq!(examined.verdict.violations.shown, [], "of a sound lake");
    assert_eq!(examined.audit.problems, []);
    assert_eq!(examined.verdict.events, filled.ledger.acknowledged_events());
    let object = filled.object();
    let whole = std::fs::read(&object).unwrap();
    let rows = rows(&object);

    // Altered: one row, in one member.
    let altered = rows[1].replace("\"source\":\"", "\"source\":\"x");
    std::fs::write(&object, rows.join("\n").replace(&rows[1], &altered) + "\n").unwrap();
    let (total, shown) = filled.violations();
    assert_eq!((total, &shown[0].what), (1, &id_of(&rows[1])), "{shown:?}");
    assert!(shown[0].found.contains("another source"), "{shown:?}");
    assert!(!filled.examine().audit.problems.is_empty());

    // Twice: one row again, in an object of its own.
    std::fs::write(&object, &whole).unwrap();
    let copy = object.with_file_name("copy.ndjson");
    std::fs::write(&copy, format!("{}\n", rows[2])).unwrap();
    let (_, shown) = filled.violations();
    assert_eq!(shown[0].what, id_of(&rows[2]), "{shown:?}");
    assert!(shown[0].found.contains("twice"), "{shown:?}");
    std::fs::remove_file(copy).unwrap();

    // Lost: the whole object, each of its events by name.
    std::fs::remove_file(&object).unwrap();
    let (total, shown) = filled.violations();
    assert!(total > rows.len() as u64, "{total} of {}", rows.len());
    let ids: Vec<String> = rows.iter().map(|row| id_of(row)).collect();
    let lost = |violation: &&Violation| violation.found.contains("it is lost");
    let named = shown.iter().filter(lost).collect::<Vec<_>>();
    assert!(named.len() > 10, "{shown:?}");
    assert!(named.iter().all(|violation| ids.contains(&violation.what)));

    // And back.
    std::fs::write(&object, &whole).unwrap();
    assert_eq!(filled.violations(), (0, Vec::new()));
}
