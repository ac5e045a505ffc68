//! One run of a call: what is pending is sent first, then what the outbox holds and was not sent before.

use std::collections::HashMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::chunk::{Chunk, Gathered, Gathering, member};
use super::group::Group;
use super::outbox::{self, Found, Reading};
use super::pending::Pending;
use super::plan::Plan;
use super::report::{MAX_CHUNKS, Report};
use super::sending::{Outcome, Sender};
use super::store::Entry;
use super::times::time_of;
use crate::errors::RunError;
use crate::wait::{Interrupted, Waiter};
use lakehook_base::clock::Micros;
use lakehook_base::ids::Ids;
use lakehook_base::record::Identity;
use lakehook_base::side_files::SideFiles;
use lakehook_log::log::Log;
use lakehook_log::request::AppendError;

/// What a person asks of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Wish {
    /// Only groups with a time from this on.
    pub since: Option<String>,
    /// Only groups with a time before this.
    pub until: Option<String>,
    /// Most requests, instead of `max_calls`.
    pub max_calls: Option<u64>,
    /// Whether nothing is sent, and the requests are described instead.
    pub dry_run: bool,
    /// Whether answers are stored whatever the guards say.
    pub accept: bool,
}

/// The inputs of a run.
#[derive(Clone, Copy)]
pub struct Job<'a> {
    /// Plan of the call.
    pub plan: &'a Plan,
    /// Waits for the run.
    pub waiter: &'a Waiter,
    /// The log, which knows what was sent. Without it, which is for dry runs only, all groups count as new.
    pub log: Option<&'a Log>,
    /// The files beside the log, whose lock is held.
    pub beside: &'a SideFiles,
    /// Randomness for pauses.
    pub ids: &'a Ids,
    /// What is asked of the run.
    pub wish: &'a Wish,
}

/// Why the reading of the outbox ends early.
struct Stop(RunError);

impl From<String> for Stop {
    fn from(what: String) -> Self {
        Self(RunError::Failed(what))
    }
}

impl From<RunError> for Stop {
    fn from(error: RunError) -> Self {
        Self(error)
    }
}

/// A run that is under way.
struct Run<'a> {
    job: Job<'a>,
    sender: Sender<'a>,
    pending: Pending,
    gathering: Gathering,
    /// The groups that are gathered: their keys, and what they are known by.
    gathered: HashMap<String, u64>,
    range: (Option<Micros>, Option<Micros>),
    report: Report,
}

/// Runs a call once.
pub fn run(job: Job<'_>) -> Result<Report, RunError> {
    let (plan, clock) = (job.plan, job.waiter.clock());
    let began = clock.now().mono;
    let definition = &plan.definition;
    let pending = Pending::read(job.beside, &plan.name).map_err(|error| not_kept(&error))?;
    let mut run = Run {
        sender: Sender {
            plan,
            waiter: job.waiter,
            ids: job.ids,
            calls: 0,
            max_calls: job.wish.max_calls.unwrap_or(definition.limits.max_calls),
        },
        pending,
        gathering: Gathering::new(definition.chunk, definition.body.as_deref()),
        gathered: HashMap::new(),
        range: (
            end(job.wish.since.as_deref(), "since")?,
            end(job.wish.until.as_deref(), "until")?,
        ),
        report: Report::default(),
        job,
    };
    run.check_range()?;
    let sent = run.send_all();
    run.report.calls = run.sender.calls;
    let took = clock.now().mono.saturating_sub(began);
    run.report.took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    sent.map(|()| run.report)
}

fn not_kept(error: &std::io::Error) -> RunError {
    RunError::Failed(format!("failed to keep what is sent: {error}"))
}

/// An end of the range of times, as a person gives it.
fn end(text: Option<&str>, which: &str) -> Result<Option<Micros>, RunError> {
    let Some(text) = text else { return Ok(None) };
    time_of(text).map(Some).ok_or_else(|| {
        RunError::Failed(format!(
            "--{which} {text:?} is no time; expected one such as 2026-01-31 or 2026-01-31T12:00:00Z"
        ))
    })
}

impl Run<'_> {
    fn check_range(&self) -> Result<(), RunError> {
        let is_asked = self.range != (None, None);
        if is_asked && self.job.plan.definition.time.is_none() {
            let name = &self.job.plan.name;
            return Err(RunError::Failed(format!(
                "--since and --until need call.{name}.time, the member of a row that is compared"
            )));
        }
        Ok(())
    }

    fn send_all(&mut self) -> Result<(), RunError> {
        if self.job.wish.dry_run {
            let chunks: Vec<Chunk> = self.pending.all().iter().rev().cloned().collect();
            for chunk in chunks {
                self.describe(&chunk, "pending: ");
            }
        } else {
            self.send_pending(true)?;
        }
        let definition = &self.job.plan.definition;
        let files = outbox::files(&definition.rows).map_err(RunError::Failed)?;
        let reading = Reading {
            group: self
                .job
                .plan
                .group()
                .filter(|_| definition.lookup.is_none()),
            max_row: definition.chunk.bytes,
        };
        for file in files {
            if self.report.is_limited {
                return Ok(());
            }
            self.settle(&file)?;
            let mut give = |found| self.take(found);
            outbox::read::<Stop>(&file, reading, &mut give).map_err(|Stop(error)| error)?;
        }
        let rest = self.gathering.take();
        self.dispatch(rest)
    }

    /// Waits until a file has stood still.
    fn settle(&self, file: &Path) -> Result<(), RunError> {
        let settle = self.job.plan.definition.limits.settle;
        loop {
            let now = self.job.waiter.clock().now().wall;
            let left = outbox::unsettled(file, settle, now).map_err(RunError::Failed)?;
            if left.is_zero() {
                return Ok(());
            }
            let paused = self
                .job
                .waiter
                .pause_for("a file of the outbox to stand still", left);
            paused.map_err(|why| match why {
                Interrupted::Cancelled => RunError::Cancelled,
                _ => RunError::OutOfTime(format!("{} changes all the time", file.display())),
            })?;
        }
    }

    /// Takes what was read of the outbox. Returns whether to go on.
    fn take(&mut self, found: Found) -> Result<bool, Stop> {
        let (mut group, bad) = match found {
            Found::Group(group) => (group, None),
            Found::Bad(group, rule, expected) => (group, Some((rule, expected))),
        };
        let mut bad = bad;
        if let Some(lookup) = self
            .job
            .plan
            .definition
            .lookup
            .as_ref()
            .filter(|_| bad.is_none())
        {
            let row = group.rows.first().map_or("", String::as_str);
            match member(row, &lookup.key).filter(|key| is_plain(key)) {
                Some(key) => group.key = key,
                None => {
                    bad = Some((
                        "key",
                        format!("text or a number in the member {:?}", lookup.key),
                    ));
                }
            }
        }
        if self.is_outside(&group) {
            self.report.outside += 1;
            return Ok(true);
        }
        let now = self.job.waiter.clock().now().wall;
        let tag = self.job.plan.identities().now(&group, now).tag;
        if self.is_known(&group, now)?
            || self.gathered.values().any(|own| *own == tag) && bad.is_none()
        {
            self.report.known += 1;
            return Ok(true);
        }
        if let Some((rule, expected)) = bad {
            self.refuse(&group, rule, &expected)?;
            return Ok(true);
        }
        // Another version of a group goes into a request of its own.
        if group.key != "null" && self.gathered.contains_key(&group.key) {
            let groups = self.gathering.take();
            self.dispatch(groups)?;
        }
        self.gather(group, tag)?;
        Ok(!self.report.is_limited)
    }

    fn gather(&mut self, group: Group, tag: u64) -> Result<(), RunError> {
        let key = if group.key == "null" {
            format!("{tag:016x}")
        } else {
            group.key.clone()
        };
        match self.gathering.add(group) {
            Gathered::Added => {}
            Gathered::Full(groups) => self.dispatch(groups)?,
            Gathered::TooLarge(group, why) => return self.refuse(&group, "too_large", &why),
        }
        self.gathered.insert(key, tag);
        Ok(())
    }

    /// Whether the log knows that a group was sent.
    fn is_known(&self, group: &Group, now: Micros) -> Result<bool, RunError> {
        self.knows_any(self.job.plan.identities().known_by(group, now))
    }

    /// Whether the log knows one of these.
    fn knows_any(&self, identities: impl IntoIterator<Item = Identity>) -> Result<bool, RunError> {
        let Some(log) = self.job.log else {
            return Ok(false);
        };
        for identity in identities {
            let known =
                self.job
                    .waiter
                    .wait_for("the log", std::time::Duration::MAX, log.knows(identity));
            match known {
                Ok(Ok(true)) => return Ok(true),
                Ok(Ok(false)) => {}
                Ok(Err(error)) => return Err(error.into()),
                Err(Interrupted::Cancelled) => return Err(RunError::Cancelled),
                Err(_) => return Err(RunError::OutOfTime("the log does not answer".to_owned())),
            }
        }
        Ok(false)
    }

    /// Whether the latest time of a group is outside of the range.
    fn is_outside(&self, group: &Group) -> bool {
        let (since, until) = self.range;
        let Some(name) = self
            .job
            .plan
            .definition
            .time
            .as_deref()
            .filter(|_| self.range != (None, None))
        else {
            return false;
        };
        let times = group.rows.iter().filter_map(|row| {
            let raw = member(row, name)?;
            let text: String = serde_json::from_str(&raw).ok()?;
            time_of(&text)
        });
        // What has no time is in no range.
        times.max().is_none_or(|latest| {
            since.is_some_and(|since| latest < since) || until.is_some_and(|until| latest >= until)
        })
    }

    /// Decides on a chunk, and sends it.
    fn dispatch(&mut self, groups: Vec<Group>) -> Result<(), RunError> {
        self.gathered.clear();
        if groups.is_empty() || self.report.is_limited {
            return Ok(());
        }
        let scope = self.scope_of(&groups);
        let now = self.job.waiter.clock().now().wall;
        let chunk = Chunk::new(groups, &scope, now);
        if self.job.wish.dry_run {
            self.describe(&chunk, "");
            return Ok(());
        }
        if self.sender.calls >= self.sender.max_calls {
            self.report.is_limited = true;
            return Ok(());
        }
        self.pending
            .decide(chunk)
            .map_err(|error| not_kept(&error))?;
        self.send_pending(false)
    }

    /// What the answer to a chunk depends on besides its rows: the call, and the time in which a lookup is fresh.
    fn scope_of(&self, groups: &[Group]) -> String {
        let now = self.job.waiter.clock().now().wall;
        let part = self.job.plan.identities().part(now);
        let definition = &self.job.plan.definition;
        let (method, url) = (definition.request.method.as_str(), &definition.request.url);
        format!(
            "{} {method} {url} {part} {}",
            self.job.plan.name,
            groups.len()
        )
    }

    /// Sends what is pending, the next one first, until nothing is left or no request may be made.
    fn send_pending(&mut self, may_be_answered: bool) -> Result<(), RunError> {
        let Some(log) = self.job.log else {
            return Err(RunError::Failed("nothing is sent without a log".to_owned()));
        };
        while let Some(next) = self.pending.next().cloned() {
            if may_be_answered && self.is_answered(&next)? {
                self.pending.settle().map_err(|error| not_kept(&error))?;
                continue;
            }
            let chunk = self.renewed(next)?;
            let outcome = self.sender.send(&chunk)?;
            match &outcome {
                Outcome::NoCallsLeft => {
                    self.report.is_limited = true;
                    return Ok(());
                }
                Outcome::Refused { why, .. } if self.halve(&chunk, why)? => continue,
                _ => {}
            }
            match self.store(log, &chunk, &outcome) {
                Ok(stored) => {
                    self.report.add(stored);
                    self.pending.settle().map_err(|error| not_kept(&error))?;
                }
                // A chunk with so many groups was decided by an earlier version: this one makes smaller chunks.
                Err(RunError::Log(error @ AppendError::TooLarge { .. })) => {
                    if !self.halve(&chunk, &error.to_string())? {
                        return Err(error.into());
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Stores what a chunk was answered, as one entry.
    fn store(&self, log: &Log, chunk: &Chunk, outcome: &Outcome) -> Result<Report, RunError> {
        let now = self.job.waiter.clock().now().wall;
        let mut entry = Entry::of(self.job.plan, chunk, now);
        let status = match outcome {
            Outcome::NoCallsLeft => return Ok(Report::default()),
            Outcome::Answered { status, body } => {
                entry.answered(chunk, *status, body, self.job.wish.accept)?;
                *status
            }
            Outcome::Missing { status } => {
                entry.missing(chunk, *status);
                *status
            }
            Outcome::Refused { status, why } => {
                for group in &chunk.groups {
                    entry.refused(group, Some(&chunk.key), "call_refused", why, Some(*status));
                }
                *status
            }
        };
        match entry.store(log, self.job.waiter) {
            Err(RunError::Log(AppendError::TooLarge { .. })) => {
                // The log has less room than usual. An answer must not be asked for again because of that: it is
                // paid for, and would be as large.
                let mut entry = Entry::of(self.job.plan, chunk, now);
                entry.too_large(chunk, status, "");
                entry.store(log, self.job.waiter)
            }
            stored => stored,
        }
    }

    /// Decides on the halves of a chunk instead; `false` if it has none.
    fn halve(&mut self, chunk: &Chunk, why: &str) -> Result<bool, RunError> {
        let Some(halves) = chunk.halves(&chunk.key) else {
            return Ok(false);
        };
        let call = self.job.plan.name.as_str();
        tracing::info!(call, why, "sending the halves of a refused request");
        let decided = self.pending.halve(halves);
        decided.map_err(|error| not_kept(&error))?;
        Ok(true)
    }

    /// The chunk, decided on anew if its answer would not count as one of now.
    fn renewed(&mut self, chunk: Chunk) -> Result<Chunk, RunError> {
        let now = self.job.waiter.clock().now().wall;
        let identities = self.job.plan.identities();
        if identities.part(now) == identities.part(Micros(chunk.decided)) {
            return Ok(chunk);
        }
        self.pending.renew(now).map_err(|error| not_kept(&error))?;
        Ok(Chunk {
            decided: now.0,
            ..chunk
        })
    }

    /// Whether the answer to a chunk is in the log already: all of its groups are, or none. It is known by the time
    /// of the decision, however long ago that was.
    fn is_answered(&self, chunk: &Chunk) -> Result<bool, RunError> {
        let Some(group) = chunk.groups.first() else {
            return Ok(true);
        };
        let decided = Micros(chunk.decided);
        let answered = self.job.plan.identities().now(group, decided);
        // Versions before this one have not written down when they decided.
        let now = self.job.waiter.clock().now().wall;
        Ok(self.knows_any([answered])? || self.is_known(group, now)?)
    }

    /// Puts a group that cannot be sent into the quarantine.
    fn refuse(
        &mut self,
        group: &Group,
        rule: &'static str,
        expected: &str,
    ) -> Result<(), RunError> {
        let now = self.job.waiter.clock().now().wall;
        let mut entry = Entry::new(self.job.plan, "", now);
        entry.refused(group, None, rule, expected, None);
        let stored = match self.job.log.filter(|_| !self.job.wish.dry_run) {
            Some(log) => entry.store(log, self.job.waiter)?,
            None => entry.report,
        };
        self.report.add(stored);
        Ok(())
    }

    /// Describes a request that a dry run does not make.
    fn describe(&mut self, chunk: &Chunk, what: &str) {
        self.report.groups += chunk.groups.len() as u64;
        if self.report.chunks.len() >= MAX_CHUNKS {
            return;
        }
        let rows = chunk.rows().count();
        let bytes = chunk
            .body(self.job.plan.definition.body.as_deref().unwrap_or_default())
            .len();
        let first = chunk.groups.first().map_or("", |group| group.key.as_str());
        let last = chunk.groups.last().map_or("", |group| group.key.as_str());
        let groups = chunk.groups.len();
        self.report.chunks.push(format!(
            "{what}{groups} groups, {rows} rows, {bytes} bytes, from {first} to {last}, key {}",
            chunk.key
        ));
    }
}

/// Whether a raw value is text or a number.
fn is_plain(raw: &str) -> bool {
    matches!(raw.as_bytes(), [b'"' | b'-' | b'0'..=b'9', ..]) && raw != "\"\""
}
