//! The model of `lakehook wal cost` beside a real log on an engine in memory: how many appends there are.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lakehook::cli::wal::cost::model::appends_per_second;
use lakehook::clock::{Clock, Micros};
use lakehook::ids::Ids;
use lakehook::record::{Identity, NO_RUN, Origin, RowKind, Rows};
use lakehook::wal::helper::Background;
use lakehook::wal::journal::replica::engine::{Engine, EngineError, Item, PutVerdict};
use lakehook::wal::journal::replica::owner::ReplicaJournal;
use lakehook::wal::recover::{self, ReplicaStart};
use lakehook::wal::request::{Append, Request};
use lakehook::wal::writer::Writer;

use crate::chance::Chance;
use crate::disk::SimDisk;
use crate::engine::{SimEngine, give_up};
use crate::shape::Shape;

/// How many requests a log gets at least, so that chance makes little difference.
const REQUESTS: f64 = 4000.0;
/// The log notes after this long that nothing is under way.
const IDLE: Duration = Duration::from_secs(1);
type Owner = Writer<ReplicaJournal<Paced, SimDisk>, SimDisk>;

const DIR: &str = "/data/wal";

/// An engine whose puts take time, and that counts the frames.
#[derive(Clone)]
struct Paced {
    engine: SimEngine,
    clock: Clock,
    takes: Duration,
    frames: Arc<AtomicU64>,
}

impl Engine for Paced {
    fn put_new(&self, item: Item<'_>, bytes: &[u8]) -> Result<PutVerdict, EngineError> {
        if let Item::Frame(_) = item {
            self.frames.fetch_add(1, Ordering::Relaxed);
            self.clock.advance(self.takes);
        }
        self.engine.put_new(item, bytes)
    }

    fn read(&self, item: Item<'_>) -> Result<Option<Vec<u8>>, EngineError> {
        self.engine.read(item)
    }

    fn frames(&self, first: u64) -> Result<Vec<u64>, EngineError> {
        self.engine.frames(first)
    }

    fn files(&self) -> Result<Vec<String>, EngineError> {
        self.engine.files()
    }

    fn delete(&self, item: Item<'_>) -> Result<(), EngineError> {
        self.engine.delete(item)
    }

    fn name(&self) -> String {
        self.engine.name()
    }
}

fn event(id: u64, now: Micros) -> Request {
    let mut rows = Rows::default();
    let partition = rows.partition("events/dt=2026-11-20");
    rows.bytes.extend_from_slice(b"{\"id\":1}");
    let identity = Identity {
        tag: (id + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15),
        content: 0,
    };
    rows.finish_row(1, partition, RowKind::Record(identity));
    Request::Append(Box::new(Append {
        rows,
        dropped: 0,
        origin: Origin {
            received_at: now,
            endpoint: "/webhook/events".into(),
            request_id: "r".into(),
            client: None,
        },
        run: NO_RUN,
        cursor: None,
    }))
}

/// The times at which so many requests a second come, at random.
fn arrivals(rate: f64) -> impl Iterator<Item = Duration> {
    let mut draw = Chance::new(7);
    let mut at = 0.0;
    std::iter::from_fn(move || {
        #[allow(clippy::cast_precision_loss, reason = "a share of a million")]
        let share = (draw.below(1_000_000) as f64 + 0.5) / 1e6;
        at -= share.ln() / rate;
        // As fine as the clock.
        let micros = Duration::from_secs_f64(at).as_micros();
        Some(Duration::from_micros(u64::try_from(micros).unwrap()))
    })
}

const START: Micros = Micros(1_795_176_000_000_000);

/// A real log in an engine, which never seals meanwhile.
fn open(engine: &Paced, clock: &Clock, interval: Duration, watched: Duration) -> Owner {
    let disk = SimDisk::new(1);
    let mut settings = Shape::small(false).settings;
    settings.segment_bytes = 64 << 20;
    settings.max_bytes = 1 << 30;
    settings.dedup_window = 1 << 20;
    settings.limits.max_records = 1 << 30;
    settings.limits.max_bytes = 1 << 30;
    settings.limits.max_age = 2 * watched;
    settings.limits.late_max_age = 2 * watched;
    let begin = ReplicaStart {
        keep_trying: give_up(),
        background: Background::Inline,
        owner: "a test".to_owned(),
        interval,
        known: (0, 0),
        over: None,
    };
    let dir = Path::new(DIR);
    let (ids, trying) = (Ids::System, begin.keep_trying.clone());
    let place = (&disk, dir);
    let node = recover::identify(engine, place, &ids, &trying, &mut |_| Ok(())).unwrap();
    let found = recover::find_replica(engine.clone(), place, node.id, (&settings, &ids), begin);
    let effects = (clock.clone(), Ids::System);
    let background = Background::Inline;
    let found = found.unwrap();
    let opened = recover::open_journal(found, disk, dir, node, settings, effects, background);
    opened.unwrap().0
}

/// Appends that a real log makes, a second.
fn measured(rate: f64, interval: Duration, takes: Duration) -> f64 {
    let watched = Duration::from_secs_f64(REQUESTS / rate);
    let clock = Clock::manual(START);
    let engine = Paced {
        engine: SimEngine::new(SimDisk::new(2), 1),
        clock: clock.clone(),
        takes,
        frames: Arc::default(),
    };
    let mut writer = open(&engine, &clock, interval, watched);
    let began = engine.frames.load(Ordering::Relaxed);
    let mut coming = arrivals(rate).enumerate().peekable();
    let mut waiting = VecDeque::new();
    let (mut idle_since, mut is_noted) = (clock.mono(), false);
    // What the thread of a log does, by a clock that stands still in between.
    while clock.mono() < watched {
        if !waiting.is_empty() {
            clock.advance(writer.pause());
        }
        while let Some((number, _)) = coming.next_if(|(_, at)| *at <= clock.mono()) {
            waiting.push_back((event(number as u64, START), ()));
        }
        if !waiting.is_empty() {
            if writer.pause().is_zero() {
                let turn = writer.turn(&mut waiting);
                assert!(turn.replies.iter().all(|((), reply)| reply.is_ok()));
                (idle_since, is_noted) = (clock.mono(), false);
            }
            continue;
        }
        let next = coming.peek().unwrap().1;
        if !is_noted && next > idle_since + IDLE {
            clock.advance((idle_since + IDLE).saturating_sub(clock.mono()));
            writer.close().unwrap();
            is_noted = true;
        } else {
            clock.advance(next.saturating_sub(clock.mono()));
        }
    }
    #[allow(clippy::cast_precision_loss, reason = "some thousands")]
    let frames = (engine.frames.load(Ordering::Relaxed) - began) as f64;
    frames / clock.mono().as_secs_f64()
}

#[test]
fn the_model_of_cost_counts_the_appends_of_a_real_log() {
    let millis = Duration::from_millis;
    for (interval, takes) in [(250, 150), (250, 400), (0, 10)] {
        for rate in [0.2, 1.0, 5.0, 40.0, 300.0] {
            let cycle = millis(interval).max(millis(takes));
            let seconds = millis(takes).as_secs_f64();
            let model = appends_per_second(rate, seconds, cycle.as_secs_f64());
            let real = measured(rate, millis(interval), millis(takes));
            let off = (model - real).abs() / real;
            println!(
                "{rate} requests/s, {interval} and {takes} ms: {real:.2} appends/s, the model says {model:.2}"
            );
            assert!(
                off < 0.06,
                "{rate}, {interval}, {takes}: {real} and not {model}"
            );
        }
    }
}
