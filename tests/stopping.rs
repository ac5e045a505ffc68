//! SIGTERM: exit 0, and every acknowledged event is in the lake.

use std::time::{Duration, Instant};

use crate::arrival::{STOP_LIMIT, check};
use crate::http::{body, click, post};
use crate::support::duckdb::{Lake, Reading};
use crate::support::http::get;
use crate::support::load::{Load, Plan};
use crate::support::process::Setup;
use crate::support::s3::{Chances, S3Server};

/// The last batches are shipped on SIGTERM, and the stop ends.
#[test]
fn sigterm_under_load_ships_everything_that_was_acknowledged() {
    let setup = Setup::new("[lake]\nurl = \"lake\"\n[wal]\nmax_bytes = \"64 MiB\"\n");
    let program = setup.start();
    let mut plan = Plan::new(setup.address(), 21);
    plan.connections = 8;
    plan.events_per_request = 25;
    let load = Load::start(plan);
    load.wait_acknowledged(4000, Duration::from_secs(60));
    // The load goes on while the service stops; what comes too late is refused or unanswered.
    let stopped = program.stop(STOP_LIMIT);
    assert!(stopped.success(), "{stopped:?}\n{}", setup.stderr());
    let report = load.finish(Duration::ZERO);
    let lake = Lake::directory(&setup.directory().join("lake"));
    let count = check(&report, &lake);
    assert!(count.rows >= 3000);
}

#[test]
fn a_stop_while_the_lake_is_away_ends_in_time_and_the_next_start_ships() {
    let server = S3Server::start(22);
    let lake = format!("url = \"s3://lake\"\nendpoint = \"{}\"", server.endpoint());
    let config = |grace: &str| {
        format!(
            "[lake]\n{lake}\n[server]\nshutdown_grace = \"{grace}\"\n[wal]\nmax_bytes = \"64 MiB\"\n"
        )
    };
    let setup = Setup::new(&config("2s"));
    let program = setup.start();
    server.faults().down();
    let mut plan = Plan::new(setup.address(), 22);
    plan.max_requests = Some(20);
    let report = Load::start(plan).complete(Duration::from_secs(30));
    let stopped = program.stop(Duration::from_secs(20));
    assert!(stopped.success(), "{stopped:?}\n{}", setup.stderr());
    assert_eq!(server.keys("events/").len(), 0);
    server.faults().up();
    setup.configure(&config("40s"));
    assert!(setup.start().stop(STOP_LIMIT).success());
    check(&report, &Lake::s3("s3://lake", &server.endpoint()));
}

/// What was buffered for one lake never goes to another one after a restart.
#[test]
fn a_changed_lake_is_refused_until_the_old_one_has_everything() {
    let server = S3Server::start(23);
    let lake = |url: &str, grace: &str| {
        let endpoint = server.endpoint();
        format!(
            "[lake]\nurl = \"{url}\"\nendpoint = \"{endpoint}\"\n[server]\nshutdown_grace = \"{grace}\"\n"
        )
    };
    let setup = Setup::new(&lake("s3://lake/old", "1s"));
    let program = setup.start();
    server.faults().down();
    let mut plan = Plan::new(setup.address(), 23);
    plan.max_requests = Some(2);
    let report = Load::start(plan).complete(Duration::from_secs(30));
    program.stop(Duration::from_secs(20));
    server.faults().up();
    setup.configure(&lake("s3://lake/new", "40s"));
    let mut refused = setup.spawn();
    let status = refused.wait(Duration::from_secs(20)).unwrap();
    assert_eq!(status.code(), Some(1));
    assert!(
        setup.stderr().contains("sealed for s3://lake/old"),
        "{}",
        setup.stderr()
    );
    setup.configure(&lake("s3://lake/old", "40s"));
    assert!(setup.start().stop(STOP_LIMIT).success());
    check(&report, &Lake::s3("s3://lake/old", &server.endpoint()));
    setup.configure(&lake("s3://lake/new", "40s"));
    assert!(setup.start().stop(STOP_LIMIT).success());
}

#[test]
fn a_second_process_on_the_same_log_is_refused_at_once() {
    let setup = Setup::new("[lake]\nurl = \"lake\"\n");
    let program = setup.start();
    let other = setup.run(&["serve"]);
    assert_eq!(other.status.code(), Some(1));
    let said = String::from_utf8_lossy(&other.stderr).into_owned();
    assert!(
        said.contains(&format!("in use by process {}", program.id())),
        "{said}"
    );
    assert!(program.stop(STOP_LIMIT).success());
}

#[test]
fn a_drain_delay_says_so_and_still_accepts() {
    let setup = Setup::new(
        "[lake]\nurl = \"lake\"\n[server]\ndrain_delay = \"60s\"\n[wal]\nmax_bytes = \"64 MiB\"\n",
    );
    let mut program = setup.start();
    let ready = || get(setup.address(), "/ready").unwrap();
    assert_eq!(ready().status, 200);
    program.terminate();
    let begun = Instant::now();
    while ready().status == 200 {
        assert!(begun.elapsed() < STOP_LIMIT, "{}", setup.stderr());
        std::thread::sleep(Duration::from_millis(20));
    }
    let said = ready();
    assert_eq!(said.status, 503);
    assert!(said.text().contains("stopping"), "{}", said.text());
    assert_eq!(get(setup.address(), "/health").unwrap().status, 200);
    assert!(
        get(setup.address(), "/metrics")
            .unwrap()
            .text()
            .contains("\nlakehook_ready 0\n")
    );
    // Balancers that have not noticed yet lose nothing.
    assert_eq!(post(&setup, body(&[click(1)])).status, 200);
    // A second signal ends the delay, long before it is over.
    program.terminate();
    assert!(
        program.wait(STOP_LIMIT).unwrap().success(),
        "{}",
        setup.stderr()
    );
    assert!(
        setup.stderr().contains("everything is in the lake"),
        "{}",
        setup.stderr()
    );
    assert_eq!(
        Lake::directory(&setup.directory().join("lake"))
            .count(Reading::Typed)
            .rows,
        1
    );
}

#[test]
fn a_port_in_use_is_named() {
    let setup = Setup::new("[lake]\nurl = \"lake\"\n");
    let listener = std::net::TcpListener::bind(setup.address()).unwrap();
    let other = setup.run(&["serve"]);
    assert_eq!(other.status.code(), Some(1));
    let said = String::from_utf8_lossy(&other.stderr).into_owned();
    assert!(said.contains(&setup.address().to_string()), "{said}");
    // So does what looks before the start.
    let checked = setup.run(&["check"]);
    assert_eq!(checked.status.code(), Some(1));
    let said = String::from_utf8_lossy(&checked.stdout).into_owned();
    let expected = format!(
        "problem  `server.listen`: nothing can listen on {}",
        setup.address()
    );
    assert!(said.contains(&expected), "{said}");
    drop(listener);
    assert_eq!(setup.run(&["check"]).status.code(), Some(0));
    // The service itself is nobody else.
    let _program = setup.start();
    assert_eq!(setup.run(&["check"]).status.code(), Some(0));
}

/// The store takes the connection and never answers.
#[test]
fn a_stop_ends_in_time_though_the_lake_never_answers() {
    let server = S3Server::start(24);
    server.faults().set(Chances {
        stall: 1.0,
        stall_for: None,
        ..Chances::default()
    });
    let endpoint = server.endpoint();
    let config = |grace: &str| {
        format!(
            "[lake]\nurl = \"s3://lake\"\nendpoint = \"{endpoint}\"\n[server]\nshutdown_grace = \"{grace}\"\n"
        )
    };
    let setup = Setup::new(&config("3s"));
    let program = setup.start();
    let mut plan = Plan::new(setup.address(), 24);
    plan.max_requests = Some(3);
    let report = Load::start(plan).complete(Duration::from_secs(30));
    assert!(
        program.stop(Duration::from_secs(8)).success(),
        "{}",
        setup.stderr()
    );
    server.faults().calm();
    setup.configure(&config("40s"));
    assert!(setup.start().stop(STOP_LIMIT).success());
    check(&report, &Lake::s3("s3://lake", &server.endpoint()));
}
