//! What all views share.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::{OnceCell, Semaphore};
use tokio_util::sync::CancellationToken;

use super::history::{EVERY, History, Sample, SourceTotals};
use super::jobs::Job;
use super::readings::{Beside, Readings};
use super::sessions::Sessions;
use super::settings::ConsoleSettings;
use crate::audit::whole::Whole;
use crate::contract::Rules;
use crate::feeds::figures::Figures;
use crate::find::Search;
use crate::ids::Ids;
use crate::lake::calendar::StreamDays;
use crate::lake::reader::LakeReader;
use crate::lake::stamp::Stamp;
use crate::metrics::{EVENTS_SOURCE, Reading};
use crate::receive::App;
use crate::receive::sample::SampleEvent;
use crate::replay::index::QuarantineIndex;
use crate::replay::kept::Kept;
use crate::replay::{HookJudge, ReplaySummary};

/// So many pages are live at a time; others are still without that.
const MAX_LIVE: usize = 16;

/// So many rows of the quarantine are kept that somebody has looked at. Each has at most a few MiB.
const MAX_ROWS: usize = 8;
/// The same of objects of the lake, of which only the first rows are kept.
const MAX_OBJECTS: usize = 8;

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
    /// Makes the statements by which engines read the lake.
    pub statements: MakeStatements,
    /// The source of randomness.
    pub ids: Ids,
}

/// Rows of the quarantine: LSNs, sorted, by the keys of their objects.
pub type WantedRows = BTreeMap<String, Vec<u64>>;
/// Told how many rows are done, and how many there are.
pub type ReplayStep = Box<dyn Fn(usize, usize) + Send + Sync>;
/// Replays rows.
pub type ReplayRows = Box<dyn Fn(WantedRows, ReplayStep) -> Replaying + Send + Sync>;
/// What was replayed, once it is; the error says why not.
pub type Replaying = Pin<Box<dyn Future<Output = Result<ReplaySummary, String>> + Send>>;

/// Statements, by the name of the engine.
pub type Statements = Vec<(&'static str, String)>;
/// Makes them; the error says why not.
pub type MakeStatements = Box<dyn Fn() -> MakingStatements + Send + Sync>;
/// The statements, once they are made.
pub type MakingStatements = Pin<Box<dyn Future<Output = Result<Statements, String>> + Send>>;

/// Files of a kind in the directory of a log: how many, and their bytes.
pub(super) type LogFiles = BTreeMap<&'static str, (u64, u64)>;

/// What is shown of an object of the lake.
pub(super) struct ShownObject {
    pub(super) bytes: u64,
    pub(super) stamp: Result<Stamp, String>,
    /// Its first rows, as JSON; none if it is too large.
    pub(super) rows: Option<Vec<String>>,
}

/// What runs beside the webhooks: polls and calls.
pub struct ConsoleFeeds {
    /// The state of each stream.
    pub figures: Box<dyn Fn() -> Figures + Send + Sync>,
    /// Asks for a run of a poll; `false` if it cannot be asked.
    pub run: Box<dyn Fn(&str) -> bool + Send + Sync>,
}

/// What was read of the lake and of files, for those who look next.
pub(super) struct Known {
    /// What the quarantine holds.
    pub(super) quarantine: Arc<Readings<(), QuarantineIndex>>,
    /// Rows of it, by object and LSN.
    pub(super) rows: Arc<Readings<(String, u64), Option<Kept>>>,
    /// What the lake holds, day by day.
    pub(super) calendar: Arc<Readings<(), Vec<StreamDays>>>,
    /// Objects that somebody has looked at, by key.
    pub(super) objects: Arc<Readings<String, Option<ShownObject>>>,
    /// Events that somebody has looked for, by id.
    pub(super) found: Arc<Readings<String, Search>>,
    /// The statements for engines.
    pub(super) queries: Arc<Readings<(), Statements>>,
    /// The files of the log.
    pub(super) log_files: Arc<Readings<(), LogFiles>>,
}

impl Default for Known {
    fn default() -> Self {
        Self {
            quarantine: Readings::new(1),
            rows: Readings::new(MAX_ROWS),
            calendar: Readings::new(1),
            objects: Readings::new(MAX_OBJECTS),
            found: Readings::new(MAX_OBJECTS),
            queries: Readings::new(1),
            log_files: Readings::new(1),
        }
    }
}

/// The lake, which is opened when somebody first looks into it.
struct LazyLake {
    open: OpenLake,
    place: OnceCell<LakeReader>,
}

/// Work that somebody asked for.
#[derive(Default)]
pub(super) struct Jobs {
    /// The last audit.
    pub(super) audit: Job<Whole>,
    /// The last replay, …
    pub(super) replay: Job<ReplaySummary>,
    /// … and what does it, once the log is open.
    pub(super) replay_rows: OnceLock<ReplayRows>,
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
    pub(super) feeds: OnceLock<ConsoleFeeds>,
    lake: LazyLake,
    pub(super) hooks: HookJudge,
    pub(super) statements: MakeStatements,
    pub(super) known: Known,
    pub(super) jobs: Jobs,
    pub(super) ids: Ids,
}

impl Console {
    /// An event that the contract takes.
    pub(super) fn sample_event(&self) -> SampleEvent {
        let core = self.app.core.get();
        let of = |list: fn(&Rules) -> &Vec<String>| {
            core.map(|core| list(core.contract.rules()).clone())
                .unwrap_or_default()
        };
        let types = of(|rules| &rules.types);
        let dropped = of(|rules| &rules.drop);
        let sources = of(|rules| &rules.sources);
        SampleEvent::new(self.settings.is_open, &types, &dropped, &sources)
    }

    /// Makes a console for a service.
    pub fn new(parts: ConsoleParts) -> std::io::Result<Self> {
        let ConsoleParts {
            app,
            settings,
            open_lake,
            hooks: hook_judge,
            statements,
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
            feeds: OnceLock::new(),
            lake: LazyLake {
                open: open_lake,
                place: OnceCell::new(),
            },
            hooks: hook_judge,
            statements,
            known: Known::default(),
            jobs: Jobs::default(),
            ids,
        })
    }

    /// Says what runs beside the webhooks, once that is started.
    pub fn set_feeds(&self, feeds: ConsoleFeeds) {
        let _set_before = self.feeds.set(feeds);
    }

    /// Says what replays rows, once the log is open.
    pub fn set_replays(&self, replay: ReplayRows) {
        let _set_before = self.jobs.replay_rows.set(replay);
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
        let LazyLake { open, place } = &self.lake;
        place.get_or_init(open).await
    }

    /// The state at this moment.
    pub(super) fn sample(&self) -> Sample {
        let reading = self.app.metrics.read();
        let now = self.app.clock.now();
        let mut sample = Sample {
            at: now.mono,
            received: total(&reading, "lakehook_events_received_total"),
            landed: total(&reading, "lakehook_lake_rows_total"),
            forwarded: total_of_all(&reading, "lakehook_cluster_forwarded_total"),
            not_forwarded: total_of_all(&reading, "lakehook_cluster_forward_errors_total"),
            sources: self
                .sources
                .iter()
                .map(|source| totals_of(&reading, source))
                .collect(),
            ..Sample::default()
        };
        if let Some(core) = self.app.core.get() {
            let figures = core.logs.figures();
            // Each of several logs has its own limit.
            sample.log_bytes = figures.fullest_bytes;
            sample.lag_seconds = now.wall.since(figures.oldest_received).as_secs_f64();
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

/// A counter as a whole number, over all its labels.
#[allow(clippy::cast_sign_loss, reason = "as above")]
pub(super) fn total_of_all(reading: &Reading, name: &str) -> u64 {
    reading.of_all_labels(name) as u64
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
