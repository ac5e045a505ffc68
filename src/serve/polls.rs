//! The polls' part of a service: a pipeline of their own, and who looks after them. `lakehook poll` runs
//! the same without the rest.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::runtime::Handle;

use super::pipeline::{Parts, Pipeline};
use super::settings::{polls_config, polls_wal_settings};
use super::stopping::Patience;
use super::{ServeError, Stopped, lake_of, tables};
use crate::clock::Clock;
use crate::config::Config;
use crate::control::Control;
use crate::files::{Disk, create_dir_durably};
use crate::ids::{HashKey, Ids};
use crate::metrics::Metrics;
use crate::poll::control;
use crate::poll::cursor::PollCursor;
use crate::poll::plan::{Plan, PlanError};
use crate::poll::supervisor::{Supervisor, Workshop};
use crate::record::Fingerprint;
use crate::status::Status;
use crate::wal::node::Lock;

/// What polls share with the rest of a process.
pub struct Surroundings {
    /// Counts and times.
    pub metrics: Arc<Metrics>,
    /// The clock.
    pub clock: Clock,
    /// For dice and nonces.
    pub ids: Ids,
}

/// Polls whose log is open, and none of which runs yet.
pub struct OpenPolls {
    pipeline: Pipeline,
    polls: Vec<(Plan, PollCursor)>,
    status: Arc<Status>,
    around: Surroundings,
    config: Config,
}

/// Polls that are looked after.
pub struct Polls {
    pipeline: Pipeline,
    supervisor: Supervisor,
    control: Option<Control>,
    status: Arc<Status>,
}

/// Plans of all polls; every error at once.
pub fn plans(config: &Config, fingerprint: Fingerprint) -> Result<Vec<Plan>, Vec<PlanError>> {
    let mut plans = Vec::new();
    let mut errors = Vec::new();
    for (name, poll) in &config.poll {
        match Plan::new(name, poll, fingerprint) {
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

/// Plans without a log, to check them and for runs that write nothing.
pub fn dry_plans(config: &Config) -> Result<Vec<Plan>, Vec<PlanError>> {
    plans(config, Fingerprint::new(HashKey([0; 16])))
}

impl OpenPolls {
    /// Takes the lock of the polls' directory and opens their log.
    pub async fn open(config: &Config, around: Surroundings) -> Result<Self, ServeError> {
        dry_plans(config).map_err(ServeError::Polls)?;
        let config = polls_config(config);
        let dir = config.wal.dir.clone();
        create_dir_durably(&Disk, &dir, true)?;
        let lock = Lock::take(&dir)?;
        let lake = Arc::new(lake_of(&config, Handle::current()).await);
        let lake_identity = lake.identity().to_owned();
        let status = Arc::new(Status::default());
        let parts = Parts {
            lock,
            settings: polls_wal_settings(&config, lake.identity()),
            tables: tables::polls(&config).map_err(ServeError::Polls)?,
            format: config.batch.format,
            lake,
            accepts_new_lake: config.lake.accepts_new,
            status: Arc::clone(&status),
            metrics: Arc::clone(&around.metrics),
            shows_dedup_window: false,
            clock: around.clock.clone(),
            ids: around.ids.clone(),
        };
        let opened = tokio::task::spawn_blocking(move || Pipeline::open(&dir, parts));
        let pipeline = opened.await??;
        let plans = plans(&config, pipeline.fingerprint()).map_err(ServeError::Polls)?;
        let cursors: BTreeMap<_, _> = pipeline.cursors.iter().cloned().collect();
        let remembered = |plan: &Plan| {
            let bytes = cursors.get(&plan.name).map(Vec::as_slice);
            PollCursor::read(bytes, plan.hash, plan.marks, &lake_identity)
        };
        let polls = plans.into_iter().map(|plan| {
            let cursor = remembered(&plan);
            (plan, cursor)
        });
        Ok(Self {
            polls: polls.collect(),
            pipeline,
            status,
            around,
            config,
        })
    }

    /// Begins to look after the polls, by their schedules or only when asked.
    pub fn start(self, by_schedule: bool) -> Polls {
        let Self {
            pipeline,
            polls,
            status,
            around,
            config,
        } = self;
        status.set_recovered(pipeline.newest_received);
        let workshop = Workshop {
            log: pipeline.log.clone(),
            node: pipeline.node.id,
            status: Arc::clone(&status),
            metrics: around.metrics,
            clock: around.clock,
            ids: around.ids,
            concurrency: config.polls.concurrency,
            by_schedule,
        };
        let supervisor = Supervisor::start(workshop, polls);
        // Who runs only what was asked for ends soon, and is not for others to ask.
        let control = by_schedule.then(|| {
            let control = control::listen(&config.wal.dir, supervisor.clone());
            let dir = config.wal.dir.display();
            control.inspect_err(|error| {
                tracing::warn!(%error, %dir, "no socket there: `lakehook poll` cannot ask this service");
            })
        });
        Polls {
            pipeline,
            supervisor,
            control: control.and_then(Result::ok),
            status,
        }
    }
}

impl Polls {
    /// Who looks after the polls.
    pub fn supervisor(&self) -> &Supervisor {
        &self.supervisor
    }

    /// What keeps polls from storing.
    pub(super) fn status(&self) -> &Arc<Status> {
        &self.status
    }

    /// What the polls' log shows of itself.
    pub(super) fn pipeline(&self) -> &Pipeline {
        &self.pipeline
    }

    /// Resolves with the reason when the polls' log cannot go on.
    pub async fn failed(&self) -> String {
        self.pipeline.failed().await
    }

    /// Interrupts what runs; what is complete goes to the lake as far as there is time.
    pub async fn stop(self, patience: &Patience) -> Stopped {
        self.status.set_draining();
        // A log that stands still, on a full disk, must not hold up the end.
        if patience.wait(self.supervisor.stop()).await.is_none() {
            tracing::warn!("runs of polls did not end in time; the next start abandons them");
        }
        if let Some(control) = self.control {
            control.stop().await;
        }
        let drained = self.pipeline.drain(patience).await;
        self.pipeline.close(patience, drained).await
    }
}
