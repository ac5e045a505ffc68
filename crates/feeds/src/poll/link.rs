//! The link to an API: connections, credentials and the rate of requests, which all its polls share.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::auth::Auth;
use super::connection;
use super::definition::Request;
use super::kept::Kept;
use super::limits::LONGEST_HOLD;
use super::trouble::Trouble;
use crate::wait::{Interrupted, Waiter};
use lakehook_base::clock::{Micros, Now};

/// Shorter pauses are not kept for the next start.
const SHORTEST_KEPT: Duration = Duration::from_secs(10);

/// The link to one API.
#[derive(Debug)]
pub struct Link {
    /// Name of the API, for files and messages.
    name: String,
    /// Opens connections.
    pub(super) http: reqwest::Client,
    /// Credentials of the API.
    pub(super) auth: Auth,
    /// Minimum time between two requests.
    pace: Duration,
    pacing: Mutex<Pacing>,
    kept: Option<Kept>,
}

#[derive(Debug, Default)]
struct Pacing {
    /// Monotonic time from which the next request may be made.
    next_at: Duration,
    /// Until when the API asked to wait.
    held_until: Option<Micros>,
}

/// The links that feeds share, made when the first of them starts. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct SharedLinks(Arc<Mutex<Option<Links>>>);

impl SharedLinks {
    /// Calls `act` with the links, which keep what outlives the process in `kept`.
    pub fn with<T>(&self, kept: Kept, act: impl FnOnce(&mut Links) -> T) -> T {
        let mut links = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        act(links.get_or_insert_with(|| Links::new(Some(kept))))
    }
}

/// All links, by the name of their API.
#[derive(Debug)]
pub struct Links {
    links: BTreeMap<String, Arc<Link>>,
    kept: Option<Kept>,
}

impl Links {
    /// No links yet. Without `kept`, nothing outlives the process.
    pub fn new(kept: Option<Kept>) -> Self {
        Self {
            links: BTreeMap::new(),
            kept,
        }
    }

    /// The link for a poll: that of its API, or one of its own.
    pub fn of(&mut self, poll: &str, request: &Request) -> Result<Arc<Link>, String> {
        let name = match &request.api {
            Some(api) => api.clone(),
            None => format!("poll.{poll}"),
        };
        if let Some(link) = self.links.get(&name) {
            return Ok(Arc::clone(link));
        }
        let link = Arc::new(Link::new(&name, request, self.kept.clone())?);
        self.links.insert(name, Arc::clone(&link));
        Ok(link)
    }
}

impl Link {
    fn new(name: &str, request: &Request, kept: Option<Kept>) -> Result<Self, String> {
        let auth = Auth::new(&request.credentials, name, kept.clone())?;
        let link = Self {
            name: name.to_owned(),
            http: connection::client(&request.connection)?,
            auth,
            pace: request.pace,
            pacing: Mutex::default(),
            kept,
        };
        let held_until = link.kept_hold();
        link.pacing().held_until = held_until;
        Ok(link)
    }

    fn pacing(&self) -> MutexGuard<'_, Pacing> {
        self.pacing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hold_file(&self) -> String {
        format!("{}.hold", self.name)
    }

    /// The hold that an earlier process kept. One that cannot be read is none: the API says it again.
    fn kept_hold(&self) -> Option<Micros> {
        let kept = self.kept.as_ref()?.read(&self.hold_file());
        let bytes = kept
            .inspect_err(|error| tracing::warn!(api = self.name, %error, "failed to read until when an API asked for a pause; requests go on"))
            .ok()??;
        std::str::from_utf8(&bytes)
            .ok()?
            .trim()
            .parse()
            .ok()
            .map(Micros)
    }

    /// Until when the API asked to be left alone; `None` if it did not, or if that is over.
    pub fn held_until(&self, now: Micros) -> Option<Micros> {
        let until = self.pacing().held_until?;
        // A clock that was set back must not make it longer than it can be.
        let until = until.min(now.plus(LONGEST_HOLD));
        (until > now).then_some(until)
    }

    /// Notes that the API asked for a pause.
    pub(super) fn hold(&self, pause: Duration, now: Micros) {
        let until = now.plus(pause);
        self.pacing().held_until = Some(until);
        if let Some(kept) = self.kept.as_ref().filter(|_| pause >= SHORTEST_KEPT) {
            let kept = kept.write(&self.hold_file(), until.0.to_string().as_bytes());
            if let Err(error) = kept {
                tracing::warn!(api = self.name, %error, "failed to note until when an API asked for a pause; a restart would not know of it");
            }
        }
    }

    /// Waits until the next request may be made.
    pub(super) fn keep_pace(&self, waiter: &Waiter) -> Result<(), Trouble> {
        while let Some(until) = self.held_until(waiter.clock().now().wall) {
            let pause = until.since(waiter.clock().now().wall);
            let what = "the end of a pause that the API asked for";
            match waiter.pause_for(what, pause) {
                Ok(()) => {}
                Err(Interrupted::Budget) => {
                    return Err(Trouble::Later {
                        what: "the API asked for a pause".to_owned(),
                        until,
                    });
                }
                Err(stopped) => return Err(Trouble::Stopped(stopped)),
            }
        }
        if self.pace.is_zero() {
            return Ok(());
        }
        let pause = self.turn(waiter.clock().now());
        let paused = waiter.pause_for("its turn (rate_limit)", pause);
        paused.map_err(Trouble::Stopped)
    }

    /// Takes the next turn; returns how long it is until then.
    fn turn(&self, now: Now) -> Duration {
        let mut pacing = self.pacing();
        let at = now.mono.max(pacing.next_at);
        pacing.next_at = at.saturating_add(self.pace);
        at.saturating_sub(now.mono)
    }
}
