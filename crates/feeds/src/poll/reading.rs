//! Reads all pages of a run, one after the other.

use super::facts::PageFacts;
use super::fetch::{Fetched, Fetcher};
use super::job::Job;
use super::pages::{Pages, Position};
use super::resume::Resume;
use super::template::Values;
use super::wanted::What;
use crate::collect::Collector;
use crate::errors::RunError;
use crate::figures::Progress;

/// Most tries of a page in a run that writes nothing, for which somebody waits.
const DRY_TRIES: u32 = 3;

/// A page that was read, and how far the run has got.
pub(super) struct PageRead<'p> {
    /// Facts of the page.
    pub(super) facts: &'p PageFacts,
    /// Position of the page.
    pub(super) position: &'p Position,
    /// Number of records in the pages before it.
    pub(super) read_before: u64,
    /// The pages, already at the next position.
    pub(super) pages: &'p Pages,
    /// Whether this page is the last.
    pub(super) is_last: bool,
}

/// How reading the pages ended.
pub(super) enum ReadEnd {
    /// All pages were read; the API's validator, if there was only one page.
    All(Option<String>),
    /// The API says that nothing has changed.
    NotModified,
}

/// Appends what was collected of a page to the log.
pub(super) type StorePage<'s> =
    dyn FnMut(&mut Collector<'_, Resume>, &PageRead<'_>) -> Result<(), RunError> + 's;

/// Reads all pages, requested with `values`; `store` appends what was collected of each to the log.
pub(super) fn read_pages(
    job: &Job<'_>,
    collector: &mut Collector<'_, Resume>,
    pages: &mut Pages,
    values: &Values,
    etag: Option<&str>,
    store: &mut StorePage<'_>,
) -> Result<ReadEnd, RunError> {
    let max_tries = if job.log.is_some() {
        u32::MAX
    } else {
        DRY_TRIES
    };
    let mut fetcher = Fetcher::new(job.plan, job.waiter, job.ids, max_tries);
    loop {
        let number = pages.number();
        let position = pages.position().clone();
        let now = job.waiter.clock().now().wall;
        let request = job.plan.page_request(&position, values, now);
        let request = request.map_err(|why| RunError::Failed(format!("page {number}: {why}")))?;
        collector.next_page(number);
        let is_first = pages.is_first();
        let answer = fetcher.page(number, &request, etag, collector, is_first)?;
        let (mut facts, validator) = match answer {
            Fetched::Page(facts, validator) => (facts, validator),
            Fetched::NotModified => return Ok(ReadEnd::NotModified),
            Fetched::PastEnd => (past_end(), None),
        };
        collector.end_page(facts.records)?;
        facts.hash = collector.page_hash();
        check_absent(number, &facts, collector)?;
        let read_before = pages.read();
        let is_last = pages.finish(&facts)?;
        store(
            collector,
            &PageRead {
                facts: &facts,
                position: &position,
                read_before,
                pages,
                is_last,
            },
        )?;
        (job.progress)(Progress {
            pages: number,
            records: pages.read(),
            total: pages.total(),
        });
        if is_last {
            let is_only = number == 1;
            return Ok(ReadEnd::All(validator.filter(|_| is_only)));
        }
    }
}

/// What an answer says that stands for the end of the pages.
fn past_end() -> PageFacts {
    PageFacts {
        is_last: Some(true),
        ..PageFacts::default()
    }
}

/// Checks that the first page says what it was declared to say: a wrong pointer shows there.
fn check_absent(
    number: u64,
    facts: &PageFacts,
    collector: &mut Collector<'_, Resume>,
) -> Result<(), RunError> {
    if number != 1 || facts.records == 0 {
        return Ok(());
    }
    for absent in &facts.absent {
        let place = &absent.place;
        match absent.what {
            What::Total | What::Pages => {
                let expected = absent.what.expected();
                let rule = format!("page 1: there is nothing at {place}; expected {expected} there");
                return Err(RunError::Failed(rule));
            }
            What::Next => collector.warn(format!(
                "page 1 does not name a next page at {place}, not even as null; it is taken for the only \
                 one. If it is not, check pagination.next"
            )),
            What::More | What::Last => collector.warn(format!(
                "page 1 has nothing at {place}, where it should say whether there is a next page; if it \
                 never has, check pagination.more and pagination.stop"
            )),
            _ => {}
        }
    }
    if let Some(hint) = &facts.hint {
        collector.warn(format!(
            "page 1 seems to have a next page, by {hint}, and pagination.type is not set; if there is one, \
             set it"
        ));
    }
    Ok(())
}
