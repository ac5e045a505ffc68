//! The senders: threads that repeat each request until it is acknowledged or all is over.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use lakehook::clock::Clock;

use crate::support::http::{Answer, Connection};
use crate::support::random::Random;

use super::events::Source;
use super::report::{Report, Totals};

/// What to send.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// The address to send to.
    pub(crate) address: SocketAddr,
    /// Further addresses of the same service: each connection begins with one of them, and a request without success is
    /// sent to the next.
    pub(crate) others: Vec<SocketAddr>,
    /// The path.
    pub(crate) path: String,
    /// Threads, each with one connection.
    pub(crate) connections: u32,
    /// Events of one request.
    pub(crate) events_per_request: u32,
    /// How many requests all connections send together before they end; `None`: until they are told to.
    pub(crate) max_requests: Option<u64>,
    /// Days over which timestamps are spread.
    pub(crate) days: u32,
    /// Other seeds give other ids.
    pub(crate) seed: u64,
    /// The probability that an acknowledged request is sent once more.
    pub(crate) repeats: f64,
    /// The pause between an acknowledgement and the next request of a connection.
    pub(crate) think: Duration,
    /// The pause before a request is sent again.
    pub(crate) pause: Duration,
    /// After this wait, a request counts as unanswered.
    pub(crate) timeout: Duration,
}

impl Plan {
    /// Eight connections, a hundred events per request, three days, until told to end.
    pub(crate) fn new(address: SocketAddr, seed: u64) -> Self {
        Self {
            address,
            others: Vec::new(),
            path: "/webhook/events".to_owned(),
            connections: 8,
            events_per_request: 100,
            max_requests: None,
            days: 3,
            seed,
            repeats: 0.03,
            think: Duration::ZERO,
            pause: Duration::from_millis(20),
            timeout: Duration::from_secs(10),
        }
    }
}

/// A running load; it ends when the value is dropped.
#[derive(Debug)]
pub(crate) struct Load {
    shared: Arc<Shared>,
    senders: Vec<JoinHandle<Report>>,
}

#[derive(Debug)]
struct Shared {
    plan: Plan,
    source: Source,
    next_request: AtomicU64,
    acknowledged: AtomicU64,
    /// Whether no new requests are sent.
    ending: AtomicBool,
    /// Whether old requests are not repeated either.
    over: AtomicBool,
}

impl Load {
    /// Starts sending.
    pub(crate) fn start(plan: Plan) -> Self {
        let source = Source {
            seed: plan.seed,
            now: Clock::system().now().wall,
            days: plan.days,
        };
        let connections = plan.connections;
        let shared = Arc::new(Shared {
            plan,
            source,
            next_request: AtomicU64::new(0),
            acknowledged: AtomicU64::new(0),
            ending: AtomicBool::new(false),
            over: AtomicBool::new(false),
        });
        let senders = (0..connections).map(|index| {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || Sender::new(shared, index).run())
        });
        Self {
            senders: senders.collect(),
            shared,
        }
    }

    /// Events acknowledged so far, repeats not counted.
    pub(crate) fn acknowledged(&self) -> u64 {
        let requests = self.shared.acknowledged.load(Ordering::SeqCst);
        requests * u64::from(self.shared.plan.events_per_request)
    }

    /// Waits until this many events are acknowledged; panics if that takes longer than `limit`.
    pub(crate) fn wait_acknowledged(&self, events: u64, limit: Duration) {
        let start = Instant::now();
        while self.acknowledged() < events {
            assert!(
                start.elapsed() < limit,
                "only {} after {limit:?}",
                self.acknowledged()
            );
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits until `max_requests` are acknowledged, or gives up after `limit`.
    pub(crate) fn complete(self, limit: Duration) -> Report {
        self.join(limit)
    }

    /// Sends nothing new, repeats what is open for as long as `patience`, and ends.
    pub(crate) fn finish(self, patience: Duration) -> Report {
        self.shared.ending.store(true, Ordering::SeqCst);
        self.join(patience)
    }

    fn join(mut self, limit: Duration) -> Report {
        let start = Instant::now();
        while start.elapsed() < limit && !self.senders.iter().all(JoinHandle::is_finished) {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.shared.over.store(true, Ordering::SeqCst);
        let mut whole = empty_report(self.shared.source);
        for sender in self.senders.drain(..) {
            let part = sender.join().expect("a sender panicked");
            whole.acknowledged.extend(part.acknowledged);
            whole.unacknowledged.extend(part.unacknowledged);
            whole.violations.extend(part.violations);
            whole.totals.add(&part.totals);
        }
        whole
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
    }
}

fn empty_report(source: Source) -> Report {
    Report {
        source,
        acknowledged: Vec::new(),
        unacknowledged: Vec::new(),
        totals: Totals::default(),
        violations: Vec::new(),
    }
}

/// One connection's thread.
struct Sender {
    shared: Arc<Shared>,
    connection: Option<Connection>,
    /// Which of the addresses it sends to.
    at: usize,
    random: Random,
    report: Report,
}

/// The result of one attempt.
enum Attempt {
    Acknowledged,
    Again,
    /// A final refusal; sending it again would not help.
    Refused,
}

impl Sender {
    fn new(shared: Arc<Shared>, index: u32) -> Self {
        let random = Random::new(shared.plan.seed.wrapping_add(u64::from(index) << 32));
        let report = empty_report(shared.source);
        Self {
            shared,
            connection: None,
            at: usize::try_from(index).unwrap_or(0),
            random,
            report,
        }
    }

    fn run(mut self) -> Report {
        let shared = Arc::clone(&self.shared);
        let per_request = u64::from(shared.plan.events_per_request);
        while !shared.ending.load(Ordering::SeqCst) && !shared.over.load(Ordering::SeqCst) {
            let request = shared.next_request.fetch_add(1, Ordering::SeqCst);
            if shared.plan.max_requests.is_some_and(|most| request >= most) {
                break;
            }
            let numbers = request * per_request..(request + 1) * per_request;
            let body = shared.source.body(numbers.clone());
            if !self.send_until_acknowledged(&body) {
                self.report.unacknowledged.push(numbers);
                continue;
            }
            self.report.acknowledged.push(numbers);
            shared.acknowledged.fetch_add(1, Ordering::SeqCst);
            if self.random.chance(shared.plan.repeats) {
                self.attempt(&body);
            }
            std::thread::sleep(shared.plan.think);
        }
        self.report
    }

    /// Whether it was acknowledged in the end.
    fn send_until_acknowledged(&mut self, body: &[u8]) -> bool {
        while !self.shared.over.load(Ordering::SeqCst) {
            match self.attempt(body) {
                Attempt::Acknowledged => return true,
                Attempt::Refused => return false,
                Attempt::Again => {
                    self.go_elsewhere();
                    std::thread::sleep(self.shared.plan.pause);
                }
            }
        }
        false
    }

    /// The next request goes to another address, if there are several.
    fn go_elsewhere(&mut self) {
        if !self.shared.plan.others.is_empty() {
            self.at += 1;
            self.connection = None;
        }
    }

    fn attempt(&mut self, body: &[u8]) -> Attempt {
        self.report.totals.requests += 1;
        let Ok(answer) = self.exchange(body) else {
            self.connection = None;
            self.report.totals.unanswered += 1;
            return Attempt::Again;
        };
        self.connection
            .take_if(|connection| !connection.is_usable());
        if answer.is_success() {
            self.count(&answer);
            return Attempt::Acknowledged;
        }
        if answer.status >= 500 || matches!(answer.status, 408 | 429) {
            self.report.totals.put_off += 1;
            return Attempt::Again;
        }
        let violation = format!("refused with {}: {}", answer.status, answer.text());
        self.report.violations.push(violation);
        Attempt::Refused
    }

    fn exchange(&mut self, body: &[u8]) -> std::io::Result<Answer> {
        let plan = &self.shared.plan;
        let all = plan.others.len() + 1;
        let address = match self.at % all {
            0 => plan.address,
            other => plan.others[other - 1],
        };
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(Connection::open(address, plan.timeout)?),
        };
        connection.post_json(&plan.path, body)
    }

    /// Adds up the counts of a success, and records a violation if they do not match the request.
    fn count(&mut self, answer: &Answer) {
        let said = answer.json();
        let of = |name: &str| said[name].as_u64().unwrap_or(0);
        let parts = ["accepted", "dropped", "duplicates", "quarantined"].map(of);
        let [accepted, dropped, duplicates, quarantined] = parts;
        if parts.iter().sum::<u64>() != u64::from(self.shared.plan.events_per_request) {
            let violation = format!("counts do not add up: {}", answer.text());
            self.report.violations.push(violation);
        }
        self.report.totals.successes += 1;
        self.report.totals.accepted += accepted;
        self.report.totals.dropped += dropped;
        self.report.totals.duplicates += duplicates;
        self.report.totals.quarantined += quarantined;
    }
}
