//! Supervises the polls: one task for each waits until the poll is due, or until a run is
//! requested, and runs it. So no poll ever runs twice at once.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::asked::{Asked, Question, Shipped, Update, Wish};
use super::definition::Mode;
use super::job::{Job, RunOutcome, RunReport};
use super::plan::Plan;
use super::resume::PollCursor;
use super::run::run;
use super::state::{self, Change, State};
use crate::context::Context;
use crate::errors::RunError;
use crate::figures::{Figures, Progress, StreamState, Waiting};
use crate::host::RunEnded;
use crate::places::{Place, Places};
use crate::wait::{FOR_A_PLACE, Waiter};
use lakehook_base::clock::Micros;

/// Most requests that wait for one poll.
const MAX_ASKING: usize = 8;
/// Longest sleep: clocks are adjusted now and then, so the time is checked again after it.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);
/// A request for a run waits at least this long until the rows are in the lake; longer if the run's
/// budget is longer.
const MIN_SHIP_LIMIT: Duration = Duration::from_secs(30);
/// Pause between two reports of what is not in the lake yet.
const SHIP_NEWS: Duration = Duration::from_secs(2);
/// Pause before a due run is tried again while nothing can be stored.
const REFUSED_PAUSE: Duration = Duration::from_secs(30);
const SHIP_STEP: Duration = Duration::from_millis(50);

/// All polls and their tasks; cheap to clone.
#[derive(Clone)]
pub struct Supervisor {
    shared: Arc<Shared>,
    doors: Arc<BTreeMap<String, mpsc::Sender<Question>>>,
    parents: Arc<BTreeMap<String, String>>,
}

struct Shared {
    context: Context,
    places: Places,
    board: Mutex<Figures>,
    cancel: CancellationToken,
    tasks: TaskTracker,
}

impl Supervisor {
    /// Starts the tasks, of which at most `concurrency` run at a time; each poll comes with its
    /// cursor. Must be called in a runtime.
    pub fn start(context: Context, concurrency: usize, polls: Vec<(Plan, PollCursor)>) -> Self {
        let board = polls.iter().map(|(plan, cursor)| {
            let success = cursor.last_started();
            let snapshot = cursor.snapshot.as_ref();
            let (run, records) = snapshot.map_or((String::new(), 0), |snapshot| {
                (snapshot.run.clone(), snapshot.records)
            });
            let state = StreamState {
                last_success: success.map(|at| (at, run, records)),
                ..StreamState::default()
            };
            (plan.name.clone(), state)
        });
        let shared = Arc::new(Shared {
            places: Places::new(concurrency),
            board: Mutex::new(board.collect()),
            context,
            cancel: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        let parents = polls.iter().filter_map(|(plan, _)| {
            let each = plan.division.each.as_ref()?;
            Some((plan.name.clone(), each.of.clone()))
        });
        let parents = parents.collect();
        let mut doors = BTreeMap::new();
        for (plan, cursor) in polls {
            let (door, asked) = mpsc::channel(MAX_ASKING);
            doors.insert(plan.name.clone(), door);
            let keeper = Keeper {
                shared: Arc::clone(&shared),
                plan: Arc::new(plan),
                cursor,
                last_started: None,
                refused_until: None,
            };
            shared.tasks.spawn(keeper.keep(asked));
        }
        shared.tasks.close();
        Self {
            shared,
            doors: Arc::new(doors),
            parents: Arc::new(parents),
        }
    }

    /// Names of all polls, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.doors.keys().map(String::as_str)
    }

    /// Name of the poll for whose records this one reads.
    pub fn parent_of(&self, poll: &str) -> Option<&str> {
        self.parents.get(poll).map(String::as_str)
    }

    /// State of each poll.
    pub fn figures(&self) -> Figures {
        self.shared.board().clone()
    }

    /// Requests a run, which begins once the current one has ended. `None` if there is no such
    /// poll, or too many requests wait for it.
    pub fn ask(&self, poll: &str, wish: Wish) -> Option<mpsc::Receiver<Update>> {
        let (updates, receiver) = mpsc::channel(4);
        let asked = Asked { wish, updates };
        self.doors.get(poll)?.try_send(Question::Run(asked)).ok()?;
        Some(receiver)
    }

    /// Shows or changes what a poll remembers, once its current run has ended. `None` if there is no
    /// such poll, or too many requests wait for it.
    pub fn ask_state(
        &self,
        poll: &str,
        change: Change,
    ) -> Option<oneshot::Receiver<Result<State, String>>> {
        let (answer, receiver) = oneshot::channel();
        let question = Question::State(change, answer);
        self.doors.get(poll)?.try_send(question).ok()?;
        Some(receiver)
    }

    /// Runs a task that ends when the polls are stopped: [`Self::stop`] waits for it.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.shared.tasks.spawn(task);
    }

    /// Interrupts all runs, and waits until they have ended.
    pub async fn stop(&self) {
        self.shared.cancel.cancel();
        self.shared.tasks.wait().await;
    }
}

impl Shared {
    fn board(&self) -> MutexGuard<'_, Figures> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, poll: &str, change: impl FnOnce(&mut StreamState)) {
        if let Some(state) = self.board().get_mut(poll) {
            change(state);
        }
    }

    /// Waits until all that was stored is in the lake, and reports what is left.
    async fn ship(&self, mode: Mode, limit: Duration, updates: &mpsc::Sender<Update>) -> Shipped {
        let log = self.context.log.clone();
        let is_done = async {
            if mode == Mode::Append {
                let flushing = log.clone();
                let _closed = tokio::task::spawn_blocking(move || flushing.flush()).await;
            }
            let mut news_at = self.context.clock.now().mono + SHIP_NEWS;
            loop {
                let gauges = log.gauges();
                let seals = gauges.waiting_seals.load(Ordering::Acquire);
                let runs = gauges.unpublished_runs.load(Ordering::Acquire);
                if seals == 0 && runs == 0 {
                    return;
                }
                let now = self.context.clock.now().mono;
                if now >= news_at {
                    news_at = now + SHIP_NEWS;
                    let _missed = updates.try_send(Update::Shipping(seals + runs));
                }
                tokio::time::sleep(SHIP_STEP).await;
            }
        };
        let began = self.context.clock.now().mono;
        tokio::select! {
            () = is_done => Shipped::Yes,
            () = tokio::time::sleep(limit) => Shipped::NotWithin(limit),
            () = self.cancel.cancelled() => {
                Shipped::NotWithin(self.context.clock.now().mono.saturating_sub(began))
            }
        }
    }
}

/// Shows what a run waits for, and tells the client that requested it.
fn watcher(
    shared: &Arc<Shared>,
    poll: &str,
    updates: Option<mpsc::Sender<Update>>,
) -> crate::wait::Watcher {
    let (shared, poll) = (Arc::clone(shared), poll.to_owned());
    Arc::new(move |waiting: Option<&Waiting>| {
        shared.note(&poll, |state| state.waiting = waiting.cloned());
        if let (Some(updates), Some(waiting)) = (&updates, waiting) {
            // A slow client misses some updates.
            let _missed = updates.try_send(Update::Waiting(waiting.clone()));
        }
    })
}

/// The task of one poll.
struct Keeper {
    shared: Arc<Shared>,
    plan: Arc<Plan>,
    cursor: PollCursor,
    /// Start of the last run, whatever its outcome.
    last_started: Option<Micros>,
    /// When a due run is tried again, if nothing could be stored.
    refused_until: Option<Micros>,
}

impl Keeper {
    async fn keep(mut self, mut asked: mpsc::Receiver<Question>) {
        self.last_started = self.cursor.last_started();
        loop {
            let jitter = self.jitter();
            let cancel = self.shared.cancel.clone();
            let asked = tokio::select! {
                () = cancel.cancelled() => return,
                () = self.wait_until_due(jitter) => None,
                asked = asked.recv() => match asked {
                    None => return,
                    Some(Question::Run(asked)) => Some(asked),
                    Some(Question::State(change, answer)) => {
                        let _gone = answer.send(self.remember(&change).await);
                        continue;
                    }
                },
            };
            let place = tokio::select! {
                () = cancel.cancelled() => return,
                place = self.place() => place,
            };
            self.run(asked, place).await;
        }
    }

    /// Shows what is remembered, and changes it durably before that.
    async fn remember(&mut self, change: &Change) -> Result<State, String> {
        let mut next = self.cursor.clone();
        state::change(&self.plan, &mut next, change)?;
        let context = &self.shared.context;
        let now = context.clock.now().wall;
        if *change != Change::Show {
            state::store(&context.log, &self.plan.name, &next, now).await?;
            self.cursor = next;
        }
        Ok(state::shown(&self.cursor, self.plan.client.held_until(now)))
    }

    /// Waits for a place, which is shown meanwhile.
    async fn place(&self) -> Place {
        let places = &self.shared.places;
        if let Some(place) = places.try_take() {
            return place;
        }
        let waiting = Some(Waiting::for_something(FOR_A_PLACE));
        self.note_waiting(waiting);
        let place = places.take().await;
        self.note_waiting(None);
        place
    }

    fn note_waiting(&self, waiting: Option<Waiting>) {
        self.shared
            .note(&self.plan.name, |state| state.waiting = waiting);
    }

    /// Random delay of the next run after its scheduled time.
    fn jitter(&self) -> Duration {
        let dice = self.shared.context.ids.dice();
        self.plan.jitter * u32::try_from(dice % 1000).unwrap_or(0) / 1000
    }

    /// Time at which the next run is due.
    fn due(&self, now: Micros, jitter: Duration) -> Option<Micros> {
        if !self.shared.context.is_service {
            return None;
        }
        if let Some(at) = self.refused_until {
            return Some(at);
        }
        let due = self.plan.schedule.next(self.last_started, now)?;
        // A run that was missed begins at once.
        let due = if due > now { due.plus(jitter) } else { due };
        let held_until = self.plan.client.held_until(now);
        Some(held_until.map_or(due, |until| due.max(until)))
    }

    /// Shows until when the API wants to be left alone, if that is why the next run is not earlier.
    fn show_hold(&self, now: Micros, due: Option<Micros>) {
        let until = self.plan.client.held_until(now);
        let until = until.filter(|until| due.is_some_and(|due| due <= *until));
        self.note_waiting(
            until.map(|until| Waiting::until("the end of a pause that the API asked for", until)),
        );
    }

    async fn wait_until_due(&self, jitter: Duration) {
        let mut shown = None;
        let mut since = self.shared.context.clock.now().wall;
        loop {
            let now = self.shared.context.clock.now().wall;
            // If the clock is set back, the wait must not last until the time that it showed before.
            since = since.min(now);
            let due = self.due(since, jitter);
            if shown != Some(due) {
                self.shared
                    .note(&self.plan.name, |state| state.next_run = due);
                self.show_hold(now, due);
                shown = Some(due);
            }
            let Some(due) = due else {
                return std::future::pending().await;
            };
            let left = due.0.saturating_sub(now.0);
            if left <= 0 {
                return;
            }
            let left = Duration::from_micros(left.unsigned_abs());
            tokio::time::sleep(left.min(LONGEST_SLEEP)).await;
        }
    }

    async fn run(&mut self, asked: Option<Asked>, place: Place) {
        let name = self.plan.name.clone();
        let now = self.shared.context.clock.now();
        self.refused_until = None;
        self.shared.note(&name, |state| {
            state.running = Some(Progress::default());
            state.waiting = None;
        });
        let result = match self.shared.context.host.refusal(now) {
            Some(refusal) => {
                // This does not count as a run: it is tried again soon, whatever the schedule says.
                self.refused_until = Some(now.wall.plus(REFUSED_PAUSE));
                Err(RunError::Failed(refusal))
            }
            None => {
                let before = self.last_started.replace(now.wall);
                let result = self.run_blocking(asked.as_ref(), place).await;
                if matches!(result, Err(RunError::NotYet(_))) {
                    self.last_started = before;
                    self.refused_until = Some(now.wall.plus(REFUSED_PAUSE));
                }
                result
            }
        };
        let is_scheduled = self.plan.schedule.next(None, now.wall).is_some();
        if let Err(RunError::Later { until, .. }) = &result
            && is_scheduled
        {
            self.refused_until = Some(*until);
        }
        self.conclude(&result);
        if let Some(asked) = asked {
            let (shared, mode) = (Arc::clone(&self.shared), self.plan.mode);
            let limit = self.plan.limits.budget.max(MIN_SHIP_LIMIT);
            // The next run does not wait until the rows are in the lake.
            self.shared.tasks.spawn(async move {
                let shipped = match result {
                    Ok(_) => shared.ship(mode, limit, &asked.updates).await,
                    Err(_) => Shipped::Yes,
                };
                let _gone = asked.updates.send(Update::Done(result, shipped)).await;
            });
        }
    }

    async fn run_blocking(
        &mut self,
        asked: Option<&Asked>,
        place: Place,
    ) -> Result<RunReport, RunError> {
        let (shared, plan) = (Arc::clone(&self.shared), Arc::clone(&self.plan));
        let mut cursor = self.cursor.clone();
        let wish = asked.map(|asked| asked.wish.clone()).unwrap_or_default();
        let updates = asked.map(|asked| asked.updates.clone());
        let runtime = Handle::current();
        let running = tokio::task::spawn_blocking(move || {
            let context = &shared.context;
            let budget = plan.limits.budget;
            let cancel = shared.cancel.clone();
            let waiter = Waiter::new(runtime, cancel, context.clock.clone(), budget);
            let waiter = waiter
                .seated(shared.places.clone(), place)
                .watched_by(watcher(&shared, &plan.name, updates.clone()));
            let progress = |progress: Progress| {
                shared.note(&plan.name, |state| state.running = Some(progress));
                // A slow client misses some updates.
                let update = Update::Progress(progress);
                let _missed = updates.as_ref().map(|updates| updates.try_send(update));
            };
            let job = Job {
                plan: &plan,
                waiter: &waiter,
                log: Some(&context.log),
                dir: Some(context.beside.dir()),
                lake: context.lake_reader.as_deref(),
                node: context.node,
                ids: &context.ids,
                force: wish.force,
                accept: wish.accept,
                backfill: wish.backfill.as_ref(),
                progress: &progress,
            };
            let result = run(&job, &mut cursor);
            (result, cursor)
        });
        match running.await {
            Ok((result, cursor)) => {
                self.cursor = cursor;
                result
            }
            Err(error) => {
                // The run stays open in the log, which holds its rows until the next start.
                tracing::error!(poll = self.plan.name, %error, "a run broke off");
                Err(RunError::Failed(format!("the run broke off: {error}")))
            }
        }
    }

    /// Reports how a run ended: to the log, the metrics and the figures.
    fn conclude(&self, result: &Result<RunReport, RunError>) {
        let name = &self.plan.name;
        let context = &self.shared.context;
        let now = context.clock.now().wall;
        match result {
            Ok(report) => {
                let counts = &report.counts;
                for warning in counts.warnings.iter().filter(|_| context.is_service) {
                    tracing::warn!(poll = name, "{warning}");
                }
                let unchanged = matches!(report.outcome, RunOutcome::Unchanged(_));
                tracing::info!(
                    poll = name,
                    run = report.run,
                    records = counts.records,
                    stored = counts.stored,
                    duplicates = counts.duplicates,
                    quarantined = counts.quarantined,
                    nulls = counts.nulls.values().sum::<u64>(),
                    unchanged,
                    took_seconds = report.took.as_secs_f64(),
                    "a run of the poll ended well"
                );
                let ended = RunEnded::Well {
                    unchanged,
                    records: counts.records,
                    quarantined: counts.quarantined,
                    at: now,
                };
                context.host.count_run(name, ended);
                self.shared.note(name, |state| {
                    state.last_success = Some((now, report.run.clone(), counts.records));
                    state.last_error = None;
                    state.running = None;
                    state.waiting = None;
                });
            }
            Err(RunError::Cancelled) => self.shared.note(name, |state| {
                state.running = None;
                state.waiting = None;
            }),
            Err(error) => {
                // Without a service, whoever asked for the run is told, and nobody else reads the log.
                if context.is_service {
                    tracing::error!(poll = name, %error, "a run of the poll failed; the next one is tried on schedule");
                }
                context.host.count_run(name, RunEnded::Failed);
                self.shared.note(name, |state| {
                    state.last_error = Some((now, error.to_string()));
                    state.running = None;
                    state.waiting = None;
                });
            }
        }
    }
}
