//! Fetches one page: the request, its body, and retries of temporary failures.

use std::time::Duration;

use http::header::HeaderValue;
use reqwest::{Response, StatusCode};

use super::body;
use super::client::Got;
use super::complaint::Hidden;
use super::definition::PaginationKind;
use super::facts::PageFacts;
use super::page;
use super::plan::Plan;
use super::read_error::ReadError;
use super::record::Record;
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
    /// There is nothing, as one of the statuses says that the configuration names.
    Missing,
    /// The page is behind the last one.
    PastEnd,
}

/// How an attempt ended that was not cut short.
enum Tried {
    /// The page was read, or there is none.
    Done(Fetched),
    /// It was answered with a status that stands for the end of the pages.
    PastEnd(Trouble),
    /// It failed.
    Failed(Trouble),
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
        is_first: bool,
    ) -> Result<Fetched, RunError> {
        let (mut tries, mut doubtful) = (0, 0);
        loop {
            collector.begin_page();
            let trouble = match self.attempt(number, request, etag, collector)? {
                Tried::Done(fetched) => return Ok(fetched),
                // Where the pages begin, they cannot have ended.
                Tried::PastEnd(_) if !is_first => return Ok(Fetched::PastEnd),
                Tried::PastEnd(trouble) | Tried::Failed(trouble) => trouble,
            };
            let (what, after) = match trouble {
                Trouble::Again { what, after } => (what, after),
                Trouble::Doubtful(what) => {
                    doubtful += 1;
                    (what, None)
                }
                Trouble::Later { what, until } => {
                    return Err(self.later(&format!("page {number}: {what}"), until));
                }
                Trouble::Locked(what) => {
                    return Err(RunError::Unreachable(format!("page {number}: {what}")));
                }
                Trouble::Final(what) => {
                    return Err(RunError::Failed(format!("page {number}: {what}")));
                }
                Trouble::Stopped(why) => return Err(self.stopped(number, why, None)),
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
            pause_seconds = pause.as_secs_f64(),
            "the page is tried again"
        );
        let next = format!("another try (page {number}: {what})");
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

    /// Makes one attempt. An error ends the run without a retry.
    fn attempt(
        &mut self,
        number: u64,
        request: &PageRequest,
        etag: Option<&str>,
        collector: &mut Collector<'_, Resume>,
    ) -> Result<Tried, RunError> {
        let answer = match self.plan.client.send(request, etag, self.waiter) {
            Ok(Got::Page(answer)) => answer,
            Ok(Got::Missing) if number == 1 => return Ok(Tried::Done(Fetched::Missing)),
            Ok(Got::Missing) => {
                let what = "answered that the parent is gone, in the middle of its pages";
                return Ok(Tried::Failed(Trouble::Final(what.to_owned())));
            }
            Ok(Got::NotModified) => return Ok(Tried::Done(Fetched::NotModified)),
            Ok(Got::PastEnd(trouble)) => return Ok(Tried::PastEnd(trouble)),
            Err(trouble) => return Ok(Tried::Failed(trouble)),
        };
        let final_url = answer.response.url().clone();
        let etag = answer
            .etag
            .filter(|etag| HeaderValue::from_str(etag).is_ok());
        let headers = answer.response.headers().clone();
        let mut facts = match self.read(answer.response, &answer.hidden, collector)? {
            Ok(facts) => facts,
            Err(trouble) => return Ok(Tried::Failed(trouble)),
        };
        for (what, name) in &self.plan.wanted.headers {
            if let Err(rule) = facts.take_header(*what, name, headers.get(name)) {
                return Ok(Tried::Failed(Trouble::Final(rule)));
            }
        }
        if self.plan.paging() == PaginationKind::LinkHeader {
            facts.next = answer.next_link;
        } else if self.plan.paging() == PaginationKind::None && answer.next_link.is_some() {
            facts
                .hint
                .get_or_insert_with(|| "its Link header".to_owned());
        }
        if self.plan.paging().follows_links()
            && let Some(link) = &facts.next
        {
            let resolved = self.plan.client.follow(&final_url, link);
            let resolved = resolved.map_err(|why| {
                RunError::Failed(format!("page {number}: the link to the next page: {why}"))
            })?;
            facts.names_itself = resolved == request.url || resolved == final_url;
            facts.next = Some(resolved.into());
        }
        Ok(Tried::Done(Fetched::Page(facts, etag)))
    }

    /// Reads the body of a page. The outer error ends the run without a retry.
    fn read(
        &mut self,
        response: Response,
        hidden: &Hidden,
        collector: &mut Collector<'_, Resume>,
    ) -> Result<Result<PageFacts, Trouble>, RunError> {
        let plan = self.plan;
        let may_be_empty = plan.wanted.empty.no_content;
        let no_body = || {
            let rule = "the body is empty; expected a page (`empty` says what else is taken)";
            let taken = may_be_empty.then(PageFacts::default);
            Ok(taken.ok_or_else(|| Trouble::Final(rule.to_owned())))
        };
        let status = response.status();
        if status == StatusCode::NO_CONTENT {
            let what = format!("answered {status}; expected 200 OK (`empty` has not \"204\")");
            let taken = may_be_empty.then(PageFacts::default);
            return Ok(taken.ok_or(Trouble::Final(what)));
        }
        let says_length = body::says_length(&response);
        let timeout = plan.limits.timeout;
        let stream = body::open(response, timeout, self.waiter, &mut self.bytes_left);
        let stream = match stream {
            Ok(stream) => stream,
            Err(trouble) => return Ok(Err(trouble)),
        };
        let mut take = |index: u64, record: Record<'_>| match record {
            Record::Whole(raw) => collector.take(index, raw),
            Record::Refused(refused) => {
                let known = (&*refused.first, refused.bytes, refused.hash);
                collector.take_refused(index, known, (refused.code, &refused.detail))
            }
        };
        let read = page::read(stream, &plan.wanted, plan.limits.max_record, &mut take);
        Ok(match read {
            Ok(facts) => Ok(facts),
            Err(ReadError::Taker(error)) => return Err(error),
            Err(ReadError::NoBody) if says_length => return no_body(),
            Err(ReadError::CutOff | ReadError::NoBody) => {
                Err(Trouble::again("the answer was cut off"))
            }
            Err(ReadError::Form { rule, told }) => {
                let told = told.map_or_else(String::new, |text| hidden.told(&text));
                Err(Trouble::Final(rule + &told))
            }
            Err(ReadError::Stream(error)) => Err(body::trouble_of(error)),
        })
    }
}
