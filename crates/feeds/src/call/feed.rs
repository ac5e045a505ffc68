//! Calls as a feed: their definitions, and their tasks once they are started.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::control::{Line, MAX_REQUEST, Request};
use super::definition::Definition;
use super::pending::DIRECTORY;
use super::plan::{Plan, PlanError, SECTION};
use super::report::Report;
use super::run::{Job, Wish, run};
use crate::context::Context;
use crate::control::{Control, Talk};
use crate::errors::RunError;
use crate::feed::{Feed, SetupError, Stopping};
use crate::figures::{Figures, Progress, StreamState};
use crate::host::RunEnded;
use crate::poll::kept::Kept;
use crate::poll::link::{Links, SharedLinks};
use crate::wait::Waiter;
use lakehook_base::files::{Disk, create_dir_durably};
use lakehook_base::ids::HashKey;
use lakehook_base::record::Fingerprint;
use lakehook_base::tables::StreamTable;

/// Most requests that wait for one call.
const MAX_ASKING: usize = 8;

/// All calls of a configuration.
pub struct CallFeed {
    definitions: BTreeMap<String, Definition>,
    links: SharedLinks,
    started: OnceLock<Started>,
    control: Mutex<Option<Control>>,
}

/// The calls once they are started.
struct Started {
    shared: Arc<Shared>,
    doors: Arc<BTreeMap<String, mpsc::Sender<Asked>>>,
}

struct Shared {
    context: Context,
    board: Mutex<Figures>,
    cancel: CancellationToken,
    tasks: TaskTracker,
}

/// A request for a run.
struct Asked {
    wish: Wish,
    answer: oneshot::Sender<Result<Report, RunError>>,
}

impl CallFeed {
    /// A feed of calls, defined by name.
    pub fn new(definitions: BTreeMap<String, Definition>) -> Self {
        Self {
            definitions,
            links: SharedLinks::default(),
            started: OnceLock::new(),
            control: Mutex::new(None),
        }
    }

    /// The same, with links that the polls of the same APIs use too.
    #[must_use]
    pub fn with_links(mut self, links: SharedLinks) -> Self {
        self.links = links;
        self
    }

    /// Plans that need no log: for checks of the configuration, and for dry runs.
    pub fn dry_plans(&self) -> Result<Vec<Plan>, Vec<PlanError>> {
        let mut links = Links::new(None);
        self.plans(Fingerprint::new(HashKey([0; 16])), &mut links)
    }

    fn plans(
        &self,
        fingerprint: Fingerprint,
        links: &mut Links,
    ) -> Result<Vec<Plan>, Vec<PlanError>> {
        let (mut plans, mut errors) = (Vec::new(), Vec::new());
        for (name, definition) in &self.definitions {
            match Plan::new(name, definition, fingerprint, links) {
                Ok(plan) => plans.push(plan),
                Err(error) => errors.push(error),
            }
        }
        if errors.is_empty() {
            Ok(plans)
        } else {
            Err(errors)
        }
    }

    /// Runs a call once the current run of it has ended. `None` if there is no such call, or too many
    /// wait for it.
    pub async fn ask(&self, call: &str, wish: Wish) -> Option<Result<Report, RunError>> {
        let started = self.started.get()?;
        ask(&started.doors, call, wish).await
    }
}

async fn ask(
    doors: &BTreeMap<String, mpsc::Sender<Asked>>,
    call: &str,
    wish: Wish,
) -> Option<Result<Report, RunError>> {
    let (answer, report) = oneshot::channel();
    doors.get(call)?.try_send(Asked { wish, answer }).ok()?;
    Some(report.await.unwrap_or(Err(RunError::Cancelled)))
}

/// Answers a client of the control socket.
async fn serve(
    mut talk: Talk,
    doors: Arc<BTreeMap<String, mpsc::Sender<Asked>>>,
    stop: CancellationToken,
) -> io::Result<()> {
    let request: Option<Request> = tokio::select! {
        heard = talk.hear(MAX_REQUEST) => heard?,
        () = stop.cancelled() => None,
    };
    for call in request.iter().flat_map(|request| &request.calls) {
        let wish = request
            .as_ref()
            .map(|request| request.wish.clone())
            .unwrap_or_default();
        let call = call.clone();
        let line = match ask(&doors, &call, wish).await {
            Some(Ok(report)) => Line::Done {
                call,
                report: Box::new(report),
            },
            Some(Err(error)) => Line::Failed {
                call,
                error: error.to_string(),
            },
            None => Line::Failed {
                call,
                error: "there is no such call in the running service, or too many wait for it; a changed \
                        configuration needs a restart"
                    .to_owned(),
            },
        };
        talk.say(&line).await?;
    }
    talk.end().await
}

impl Feed for CallFeed {
    fn name(&self) -> &'static str {
        SECTION
    }

    fn streams(&self) -> Result<Vec<(String, StreamTable)>, Vec<SetupError>> {
        self.dry_plans().map_err(|errors| setup_errors(&errors))?;
        let (mut tables, mut errors) = (Vec::new(), Vec::new());
        for (name, definition) in &self.definitions {
            match Plan::tables(name, definition) {
                Ok(of_call) => tables.extend(
                    of_call
                        .into_iter()
                        .map(|(stream, table)| (stream, table.into())),
                ),
                Err(error) => errors.push(error),
            }
        }
        if errors.is_empty() {
            Ok(tables)
        } else {
            Err(setup_errors(&errors))
        }
    }

    fn start(&self, context: Context) -> Result<(), Vec<SetupError>> {
        let plans = self.links.with(Kept::beside(&context.beside), |links| {
            self.plans(context.fingerprint, links)
        });
        let plans = plans.map_err(|errors| setup_errors(&errors))?;
        let board = plans
            .iter()
            .map(|plan| (plan.name.clone(), StreamState::default()));
        let shared = Arc::new(Shared {
            board: Mutex::new(board.collect()),
            context,
            cancel: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        let mut doors = BTreeMap::new();
        for plan in plans {
            let (door, asked) = mpsc::channel(MAX_ASKING);
            doors.insert(plan.name.clone(), door);
            let keeper = Keeper {
                shared: Arc::clone(&shared),
                plan: Arc::new(plan),
            };
            shared.tasks.spawn(keeper.keep(asked));
        }
        shared.tasks.close();
        let started = Started {
            shared,
            doors: Arc::new(doors),
        };
        if started.shared.context.is_service {
            self.listen(&started);
        }
        let _once = self.started.set(started);
        Ok(())
    }

    fn ask(&self, stream: &str) -> bool {
        let door = self
            .started
            .get()
            .and_then(|started| started.doors.get(stream));
        // Nobody waits for the report.
        let (answer, _report) = oneshot::channel();
        let wish = Wish::default();
        door.is_some_and(|door| door.try_send(Asked { wish, answer }).is_ok())
    }

    fn figures(&self) -> Figures {
        let started = self.started.get();
        started
            .map(|started| started.shared.board().clone())
            .unwrap_or_default()
    }

    fn stop(&self) -> Stopping<'_> {
        Box::pin(async {
            if let Some(started) = self.started.get() {
                started.shared.cancel.cancel();
                started.shared.tasks.wait().await;
            }
            let control = {
                let mut control = self.control.lock().unwrap_or_else(PoisonError::into_inner);
                control.take()
            };
            if let Some(control) = control {
                control.stop().await;
            }
        })
    }
}

impl CallFeed {
    /// Opens the socket for requests of `lakehook call`. On failure the service goes on without it.
    fn listen(&self, started: &Started) {
        let dir = started.shared.context.beside.path(DIRECTORY);
        let doors = Arc::clone(&started.doors);
        let listening = create_dir_durably(&Disk, &dir, true).and_then(|()| {
            Control::start(&dir, move |talk, stop| {
                serve(talk, Arc::clone(&doors), stop)
            })
        });
        let listening = listening.inspect_err(|error| {
            let dir = dir.display();
            tracing::warn!(%error, %dir, "failed to open the control socket; `lakehook call` cannot ask this service");
        });
        let mut control = self.control.lock().unwrap_or_else(PoisonError::into_inner);
        *control = listening.ok();
    }
}

impl Shared {
    fn board(&self) -> std::sync::MutexGuard<'_, Figures> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, call: &str, change: impl FnOnce(&mut StreamState)) {
        change(self.board().entry(call.to_owned()).or_default());
    }
}

/// Runs one call, on schedule and when it is asked for.
struct Keeper {
    shared: Arc<Shared>,
    plan: Arc<Plan>,
}

impl Keeper {
    async fn keep(self, mut asked: mpsc::Receiver<Asked>) {
        let every = self
            .plan
            .definition
            .every
            .filter(|_| self.shared.context.is_service);
        // A service begins with a run: an earlier one may have left something pending.
        let mut pause = every.map(|_| std::time::Duration::ZERO);
        loop {
            let due = async {
                match pause {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => std::future::pending().await,
                }
            };
            let wish = tokio::select! {
                () = self.shared.cancel.cancelled() => return,
                asked = asked.recv() => match asked {
                    Some(asked) => Some(asked),
                    None => return,
                },
                () = due => None,
            };
            let began = self.shared.context.clock.now().mono;
            match wish {
                Some(Asked { wish, answer }) => {
                    let _gone = answer.send(self.run(wish).await);
                }
                None => _ = self.run(Wish::default()).await,
            }
            let took = self.shared.context.clock.now().mono.saturating_sub(began);
            pause = every.map(|every| every.saturating_sub(took));
        }
    }

    /// Runs the call on a thread that may block.
    async fn run(&self, wish: Wish) -> Result<Report, RunError> {
        let (shared, plan) = (Arc::clone(&self.shared), Arc::clone(&self.plan));
        let is_dry = wish.dry_run;
        shared.note(&plan.name, |state| {
            state.running = Some(Progress::default());
        });
        let name = plan.name.clone();
        let ended = tokio::task::spawn_blocking(move || {
            let context = &shared.context;
            if let Some(why) = context.host.refusal(context.clock.now()) {
                return Err(RunError::Failed(format!(
                    "nothing can be stored now: {why}"
                )));
            }
            let budget = plan.definition.limits.budget;
            let waiter = Waiter::new(
                Handle::current(),
                shared.cancel.clone(),
                context.clock.clone(),
                budget,
            );
            run(Job {
                plan: &plan,
                waiter: &waiter,
                log: Some(&context.log),
                beside: &context.beside,
                ids: &context.ids,
                wish: &wish,
            })
        });
        let ended = ended.await.unwrap_or(Err(RunError::Cancelled));
        self.tell(&name, &ended, is_dry);
        ended
    }

    fn tell(&self, name: &str, ended: &Result<Report, RunError>, is_dry: bool) {
        let at = self.shared.context.clock.now().wall;
        self.shared.note(name, |state| {
            state.running = None;
            match ended {
                Ok(report) => {
                    state.last_success = Some((at, String::new(), report.stored));
                    state.last_error = None;
                }
                Err(RunError::Cancelled) => {}
                Err(error) => state.last_error = Some((at, error.to_string())),
            }
        });
        let ended = match ended {
            Ok(report) => RunEnded::Well {
                unchanged: report.groups == 0,
                records: report.stored,
                quarantined: report.quarantined,
                at,
            },
            Err(RunError::Cancelled) => return,
            Err(error) => {
                tracing::warn!(call = name, %error, "a run of a call failed");
                RunEnded::Failed
            }
        };
        if !is_dry {
            self.shared.context.host.count_run(name, ended);
        }
    }
}

fn setup_errors(errors: &[PlanError]) -> Vec<SetupError> {
    let texts = errors.iter().map(ToString::to_string);
    texts.map(SetupError).collect()
}
