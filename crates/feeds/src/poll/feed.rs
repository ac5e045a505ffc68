//! Polls as a feed: their definitions, and the supervisor once they are started.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::asked::Wish;
use super::control;
use super::definition::Definition;
use super::kept::Kept;
use super::link::{Links, SharedLinks};
use super::plan::{Plan, PlanError, SECTION, column_settings, schema_text};
use super::replay::RecordReplayer;
use super::resume::PollCursor;
use super::supervisor::Supervisor;
use crate::context::Context;
use crate::control::Control;
use crate::feed::{Feed, SetupError, Stopping};
use crate::figures::Figures;
use lakehook_base::ids::HashKey;
use lakehook_base::record::Fingerprint;
use lakehook_base::side_files::SideFiles;
use lakehook_base::tables::{GrowingTable, StreamTable, Table};
use lakehook_contract::SchemaError;

/// All polls of a configuration.
pub struct PollFeed {
    definitions: BTreeMap<String, Definition>,
    concurrency: usize,
    links: SharedLinks,
    supervisor: OnceLock<Supervisor>,
    replayer: OnceLock<RecordReplayer>,
    control: Mutex<Option<Control>>,
}

impl PollFeed {
    /// A feed of polls, defined by name; at most `concurrency` of them run at a time.
    pub fn new(definitions: BTreeMap<String, Definition>, concurrency: usize) -> Self {
        Self {
            definitions,
            concurrency,
            links: SharedLinks::default(),
            supervisor: OnceLock::new(),
            replayer: OnceLock::new(),
            control: Mutex::new(None),
        }
    }

    /// The same, with links that other feeds use too.
    #[must_use]
    pub fn with_links(mut self, links: SharedLinks) -> Self {
        self.links = links;
        self
    }

    /// The supervisor, once the feed is started.
    pub fn supervisor(&self) -> Option<&Supervisor> {
        self.supervisor.get()
    }

    /// What stores replayed records, once the feed is started.
    pub fn replayer(&self) -> Option<&RecordReplayer> {
        self.replayer.get()
    }

    /// Plans that need no log: for checks of the configuration, and for runs that write nothing.
    /// `beside` are the files beside the polls' log if its lock is held: what APIs say once is kept there.
    pub fn dry_plans(&self, beside: Option<&SideFiles>) -> Result<Vec<Plan>, Vec<PlanError>> {
        self.plans(Fingerprint::new(HashKey([0; 16])), beside)
    }

    /// The table of each poll.
    fn tables(&self) -> Result<Vec<(String, StreamTable)>, Vec<PlanError>> {
        all(&self.definitions, |name, poll| {
            let schema = schema_text(name, poll.schema.as_deref())?;
            let text = schema.as_ref().map(|(_, text)| text.as_str());
            let given = column_settings(name, poll, text)?.given;
            let id: &[String] = poll.id.as_ref().map_or(&[], |id| &id.0);
            if let Some(live) = poll.columns.live.as_ref().filter(|_| text.is_none()) {
                let growing = GrowingTable::new(Arc::clone(live), id, given);
                return Ok((name.to_owned(), StreamTable::Growing(growing)));
            }
            let table = Table::entities(text, id, &given);
            let table = table.map_err(|source| PlanError::Schema {
                poll: name.to_owned(),
                error: SchemaError::Json {
                    name: name.to_owned(),
                    source,
                },
            })?;
            Ok((name.to_owned(), table.into()))
        })
    }

    fn plans(
        &self,
        fingerprint: Fingerprint,
        beside: Option<&SideFiles>,
    ) -> Result<Vec<Plan>, Vec<PlanError>> {
        let mut links = Links::new(beside.map(Kept::beside));
        all(&self.definitions, |name, poll| {
            Plan::new(name, poll, fingerprint, &mut links)
        })
    }

    /// Opens the socket for requests of `lakehook poll`. On failure the service goes on without it.
    fn listen(&self, context: &Context, supervisor: &Supervisor, replayer: &RecordReplayer) {
        let listening = control::listen(context.beside.dir(), supervisor.clone(), replayer.clone());
        let dir = context.beside.dir().display();
        let listening = listening.inspect_err(|error| {
            tracing::warn!(%error, %dir, "failed to open the control socket; `lakehook poll` cannot ask this service");
        });
        let mut control = self.control.lock().unwrap_or_else(PoisonError::into_inner);
        *control = listening.ok();
    }
}

impl Feed for PollFeed {
    fn name(&self) -> &'static str {
        SECTION
    }

    fn streams(&self) -> Result<Vec<(String, StreamTable)>, Vec<SetupError>> {
        self.dry_plans(None)
            .map_err(|errors| setup_errors(&errors))?;
        self.tables().map_err(|errors| setup_errors(&errors))
    }

    fn start(&self, context: Context) -> Result<(), Vec<SetupError>> {
        let plans = self.links.with(Kept::beside(&context.beside), |links| {
            all(&self.definitions, |name, poll| {
                Plan::new(name, poll, context.fingerprint, links)
            })
        });
        let plans = plans.map_err(|errors| setup_errors(&errors))?;
        let again = self.plans(context.fingerprint, None);
        let again = again.map_err(|errors| setup_errors(&errors))?;
        let with_cursor = |plan: Plan| {
            let bytes = context.cursors.get(&plan.name).map(Vec::as_slice);
            let (cursor, forgotten) = PollCursor::read(bytes, &plan.terms(&context.lake));
            if let Some(why) = forgotten {
                let poll = &plan.name;
                tracing::warn!(poll, %why, "the mark of earlier runs is not used: the next run reads from the beginning");
            }
            (plan, cursor)
        };
        let polls = plans.into_iter().map(with_cursor).collect();
        let supervisor = self
            .supervisor
            .get_or_init(|| Supervisor::start(context.clone(), self.concurrency, polls));
        let replayer = self
            .replayer
            .get_or_init(|| RecordReplayer::new(again, context.clone()));
        if context.is_service {
            self.listen(&context, supervisor, replayer);
        }
        Ok(())
    }

    fn figures(&self) -> Figures {
        let supervisor = self.supervisor.get();
        supervisor.map(Supervisor::figures).unwrap_or_default()
    }

    fn ask(&self, stream: &str) -> bool {
        let supervisor = self.supervisor.get();
        supervisor.is_some_and(|polls| polls.ask(stream, Wish::default()).is_some())
    }

    fn stop(&self) -> Stopping<'_> {
        Box::pin(async {
            if let Some(supervisor) = self.supervisor.get() {
                supervisor.stop().await;
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

/// Applies `make` to every definition; returns all results or all errors.
fn all<T>(
    definitions: &BTreeMap<String, Definition>,
    mut make: impl FnMut(&str, &Definition) -> Result<T, PlanError>,
) -> Result<Vec<T>, Vec<PlanError>> {
    let (mut results, mut errors) = (Vec::new(), Vec::new());
    for (name, poll) in definitions {
        match make(name, poll) {
            Ok(result) => results.push(result),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() {
        Ok(results)
    } else {
        Err(errors)
    }
}

fn setup_errors(errors: &[PlanError]) -> Vec<SetupError> {
    let texts = errors.iter().map(ToString::to_string);
    texts.map(SetupError).collect()
}
