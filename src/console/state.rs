//! What all views share.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use metrics::Gauge;
use tokio::sync::{OnceCell, Semaphore};
use tokio_util::sync::CancellationToken;

use super::history::{EVERY, History, Sample, SourceTotals};
use super::readings::{Beside, Readings};
use super::sessions::Sessions;
use super::settings::ConsoleSettings;
use crate::clock::Micros;
use crate::ids::Ids;
use crate::lake::reader::LakeReader;
use crate::metrics::{EVENTS_SOURCE, Reading};
use crate::receive::App;
use crate::replay::HookJudge;
use crate::replay::index::QuarantineIndex;
use crate::replay::kept::Kept;

/// So many pages are live at a time; others are still without that.
const MAX_LIVE: usize = 16;

/// So many rows of the quarantine are kept that somebody has looked at. Each has at most a few MiB.
const MAX_ROWS: usize = 8;

/// Opens the lake for reading.
pub type OpenLake = Box<dyn Fn() -> OpeningLake + Send + Sync>;
/// The lake, once it is open.
pub type OpeningLake = Pin<Box<dyn Future<Output = LakeReader> + Send>>;

/// What a console is made of.
pub struct ConsoleParts {
    /// The state of the HTTP handlers.
    pub app: Arc<App>,
    /// What the configuration says.
    pub settings: ConsoleSettings,
    /// Opens the lake, the first time that somebody looks into it.
    pub open_lake: OpenLake,
    /// Judges rows of the quarantine that came from hooks.
    pub hooks: HookJudge,
    /// The source of randomness.
    pub ids: Ids,
}

/// The state of a console.
pub struct Console {
    pub(super) app: Arc<App>,
    pub(super) settings: ConsoleSettings,
    pub(super) sessions: Sessions,
    pub(super) history: History,
    /// The names of what sends, that of the webhook for events first.
    pub(super) sources: Vec<Arc<str>>,
    /// Places for pages that are live.
    pub(super) live: Arc<Semaphore>,
    /// What reads beside the pages; its token is cancelled when the service stops.
    pub(super) beside: Beside,
    open_lake: OpenLake,
    lake: OnceCell<LakeReader>,
    pub(super) hooks: HookJudge,
    /// What the quarantine holds.
    pub(super) quarantine: Arc<Readings<(), QuarantineIndex>>,
    /// Rows of it, by object and LSN.
    pub(super) rows: Arc<Readings<(String, u64), Option<Kept>>>,
    pub(super) ids: Ids,
    /// Connections of people are not among those of the metrics.
    pub(super) connections: Gauge,
}

impl Console {
    /// Makes a console for a service.
    pub fn new(parts: ConsoleParts) -> std::io::Result<Self> {
        let ConsoleParts {
            app,
            settings,
            open_lake,
            hooks: hook_judge,
            ids,
        } = parts;
        let hooks = app.settings.hooks.iter().map(|hook| Arc::clone(&hook.name));
        let hooks: BTreeSet<Arc<str>> = hooks.collect();
        let sources = std::iter::once(Arc::from(EVENTS_SOURCE)).chain(hooks);
        Ok(Self {
            sources: sources.collect(),
            app,
            settings,
            sessions: Sessions::new(ids.next_u128()?),
            history: History::default(),
            live: Arc::new(Semaphore::new(MAX_LIVE)),
            beside: Beside::default(),
            open_lake,
            lake: OnceCell::new(),
            hooks: hook_judge,
            quarantine: Readings::new(1),
            rows: Readings::new(MAX_ROWS),
            ids,
            connections: Gauge::noop(),
        })
    }

    /// Takes a sample now and then until `stop` is cancelled.
    pub async fn keep_history(self: Arc<Self>, stop: CancellationToken) {
        let mut interval = tokio::time::interval(EVERY);
        loop {
            tokio::select! {
                _ = interval.tick() => self.history.push(self.sample()),
                () = stop.cancelled() => return,
            }
        }
    }

    /// Ends what is live and what is read, so that connections can end.
    pub async fn close(&self) {
        self.beside.closing.cancel();
        self.beside.tasks.close();
        self.beside.tasks.wait().await;
    }

    /// The lake, opened when somebody first looks into it.
    pub(super) async fn lake(&self) -> &LakeReader {
        self.lake.get_or_init(|| (self.open_lake)()).await
    }

    /// The state at this moment.
    pub(super) fn sample(&self) -> Sample {
        let reading = self.app.metrics.read();
        let now = self.app.clock.now();
        let mut sample = Sample {
            at: now.mono,
            received: total(&reading, "lakehook_events_received_total"),
            landed: total(&reading, "lakehook_lake_rows_total"),
            sources: self
                .sources
                .iter()
                .map(|source| totals_of(&reading, source))
                .collect(),
            ..Sample::default()
        };
        if let Some(core) = self.app.core.get() {
            let gauges = core.log.gauges();
            sample.log_bytes = gauges.used_bytes.load(Ordering::Relaxed);
            let oldest = Micros(gauges.oldest_received.load(Ordering::Relaxed));
            sample.lag_seconds = now.wall.since(oldest).as_secs_f64();
        }
        sample
    }

    /// Time since the start, by the clock that never goes back.
    pub(super) fn mono(&self) -> Duration {
        self.app.clock.now().mono
    }
}

/// A counter as a whole number.
#[allow(
    clippy::cast_sign_loss,
    reason = "counters are not negative; conversion from a float saturates"
)]
pub(super) fn total(reading: &Reading, name: &str) -> u64 {
    reading.of_metric(name) as u64
}

/// A counter with labels as a whole number.
#[allow(clippy::cast_sign_loss, reason = "as above")]
pub(super) fn total_of(reading: &Reading, name: &str, labels: &[(&str, &str)]) -> u64 {
    reading.of_labels(name, labels) as u64
}

fn totals_of(reading: &Reading, source: &str) -> SourceTotals {
    let events = ["accepted", "dropped", "duplicate", "quarantined"].map(|outcome| {
        let labels = [("source", source), ("outcome", outcome)];
        total_of(reading, "lakehook_source_events_total", &labels)
    });
    let refused = ["4xx", "5xx"].map(|status| {
        let labels = [("source", source), ("status", status)];
        total_of(reading, "lakehook_source_requests_total", &labels)
    });
    SourceTotals {
        events: events.iter().sum(),
        refused: refused.iter().sum(),
    }
}
