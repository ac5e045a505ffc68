//! Faults of the S3 server, switched while it runs.
//!
//! There are three kinds: chances, drawn from a seed for every request; a script for the next puts, for tests
//! of one particular fault; and switches for a store that is away, denies access, or ignores conditions.

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use http::{HeaderMap, Method};

use crate::support::random::Random;

/// What can happen to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// 500, nothing applied.
    InternalError,
    /// 500, although it was applied.
    LateError,
    /// 503 `SlowDown`, nothing applied.
    SlowDown,
    /// 409 `ConditionalRequestConflict`, nothing applied. Puts only.
    Conflict,
    /// The connection is reset, nothing applied.
    Reset,
    /// Applied, then the connection is reset: the answer is lost.
    LostAnswer,
    /// The connection is reset at once, and the request is applied after this long.
    AppliedLater(Duration),
    /// Applied, and answered after this long; never answered if `None`.
    Stall(Option<Duration>),
    /// One bit of the body is flipped on its way.
    Flip,
    /// The body loses its second half on its way, and the length fits.
    Cut,
    /// A proxy answers 200 with a page of its own; the store never sees the request.
    Stranger,
    /// The connection is closed in order, without an answer; nothing applied.
    Close,
    /// 304, as an older store answers a condition that does not hold; nothing applied.
    NotModified,
}

/// Which checksums of puts the store compares, and what it names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Checksums {
    /// None are compared, none is named, and ETags are no MD5.
    Ignored,
    /// CRC-32C is compared and named, as by AWS.
    #[default]
    Compared,
    /// A put with a checksum is answered 400; ETags are no MD5.
    Refused,
}

/// An answer to every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Says {
    /// The status.
    pub(crate) status: u16,
    /// The code in the body; a HEAD gets none.
    pub(crate) code: &'static str,
    /// The header `x-amz-bucket-region`, if it has one.
    pub(crate) region: Option<&'static str>,
}

/// The probability of each fault, from 0.0 to 1.0; together at most 1.0.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Chances {
    /// Of [`Fault::InternalError`].
    pub(crate) internal_error: f64,
    /// Of [`Fault::LateError`].
    pub(crate) late_error: f64,
    /// Of [`Fault::SlowDown`].
    pub(crate) slow_down: f64,
    /// Of [`Fault::Conflict`].
    pub(crate) conflict: f64,
    /// Of [`Fault::Reset`].
    pub(crate) reset: f64,
    /// Of [`Fault::LostAnswer`].
    pub(crate) lost_answer: f64,
    /// Of [`Fault::AppliedLater`], a second later.
    pub(crate) applied_later: f64,
    /// Of [`Fault::Stall`].
    pub(crate) stall: f64,
    /// How long a stall lasts; `None`: it is never answered.
    pub(crate) stall_for: Option<Duration>,
    /// Whether faults happen to puts only; otherwise also to heads, gets and listings.
    pub(crate) puts_only: bool,
}

impl Chances {
    /// A bad day: each fault that ends by itself, with the probability `each`.
    pub(crate) fn storm(each: f64) -> Self {
        Self {
            internal_error: each,
            late_error: each,
            slow_down: each,
            conflict: each,
            reset: each,
            lost_answer: each,
            applied_later: each,
            stall: each,
            stall_for: Some(Duration::from_millis(300)),
            puts_only: false,
        }
    }

    fn draw(&self, random: &Random) -> Option<Fault> {
        let mut rest = random.unit();
        let faults = [
            (self.internal_error, Fault::InternalError),
            (self.late_error, Fault::LateError),
            (self.slow_down, Fault::SlowDown),
            (self.conflict, Fault::Conflict),
            (self.reset, Fault::Reset),
            (self.lost_answer, Fault::LostAnswer),
            (
                self.applied_later,
                Fault::AppliedLater(Duration::from_secs(1)),
            ),
            (self.stall, Fault::Stall(self.stall_for)),
        ];
        for (probability, fault) in faults {
            if rest < probability {
                return Some(fault);
            }
            rest -= probability;
        }
        None
    }
}

/// What happened so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// All requests that reached the server, with or without a fault.
    pub(crate) requests: u64,
    /// Those among them that were puts of objects.
    pub(crate) puts: u64,
    /// Puts that the store applied.
    pub(crate) applied: u64,
    /// Puts that replaced an object: always 0 if all writers use conditions.
    pub(crate) replaced: u64,
    /// Puts that were answered 412 by the store.
    pub(crate) refused: u64,
    /// Requests with a fault, including those by a switch.
    pub(crate) faults: u64,
}

#[derive(Debug, Default)]
struct Counters {
    requests: AtomicU64,
    puts: AtomicU64,
    applied: AtomicU64,
    replaced: AtomicU64,
    refused: AtomicU64,
    faults: AtomicU64,
}

/// The switches; none is set at first.
#[derive(Debug)]
pub(crate) struct Faults {
    random: Random,
    chances: Mutex<Chances>,
    script: Mutex<VecDeque<Option<Fault>>>,
    down: AtomicBool,
    denied: AtomicBool,
    ignores_conditions: AtomicBool,
    lacks_conditions: AtomicBool,
    refuses_puts: AtomicBool,
    checksums: Mutex<Checksums>,
    says: Mutex<Option<Says>>,
    heads: Mutex<HashMap<Method, HeaderMap>>,
    counters: Counters,
}

impl Faults {
    /// No faults yet; those of [`Faults::set`] will be drawn from this seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed),
            chances: Mutex::default(),
            script: Mutex::default(),
            down: AtomicBool::new(false),
            denied: AtomicBool::new(false),
            ignores_conditions: AtomicBool::new(false),
            lacks_conditions: AtomicBool::new(false),
            refuses_puts: AtomicBool::new(false),
            checksums: Mutex::default(),
            says: Mutex::default(),
            heads: Mutex::default(),
            counters: Counters::default(),
        }
    }

    /// Answers this to everything, or serves again.
    pub(crate) fn say(&self, says: Option<Says>) {
        *self.says.lock().expect("no holder panics") = says;
    }

    /// Remembers the headers of a request.
    pub(super) fn note(&self, method: &Method, headers: &HeaderMap) {
        let mut heads = self.heads.lock().expect("no holder panics");
        heads.insert(method.clone(), headers.clone());
    }

    /// A header of the last request of that method.
    pub(crate) fn last_header(&self, method: &Method, name: &str) -> Option<String> {
        let heads = self.heads.lock().expect("no holder panics");
        let value = heads.get(method)?.get(name)?;
        value.to_str().ok().map(str::to_owned)
    }

    /// What is answered to everything.
    pub(super) fn says(&self) -> Option<Says> {
        *self.says.lock().expect("no holder panics")
    }

    /// From now on, faults with these chances.
    pub(crate) fn set(&self, chances: Chances) {
        *self.chances.lock().expect("no holder panics") = chances;
    }

    /// The next puts get these faults, one each (`None`: no fault), before chances apply again.
    pub(crate) fn on_next_puts(&self, faults: impl IntoIterator<Item = Option<Fault>>) {
        self.script.lock().expect("no holder panics").extend(faults);
    }

    /// Ends every fault and every switch.
    pub(crate) fn calm(&self) {
        self.set(Chances::default());
        self.script.lock().expect("no holder panics").clear();
        self.say(None);
        for switch in [
            &self.down,
            &self.denied,
            &self.ignores_conditions,
            &self.lacks_conditions,
            &self.refuses_puts,
        ] {
            switch.store(false, Ordering::SeqCst);
        }
    }

    /// Resets every connection, old and new, until [`Faults::up`].
    pub(crate) fn down(&self) {
        self.down.store(true, Ordering::SeqCst);
    }

    /// Serves again.
    pub(crate) fn up(&self) {
        self.down.store(false, Ordering::SeqCst);
    }

    /// Whether the server is away.
    pub(crate) fn is_down(&self) -> bool {
        self.down.load(Ordering::SeqCst)
    }

    /// Answers 403 to everything, or stops doing so.
    pub(crate) fn deny(&self, on: bool) {
        self.denied.store(on, Ordering::SeqCst);
    }

    /// Whether everything is answered 403.
    pub(crate) fn is_denied(&self) -> bool {
        self.denied.load(Ordering::SeqCst)
    }

    /// Ignores `If-None-Match` and overwrites with 200, or stops doing so.
    pub(crate) fn ignore_conditions(&self, on: bool) {
        self.ignores_conditions.store(on, Ordering::SeqCst);
    }

    /// Whether conditions are ignored.
    pub(crate) fn ignores_conditions(&self) -> bool {
        self.ignores_conditions.load(Ordering::SeqCst)
    }

    /// Answers conditional puts with 501, or stops doing so.
    pub(crate) fn not_implemented_conditions(&self, on: bool) {
        self.lacks_conditions.store(on, Ordering::SeqCst);
    }

    /// How checksums are treated from now on.
    pub(crate) fn checksums(&self, checksums: Checksums) {
        *self.checksums.lock().expect("no holder panics") = checksums;
    }

    /// How checksums are treated.
    pub(super) fn treats_checksums(&self) -> Checksums {
        *self.checksums.lock().expect("no holder panics")
    }

    /// A store that answers 400 `InvalidRequest` to every put (or no more).
    pub(crate) fn refuse_puts(&self, on: bool) {
        self.refuses_puts.store(on, Ordering::SeqCst);
    }

    /// Whether every put is refused.
    pub(super) fn refuses_puts(&self) -> bool {
        self.refuses_puts.load(Ordering::SeqCst)
    }

    /// Whether conditional puts are answered 501.
    pub(crate) fn lacks_conditions(&self) -> bool {
        self.lacks_conditions.load(Ordering::SeqCst)
    }

    /// What has happened so far.
    pub(crate) fn counts(&self) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Ordering::SeqCst);
        Counts {
            requests: read(&self.counters.requests),
            puts: read(&self.counters.puts),
            applied: read(&self.counters.applied),
            replaced: read(&self.counters.replaced),
            refused: read(&self.counters.refused),
            faults: read(&self.counters.faults),
        }
    }

    /// Counts a request.
    pub(super) fn count_request(&self, is_put: bool) {
        bump(&self.counters.requests);
        if is_put {
            bump(&self.counters.puts);
        }
    }

    /// Decides what happens to a request.
    pub(super) fn draw(&self, is_put: bool) -> Option<Fault> {
        if is_put {
            let scripted = self.script.lock().expect("no holder panics").pop_front();
            if let Some(scripted) = scripted {
                return self.counted(scripted);
            }
        }
        let chances = *self.chances.lock().expect("no holder panics");
        if chances.puts_only && !is_put {
            return None;
        }
        let fault = chances.draw(&self.random);
        // A conflict is an answer to a put; another request that draws it goes well.
        self.counted(fault.filter(|fault| is_put || *fault != Fault::Conflict))
    }

    fn counted(&self, fault: Option<Fault>) -> Option<Fault> {
        if fault.is_some() {
            bump(&self.counters.faults);
        }
        fault
    }

    /// Counts a request with a fault by a switch.
    pub(super) fn count_switched(&self) {
        bump(&self.counters.faults);
    }

    /// Counts a put that the store applied.
    pub(super) fn count_applied(&self, replaced: bool) {
        bump(&self.counters.applied);
        if replaced {
            bump(&self.counters.replaced);
        }
    }

    /// Counts a put that the store refused because the object exists.
    pub(super) fn count_refused(&self) {
        bump(&self.counters.refused);
    }
}

fn bump(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::SeqCst);
}
