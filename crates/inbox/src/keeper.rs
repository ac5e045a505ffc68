//! Runs the looks into inboxes: one task for each stream, on schedule and on request.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::definition::After;
use super::looking::{BlockingLook, tidy};
use super::pass::{Looked, Remembered};
use super::plan::FilesPlan;
use super::replay::{RefusedRecord, ReplayedRecord};
use super::report::PassReport;
use super::run::FilesCursor;
use super::shared::{FilesUpdate, KeeperShared};
use super::watch::Watch;
use lakehook_base::clock::Micros;
use lakehook_feeds::context::Context;
use lakehook_feeds::errors::RunError;
use lakehook_feeds::figures::{Figures, Progress, StreamState, Waiting};
use lakehook_feeds::host::RunEnded;
use lakehook_feeds::places::{Place, Places};
use lakehook_feeds::poll::schedule::Schedule;
use lakehook_feeds::wait::FOR_A_PLACE;

/// Requests that wait for a stream.
const MAX_ASKED: usize = 8;
/// The clock may be changed while a task sleeps.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);
const REFUSED_PAUSE: Duration = Duration::from_secs(10);
/// How often it is asked whether an inbox has changed.
const WATCH_PAUSE: Duration = Duration::from_millis(500);
/// Looks that a command makes until every file is complete.
const MAX_LOOKS: u32 = 20;

/// A request for a look.
struct FilesAsked {
    accept: bool,
    updates: mpsc::Sender<FilesUpdate>,
}

/// A question to the task of a stream.
enum FilesQuestion {
    Look(FilesAsked),
    Replay(Vec<RefusedRecord>, oneshot::Sender<Replayed>),
}

/// What became of records, or why that is not known.
type Replayed = Result<Vec<ReplayedRecord>, String>;

/// The tasks of all streams. Cheap to clone.
#[derive(Clone)]
pub struct FilesKeepers {
    shared: Arc<KeeperShared>,
    doors: Arc<BTreeMap<String, mpsc::Sender<FilesQuestion>>>,
}

impl FilesKeepers {
    /// Starts a task for each stream.
    pub(crate) fn start(context: Context, concurrency: usize, plans: Vec<FilesPlan>) -> Self {
        let board = plans
            .iter()
            .map(|plan| (plan.name.clone(), StreamState::default()));
        let shared = Arc::new(KeeperShared {
            board: Mutex::new(board.collect()),
            context,
            places: Places::new(concurrency.max(1)),
            tasks: TaskTracker::new(),
            cancel: CancellationToken::new(),
        });
        let mut doors = BTreeMap::new();
        for plan in plans {
            let (door, asked) = mpsc::channel(MAX_ASKED);
            doors.insert(plan.name.clone(), door);
            let keeper = StreamKeeper {
                shared: Arc::clone(&shared),
                plan: Arc::new(plan),
                known: None,
                cursor: None,
                last_started: None,
                refused_until: None,
                watch: None,
                woken: None,
            };
            shared.tasks.spawn(keeper.keep(asked));
        }
        shared.tasks.close();
        Self {
            shared,
            doors: Arc::new(doors),
        }
    }

    /// Names of all streams.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.doors.keys().map(String::as_str)
    }

    /// State of every stream.
    pub fn figures(&self) -> Figures {
        self.shared.board().clone()
    }

    /// Asks for a look into the inbox of a stream, whose updates the receiver gets. `None` if there is no such
    /// stream, or too many requests wait for it.
    pub(crate) fn ask(&self, stream: &str, accept: bool) -> Option<mpsc::Receiver<FilesUpdate>> {
        let (updates, receiver) = mpsc::channel(4);
        let asked = FilesAsked { accept, updates };
        let question = FilesQuestion::Look(asked);
        self.doors.get(stream)?.try_send(question).ok()?;
        Some(receiver)
    }

    /// Judges refused records of a stream again, and stores those that are valid now; durable once it returns.
    pub async fn replay(
        &self,
        stream: &str,
        records: Vec<RefusedRecord>,
    ) -> Result<Vec<ReplayedRecord>, String> {
        let (answer, receiver) = oneshot::channel();
        let door = self.doors.get(stream);
        let door = door.ok_or_else(|| format!("there is no stream of files {stream:?}"))?;
        let asked = door.send(FilesQuestion::Replay(records, answer)).await;
        let stopping = "the service is stopping";
        asked.map_err(|_| stopping.to_owned())?;
        receiver.await.unwrap_or_else(|_| Err(stopping.to_owned()))
    }

    /// Runs a task that [`Self::stop`] waits for.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.shared.tasks.spawn(task);
    }

    /// Interrupts all looks, and waits until they have ended.
    pub async fn stop(&self) {
        self.shared.cancel.cancel();
        self.shared.tasks.wait().await;
    }
}

/// The task of one stream.
struct StreamKeeper {
    shared: Arc<KeeperShared>,
    plan: Arc<FilesPlan>,
    /// What is remembered; read again after an error.
    known: Option<Remembered>,
    /// What the log remembers, once this task has changed it.
    cursor: Option<FilesCursor>,
    last_started: Option<Micros>,
    /// When a look is tried again, if nothing could be stored.
    refused_until: Option<Micros>,
    /// What tells of changes in the inbox, if it is looked into at intervals.
    watch: Option<Watch>,
    /// When a look is due because of such a change, or of a file that was not complete.
    woken: Option<Micros>,
}

impl StreamKeeper {
    async fn keep(mut self, mut asked: mpsc::Receiver<FilesQuestion>) {
        loop {
            let cancel = self.shared.cancel.clone();
            let asked = tokio::select! {
                () = cancel.cancelled() => return,
                () = self.wait_until_due() => None,
                asked = asked.recv() => match asked {
                    None => return,
                    Some(FilesQuestion::Look(asked)) => Some(asked),
                    Some(FilesQuestion::Replay(records, answer)) => {
                        let _gone = answer.send(self.replay(records).await);
                        continue;
                    }
                },
            };
            tokio::select! {
                () = cancel.cancelled() => return,
                () = self.run(asked) => {}
            }
        }
    }

    async fn wait_until_due(&mut self) {
        let clock = self.shared.context.clock.clone();
        let mut since = clock.now().wall;
        let is_watched = matches!(self.plan.schedule, Schedule::Every(_));
        if self.watch.is_none() && is_watched && self.shared.context.is_service {
            self.watch = self.plan.inbox.watch();
        }
        loop {
            let now = clock.now().wall;
            since = since.min(now);
            let scheduled = self.plan.schedule.next(self.last_started, since);
            let woken = scheduled.map(|at| self.woken.map_or(at, |woken| woken.min(at)));
            let due = self.refused_until.or(woken);
            let due = due.filter(|_| self.shared.context.is_service && scheduled.is_some());
            self.shared
                .note(&self.plan.name, |state| state.next_run = due);
            let Some(due) = due else {
                return std::future::pending().await;
            };
            let left = due.since(now);
            if left.is_zero() {
                return;
            }
            let asks = self.watch.is_some() && self.woken.is_none();
            let most = if asks { WATCH_PAUSE } else { LONGEST_SLEEP };
            tokio::time::sleep(left.min(most)).await;
            if asks && self.watch.as_ref().is_some_and(Watch::has_changed) {
                self.wake_in(self.plan.picking.settle);
            }
        }
    }

    /// Has the next look begin after this time, if it is at intervals and would begin later.
    fn wake_in(&mut self, pause: Duration) {
        if matches!(self.plan.schedule, Schedule::Every(_)) {
            let now = self.shared.context.clock.now().wall;
            self.woken = Some(now.plus(pause));
        }
    }

    async fn run(&mut self, asked: Option<FilesAsked>) {
        let shared = Arc::clone(&self.shared);
        let name = self.plan.name.clone();
        let now = shared.context.clock.now();
        self.refused_until = None;
        self.woken = None;
        let result = match shared.context.host.refusal(now) {
            Some(refusal) => {
                self.refused_until = Some(now.wall.plus(REFUSED_PAUSE));
                Err(RunError::Failed(refusal))
            }
            None => {
                self.last_started = Some(now.wall);
                shared.note(&name, |state| {
                    state.running = Some(Progress::default());
                    state.waiting = None;
                });
                self.looks(asked.as_ref()).await
            }
        };
        self.conclude(&result);
        let took = shared.context.clock.now().mono.saturating_sub(now.mono);
        let Some(asked) = asked else {
            return;
        };
        let mut shipped = true;
        if result.is_ok() {
            shipped = shared.ship(&asked.updates).await;
            if shipped && self.plan.picking.after != After::Keep {
                self.tidy().await;
            }
        }
        let _gone = asked
            .updates
            .send(FilesUpdate::Done(result, took, shipped))
            .await;
    }

    /// Looks once, or for a command as often as it takes until every file is complete.
    async fn looks(&mut self, asked: Option<&FilesAsked>) -> Result<PassReport, RunError> {
        let mut report = PassReport::default();
        for _ in 0..MAX_LOOKS {
            let looked = self.look(asked).await?;
            let left = looked.settles_in.filter(|_| asked.is_some());
            add(&mut report, looked.report);
            let Some(left) = left else {
                // A service comes again when it is complete.
                if let Some(left) = looked.settles_in {
                    self.wake_in(left);
                }
                break;
            };
            let what = "files that are still being written";
            let until = self.shared.context.clock.now().wall.plus(left);
            if let Some(asked) = asked {
                let waiting = FilesUpdate::Waiting(Waiting::until(what, until));
                let _missed = asked.updates.try_send(waiting);
            }
            tokio::time::sleep(left).await;
        }
        Ok(report)
    }

    async fn look(&mut self, asked: Option<&FilesAsked>) -> Result<Looked, RunError> {
        let place = self.place().await;
        let look = BlockingLook {
            shared: Arc::clone(&self.shared),
            plan: Arc::clone(&self.plan),
            accept: asked.is_some_and(|asked| asked.accept),
            updates: asked.map(|asked| asked.updates.clone()),
        };
        let (known, cursor) = (self.known.take(), self.cursor.clone());
        let runtime = Handle::current();
        let tasks = self.shared.tasks.clone();
        let looking = tasks.spawn_blocking(move || look.run(runtime, place, known, cursor));
        let ended = looking.await;
        let (result, known) =
            ended.map_err(|error| RunError::Failed(format!("the look broke off: {error}")))?;
        self.cursor = known
            .as_ref()
            .map(|known| known.cursor.clone())
            .or(self.cursor.take());
        // After an error all is read again: the log decides what counts.
        self.known = known.filter(|_| result.is_ok());
        result
    }

    /// Waits for a place, which is shown meanwhile.
    async fn place(&self) -> Place {
        match self.shared.places.try_take() {
            Some(place) => place,
            None => {
                let waiting = Waiting::for_something(FOR_A_PLACE);
                self.shared
                    .note(&self.plan.name, |state| state.waiting = Some(waiting));
                let place = self.shared.places.take().await;
                self.shared
                    .note(&self.plan.name, |state| state.waiting = None);
                place
            }
        }
    }

    async fn replay(&mut self, records: Vec<RefusedRecord>) -> Replayed {
        if !self.plan.keeps_ids() {
            return Err(
                "nothing can be added to a snapshot, or to a file that another one may replace; mend the file"
                    .to_owned(),
            );
        }
        if let Some(why) = self
            .shared
            .context
            .host
            .refusal(self.shared.context.clock.now())
        {
            return Err(why);
        }
        let place = self.place().await;
        let look = BlockingLook {
            shared: Arc::clone(&self.shared),
            plan: Arc::clone(&self.plan),
            accept: false,
            updates: None,
        };
        let (known, cursor) = (self.known.take(), self.cursor.clone());
        let runtime = Handle::current();
        let tasks = self.shared.tasks.clone();
        let replaying =
            tasks.spawn_blocking(move || look.replay(runtime, place, known, cursor, &records));
        let (result, known) = replaying.await.map_err(|error| error.to_string())?;
        self.cursor = known
            .as_ref()
            .map(|known| known.cursor.clone())
            .or(self.cursor.take());
        self.known = known.filter(|_| result.is_ok());
        result.map_err(|error| error.to_string())
    }

    async fn tidy(&mut self) {
        let Some(known) = self.known.take() else {
            return;
        };
        let plan = Arc::clone(&self.plan);
        let tidying = tokio::task::spawn_blocking(move || {
            tidy(&plan, &known.ledger);
            known
        });
        self.known = tidying.await.ok();
    }

    /// Reports how a look ended: to the log, the metrics and the figures.
    fn conclude(&self, result: &Result<PassReport, RunError>) {
        let (name, context) = (&self.plan.name, &self.shared.context);
        let now = context.clock.now().wall;
        match result {
            Ok(report) => {
                self.tell(report);
                let ended = RunEnded::Well {
                    unchanged: report.runs.is_empty(),
                    records: report.counts.lines,
                    quarantined: report.counts.quarantined,
                    at: now,
                };
                context.host.count_run(name, ended);
                self.show(report, now);
            }
            Err(error) => {
                let is_failure = !matches!(error, RunError::Cancelled);
                if is_failure {
                    if context.is_service {
                        tracing::error!(stream = name, %error, "a look into an inbox failed; no partial file is visible");
                    }
                    context.host.count_run(name, RunEnded::Failed);
                }
                self.shared.note(name, |state| {
                    if is_failure {
                        state.last_error = Some((now, error.to_string()));
                    }
                    state.running = None;
                    state.waiting = None;
                });
            }
        }
    }

    /// Writes what a look has found into the program's own log.
    fn tell(&self, report: &PassReport) {
        let (name, is_service) = (&self.plan.name, self.shared.context.is_service);
        if report.is_news() {
            tracing::info!(
                stream = name,
                files = report.files,
                failed = report.failed_total,
                rows = report.counts.rows,
                repeats = report.counts.repeats,
                quarantined = report.counts.quarantined,
                "files taken"
            );
        }
        for failed in report.failed.iter().filter(|_| is_service) {
            tracing::error!(
                stream = name,
                file = failed.name,
                why = failed.why,
                "a file failed"
            );
        }
    }

    fn show(&self, report: &PassReport, now: Micros) {
        self.shared.note(&self.plan.name, |state| {
            let run = report.runs.last().cloned().unwrap_or_default();
            if report.is_news() || state.last_success.is_none() {
                state.last_success = Some((now, run, report.counts.lines));
            }
            let failed = report.failed.first();
            let failed = failed.map(|failed| (now, format!("{}: {}", failed.name, failed.why)));
            let before = state.last_error.take().filter(|_| report.runs.is_empty());
            state.last_error = failed.or(before);
            state.running = None;
            state.waiting = None;
        });
    }
}

fn add(report: &mut PassReport, more: PassReport) {
    let before = std::mem::take(report);
    *report = more;
    report.runs = [before.runs, std::mem::take(&mut report.runs)].concat();
    report.files += before.files;
    report.failed = [before.failed, std::mem::take(&mut report.failed)].concat();
    report.failed_total += before.failed_total;
    report.counts.add(&before.counts);
    if report.samples.is_empty() {
        report.samples = before.samples;
    }
    for (column, count) in before.nulls {
        *report.nulls.entry(column).or_default() += count;
    }
}
