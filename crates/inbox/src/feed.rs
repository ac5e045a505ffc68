//! Files as a feed: their definitions, and the tasks once they are started.

use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock, PoisonError};

use super::control;
use super::definition::FilesDefinition;
use super::keeper::FilesKeepers;
use super::plan::{FilesPlan, SECTION};
use lakehook_base::ids::HashKey;
use lakehook_base::record::Fingerprint;
use lakehook_base::tables::StreamTable;
use lakehook_feeds::context::Context;
use lakehook_feeds::control::Control;
use lakehook_feeds::feed::{Feed, SetupError, Stopping};
use lakehook_feeds::figures::Figures;

/// All streams of files of a configuration.
pub struct FilesFeed {
    definitions: BTreeMap<String, FilesDefinition>,
    concurrency: usize,
    keepers: OnceLock<FilesKeepers>,
    control: Mutex<Option<Control>>,
}

impl FilesFeed {
    /// A feed of files, defined by name; at most `concurrency` inboxes are looked into at a time.
    pub fn new(definitions: BTreeMap<String, FilesDefinition>, concurrency: usize) -> Self {
        Self {
            definitions,
            concurrency,
            keepers: OnceLock::new(),
            control: Mutex::new(None),
        }
    }

    /// The tasks, once the feed is started.
    pub fn keepers(&self) -> Option<&FilesKeepers> {
        self.keepers.get()
    }

    /// Plans that need no log: for checks of the configuration, and for looks that write nothing.
    pub fn dry_plans(&self) -> Result<Vec<FilesPlan>, Vec<SetupError>> {
        self.plans(Fingerprint::new(HashKey([0; 16])))
    }

    fn plans(&self, fingerprint: Fingerprint) -> Result<Vec<FilesPlan>, Vec<SetupError>> {
        let (mut plans, mut errors) = (Vec::new(), Vec::new());
        for (name, files) in &self.definitions {
            match FilesPlan::new(name, files, fingerprint) {
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

    /// Opens the socket for requests of `lakehook files`. On failure the service goes on without it.
    fn listen(&self, context: &Context, keepers: &FilesKeepers) {
        let listening = control::listen(context.beside.dir(), keepers.clone());
        let dir = context.beside.dir().display();
        let listening = listening.inspect_err(|error| {
            tracing::warn!(%error, %dir, "failed to open the control socket; `lakehook files` cannot ask this service");
        });
        let mut control = self.control.lock().unwrap_or_else(PoisonError::into_inner);
        *control = listening.ok();
    }
}

impl Feed for FilesFeed {
    fn name(&self) -> &'static str {
        SECTION
    }

    fn streams(&self) -> Result<Vec<(String, StreamTable)>, Vec<SetupError>> {
        let plans = self.dry_plans()?.into_iter();
        Ok(plans.map(|plan| (plan.name.clone(), plan.table)).collect())
    }

    fn start(&self, context: Context) -> Result<(), Vec<SetupError>> {
        let plans = self.plans(context.fingerprint)?;
        let keepers = self
            .keepers
            .get_or_init(|| FilesKeepers::start(context.clone(), self.concurrency, plans));
        if context.is_service {
            self.listen(&context, keepers);
        }
        Ok(())
    }

    fn figures(&self) -> Figures {
        let keepers = self.keepers.get();
        keepers.map(FilesKeepers::figures).unwrap_or_default()
    }

    fn ask(&self, stream: &str) -> bool {
        let keepers = self.keepers.get();
        keepers.is_some_and(|keepers| keepers.ask(stream, false).is_some())
    }

    fn stop(&self) -> Stopping<'_> {
        Box::pin(async {
            if let Some(keepers) = self.keepers.get() {
                keepers.stop().await;
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
