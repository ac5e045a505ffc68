//! SIGKILL under load, at random moments, restart each time: no acknowledged event is missing and none
//! is there twice, while the client sends every request again whose answer it did not see. Meanwhile
//! two polls run every second: each snapshot that is visible is whole, and the appending one skips and
//! repeats nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::arrival::{DROPPED, STOP_LIMIT, check};
use crate::support::api::{Api, number, page, param};
use crate::support::duckdb::{Lake, Run};
use crate::support::load::{Load, Plan};
use crate::support::process::Setup;
use crate::support::random::Random;
use crate::support::s3::{Chances, S3Server};

/// Kills in each test; `make proof` sets more.
fn kills() -> u64 {
    std::env::var("LAKEHOOK_KILLS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(50)
}

/// Small segments and batches, so that kills meet rolls, seals, puts, commits and trims.
fn config(lake: &str, format: &str, api: &Polled) -> String {
    let url = api.api.url();
    format!(
        "[lake]\n{lake}\n[batch]\nformat = \"{format}\"\nmax_records = 400\nmax_age = \"1s\"\nlate_max_age = \"1s\"\n\
         [wal]\nmax_bytes = \"64 MiB\"\nsegment_bytes = \"1 MiB\"\n[server]\nshutdown_grace = \"40s\"\n\
         [polls]\nmax_bytes = \"64 MiB\"\n\
         [poll.whole]\nurl = \"{url}/whole\"\nrecords = \"/things\"\ntotal = \"/total\"\nid = \"id\"\nschema = \"thing.json\"\n\
         every = \"1s\"\npagination = {{ type = \"offset\" }}\n\
         [poll.new]\nurl = \"{url}/new\"\nrecords = \"/things\"\nid = \"id\"\nschema = \"thing.json\"\nevery = \"1s\"\n\
         mode = \"append\"\npagination = {{ type = \"cursor\", next = \"/next\" }}\n\
         watermark = {{ field = \"id\", param = \"since\", lag = \"20s\" }}\n"
    )
}

/// Records in a snapshot, and in a page.
const WHOLE: usize = 900;
const PAGE: usize = 100;

/// What is polled meanwhile: a set that reads differently each time, and one that grows.
struct Polled {
    api: Api,
    newest: Arc<AtomicUsize>,
}

impl Polled {
    fn start() -> Self {
        let newest = Arc::new(AtomicUsize::new(0));
        let end = Arc::clone(&newest);
        let api = Api::start(move |request, n| {
            let things = |ids: std::ops::Range<usize>| -> Vec<Value> {
                ids.map(|id| json!({"id": id, "version": if request.url.path() == "/whole" { n } else { 0 }}))
                    .collect()
            };
            if request.url.path() == "/whole" {
                let offset = number(request, "offset");
                let ids = offset..(offset + PAGE).min(WHOLE);
                return page(json!({"things": things(ids), "total": WHOLE}));
            }
            let end = end.fetch_add(PAGE / 2, Ordering::SeqCst) + PAGE / 2;
            let since = param(request, "since").map_or(0, |since| since.parse::<i64>().unwrap());
            let start = usize::try_from(since).unwrap_or(0) + number(request, "cursor");
            let next = (start + PAGE < end).then(|| (number(request, "cursor") + PAGE).to_string());
            let ids = start.min(end)..(start + PAGE).min(end);
            page(json!({"things": things(ids), "next": next}))
        });
        Self { api, newest }
    }

    /// What DuckDB sees of both, after a last run of each.
    fn check(&self, lake: &Lake) {
        let runs = lake.runs("whole", "id");
        runs.check();
        let whole = |run: &Run| run.rows == WHOLE as u64;
        assert!(
            !runs.runs.is_empty() && runs.runs.iter().all(whole),
            "{runs:?}"
        );
        let found = lake.stream("new", "id");
        let newest = self.newest.load(Ordering::SeqCst) as u64;
        assert_eq!(
            (found.rows, found.ids),
            (found.lsns, found.rows),
            "{found:?}"
        );
        assert!(
            found.rows <= newest && found.rows + 2 * PAGE as u64 >= newest,
            "{found:?}, {newest}"
        );
        println!(
            "{} whole snapshots, {} appended, each there once",
            runs.runs.len(),
            found.rows
        );
    }
}

/// Columns of what is polled.
const SCHEMA: &str = r#"{"properties":{"id":{"type":"integer"},"version":{"type":"integer"}}}"#;

fn survives(setup: &Setup, polled: &Polled, lake: &Lake, seed: u64, calm: impl FnOnce()) {
    std::fs::write(setup.directory().join("thing.json"), SCHEMA).unwrap();
    let random = Random::new(seed);
    let mut plan = Plan::new(setup.address(), seed);
    plan.connections = 6;
    plan.events_per_request = 20;
    plan.days = 3;
    plan.repeats = 0.05;
    plan.think = Duration::from_millis(5);
    let mut load = None;
    for _ in 0..kills() {
        let mut program = setup.spawn();
        let load = load.get_or_insert_with(|| Load::start(plan.clone()));
        // Some lives end while the log is still being read.
        if random.chance(0.9) {
            program.wait_ready(Duration::from_secs(60));
            let before = load.acknowledged();
            load.wait_acknowledged(before + random.below(400), Duration::from_secs(60));
        }
        std::thread::sleep(Duration::from_millis(random.below(60)));
        program.kill();
    }
    let program = setup.start();
    let Some(load) = load else { return };
    let report = load.finish(Duration::from_secs(60));
    let output = setup.run(&["poll"]);
    let said = String::from_utf8_lossy(&output.stdout);
    // In a storm it may take longer than the asking command waits; but no run fails.
    let is_well = output.status.success() || said.contains("on its way to the lake");
    assert!(
        is_well && !said.contains("failed"),
        "{said}\n{}",
        setup.stderr()
    );
    let stopped = program.stop(STOP_LIMIT);
    assert!(stopped.success(), "{stopped:?}\n{}", setup.stderr());
    calm();
    assert!(
        setup.stderr().contains("everything is in the lake"),
        "{}",
        setup.stderr()
    );
    let count = check(&report, lake);
    assert!(
        count.rows > kills() * 20,
        "only {} events got through",
        count.rows
    );
    polled.check(lake);
    crate::audit::adds_up(setup, &["data/wal", "data/polls"]);
    for dir in ["data/wal", "data/polls"] {
        let verified = setup.run(&["wal", "verify", "--dir", dir]);
        assert!(
            verified.status.success(),
            "{}",
            String::from_utf8_lossy(&verified.stdout)
        );
    }
    let acknowledged = report
        .acknowledged()
        .filter(|e| !DROPPED.contains(&e.kind))
        .count();
    println!(
        "{} kills, {acknowledged} events acknowledged, each there once",
        kills()
    );
}

#[test]
fn a_directory_survives_kills_under_load() {
    let polled = Polled::start();
    let setup = Setup::new(&config("url = \"lake\"", "ndjson.zst", &polled));
    survives(
        &setup,
        &polled,
        &Lake::directory(&setup.directory().join("lake")),
        11,
        || {},
    );
}

#[test]
fn s3_with_faults_survives_kills_under_load() {
    let server = S3Server::start(12);
    server.faults().set(Chances {
        stall_for: Some(Duration::from_millis(300)),
        ..Chances::storm(0.06)
    });
    let lake = format!("url = \"s3://lake\"\nendpoint = \"{}\"", server.endpoint());
    let polled = Polled::start();
    let setup = Setup::new(&config(&lake, "parquet", &polled));
    let lake = Lake::s3("s3://lake", &server.endpoint());
    survives(&setup, &polled, &lake, 12, || server.faults().calm());
    let counts = server.faults().counts();
    assert!(counts.faults > 20, "the store behaved too well: {counts:?}");
    assert_eq!(counts.replaced, 0, "an object was replaced");
}
