//! An open loop: requests are sent when they are due, whatever happened to those before.
//!
//! [`super::Load`] sends the next request after the answer to the last one, so a slow service gets fewer
//! requests. Overload is real only if senders do not wait. Each request has a connection of its own, so that
//! requests are served in the order of their arrival. Nothing is repeated automatically here.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::events::Source;
use super::report::{Report, Totals};

/// The most requests that are under way at once, since a sender has a bound too. A request that is due beyond
/// it is counted and not sent.
const MAX_OPEN: usize = 500;

/// What is sent.
pub(crate) struct OpenPlan {
    /// The address to send to.
    pub(crate) address: SocketAddr,
    /// Requests per second.
    pub(crate) rate: u32,
    /// For how long.
    pub(crate) duration: Duration,
    /// The source of the events.
    pub(crate) source: Source,
    /// The body of a request by its number, with the numbers of its events.
    pub(crate) body: Box<dyn Fn(u32) -> (Range<u64>, Bytes) + Send + Sync>,
    /// `Content-Encoding` of the bodies.
    pub(crate) encoding: &'static str,
    /// After this wait, a request counts as unanswered.
    pub(crate) timeout: Duration,
}

/// The result.
pub(crate) struct Offered {
    /// Requests that were due.
    pub(crate) due: u64,
    /// Those of them that were sent.
    pub(crate) sent: u64,
    /// Answers by status; 0 if there was none.
    pub(crate) statuses: BTreeMap<u16, u64>,
    /// From the time when a request was due to its answer of 200, sorted.
    pub(crate) waits: Vec<Duration>,
    /// Answers of 200 to requests that were due in the second half of the time, when the service is
    /// as full as it gets.
    pub(crate) taken_late: u32,
    /// Acknowledged and other requests; violations are answers that an overload does not excuse.
    pub(crate) report: Report,
}

impl Offered {
    /// The wait that this part of the accepted requests did not exceed.
    pub(crate) fn wait_of(&self, part: f64) -> Duration {
        #[allow(
            clippy::cast_precision_loss,
            clippy::cast_sign_loss,
            reason = "an index into a list of thousands"
        )]
        let at = (self.waits.len() as f64 * part) as usize;
        self.waits[at.min(self.waits.len() - 1)]
    }
}

struct Shared {
    plan: OpenPlan,
    outcome: Mutex<Offered>,
}

/// Sends all requests, and waits for the last answer.
pub(crate) fn offer(plan: OpenPlan) -> Offered {
    let report = Report {
        source: plan.source,
        acknowledged: Vec::new(),
        unacknowledged: Vec::new(),
        totals: Totals::default(),
        violations: Vec::new(),
    };
    let outcome = Offered {
        due: 0,
        sent: 0,
        statuses: BTreeMap::new(),
        waits: Vec::new(),
        taken_late: 0,
        report,
    };
    let shared = Arc::new(Shared {
        plan,
        outcome: Mutex::new(outcome),
    });
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(send_all(&shared));
    drop(runtime);
    let shared = Arc::into_inner(shared).expect("all tasks have ended");
    let mut outcome = shared.outcome.into_inner().unwrap();
    outcome.waits.sort_unstable();
    for ranges in [
        &mut outcome.report.acknowledged,
        &mut outcome.report.unacknowledged,
    ] {
        ranges.sort_unstable_by_key(|range| range.start);
        ranges.dedup();
    }
    outcome
}

async fn send_all(shared: &Arc<Shared>) {
    let open = Arc::new(Semaphore::new(MAX_OPEN));
    let (start, mut tasks) = (Instant::now(), JoinSet::new());
    let interval = Duration::from_secs(1) / shared.plan.rate;
    for number in 0.. {
        let due = start + interval * number;
        if due > start + shared.plan.duration {
            break;
        }
        tokio::time::sleep_until(due.into()).await;
        shared.outcome.lock().unwrap().due += 1;
        let Ok(permit) = Arc::clone(&open).try_acquire_owned() else {
            continue;
        };
        shared.outcome.lock().unwrap().sent += 1;
        let shared = Arc::clone(shared);
        tasks.spawn(async move {
            let (numbers, body) = (shared.plan.body)(number);
            let answer = tokio::time::timeout(shared.plan.timeout, shared.exchange(&body)).await;
            let answer = answer.unwrap_or_else(|late| Err(late.into()));
            let is_late = due > start + shared.plan.duration / 2;
            shared.note(numbers, (due.elapsed(), is_late), answer);
            drop(permit);
        });
        while tasks.try_join_next().is_some() {}
    }
    while let Some(ended) = tasks.join_next().await {
        ended.expect("a sender panicked");
    }
}

impl Shared {
    async fn exchange(&self, body: &[u8]) -> io::Result<(u16, String)> {
        let mut stream = TcpStream::connect(self.plan.address).await?;
        let head = format!(
            "POST /webhook/events HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
             connection: close\r\ncontent-encoding: {}\r\ncontent-length: {}\r\n\r\n",
            self.plan.encoding,
            body.len()
        );
        // A service that refuses before it has read everything answers all the same.
        if stream.write_all(head.as_bytes()).await.is_ok() {
            let _refused = stream.write_all(body).await;
        }
        read_answer(&mut stream).await
    }

    fn note(
        &self,
        numbers: Range<u64>,
        (waited, is_late): (Duration, bool),
        answer: io::Result<(u16, String)>,
    ) {
        let mut outcome = self.outcome.lock().unwrap();
        let (status, text) = answer.unwrap_or_default();
        *outcome.statuses.entry(status).or_default() += 1;
        match status {
            200 => {
                outcome.waits.push(waited);
                outcome.taken_late += u32::from(is_late);
                outcome.report.acknowledged.push(numbers);
                return;
            }
            0 => {}
            429 | 503 if text.contains("\r\nretry-after: ") => {}
            _ => outcome.report.violations.push(text),
        }
        outcome.report.unacknowledged.push(numbers);
    }
}

/// Status and text of one answer, head and body.
async fn read_answer(stream: &mut TcpStream) -> io::Result<(u16, String)> {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let read = stream.read(&mut buffer).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        bytes.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.and_then(|n| n.parse().ok()).unwrap_or(0);
        if body.len() >= length {
            let status = head.get(9..12).and_then(|n| n.parse().ok());
            return Ok((status.unwrap_or(1), text.into_owned()));
        }
    }
}
