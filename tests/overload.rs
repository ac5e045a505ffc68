//! Ten times more than the service can take, from senders that do not wait for answers.
//!
//! Once the lake is what is too slow, so that the log fills; once the processors are. Each time: memory
//! stays bounded, a sender that is refused is told so and when to come back, one that is accepted waits a
//! bounded time, and afterwards all of it is in the lake, once.

use std::time::Duration;

use bytes::Bytes;
use lakehook::clock::Clock;

use crate::arrival::{STOP_LIMIT, check};
use crate::support::duckdb::Lake;
use crate::support::load::{Offered, OpenPlan, Source, offer};
use crate::support::process::{Program, Setup};
use crate::support::s3::{Chances, S3Server};

const MIB: u64 = 1 << 20;
/// Nobody who is taken waits longer, but for one in a hundred. It is a figure for two processors that
/// are shared with the senders and other tests, and a program without optimisation; what it excludes
/// is a queue that grows as long as the overload lasts.
const MAX_WAIT: Duration = Duration::from_secs(10);

/// Seconds of overload; `make proof` sets 60.
fn duration() -> Duration {
    let seconds = std::env::var("LAKEHOOK_OVERLOAD")
        .ok()
        .and_then(|n| n.parse().ok());
    Duration::from_secs(seconds.unwrap_or(10))
}

fn source(seed: u64) -> Source {
    Source {
        seed,
        now: Clock::system().now().wall,
        days: 2,
    }
}

/// What holds of every overload; the rate is that which was offered.
fn assert_bounded(offered: &Offered, rate: u32, program: &Program<'_>) {
    let (half, most) = (offered.wait_of(0.5), offered.wait_of(0.99));
    let (peak, taken) = (
        program.peak_rss_bytes() / MIB,
        f64::from(offered.taken_late),
    );
    let taken = taken / (duration().as_secs_f64() / 2.0);
    println!(
        "{rate} requests a second offered, {taken:.1} taken; {} due, {} sent, answers {:?}; \
         waits {half:?} (median), {most:?} (p99); peak of {peak} MiB",
        offered.due, offered.sent, offered.statuses
    );
    assert!(
        f64::from(rate) >= 10.0 * taken,
        "{taken} of {rate} a second is no overload of ten times"
    );
    // The offer was really made: a generator that falls behind would be a load that waits.
    assert!(offered.due * 10 >= u64::from(rate) * duration().as_secs() * 9);
    assert!(
        offered.report.violations.is_empty(),
        "{:?}",
        offered.report.violations.first()
    );
    assert!(offered.statuses.get(&503).is_some_and(|n| *n > 100));
    assert!(most < MAX_WAIT, "{most:?}");
    assert!(peak < 256, "{peak} MiB");
}

/// Two puts at a time, each of half a mebibyte and two seconds: the log fills, and from then on takes
/// what the lake takes.
#[test]
fn ten_times_what_a_slow_lake_takes() {
    const RATE: u32 = 300;
    let server = S3Server::start(51);
    server.faults().set(Chances {
        stall: 1.0,
        stall_for: Some(Duration::from_secs(2)),
        puts_only: true,
        ..Chances::default()
    });
    let setup = Setup::new(&format!(
        "[lake]\nurl = \"s3://lake\"\nendpoint = \"{}\"\n\
         [server]\nmemory = \"32 MiB\"\nmax_connections = 64\nrate_limit = 0\nshutdown_grace = \"50s\"\n\
         [wal]\nmax_bytes = \"16 MiB\"\nsegment_bytes = \"1 MiB\"\n\
         [batch]\nmax_age = \"2s\"\nlate_max_age = \"2s\"\nmax_bytes = \"512 KiB\"\n",
        server.endpoint()
    ));
    let program = setup.start();
    let source = source(51);
    let body = move |request: u32| {
        let first = u64::from(request) * 100;
        let numbers = first..first + 100;
        (numbers.clone(), source.body(numbers).into())
    };
    let offered = offer(OpenPlan {
        address: setup.address(),
        rate: RATE,
        duration: duration(),
        source,
        body: Box::new(body),
        encoding: "identity",
        timeout: Duration::from_secs(30),
    });
    assert_bounded(&offered, RATE, &program);
    server.faults().calm();
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
    let count = check(&offered.report, &Lake::s3("s3://lake", &server.endpoint()));
    assert!(count.rows > 10_000, "{}", count.rows);
    assert_eq!(server.faults().counts().replaced, 0);
    crate::audit::adds_up(&setup, &["data/wal"]);
}

/// Packed bodies cost the sender nothing and the service much: it inflates and checks 8 000 events for
/// each, which are 400 twenty times. They are sent again and again, so that most are duplicates in the
/// end, and taken all the same.
#[test]
fn ten_times_what_the_processors_take() {
    const RATE: u32 = 1000;
    let setup = Setup::new(
        "[lake]\nurl = \"lake\"\n\
         [server]\nmemory = \"32 MiB\"\nmax_connections = 64\nrate_limit = 0\n\
         [wal]\nmax_bytes = \"512 MiB\"\n",
    );
    let program = setup.start();
    let source = source(52);
    let packed = |request: u64| {
        let numbers = request * 400..request * 400 + 400;
        let body = source.body(numbers.clone());
        let (open, close) = (b"{\"events\":[", b"]}");
        let events = &body[open.len()..body.len() - close.len()];
        let many = [open.as_slice(), &[events; 20].join(&b','), close].concat();
        let packed = zstd::encode_all(many.as_slice(), 3).unwrap();
        (numbers, Bytes::from(packed))
    };
    let bodies: Vec<_> = (0..40).map(packed).collect();
    let offered = offer(OpenPlan {
        address: setup.address(),
        rate: RATE,
        duration: duration(),
        source,
        body: Box::new(move |request| bodies[request as usize % bodies.len()].clone()),
        encoding: "zstd",
        timeout: Duration::from_secs(30),
    });
    assert_bounded(&offered, RATE, &program);
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
    let lake = Lake::directory(&setup.directory().join("lake"));
    let count = check(&offered.report, &lake);
    assert!(count.rows > 10_000, "{}", count.rows);
    crate::audit::adds_up(&setup, &["data/wal"]);
}
