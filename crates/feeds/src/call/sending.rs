//! Sends one chunk until its answer is known, and says what the answer means.

use std::time::Duration;

use http::Method;
use http::header::{CONTENT_TYPE, HeaderValue};
use serde_json::Value;

use super::answer::{self, Unusable};
use super::chunk::Chunk;
use super::plan::Plan;
use crate::errors::RunError;
use crate::poll::exchange::Exchanged;
use crate::poll::request::PageRequest;
use crate::poll::retry;
use crate::poll::template::{Filler, Values};
use crate::poll::trouble::Trouble;
use crate::wait::{Interrupted, Waiter};
use lakehook_base::ids::Ids;

/// Most tries that end with a host that does not exist or is not trusted.
const MAX_DOUBTFUL: u32 = 4;
/// Most tries of one chunk in a run.
const MAX_TRIES: u32 = 30;

/// What the answer to a chunk means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was answered; the body can be read.
    Answered { status: u16, body: String },
    /// There is nothing, which is an answer.
    Missing { status: u16 },
    /// The request is refused, and would be again; and why.
    Refused { status: u16, why: String },
    /// The run may make no more requests.
    NoCallsLeft,
}

/// Sends the chunks of one run.
pub(super) struct Sender<'a> {
    pub plan: &'a Plan,
    pub waiter: &'a Waiter,
    pub ids: &'a Ids,
    /// Requests that were made.
    pub calls: u64,
    /// Most requests.
    pub max_calls: u64,
}

impl Sender<'_> {
    /// Sends a chunk, and again the same until its answer is known.
    pub(super) fn send(&mut self, chunk: &Chunk) -> Result<Outcome, RunError> {
        let request = self.request(chunk).map_err(RunError::Failed)?;
        let (mut tries, mut doubtful) = (0, 0);
        loop {
            if self.calls >= self.max_calls {
                return Ok(Outcome::NoCallsLeft);
            }
            self.calls += 1;
            let trouble = match self.plan.exchange.send(&request, self.waiter) {
                Ok(answer) => match self.judge(answer) {
                    Ok(outcome) => return Ok(outcome),
                    Err(trouble) => trouble,
                },
                Err(trouble) => trouble,
            };
            let (what, after) = match trouble {
                Trouble::Again { what, after } => (what, after),
                Trouble::Doubtful(what) => {
                    doubtful += 1;
                    (what, None)
                }
                Trouble::Later { what, until } => return Err(RunError::Later { what, until }),
                Trouble::Locked(what) => return Err(RunError::Unreachable(what)),
                Trouble::Final(what) => return Err(RunError::Failed(what)),
                Trouble::Stopped(why) => return Err(stopped(why, None)),
            };
            tries += 1;
            if tries >= MAX_TRIES || doubtful >= MAX_DOUBTFUL {
                return Err(RunError::Unreachable(format!(
                    "{what}; {tries} tries ended like this, and the next run goes on with the same request"
                )));
            }
            self.pause(&what, tries, after)?;
        }
    }

    fn pause(&self, what: &str, tries: u32, after: Option<Duration>) -> Result<(), RunError> {
        let own = retry::pause(tries, self.ids.dice());
        let pause = after.unwrap_or_default().max(own);
        if after.is_some() && pause >= self.waiter.left() {
            let until = self.waiter.clock().now().wall.plus(pause);
            let what = format!("{what}; the API asks to wait until {until}");
            return Err(RunError::Later { what, until });
        }
        let call = self.plan.name.as_str();
        tracing::info!(call, what, tries, ?pause, "the same request is sent again");
        let next = format!("another try ({what})");
        let paused = self.waiter.pause_after_fault(&next, pause);
        paused.map_err(|why| stopped(why, Some(what)))
    }

    /// What an answer means.
    fn judge(&self, answer: Exchanged) -> Result<Outcome, Trouble> {
        let status = answer.status.as_u16();
        let shown = self.plan.exchange.shown(&answer.body);
        let what = format!("answered {}: {shown}", answer.status);
        if self.plan.missing().contains(&status) {
            return Ok(Outcome::Missing { status });
        }
        match status {
            200..=299 => {}
            400 | 413 | 422 => return Ok(Outcome::Refused { status, why: what }),
            300..=399 => {
                return Err(Trouble::Final(format!(
                    "{what}; calls follow no redirects: set the path to where it leads"
                )));
            }
            401 | 403 => {
                return Err(Trouble::Locked(format!(
                    "{what}; check the credentials (auth)"
                )));
            }
            404 | 410 => return Err(Trouble::Final(format!("{what}; check the path"))),
            408 | 425 | 500..=599 => return Err(Trouble::again(what)),
            _ => return Err(Trouble::Final(what)),
        }
        let body = if answer.body.trim().is_empty() {
            "null".to_owned()
        } else {
            answer.body
        };
        match answer::read(&body, self.plan.places()) {
            Ok(_) => Ok(Outcome::Answered { status, body }),
            Err(Unusable::NotJson(what)) => Err(Trouble::again(what)),
            Err(Unusable::Form(what)) => Err(Trouble::Final(what)),
            Err(Unusable::NotSuccess(found)) => self.not_success(&found, &what),
        }
    }

    /// What an answer means that says in its body that it is no success.
    fn not_success(&self, found: &str, what: &str) -> Result<Outcome, Trouble> {
        let value: Value = serde_json::from_str(found).unwrap_or_default();
        let code = match &value {
            Value::String(text) => text.parse().ok(),
            other => other.as_u64(),
        };
        let pointer = self.plan.success_pointer();
        let what = format!(
            "{what} (success.pointer {pointer:?} has {})",
            self.plan.exchange.shown(found)
        );
        match code {
            Some(400 | 413 | 422) => Ok(Outcome::Refused {
                status: code
                    .and_then(|code| u16::try_from(code).ok())
                    .unwrap_or(400),
                why: what,
            }),
            Some(408 | 425 | 429 | 500..=599) => Err(Trouble::again(what)),
            _ => Err(Trouble::Final(what)),
        }
    }

    /// The request for a chunk, which depends on nothing else.
    fn request(&self, chunk: &Chunk) -> Result<PageRequest, String> {
        let mut values = Values::default();
        if let ([group], Some(_)) = (chunk.groups.as_slice(), &self.plan.definition.lookup)
            && let Some(row) = group.rows.first()
        {
            fill(&mut values, row);
        }
        let mut request = self.plan.requests.page(&values, &[])?;
        if let Some(pointer) = self
            .plan
            .definition
            .body
            .as_deref()
            .filter(|_| request.method != Method::GET)
        {
            let kind = HeaderValue::from_static("application/json");
            request.headers.insert(CONTENT_TYPE, kind);
            request.body = Some(chunk.body(pointer).into());
        }
        if let Some(name) = &self.plan.idempotency {
            let value = HeaderValue::from_str(&format!("\"{}\"", chunk.key));
            let value = value.map_err(|_| "the key of a chunk cannot be a header".to_owned())?;
            request.headers.insert(name.clone(), value);
        }
        Ok(request)
    }
}

/// Sets the members of a row that can stand in a URL.
fn fill(values: &mut Values, row: &str) {
    let Ok(Value::Object(members)) = serde_json::from_str(row) else {
        return;
    };
    for (name, value) in members {
        let filler = match value {
            Value::String(text) => Filler::Text(text),
            Value::Number(number) => Filler::Number(number.to_string()),
            Value::Bool(value) => Filler::Bool(value),
            _ => continue,
        };
        values.set(&name, filler);
    }
}

fn stopped(why: Interrupted, last: Option<&str>) -> RunError {
    if why == Interrupted::Cancelled {
        return RunError::Cancelled;
    }
    let last = last.map_or_else(String::new, |last| format!("; the last try: {last}"));
    RunError::OutOfTime(format!("there is no time left of the run's budget{last}"))
}
