//! Fetches one page: the request, its body, and retries of temporary failures.

use std::time::Duration;

use http::header::HeaderValue;

use super::body;
use super::client::Got;
use super::definition::PaginationKind;
use super::pages::PageFacts;
use super::parse::{ReadError, read_page};
use super::plan::Plan;
use super::request::PageRequest;
use super::resume::Resume;
use super::retry;
use super::trouble::Trouble;
use crate::collect::Collector;
use crate::errors::RunError;
use crate::wait::{Interrupted, Waiter};
use lakehook_base::clock::Micros;
use lakehook_base::ids::Ids;

/// Most tries that end with a host that does not exist or is not trusted.
const MAX_DOUBTFUL: u32 = 4;

/// A page that was read to its end.
#[derive(Clone, Debug)]
pub enum Fetched {
    /// Facts of the page, and the API's validator.
    Page(PageFacts, Option<String>),
    /// The page has not changed since the validator was issued.
    NotModified,
}

/// Fetches the pages of one run.
#[derive(Debug)]
pub struct Fetcher<'a> {
    plan: &'a Plan,
    waiter: &'a Waiter,
    ids: &'a Ids,
    bytes_left: u64,
    max_tries: u32,
}

impl<'a> Fetcher<'a> {
    /// A fetcher for one run, which tries each page at most `max_tries` times.
    pub fn new(plan: &'a Plan, waiter: &'a Waiter, ids: &'a Ids, max_tries: u32) -> Self {
        Self {
            plan,
            waiter,
            ids,
            bytes_left: plan.limits.max_bytes,
            max_tries,
        }
    }

    /// Reads the page with this number, from 1, and collects its records.
    pub fn page(
        &mut self,
        number: u64,
        request: &PageRequest,
        etag: Option<&str>,
        collector: &mut Collector<'_, Resume>,
    ) -> Result<Fetched, RunError> {
        let (mut tries, mut doubtful) = (0, 0);
        loop {
            collector.begin_page();
            let (what, after) = match self.attempt(number, request, etag, collector)? {
                Ok(fetched) => return Ok(fetched),
                Err(Trouble::Again { what, after }) => (what, after),
                Err(Trouble::Doubtful(what)) => {
                    doubtful += 1;
                    (what, None)
                }
                Err(Trouble::Later { what, until }) => {
                    return Err(self.later(&format!("page {number}: {what}"), until));
                }
                Err(Trouble::Locked(what)) => {
                    return Err(RunError::Unreachable(format!("page {number}: {what}")));
                }
                Err(Trouble::Final(what)) => {
                    return Err(RunError::Failed(format!("page {number}: {what}")));
                }
                Err(Trouble::Stopped(why)) => return Err(self.stopped(number, why, None)),
            };
            tries += 1;
            if tries >= self.max_tries || doubtful >= MAX_DOUBTFUL {
                return Err(RunError::Unreachable(format!(
                    "page {number}: {what}; {tries} tries ended like this"
                )));
            }
            self.pause(number, &what, tries, after)?;
        }
    }

    /// Pauses before the page is tried again.
    fn pause(
        &self,
        number: u64,
        what: &str,
        tries: u32,
        after: Option<Duration>,
    ) -> Result<(), RunError> {
        let pause = after
            .unwrap_or_default()
            .max(retry::pause(tries, self.ids.dice()));
        if after.is_some() && pause >= self.waiter.left() {
            let until = self.waiter.clock().now().wall.plus(pause);
            return Err(self.later(&format!("page {number}: {what}"), until));
        }
        tracing::info!(
            poll = self.plan.name,
            page = number,
            what,
            tries,
            ?pause,
            "trying again"
        );
        let next = format!("another try of page {number}, which {what}");
        let paused = self.waiter.pause_after_fault(&next, pause);
        paused.map_err(|why| self.stopped(number, why, Some(what)))
    }

    fn later(&self, what: &str, until: Micros) -> RunError {
        let budget = self.plan.limits.budget;
        RunError::Later {
            what: format!(
                "{what}; the API asks to wait until {until}, which is beyond the run's budget of \
                 {budget:?}; the poll goes on then"
            ),
            until,
        }
    }

    fn stopped(&self, number: u64, why: Interrupted, last: Option<&str>) -> RunError {
        if why == Interrupted::Cancelled {
            return RunError::Cancelled;
        }
        let budget = self.plan.limits.budget;
        let last = last.map_or_else(String::new, |last| format!("; the last try: {last}"));
        RunError::OutOfTime(format!(
            "page {number}: there is no time left of the run's budget of {budget:?}{last}"
        ))
    }

    /// Makes one attempt. The outer error ends the run without a retry.
    fn attempt(
        &mut self,
        number: u64,
        request: &PageRequest,
        etag: Option<&str>,
        collector: &mut Collector<'_, Resume>,
    ) -> Result<Result<Fetched, Trouble>, RunError> {
        let answer = match self.plan.client.send(request, etag, self.waiter) {
            Ok(Got::Page(answer)) => answer,
            Ok(Got::NotModified) => return Ok(Ok(Fetched::NotModified)),
            Err(trouble) => return Ok(Err(trouble)),
        };
        let timeout = self.plan.limits.timeout;
        let final_url = answer.response.url().clone();
        let stream = body::open(answer.response, timeout, self.waiter, &mut self.bytes_left);
        let stream = match stream {
            Ok(stream) => stream,
            Err(trouble) => return Ok(Err(trouble)),
        };
        let places = &self.plan.places;
        let max_record = self.plan.limits.max_record;
        let mut take = |index: u64, raw: &str| collector.take(index, raw);
        let mut facts = match read_page(stream, places, max_record, &mut take) {
            Ok(facts) => facts,
            Err(ReadError::Taker(error)) => return Err(error),
            Err(ReadError::CutOff) => return Ok(Err(Trouble::again("the answer was cut off"))),
            Err(ReadError::Form(rule)) => return Ok(Err(Trouble::Final(rule))),
            Err(ReadError::Stream(error)) => return Ok(Err(body::trouble_of(error))),
        };
        if self.plan.paging() == PaginationKind::LinkHeader {
            facts.next = answer.next_link;
        }
        if self.plan.paging().follows_links()
            && let Some(link) = &facts.next
        {
            let resolved = self.plan.client.follow(&final_url, link);
            let resolved = resolved.map_err(|why| {
                RunError::Failed(format!("page {number}: the link to the next page: {why}"))
            })?;
            facts.next = Some(resolved.into());
        }
        let etag = answer
            .etag
            .filter(|etag| HeaderValue::from_str(etag).is_ok());
        Ok(Ok(Fetched::Page(facts, etag)))
    }
}
